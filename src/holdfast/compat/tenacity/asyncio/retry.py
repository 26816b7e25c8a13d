"""What is tried again in tasks: conditions that are awaited."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.compat.tenacity._utils import override, wrap_to_async_func
from holdfast.compat.tenacity.retry import retry_base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from holdfast.compat.tenacity._state import RetryCallState

__all__ = [
    "RetryBaseT",
    "async_retry_base",
    "retry_all",
    "retry_any",
    "retry_if_exception",
    "retry_if_result",
]


class async_retry_base(retry_base):
    """The base class of conditions that are awaited; ``|`` and ``&`` combine them, with others too.

    A condition has no state of a call: it is safe to share between tasks and decorators.
    """

    @abstractmethod
    @override
    async def __call__(self, retry_state: RetryCallState) -> bool:  # type: ignore[override]
        """Whether to try again."""

    @override
    def __and__(self, other: Any) -> retry_all:  # type: ignore[override]
        return retry_all(self, other)

    @override
    def __rand__(self, other: Any) -> retry_all:  # type: ignore[override]
        return retry_all(other, self)

    @override
    def __or__(self, other: Any) -> retry_any:  # type: ignore[override]
        return retry_any(self, other)

    @override
    def __ror__(self, other: Any) -> retry_any:  # type: ignore[override]
        return retry_any(other, self)


if TYPE_CHECKING:
    RetryBaseT: TypeAlias = async_retry_base | Callable[[RetryCallState], Awaitable[bool]]
    AnyRetry: TypeAlias = retry_base | RetryBaseT | Callable[[RetryCallState], bool]
else:
    RetryBaseT = async_retry_base | Callable[["RetryCallState"], Awaitable[bool]]


class retry_if_exception(async_retry_base):
    """Tries again after an exception for which a predicate returns True once it is awaited."""

    def __init__(self, predicate: Callable[[BaseException], Awaitable[bool]]) -> None:
        self.predicate = predicate

    @override
    async def __call__(self, retry_state: RetryCallState) -> bool:  # type: ignore[override]
        if retry_state.outcome is None:
            raise RuntimeError("__call__() called before outcome was set")
        error = retry_state.outcome.exception()
        return False if error is None else await self.predicate(error)


class retry_if_result(async_retry_base):
    """Tries again after a result for which a predicate returns True once it is awaited."""

    def __init__(self, predicate: Callable[[Any], Awaitable[bool]]) -> None:
        self.predicate = predicate

    @override
    async def __call__(self, retry_state: RetryCallState) -> bool:  # type: ignore[override]
        if retry_state.outcome is None:
            raise RuntimeError("__call__() called before outcome was set")
        if retry_state.outcome.failed:
            return False
        return await self.predicate(retry_state.outcome.result())


class retry_any(async_retry_base):
    """Tries again if one of several conditions says so; some of them may be awaited."""

    def __init__(self, *retries: AnyRetry) -> None:
        self.retries = retries

    @override
    async def __call__(self, retry_state: RetryCallState) -> bool:  # type: ignore[override]
        for condition in self.retries:
            if await wrap_to_async_func(condition)(retry_state):
                return True
        return False

    @override
    def __ror__(self, other: Any) -> retry_any:  # type: ignore[override]
        before = other.retries if isinstance(other, retry_any) else (other,)
        return retry_any(*before, *self.retries)


class retry_all(async_retry_base):
    """Tries again if each of several conditions says so; some of them may be awaited."""

    def __init__(self, *retries: AnyRetry) -> None:
        self.retries = retries

    @override
    async def __call__(self, retry_state: RetryCallState) -> bool:  # type: ignore[override]
        for condition in self.retries:
            if not await wrap_to_async_func(condition)(retry_state):
                return False
        return True

    @override
    def __rand__(self, other: Any) -> retry_all:  # type: ignore[override]
        before = other.retries if isinstance(other, retry_all) else (other,)
        return retry_all(*before, *self.retries)
