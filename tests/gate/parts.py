"""Policies that show what a gate did: small ones, and what came of their calls."""

import types
from collections import Counter
from collections.abc import Generator
from typing import Any

from holdfast import Bulkhead, CircuitBreaker, Clock, ManualClock, Pipeline, RateLimiter

FATES = ("succeeded", "failed", "ignored", "abandoned")


def places(limit: int = 10, **settings: Any) -> Bulkhead:
    """A bulkhead, in which it is easy to see who is inside."""
    return Bulkhead("places", max_concurrent=limit, **settings)


def tripping(clock: Clock | None = None, **settings: Any) -> CircuitBreaker:
    """A breaker on a manual clock that one failure opens, for a minute, with one probe."""
    settings = {"failure_threshold": 1, "half_open_max_calls": 1, "success_threshold": 1} | settings
    return CircuitBreaker("tripping", clock=clock or ManualClock(), **settings)


def half_open(**settings: Any) -> CircuitBreaker:
    """A breaker that takes one probe now."""
    breaker = tripping(**settings)
    breaker.half_open()
    return breaker


def tokens(burst: int = 1, clock: Clock | None = None, **settings: Any) -> RateLimiter:
    """A limiter with so many tokens on a manual clock, one more every second."""
    return RateLimiter("tokens", rate=1, burst=burst, clock=clock or ManualClock(), **settings)


def pipe(*policies: Any) -> Pipeline:
    """A pipeline."""
    return Pipeline("pipe", *policies)


def fates(breaker: CircuitBreaker) -> dict[str, int]:
    """What came of the breaker's calls, without what never happened."""
    snapshot = breaker.snapshot()
    return dict(+Counter({fate: getattr(snapshot, fate) for fate in FATES}))


@types.coroutine
def suspend(value: object = None) -> Generator[object, Any, Any]:
    """Yield a value to whoever drives the coroutine; return what was sent."""
    return (yield value)


def waiting_work() -> tuple[CircuitBreaker, RateLimiter, Bulkhead, Any]:
    """A probing breaker, three tokens, one place, and what waits for that place and never runs."""
    breaker, limiter = half_open(), tokens(3)
    bulkhead = places(1, max_waiting=1, max_wait=None)

    @pipe(breaker, limiter, bulkhead)
    async def work() -> None:
        raise AssertionError("ran")

    return breaker, limiter, bulkhead, work
