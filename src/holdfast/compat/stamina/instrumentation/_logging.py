"""The hook that logs each retry with the standard library."""

from __future__ import annotations

from holdfast.compat.stamina.instrumentation._data import (
    RetryDetails,
    RetryHook,
    RetryHookFactory,
)

__all__ = ["LoggingOnRetryHook", "init_logging"]


def init_logging(log_level: int = 30) -> RetryHook:
    """Return a hook that logs each retry to the logger ``stamina``.

    Args:
        log_level: At which level; 30 is a warning.
    """
    import logging

    logger = logging.getLogger("stamina")

    def log(details: RetryDetails) -> None:
        if not logger.isEnabledFor(log_level):
            return
        fields = {
            "callable": details.name,
            "args": tuple(map(repr, details.args)),
            "kwargs": dict(details.kwargs),
            "retry_num": details.retry_num,
            "caused_by": repr(details.caused_by),
            "wait_for": round(details.wait_for, 2),
            "waited_so_far": round(details.waited_so_far, 2),
        }
        logger.log(
            log_level,
            "stamina.retry_scheduled",
            extra={f"stamina.{key}": value for key, value in fields.items()},
        )

    return log


LoggingOnRetryHook = RetryHookFactory(init_logging)
