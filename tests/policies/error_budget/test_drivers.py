"""An error budget in every way that a call can be made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, fine, outage


@pytest.fixture
def budget() -> hf.ErrorBudget:
    return hf.ErrorBudget("send", clock=hf.ManualClock(start=1000.0))


def counted(budget: hf.ErrorBudget) -> tuple[int, int]:
    """Return how many requests succeeded, and how many failed."""
    shown = budget.snapshot()
    return shown.total_requests - shown.failed_requests, shown.failed_requests


def test_blocks_count_when_they_end(budget: Any) -> None:
    with budget:
        assert counted(budget) == (0, 0)
    with pytest.raises(OutageError), budget:
        outage()
    assert counted(budget) == (1, 1)


async def test_blocks_of_tasks_count_when_they_end(budget: Any) -> None:
    async with budget:
        await asyncio.sleep(1)
    with pytest.raises(OutageError):
        async with budget:
            outage()
    with pytest.raises(TimeoutError):  # the block was cancelled, which proves nothing
        async with asyncio.timeout(1), budget:
            await asyncio.sleep(5)
    assert counted(budget) == (1, 1)


def test_permits_count_what_their_holder_says_and_nothing_if_they_are_dropped(budget: Any) -> None:
    budget.acquire().success()
    budget.acquire().failure(OutageError())
    budget.acquire().ignore()
    budget.acquire()
    assert counted(budget) == (1, 1)


def test_generators_count_when_they_end(budget: Any) -> None:
    @budget
    def numbers(fails: bool) -> Iterator[int]:
        yield 1
        if fails:
            outage()

    assert list(numbers(fails=False)) == [1]
    with pytest.raises(OutageError):
        list(numbers(fails=True))
    assert counted(budget) == (1, 1)


async def test_asynchronous_generators_count_when_they_end(budget: Any) -> None:
    @budget
    async def numbers(fails: bool) -> AsyncIterator[int]:
        yield 1
        if fails:
            outage()

    assert [number async for number in numbers(fails=False)] == [1]
    with pytest.raises(OutageError):
        [number async for number in numbers(fails=True)]
    assert counted(budget) == (1, 1)


@pytest.mark.parametrize("fails", [True, False])
def test_a_block_that_is_tried_again_counts_once(budget: Any, fails: bool) -> None:
    retry = hf.Retry("again", attempts=3, backoff=hf.Constant(0.0), on=OutageError)
    pipe = hf.Pipeline("pipe", budget, retry)
    tries = 0
    with pytest.raises(OutageError) if fails else hf.Bulkhead("any"):
        for attempt in pipe.attempts():
            with attempt:
                tries += 1
                if fails or tries < 2:
                    outage()
    assert tries == (3 if fails else 2)
    assert counted(budget) == (not fails, fails)


def test_a_block_whose_attempts_are_all_refused_has_failed_once(budget: Any) -> None:
    closed = hf.CircuitBreaker("closed")
    closed.force_open()
    retry = hf.Retry("again", attempts=3, backoff=hf.Constant(0.0), on=OutageError)
    pipe = hf.Pipeline("pipe", budget, retry, closed)

    def block() -> None:
        for attempt in pipe.attempts():
            with attempt:
                fine()

    with pytest.raises(hf.CircuitOpenError):
        block()
    assert counted(budget) == (0, 1)


def test_a_call_that_runs_out_of_time_in_a_thread_has_failed(budget: Any) -> None:
    pipe = hf.Pipeline("pipe", budget, hf.Timeout(0.01, thread=True))
    stopped = threading.Event()
    assert isinstance(pipe.try_call(stopped.wait, 30).error, TimeoutError)
    stopped.set()
    assert counted(budget) == (0, 1)


def test_nothing_is_counted_by_a_budget_that_is_off() -> None:
    budget = hf.ErrorBudget("send", mode="off")
    budget.record(ok=False)
    assert budget.try_call(outage).error is not None
    assert counted(budget) == (0, 0)
