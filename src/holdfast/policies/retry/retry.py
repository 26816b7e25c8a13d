"""Retry: tries again what failed, after a while, as long as that helps.

Owns the settings, the face, and what is asked of Python code: predicates, hooks, notes. When a call
is tried again is ``csrc/python/step_retry.c`` with ``hf_retry.h``; ``waiting`` makes the pauses.
"""

from __future__ import annotations

from functools import cache

from holdfast._native.gate import _need_answer
from holdfast._native.retry import VERDICTS
from holdfast._native.retry import Retry as Kernel
from holdfast.asked_delay import read_delay_ns
from holdfast.clock import read_clock
from holdfast.errors import Rejected, RetryExhaustedError
from holdfast.events import warn
from holdfast.mode import read_mode
from holdfast.policies.backoff.adaptive import adaptive_in
from holdfast.policies.backoff.formulas import Backoff, Exponential, kernel_of, read_backoff
from holdfast.policies.base import (
    NATIVE_MODES,
    Policy,
    made_within,
    read_on_result,
    scope_of,
    settings_of,
)
from holdfast.policies.retry.budget import RetryBudget
from holdfast.policies.retry.notes import WHY, add_note, failure_in_words
from holdfast.stores.figures import RETRY
from holdfast.validation import Problems, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from datetime import timedelta
    from typing import Any, Literal, Protocol, Self, Unpack

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.base import On, OnResult
    from holdfast.policies.retry.settings import AskedDelay, Hook, RetrySettings
    from holdfast.policies.retry.snapshot import RetrySnapshot, RetryState
    from holdfast.stores.ledger import Part

    class Attempt(Protocol):
        """One attempt at a block; ``waiting.attempts`` has the class."""

        number: int
        error: BaseException | None

        def set_result(self, result: Any) -> None: ...
        def __enter__(self) -> Self: ...
        def __exit__(self, *raised: Any) -> bool: ...

    class Attempts(Iterator[Attempt], AsyncIterator[Attempt], Protocol):
        """The attempts at a block."""


__all__ = ["Retry"]

MAX_ATTEMPTS = 1_000_000
TRANSIENT: Literal["transient"] = "transient"


