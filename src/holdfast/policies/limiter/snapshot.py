"""What a rate limiter shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["AdaptiveRateLimiterSnapshot", "LimiterStats", "RateLimiterSnapshot"]


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
class AdaptiveRateLimiterSnapshot(RateLimiterSnapshot):
    """The rate, counts and latencies of an adaptive rate limiter at one moment.

    Attributes:
        rate: The rate that is in force, in tokens per second.
        min_rate, max_rate: The bounds of the rate.
        target_latency: Seconds that calls should take.
        average_latency: The average of the last complete window in seconds; None before the first.
        p95_latency: The estimate of the 95th percentile in seconds; None before the first sample.
        samples: The number of calls measured.
        adjustments: Changes of the rate: raised + slowed + throttled.
        raised, slowed, throttled: Changes because calls were fast, were slow, or were throttled.
    """

    min_rate: float
    max_rate: float
    target_latency: float | None
    average_latency: float | None
    p95_latency: float | None
    samples: int
    adjustments: int
    raised: int
    slowed: int
    throttled: int


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """The available tokens of a limiter.

    Attributes:
        remaining: Whole tokens that are available now.
        reset_after: Seconds until the limiter is full, if no more tokens are taken.
    """

    remaining: int
    reset_after: float
