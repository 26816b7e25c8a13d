"""The type of settings of a latency budget that are given one by one.

Nothing imports it at run time. Elsewhere: what they mean (``latency_budget``).
"""

from __future__ import annotations

from typing import TypedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.base import On

__all__ = ["LatencyBudgetSettings"]


class LatencyBudgetSettings(TypedDict, total=False):
    """Settings of a ``LatencyBudget``, as ``Pipeline.standard`` takes them."""

    target: float | timedelta
    percentile: float
    samples: int
    min_samples: int | None
    on: On
    ignore: On
    clock: Clock | None
    mode: Mode | str | None
