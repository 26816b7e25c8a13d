"""The controller of tasks, of asyncio and trio. Imports neither before a task waits."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from holdfast.clock import ManualClock
from holdfast.compat._retrying import is_final
from holdfast.compat.tenacity._controller import (
    NONE,
    WRAPPED,
    BaseRetrying,
    begin_again,
    dressed,
    failed,
    is_plain,
    raise_failure,
)
from holdfast.compat.tenacity._state import (
    AttemptManager,
    DoAttempt,
    DoSleep,
    RetryCallState,
    RetryError,
    TryAgain,
)
from holdfast.compat.tenacity._utils import is_coroutine_callable, override
from holdfast.compat.tenacity.after import after_nothing
from holdfast.compat.tenacity.asyncio.retry import (
    RetryBaseT,
    retry_all,
    retry_any,
    retry_if_exception,
    retry_if_result,
)
from holdfast.compat.tenacity.before import before_nothing
from holdfast.compat.tenacity.retry import retry_if_exception_type, sees_results
from holdfast.compat.tenacity.stop import stop_never
from holdfast.compat.tenacity.wait import wait_none
from holdfast.waiting.foreign import is_in_trio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import ParamSpec

    from holdfast.compat._retrying import FaceRetry
    from holdfast.compat.tenacity._controller import _RetryDecorated
    from holdfast.compat.tenacity.retry import RetryBaseT as SyncRetryBaseT
    from holdfast.compat.tenacity.stop import StopBaseT
    from holdfast.compat.tenacity.wait import WaitBaseT

    P = ParamSpec("P")
    R = TypeVar("R")
    WrappedFnReturnT = TypeVar("WrappedFnReturnT")

WrappedFn = TypeVar("WrappedFn", bound=Callable[..., Awaitable[Any]])

__all__ = [
    "AsyncRetrying",
    "WrappedFn",
    "retry_all",
    "retry_any",
    "retry_if_exception",
    "retry_if_result",
]


def _portable_async_sleep(seconds: float) -> Awaitable[None]:
    """Wait in a task of asyncio or trio, whichever runs here; the default."""
    if is_in_trio():
        import trio

        return trio.sleep(seconds)  # noqa: ASYNC105 - whoever asked awaits it
    import asyncio

    return asyncio.sleep(seconds)


async def _ask(call: Callable[..., Any], retry_state: RetryCallState) -> Any:
    """Call a condition or a hook, and await what it gives if that is a coroutine."""
    answer = call(retry_state)
    if is_coroutine_callable(call) or inspect.iscoroutine(answer):
        return await answer
    return answer


class AsyncRetrying(BaseRetrying):
    """The controller of coroutine functions, and of blocks of tasks: ``async for``.

    Conditions, waits and hooks may be coroutine functions. The arguments are those of
    ``BaseRetrying``. Safe to share between tasks, threads and event loops.
    """

    def __init__(
        self,
        sleep: Callable[[int | float], Awaitable[None] | None] = _portable_async_sleep,
        stop: StopBaseT = stop_never,
        wait: WaitBaseT = wait_none(),  # noqa: B008 - it has no state
        retry: SyncRetryBaseT | RetryBaseT = retry_if_exception_type(),  # noqa: B008
        before: Callable[[RetryCallState], Awaitable[None] | None] = before_nothing,
        after: Callable[[RetryCallState], Awaitable[None] | None] = after_nothing,
        before_sleep: Callable[[RetryCallState], Awaitable[None] | None] | None = None,
        reraise: bool = False,
        retry_error_cls: type[RetryError] = RetryError,
        retry_error_callback: (Callable[[RetryCallState], Any | Awaitable[Any]] | None) = None,
        name: str | None = None,
        enabled: bool = True,
    ) -> None:
        super().__init__(
            sleep=sleep,  # type: ignore[arg-type]
            stop=stop,
            wait=wait,
            retry=retry,  # type: ignore[arg-type]
            before=before,  # type: ignore[arg-type]
            after=after,  # type: ignore[arg-type]
            before_sleep=before_sleep,  # type: ignore[arg-type]
            reraise=reraise,
            retry_error_cls=retry_error_cls,
            retry_error_callback=retry_error_callback,
            name=name,
            enabled=enabled,
        )
        self._loop: _Attempts | None = None  # for who calls __anext__ of the controller itself

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_loop": None}

    @override
    def wraps(self, fn: Callable[P, R]) -> _RetryDecorated[P, R]:
        """Return a coroutine function that is tried again as this controller says."""
        policy = self._decorate(fn)
        quick = is_plain(type(self), AsyncRetrying) and is_coroutine_callable(fn)
        if quick and not isinstance(policy._clock, ManualClock):
            return dressed(self, fn, self._quick(fn, policy), policy)
        return dressed(self, fn, self._copying(fn, policy), policy)

    @override
    def _copying(self, f: Callable[..., Any], policy: FaceRetry) -> Any:
        @functools.wraps(f, WRAPPED)
        async def async_wrapped(*args: Any, **kwargs: Any) -> Any:
            if not self.enabled or policy.is_off:
                return await _once(f, args, kwargs)
            statistics: dict[str, Any] = async_wrapped.statistics  # type: ignore[attr-defined]
            statistics.clear()
            return await self._copy_for(f, statistics)(f, *args, **kwargs)

        return async_wrapped

    def _quick(self, f: Callable[..., Any], policy: FaceRetry) -> Any:
        """Return a function whose calls have a copy of the controller from their failure on."""
        asked: tuple[Any, bool] = (None, True)

        @functools.wraps(f, WRAPPED)
        async def async_wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            if policy.is_off or not self.enabled:
                return await f(*args, **kwargs)
            if self.retry is not asked[0]:
                asked = (self.retry, sees_results(self.retry))
            statistics: dict[str, Any] = async_wrapped.statistics  # type: ignore[attr-defined]
            if asked[1] or self.before is not before_nothing or policy.faults is not None:
                return await self._copy_for(f, statistics)(f, *args, **kwargs)
            self._local.statistics = statistics
            statistics["start_time"] = began = time.monotonic()
            if statistics.get("delay_since_first_attempt") is not NONE or len(statistics) != 4:
                begin_again(statistics)
            try:
                result = await f(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - judged by iter()
                copy = self._copy_for(f, statistics)
                retry_state = failed(copy, f, args, kwargs, began, error)
            else:
                policy.count_success(0)
                return result
            try:
                return await copy._drive(retry_state, policy)
            finally:
                del retry_state  # it holds what is raised, whose traceback holds this frame

        return async_wrapped

    @override
    async def __call__(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        policy = self._policy_of(fn)
        if not self.enabled or policy.is_off:
            return await _once(fn, args, kwargs)
        self.begin()
        if not is_plain(type(self), AsyncRetrying) or not self._is_unseen(policy):
            return await self._drive(RetryCallState(self, fn, args, kwargs), policy)
        began: float = self.statistics["start_time"]
        try:
            result = await _once(fn, args, kwargs)
        except BaseException as error:  # noqa: BLE001 - judged by iter()
            retry_state = failed(self, fn, args, kwargs, began, error)
        else:
            policy.count_success(0)
            return result
        try:
            return await self._drive(retry_state, policy)
        finally:
            del retry_state

    async def _drive(self, retry_state: RetryCallState, policy: FaceRetry) -> Any:
        fn: Any = retry_state.fn
        run: Any = policy.arun if is_coroutine_callable(fn) else _run_plain(policy)
        try:
            while True:
                do = await self.iter(retry_state=retry_state)
                if isinstance(do, DoAttempt):
                    try:
                        result = await run(fn, retry_state.args, retry_state.kwargs)
                    except BaseException as error:  # noqa: BLE001 - judged by iter()
                        retry_state._ended_by(error)
                    else:
                        retry_state.set_result(result)
                elif isinstance(do, DoSleep):
                    await self._pause_task(retry_state, do)
                else:
                    return do
        finally:
            del retry_state  # it holds what is raised, whose traceback holds this frame

    @override
    async def _run_retry(self, retry_state: RetryCallState) -> None:  # type: ignore[override]
        self.iter_state.retry_run_result = await _ask(self.retry, retry_state)

    @override
    async def _run_wait(self, retry_state: RetryCallState) -> None:  # type: ignore[override]
        retry_state.upcoming_sleep = await _ask(self.wait, retry_state)

    @override
    async def _run_stop(self, retry_state: RetryCallState) -> None:  # type: ignore[override]
        self.statistics["delay_since_first_attempt"] = retry_state.seconds_since_start
        self.iter_state.stop_run_result = await _ask(self.stop, retry_state)

    @override
    async def iter(self, retry_state: RetryCallState) -> DoAttempt | DoSleep | Any:
        """Return what comes next: an attempt, a pause, or the result of the call.

        Raises:
            RetryError: The call is given up; or the exception itself that was not tried again.
        """
        policy = retry_state._policy or self._policy_of(retry_state.fn)
        if retry_state._ended is None:
            if retry_state.attempt_number > 1 and not policy.is_off:
                retry_state._counted(policy)  # its pause is over
            if self.before is not None:
                await _ask(self.before, retry_state)
            return DoAttempt()
        if policy.is_off:
            return retry_state._result()
        course = retry_state._counted(policy)
        try:
            if not await self._is_to_retry(retry_state):
                retry_state._finish(course)
                return retry_state._result()
            if self.after is not None:
                await _ask(self.after, retry_state)
            await self._run_wait(retry_state)
            await self._run_stop(retry_state)
            if not self._is_granted(retry_state, course):
                return await self._given_up(retry_state)
            if self.before_sleep is not None:
                await _ask(self.before_sleep, retry_state)
            return DoSleep(retry_state.upcoming_sleep)
        except BaseException as raised:
            course.stop(raised)
            raise
        finally:
            del retry_state  # it holds what is raised, whose traceback holds this frame

    @override
    async def _is_to_retry(  # type: ignore[override]
        self, retry_state: RetryCallState
    ) -> bool:
        found = self.iter_state
        found.reset()
        error = retry_state._error
        if error is None:
            if not sees_results(self.retry):
                return False
        elif is_final(error):
            return False
        elif isinstance(error, TryAgain):
            found.is_explicit_retry = True
            return True
        await self._run_retry(retry_state)
        return bool(self.iter_state.retry_run_result)

    @override
    async def _given_up(self, retry_state: RetryCallState) -> Any:
        callback = self.retry_error_callback
        if callback:
            answer = callback(retry_state)
            return await answer if is_coroutine_callable(callback) else answer
        try:
            return super()._given_up(retry_state)
        finally:
            del retry_state  # it holds what is raised

    async def _pause_task(self, retry_state: RetryCallState, seconds: DoSleep) -> None:
        """Wait in this task for the next attempt."""
        retry_state.prepare_for_next_attempt()
        course = retry_state._course
        if course is None:
            await self._sleep_by_users(seconds)
        elif self.sleep is _portable_async_sleep:
            await course.apause(seconds)
        else:
            await course.apause(seconds, self._sleep_by_users)

    async def _sleep_by_users(self, seconds: float) -> None:
        waiting = self.sleep(seconds)
        if inspect.isawaitable(waiting):
            await waiting

    @override
    def __iter__(self) -> Generator[AttemptManager, None, None]:
        raise TypeError("AsyncRetrying object is not iterable")

    def __aiter__(self) -> _Attempts:
        """Return the attempts of one loop: of each loop its own."""
        self._loop = None
        return _Attempts(self)

    async def __anext__(self) -> AttemptManager:
        """Return the next attempt of the loop that was begun last by this method."""
        if self._loop is None:
            self._loop = _Attempts(self)
        return await self._loop.__anext__()


class _Attempts:
    """The attempts of one ``async for``.

    Belongs to the task of the loop.
    """

    def __init__(self, controller: AsyncRetrying) -> None:
        self._controller = controller
        self._retry_state = RetryCallState(controller, fn=None, args=(), kwargs={})
        policy = self._retry_state._policy
        self._is_on = controller.enabled and not (policy is not None and policy.is_off)
        self._has_begun = False  # of a loop that is off
        if self._is_on:
            controller.begin()

    def __aiter__(self) -> _Attempts:
        return self

    async def __anext__(self) -> AttemptManager:
        controller, retry_state = self._controller, self._retry_state
        if not self._is_on:
            if self._has_begun:
                raise_failure(retry_state)
                raise StopAsyncIteration
            self._has_begun = True
            return AttemptManager(retry_state=retry_state)
        while True:
            do = await controller.iter(retry_state=retry_state)
            if isinstance(do, DoAttempt):
                return AttemptManager(retry_state=retry_state)
            if not isinstance(do, DoSleep):
                raise StopAsyncIteration
            await controller._pause_task(retry_state, do)

    def __del__(self) -> None:
        if getattr(self, "_is_on", False):
            self._retry_state._leave()


async def _once(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    result = fn(*args, **kwargs)
    return await result if is_coroutine_callable(fn) else result


def _run_plain(policy: FaceRetry) -> Callable[..., Awaitable[Any]]:
    """Return what makes an attempt at a plain function."""

    async def run(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return policy.run(fn, args, kwargs)

    return run
