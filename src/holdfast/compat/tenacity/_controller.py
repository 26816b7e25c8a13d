"""The controllers of threads: what they are given, and the course of a call.

Elsewhere: tasks (``asyncio``), tornado (``tornadoweb``), what a call has come to (``_state``).
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from abc import abstractmethod
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from holdfast.clock import ManualClock
from holdfast.compat._retrying import is_final, name_of, policy_of
from holdfast.compat.tenacity._state import (
    AttemptManager,
    Controller,
    DoAttempt,
    DoSleep,
    RetryAction,
    RetryCallState,
    RetryError,
    TryAgain,
)
from holdfast.compat.tenacity._utils import override
from holdfast.compat.tenacity.after import after_nothing
from holdfast.compat.tenacity.before import before_nothing
from holdfast.compat.tenacity.nap import sleep
from holdfast.compat.tenacity.retry import retry_if_exception_type, sees_results
from holdfast.compat.tenacity.stop import stop_never
from holdfast.compat.tenacity.wait import wait_none

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Self

    from holdfast.compat._retrying import Course, FaceRetry
    from holdfast.compat.tenacity.retry import RetryBaseT, retry_base
    from holdfast.compat.tenacity.stop import StopBaseT
    from holdfast.compat.tenacity.wait import WaitBaseT

    WrappedFnReturnT = TypeVar("WrappedFnReturnT")

__all__ = [
    "NONE",
    "WRAPPED",
    "BaseRetrying",
    "Retrying",
    "_RetryDecorated",
    "begin_again",
    "dressed",
    "failed",
    "is_plain",
    "raise_failure",
]

P = ParamSpec("P")
R = TypeVar("R")

# The `delay_since_first_attempt` of a call none of whose attempts has failed, or was to be tried
# again: then the other figures are those of a first attempt. After a failure it is a float.
NONE = 0
WRAPPED = (*functools.WRAPPER_ASSIGNMENTS, "__defaults__", "__kwdefaults__")
_HERE = __name__.rpartition(".")[0]
_unset = object()


def _is_no_wait(wait: object) -> bool:
    """Whether a wait is one of the values that stand for none; not one that is merely false."""
    return wait is None or wait == 0


def _first_set(first: Any, second: Any) -> Any:
    return second if first is _unset else first


def _module_outside() -> str:
    """Return the module of the code that makes a controller."""
    frame = sys._getframe(2)
    while True:
        module: str = frame.f_globals.get("__name__", "unnamed")
        if not module.startswith(_HERE) or frame.f_back is None:
            return module
        frame = frame.f_back


class BaseRetrying(Controller):
    """The base class of controllers: they try a function or a block again.

    Args:
        sleep: What waits for a number of seconds.
        stop: Says when to give up.
        wait: Says how long to wait; None or 0: not at all.
        retry: Says what is tried again.
        before: Called before each attempt.
        after: Called after each attempt that is to be tried again.
        before_sleep: Called before each pause.
        reraise: Raise the last exception when the call is given up, instead of a ``RetryError``.
        retry_error_cls: What is raised when the call is given up.
        retry_error_callback: Called when the call is given up; what it returns is the result.
        name: What it is called in messages and metrics; by default as the function.
        enabled: False: each call is made once, as if there were no controller.

    Safe to share between threads and event loops; each thread has statistics of its own.
    """

    def __init__(
        self,
        sleep: Callable[[int | float], None] = sleep,
        stop: StopBaseT = stop_never,
        wait: WaitBaseT = wait_none(),  # noqa: B008 - it has no state
        retry: RetryBaseT = retry_if_exception_type(),  # noqa: B008
        before: Callable[[RetryCallState], None] = before_nothing,
        after: Callable[[RetryCallState], None] = after_nothing,
        before_sleep: Callable[[RetryCallState], None] | None = None,
        reraise: bool = False,
        retry_error_cls: type[RetryError] = RetryError,
        retry_error_callback: Callable[[RetryCallState], Any] | None = None,
        name: str | None = None,
        enabled: bool = True,
    ) -> None:
        self.sleep = sleep
        self.stop = stop
        self.wait = wait_none() if _is_no_wait(wait) else wait
        self.retry = retry
        self.before = before
        self.after = after
        self.before_sleep = before_sleep
        self.reraise = reraise
        self.retry_error_cls = retry_error_cls
        self.retry_error_callback = retry_error_callback
        self.enabled = enabled
        self._name = name
        self._label: str | None = None  # of the function that it has decorated
        self._module = _module_outside()
        self._local = threading.local()

    def copy(
        self,
        sleep: Callable[[int | float], None] | object = _unset,
        stop: StopBaseT | object = _unset,
        wait: WaitBaseT | object = _unset,
        retry: retry_base | object = _unset,
        before: Callable[[RetryCallState], None] | object = _unset,
        after: Callable[[RetryCallState], None] | object = _unset,
        before_sleep: Callable[[RetryCallState], None] | object | None = _unset,
        reraise: bool | object = _unset,
        retry_error_cls: type[RetryError] | object = _unset,
        retry_error_callback: Callable[[RetryCallState], Any] | object | None = _unset,
        name: str | object | None = _unset,
        enabled: bool | object = _unset,
    ) -> Self:
        """Return a controller in which some arguments differ."""
        made = self.__class__(
            sleep=_first_set(sleep, self.sleep),
            stop=_first_set(stop, self.stop),
            wait=_first_set(wait, self.wait),
            retry=_first_set(retry, self.retry),
            before=_first_set(before, self.before),
            after=_first_set(after, self.after),
            before_sleep=_first_set(before_sleep, self.before_sleep),
            reraise=_first_set(reraise, self.reraise),
            retry_error_cls=_first_set(retry_error_cls, self.retry_error_cls),
            retry_error_callback=_first_set(retry_error_callback, self.retry_error_callback),
            name=_first_set(name, self._name),
            enabled=_first_set(enabled, self.enabled),
        )
        made._module = self._module
        return made

    @override
    def __str__(self) -> str:
        return "<unknown>" if self._name is None else self._name

    @override
    def __repr__(self) -> str:
        shown = ("stop", "wait", "sleep", "retry", "before", "after")
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in shown)
        return f"<{type(self).__name__} object at 0x{id(self):x} ({settings}, name={self._name!r})>"

    @property
    def policy(self) -> FaceRetry:
        """The retry policy of holdfast that counts its calls."""
        return self._policy_of(None)

    def wraps(self, f: Callable[P, R]) -> _RetryDecorated[P, R]:
        """Return a function that is tried again as this controller says."""
        policy = self._decorate(f)
        return dressed(self, f, self._copying(f, policy), policy)

    def _decorate(self, f: Callable[..., Any]) -> FaceRetry:
        """Take the name of a function, unless there is one; return the policy of that name."""
        if self._name is None:
            self._label = name_of(f)
        return self._policy_of(f)

    def _copying(self, f: Callable[..., Any], policy: FaceRetry) -> Any:
        """Return a function each of whose calls has a copy of the controller: it may be nested."""

        @functools.wraps(f, WRAPPED)
        def wrapped_f(*args: Any, **kw: Any) -> Any:
            if not self.enabled or policy.is_off:
                return f(*args, **kw)
            statistics: dict[str, Any] = wrapped_f.statistics  # type: ignore[attr-defined]
            statistics.clear()
            return self._copy_for(f, statistics)(f, *args, **kw)

        return wrapped_f

    def _is_unseen(self, policy: FaceRetry) -> bool:
        """Whether nobody would see a call that succeeds at once: it needs no state of its own."""
        return (
            self.before is before_nothing
            and policy.faults is None
            and not sees_results(self.retry)
            and not isinstance(policy._clock, ManualClock)
        )

    def _copy_for(self, f: Callable[..., Any], statistics: dict[str, Any]) -> Self:
        """Return a copy for one call, whose statistics are those of the decorated function.

        It is the same dict for all calls: other decorators may have copied the attribute.
        """
        copy = self.copy()
        copy._label = self._label if self._label is not None else name_of(f)
        copy._local.statistics = self._local.statistics = statistics
        return copy

    def iter(self, retry_state: RetryCallState) -> DoAttempt | DoSleep | Any:
        """Return what comes next: an attempt, a pause, or the result of the call.

        Raises:
            RetryError: The call is given up; or the exception itself that was not tried again.
        """
        policy = retry_state._policy or self._policy_of(retry_state.fn)
        if retry_state._ended is None:
            if retry_state.attempt_number > 1 and not policy.is_off:
                retry_state._counted(policy)  # its pause is over
            if self.before is not None:
                self.before(retry_state)
            return DoAttempt()
        if policy.is_off:
            return retry_state._result()
        course = retry_state._counted(policy)
        try:
            if not self._is_to_retry(retry_state):
                retry_state._finish(course)
                return retry_state._result()
            if self.after is not None:
                self.after(retry_state)
            self._run_wait(retry_state)
            self._run_stop(retry_state)
            if not self._is_granted(retry_state, course):
                return self._given_up(retry_state)
            if self.before_sleep is not None:
                self.before_sleep(retry_state)
            return DoSleep(retry_state.upcoming_sleep)
        except BaseException as raised:
            course.stop(raised)
            raise
        finally:
            del retry_state  # it holds what is raised, whose traceback holds this frame

    def _is_to_retry(self, retry_state: RetryCallState) -> bool:
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
        self._run_retry(retry_state)
        return bool(found.retry_run_result)

    def _run_retry(self, retry_state: RetryCallState) -> None:
        self.iter_state.retry_run_result = self.retry(retry_state)

    def _run_wait(self, retry_state: RetryCallState) -> None:
        retry_state.upcoming_sleep = self.wait(retry_state)

    def _run_stop(self, retry_state: RetryCallState) -> None:
        self.statistics["delay_since_first_attempt"] = retry_state.seconds_since_start
        self.iter_state.stop_run_result = self.stop(retry_state)

    def _is_granted(self, retry_state: RetryCallState, course: Course) -> bool:
        """Whether another attempt follows, which is noted; its policy is asked last."""
        seconds = retry_state.upcoming_sleep
        if self.iter_state.stop_run_result:
            course.give_up()
            return False
        error = retry_state._error
        if not course.again(seconds, error, retry_state._result() if error is None else None):
            return False
        retry_state.next_action = RetryAction(seconds)
        retry_state.idle_for += seconds
        statistics = self.statistics
        statistics["idle_for"] = retry_state.idle_for
        statistics["attempt_number"] = retry_state.attempt_number + 1
        return True

    def _given_up(self, retry_state: RetryCallState) -> Any:
        """Return what the callback makes of a call that is given up, or raise."""
        if self.retry_error_callback:
            return self.retry_error_callback(retry_state)
        error: Any = self.retry_error_cls(retry_state.outcome)  # type: ignore[arg-type]
        try:
            if self.reraise:
                error.reraise()
            raise error from retry_state._error
        finally:
            del error, retry_state  # they hold this frame

    def __iter__(self) -> Generator[AttemptManager, None, None]:
        retry_state = RetryCallState(self, fn=None, args=(), kwargs={})
        policy = retry_state._policy
        if not self.enabled or (policy is not None and policy.is_off):
            yield AttemptManager(retry_state=retry_state)
            raise_failure(retry_state)
            return
        self.begin()
        try:
            while True:
                do = self.iter(retry_state=retry_state)
                if isinstance(do, DoAttempt):
                    yield AttemptManager(retry_state=retry_state)
                elif isinstance(do, DoSleep):
                    self._pause(retry_state, do)
                else:
                    break
        finally:
            retry_state._leave()

    def _pause(self, retry_state: RetryCallState, seconds: DoSleep) -> None:
        """Wait in this thread for the next attempt."""
        retry_state.prepare_for_next_attempt()
        course = retry_state._course
        if course is None:
            self.sleep(seconds)
        else:
            course.pause(seconds, self.sleep, replaceable=self.sleep is sleep)

    @override
    def _policy_of(self, fn: Callable[..., Any] | None) -> FaceRetry:
        name = self._name if self._name is not None else self._label
        if name is None:
            name = self._module if fn is None else name_of(fn)
        return policy_of(str(name))

    @abstractmethod
    def __call__(self, fn: Callable[..., WrappedFnReturnT], *args: Any, **kwargs: Any) -> Any:
        """Call a function, and try it again."""


class _RetryDecorated(Protocol[P, R]):
    """A function that is tried again.

    Attributes:
        retry: The controller.
        statistics: The figures of its last call.
        policy: The retry policy of holdfast that counts its calls.
    """

    retry: BaseRetrying
    statistics: dict[str, Any]
    policy: FaceRetry
    __wrapped__: _RetryDecorated[P, R]

    def retry_with(self, *args: Any, **kwargs: Any) -> _RetryDecorated[P, R]:
        """Return the function with a controller in which some arguments differ."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> _RetryDecorated[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> _RetryDecorated[..., R]: ...


