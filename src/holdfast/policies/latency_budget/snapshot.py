"""What a latency budget shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["LatencyBudgetSnapshot"]


@dataclass(frozen=True, slots=True)
class LatencyBudgetSnapshot:
    """The latency of the last calls at one moment, in seconds.

    Attributes:
        target_latency, percentile: The settings.
        current_latency: The percentile of the last calls, which is above ``target_latency`` if too
            many of them exceeded it; None before the first call.
        p50, p95, p99: Other percentiles of the last calls.
        budget_exhausted: Whether the budget is exhausted.
        total_requests, exceeding_requests: The last calls, and how many of them exceeded
            ``target_latency``.
        allowed_requests: How many of them may exceed it.
        compliance_rate: The share of the last calls that did not exceed it; 1.0 without calls.
        recorded, violations: Calls since ``reset``, and how many of them exceeded it.
        times_exhausted: How often the budget became exhausted, since ``reset``.
    """

    kind: str = field(default="latency_budget", init=False)
    name: str
    target_latency: float
    percentile: float
    current_latency: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    budget_exhausted: bool
    total_requests: int
    exceeding_requests: int
    allowed_requests: int
    compliance_rate: float
    recorded: int
    violations: int
    times_exhausted: int
