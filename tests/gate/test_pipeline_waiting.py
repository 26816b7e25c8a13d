"""A step in the middle of a pipeline may have to be waited for, in a thread or in a task."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import (
    Bulkhead,
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitBreaker,
    CircuitOpenError,
    ManualClock,
    RateLimitedError,
    State,
)
from tests.apart import run_apart
from tests.gate.parts import fates, half_open, pipe, places, tokens
from tests.waiting.parties import Party, auntil, until


class Middle:
    """A probe, a place to be waited for, a token to be waited for, and a policy within."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(auto=False)
        self.breaker = half_open(clock=self.clock, probe_timeout=None)
        self.bulkhead = places(1, clock=self.clock, max_waiting=5, max_wait=10.0)
        self.limiter = tokens(1, self.clock, max_wait=10.0)
        self.inner = places(1)
        self.pipeline = pipe(self.breaker, self.bulkhead, self.limiter, self.inner)

    @property
    def timers(self) -> int:
        return len(self.clock._callbacks)

    def is_untouched(self, tokens: int = 0) -> bool:
        breaker, inside = self.breaker.snapshot(), self.bulkhead.in_flight + self.inner.in_flight
        held = (breaker.admitted, breaker.probes, inside, self.bulkhead.waiting, self.timers)
        return held == (0, 0, 0, 0, 0) and self.limiter.available == tokens


@pytest.mark.parametrize("in_a_task", [False, True])
def test_a_call_goes_on_through_the_pipeline_when_its_turn_comes(in_a_task: bool) -> None:
    async def work() -> tuple[int, int]:
        return it.inner.in_flight, it.bulkhead.in_flight

    it = Middle()
    it.bulkhead.enter()
    it.limiter.acquire()
    party = (
        Party(asyncio.run, it.pipeline.acall(work))
        if in_a_task
        else Party(it.pipeline.call, lambda: (it.inner.in_flight, it.bulkhead.in_flight))
    )
    until(lambda: it.bulkhead.waiting == 1)
    assert it.breaker.snapshot().probes == 1
    it.bulkhead.leave()
    until(lambda: it.timers == 1)  # now it waits for its token
    assert it.bulkhead.in_flight == 1
    it.clock.advance(1)
    assert party.result() == (1, 1)
    assert it.breaker.state is State.CLOSED
    assert (it.bulkhead.in_flight, it.inner.in_flight, it.limiter.available) == (0, 0, 0)


def test_a_wait_in_vain_gives_everything_back() -> None:  # trap 6, trap 33
    it = Middle()
    it.bulkhead.enter()
    party = Party(it.pipeline.call, pytest.fail)
    until(lambda: it.timers == 1)
    it.clock.advance(10)
    with pytest.raises(BulkheadTimeoutError) as caught:
        party.result()
    assert caught.value.policy is it.bulkhead
    it.bulkhead.leave()
    assert it.is_untouched(tokens=1)


def test_a_wait_known_to_be_too_long_is_not_begun() -> None:  # trap 42
    it = Middle()
    for _ in range(11):
        it.limiter.reserve()
    with pytest.raises(RateLimitedError) as caught:
        it.pipeline.call(pytest.fail)
    assert caught.value.retry_after == 11.0
    assert it.is_untouched()


def test_a_refusal_further_in_gives_back_the_place_that_was_waited_for() -> None:  # trap 6
    it = Middle()
    it.bulkhead.enter()
    it.inner.enter()
    party = Party(it.pipeline.call, pytest.fail)
    until(lambda: it.bulkhead.waiting == 1)
    it.bulkhead.leave()
    with pytest.raises(BulkheadFullError) as caught:
        party.result()
    assert caught.value.policy is it.inner
    it.inner.leave()
    assert it.is_untouched(tokens=1)


@pytest.mark.parametrize("waits_for", ["place", "token"])
@pytest.mark.parametrize("way", ["acall", "guard", "async with", "permit", "generator"])
async def test_a_task_cancelled_while_it_waits_gives_everything_back(
    waits_for: str, way: str
) -> None:  # trap 32, trap 33
    async def work() -> None:
        pytest.fail("ran")

    async def block() -> None:
        async with it.pipeline:
            pytest.fail("ran")

    async def stream() -> None:
        @it.pipeline
        async def items() -> Any:
            yield pytest.fail("ran")

        await anext(items())

    it = Middle()
    if waits_for == "place":
        it.bulkhead.enter()
    else:
        it.limiter.acquire()
    ways: dict[str, Callable[[], Any]] = {
        "acall": lambda: it.pipeline.acall(work),
        "guard": it.pipeline(work),
        "async with": block,
        "permit": it.pipeline._apermit,
        "generator": stream,
    }
    task = asyncio.create_task(ways[way]())
    await auntil(lambda: it.timers == 1)
    assert it.breaker.snapshot().probes == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    if waits_for == "place":
        it.bulkhead.leave()
    assert it.is_untouched(tokens=waits_for == "place")


