"""The face of tenacity 9.2.1: its names, decided and counted by holdfast.

``from holdfast.compat.tenacity import retry`` in place of ``from tenacity import retry``; the code
stays. Each decorated function and each controller has ``policy``, the retry policy of holdfast
that counts its calls, by its name, or by the function's. What behaves otherwise is in
``docs/migration.md``: above all, a cancellation is never tried again, and no pause outlasts an
enclosing ``Timeout``.

>>> @retry(stop=stop_after_attempt(3), wait=wait_none())
... def fetch():
...     return "found"
>>> fetch()
'found'
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from holdfast.compat.tenacity._controller import BaseRetrying, Retrying, _RetryDecorated
from holdfast.compat.tenacity._future import Future
from holdfast.compat.tenacity._state import (
    NO_RESULT,
    AttemptManager,
    BaseAction,
    DoAttempt,
    DoSleep,
    RetryAction,
    RetryCallState,
    RetryError,
    TryAgain,
)
from holdfast.compat.tenacity._state import IterState as IterState
from holdfast.compat.tenacity._utils import is_coroutine_callable
from holdfast.compat.tenacity.after import after_log, after_nothing
from holdfast.compat.tenacity.asyncio import AsyncRetrying
from holdfast.compat.tenacity.before import before_log, before_nothing
from holdfast.compat.tenacity.before_sleep import before_sleep_log, before_sleep_nothing
from holdfast.compat.tenacity.nap import sleep, sleep_using_event
from holdfast.compat.tenacity.retry import (
    retry_all,
    retry_always,
    retry_any,
    retry_base,
    retry_if_exception,
    retry_if_exception_cause_type,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_message,
    retry_if_not_exception_type,
    retry_if_not_result,
    retry_if_result,
    retry_never,
    retry_unless_exception_type,
)
from holdfast.compat.tenacity.stop import (
    stop_after_attempt,
    stop_after_delay,
    stop_all,
    stop_any,
    stop_before_delay,
    stop_never,
    stop_when_event_set,
)
from holdfast.compat.tenacity.wait import (
    wait_chain,
    wait_combine,
    wait_exception,
    wait_exponential,
    wait_exponential_jitter,
    wait_fixed,
    wait_incrementing,
    wait_none,
    wait_random,
    wait_random_exponential,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine
    from types import CoroutineType

    from holdfast.compat.tenacity.asyncio.retry import RetryBaseT as AsyncRetryBaseT
    from holdfast.compat.tenacity.retry import RetryBaseT
    from holdfast.compat.tenacity.stop import StopBaseT
    from holdfast.compat.tenacity.tornadoweb import TornadoRetrying as TornadoRetrying
    from holdfast.compat.tenacity.wait import WaitBaseT

wait_full_jitter = wait_random_exponential

WrappedFnReturnT = TypeVar("WrappedFnReturnT")
WrappedFn = TypeVar("WrappedFn", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")


class _AsyncRetryDecorator(Protocol):
    """What makes a function one that is awaited."""

    @overload
    def __call__(
        self, fn: Callable[P, CoroutineType[Any, Any, R]]
    ) -> _RetryDecorated[P, CoroutineType[Any, Any, R]]: ...
    @overload
    def __call__(
        self, fn: Callable[P, Coroutine[Any, Any, R]]
    ) -> _RetryDecorated[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]]) -> _RetryDecorated[P, Awaitable[R]]: ...
    @overload
    def __call__(self, fn: Callable[P, R]) -> _RetryDecorated[P, Awaitable[R]]: ...


@overload
def retry(func: Callable[P, R]) -> _RetryDecorated[P, R]: ...
@overload
def retry(
    *,
    sleep: Callable[[int | float], Awaitable[None]],
    stop: StopBaseT = ...,
    wait: WaitBaseT = ...,
    retry: RetryBaseT | AsyncRetryBaseT = ...,
    before: Callable[[RetryCallState], Awaitable[None] | None] = ...,
    after: Callable[[RetryCallState], Awaitable[None] | None] = ...,
    before_sleep: Callable[[RetryCallState], Awaitable[None] | None] | None = ...,
    reraise: bool = ...,
    retry_error_cls: type[RetryError] = ...,
    retry_error_callback: Callable[[RetryCallState], Any | Awaitable[Any]] | None = ...,
    name: str | None = ...,
    enabled: bool = ...,
) -> _AsyncRetryDecorator: ...
@overload
def retry(
    sleep: Callable[[int | float], None] = sleep,
    stop: StopBaseT = stop_never,
    wait: WaitBaseT = ...,
    retry: RetryBaseT | AsyncRetryBaseT = ...,
    before: Callable[[RetryCallState], Awaitable[None] | None] = before_nothing,
    after: Callable[[RetryCallState], Awaitable[None] | None] = after_nothing,
    before_sleep: Callable[[RetryCallState], Awaitable[None] | None] | None = None,
    reraise: bool = False,
    retry_error_cls: type[RetryError] = RetryError,
    retry_error_callback: Callable[[RetryCallState], Any | Awaitable[Any]] | None = None,
    name: str | None = None,
    enabled: bool = True,
) -> Callable[[Callable[P, R]], _RetryDecorated[P, R]]: ...
def retry(*dargs: Any, **dkw: Any) -> Any:
    """Decorate a function that is to be tried again: ``@retry``, or ``@retry(…)``.

    Args:
        *dargs: The arguments of ``BaseRetrying``.
        **dkw: The same, by name.

    Returns:
        The function, with the attributes ``retry`` (the controller), ``retry_with`` (returns it
        with other arguments), ``statistics`` (of its last call) and ``policy`` (of holdfast).
        A coroutine function stays one; so does any function if ``sleep`` is one.
    """
    if len(dargs) == 1 and callable(dargs[0]):
        return retry()(dargs[0])

    def wrap(f: Callable[P, R]) -> _RetryDecorated[P, R]:
        if isinstance(f, retry_base):
            from warnings import warn

            name = type(f).__name__
            warn(
                f"Got retry_base instance ({name}) as callable argument, this will probably "
                f"hang indefinitely (did you mean retry={name}(...)?)",
                stacklevel=2,
            )
        return _controller_of(f, dkw.get("sleep"))(*dargs, **dkw).wraps(f)

    return wrap


def _controller_of(f: Callable[..., Any], sleep: Any) -> type[BaseRetrying]:
    """Return the class of controllers for a function."""
    if is_coroutine_callable(f) or (sleep is not None and is_coroutine_callable(sleep)):
        return AsyncRetrying
    # Nobody has a coroutine of tornado without having imported it. Tests set `tornado` to None.
    tornado = globals().get("tornado", sys.modules.get("tornado"))
    is_tornados = getattr(getattr(tornado, "gen", None), "is_coroutine_function", None)
    if is_tornados is not None and is_tornados(f):
        from holdfast.compat.tenacity.tornadoweb import TornadoRetrying as TornadoRetrying

        return TornadoRetrying
    return Retrying


def __getattr__(name: str) -> Any:
    """Import at its first use what needs tornado."""
    from importlib import import_module

    if name == "tornado":
        try:
            import_module("tornado.gen")
            return import_module("tornado")
        except ImportError:
            return None
    if name == "TornadoRetrying":
        try:
            return import_module(f"{__name__}.tornadoweb").TornadoRetrying
        except ImportError:
            raise AttributeError(f"{name} needs tornado, which is not installed") from None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "NO_RESULT",
    "AsyncRetrying",
    "AttemptManager",
    "BaseAction",
    "BaseRetrying",
    "DoAttempt",
    "DoSleep",
    "Future",
    "RetryAction",
    "RetryCallState",
    "RetryError",
    "Retrying",
    "TryAgain",
    "WrappedFn",
    "after_log",
    "after_nothing",
    "before_log",
    "before_nothing",
    "before_sleep_log",
    "before_sleep_nothing",
    "retry",
    "retry_all",
    "retry_always",
    "retry_any",
    "retry_base",
    "retry_if_exception",
    "retry_if_exception_cause_type",
    "retry_if_exception_message",
    "retry_if_exception_type",
    "retry_if_not_exception_message",
    "retry_if_not_exception_type",
    "retry_if_not_result",
    "retry_if_result",
    "retry_never",
    "retry_unless_exception_type",
    "sleep",
    "sleep_using_event",
    "stop_after_attempt",
    "stop_after_delay",
    "stop_all",
    "stop_any",
    "stop_before_delay",
    "stop_never",
    "stop_when_event_set",
    "wait_chain",
    "wait_combine",
    "wait_exception",
    "wait_exponential",
    "wait_exponential_jitter",
    "wait_fixed",
    "wait_full_jitter",
    "wait_incrementing",
    "wait_none",
    "wait_random",
    "wait_random_exponential",
]
