"""The types of settings of a hedge that are given one by one.

Nothing imports it at run time. Elsewhere: what they mean (``hedge``).
"""

from __future__ import annotations

from typing import TypedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, Literal

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.base import On, OnResult
    from holdfast.policies.hedge.quantile import Quantile
    from holdfast.policies.retry.budget import RetryBudget

__all__ = ["HedgeSettings"]


class HedgeSettings(TypedDict, total=False):
    """Settings of a ``Hedge``, as its ``with_options`` takes them."""

    delay: float | timedelta | Quantile
    max: int
    on: On
    ignore: On
    on_result: OnResult | None
    budget: RetryBudget | Literal["own"] | None
    close: Callable[[Any], object] | None
    workers: int
    clock: Clock | None
    mode: Mode | str | None
