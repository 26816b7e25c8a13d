"""Error budget: how many requests of a window failed, and how many an objective allows.

Owns the settings and the face; the counting is ``csrc/holdfast/hf_error_budget.h``, when it pages
``burn``.
"""

from __future__ import annotations

from math import ceil, inf

from holdfast._native.error_budget import EXHAUSTED
from holdfast._native.error_budget import ErrorBudget as Kernel
from holdfast._native.gate import Gate, _fork_number
from holdfast.clock import SystemClock, read_clock
from holdfast.errors import ShedError
from holdfast.events import Listeners
from holdfast.mode import Mode, read_mode
from holdfast.policies.base import NATIVE_MODES, Policy, settings_of
from holdfast.policies.error_budget.burn import MIN_FAILURES, PAIRS
from holdfast.policies.telling import Telling
from holdfast.priorities import current
from holdfast.stores.figures import ERROR_BUDGET, OWN_CLOCK
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, Literal

    from holdfast._native.gate import Permit
    from holdfast.clock import Clock
    from holdfast.events import Event
    from holdfast.policies.base import On
    from holdfast.policies.error_budget.snapshot import ErrorBudgetSnapshot
    from holdfast.stores.ledger import Part

__all__ = ["ErrorBudget"]

_WHOLE = 10**9  # shares are in billionths
_SECOND = 10**9
_LONGEST_BURN_NS = 6 * 3600 * _SECOND
_MOST = 2**62


