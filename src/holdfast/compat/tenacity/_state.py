"""One call that is tried again: its state, its outcome, and what its controller decides.

Elsewhere: who decides (``_controller``).
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import Any

from holdfast.compat._retrying import Course, is_final
from holdfast.compat.tenacity._future import Future
from holdfast.compat.tenacity._utils import get_callback_name, override

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import ClassVar, NoReturn, SupportsFloat, TypeVar

    from holdfast.compat._retrying import FaceRetry

    WrappedFn = TypeVar("WrappedFn", bound=Callable[..., Any])

__all__ = [
    "NO_RESULT",
    "AttemptManager",
    "BaseAction",
    "Controller",
    "DoAttempt",
    "DoSleep",
    "IterState",
    "RetryAction",
    "RetryCallState",
    "RetryError",
    "TryAgain",
    "end_of",
]

NO_RESULT = object()


class TryAgain(Exception):
    """Raised by a function that is to be tried again, whatever the conditions say."""


class DoAttempt:
    """What ``iter`` returns for another attempt."""


class DoSleep(float):
    """What ``iter`` returns for a pause of so many seconds."""


class BaseAction:
    """The base class of what a controller is about to do.

    Attributes:
        REPR_FIELDS: Attributes that ``repr`` shows.
        NAME: What it is called.
    """

    REPR_FIELDS: ClassVar[Sequence[str]] = ()
    NAME: ClassVar[str | None] = None

    @override
    def __repr__(self) -> str:
        fields = ", ".join(f"{field}={getattr(self, field)!r}" for field in self.REPR_FIELDS)
        return f"{type(self).__name__}({fields})"

    @override
    def __str__(self) -> str:
        return repr(self)


class RetryAction(BaseAction):
    """To wait and try again.

    Attributes:
        sleep: Seconds to wait.
    """

    REPR_FIELDS: ClassVar[Sequence[str]] = ("sleep",)
    NAME: ClassVar[str | None] = "retry"

    def __init__(self, sleep: SupportsFloat) -> None:
        self.sleep = float(sleep)


class IterState:
    """What a controller has found of the last attempt.

    Attributes:
        actions: What is about to be done; always empty: the controller does it at once.
        retry_run_result: What the ``retry`` condition said.
        stop_run_result: What the ``stop`` condition said.
        is_explicit_retry: Whether the attempt raised ``TryAgain``.

    Belongs to one thread.
    """

    __slots__ = ("actions", "is_explicit_retry", "retry_run_result", "stop_run_result")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was found."""
        self.actions: list[Callable[[RetryCallState], Any]] = []
        self.retry_run_result = False
        self.stop_run_result = False
        self.is_explicit_retry = False


class RetryError(Exception):
    """Raised when a call is given up, from the last exception.

    Attributes:
        last_attempt: The outcome of the last attempt.
    """

    def __init__(self, last_attempt: Future) -> None:
        self.last_attempt = last_attempt
        super().__init__(last_attempt)

    def reraise(self) -> NoReturn:
        """Raise the last exception instead: of ``TryAgain``, what it was raised for.

        Raises:
            RetryError: There is none: the last attempt has returned.
        """
        error = self.last_attempt.exception()
        if error is None:
            raise self
        cause = (error.__cause__ or error.__context__) if isinstance(error, TryAgain) else None
        try:
            if cause is not None:
                raise cause from None
            raise error
        finally:
            del self, error, cause  # they hold this frame

    @override
    def __str__(self) -> str:
        return f"{type(self).__name__}[{self.last_attempt}]"


