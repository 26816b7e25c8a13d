"""The hook that logs each retry with structlog."""

from __future__ import annotations

from holdfast.compat.stamina.instrumentation._data import (
    RetryDetails,
    RetryHook,
    RetryHookFactory,
)

__all__ = ["StructlogOnRetryHook", "init_structlog"]


def init_structlog() -> RetryHook:
    """Return a hook that logs each retry as a warning of the structlog logger ``stamina``."""
    import structlog

    logger = structlog.get_logger("stamina")

    def log(details: RetryDetails) -> None:
        logger.warning(
            "stamina.retry_scheduled",
            callable=details.name,
            args=tuple(map(repr, details.args)),
            kwargs=dict(details.kwargs),
            retry_num=details.retry_num,
            caused_by=repr(details.caused_by),
            wait_for=round(details.wait_for, 2),
            waited_so_far=round(details.waited_so_far, 2),
        )

    return log


StructlogOnRetryHook = RetryHookFactory(init_structlog)
