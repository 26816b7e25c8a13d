"""Timeout(thread=True): a call in a thread of a pool is the same call, and ends at its deadline."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import traceback

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, outage
from tests.waiting.left_behind import Held, begin, leave_behind, threaded
from tests.waiting.parties import LIMIT, until


@pytest.fixture
def clock() -> hf.ManualClock:
    """A clock that no wait moves."""
    return hf.ManualClock(auto=False)


# ---- the same call ----


def test_it_returns_what_the_function_returns_from_another_thread(clock):
    timeout = threaded(clock, name="there")
    value = object()
    assert timeout.call(lambda: value) is value
    name = timeout.call(lambda: threading.current_thread().name)
    assert name.startswith("holdfast-there_")
    assert timeout.snapshot().in_time == 2


def test_positional_and_keyword_arguments_arrive(clock):
    def take(*args, **kwargs):
        return args, kwargs

    assert threaded(clock).call(take, 1, [2], rest=3, fn=4) == ((1, [2]), {"rest": 3, "fn": 4})
    pipe = hf.Pipeline("p", threaded(clock), hf.Bulkhead("b"))
    assert pipe.call(take, 1, self=2, args=3) == ((1,), {"self": 2, "args": 3})
    assert pipe(take)(works=1, fn=2) == ((), {"works": 1, "fn": 2})


@pytest.mark.parametrize(
    "error", [OutageError("x"), KeyboardInterrupt(), SystemExit(3), StopIteration(4)]
)
def test_it_raises_the_exception_itself_with_where_it_came_from(clock, error):
    def deep_down():
        raise error

    with pytest.raises(type(error)) as caught:
        threaded(clock).call(deep_down)
    assert caught.value is error
    assert error.__context__ is None
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-1] == "deep_down"


def test_a_failure_keeps_nothing_alive(clock):
    import gc
    import weakref

    class Argument:
        pass

    argument = Argument()
    gone = weakref.ref(argument)
    timeout = threaded(clock)
    timeout.call(lambda _: None, argument)
    with pytest.raises(OutageError):
        timeout.call(lambda _: outage(), argument)
    until(lambda: timeout._worker_threads.active == 0)
    del argument
    gc.collect()
    until(lambda: gone() is None)


def test_context_variables_are_the_callers_and_what_is_set_stays_there(clock):
    variable = contextvars.ContextVar("variable", default="default")
    variable.set("outside")

    def change():
        seen = variable.get()
        variable.set("inside")
        return seen

    assert threaded(clock).call(change) == "outside"
    assert threaded(clock).call(change) == "outside"
    assert variable.get() == "outside"


def test_the_deadline_is_seen_inside(clock):
    timeout = threaded(clock, 5)
    assert timeout.call(hf.deadline) == 5.0
    timeout.call(hf.check_deadline)
    assert hf.deadline() is None
    until(lambda: timeout._worker_threads.active == 0)
    assert threaded(clock, 7).call(hf.deadline) == 7.0  # nothing of a call stays in its thread


def test_and_so_is_that_of_a_timeout_around_it(clock):  # TO-04
    outer, inner = hf.Timeout(2, clock=clock), threaded(clock, 5)
    assert hf.Pipeline("p", outer, inner).call(hf.deadline) == 2.0
    assert outer.call(inner.call, hf.deadline) == 2.0
    with outer:
        assert inner.call(hf.deadline) == 2.0


def test_a_clock_that_moves_by_itself_does_not_end_a_call_that_runs():
    # Work that goes on is no wait for time to pass.
    clock = hf.ManualClock()
    timeout = threaded(clock)
    held = Held()
    party = begin(timeout, held)
    assert clock.now() == 0.0
    held.go.set()
    assert party.result() == "done"
    assert timeout.snapshot().in_time == 1


def test_a_call_that_lets_its_own_time_pass_is_left_at_once():
    clock = hf.ManualClock()
    held = Held()

    def sleeps_and_hangs():
        clock.advance(2)
        held()

    with pytest.raises(hf.DeadlineExceededError):
        threaded(clock).call(sleeps_and_hangs)
    held.go.set()


def test_it_may_be_called_on_the_system_clock():
    timeout = hf.Timeout(30, thread=True)
    assert timeout.call(len, "four") == 4
    with pytest.raises(hf.DeadlineExceededError):
        hf.Timeout(0.001, thread=True).call(threading.Event().wait, LIMIT)


def test_try_call_tells_value_error_and_rejection(clock):
    pipe = hf.Pipeline("p", threaded(clock), full := hf.Bulkhead("b", max_concurrent=1))
    assert pipe.try_call(len, "ok").value == 2
    assert isinstance(pipe.try_call(outage).error, OutageError)
    with full:
        outcome = pipe.try_call(len, "ok")
    assert isinstance(outcome.rejection, hf.BulkheadFullError)


def test_statistics_of_a_call_count_its_attempts(clock):
    retry = hf.Retry("r", attempts=3, on=OutageError, backoff=hf.Constant(0), clock=clock)
    pipe = hf.Pipeline("p", retry, threaded(clock))
    calls = []

    def third():
        calls.append(1)
        if len(calls) < 3:
            raise OutageError
        return "ok"

    outcome, attempts, _, _ = pipe._call_counted(third)
    assert (outcome.value, attempts) == ("ok", 3)


def test_a_method_too(clock):
    class Client:
        timeout = threaded(clock, name="method")

        @timeout
        def where(self, n: int) -> tuple[object, int, str]:
            return self, n, threading.current_thread().name

    client = Client()
    me, n, name = client.where(3)
    assert (me, n) == (client, 3)
    assert name.startswith("holdfast-method")


# ---- what stays where it is ----


async def test_a_coroutine_is_cut_short_where_it_runs(clock):
    timeout = threaded(clock)

    async def where() -> str:
        return threading.current_thread().name

    assert await timeout.acall(where) == threading.current_thread().name
    task = asyncio.ensure_future(timeout.acall(asyncio.sleep, 1000))
    await asyncio.sleep(0)
    clock.advance(1)
    with pytest.raises(hf.DeadlineExceededError):
        await task
    assert timeout._worker_threads is None
    assert timeout.snapshot().abandoned == 0


def test_a_generator_runs_where_it_is_iterated_over(clock):
    timeout = threaded(clock)
    held = hf.Bulkhead("b", max_concurrent=1)
    here = threading.get_ident()

    @hf.Pipeline("p", timeout, held)
    def items(late):
        if late:
            clock.advance(1)
        yield threading.get_ident()
        clock.advance(100)
        yield held.in_flight

    assert list(items(False)) == [here, 1]
    assert timeout._worker_threads is None
    with pytest.raises(hf.DeadlineExceededError):
        next(items(True))
    assert held.in_flight == 0
    assert timeout.snapshot().abandoned == 0


def test_a_block_stays_in_its_thread(clock):
    timeout = threaded(clock)
    with timeout:
        assert hf.deadline() == 1.0
    with pytest.raises(hf.DeadlineExceededError), timeout:
        clock.advance(2)
    permit = hf.Pipeline("p", timeout).acquire()
    permit.success()
    assert timeout._worker_threads is None


def test_a_coroutine_that_a_plain_function_gives_is_refused_and_nothing_is_held(clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1)

    async def coroutine():
        pass

    def gives_one():
        return coroutine()

    for pipe in (
        hf.Pipeline("p", bulkhead, threaded(clock)),
        hf.Pipeline("q", threaded(clock), bulkhead),
    ):
        with pytest.raises(TypeError, match="returned a coroutine"):
            pipe.call(gives_one)
        assert bulkhead.in_flight == 0


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_it_enforces_or_there_is_no_thread(clock, mode):
    timeout = threaded(clock, mode=mode)
    here = threading.get_ident()
    assert timeout.call(threading.get_ident) == here
    pipe = hf.Pipeline("p", timeout, hf.Bulkhead("b"))
    assert pipe.call(threading.get_ident) == here


# ---- its place in a pipeline ----


def test_what_is_inside_of_it_is_entered_in_the_thread(clock):
    breaker, bulkhead = hf.CircuitBreaker("c", clock=clock), hf.Bulkhead("b", clock=clock)
    pipe = hf.Pipeline("p", threaded(clock), breaker, bulkhead)
    assert pipe.call(lambda: bulkhead.in_flight) == 1
    with pytest.raises(OutageError):
        pipe.call(outage)
    shown = breaker.snapshot()
    assert (shown.succeeded, shown.failed) == (1, 1)
    assert bulkhead.snapshot().completed == 2


def test_a_policy_that_is_switched_off_before_it_changes_nothing_inside(clock):
    off = hf.Bulkhead("off", mode="off")
    bulkhead = hf.Bulkhead("on")
    timeout = threaded(clock)
    pipe = hf.Pipeline("p", off, off, timeout, off, bulkhead)
    assert pipe.call(lambda: bulkhead.in_flight) == 1
    assert timeout.snapshot().in_time == 1


def test_what_is_inside_a_second_one_is_entered_too(clock):
    names = []
    first, second = threaded(clock, 5, name="first"), threaded(clock, 3, name="second")
    bulkheads = [hf.Bulkhead(str(n)) for n in range(3)]
    pipe = hf.Pipeline("p", bulkheads[0], first, bulkheads[1], second, bulkheads[2])

    def call():
        names.append(threading.current_thread().name)
        return [bulkhead.in_flight for bulkhead in bulkheads], hf.deadline()

    assert pipe.call(call) == ([1, 1, 1], 3.0)
    assert names[0].startswith("holdfast-second")
    assert [bulkhead.snapshot().completed for bulkhead in bulkheads] == [1, 1, 1]


def test_a_refusal_inside_leaves_what_is_outside_as_if_never_asked(clock):
    limiter = hf.RateLimiter("l", rate=1, burst=5, clock=clock)
    breaker = hf.CircuitBreaker("c", clock=clock)
    full = hf.Bulkhead("b", max_concurrent=1)
    timeout = threaded(clock)
    pipe = hf.Pipeline("p", limiter, breaker, timeout, full)
    with full, pytest.raises(hf.BulkheadFullError):
        pipe.call(len, "ok")
    assert limiter.available == 5
    shown = breaker.snapshot()
    assert (shown.succeeded, shown.failed, shown.ignored) == (0, 0, 0)
    assert timeout.snapshot().in_time == 0
    assert pipe.call(len, "ok") == 2
    assert limiter.available == 4


def test_a_retry_inside_runs_in_the_thread(clock):
    retry = hf.Retry("r", attempts=3, on=OutageError, backoff=hf.Constant(0), clock=clock)
    pipe = hf.Pipeline("p", threaded(clock), retry)
    threads = []

    def call():
        threads.append(threading.get_ident())
        raise OutageError

    with pytest.raises(OutageError):
        pipe.call(call)
    assert len(threads) == 3
    assert len(set(threads)) == 1


def test_a_fallback_stands_in_for_what_was_left_behind(clock, held):
    fallback = hf.Fallback("instead", on=hf.DeadlineExceededError)
    timeout = threaded(clock)
    pipe = hf.Pipeline("p", fallback, timeout)
    party = begin(pipe, held)
    clock.advance(1)
    assert party.result() == "instead"
    assert timeout.snapshot().running == 1


def test_a_breaker_outside_records_the_failure_at_once_and_one_inside_when_it_ends(clock, held):
    # CB-22, trap 52
    outside, inside = (hf.CircuitBreaker(name, clock=clock) for name in ("outside", "inside"))
    leave_behind(hf.Pipeline("p", outside, threaded(clock), inside), held, clock)
    assert outside.snapshot().failed == 1
    assert inside.snapshot().in_flight == 1
    assert (inside.snapshot().succeeded, inside.snapshot().failed) == (0, 0)
    held.go.set()
    until(lambda: inside.snapshot().succeeded == 1)
    assert inside.snapshot().in_flight == 0
    assert outside.snapshot().failed == 1