class Controller(ABC):
    """What a controller was given, and what it has of each thread.

    Attributes:
        sleep, stop, wait, retry, before, after, before_sleep, reraise, retry_error_cls,
        retry_error_callback, enabled: The arguments of ``BaseRetrying``. They may be changed.

    Safe to share between threads and event loops.
    """

    sleep: Callable[..., Any]
    stop: Callable[[RetryCallState], Any]
    wait: Callable[[RetryCallState], Any]
    retry: Callable[[RetryCallState], Any]
    before: Callable[[RetryCallState], Any]
    after: Callable[[RetryCallState], Any]
    before_sleep: Callable[[RetryCallState], Any] | None
    reraise: bool
    retry_error_cls: type[RetryError]
    retry_error_callback: Callable[[RetryCallState], Any] | None
    enabled: bool
    _local: threading.local

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()

    @property
    def statistics(self) -> dict[str, Any]:
        """The figures of this thread's last call; empty before the first.

        ``start_time``, ``attempt_number``, ``idle_for``, ``delay_since_first_attempt``.
        """
        local = self._local
        try:
            found: dict[str, Any] = local.statistics
        except AttributeError:
            found = local.statistics = {}
        return found

    @property
    def iter_state(self) -> IterState:
        """What it has found of this thread's last attempt."""
        local = self._local
        try:
            found: IterState = local.iter_state
        except AttributeError:
            found = local.iter_state = IterState()
        return found

    def begin(self) -> None:
        """Begin the statistics of a call."""
        statistics = self.statistics
        statistics.clear()
        statistics["start_time"] = time.monotonic()
        statistics["attempt_number"] = 1
        statistics["idle_for"] = statistics["delay_since_first_attempt"] = 0

    @property
    @abstractmethod
    def policy(self) -> FaceRetry:
        """The retry policy of holdfast that counts its calls."""

    @abstractmethod
    def _policy_of(self, fn: Callable[..., Any] | None) -> FaceRetry:
        """Return the policy that counts the calls of a function, or the loops."""


def end_of(outcome: Any) -> tuple[Any, bool]:
    """Return what an attempt has returned or raised, and whether it has raised.

    Of whatever a test of a user's has in place of a ``Future``.
    """
    failed = getattr(outcome, "failed", None)
    if failed is None:
        failed = outcome.exception() is not None
    return (outcome.exception(), True) if failed else (outcome.result(), False)


