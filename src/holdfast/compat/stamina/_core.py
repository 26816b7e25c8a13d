"""Decorators, and loops around blocks, that repeat what fails.

The first attempt of a call runs here, and costs one count if it succeeds. Elsewhere: what happens
after a failure (``_plan``), objects that call functions (``_callers``).
"""

from __future__ import annotations

import sys
from functools import wraps
from importlib import import_module

from holdfast._native.gate import _callable_kind
from holdfast.compat._retrying import name_of, policy_of
from holdfast.compat.stamina._callers import (
    AsyncRetryingCaller,
    BoundAsyncRetryingCaller,
    BoundRetryingCaller,
    RetryingCaller,
)
from holdfast.compat.stamina._config import CONFIG
from holdfast.compat.stamina._loop import BLOCK, Block, Loop
from holdfast.compat.stamina._names import guess_name, module_of_caller
from holdfast.compat.stamina._plan import Plan, Retried, judge_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
    from datetime import timedelta
    from types import TracebackType
    from typing import Any, ParamSpec, Self, TypeVar

    from holdfast.compat._retrying import FaceRetry
    from holdfast.compat.stamina._plan import ExcOrBackoffHook, Judge

    P = ParamSpec("P")
    T = TypeVar("T")

__all__ = [
    "AsyncRetryingCaller",
    "Attempt",
    "BoundAsyncRetryingCaller",
    "BoundRetryingCaller",
    "RetryingCaller",
    "retry",
    "retry_context",
]

_COROUTINE, _GENERATOR, _ASYNC_GENERATOR = 1, 2, 3  # enum hf_callable


# ---- decorated functions ----


