"""Timeouts that follow calls, and calls for them to follow."""

from __future__ import annotations

from typing import Any

import holdfast as hf

MS = 0.001


def follow(timeout: hf.AdaptiveTimeout, clock: hf.ManualClock, seconds: float, calls: int) -> int:
    """Make calls that take so long; return how many came too late."""
    lost = 0
    for _ in range(calls):
        try:
            timeout.call(clock.advance, seconds)
        except hf.DeadlineExceededError:
            lost += 1
    return lost


def adaptive(clock: hf.ManualClock, duration: float = 1.0, **settings: Any) -> hf.AdaptiveTimeout:
    return hf.AdaptiveTimeout(duration, **{"clock": clock, "floor": 0.01, **settings})


def thrice(clock: hf.ManualClock) -> hf.Retry:
    return hf.Retry("r", attempts=3, on=Exception, backoff=hf.Constant(10.0), clock=clock)


def learnt(timeout: hf.AdaptiveTimeout) -> int:
    return timeout.snapshot().samples


def fails(clock: hf.ManualClock, seconds: float, error: BaseException) -> None:
    clock.advance(seconds)
    raise error
