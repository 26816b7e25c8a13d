"""A wait ends at the time that was reckoned as it began, whenever its thread or task sleeps.

Who sees somebody wait and moves a manual clock may be a moment too early for the sleep: rarely with
the GIL, often without. Here the clock is moved in that very moment.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from holdfast.periodic import Periodic
from holdfast.waiting import lines, rooms
from holdfast.waiting.aio import TaskWaiter
from tests.waiting.parties import LIMIT, Party

SECONDS = 10


@pytest.fixture
def clock() -> hf.ManualClock:
    return hf.ManualClock(auto=False)


def busy_bulkhead(clock: hf.ManualClock) -> hf.Bulkhead:
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=SECONDS, clock=clock)
    bulkhead.enter()
    return bulkhead


def empty_limiter(clock: hf.ManualClock, **settings: Any) -> hf.RateLimiter:
    limiter = hf.RateLimiter("l", rate=1, per=SECONDS, max_wait=None, clock=clock, **settings)
    assert limiter.try_acquire()
    return limiter


MAKERS = [
    busy_bulkhead,
    empty_limiter,
    lambda clock: empty_limiter(clock, window="sliding"),
]


async def outcome(awaitable: Any) -> BaseException | None:
    """Return what it raised."""
    return next(iter(await asyncio.gather(awaitable, return_exceptions=True)))


def is_over(policy: Any, error: BaseException | None) -> bool:
    """Whether it ended as it does when the time is over: with a token, or without a place."""
    if isinstance(policy, hf.Bulkhead):
        return isinstance(error, hf.BulkheadTimeoutError) and policy.waiting == 0
    return error is None and policy._line.is_empty


def once(clock: hf.ManualClock, then: Callable[..., Any]) -> Callable[..., Any]:
    """Return what does the same as ``then``; at its first call, the clock is moved before."""
    moves = [1.1 * SECONDS]  # a sliding window may refuse a tenth longer

    def moved(*args: Any, **kwargs: Any) -> Any:
        if moves:
            clock.advance(moves.pop())
        return then(*args, **kwargs)

    return moved


@pytest.mark.parametrize("make", MAKERS)
def test_time_that_passes_before_a_thread_sleeps_is_part_of_its_wait(make, clock, monkeypatch):
    policy = make(clock)
    moved = once(clock, lambda *_, **__: None)
    monkeypatch.setattr(lines, "mind_loop", moved)
    monkeypatch.setattr(rooms, "mind_loop", moved)
    party = Party(policy.enter if isinstance(policy, hf.Bulkhead) else policy.acquire)
    party.join(LIMIT)
    assert not party.is_alive()
    assert is_over(policy, party._error)


def in_time(main: Callable[[], Any]) -> Any:
    async def limited() -> Any:
        return await asyncio.wait_for(main(), LIMIT)

    return asyncio.run(limited())


@pytest.mark.parametrize("make", MAKERS)
def test_time_that_passes_before_a_task_sleeps_is_part_of_its_wait(make, clock, monkeypatch):
    policy = make(clock)
    monkeypatch.setattr(TaskWaiter, "begin", once(clock, TaskWaiter.begin))
    enter = policy.aenter if isinstance(policy, hf.Bulkhead) else policy.aacquire
    assert is_over(policy, in_time(lambda: outcome(enter())))


def test_time_that_passes_before_a_loop_in_a_task_sleeps_is_part_of_its_interval(
    clock, monkeypatch
):
    monkeypatch.setattr(TaskWaiter, "begin", once(clock, TaskWaiter.begin))

    async def main() -> None:
        ticks = 0
        second = asyncio.Event()

        def tick() -> None:
            nonlocal ticks
            ticks += 1
            if ticks == 2:
                second.set()

        loop = Periodic(tick, SECONDS, name="loop", clock=clock)
        await loop.astart()
        await second.wait()
        await loop.astop()

    in_time(main)
