"""Objects that call functions, and repeat what fails.

Elsewhere: decorators and blocks (``_core``).
"""

from __future__ import annotations

from holdfast.compat._retrying import policy_of
from holdfast.compat.stamina._loop import BLOCK, Block, Loop
from holdfast.compat.stamina._names import guess_name, module_of_caller
from holdfast.compat.stamina._plan import Plan, judge_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from typing import ParamSpec, TypeVar

    from holdfast.compat._retrying import FaceRetry
    from holdfast.compat.stamina._plan import ExcOrBackoffHook

    P = ParamSpec("P")
    T = TypeVar("T")

__all__ = [
    "AsyncRetryingCaller",
    "BoundAsyncRetryingCaller",
    "BoundRetryingCaller",
    "RetryingCaller",
]


class BaseRetryingCaller:
    """What callers have in common: how they retry."""

    __slots__ = ("_context_kws", "_name", "_plan")

    def __init__(
        self,
        attempts: int | None = 10,
        timeout: float | timedelta | None = 45.0,
        wait_initial: float | timedelta = 0.1,
        wait_max: float | timedelta = 5.0,
        wait_jitter: float | timedelta = 1.0,
        wait_exp_base: float = 2,
    ) -> None:
        self._plan = Plan(attempts, timeout, wait_initial, wait_max, wait_jitter, wait_exp_base)
        self._plan.warn_of_zero()
        self._name = module_of_caller()
        self._context_kws: dict[str, object] = {
            "attempts": attempts,
            "timeout": timeout,
            "wait_initial": wait_initial,
            "wait_max": wait_max,
            "wait_jitter": wait_jitter,
            "wait_exp_base": wait_exp_base,
        }

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in sorted(self._context_kws.items()))
        return f"<{type(self).__name__}({settings})>"

    @property
    def policy(self) -> FaceRetry:
        """The holdfast policy that counts these calls, of the name of the module."""
        return policy_of(self._name)


class RetryingCaller(BaseRetryingCaller):
    """Calls functions, and repeats those calls that raise certain exceptions.

    Takes the arguments of ``retry``, but for ``on``. Safe to share between threads.

    >>> RetryingCaller(attempts=3)(ConnectionError, len, "four")
    4
    """

    __slots__ = ()

    def __call__(
        self, on: ExcOrBackoffHook, callable_: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what ``callable_(*args, **kwargs)`` returns, in the end.

        Args:
            on: When to try again; as of ``retry``.
            callable_: What is called.
            *args: Its arguments.
            **kwargs: Its arguments by name.

        Raises:
            ConfigError: ``on`` is none.
        """
        loop = Loop(self.policy, self._plan, judge_of(on), BLOCK)
        while loop.goes_on():
            with Block(loop):
                return callable_(*args, **kwargs)
        raise loop.take()

    def on(self, on: ExcOrBackoffHook, /) -> BoundRetryingCaller:
        """Return a caller that needs no ``on``.

        Args:
            on: When to try again; as of ``retry``.
        """
        return BoundRetryingCaller(self, on)


class BoundRetryingCaller:
    """A ``RetryingCaller`` that knows when to try again; its method ``on`` makes it.

    Safe to share between threads.
    """

    __slots__ = ("_caller", "_on")

    def __init__(self, caller: RetryingCaller, on: ExcOrBackoffHook) -> None:
        judge_of(on)  # refused here, not where it is called
        self._caller = caller
        self._on = on

    def __repr__(self) -> str:
        return f"<BoundRetryingCaller({guess_name(self._on)}, {self._caller!r})>"

    @property
    def policy(self) -> FaceRetry:
        """The holdfast policy that counts these calls, of the name of the module."""
        return self._caller.policy

    def __call__(self, callable_: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``callable_(*args, **kwargs)`` returns, in the end.

        Args:
            callable_: What is called.
            *args: Its arguments.
            **kwargs: Its arguments by name.
        """
        return self._caller(self._on, callable_, *args, **kwargs)


class AsyncRetryingCaller(BaseRetryingCaller):
    """Calls coroutine functions as a ``RetryingCaller`` calls functions, in asyncio and in trio.

    Safe to share between event loops.
    """

    __slots__ = ()

    async def __call__(
        self,
        on: ExcOrBackoffHook,
        callable_: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what ``await callable_(*args, **kwargs)`` returns, in the end.

        Args:
            on: When to try again; as of ``retry``.
            callable_: What is called, and whose result is awaited.
            *args: Its arguments.
            **kwargs: Its arguments by name.

        Raises:
            ConfigError: ``on`` is none.
        """
        loop = Loop(self.policy, self._plan, judge_of(on), BLOCK)
        while await loop.agoes_on():
            with Block(loop):
                return await callable_(*args, **kwargs)
        raise loop.take()

    def on(self, on: ExcOrBackoffHook, /) -> BoundAsyncRetryingCaller:
        """Return a caller that needs no ``on``.

        Args:
            on: When to try again; as of ``retry``.
        """
        return BoundAsyncRetryingCaller(self, on)


class BoundAsyncRetryingCaller:
    """An ``AsyncRetryingCaller`` that knows when to try again; its method ``on`` makes it.

    Safe to share between event loops.
    """

    __slots__ = ("_caller", "_on")

    def __init__(self, caller: AsyncRetryingCaller, on: ExcOrBackoffHook) -> None:
        judge_of(on)  # refused here, not where it is called
        self._caller = caller
        self._on = on

    def __repr__(self) -> str:
        return f"<BoundAsyncRetryingCaller({guess_name(self._on)}, {self._caller!r})>"

    @property
    def policy(self) -> FaceRetry:
        """The holdfast policy that counts these calls, of the name of the module."""
        return self._caller.policy

    async def __call__(
        self, callable_: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what ``await callable_(*args, **kwargs)`` returns, in the end.

        Args:
            callable_: What is called, and whose result is awaited.
            *args: Its arguments.
            **kwargs: Its arguments by name.
        """
        return await self._caller(self._on, callable_, *args, **kwargs)