class ErrorBudget(Policy):
    """Counts how many requests failed, and how much of the error budget they have used up.

    An objective of 0.999 allows one request in 1,000 to fail: that is the budget. It is exhausted
    when more of the requests of the last ``window`` seconds failed. The window slides in tenths.

    A budget counts how the whole operation ended, so it is the outermost policy. A value is a
    success, also that of a fallback. An exception that ``on`` names is a failure. Cancellations and
    interrupts do not count.

    Args:
        name: The operation, for messages, metrics and the registry.
        slo: The share of requests that must succeed, above 0 and at most 1.
        window: The length of the window in seconds, 1 s to a hundred years.
        min_requests: Requests in the window before the budget can be exhausted. None: as many as
            allow one failure (1,000 for 0.999), or fewer of which ten failed.
        count_rejections: Whether a call that another policy rejected has failed.
        on_exhausted: "observe" only tells; "shed" also refuses calls while the budget is exhausted,
            the less important the more of them, see ``priority``. A callable is called with the
            event.
        on_recovered: Called with the event when the budget is no longer exhausted.
        on: Exceptions that are failures: classes, categories ("transient", "permanent",
            "resource", "logic"), several of both, or a predicate.
        ignore: Exceptions that do not count although ``on`` names them; as ``on``.
        is_failure: A predicate of results, and of exceptions that ``on`` names: whether it is a
            failure. None: no result is.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared budget of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> budget = ErrorBudget("send", slo=0.99, window=3600)
    >>> budget.record(ok=True, n=399)
    >>> budget.record(ok=False)
    >>> budget.remaining
    0.75
    """

    __slots__ = ("_allowed", "_before_reset", "_window_ns")

    kind = "error_budget"
    _kernel: Kernel

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    def __init__(
        self,
        name: str,
        *,
        slo: float = 0.999,
        window: float | timedelta = 3600.0,
        min_requests: int | None = None,
        count_rejections: bool = True,
        on_exhausted: Literal["observe", "shed"] | Callable[[Event], object] = "observe",
        on_recovered: Callable[[Event], object] | None = None,
        on: On = (Exception,),
        ignore: On = (),
        is_failure: Callable[[Any], object] | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        problems = Problems("ErrorBudget", name)
        name = problems.name(name)
        slo = problems.number("slo", slo, above=0.0, most=1.0)
        window_ns = problems.duration("window", window, least_ns=_SECOND)
        problems.integer("min_requests", min_requests, least=1, most=_MOST, none=True)
        count_rejections = problems.flag("count_rejections", count_rejections)
        _check_action(problems, on_exhausted)
        on_recovered = problems.asked("on_recovered", on_recovered)
        on, classes, categories, wanted = problems.matcher("on", on, empty=False)
        ignore, ignored, ignored_categories, unwanted = problems.matcher("ignore", ignore)
        is_failure = problems.asked("is_failure", is_failure)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        allowed = 0 if slo == 1 else max(1, round((1 - slo) * _WHOLE))
        sheds = on_exhausted == "shed"
        kernel = Kernel(
            window_ns,
            allowed,
            *_evidence(min_requests, allowed),
            not isinstance(clock, SystemClock),
            count_rejections,
            sheds,
            clock.now_ns(),
        )
        self._bind(
            "error_budget",
            (kernel,),
            clock,
            name,
            NATIVE_MODES[mode],
            ShedError,
            on=classes,
            on_categories=categories,
            wanted=wanted,
            ignore=ignored if unwanted is None else unwanted,
            ignore_categories=ignored_categories,
            is_failure=is_failure,
            retry_after=current if sheds else None,
        )
        self._allowed = allowed
        self._window_ns = window_ns
        self._before_reset: tuple[int, tuple[int, ...], int] = (0, (), 0)
        self._keep(
            slo=slo,
            window=window,
            min_requests=min_requests,
            count_rejections=count_rejections,
            on_exhausted=on_exhausted,
            on_recovered=on_recovered,
            on=on,
            ignore=ignore,
            is_failure=is_failure,
            clock=clock,
            mode=mode,
        )
        if callable(on_exhausted):
            self._call_on("budget_exhausted", on_exhausted)
        if on_recovered is not None:
            self._call_on("budget_recovered", on_recovered)

    _setting_names = settings_of(__init__)

    # ---- recording by hand ----

    if TYPE_CHECKING:

        def acquire(self) -> Permit:
            """Admit one call and return a permit.

            Returns:
                A permit. Settle it with success(), failure(exc) or ignore(), or use it as a context
                manager. A permit that is garbage-collected counts nothing.

            Raises:
                ShedError: The budget is exhausted, and the call is shed.
            """

    else:
        acquire = Gate._permit

    def record(self, ok: bool, n: int = 1) -> None:
        """Count requests that were not made through this policy.

        Args:
            ok: Whether they succeeded.
            n: How many, at least 1.

        Raises:
            ConfigError: ``ok`` is no bool, or ``n`` is no integer from 1 on.
        """
        given: tuple[object, object] = ok, n
        if tuple(map(type, given)) != (bool, int) or not 0 < n <= _MOST:
            problems = Problems("ErrorBudget", self.name)
            problems.flag("ok", ok)
            n = problems.integer("n", n, least=1, most=_MOST)
            problems.done()
        if self.mode is not Mode.OFF and self._kernel.record(ok, n, self._clock.now_ns()):
            self._changed()

    # ---- what others see ----

    @property
    def exhausted(self) -> bool:
        """Whether more of the requests in the window failed than the objective allows."""
        self._changed()
        return bool(self._kernel.judge(self._clock.now_ns()) & EXHAUSTED)

    @property
    def remaining(self) -> float:
        """The share of the budget that is left, 0.0 to 1.0."""
        return 1.0 - min(1.0, self._rate(self._kernel.outcomes(0, self._clock.now_ns())))

    @property
    def paging(self) -> tuple[str, ...]:
        """The pairs of windows that show a burn worth a page: "5m/1h", "30m/6h"."""
        state = self._kernel.judge(self._clock.now_ns())
        return tuple(pair.word for pair in PAIRS if state & pair.bit)

    def burn_rate(self, window: float | timedelta | None = None) -> float:
        """Return how fast the budget is being used up.

        The rate is the share of requests that failed, divided by the share that may fail. At 1 the
        budget lasts exactly its window; at 14.4 it is gone in a fourteenth of that.

        Args:
            window: The last seconds to look at: up to six hours, or up to the budget's own window
                if that is longer. None is the budget's own window. The result covers whole
                slices, two at least: of 30 s up to an hour, of 3 min up to six hours, else of a
                tenth of the budget's window.

        Returns:
            0.0 without failures; ``math.inf`` if something failed and nothing may (slo 1).

        Raises:
            ConfigError: ``window`` is not a duration in that range.
        """
        now_ns = self._clock.now_ns()
        if window is None:
            return self._rate(self._kernel.outcomes(0, now_ns))
        problems = Problems("ErrorBudget", self.name)
        most_ns = max(_LONGEST_BURN_NS, self._window_ns)
        length_ns = problems.duration("window", window, least_ns=1, most_ns=most_ns)
        problems.done()
        seen = self._kernel.outcomes_in(length_ns, now_ns)
        return self._rate(self._kernel.outcomes(0, now_ns) if seen is None else seen)

    def snapshot(self) -> ErrorBudgetSnapshot:
        """Return the current budget and counts; see ``ErrorBudgetSnapshot`` for the fields."""
        make = _snapshot_class()
        now_ns = self._clock.now_ns()
        state, outcomes, times, counters = self._kernel.view(now_ns)
        total, failed = outcomes[0]
        rates: list[float | None] = [0.0] * 5
        consumed = 0.0
        if failed or outcomes[-1][1]:  # in the longest of the others
            found = [self._rate(seen) for seen in outcomes]
            consumed = min(1.0, found[0])
            rates = [_finite(rate) for rate in found]
        own, m5, h1, m30, h6 = rates
        made_ns, success_ns, failure_ns, down_ns = times
        exhausted, fast, slow, shed, observed, downtime_ns, since_ns = self._since_reset(
            counters[2:], made_ns
        )
        if down_ns is not None and failure_ns is not None:
            downtime_ns += max(0, failure_ns - down_ns)
        lived_ns = now_ns - since_ns
        tenth_ns = self._window_ns // 10
        start_ns = max(since_ns, (now_ns // tenth_ns - 9) * tenth_ns)
        return make(
            name=self.name,
            slo=self._setting("slo"),
            total_requests=total,
            failed_requests=failed,
            success_rate=1.0 - failed / total if total else 1.0,
            remaining_budget=1.0 - consumed,
            consumed_budget=consumed,
            allowed_failures=max(0, total * self._allowed // _WHOLE - failed),
            budget_exhausted=bool(state & EXHAUSTED),
            burn_rate=own,
            burn_rate_5m=m5,
            burn_rate_1h=h1,
            burn_rate_30m=m30,
            burn_rate_6h=h6,
            paging=tuple(pair.word for pair in PAIRS if state & pair.bit) if state else (),
            availability=max(0.0, 1.0 - downtime_ns / lived_ns) if lived_ns > 0 else 1.0,
            window_start=start_ns / 1e9,
            window_duration=self._window_ns / 1e9,
            total_downtime=downtime_ns / 1e9,
            last_fail_time=None if failure_ns is None else failure_ns / 1e9,
            last_success_time=None if success_ns is None else success_ns / 1e9,
            times_exhausted=exhausted,
            pages=fast + slow,
            shed=shed,
            observed=observed,
        )

    def reset(self) -> None:
        """Empty the window and set the counts in snapshots to zero."""
        counts = self._kernel.counters()[2:]
        self._before_reset = _fork_number(), counts, self._clock.now_ns()
        self._kernel.clear()
        self._say("reset", "was reset")
        self._changed()

    def _since_reset(self, counts: tuple[int, ...], made_ns: int) -> tuple[int, ...]:
        """Return the counts since a reset, and when that was.

        What metrics export is never set back; only what a snapshot shows is.
        """
        fork, before, at_ns = self._before_reset
        if not before or fork != _fork_number():
            return *counts, made_ns
        return *(new - old for new, old in zip(counts, before, strict=True)), at_ns

    def _in_words(self) -> str:
        return f"{self.remaining:.0%} left"

    def _figured(self) -> tuple[Part, ...]:
        own_clock = OWN_CLOCK if not isinstance(self._clock, SystemClock) else 0
        return ((ERROR_BUDGET, self._kernel, own_clock),)

    def _further_costs(self) -> list[str]:
        return ["may shed"] * (self._setting("on_exhausted") == "shed")

    def _rate(self, seen: tuple[int, int]) -> float:
        """Return the burn rate of (total, failed) requests."""
        total, failed = seen
        if failed == 0:
            return 0.0
        return failed * _WHOLE / (total * self._allowed) if self._allowed else inf

    # ---- what changes ----

    def _call_on(self, kind: str, callback: Callable[[Event], object]) -> None:
        def listener(event: Event) -> object:
            return callback(event) if event.kind == kind else None

        self._once("_listeners", Listeners).subscribe(listener)
        self._mind_listeners()

    def _changed(self) -> None:
        """Find out what is true now, and tell of what was not: called by the gate as well."""
        telling: Telling | None = self._queue
        if telling is None:
            telling = self._once("_queue", Telling)
        telling.change(self._settle, self._tell)
        goes_on = self._listening and self._kernel.may_change(self._clock.now_ns())
        if goes_on and not self._kernel.watch(True):
            from holdfast.policies.error_budget.watching import watch

            if not watch(self, self._window_ns / 1e9):
                self._kernel.watch(False)  # the next failure tries again

    def _settle(self) -> list[tuple[int, bool]]:
        """Return the bits that have changed, and whether each is true now."""
        before, state = self._kernel.settle(self._clock.now_ns())
        bits = (EXHAUSTED, *(pair.bit for pair in PAIRS))
        return [(bit, bool(state & bit)) for bit in bits if (before ^ state) & bit]

    def _tell(self, bit: int, begins: bool) -> None:
        now_ns = self._clock.now_ns()
        if bit == EXHAUSTED:
            total, failed = self._kernel.outcomes(0, now_ns)
            allowed, share = self._allowed / _WHOLE, failed / total if total else 0.0
            if begins:
                self._emit("budget_exhausted", old=allowed, new=share, reason="errors")
            else:
                self._emit("budget_recovered", old=allowed, new=share, reason="errors")
            return
        [pair] = [pair for pair in PAIRS if pair.bit == bit]
        rate = _finite(self._rate(self._kernel.outcomes(pair.short, now_ns)))
        if begins:
            self._emit("page", old=pair.rate, new=rate, reason=pair.word)
        else:
            self._emit("page_ended", old=pair.rate, new=rate, reason=pair.word)

    def _goes_on(self) -> bool:
        """Look at what is true now; return whether it may change without traffic."""
        self._changed()
        if not self._listening or not self._kernel.may_change(self._clock.now_ns()):
            self._kernel.watch(False)
            # A failure that was recorded meanwhile has found it watched.
            if not self._listening or not self._kernel.may_change(self._clock.now_ns()):
                return False
            self._kernel.watch(True)
        return True


def _check_action(problems: Problems, value: object) -> None:
    if callable(value):
        problems.asked("on_exhausted", value, none=False)
    elif value not in ("observe", "shed"):
        problems.refuse(
            "on_exhausted", value, '"observe", "shed", or a callable that takes one argument'
        )


def _evidence(min_requests: int | None, allowed: int) -> tuple[int, int]:
    """Return the requests, and the failures, of which either are enough to prove something."""
    if min_requests is not None:
        return min_requests, _MOST
    return ceil(_WHOLE / allowed) if allowed else 1, MIN_FAILURES


_made_of: list[type[ErrorBudgetSnapshot]] = []


def _snapshot_class() -> type[ErrorBudgetSnapshot]:
    """Return the class of snapshots, which imports dataclasses; an import takes a microsecond."""
    if not _made_of:
        from holdfast.policies.error_budget.snapshot import ErrorBudgetSnapshot

        _made_of.append(ErrorBudgetSnapshot)
    return _made_of[0]


def _finite(rate: float) -> float | None:
    return None if rate == inf else rate