class RetryCallState:
    """One call that is tried again, or one loop of attempts.

    Args:
        retry_object: The controller.
        fn: The function; None for a loop.
        args: What it is called with.
        kwargs: The same, by name.

    Attributes:
        start_time: When the first attempt began, in seconds of ``time.monotonic``.
        retry_object, fn, args, kwargs: What was given.
        attempt_number: The number of the attempt, from 1.
        outcome_timestamp: When it ended.
        idle_for: Seconds waited in all pauses.
        next_action: What follows the attempt, once that is known.
        upcoming_sleep: Seconds of the last pause or of the next.

    Belongs to the thread or task of the call.
    """

    def __init__(
        self, retry_object: Controller, fn: Callable[..., Any] | None, args: Any, kwargs: Any
    ) -> None:
        find = getattr(type(retry_object), "_policy_of", None)
        self._policy: FaceRetry | None = None if find is None else find(retry_object, fn)
        self._course: Course | None = None
        self.start_time = self._now()
        self.retry_object = retry_object
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.attempt_number: int = 1
        self._end: tuple[Any, bool] | None = None  # what came of it, and whether it was raised
        self._outcome: Future | None = None  # the same, for who asks; or what somebody has set
        self.outcome_timestamp: float | None = None
        self.idle_for: float = 0.0
        self.next_action: RetryAction | None = None
        self.upcoming_sleep: float = 0.0

    @property
    def outcome(self) -> Future | None:
        """What the attempt came to; None while it runs. A future is made for who asks."""
        if self._outcome is None and self._end is not None:
            self._outcome = Future.construct(self.attempt_number, *self._end)
        return self._outcome

    @outcome.setter
    def outcome(self, outcome: Future | None) -> None:
        self._outcome, self._end = outcome, None

    @property
    def _ended(self) -> tuple[Any, bool] | None:
        """What the attempt has returned or raised, and whether it has raised."""
        if self._end is None and self._outcome is not None:  # one that may not be done yet
            return end_of(self._outcome)
        return self._end

    def get_fn_name(self) -> str:
        """Return the name of the function; of a loop, the name of the controller."""
        return str(self.retry_object) if self.fn is None else get_callback_name(self.fn)

    @property
    def seconds_since_start(self) -> float | None:
        """The seconds from the beginning of the first attempt to the end of the last."""
        if self.outcome_timestamp is None:
            return None
        return self.outcome_timestamp - self.start_time

    def prepare_for_next_attempt(self) -> None:
        """Begin to count the next attempt."""
        self.outcome = None
        self.outcome_timestamp = None
        self.attempt_number += 1
        self.next_action = None

    def set_result(self, val: Any) -> None:
        """Note what the attempt has returned."""
        self._note(val, False)

    def set_exception(
        self, exc_info: tuple[type[BaseException], BaseException, TracebackType | None]
    ) -> None:
        """Note what the attempt has raised: what ``sys.exc_info()`` returns."""
        self._note(exc_info[1], True)

    def _ended_by(self, error: BaseException) -> None:
        self.set_exception((type(error), error, error.__traceback__))

    def _note(self, value: Any, has_exception: bool) -> None:
        self.outcome_timestamp = self._now()
        self._outcome = None
        self._end = value, has_exception

    def _now(self) -> float:
        return time.monotonic() if self._policy is None else self._policy.now()

    def _counted(self, policy: FaceRetry) -> Course:
        """Return the course of the call, on which each retry is counted once it has begun."""
        course = self._course
        if course is None:
            course = self._course = Course(policy)
        elif not course.ended and course.retries < self.attempt_number - 1:
            course.begin()
        return course

    def _leave(self) -> None:
        """Count a loop that is left, by what its last attempt came to."""
        policy, course = self._policy, self._course
        if policy is None or policy.is_off or (course is not None and course.ended):
            return
        if self._ended is not None:
            self._finish(self._counted(policy))
        elif course is not None:
            course.stop(GeneratorExit())

    def _finish(self, course: Course) -> None:
        """Count the end of a call that is not tried again."""
        error = self._error
        if error is None:
            course.succeed()
        else:
            course.refuse(error)

    @property
    def _error(self) -> BaseException | None:
        """What the attempt has raised, if it has."""
        ended = self._end or self._ended
        return ended[0] if ended is not None and ended[1] else None

    def _result(self) -> Any:
        """Return what the attempt has returned, or raise what it has raised."""
        ended = self._end or self._ended
        if ended is None:
            raise RuntimeError("the attempt has not ended")
        value, has_exception = ended
        if not has_exception:
            return value
        try:
            raise value
        finally:
            del self, ended, value  # they hold this frame

    @override
    def __repr__(self) -> str:
        if self._ended is None:
            result = "none yet"
        else:
            value, has_exception = self._ended
            name = type(value).__name__
            result = f"failed ({name} {value})" if has_exception else f"returned {value}"
        slept = float(round(self.idle_for, 2))
        return (
            f"<{type(self).__name__} {id(self)}: attempt #{self.attempt_number}; "
            f"slept for {slept}; last result: {result}>"
        )


class AttemptManager:
    """One attempt at a block of code; a context manager around it, sync or async.

    An exception in the block ends it, and the loop decides what comes next; what is never tried
    again, such as a cancellation, goes on at once.

    Attributes:
        retry_state: The state of the loop.

    Belongs to the thread or task of the loop.
    """

    def __init__(self, retry_state: RetryCallState) -> None:
        self.retry_state = retry_state

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if exc_type is None or exc_value is None:
            self.retry_state.set_result(None)
            return None
        self.retry_state.set_exception((exc_type, exc_value, traceback))
        return not is_final(exc_value)

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self.__exit__(exc_type, exc_value, traceback)