class Retry(Policy):
    """Repeats a failed call after a pause.

    Some calls are not repeated: cancelled or interrupted calls, rejections that ``on`` does not
    name, and calls whose enclosing ``Timeout`` has expired. No pause goes past that deadline. An
    exception group is retried only if all its exceptions would be. After the last attempt, the
    exception of the call is raised with a note. A generator is retried only until its first item.
    The policy stores no data of a call.

    Args:
        name: The called service, for messages, metrics and the registry.
        attempts: The number of attempts, including the first, 1 to 1,000,000; None for no limit
            except ``max_time``.
        backoff: The pauses between attempts: a ``Backoff``, or the seconds of a constant pause;
            by default ``Exponential(0.1, max=10)``.
        on: Exceptions that are retried: classes, categories ("transient", "permanent", "resource",
            "logic"), several of both, or a predicate. A category is asked of each exception in a
            group. The predicate is called with each Exception that is not a rejection (with the
            group, if it is a group).
        ignore: Exceptions that are not retried although ``on`` names them; as ``on``.
        on_result: A predicate, called with each result; True means retry. "http": a response is
            retried if its status means that the same call may succeed later, and is closed before
            the next attempt, which may need its connection. The last result is returned.
        max_time: Seconds after the first attempt in which the last attempt may start; None for no
            limit.
        budget: A limit on the extra load of all calls. "own" creates a new ``RetryBudget``; None
            means no limit.
        retry_after: A function that gets the exception or the result and returns the delay that
            the other side has requested: a number of seconds, a timedelta, a datetime, or the
            text of a ``Retry-After`` header. None means no request. An invalid delay is ignored
            and logged once. By default, the ``retry_after`` of the exception is used, or the
            ``Retry-After`` header of its response (the longest delay, in a group); with
            ``on_result="http"`` also that of a response that is retried.
        max_retry_after: The longest requested delay, in seconds, that is granted.
        before_sleep: Called with a ``RetryState`` before each pause.
        on_exhausted: Called with a ``RetryState`` when a retryable call is given up.
        wrap: Raise ``RetryExhaustedError`` from the last error when a call is given up.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared retry of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> Retry("network", attempts=3, on=ConnectionError).call(len, "ok")
    2
    """

    __slots__ = (
        "_before_sleep",
        "_max_retry_after_ns",
        "_on_exhausted",
        "_told_of_nonsense",
        "_wraps",
        "backoff",
        "budget",
    )

    kind = "retry"
    _kernel: Kernel

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    backoff: Backoff
    budget: RetryBudget | None

    def __init__(
        self,
        name: str,
        *,
        attempts: int | None = 4,
        backoff: Backoff | float | timedelta | None = None,
        on: On = TRANSIENT,
        ignore: On = (),
        on_result: OnResult | None = None,
        max_time: float | timedelta | None = None,
        budget: RetryBudget | Literal["own"] | None = "own",
        retry_after: Callable[[Any], AskedDelay | None] | None = None,
        max_retry_after: float | timedelta = 60.0,
        before_sleep: Hook | None = None,
        on_exhausted: Hook | None = None,
        wrap: bool = False,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("Retry", name)
        name = problems.name(name)
        if attempts is not None:
            attempts = problems.integer("attempts", attempts, least=1, most=MAX_ATTEMPTS)
        elif max_time is None:
            allowed = f"an integer from 1 to {MAX_ATTEMPTS}, or None together with max_time"
            problems.refuse("attempts", None, allowed)
        pauses = (
            _default_backoff() if backoff is None else read_backoff(problems, "backoff", backoff)
        )
        if len(adaptive_in(pauses)) > 1:
            problems.refuse("backoff", backoff, "at most one AdaptiveBackoff")
        on, classes, categories, wanted = problems.matcher("on", on)
        ignore, ignored, ignored_categories, unwanted = problems.matcher("ignore", ignore)
        is_failure = read_on_result(problems, on_result)
        max_time_ns = problems.duration("max_time", max_time, none=True)
        if budget != "own" and budget is not None:
            problems.instance("budget", budget, RetryBudget, 'a RetryBudget, "own" or None')
        retry_after = problems.asked("retry_after", retry_after)
        max_retry_after_ns = problems.duration("max_retry_after", max_retry_after)
        before_sleep = problems.asked("before_sleep", before_sleep)
        on_exhausted = problems.asked("on_exhausted", on_exhausted)
        wrap = problems.flag("wrap", wrap)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        assert pauses is not None  # or done() had raised
        kernel = Kernel(attempts or 0, -1 if max_time_ns is None else max_time_ns)
        native = kernel_of(pauses) is not None
        own = RetryBudget(clock=clock) if isinstance(budget, str) else budget
        # First of all, for it refuses to be done twice.
        self._bind(
            "retry",
            (kernel,),
            clock,
            name,
            NATIVE_MODES[mode],
            Rejected,
            on=classes,
            on_categories=categories,
            ignore=ignored if unwanted is None else unwanted,
            ignore_categories=ignored_categories,
            is_failure=is_failure,
            wanted=wanted,
            backoff=pauses if native else None,
            own_backoff=None if native else pauses,
            budget=own and own._kernel,
            budget_clock=own and own._clock,
            failure_rate=adaptive[0]._rate if (adaptive := adaptive_in(pauses)) else None,
            retry_after=retry_after,
            reads_results=isinstance(on_result, str),
            asks=before_sleep is not None or isinstance(on_result, str),
        )
        self.backoff = pauses
        self.budget = own
        self._max_retry_after_ns = max_retry_after_ns
        self._before_sleep = before_sleep
        self._on_exhausted = on_exhausted
        self._wraps = wrap
        self._told_of_nonsense = False
        self._keep(
            attempts=attempts,
            backoff=pauses,
            on=on,
            ignore=ignore,
            on_result=on_result,
            max_time=max_time,
            budget=budget,
            retry_after=retry_after,
            max_retry_after=max_retry_after,
            before_sleep=before_sleep,
            on_exhausted=on_exhausted,
            wrap=wrap,
            clock=clock,
            mode=mode,
        )

    _setting_names = settings_of(__init__)

    def attempts(self) -> Attempts:
        """Return the attempts at a block of code, for ``for`` and ``async for``.

        Each attempt except the first starts after a pause. A cancellation ends the pause
        immediately.

        >>> for attempt in Retry("block").attempts():
        ...     with attempt:
        ...         attempt.number
        1
        """
        from holdfast.waiting.attempts import Attempts

        return Attempts(self)

    def with_options(self, **options: Unpack[RetrySettings]) -> Self:
        """Return a retry with the same name in which some settings differ.

        It shares the budget of this retry, unless ``budget`` is given. Its counts start at zero,
        and metrics add up all retries of one name. It has no listeners.

        Args:
            **options: Settings of a ``Retry``.

        Raises:
            ConfigError: A setting is invalid.
            TypeError: A ``Retry`` has no such setting.

        >>> Retry("network").with_options(attempts=5, backoff=0).call(len, "ok")
        2
        """
        settings = dict(zip(self._setting_names, self._settings, strict=True))
        settings.update(budget=self.budget)
        return made_within(scope_of(self), type(self), self.name, **{**settings, **options})

    def _in_words(self) -> str:
        attempts, seconds = self._setting("attempts"), self._setting("max_time")
        text = "any number of attempts" if attempts is None else f"{attempts} attempts"
        if seconds is None:
            return text
        return f"{text} in {getattr(seconds, 'total_seconds', lambda: seconds)():g} s"

    def snapshot(self) -> RetrySnapshot:
        """Return the current counts; see ``RetrySnapshot`` for the fields."""
        from holdfast.policies.retry.snapshot import RetrySnapshot

        kernel = self._kernel
        succeeded, recovered, observed = kernel.counters()
        gave_up, retries = kernel.gave_up(), kernel.retries()
        counts, delay_ns = kernel.delays()
        bounds = [f"{2**i / 1000}" for i in range(len(counts) - 1)] + ["+Inf"]
        failed = sum(gave_up.values())
        ended = succeeded + failed
        return RetrySnapshot(
            name=self.name,
            attempts=ended + sum(retries),
            succeeded=succeeded,
            failed=failed,
            recovered=recovered,
            success_rate=succeeded / ended if ended else 1.0,
            max_retries=None if (attempts := self._setting("attempts")) is None else attempts - 1,
            retries=retries,
            gave_up=gave_up,
            delays=dict(zip(bounds, counts, strict=True)),
            delay=delay_ns / 1e9,
            observed=observed,
        )

    def _figured(self) -> tuple[Part, ...]:
        return ((RETRY, self._kernel, 0),)

    def reset(self) -> None:
        """Do nothing: a retry has no state except its counts, which continue."""

    def _further_costs(self) -> list[str]:
        asks = self._setting("on_result") is not None
        return ["calls Python for each result"] * asks + [
            "calls Python when it retries",
            "may wait",
        ]

    # ---- what the native gate asks ----

    def _asked_delay_ns(self, asked: object) -> int:
        """Return a delay that the other side asks for; -1 for none, and for what is no delay."""
        ns = read_delay_ns(asked)
        if ns is None:
            if not self._told_of_nonsense:
                self._told_of_nonsense = True
                warn("%r: retry_after returned %s, which is not a delay", self, shown(asked))
            return -1
        return min(ns, self._max_retry_after_ns)

    def _requested_delay(self, about: object) -> float | None:
        """Return the delay that a response, or an error that is made of one, requests."""
        from holdfast.categories.requested import retry_after

        return retry_after(about)

    def _before_retry(
        self, attempts: int, delay_ns: int, elapsed_ns: int, error: Any, result: Any
    ) -> None:
        """Tell of a retry that is about to be waited for."""
        if self._before_sleep is not None:
            state = self._state(attempts, delay_ns, elapsed_ns, error, result)
            _need_answer("before_sleep", self._before_sleep, self._before_sleep(state))
        if result is not None and isinstance(self._setting("on_result"), str):
            from holdfast.categories.http import let_go

            let_go(result)
        self._emit(
            "retry",
            old=attempts,
            new=attempts + 1,
            reason=_name_of(error),
            retry_after=delay_ns / 1e9,
        )

    def _gave_up(
        self, verdict: int, attempts: int, elapsed_ns: int, error: Any, result: Any
    ) -> None:
        """Tell of a call that would have been tried again, but for ``verdict``."""
        why = VERDICTS[verdict]
        if self._on_exhausted is not None:
            state = self._state(attempts, 0, elapsed_ns, error, result)
            _need_answer("on_exhausted", self._on_exhausted, self._on_exhausted(state))
        self._emit("gave_up", old=attempts, reason=why)
        note = self._note(why, attempts, elapsed_ns)
        if self._wraps:
            raise RetryExhaustedError(
                self.name, attempts, elapsed_ns / 1e9, f"{failure_in_words(error)} ({note})", result
            ) from error
        if error is not None and self._setting("attempts") != 1:
            add_note(error, note, self._signature)

    def _not_retried(self, attempts: int, error: BaseException) -> None:
        """Tell of an error that is not one to try again for."""
        self._emit("not_retried", old=attempts, reason=_name_of(error))

    def _recovered(self, attempts: int) -> None:
        """Tell of a call that a retry has saved."""
        self._emit("recovered", old=attempts)

    def _state(
        self, attempts: int, delay_ns: int, elapsed_ns: int, error: Any, result: Any
    ) -> RetryState:
        from holdfast.policies.retry.snapshot import RetryState

        return RetryState(self.name, attempts, error, result, delay_ns / 1e9, elapsed_ns / 1e9)

    def _note(self, why: str, attempts: int, elapsed_ns: int) -> str:
        made = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        return f"{made} in {elapsed_ns / 1e9:.3g} s{WHY[why]}{self._signature}"

    @property
    def _signature(self) -> str:
        return f", policy {self.name!r}"


@cache
def _default_backoff() -> Backoff:
    """Return the back-off of all retries that are given none: it has no state."""
    return Exponential(0.1, factor=2, max=10, jitter=0.1)


def _name_of(error: BaseException | None) -> str:
    return "result" if error is None else type(error).__name__
