"""What a timeout shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AdaptiveTimeoutSnapshot", "TimeoutSnapshot"]


@dataclass(frozen=True, slots=True)
class TimeoutSnapshot:
    """A timeout at one moment (TO-10).

    Attributes:
        duration: Seconds a call that begins at this moment may take.
        in_time, expired: Calls that have ended, by whether they took too long.
        timeout_rate: The share of those that took too long; 0.0 before the first.
        late: Of those expired, values that came and were dropped.
        refused: Calls that never ran: an enclosing deadline had passed.
        abandoned, running: Work left behind in threads, and how much of it goes on.
        observed: Calls that would have been cut short (mode "observe").
    """

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
    """A timeout that adapts, at one moment (TO-08).

    Attributes:
        average_latency: Seconds, an average in which the last 16 or so samples weigh most; None
            before the first.
        quantile_latency: Seconds, the running estimate of the quantile it follows; None before
            the first.
        samples: Calls that it has learnt from.
        floor, ceiling: Seconds between which ``duration`` stays.
    """

    average_latency: float | None
    quantile_latency: float | None
    samples: int
    floor: float
    ceiling: float