async def test_what_is_thrown_into_a_wait_ends_it_or_is_answered() -> None:
    """A waiting step that swallows what is thrown goes on as if its turn had come."""

    class Patient(Bulkhead):
        async def _suspend(self) -> None:
            try:
                await super()._suspend()
            except LookupError:
                self._kernel.force_enter()

    async def work() -> int:
        return bulkhead.in_flight

    bulkhead = Patient("patient", max_concurrent=1, max_waiting=1, max_wait=None)
    breaker = CircuitBreaker("b")
    pipeline = pipe(breaker, bulkhead)
    bulkhead.enter()
    coroutine = pipeline.acall(work)
    coroutine.send(None)
    with pytest.raises(StopIteration) as stop:
        coroutine.throw(KeyError)
    assert stop.value.value == 2
    coroutine = pipeline.acall(work)
    coroutine.send(None)
    with pytest.raises(ValueError, match="thrown"):
        coroutine.throw(ValueError("thrown"))
    assert (bulkhead.in_flight, bulkhead.waiting) == (1, 0)
    assert breaker.snapshot().admitted == 1


def test_a_thread_interrupted_while_it_waits_gives_everything_back() -> None:  # trap 32
    run_apart(
        """
        import holdfast as hf
        from tests.ctrl_c import CtrlC

        breaker = hf.CircuitBreaker("b", half_open_max_calls=1)
        bulkhead = hf.Bulkhead("places", max_concurrent=1, max_waiting=1, max_wait=None)
        limiter = hf.RateLimiter("tokens", rate=1, per=3600, burst=2, max_wait=None)
        pipeline = hf.Pipeline("p", breaker, limiter, bulkhead)
        ctrl_c = CtrlC()

        def expect_interrupt(fn):
            try:
                fn()
            except KeyboardInterrupt:
                return
            raise AssertionError("not interrupted")

        def enter():
            with pipeline:
                raise AssertionError("ran")

        for way in (lambda: pipeline.call(int), pipeline(int), enter, pipeline.acquire,
                    lambda: pipeline.try_call(int)):
            breaker.half_open()
            bulkhead.enter()
            sender = ctrl_c.when(lambda: bulkhead.waiting == 1)
            expect_interrupt(way)
            sender.result()
            assert (bulkhead.waiting, bulkhead.in_flight, limiter.available) == (0, 1, 2)
            assert breaker.snapshot().probes == breaker.in_flight == 0
            bulkhead.leave()
        """
    )


def test_a_place_is_not_lost_to_an_interrupt_just_after_it_was_granted() -> None:  # trap 35
    run_apart(
        """
        import _thread
        import holdfast as hf

        class Wire:
            # Interrupts as it dies, without a frame of its own in which that could arrive.
            __del__ = _thread.interrupt_main

        class Room:
            def __init__(self, bulkhead):
                self.real = bulkhead._room
                self.kernel = bulkhead._kernel
                self.admit = self.real.admit

            def enter(self, *args):
                self.kernel.leave()
                answer = self.real.enter(*args)
                wire = Wire()
                return answer

            async def aenter(self, *args):
                self.kernel.leave()
                answer = await self.real.aenter(*args)
                wire = Wire()
                return answer

        async def work():
            return 1

        async def block():
            async with bulkhead:
                return 1

        bulkhead = hf.Bulkhead("places", max_concurrent=1, max_waiting=1, max_wait=None)
        hf.Bulkhead._room = Room(bulkhead)

        def expect_interrupt(fn):
            try:
                fn()
            except KeyboardInterrupt:
                return
            raise AssertionError("not interrupted")

        def enter():
            with bulkhead:
                return 1

        import asyncio
        for way in (lambda: bulkhead.call(lambda: 1), lambda: bulkhead.call(int), enter,
                    lambda: asyncio.run(bulkhead.acall(work)), lambda: asyncio.run(block())):
            bulkhead._kernel.try_enter()
            expect_interrupt(way)
            assert bulkhead.in_flight == 0, way
        """
    )


def test_a_probe_that_waits_too_long_for_a_place_gives_way_to_another() -> None:  # trap 4
    clock = ManualClock(auto=False)
    breaker = half_open(clock=clock, probe_timeout=5.0)
    bulkhead = places(1, clock=clock, max_waiting=1, max_wait=None)
    bulkhead.enter()
    party = Party(pipe(breaker, bulkhead).call, int)
    until(lambda: bulkhead.waiting == 1)
    with pytest.raises(CircuitOpenError):
        breaker.call(int)
    clock.advance(5)
    assert breaker.call(int) == 0
    assert breaker.state is State.CLOSED
    bulkhead.leave()
    assert party.result() == 0
    assert fates(breaker) == {"succeeded": 2}


def test_the_time_waited_is_not_the_time_of_the_call() -> None:
    clock = ManualClock(auto=False)
    breaker = CircuitBreaker("b", clock=clock, latency=True)
    limiter = tokens(1, clock, max_wait=None)
    limiter.acquire()
    party = Party(pipe(breaker, limiter).call, clock.advance, 2)
    until(lambda: len(clock._callbacks) == 1)
    clock.advance(1)
    party.result()
    assert breaker.snapshot().latency.total == 2
