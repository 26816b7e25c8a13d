"""The decorators: ``on_exception`` and ``on_predicate``."""

from __future__ import annotations

import logging
import operator
from functools import partial

from holdfast.compat.backoff._async import aretry_exception, aretry_predicate
from holdfast.compat.backoff._calls import Plan, check_number
from holdfast.compat.backoff._common import (
    config_handlers,
    log_backoff,
    log_giveup,
    prepare_logger,
)
from holdfast.compat.backoff._jitter import full_jitter
from holdfast.compat.backoff._sync import retry_exception, retry_predicate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from holdfast.compat.backoff._typing import (
        CallableT,
        Handler,
        Jitterer,
        MaybeCallable,
        MaybeLogger,
        MaybeSequence,
        Predicate,
        WaitGenerator,
    )

__all__ = ["on_exception", "on_predicate"]

_CO_COROUTINE = 0x80  # of inspect, which costs more than all of holdfast


def _never(_e: Exception) -> bool:
    """Say that no exception is to be given up."""
    return False


def on_predicate(
    wait_gen: WaitGenerator,
    predicate: Predicate[Any] = operator.not_,
    *,
    max_tries: MaybeCallable[int] | None = None,
    max_time: MaybeCallable[float] | None = None,
    jitter: Jitterer | None = full_jitter,
    on_success: Handler | Iterable[Handler] | None = None,
    on_backoff: Handler | Iterable[Handler] | None = None,
    on_giveup: Handler | Iterable[Handler] | None = None,
    logger: MaybeLogger = "backoff",
    backoff_log_level: int = logging.INFO,
    giveup_log_level: int = logging.ERROR,
    **wait_gen_kwargs: Any,
) -> Callable[[CallableT], CallableT]:
    """Return a decorator: the function is called again while a predicate is true of its result.

    The last result is returned. A coroutine function is awaited, and may have coroutine functions
    as predicate and as handlers.

    Args:
        wait_gen: A generator function that yields the pauses, in seconds.
        predicate: Called with each result; by default, whether it is false.
        max_tries: How often the function is called at most; None for no limit, or a callable that
            is asked as a call fails.
        max_time: Seconds after which it is not called again; None for no limit, or a callable. The
            last pause is shortened to what is left.
        jitter: What makes the pause of what ``wait_gen`` yields; None for nothing.
        on_success: Called with ``Details`` after a result that is not tried again; or several.
        on_backoff: The same before each pause.
        on_giveup: The same when the call is given up.
        logger: A logger, or the name of one; None for no logging.
        backoff_log_level: The level of a pause.
        giveup_log_level: The level of a call that is given up.
        **wait_gen_kwargs: Arguments of ``wait_gen``; callables without arguments are called.

    Raises:
        TypeError: ``max_tries`` or ``max_time`` is no number, or a handler no callable.

    What is decorated is safe to share between threads and event loops; its ``policy`` is the retry
    policy that counts its calls.
    """
    handlers = _handlers(
        on_success, on_backoff, on_giveup, logger, backoff_log_level, giveup_log_level
    )
    settings: dict[str, Any] = {
        "max_tries": _limit("max_tries", max_tries),
        "max_time": _limit("max_time", max_time),
        "jitter": jitter,
        "wait_gen_kwargs": wait_gen_kwargs,
        **handlers,
    }

    def decorate(target: CallableT) -> CallableT:
        def make(target: Callable[..., Any]) -> Any:
            plan = Plan(target, wait_gen, predicate, **settings)
            return aretry_predicate(plan) if _is_async(target) else retry_predicate(plan)

        decorated: CallableT = _decorated(target, make)
        return decorated

    return decorate


