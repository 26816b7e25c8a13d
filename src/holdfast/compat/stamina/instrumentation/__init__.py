"""Hooks that are told of each retry, and three of them: logging, structlog, Prometheus."""

from __future__ import annotations

from holdfast.compat.stamina.instrumentation._data import (
    RetryDetails,
    RetryHook,
    RetryHookFactory,
)
from holdfast.compat.stamina.instrumentation._hooks import get_on_retry_hooks, set_on_retry_hooks
from holdfast.compat.stamina.instrumentation._logging import LoggingOnRetryHook
from holdfast.compat.stamina.instrumentation._prometheus import (
    PrometheusOnRetryHook,
    get_prometheus_counter,
)
from holdfast.compat.stamina.instrumentation._structlog import StructlogOnRetryHook

__all__ = [
    "LoggingOnRetryHook",
    "PrometheusOnRetryHook",
    "RetryDetails",
    "RetryHook",
    "RetryHookFactory",
    "StructlogOnRetryHook",
    "get_on_retry_hooks",
    "get_prometheus_counter",
    "set_on_retry_hooks",
]
