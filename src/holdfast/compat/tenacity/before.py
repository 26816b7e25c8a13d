"""What may run before each attempt."""

from __future__ import annotations

from holdfast.compat.tenacity._utils import LoggerProtocol, to_ordinal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.compat.tenacity._state import RetryCallState

__all__ = ["before_log", "before_nothing"]


def before_nothing(retry_state: RetryCallState) -> None:
    """Do nothing; the default."""


def before_log(logger: LoggerProtocol, log_level: int) -> Callable[[RetryCallState], None]:
    """Return what logs the beginning of each attempt.

    Args:
        logger: What logs it.
        log_level: At which level.
    """

    def log_it(retry_state: RetryCallState) -> None:
        logger.log(
            log_level,
            f"Starting call to '{retry_state.get_fn_name()}', this is the "
            f"{to_ordinal(retry_state.attempt_number)} time calling it.",
        )

    return log_it
