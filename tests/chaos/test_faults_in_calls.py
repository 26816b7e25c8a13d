"""Faults in pipelines: every driver and every policy sees them as failures of the function."""

import asyncio
import gc
import threading
from functools import partial

import pytest

import holdfast as hf
from holdfast import chaos
from holdfast.chaos.engine import engine
from tests.policies.drivers import ACALLS, ASYNC, ATTEMPTS, CALLS, DRIVERS, STREAMS, drive
from tests.waiting.parties import auntil

pytestmark = pytest.mark.filterwarnings("ignore:.*blocks the event loop:RuntimeWarning")
ONCE = [name for name in DRIVERS if name not in ATTEMPTS]


class Layers:
    """A pipeline with every kind of layer around a fault that always strikes.

    Attributes:
        ran: How often the guarded work ran.
    """

    def __init__(self, *outer, error=ConnectionResetError, **settings):
        self.clock = hf.ManualClock()
        self.breaker = hf.CircuitBreaker("b", failure_threshold=99, clock=self.clock)
        self.limiter = hf.RateLimiter("l", rate=1e6, clock=self.clock)
        self.bulkhead = hf.Bulkhead("h", clock=self.clock)
        self.fault = chaos.Error(error, probability=1, clock=self.clock, **settings)
        guards = self.breaker, self.limiter, self.bulkhead
        self.pipe = hf.Pipeline("p", *outer, *guards, self.fault)
        self.ran = 0

    def work(self):
        self.ran += 1
        return "value"

    def drive(self, name):
        return drive(DRIVERS[name], self.pipe, self.work)


@pytest.mark.parametrize("name", ONCE)
def test_each_layer_sees_an_injected_error_as_a_failed_call(name):  # CH-03, D-CH-1
    layers = Layers()
    assert chaos.enable()
    with pytest.raises(ConnectionResetError) as caught:
        layers.drive(name)
    assert layers.ran == 0
    assert layers.breaker.snapshot().failed == 1
    assert layers.limiter.snapshot().allowed == 1
    assert layers.bulkhead.snapshot().active == 0
    assert layers.fault.snapshot().injected == 1
    assert "injected by chaos: fault 'error', call 0, seed" in caught.value.__notes__[0]


@pytest.mark.parametrize("name", [*CALLS, *ACALLS, *STREAMS])
def test_a_retry_and_a_timeout_around_it_try_an_injected_error_again(name):  # D-CH-1
    retry = hf.Retry("r", attempts=3, on=ConnectionError, backoff=hf.Constant(0))
    layers = Layers(hf.Timeout(60), retry, limit=2)
    chaos.enable()
    assert layers.drive(name) in ("value", ["value"])
    assert layers.ran == 1
    assert layers.breaker.snapshot().failed == 2


@pytest.mark.parametrize("name", ATTEMPTS)
def test_attempts_at_a_block_fail_by_injected_errors(name):
    retry = hf.Retry("r", attempts=3, on=ConnectionError, backoff=hf.Constant(0))
    outer = hf.CircuitBreaker("outer")
    layers = Layers(outer, retry)
    chaos.enable()
    with pytest.raises(ConnectionResetError):
        layers.drive(name)
    assert layers.ran == 0
    assert layers.breaker.snapshot().failed == 3
    assert outer.snapshot().failed == 1


def test_statistics_count_an_injected_failure_as_an_attempt():
    layers = Layers(hf.Retry("r", attempts=3, backoff=hf.Constant(0)))
    chaos.enable()
    outcome, stats = layers.pipe.call_with_stats(layers.work)
    assert (outcome.ok, stats.attempts) == (False, 3)
    assert outcome.rejection is None


def test_a_fault_inside_a_threaded_timeout_strikes_in_its_thread():
    layers = Layers()
    pipe = hf.Pipeline("threaded", hf.Timeout(60, thread=True), *layers.pipe.policies)
    chaos.enable()
    with pytest.raises(ConnectionResetError):
        pipe.call(layers.work)
    chaos.disable()
    assert pipe.call(layers.work) == "value"
    assert layers.breaker.snapshot().failed == 1