class Retrying(BaseRetrying):
    """The controller of functions and blocks of threads.

    >>> from holdfast.compat.tenacity import stop_after_attempt
    >>> for attempt in Retrying(stop=stop_after_attempt(3)):
    ...     with attempt:
    ...         attempt.retry_state.attempt_number
    1
    """

    @override
    def wraps(self, f: Callable[P, R]) -> _RetryDecorated[P, R]:
        """Return a function that is tried again as this controller says."""
        policy = self._decorate(f)
        if is_plain(type(self), Retrying) and not isinstance(policy._clock, ManualClock):
            return dressed(self, f, self._quick(f, policy), policy)
        return dressed(self, f, self._copying(f, policy), policy)

    def _quick(self, f: Callable[..., Any], policy: FaceRetry) -> Any:
        """Return a function whose calls have a copy of the controller from their failure on.

        Not if somebody wants to see each call: that is found out anew each time.
        """
        asked: tuple[Any, bool] = (None, True)

        @functools.wraps(f, WRAPPED)
        def wrapped_f(*args: Any, **kw: Any) -> Any:
            nonlocal asked
            if policy.is_off or not self.enabled:
                return f(*args, **kw)
            if self.retry is not asked[0]:
                asked = (self.retry, sees_results(self.retry))
            statistics: dict[str, Any] = wrapped_f.statistics  # type: ignore[attr-defined]
            if asked[1] or self.before is not before_nothing or policy.faults is not None:
                return self._copy_for(f, statistics)(f, *args, **kw)
            self._local.statistics = statistics
            statistics["start_time"] = began = time.monotonic()
            if statistics.get("delay_since_first_attempt") is not NONE or len(statistics) != 4:
                begin_again(statistics)
            try:
                result = f(*args, **kw)
            except BaseException as error:  # noqa: BLE001 - judged by iter()
                copy = self._copy_for(f, statistics)
                retry_state = failed(copy, f, args, kw, began, error)
            else:
                policy.count_success(0)
                return result
            try:
                return copy._drive(retry_state, policy)
            finally:
                del retry_state  # it holds what is raised, whose traceback holds this frame

        return wrapped_f

    @override
    def __call__(
        self, fn: Callable[..., WrappedFnReturnT], *args: Any, **kwargs: Any
    ) -> WrappedFnReturnT:
        policy = self._policy_of(fn)
        if not self.enabled or policy.is_off:
            return fn(*args, **kwargs)
        self.begin()
        if not is_plain(type(self), Retrying) or not self._is_unseen(policy):
            return self._drive(RetryCallState(self, fn, args, kwargs), policy)  # type: ignore[no-any-return]
        began: float = self.statistics["start_time"]
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - judged by iter()
            retry_state = failed(self, fn, args, kwargs, began, error)
        else:
            policy.count_success(0)
            return result
        try:
            return self._drive(retry_state, policy)  # type: ignore[no-any-return]
        finally:
            del retry_state

    def _drive(self, retry_state: RetryCallState, policy: FaceRetry) -> Any:
        fn: Any = retry_state.fn
        try:
            while True:
                do = self.iter(retry_state=retry_state)
                if isinstance(do, DoAttempt):
                    try:
                        result = policy.run(fn, retry_state.args, retry_state.kwargs)
                    except BaseException as error:  # noqa: BLE001 - judged by iter()
                        retry_state._ended_by(error)
                    else:
                        retry_state.set_result(result)
                elif isinstance(do, DoSleep):
                    self._pause(retry_state, do)
                else:
                    return do
        finally:
            del retry_state  # it holds what is raised, whose traceback holds this frame


