"""SLO tracker: many error and latency budgets, asked together."""

from holdfast.policies.slo_tracker.tracker import SloTracker

__all__ = ["SloTracker"]