@pytest.mark.parametrize("name", DRIVERS)
def test_no_fault_strikes_while_chaos_is_disabled(name):  # CH-01, CH-14
    layers = Layers(hf.Retry("r")) if name in ATTEMPTS else Layers()
    assert layers.drive(name) == "value"
    chaos.enable()
    chaos.disable()
    assert layers.drive(name) == "value"
    assert layers.fault.snapshot().checked == 0


def test_a_fault_by_itself_guards_a_call():
    fault = chaos.Error(probability=1)
    guarded = fault(lambda: "value")
    assert guarded() == "value"
    chaos.enable()
    with pytest.raises(chaos.InjectedError, match="chaos monkey injected error"):
        guarded()


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_a_fault_that_does_not_enforce_strikes_no_call(mode):
    layers = Layers(mode=mode)
    chaos.enable()
    assert layers.pipe.call(layers.work) == "value"
    assert layers.fault.snapshot().observed == (mode == "observe")
    assert layers.fault.snapshot().injected == 0


def test_a_fault_that_is_not_innermost_strikes_the_calls_that_reach_it():
    fault = chaos.Error(probability=1)
    outer, inner = hf.CircuitBreaker("outer"), hf.CircuitBreaker("inner")
    pipe = hf.Pipeline("p", outer, hf.Pipeline("nested", fault), inner)
    assert pipe.call(len, "ok") == 2
    chaos.enable()
    with pytest.raises(chaos.InjectedError):
        pipe.call(len, "ok")
    assert (outer.snapshot().failed, inner.snapshot().requests) == (1, 1)


def test_calls_under_way_end_as_they_began_when_chaos_is_switched():
    layers = Layers()
    inside, go = threading.Barrier(2), threading.Barrier(2)

    def wait():
        inside.wait()
        go.wait()
        return layers.work()

    for switch in (chaos.enable, chaos.disable):
        calls = []
        thread = threading.Thread(target=lambda calls=calls: calls.append(layers.pipe.call(wait)))
        layers.fault.set_probability(0)
        thread.start()
        inside.wait()
        switch()
        go.wait()
        thread.join()
        assert calls == ["value"]
    assert layers.bulkhead.snapshot().active == 0


def test_a_retry_meets_a_fault_that_was_switched_on_after_its_call_began():
    layers = Layers(hf.Retry("r", attempts=2, on=ConnectionError, backoff=hf.Constant(0)))

    def fail():
        chaos.enable()
        raise ConnectionError

    with pytest.raises(ConnectionResetError):
        layers.pipe.call(fail)


# ---- delays ----


def test_a_delay_lies_within_its_bounds_and_counts_as_time_of_the_call():  # CH-02
    clock = hf.ManualClock()
    slow = {"slow_call_duration": 0.9, "slow_call_rate": 1.0}
    breaker = hf.CircuitBreaker("b", **slow, min_calls=100, clock=clock)
    pipe = hf.Pipeline("p", breaker, chaos.Latency(1, 2, probability=1, clock=clock))
    chaos.enable(clock=clock)
    took = []
    for _ in range(50):
        began = clock.now()
        assert pipe.call(len, "ok") == 2
        took.append(clock.now() - began)
    assert min(took) >= 1
    assert max(took) <= 2
    assert max(took) - min(took) > 0.5
    assert breaker.snapshot().slow == 50


def within(*inside):
    """Return pipelines of a delay of a second with that inside, and what measures around it."""
    clock = hf.ManualClock()
    slow = {"slow_call_duration": 1.5, "slow_call_rate": 1.0}
    breaker = hf.CircuitBreaker("b", **slow, min_calls=100, clock=clock)
    limiter = hf.AdaptiveRateLimiter("a", rate=100, clock=clock)
    delay = chaos.Latency(1, 1, probability=1, clock=clock)
    return clock, breaker, limiter, [delay, *(make(name="i", clock=clock) for make in inside)]


