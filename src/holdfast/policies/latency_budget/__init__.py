"""Latency budget: whether the last calls were fast enough."""

from holdfast.policies.latency_budget.latency_budget import LatencyBudget

__all__ = ["LatencyBudget"]