def retry(
    *,
    on: ExcOrBackoffHook,
    attempts: int | None = 10,
    timeout: float | timedelta | None = 45.0,
    wait_initial: float | timedelta = 0.1,
    wait_max: float | timedelta = 5.0,
    wait_jitter: float | timedelta = 1.0,
    wait_exp_base: float = 2,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that repeats a function which raises certain exceptions.

    The pause after attempt ``n`` is ``min(wait_max, wait_initial * wait_exp_base ** (n - 1) + j)``
    seconds, with ``j`` at random from 0 to ``wait_jitter``. The exception of the last attempt is
    raised. Coroutine functions pause in asyncio and in trio. A generator starts anew.

    Whatever ``on`` says, nothing is repeated that was cancelled, interrupted or closed, and no
    pause outlasts an enclosing ``holdfast.Timeout``.

    Args:
        on: An exception class, a tuple of them, or a function of the exception that returns
            whether to try again: a bool, or how long to wait before, in seconds or as a timedelta.
        attempts: The number of attempts, including the first; None for no limit.
        timeout: Seconds after which no attempt follows; None for no limit.
        wait_initial: Seconds of the first pause, without jitter.
        wait_max: Seconds of the longest pause.
        wait_jitter: Seconds of the greatest jitter.
        wait_exp_base: The factor by which a pause is longer than the one before.

    Raises:
        ConfigError: An argument is none of these.

    The decorated function has an attribute ``policy``, the holdfast policy that counts its calls.
    Safe to share between threads and event loops.

    >>> @retry(on=ConnectionError)
    ... def answer():
    ...     return 42
    >>> answer()
    42
    """
    plan = Plan(attempts, timeout, wait_initial, wait_max, wait_jitter, wait_exp_base)
    judge = judge_of(on)
    plan.warn_of_zero()

    def decorate(wrapped: Callable[P, T]) -> Callable[P, T]:
        fn: Any = wrapped
        if isinstance(fn, (staticmethod, classmethod)):  # methods only in their class
            return type(fn)(decorate(fn.__func__))  # type: ignore[return-value]
        policy = policy_of(name_of(fn))
        kind = _callable_kind(fn)
        make: Any = _MAKERS.get(kind, _sync)
        decorated: Any = wraps(fn)(make(fn, policy, plan, judge))
        decorated.policy = policy
        return decorated  # type: ignore[no-any-return]

    return decorate


def _sync(fn: Any, policy: FaceRetry, plan: Plan, judge: Judge) -> Callable[..., Any]:
    name, is_timed = guess_name(fn), plan.timeout is not None

    def retried(*args: Any, **kwargs: Any) -> Any:
        if policy.is_off:
            return fn(*args, **kwargs)
        since = policy.now() if is_timed else 0.0
        try:
            result = fn(*args, **kwargs) if policy.faults is None else policy.run(fn, args, kwargs)
        except BaseException as error:  # noqa: BLE001 - it is judged, and raised again
            call = Retried(policy, plan, judge, since, (name, args, kwargs), error)
        else:
            policy.count_success(0)
            return result
        return _go_on(call, fn, args, kwargs)

    return retried


def _go_on(call: Retried, fn: Any, args: Any, kwargs: Any) -> Any:
    """Repeat a call, outside of the handler of its first error: errors are no chain."""
    while call.follows():
        try:
            result = call.policy.run(fn, args, kwargs)
        except BaseException as error:  # noqa: BLE001
            call.error = error
        else:
            call.succeed()
            return result
    raise call.take()


def _coroutine(fn: Any, policy: FaceRetry, plan: Plan, judge: Judge) -> Callable[..., Any]:
    name, is_timed = guess_name(fn), plan.timeout is not None

    async def retried(*args: Any, **kwargs: Any) -> Any:
        if policy.is_off:
            return await fn(*args, **kwargs)
        since = policy.now() if is_timed else 0.0
        try:
            if policy.faults is None:
                result = await fn(*args, **kwargs)
            else:
                result = await policy.arun(fn, args, kwargs)
        except BaseException as error:  # noqa: BLE001
            call = Retried(policy, plan, judge, since, (name, args, kwargs), error)
        else:
            policy.count_success(0)
            return result
        return await _ago_on(call, fn, args, kwargs)

    return retried


async def _ago_on(call: Retried, fn: Any, args: Any, kwargs: Any) -> Any:
    while await call.afollows():
        try:
            result = await call.policy.arun(fn, args, kwargs)
        except BaseException as error:  # noqa: BLE001
            call.error = error
        else:
            call.succeed()
            return result
    raise call.take()


def _generator(fn: Any, policy: FaceRetry, plan: Plan, judge: Judge) -> Callable[..., Any]:
    name = guess_name(fn)

    def retried(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        loop = Loop(policy, plan, judge, (name, args, kwargs))
        while loop.goes_on():
            try:
                result = yield from fn(*args, **kwargs)
            except GeneratorExit:
                loop.succeed()  # its reader has read enough
                raise
            except BaseException as error:  # noqa: BLE001
                loop.fail(error)
            else:
                loop.succeed()
                return result
        raise loop.take()

    return retried


def _async_generator(fn: Any, policy: FaceRetry, plan: Plan, judge: Judge) -> Callable[..., Any]:
    name = guess_name(fn)

    async def retried(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        loop = Loop(policy, plan, judge, (name, args, kwargs))
        while await loop.agoes_on():
            items = fn(*args, **kwargs)
            try:
                advance = items.__anext__()
                while True:
                    item = await advance
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as thrown:  # noqa: BLE001 - it is for the generator
                        advance = items.athrow(thrown)
                    else:
                        advance = items.asend(sent)
            except StopAsyncIteration:
                loop.succeed()
                return
            except GeneratorExit:
                loop.succeed()  # its reader has read enough
                raise
            except BaseException as error:  # noqa: BLE001
                loop.fail(error)
            finally:
                await items.aclose()
        raise loop.take()

    return retried


_MAKERS = {_COROUTINE: _coroutine, _GENERATOR: _generator, _ASYNC_GENERATOR: _async_generator}


# ---- blocks ----


class Attempt:
    """One attempt at a block; a context manager around it.

    The loop over ``retry_context`` makes it. Belongs to the thread or task of the loop.
    """

    __slots__ = ("_next_wait_fn", "_t_attempt")

    def __init__(self, attempt: Block, next_wait_fn: Callable[[int], float] | None) -> None:
        self._t_attempt = attempt
        self._next_wait_fn = next_wait_fn

    def __repr__(self) -> str:
        return f"<Attempt num={self.num}, next_wait={float(self.next_wait)}>"

    @property
    def num(self) -> int:
        """The number of this attempt, from 1."""
        return self._t_attempt.retry_state.attempt_number

    @property
    def next_wait(self) -> float:
        """How many seconds the pause is, at least, if this attempt fails: jitter comes on top."""
        least = self._next_wait_fn
        return 0.0 if least is None else least(self.num)

    def __enter__(self) -> None:
        self._t_attempt.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._t_attempt.__exit__(exc_type, exc_value, traceback)


def retry_context(
    on: ExcOrBackoffHook,
    attempts: int | None = 10,
    timeout: float | timedelta | None = 45.0,
    wait_initial: float | timedelta = 0.1,
    wait_max: float | timedelta = 5.0,
    wait_jitter: float | timedelta = 1.0,
    wait_exp_base: float = 2,
) -> _RetryContextIterator:
    """Return the attempts at a block of code, for ``for`` and ``async for``.

    Args:
        on: As of ``retry``, like all others.
        attempts: The number of attempts, including the first; None for no limit.
        timeout: Seconds after which no attempt follows; None for no limit.
        wait_initial: Seconds of the first pause, without jitter.
        wait_max: Seconds of the longest pause.
        wait_jitter: Seconds of the greatest jitter.
        wait_exp_base: The factor by which a pause is longer than the one before.

    Raises:
        ConfigError: An argument is none of these.

    It can be iterated over more than once, also at the same time. The retries of all blocks of a
    module count as one policy, of the name of the module.

    >>> for attempt in retry_context(on=ConnectionError):
    ...     with attempt:
    ...         attempt.num
    1
    """
    plan = Plan(attempts, timeout, wait_initial, wait_max, wait_jitter, wait_exp_base)
    plan.warn_of_zero()
    return _RetryContextIterator(module_of_caller(), plan, judge_of(on))


class _RetryContextIterator:
    """Attempts at a block.

    Attributes:
        policy: The holdfast policy that counts them.
    """

    __slots__ = ("_judge", "_plan", "policy")

    def __init__(self, name: str, plan: Plan, judge: Judge) -> None:
        self.policy = policy_of(name)
        self._plan = plan
        self._judge = judge

    def _begin(self) -> tuple[Loop, Callable[[int], float] | None]:
        loop = Loop(self.policy, self._plan, self._judge, BLOCK)
        return loop, self._backoff_for_attempt_number if CONFIG.is_active else None

    def __iter__(self) -> Iterator[Attempt]:
        loop, least = self._begin()
        try:
            while loop.goes_on():
                yield Attempt(Block(loop), least)
        except GeneratorExit:
            loop.leave()
            raise
        if loop.failed:
            raise loop.take()

    def __aiter__(self) -> AsyncIterator[Attempt]:
        return _AsyncAttempts(self)

    def _backoff_for_attempt_number(self, num: int) -> float:
        return self._plan.least_pause(num)

    def _jittered_backoff_for_rcs(self, rcs: Any) -> float:
        return self._plan.pause(rcs.attempt_number)


class _AsyncAttempts:
    """One ``async for``. No generator: one that is left in a loop would be closed too late."""

    __slots__ = ("_least", "_loop")

    def __init__(self, context: _RetryContextIterator) -> None:
        self._loop, self._least = context._begin()

    def __aiter__(self) -> Self:
        return self

    def __del__(self) -> None:
        self._loop.leave()

    async def __anext__(self) -> Attempt:
        loop = self._loop
        if await loop.agoes_on():
            return Attempt(Block(loop), self._least)
        if not loop.failed:
            raise StopAsyncIteration
        error = loop.take()
        if isinstance(error, StopAsyncIteration):  # would end the loop, as if all were well
            raise RuntimeError("the block raised StopAsyncIteration") from error
        raise error


# ---- for who looks inside ----


def _make_stop(*, attempts: int | None, timeout: float | None) -> Any:
    """Return when to stop as a condition of tenacity, of which stamina is made.

    It is one of tenacity itself where somebody has imported that, else one of its face.
    """
    stop = sys.modules.get("tenacity") or import_module("holdfast.compat.tenacity")
    ends = []
    if attempts is not None:
        ends.append(stop.stop_after_attempt(attempts))
    if timeout is not None:
        ends.append(stop.stop_after_delay(timeout))
    return stop.stop_any(*ends) if ends else stop.stop_never
