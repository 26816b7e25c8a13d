"""A breaker that joins a pipeline, and so begins to record durations, while calls of it run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import Bulkhead, CircuitBreaker, ManualClock, Pipeline
from tests.gate.parts import suspend


def through_a_guard(breaker: CircuitBreaker, body: Callable[[], None]) -> None:
    breaker(body)()


def through_call(breaker: CircuitBreaker, body: Callable[[], None]) -> None:
    breaker.call(body)


def through_try_call(breaker: CircuitBreaker, body: Callable[[], None]) -> None:
    breaker.try_call(body)


def in_a_block(breaker: CircuitBreaker, body: Callable[[], None]) -> None:
    with breaker:
        body()


def by_hand(breaker: CircuitBreaker, body: Callable[[], None]) -> None:
    breaker.__enter__()
    error = None
    try:
        body()
    except LookupError as raised:
        error = raised
    breaker.__exit__(type(error), error, None)


def with_a_permit(breaker: CircuitBreaker, body: Callable[[], None]) -> None:
    with breaker.acquire():
        body()


def as_a_coroutine(breaker: CircuitBreaker, body: Callable[[], None]) -> None:
    @breaker
    async def work() -> None:
        await suspend()
        body()

    coroutine = work()
    coroutine.send(None)
    with contextlib.suppress(StopIteration):
        coroutine.send(None)


def as_a_stream(breaker: CircuitBreaker, body: Callable[[], None]) -> None:
    @breaker
    def items() -> Any:
        yield
        body()

    list(items())


def leave_traces(clock: ManualClock) -> None:
    """Have memory recycled in which other policies have kept times."""
    places = Bulkhead("places", max_concurrent=3, clock=clock)

    async def nothing() -> None:
        pass

    for _ in range(100):
        with contextlib.suppress(StopIteration):
            places.acall(nothing).send(None)
        with places:
            pass
        places.call(int)
    held = [places._permit() for _ in range(3)]
    held.clear()


@pytest.mark.parametrize(
    "way",
    [
        through_a_guard,
        through_call,
        through_try_call,
        in_a_block,
        by_hand,
        with_a_permit,
        as_a_coroutine,
        as_a_stream,
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_a_call_that_began_before_has_no_duration_and_the_next_one_has(way, fails):
    clock = ManualClock(100)
    breaker = CircuitBreaker("joins", clock=clock)
    pipelines: list[Pipeline] = []

    def join() -> None:
        clock.advance(0.5)
        pipelines.append(Pipeline("p", breaker))
        if fails:
            raise LookupError

    leave_traces(clock)
    clock.advance(7)
    with contextlib.suppress(LookupError):
        way(breaker, join)
    assert breaker.snapshot().latency.count == 0
    assert breaker.snapshot().admitted == 1
    way(breaker, lambda: clock.advance(0.25))
    assert (breaker.snapshot().latency.count, breaker.snapshot().latency.total) == (1, 0.25)
