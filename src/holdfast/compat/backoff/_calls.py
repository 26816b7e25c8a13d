"""Calls of decorated functions: what was asked for, and what a call has come to once it failed.

Owns the conditions, the time and what handlers are told. Elsewhere: the loops with their pauses
(``_sync``, ``_async``), what counts and may refuse a retry (``_retrying``).
"""

from __future__ import annotations

import datetime

from holdfast.compat._retrying import Course, is_final, name_of, policy_of
from holdfast.compat.backoff._common import init_wait_gen, next_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

__all__ = ["Call", "Plan"]

_datetime = datetime.datetime


class Plan:
    """What a decorator was given, for one function.

    Attributes:
        target: The function.
        policy: The retry policy that counts its calls.
        exceptions: Which are tried again; none where results are judged.
        condition: Of an exception, whether it is not to be tried again all the same; of a result,
            whether it is.
        on_success, on_backoff, on_giveup: Handlers.
        raise_on_giveup: Whether an exception that is given up is raised.

    Safe to share between threads and event loops.
    """

    __slots__ = (
        "condition",
        "exceptions",
        "jitter",
        "max_time",
        "max_tries",
        "on_backoff",
        "on_giveup",
        "on_success",
        "policy",
        "raise_on_giveup",
        "target",
        "wait_gen",
        "wait_gen_kwargs",
    )

    def __init__(
        self,
        target: Callable[..., Any],
        wait_gen: Callable[..., Any],
        condition: Callable[[Any], Any],
        *,
        exceptions: tuple[type[BaseException], ...] = (),
        max_tries: Any,
        max_time: Any,
        jitter: Callable[..., float] | None,
        on_success: Sequence[Any],
        on_backoff: Sequence[Any],
        on_giveup: Sequence[Any],
        raise_on_giveup: bool = True,
        wait_gen_kwargs: Mapping[str, Any],
    ) -> None:
        self.target = target
        self.policy = policy_of(name_of(target))
        self.wait_gen = wait_gen
        self.condition = condition
        self.exceptions = exceptions
        self.max_tries = max_tries
        self.max_time = max_time
        self.jitter = jitter
        self.on_success = on_success
        self.on_backoff = on_backoff
        self.on_giveup = on_giveup
        self.raise_on_giveup = raise_on_giveup
        self.wait_gen_kwargs = wait_gen_kwargs

    def begin(self) -> Any:
        """Return the time, for ``elapsed``.

        It is that of the policy's clock, which is not set back as the time of day is. But tests
        put another class in the place of ``datetime.datetime``, as backoff reads it.
        """
        if datetime.datetime is not _datetime:
            return datetime.datetime.now()
        return self.policy.now()

    def elapsed(self, begun: Any) -> float:
        """Return how many seconds have passed since ``begin`` was asked."""
        if isinstance(begun, (int, float)):
            return self.policy.now() - begun
        passed: datetime.timedelta = datetime.datetime.now() - begun
        return passed.total_seconds()

    def details(
        self, args: Any, kwargs: Any, tries: int, elapsed: float, **more: Any
    ) -> dict[str, Any]:
        """Return what a handler is told."""
        return {
            "target": self.target,
            "args": args,
            "kwargs": kwargs,
            "tries": tries,
            "elapsed": elapsed,
            **more,
        }

    def told(self, call: Call | None, args: Any, kwargs: Any, begun: Any, **more: Any) -> Any:
        """Return what is told of a success."""
        tries = 1 if call is None else call.tries
        return self.details(args, kwargs, tries, self.elapsed(begun), **more)


class Call:
    """A call that has failed once, or returned what is to be tried again.

    Attributes:
        course: Who counts.
        tries: How often the function was called.
        seconds: The pause that follows.

    Belongs to the thread or task of the call.
    """

    __slots__ = (
        "args",
        "begun",
        "course",
        "elapsed",
        "kwargs",
        "max_time",
        "max_tries",
        "plan",
        "seconds",
        "tries",
        "wait",
    )

    def __init__(self, plan: Plan, args: Any, kwargs: Any, begun: Any) -> None:
        self.plan = plan
        self.args = args
        self.kwargs = kwargs
        self.begun = begun
        self.course = Course(plan.policy)
        self.tries = 1
        self.elapsed = 0.0
        self.seconds: float = 0
        self.wait: Any = None

    def catches(self, error: BaseException) -> bool:
        """Return whether an exception is one to try again for; if not, the call has ended."""
        if not is_final(error) and isinstance(error, self.plan.exceptions):
            return True
        self.course.refuse(error)
        return False

    def goes_on(
        self, value: Any, *, error: BaseException | None = None, refused: object = False
    ) -> bool:
        """Return whether another attempt follows, after ``seconds``; if not, the call has ended.

        Args:
            value: The exception or the result of the last attempt.
            error: The exception, if it is one.
            refused: Whether the user's function says that it is not to be tried again.
        """
        plan, course = self.plan, self.course
        self.elapsed = plan.elapsed(self.begun)
        if self.wait is None:
            self.max_tries = _number("max_tries", plan.max_tries)
            self.max_time = _number("max_time", plan.max_time)
            self.wait = init_wait_gen(plan.wait_gen, plan.wait_gen_kwargs)
        if refused and error is not None:
            course.refuse(error)
        elif self.max_tries is not None and self.tries >= self.max_tries:
            course.give_up()
        elif self.max_time is not None and self.elapsed >= self.max_time:
            course.give_up("out_of_time")
        else:
            try:
                seconds = next_wait(self.wait, value, plan.jitter, self.elapsed, self.max_time)
            except StopIteration:
                course.give_up()
            else:
                self.seconds = max(seconds, 0)
                return course.again(self.seconds, error, None if error is value else value)
        return False

    def details(self, **more: Any) -> dict[str, Any]:
        """Return what a handler is told."""
        return self.plan.details(self.args, self.kwargs, self.tries, self.elapsed, **more)


def _number(field: str, given: Any) -> float | None:
    """Return a setting that may be a callable; None for no limit."""
    value = given() if callable(given) else given
    return check_number(field, value)


def check_number(field: str, value: Any) -> float | None:
    """Return a limit of tries or of time as it is.

    Raises:
        TypeError: It is neither a number nor None.
    """
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    try:
        return float(value.__float__())
    except AttributeError:
        allowed = "a number, None for no limit, or a callable that returns one of these"
        raise TypeError(f"{field}: got {value!r}, allowed {allowed}") from None
