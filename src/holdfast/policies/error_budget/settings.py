"""The type of settings of an error budget that are given one by one.

Nothing imports it at run time. Elsewhere: what they mean (``error_budget``).
"""

from __future__ import annotations

from typing import TypedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, Literal

    from holdfast.clock import Clock
    from holdfast.events import Event
    from holdfast.mode import Mode
    from holdfast.policies.base import On

__all__ = ["ErrorBudgetSettings"]


class ErrorBudgetSettings(TypedDict, total=False):
    """Settings of an ``ErrorBudget``, as ``Pipeline.standard`` takes them."""

    slo: float
    window: float | timedelta
    min_requests: int | None
    count_rejections: bool
    on_exhausted: Literal["observe", "shed"] | Callable[[Event], object]
    on_recovered: Callable[[Event], object] | None
    on: On
    ignore: On
    is_failure: Callable[[Any], object] | None
    clock: Clock | None
    mode: Mode | str | None
