"""What a retry was told to do, and one call that it repeats.

Owns stamina's conditions: which errors, how many attempts, how long, which pauses, who is told.
Elsewhere: counting, deadlines, waiting (``compat._retrying``), the public face (``_core``).
"""

from __future__ import annotations

import random
import time
from math import isnan

from holdfast.compat._retrying import Course, is_final
from holdfast.compat.stamina._config import CONFIG
from holdfast.validation import Problems, answers_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, TypeAlias

    from holdfast.compat._retrying import FaceRetry
    from holdfast.compat.stamina.instrumentation._telling import Told

    BackoffHook: TypeAlias = Callable[[Exception], bool | float | timedelta]
    ExcOrBackoffHook: TypeAlias = type[Exception] | tuple[type[Exception], ...] | BackoffHook

    # Whether an error is to be tried again: False, True, or after so many seconds.
    Judge: TypeAlias = Callable[[BaseException], float | bool]

__all__ = ["Plan", "Retried", "judge_of"]


def judge_of(on: ExcOrBackoffHook) -> Judge:
    """Return what says of an error whether it is to be tried again.

    Args:
        on: Exceptions, or a hook.

    Raises:
        ConfigError: ``on`` is neither.
    """
    given: object = on
    if isinstance(given, type) and issubclass(given, BaseException):
        return lambda error: isinstance(error, given)
    if isinstance(given, tuple):
        if _all_exceptions(given):
            return lambda error: isinstance(error, given)
    elif callable(given) and answers_at_once(given):
        return lambda error: _ask(given, error)
    problems = Problems("retry")
    problems.refuse("on", on, "an exception class, a tuple of them, or a function of an exception")
    problems.done()
    raise AssertionError


def _all_exceptions(classes: tuple[object, ...]) -> bool:
    return all(
        _all_exceptions(one)
        if isinstance(one, tuple)
        else isinstance(one, type) and issubclass(one, BaseException)
        for one in classes
    )


def _ask(hook: Callable[[BaseException], object], error: BaseException) -> float | bool:
    answer = hook(error)
    if isinstance(answer, bool):
        return answer
    if answer is None:
        import warnings

        warnings.warn(
            f"Backoff hook {hook!r} returned None, which is taken for False:"
            " a backoff hook returns a bool, seconds or a timedelta.",
            stacklevel=2,
        )
        return False
    try:
        seconds = _seconds(answer)
    except (TypeError, ValueError):
        allowed = "a bool, seconds or a timedelta"
        raise TypeError(f"backoff hook {hook!r}: returned {answer!r}, allowed {allowed}") from None
    return seconds if seconds > 0 else 0.0  # a moment that is over, and what is no number


def _seconds(value: object) -> float:
    seconds = getattr(value, "total_seconds", None)
    return float(value if seconds is None else seconds())  # type: ignore[arg-type]  # may raise


class Plan:
    """How often a call is repeated, and after which pauses.

    Immutable; safe to share between threads and event loops.
    """

    __slots__ = (
        "attempts",
        "timeout",
        "wait_exp_base",
        "wait_initial",
        "wait_jitter",
        "wait_max",
    )

    def __init__(
        self,
        attempts: float | None,
        timeout: float | timedelta | None,
        wait_initial: float | timedelta,
        wait_max: float | timedelta,
        wait_jitter: float | timedelta,
        wait_exp_base: float,
    ) -> None:
        problems = Problems("retry")
        if attempts is not None:
            _number(problems, "attempts", attempts)
        self.attempts: Any = attempts  # an integer, or what compares with one
        self.timeout = None if timeout is None else _number(problems, "timeout", timeout)
        self.wait_initial = _number(problems, "wait_initial", wait_initial)
        self.wait_max = _number(problems, "wait_max", wait_max)
        self.wait_jitter = _number(problems, "wait_jitter", wait_jitter)
        # A float overflows at once; a power of an integer takes ever more time and memory.
        self.wait_exp_base = _number(problems, "wait_exp_base", wait_exp_base)
        problems.done()

    def warn_of_zero(self) -> None:
        """Say that a timeout of 0 is not what it looks like, to who called who calls this."""
        if self.timeout == 0:
            import warnings

            warnings.warn(
                "timeout=0 means no retries will be attempted. Use timeout=None for no timeout.",
                stacklevel=3,
            )

    def least_pause(self, number: int) -> float:
        """Return the seconds of the pause after the attempt of that number, without jitter."""
        return self._pause(number, 0.0)

    def pause(self, number: int) -> float:
        """Draw the seconds of the pause after the attempt of that number."""
        # Of the module: tests seed it, and patch it, as in stamina.
        jitter = random.uniform(0, self.wait_jitter) if self.wait_jitter else 0.0
        return self._pause(number, jitter)

    def _pause(self, number: int, jitter: float) -> float:
        if CONFIG.testing is not None:
            return 0.0
        try:
            pause = self.wait_initial * self.wait_exp_base ** (number - 1) + jitter
        except OverflowError:
            pause = self.wait_max
        pause = min(self.wait_max, pause)
        return pause if pause > 0 else 0.0


