"""How a call goes through the face of circuitbreaker where the native guard alone will not do.

With a fallback function, and where a subclass overrides what a call consists of. Elsewhere: the
face (``circuitbreaker``), and what decides (``_breaking``).
"""

from __future__ import annotations

from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

from holdfast.errors import CircuitOpenError
from holdfast.mode import Mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
    from typing import Any, NoReturn

    CircuitBreaker = Any  # of the face, which uses this module

__all__ = ["by_methods", "closing", "with_fallback"]


async def closing(items: AsyncGenerator[Any, Any]) -> AsyncIterator[Any]:
    """Yield the items, and close their generator at once when nobody wants more."""
    try:
        async for item in items:
            yield item
    finally:
        await items.aclose()


def _is_at_door(breaker: CircuitBreaker, refusal: CircuitOpenError, frames: int = 0) -> bool:
    """Return whether this breaker refused the call itself, and not one made within it.

    Where a call is refused, ``frames`` are between the one that catches and the native guard.
    """
    trace = refusal.__traceback__
    while trace is not None and frames >= 0:
        trace = trace.tb_next
        frames -= 1
    return refusal.policy is breaker.policy and trace is None


def with_fallback(breaker: CircuitBreaker, function: Callable[..., Any]) -> Any:
    """Return the function guarded; what the breaker refuses is handed to its fallback function."""
    guard: Any = breaker.policy(function)

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return guard(*args, **kwargs)
        except CircuitOpenError as refusal:
            if not _is_at_door(breaker, refusal):
                raise
        return _fallback(breaker)(*args, **kwargs)

    @wraps(function)
    def gen_wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        try:
            return (yield from guard(*args, **kwargs))
        except CircuitOpenError as refusal:
            if not _is_at_door(breaker, refusal, 1):
                raise
        return (yield from _fallback(breaker)(*args, **kwargs))

    @wraps(function)
    async def awrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return await guard(*args, **kwargs)
        except CircuitOpenError as refusal:
            if not _is_at_door(breaker, refusal):
                raise
        return await _fallback(breaker)(*args, **kwargs)

    @wraps(function)
    async def gen_awrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        items = guard(*args, **kwargs)
        try:
            async for item in items:
                yield item
            return
        except CircuitOpenError as refusal:
            if not _is_at_door(breaker, refusal, 1):
                raise
        finally:
            await items.aclose()
        async for item in closing(_fallback(breaker)(*args, **kwargs)):
            yield item

    return _of_kind(function, wrapper, gen_wrapper, awrapper, gen_awrapper)


def by_methods(
    breaker: CircuitBreaker, function: Callable[..., Any], error: type[CircuitOpenError]
) -> Any:
    """Return the function guarded by the methods of the breaker, which a subclass overrides.

    A call that is rejected without a fallback function raises ``error(breaker)``.
    """

    def instead() -> Callable[..., Any]:
        return _fallback(breaker) or partial(_reject, error, breaker)

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not _is_shut(breaker):
            return breaker.call(function, *args, **kwargs)
        return instead()(*args, **kwargs)

    @wraps(function)
    def gen_wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if not _is_shut(breaker):
            return (yield from breaker.call_generator(function, *args, **kwargs))
        return (yield from instead()(*args, **kwargs))

    @wraps(function)
    async def awrapper(*args: Any, **kwargs: Any) -> Any:
        if not _is_shut(breaker):
            return await breaker.call_async(function, *args, **kwargs)
        return await instead()(*args, **kwargs)

    @wraps(function)
    async def gen_awrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        if _is_shut(breaker):
            items = instead()(*args, **kwargs)
        else:
            items = breaker.call_async_generator(function, *args, **kwargs)
        async for item in closing(items):
            yield item

    return _of_kind(function, wrapper, gen_wrapper, awrapper, gen_awrapper)


def _of_kind(function: Any, plain: Any, generator: Any, coroutine: Any, asyncgen: Any) -> Any:
    """Return what guards a function of its kind."""
    if isasyncgenfunction(function):
        return asyncgen
    if iscoroutinefunction(function):
        return coroutine
    return generator if isgeneratorfunction(function) else plain


def _is_shut(breaker: CircuitBreaker) -> bool:
    """Return whether a call is to be rejected, by what the class of the breaker says.

    What its policy rejects is counted there.
    """
    policy = breaker.policy
    if policy.mode is not Mode.ENFORCE:
        return False
    if not policy.peek():
        try:
            policy.acquire().ignore()  # admitted: it has become due at this moment
        except CircuitOpenError:
            return True
    return bool(breaker.opened)


def _fallback(breaker: CircuitBreaker) -> Any:
    """Return what is called instead of a rejected call, or None."""
    return breaker.fallback_function


def _reject(error: Any, breaker: CircuitBreaker, *_args: object, **_kwargs: object) -> NoReturn:
    raise error(breaker)