INSIDE = {
    "nothing": [],
    "faults": [partial(chaos.Error, OSError, probability=0), partial(chaos.Timeout, probability=0)],
    "bulkhead": [hf.Bulkhead],
    "timeout": [partial(hf.Timeout, 99)],
}


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("name", ["call", "with", "generator"])
def test_a_delay_counts_as_time_of_the_call_whatever_is_inside_of_it(inside, name):  # CH-02
    clock, breaker, limiter, steps = within(*INSIDE[inside])
    chaos.enable(clock=clock)
    for measures in breaker, limiter:
        drive(DRIVERS[name], hf.Pipeline("p", measures, *steps), lambda: clock.advance(0.5))
    assert breaker.snapshot().slow == 1
    assert limiter.snapshot().p95_latency == pytest.approx(1.5, rel=0.02)


@pytest.mark.parametrize("inside", INSIDE)
async def test_a_delay_counts_as_time_of_an_awaited_call_too(inside):  # CH-02
    clock, breaker, _, steps = within(*INSIDE[inside])
    chaos.enable(clock=clock)
    call = asyncio.ensure_future(hf.Pipeline("p", breaker, *steps).acall(asyncio.sleep, 0))
    await asyncio.sleep(0)
    clock.advance(1.5)
    await call
    assert breaker.snapshot().slow == 1


def test_a_delay_of_an_attempt_before_is_no_time_of_the_last_one():
    clock, _, limiter, steps = within(hf.Bulkhead)
    retry = hf.Retry("r", attempts=2, on=OSError, backoff=hf.Constant(7), clock=clock)
    chaos.enable(clock=clock)
    attempts = iter([OSError])

    def work():
        for error in attempts:
            raise error

    hf.Pipeline("p", limiter, retry, *steps).call(work)
    assert limiter.snapshot().p95_latency == pytest.approx(1, rel=0.02)


async def test_a_delay_in_a_task_is_awaited_and_can_be_cancelled():  # D-CH-2
    breaker = hf.CircuitBreaker("b")
    pipe = hf.Pipeline("p", breaker, chaos.Latency(50, 60, probability=1))
    chaos.enable()
    task = asyncio.ensure_future(pipe.acall(asyncio.sleep, 0))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (breaker.snapshot().failed, breaker.snapshot().in_flight) == (0, 0)
    assert asyncio.get_running_loop().time() < 50


@pytest.mark.parametrize("thread", [False, True])
def test_a_deadline_ends_a_delay_in_a_thread(thread):  # D-CH-2
    clock = hf.ManualClock()
    delay = chaos.Latency(50, 60, probability=1, clock=clock)
    pipe = hf.Pipeline("p", hf.Timeout(2, clock=clock, thread=thread), delay)
    chaos.enable()
    with pytest.raises(hf.DeadlineExceededError):
        pipe.call(len, "ok")
    assert clock.now() == 2


async def test_a_deadline_ends_a_delay_in_a_task():  # D-CH-2
    clock = hf.ManualClock()
    delay = chaos.Latency(50, 60, probability=1, clock=clock)
    pipe = hf.Pipeline("p", hf.Timeout(2, clock=clock), delay)
    chaos.enable()
    call = asyncio.ensure_future(pipe.acall(asyncio.sleep, 0))
    await asyncio.sleep(0)
    clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError):
        await call