def _number(problems: Problems, field: str, value: object) -> float:
    """Check a number, which may be negative or infinite: stamina takes both. A timedelta is one."""
    if not isinstance(value, bool):
        try:
            number = _seconds(value)
        except (TypeError, ValueError, OverflowError):
            pass
        else:
            if not isinstance(value, (str, bytes)) and not isnan(number):
                return number
    problems.refuse(field, value, "a number" if field in _COUNTS else "seconds or a timedelta")
    return 0.0


_COUNTS = ("attempts", "wait_exp_base")


class _Nobody:
    """Who is told of a pause where there is no hook."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        pass


NOBODY = _Nobody()


def _sleep(seconds: float) -> None:
    """Sleep; no time at all only where that is asked of somebody else, as a hub of greenlets."""
    if seconds > 0 or getattr(time.sleep, "__self__", None) is not time:
        time.sleep(seconds)


class Retried(Course):
    """A call from its first failure on: whether it is repeated, and what its hooks are told.

    Attributes:
        error: What the last attempt raised, until that is somebody else's.

    Belongs to the thread or task of the call.
    """

    __slots__ = ("_about", "_judge", "_plan", "_since", "_told", "_waited", "error")

    def __init__(
        self,
        policy: FaceRetry,
        plan: Plan,
        judge: Judge,
        since: float,
        about: tuple[str, tuple[object, ...], dict[str, object]],
        error: BaseException,
    ) -> None:
        """Begin with the first failure.

        Args:
            policy: Who counts.
            plan: How often, and after which pauses.
            judge: Which errors.
            since: When the call began, by the policy's time; 0 if the plan has no timeout.
            about: The name and the arguments of the call, for hooks.
            error: What the first attempt raised.
        """
        super().__init__(policy)
        self._plan = plan
        self._judge = judge
        self._since = since
        self._about = about
        self._waited = 0.0
        self._told: Told | _Nobody = NOBODY  # the hooks, for the time of the pause
        self.error: BaseException | None = error

    def take(self) -> BaseException:
        """Return the error of the last attempt, which is the caller's: this lets go of it."""
        error, self.error = self.error, None
        assert error is not None  # of a call that has failed
        return error

    def follows(self) -> bool:
        """Wait for the next attempt. False: none follows the last, whose error is to be taken."""
        seconds = self._granted()
        if seconds is None:
            return False
        try:
            with self._told:
                self.pause(seconds, _sleep, replaceable=True)
        except BaseException as raised:
            self.stop(raised)
            raise
        return True

    async def afollows(self) -> bool:
        """Do what ``follows`` does, in a task of asyncio or trio."""
        seconds = self._granted()
        if seconds is None:
            return False
        try:
            with self._told:
                await self.apause(seconds)
        except BaseException as raised:
            self.stop(raised)
            raise
        return True

    def _granted(self) -> float | None:
        """Return the pause before the next attempt, told to hooks; None: none follows."""
        error = self.error
        assert error is not None
        seconds = self._decide(error)
        if seconds is None or not self.again(seconds, error):
            return None
        self.error = None  # an attempt follows
        try:
            self._tell(error, seconds)
        except BaseException as raised:
            self.stop(raised)
            raise
        return seconds

    def _decide(self, error: BaseException) -> float | None:
        """Return the pause before another attempt; None: there is none, and it is counted."""
        if is_final(error):
            self.refuse(error)
            return None
        if not CONFIG.is_active:
            self.give_up()
            return None
        try:
            wanted = self._judge(error)
        except BaseException as raised:
            self.stop(raised)
            raise
        if wanted is False:
            self.refuse(error)
            return None
        plan, number, testing = self._plan, self.retries + 1, CONFIG.testing
        attempts = plan.attempts if testing is None else testing.get_attempts(plan.attempts)
        if attempts is not None and number >= attempts:
            self.give_up()
        elif testing is not None:
            return 0.0
        elif plan.timeout is not None and self.policy.now() - self._since >= plan.timeout:
            self.give_up("out_of_time")
        else:
            return plan.pause(number) if wanted is True else wanted
        return None

    def _tell(self, error: BaseException, seconds: float) -> None:
        """Tell the hooks of a retry before its pause."""
        from holdfast.compat.stamina.instrumentation._hooks import get_on_retry_hooks

        self._told = NOBODY
        if hooks := get_on_retry_hooks():
            from holdfast.compat.stamina.instrumentation._data import RetryDetails
            from holdfast.compat.stamina.instrumentation._telling import Told

            number, waited = self.retries + 1, self._waited
            details = RetryDetails(*self._about, number, seconds, waited, error)  # type: ignore[arg-type]  # or on= names others
            self._told = Told(hooks, details)
        self._waited += seconds
