"""What an SLO tracker shows at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["SloTrackerSnapshot"]


@dataclass(frozen=True, slots=True)
class SloTrackerSnapshot:
    """The budgets of a tracker at one moment.

    Attributes:
        healthy: Whether no budget is exhausted.
        exhausted: The kind and the name of each exhausted budget.
        compliance: The share of budgets that are not exhausted; 1.0 without budgets.
        budgets: The snapshots of the budgets, in the order in which they were registered.
    """

    kind: str = field(default="slo_tracker", init=False)
    healthy: bool
    exhausted: tuple[tuple[str, str], ...]
    compliance: float
    budgets: tuple[Any, ...]
