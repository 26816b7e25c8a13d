"""What a timeout shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["AdaptiveTimeoutSnapshot", "TimeoutSnapshot"]


@dataclass(frozen=True, slots=True)
class TimeoutSnapshot:
    """The duration and counts of a timeout at one moment.

    Attributes:
        duration: Seconds that a call may take if it starts now.
        in_time, expired: Completed calls before and after their deadline.
        timeout_rate: The share of expired calls; 0.0 before the first call.
        late: Expired calls whose value arrived and was dropped.
        refused: Calls that never ran because an enclosing deadline had passed.
        abandoned, running: Calls left in worker threads, and those that still run.
        observed: Calls that would have expired (mode "observe").
    """

    kind: str = field(default="timeout", init=False)
    name: str | None
    duration: float
    in_time: int
    expired: int
    timeout_rate: float
    late: int
    refused: int
    abandoned: int
    running: int
    observed: int


@dataclass(frozen=True, slots=True)
class AdaptiveTimeoutSnapshot(TimeoutSnapshot):
    """The duration, counts and latencies of an adaptive timeout at one moment.

    Attributes:
        average_latency: A weighted average in seconds, mostly of the last 16 samples; None before
            the first.
        quantile_latency: The estimate of the quantile in seconds; None before the first sample.
        samples: The number of calls measured.
        floor, ceiling: The bounds of ``duration`` in seconds.
    """

    average_latency: float | None
    quantile_latency: float | None
    samples: int
    floor: float
    ceiling: float
