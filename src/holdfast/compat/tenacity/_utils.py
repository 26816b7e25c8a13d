"""Small things that the modules of the face share, under the names that tenacity has for them."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol, TypeVar

if sys.version_info >= (3, 12):
    from typing import override
else:
    _F = TypeVar("_F", bound=Callable[..., Any])

    def override(method: _F) -> _F:
        """Mark a method as one that overrides another; ``typing`` has it from Python 3.12 on."""
        with contextlib.suppress(AttributeError, TypeError):  # not every callable takes attributes
            method.__override__ = True  # type: ignore[attr-defined]
        return method


__all__ = [
    "MAX_WAIT",
    "LoggerProtocol",
    "find_ordinal",
    "get_callback_name",
    "is_coroutine_callable",
    "override",
    "time_unit_type",
    "to_ordinal",
    "to_seconds",
    "wrap_to_async_func",
]

MAX_WAIT = sys.maxsize / 2

time_unit_type = int | float | timedelta


class LoggerProtocol(Protocol):
    """What logs: a logger of logging, structlog, loguru."""

    def log(self, level: int, msg: str, *args: Any) -> Any:
        """Log a message."""


def find_ordinal(pos_num: int) -> str:
    """Return the ending of an ordinal number: "st" of 1, "th" of 11.

    >>> [find_ordinal(n) for n in (0, 1, 12, 22, 113)]
    ['th', 'st', 'th', 'nd', 'th']
    """
    if pos_num % 100 in {11, 12, 13}:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(pos_num % 10, "th")


def to_ordinal(pos_num: int) -> str:
    """Return a number as an ordinal.

    >>> to_ordinal(3)
    '3rd'
    """
    return f"{pos_num}{find_ordinal(pos_num)}"


def get_callback_name(cb: Callable[..., Any]) -> str:
    """Return the module and the qualified name of a callable, or its repr if it has no name.

    >>> get_callback_name(find_ordinal)
    'holdfast.compat.tenacity._utils.find_ordinal'
    """
    name = getattr(cb, "__qualname__", None) or getattr(cb, "__name__", None)
    if name is None:
        return repr(cb)
    module = getattr(cb, "__module__", None)
    return f"{module}.{name}" if module else str(name)


def to_seconds(time_unit: time_unit_type) -> float:
    """Return a duration in seconds."""
    return float(time_unit.total_seconds() if isinstance(time_unit, timedelta) else time_unit)


def is_coroutine_callable(call: Callable[..., Any]) -> bool:
    """Whether to call it gives a coroutine: a function, a partial of one, or an object."""
    if inspect.isclass(call):
        return False
    if inspect.iscoroutinefunction(call):
        return True
    if isinstance(call, functools.partial):
        return inspect.iscoroutinefunction(call.func)
    return inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004


def wrap_to_async_func(call: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a coroutine function that does what a callable does: itself, if it is one."""
    if is_coroutine_callable(call):
        return call

    async def inner(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    return inner
