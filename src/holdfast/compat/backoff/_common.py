"""What calls and decorators share: handlers, the logger, and how long the next pause is."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = [
    "config_handlers",
    "init_wait_gen",
    "log_backoff",
    "log_giveup",
    "next_wait",
    "prepare_logger",
]

_logger = logging.getLogger("backoff")
_logger.addHandler(logging.NullHandler())
_logger.setLevel(logging.INFO)


def maybe_call(f: Any, *args: Any, **kwargs: Any) -> Any:
    """Return what ``f`` returns; or ``f``, if it is no callable or takes other arguments."""
    if not callable(f):
        return f
    try:
        return f(*args, **kwargs)
    except TypeError as error:
        if is_from_within(error):
            raise
        return f


def is_from_within(error: TypeError) -> bool:
    """Whether a call of one line above has begun, so that it is not its arguments that differ."""
    raised_at = error.__traceback__
    return raised_at is not None and raised_at.tb_next is not None


def init_wait_gen(wait_gen: Any, wait_gen_kwargs: Mapping[str, Any]) -> Any:
    """Return a wait generator that is ready for the first result or exception."""
    kwargs = {field: maybe_call(value) for field, value in wait_gen_kwargs.items()}
    initialized = wait_gen(**kwargs)
    initialized.send(None)
    return initialized


def next_wait(
    wait: Any,
    send_value: object,
    jitter: Callable[..., float] | None,
    elapsed: float,
    max_time: float | None,
) -> float:
    """Return the next pause in seconds, at most what is left of ``max_time``.

    Raises:
        StopIteration: The wait generator has ended.
    """
    value: float = wait.send(send_value)
    try:
        seconds = value if jitter is None else jitter(value)
    except TypeError as error:
        if jitter is None or is_from_within(error):
            raise
        warnings.warn(
            "Nullary jitter function signature is deprecated. Use unary signature accepting a "
            "wait value in seconds and returning a jittered version of it.",
            DeprecationWarning,
            stacklevel=2,
        )
        seconds = value + jitter()
    return seconds if max_time is None else min(seconds, max_time - elapsed)


def prepare_logger(logger: Any) -> Any:
    """Return a logger, which may be given by its name."""
    return logging.getLogger(logger) if isinstance(logger, str) else logger


def config_handlers(
    user_handlers: Any,
    *,
    default_handler: Any = None,
    logger: Any = None,
    log_level: int | None = None,
) -> list[Any]:
    """Return all handlers of an event: the default one, if there is a logger, and the user's.

    Raises:
        TypeError: A handler of the user's is no callable.
    """
    handlers: list[Any] = []
    if logger is not None:
        assert log_level is not None, "Log level is not specified"
        handlers.append(partial(default_handler, logger=logger, log_level=log_level))
    if user_handlers is None:
        return handlers
    mine = list(user_handlers) if hasattr(user_handlers, "__iter__") else [user_handlers]
    for handler in mine:
        if not callable(handler):
            raise TypeError(f"a handler: got {handler!r}, allowed a callable, or several of them")
    return handlers + mine


def log_backoff(details: Mapping[str, Any], logger: Any, log_level: int) -> None:
    """Log a pause."""
    name, about = _name_of(details["target"]), _found(details)
    logger.log(log_level, "Backing off %s(...) for %.1fs (%s)", name, details["wait"], about)


def log_giveup(details: Mapping[str, Any], logger: Any, log_level: int) -> None:
    """Log the end of a call that is given up."""
    name, about = _name_of(details["target"]), _found(details)
    logger.log(log_level, "Giving up %s(...) after %d tries (%s)", name, details["tries"], about)


def _name_of(target: Any) -> str:
    while isinstance(target, partial):
        target = target.func
    name = getattr(target, "__name__", None)
    return name if isinstance(name, str) else type(target).__name__


def _found(details: Mapping[str, Any]) -> object:
    """Return what is logged of the last attempt: its exception in one line, or its result."""
    if "value" in details:
        return details["value"]
    error = details.get("exception") or sys.exc_info()[1]
    return traceback.format_exception_only(error)[-1].rstrip("\n")


# Under the names that backoff has for them.
_maybe_call = maybe_call
_init_wait_gen = init_wait_gen
_next_wait = next_wait
_prepare_logger = prepare_logger
_config_handlers = config_handlers
_log_backoff = log_backoff
_log_giveup = log_giveup