def begin_again(statistics: dict[str, Any]) -> None:
    """Have the statistics of a call that has begun show nothing of others."""
    began = statistics["start_time"]
    statistics.clear()
    statistics.update(
        start_time=began, attempt_number=1, idle_for=0, delay_since_first_attempt=NONE
    )


def failed(
    controller: BaseRetrying,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    began: float,
    error: BaseException,
) -> RetryCallState:
    """Return the state of a call whose first attempt began at a time and has raised."""
    retry_state = RetryCallState(controller, fn, args, kwargs)
    retry_state.start_time = began
    retry_state._ended_by(error)
    return retry_state


def raise_failure(retry_state: RetryCallState) -> None:
    """Raise what the one attempt of a disabled controller has raised."""
    if retry_state._error is not None:
        retry_state._result()


def is_plain(cls: type[BaseRetrying], base: type[BaseRetrying]) -> bool:
    """Whether a class of controllers goes about a call as its base does."""
    course = ("__call__", "begin", "copy", "iter", "statistics", "_drive")
    return all(getattr(cls, name) is getattr(base, name) for name in course)


def dressed(
    controller: BaseRetrying, f: Callable[P, R], wrapped_f: Any, policy: FaceRetry
) -> _RetryDecorated[P, R]:
    """Return a decorated function with the attributes that users know."""

    def retry_with(*args: Any, **kwargs: Any) -> Any:
        return controller.copy(*args, **kwargs).wraps(f)

    wrapped_f.retry = controller
    wrapped_f.retry_with = retry_with
    wrapped_f.statistics = {}
    wrapped_f.policy = policy
    return wrapped_f  # type: ignore[no-any-return]
