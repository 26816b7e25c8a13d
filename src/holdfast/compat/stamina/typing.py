"""What annotations of hooks name."""

from __future__ import annotations

from holdfast.compat.stamina.instrumentation import RetryDetails, RetryHook

__all__ = ["RetryDetails", "RetryHook"]
