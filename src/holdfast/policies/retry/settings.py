"""The types of settings of a retry that are given one by one.

Nothing imports it at run time. Elsewhere: what they mean (``retry``).
"""

from __future__ import annotations

from typing import TypedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from typing import Any, Literal, SupportsFloat

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.backoff import Backoff
    from holdfast.policies.base import On, OnResult
    from holdfast.policies.retry.budget import RetryBudget
    from holdfast.policies.retry.snapshot import RetryState

    AskedDelay = float | timedelta | datetime | str | bytes | SupportsFloat
    Hook = Callable[[RetryState], object]

__all__ = ["RetryOptions", "RetrySettings"]


class RetryOptions(TypedDict, total=False):
    """Settings of a ``Retry``, as ``Pipeline.with_options`` takes them."""

    attempts: int | None
    backoff: Backoff | float | timedelta | None
    on: On
    ignore: On
    on_result: OnResult | None
    max_time: float | timedelta | None
    budget: RetryBudget | Literal["own"] | None
    retry_after: Callable[[Any], AskedDelay | None] | None
    max_retry_after: float | timedelta
    before_sleep: Hook | None
    on_exhausted: Hook | None
    wrap: bool


class RetrySettings(RetryOptions, total=False):
    """Settings of a ``Retry``, as its ``with_options`` takes them."""

    clock: Clock | None
    mode: Mode | str | None
