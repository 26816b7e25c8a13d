"""Which hooks there are. Elsewhere: their state (``_config``), and who calls them (``_core``)."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.compat.stamina._config import CONFIG
from holdfast.compat.stamina.instrumentation._data import RetryHook, RetryHookFactory
from holdfast.compat.stamina.instrumentation._logging import LoggingOnRetryHook
from holdfast.compat.stamina.instrumentation._prometheus import PrometheusOnRetryHook
from holdfast.compat.stamina.instrumentation._structlog import StructlogOnRetryHook

__all__ = ["get_default_hooks", "get_on_retry_hooks", "init_hooks", "set_on_retry_hooks"]


def init_hooks(
    maybe_delayed: tuple[RetryHook | RetryHookFactory, ...],
) -> tuple[RetryHook, ...]:
    """Return the hooks, with those in place of factories that the factories make."""
    return tuple(
        one.hook_factory() if isinstance(one, RetryHookFactory) else one for one in maybe_delayed
    )


def get_default_hooks() -> tuple[RetryHookFactory, ...]:
    """Return the hooks of the libraries that are installed: Prometheus; structlog, else logging."""
    hooks = []
    if _is_installed("prometheus_client"):
        hooks.append(PrometheusOnRetryHook)
    hooks.append(StructlogOnRetryHook if _is_installed("structlog") else LoggingOnRetryHook)
    return tuple(hooks)


def set_on_retry_hooks(hooks: Iterable[RetryHook | RetryHookFactory] | None) -> None:
    """Replace the hooks that are told of each retry, in the whole process.

    Args:
        hooks: Hooks, and factories of hooks. None: those of the libraries that are installed. An
            empty iterable: none.
    """
    CONFIG.on_retry = None if hooks is None else tuple(hooks)


def get_on_retry_hooks() -> tuple[RetryHook, ...]:
    """Return the hooks that are told of each retry; factories are called, unless they were."""
    return CONFIG.on_retry


def _make_hooks(given: tuple[RetryHook | RetryHookFactory, ...] | None) -> tuple[RetryHook, ...]:
    return init_hooks(get_default_hooks() if given is None else given)


CONFIG.make_hooks = _make_hooks


def _is_installed(library: str) -> bool:
    try:
        __import__(library)
    except ImportError:
        return False
    return True
