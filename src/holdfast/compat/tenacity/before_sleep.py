"""What may run before the pause between two attempts."""

from __future__ import annotations

from holdfast.compat.tenacity._utils import LoggerProtocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.compat.tenacity._state import RetryCallState

__all__ = ["before_sleep_log", "before_sleep_nothing"]


def before_sleep_nothing(retry_state: RetryCallState) -> None:
    """Do nothing."""


def before_sleep_log(
    logger: LoggerProtocol, log_level: int, exc_info: bool = False, sec_format: str = "%.3g"
) -> Callable[[RetryCallState], None]:
    """Return what logs how an attempt has failed, and how long the pause will be.

    Args:
        logger: What logs it.
        log_level: At which level.
        exc_info: Whether the traceback of an exception is logged as well.
        sec_format: How the seconds of the pause are written.
    """

    def log_it(retry_state: RetryCallState) -> None:
        outcome, action = retry_state.outcome, retry_state.next_action
        if outcome is None:
            raise RuntimeError("log_it() called before outcome was set")
        if action is None:
            raise RuntimeError("log_it() called before next_action was set")
        error = outcome.exception()
        if error is None:
            what = f"returned {outcome.result()}"
        else:
            what = f"raised {type(error).__name__}: {error}"
        text = (
            f"Retrying {retry_state.get_fn_name()} in {sec_format % action.sleep} "
            f"seconds as it {what}."
        )
        if exc_info and error is not None:
            from traceback import format_exception

            text = f"{text}\n{''.join(format_exception(error)).rstrip()}"
        logger.log(log_level, text)

    return log_it
