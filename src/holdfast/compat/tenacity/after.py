"""What may run after each attempt that is to be tried again."""

from __future__ import annotations

from holdfast.compat.tenacity._utils import LoggerProtocol, to_ordinal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.compat.tenacity._state import RetryCallState

__all__ = ["after_log", "after_nothing"]


def after_nothing(retry_state: RetryCallState) -> None:
    """Do nothing; the default."""


def after_log(
    logger: LoggerProtocol, log_level: int, sec_format: str = "%.3g"
) -> Callable[[RetryCallState], None]:
    """Return what logs the end of each failed attempt.

    Args:
        logger: What logs it.
        log_level: At which level.
        sec_format: How the seconds since the first attempt are written.
    """

    def log_it(retry_state: RetryCallState) -> None:
        seconds = retry_state.seconds_since_start
        logger.log(
            log_level,
            f"Finished call to '{retry_state.get_fn_name()}' after "
            f"{'?' if seconds is None else sec_format % seconds}(s), this was the "
            f"{to_ordinal(retry_state.attempt_number)} time calling it.",
        )

    return log_it
