"""The type of settings of a circuit breaker that are given one by one.

Nothing imports it at run time. Elsewhere: what they mean (``breaker``).
"""

from __future__ import annotations

from typing import TypedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.base import On, OnResult
    from holdfast.policies.breaker.windows import CountWindow, TimeWindow

__all__ = ["BreakerOptions"]


class BreakerOptions(TypedDict, total=False):
    """Settings of a ``CircuitBreaker``, as ``Pipeline.standard`` takes them."""

    failure_threshold: int | None
    failure_rate: float | None
    window: CountWindow | TimeWindow
    min_calls: int
    slow_call_duration: float | timedelta | None
    slow_call_rate: float | None
    reset_timeout: float | timedelta
    reset_backoff: tuple[float, float | timedelta, float] | None
    half_open_max_calls: int
    success_threshold: int
    probe_timeout: float | timedelta | None
    failure_reset: float | timedelta | None
    on: On
    ignore: On
    on_result: OnResult | None
    is_failure: Callable[[Any], object] | None
    latency: bool | None
    clock: Clock | None
    mode: Mode | str | None
