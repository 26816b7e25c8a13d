"""What a latency budget shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["LatencyBudgetSnapshot"]


@dataclass(frozen=True, slots=True)
class LatencyBudgetSnapshot:
    """The latency of the last calls at one moment, in seconds.

    Attributes:
        target, percentile: The settings.
        latency: The percentile of the last calls, which is above ``target`` if too many of them
            exceeded it; None before the first call.
        p50, p95, p99: Other percentiles of the last calls.
        exhausted: Whether the budget is exhausted.
        samples, exceeding: The last calls, and how many of them exceeded ``target``.
        allowed: How many of them may exceed ``target``.
        compliance: The share of the last calls that did not exceed ``target``; 1.0 without calls.
        total, violations: Calls since ``reset``, and how many of them exceeded ``target``.
        exhaustions: How often the budget became exhausted, since ``reset``.
    """

    kind: str = field(default="latency_budget", init=False)
    name: str
    target: float
    percentile: float
    latency: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    exhausted: bool
    samples: int
    exceeding: int
    allowed: int
    compliance: float
    total: int
    violations: int
    exhaustions: int