def on_exception(
    wait_gen: WaitGenerator,
    exception: MaybeSequence[type[Exception]],
    *,
    max_tries: MaybeCallable[int] | None = None,
    max_time: MaybeCallable[float] | None = None,
    jitter: Jitterer | None = full_jitter,
    giveup: Predicate[Exception] = _never,
    on_success: Handler | Iterable[Handler] | None = None,
    on_backoff: Handler | Iterable[Handler] | None = None,
    on_giveup: Handler | Iterable[Handler] | None = None,
    raise_on_giveup: bool = True,
    logger: MaybeLogger = "backoff",
    backoff_log_level: int = logging.INFO,
    giveup_log_level: int = logging.ERROR,
    **wait_gen_kwargs: Any,
) -> Callable[[CallableT], CallableT]:
    """Return a decorator: the function is called again while it raises certain exceptions.

    A cancellation, ``KeyboardInterrupt``, ``SystemExit`` and ``GeneratorExit`` are never tried
    again. No pause outlasts an enclosing ``Timeout``.

    Args:
        wait_gen: A generator function that yields the pauses, in seconds.
        exception: A class of exceptions, or several.
        max_tries: How often the function is called at most; None for no limit, or a callable that
            is asked as a call fails.
        max_time: Seconds after which it is not called again; None for no limit, or a callable. The
            last pause is shortened to what is left.
        jitter: What makes the pause of what ``wait_gen`` yields; None for nothing.
        giveup: Called with each such exception; true means that it is not tried again. For a
            coroutine function it may be one.
        on_success: Called with ``Details`` after a success; or several.
        on_backoff: The same before each pause, while the exception is handled.
        on_giveup: The same when the call is given up.
        raise_on_giveup: Whether the exception is raised then; if not, None is returned.
        logger: A logger, or the name of one; None for no logging.
        backoff_log_level: The level of a pause.
        giveup_log_level: The level of a call that is given up.
        **wait_gen_kwargs: Arguments of ``wait_gen``; callables without arguments are called.

    Raises:
        TypeError: ``exception`` is no class of exceptions, ``max_tries`` or ``max_time`` no number,
            or a handler no callable.

    What is decorated is safe to share between threads and event loops; its ``policy`` is the retry
    policy that counts its calls.
    """
    handlers = _handlers(
        on_success, on_backoff, on_giveup, logger, backoff_log_level, giveup_log_level
    )
    settings: dict[str, Any] = {
        "exceptions": _classes(exception),
        "max_tries": _limit("max_tries", max_tries),
        "max_time": _limit("max_time", max_time),
        "jitter": jitter,
        "raise_on_giveup": raise_on_giveup,
        "wait_gen_kwargs": wait_gen_kwargs,
        **handlers,
    }

    def decorate(target: CallableT) -> CallableT:
        def make(target: Callable[..., Any]) -> Any:
            plan = Plan(target, wait_gen, giveup, **settings)
            return aretry_exception(plan) if _is_async(target) else retry_exception(plan)

        decorated: CallableT = _decorated(target, make)
        return decorated

    return decorate


def _handlers(
    on_success: Any, on_backoff: Any, on_giveup: Any, logger: Any, backoff: int, giveup: int
) -> dict[str, Any]:
    """Return the handlers of each event, once for all that one decorator decorates."""
    logger = prepare_logger(logger)
    return {
        "on_success": config_handlers(on_success),
        "on_backoff": config_handlers(
            on_backoff, default_handler=log_backoff, logger=logger, log_level=backoff
        ),
        "on_giveup": config_handlers(
            on_giveup, default_handler=log_giveup, logger=logger, log_level=giveup
        ),
    }


def _classes(exception: Any) -> tuple[type[BaseException], ...]:
    given: Any = exception
    is_one = isinstance(given, type) or not hasattr(given, "__iter__")
    classes: tuple[Any, ...] = (exception,) if is_one else tuple(exception)
    for one in classes:
        if not isinstance(one, type) or not issubclass(one, BaseException):
            raise TypeError(
                f"exception: got {one!r}, allowed a class of exceptions, or several of them"
            )
    return classes


def _limit(field: str, value: Any) -> Any:
    return value if callable(value) else check_number(field, value)


def _decorated(target: Any, make: Callable[[Callable[..., Any]], Any]) -> Any:
    if isinstance(target, staticmethod):
        return staticmethod(_decorated(_inner(target), make))
    if isinstance(target, classmethod):
        return classmethod(_decorated(_inner(target), make))
    return make(target)


def _inner(target: Any) -> Callable[..., Any]:
    inner: Callable[..., Any] = target.__func__
    return inner


def _is_async(target: Any) -> bool:
    """Return whether a callable is a coroutine function, as ``inspect`` and ``asyncio`` say it."""
    while isinstance(target, partial):
        target = target.func
    target = getattr(target, "__func__", target)
    for marker in ("_is_coroutine_marker", "_is_coroutine"):
        if type(getattr(target, marker, None)) is object:  # a Mock has any name
            return True
    flags = getattr(getattr(target, "__code__", None), "co_flags", 0)
    return isinstance(flags, int) and bool(flags & _CO_COROUTINE)
