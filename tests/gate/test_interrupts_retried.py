"""A signal handler that raises, at every point of a retried call at which one may run.

No token of the budget is lost: each retry is made, or has given its own back. See
``test_interrupts`` for the points.
"""

import asyncio
import contextlib
import gc
from collections.abc import Callable
from typing import Any

import pytest

from holdfast import (
    Bulkhead,
    CircuitBreaker,
    Constant,
    ManualClock,
    Pipeline,
    Retry,
    RetryBudget,
)
from tests.gate.test_interrupts import interrupted

WHERE = {
    f"holdfast.{module}"
    for module in (
        "events",
        "waiting.aio",
        "waiting.attempts",
        "waiting.parking",
        "waiting.standstill",
        "policies.base",
        "policies.retry.notes",
        "policies.retry.retry",
    )
}


class Failing:
    """Fails, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> None:
        self.made += 1
        raise LookupError

    async def acall(self) -> None:
        self()


def by_call(retry: Retry, clock: ManualClock, failing: Failing) -> None:
    retry.call(failing)


def by_block(retry: Retry, clock: ManualClock, failing: Failing) -> None:
    for attempt in retry.attempts():
        with attempt:
            failing()


def by_acall(retry: Retry, clock: ManualClock, failing: Failing) -> None:
    drive(clock, retry.acall(failing.acall))


def by_async_block(retry: Retry, clock: ManualClock, failing: Failing) -> None:
    async def call() -> None:
        async for attempt in retry.attempts():
            with attempt:
                failing()

    drive(clock, call())


def drive(clock: ManualClock, coroutine: Any) -> None:
    """Make the steps of a coroutine, in a loop that nothing else runs in."""
    with contextlib.closing(coroutine):
        while True:
            coroutine.send(None)
            clock.advance(1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of finalisers
@pytest.mark.filterwarnings("ignore:.* was never awaited")  # an interrupt may come in between
@pytest.mark.filterwarnings("ignore:.* blocks the event loop")  # those in a thread stop it
@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("make", [by_call, by_block, by_acall, by_async_block])
def test_an_interrupt_at_any_point_of_a_retried_call_loses_no_token(
    make: Callable[[Retry, ManualClock, Failing], None], listens: bool
) -> None:  # traps 35, 44, 50
    def try_at(at: int) -> bool:
        clock = ManualClock()
        budget = RetryBudget(ratio=0, min_per_second=0, burst=9, clock=clock)
        retry = Retry(
            "r",
            attempts=3,
            backoff=Constant(1),
            on=LookupError,
            budget=budget,
            clock=clock,
            before_sleep=(lambda state: None) if listens else None,
        )
        if listens:
            retry.on_event(lambda event: None)
        failing = Failing()

        def act(retry: Any) -> None:
            with contextlib.suppress(LookupError):
                make(retry, clock, failing)

        more = interrupted(act, retry, at, WHERE)
        gc.collect(0)  # errors hold frames that hold attempts
        snapshot, of_budget = retry.snapshot(), budget.snapshot()
        made = of_budget.withdrawn - of_budget.given_back
        assert sum(snapshot.retries) == made, at
        assert failing.made in (made, made + 1), at
        assert clock._callbacks == {}, at
        return more

    async def main() -> int:  # for a loop to run
        at = 1
        while try_at(at):
            at += 1
        return at

    assert asyncio.run(main()) > 5


def by_pipeline(pipe: Pipeline, clock: ManualClock, failing: Failing) -> None:
    for attempt in pipe.attempts():
        with attempt:
            failing()


def by_async_pipeline(pipe: Pipeline, clock: ManualClock, failing: Failing) -> None:
    async def call() -> None:
        async for attempt in pipe.attempts():
            with attempt:
                failing()

    drive(clock, call())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:.* was never awaited")
@pytest.mark.filterwarnings("ignore:.* blocks the event loop")
@pytest.mark.parametrize("make", [by_pipeline, by_async_pipeline])
def test_an_interrupt_at_any_point_of_a_retried_block_leaves_nothing_held_by_a_pipeline(
    make: Callable[[Pipeline, ManualClock, Failing], None],
) -> None:  # traps 35, 44, 50
    def try_at(at: int) -> bool:
        clock = ManualClock()
        breaker, inner = CircuitBreaker("b", clock=clock), Bulkhead("inner", clock=clock)
        outer = Bulkhead("outer", clock=clock)
        retry = Retry("r", attempts=2, backoff=1, on=LookupError, clock=clock)
        pipe = Pipeline("p", outer, retry, breaker, inner)

        def act(pipe: Any) -> None:
            with contextlib.suppress(LookupError):
                make(pipe, clock, Failing())

        more = interrupted(act, pipe, at, WHERE | {"holdfast.waiting.guarded_attempts"})
        gc.collect(0)
        assert (outer.in_flight, inner.in_flight, breaker.in_flight) == (0, 0, 0), at
        assert clock._callbacks == {}, at
        return more

    async def main() -> int:
        at = 1
        while try_at(at):
            at += 1
        return at

    assert asyncio.run(main()) > 5