def test_disabling_ends_delays_of_threads_and_tasks():  # D-CH-3
    delay = chaos.Latency(3000, 3600, probability=1)
    chaos.enable()
    done = []
    thread = threading.Thread(target=lambda: done.append(delay.call(len, "ok")))
    thread.start()

    async def main():
        call = asyncio.ensure_future(delay.acall(asyncio.sleep, 0, "slept"))
        while len(engine.sleepers) < 2:  # noqa: ASYNC110 - a thread, too, is waited for
            await asyncio.sleep(0)
        chaos.disable()
        return await call

    assert asyncio.run(main()) == "slept"
    thread.join()
    assert done == [2]
    assert not engine.sleepers


LONG = [(chaos.Latency, {"min": 50, "max": 60}), (chaos.Timeout, {"after": 50})]


@pytest.mark.parametrize(("fault", "waits"), LONG, ids=["latency", "timeout"])
@pytest.mark.parametrize(("run", "own"), [(2, None), (300, 2)], ids=["chaos", "fault"])
async def test_an_injected_wait_ends_with_chaos_and_the_function_runs(
    fault, waits, run, own
):  # CH-14, D-CH-3
    clock = hf.ManualClock()
    delay = fault(**waits, probability=1, duration=own, clock=clock)
    chaos.enable(duration=run, clock=clock)
    assert delay.call(len, "ok") == 2
    assert clock.now() == 2
    chaos.enable(duration=run, clock=clock)
    call = asyncio.ensure_future(delay.acall(asyncio.sleep, 0, "slept"))
    await asyncio.sleep(0)
    clock.advance(2)
    assert await call == "slept"


def test_a_call_that_hangs_in_a_partition_fails_when_chaos_ends():  # CH-07, CH-14
    clock = hf.ManualClock()
    cut = chaos.Partition(50, hang=True, probability=1, clock=clock)
    chaos.enable(duration=2, clock=clock)
    with pytest.raises(chaos.InjectedPartitionError):
        cut.call(len, "ok")
    assert clock.now() == 2


# ---- where nothing is called yet ----


@pytest.mark.parametrize("name", [name for name in ASYNC if name not in ATTEMPTS])
def test_a_task_calls_nothing_that_an_injected_error_stands_for(name, recwarn):
    layers = Layers()
    chaos.enable()
    with pytest.raises(ConnectionResetError):
        layers.drive(name)
    assert not [one for one in recwarn if "never awaited" in str(one.message)]


def test_a_call_that_is_put_off_draws_once():
    """A plain function that returns a coroutine passes the gate again when that is awaited."""
    fault = chaos.Error(probability=0.5, seed=7)

    async def answer():
        return "value"

    @hf.Pipeline("p", hf.Bulkhead("h"), fault)
    def guarded():
        return answer()

    async def one():
        try:
            await guarded()
        except chaos.InjectedError:
            return True
        return False

    async def main():
        return [await one() for _ in range(40)]

    async def alone():
        return [await direct() for _ in range(40)]

    async def direct():
        try:
            return await fault.acall(answer) != "value"
        except chaos.InjectedError:
            return True

    chaos.enable()
    expected = asyncio.run(alone())
    chaos.enable()
    assert asyncio.run(main()) == expected


def test_a_call_may_be_dropped_after_chaos_was_enabled_within_it():  # it crashed
    async def calls():
        ready = asyncio.Event()

        def work():
            begun = []

            async def attempt():
                begun.append(1)
                if len(begun) == 1:
                    await ready.wait()
                    raise ConnectionResetError
                await asyncio.get_running_loop().create_future()

            return attempt

        tasks = [asyncio.create_task(pipe.acall(work())) for _ in range(100)]
        await asyncio.sleep(0)
        chaos.enable(seed=1)
        ready.set()
        await auntil(lambda: fault.snapshot().checked == len(tasks))
        while tasks:
            tasks.pop()._log_destroy_pending = False
        gc.collect()

    fault = chaos.Error(probability=0)
    budget = hf.RetryBudget(burst=1000)
    retry = hf.Retry("r", backoff=0, on=ConnectionError, budget=budget)
    pipe = hf.Pipeline("p", hf.Timeout(60), retry, fault)
    asyncio.run(calls())
