"""What a rate limiter shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LimiterStats", "RateLimiterSnapshot"]


@dataclass(frozen=True, slots=True)
class RateLimiterSnapshot:
    """A rate limiter at one moment (RL-07).

    Attributes:
        rate: Tokens per second of the scarcest limit.
        burst: Tokens it holds at most.
        available: Whole tokens there are now.
        allowed, rejected: Calls; those that waited and got their tokens are allowed.
        observed: Calls that ran although they would have been rejected (mode "observe"); beside
            those allowed.
    """

    name: str
    rate: float
    burst: int
    available: int
    allowed: int
    rejected: int
    observed: int


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """What a limiter has left.

    Attributes:
        remaining: Whole tokens there are now.
        reset_after: Seconds until all of them are back, if nobody takes any.
    """

    remaining: int
    reset_after: float
