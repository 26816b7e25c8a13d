"""What an error budget shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ErrorBudgetSnapshot"]


@dataclass(frozen=True, slots=True)
class ErrorBudgetSnapshot:
    """The requests of the window of an error budget at one moment, and what they leave of it.

    Attributes:
        slo: The objective: the share of requests that must succeed.
        total_requests, failed_requests: Requests in the window.
        success_rate: The share that succeeded; 1.0 without requests.
        remaining_budget, consumed_budget: Shares of what may fail, 0.0 to 1.0.
        allowed_failures: How many more of these requests might have failed.
        budget_exhausted: More failed than may, and they are enough to prove it.
        burn_rate: The share that failed by the share that may, in the window; above 1 it is
            exhausted sooner or later. None if it has no limit: something failed, and nothing may.
        burn_rate_5m, burn_rate_1h, burn_rate_30m, burn_rate_6h: The same in those last times.
        paging: The pairs of windows that page: "5m/1h", "30m/6h".
        availability: The share of time outside ``total_downtime``, since the budget was made or
            reset.
        window_start, window_duration: The oldest time that the window covers, and its length.
        total_downtime: Seconds from the first to the last of failures without a success between
            them, added up. Time without requests after a failure does not count.
        last_fail_time, last_success_time: Seconds on the budget's clock; None: there was none.
        times_exhausted: How often the budget became exhausted.
        pages: How often it began to page.
        shed: Calls that were refused because it was exhausted.
        observed: Calls that would have been refused (mode "observe").
    """

    kind: str = field(default="error_budget", init=False)
    name: str
    slo: float
    total_requests: int
    failed_requests: int
    success_rate: float
    remaining_budget: float
    consumed_budget: float
    allowed_failures: int
    budget_exhausted: bool
    burn_rate: float | None
    burn_rate_5m: float | None
    burn_rate_1h: float | None
    burn_rate_30m: float | None
    burn_rate_6h: float | None
    paging: tuple[str, ...]
    availability: float
    window_start: float
    window_duration: float
    total_downtime: float
    last_fail_time: float | None
    last_success_time: float | None
    times_exhausted: int
    pages: int
    shed: int
    observed: int
