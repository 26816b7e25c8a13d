"""What a rate limiter shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["LimiterStats", "RateLimiterSnapshot"]


@dataclass(frozen=True, slots=True)
class RateLimiterSnapshot:
    """The rate and counts of a rate limiter at one moment.

    Attributes:
        rate: Tokens per second of the strictest limit.
        burst: The largest number of tokens.
        available: Whole tokens that are available now.
        allowed, rejected: Calls. A call that waited and got its tokens is allowed.
        observed: Calls that ran although they would have been rejected (mode "observe"); not
            included in allowed.
    """

    kind: str = field(default="rate_limiter", init=False)
    name: str
    rate: float
    burst: int
    available: int
    allowed: int
    rejected: int
    observed: int


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """The available tokens of a limiter.

    Attributes:
        remaining: Whole tokens that are available now.
        reset_after: Seconds until the limiter is full, if no more tokens are taken.
    """

    remaining: int
    reset_after: float
