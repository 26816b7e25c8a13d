"""Retries on a test's clock, calls that fail as often as it wants, and every way to make them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError


def retry_of(clock: hf.ManualClock, **settings: Any) -> hf.Retry:
    """Return a retry of three attempts with a second between them, and no budget."""
    settings = {
        "attempts": 3,
        "backoff": hf.Constant(1.0),
        "on": OutageError,
        "budget": None,
        "clock": clock,
    } | settings
    return hf.Retry("network", **settings)


def budget_of(clock: hf.ManualClock, burst: int) -> hf.RetryBudget:
    """Return a budget that nothing fills up."""
    return hf.RetryBudget(ratio=0, min_per_second=0, burst=burst, clock=clock)


def why(retry: hf.Retry) -> dict[str, int]:
    """Return why calls were given up, without what never happened."""
    return {reason: n for reason, n in retry.snapshot().gave_up.items() if n}


class Flaky:
    """Fails so many times, with this error or whatever is next in a list, and is fine afterwards.

    Attributes:
        made: When each attempt began, on the clock.
    """

    def __init__(
        self, clock: hf.ManualClock, failures: int = 10**9, error: Any = OutageError
    ) -> None:
        self._clock = clock
        self._failures = failures
        self._error = error
        self.made: list[float] = []

    def __call__(self, *args: Any) -> str:
        self.made.append(self._clock.now())
        if len(self.made) <= self._failures:
            raise self._error[len(self.made) - 1] if isinstance(self._error, list) else self._error
        return "fine"


class BusyError(Exception):
    """Says how long its server wants to be left alone."""

    def __init__(self, retry_after: object) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


def run_async(clock: hf.ManualClock, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine; move the clock to the end of each wait once everybody waits."""

    async def main() -> Any:
        task = asyncio.ensure_future(coroutine)
        while not task.done():
            for _ in range(5):
                await asyncio.sleep(0)
            if not task.done() and (ends := waits(clock)):
                clock.advance_ns(max(0, ends[0] - clock.now_ns()))
        return await task

    return asyncio.run(main())


def waits(clock: hf.ManualClock) -> list[int]:
    """Return the ends of the waits that are going on, as the clock has them."""
    return sorted(ns for ns, serial in clock._timers if serial in clock._callbacks)


# ---- every way to make one call ----


def by_call(policy: Any, clock: hf.ManualClock, fn: Callable[[], Any]) -> Any:
    return policy.call(fn)


def by_guard(policy: Any, clock: hf.ManualClock, fn: Callable[[], Any]) -> Any:
    return policy(fn)()


def by_try_call(policy: Any, clock: hf.ManualClock, fn: Callable[[], Any]) -> Any:
    return policy.try_call(fn).unwrap()


def by_block(policy: Any, clock: hf.ManualClock, fn: Callable[[], Any]) -> Any:
    for attempt in policy.attempts():
        with attempt:
            result = fn()
            attempt.set_result(result)
    return result


def in_a_coroutine(fn: Callable[[], Any]) -> Callable[[], Coroutine[Any, Any, Any]]:
    async def call() -> Any:
        await asyncio.sleep(0)
        return fn()

    return call


def by_acall(policy: Any, clock: hf.ManualClock, fn: Callable[[], Any]) -> Any:
    return run_async(clock, policy.acall(in_a_coroutine(fn)))


def by_async_guard(policy: Any, clock: hf.ManualClock, fn: Callable[[], Any]) -> Any:
    return run_async(clock, policy(in_a_coroutine(fn))())


def by_try_acall(policy: Any, clock: hf.ManualClock, fn: Callable[[], Any]) -> Any:
    return run_async(clock, policy.try_acall(in_a_coroutine(fn))).unwrap()


def by_async_block(policy: Any, clock: hf.ManualClock, fn: Callable[[], Any]) -> Any:
    async def call() -> Any:
        async for attempt in policy.attempts():
            with attempt:
                result = await in_a_coroutine(fn)()
                attempt.set_result(result)
        return result

    return run_async(clock, call())


WAYS = [
    by_call,
    by_guard,
    by_try_call,
    by_block,
    by_acall,
    by_async_guard,
    by_try_acall,
    by_async_block,
]

every_way = pytest.mark.parametrize("make", WAYS, ids=lambda way: way.__name__)
both_ways = pytest.mark.parametrize("make", [by_call, by_acall], ids=lambda way: way.__name__)
