"""Circuit breaker: stops calling what keeps failing, and finds out when it is well again.

Owns the settings and the face; every decision is ``csrc/holdfast/hf_breaker.h``.
"""

from __future__ import annotations

from contextlib import suppress

from holdfast._native.breaker import Breaker as Kernel
from holdfast._native.gate import Gate
from holdfast.clock import SystemClock, read_clock
from holdfast.errors import CircuitOpenError
from holdfast.events import Event
from holdfast.mode import Mode, read_mode
from holdfast.policies.base import NATIVE_MODES, Default, Policy, read_on_result, settings_of
from holdfast.policies.breaker.rules import read_recovery, read_rules
from holdfast.policies.breaker.state import STATES, State
from holdfast.policies.breaker.windows import CountWindow, TimeWindow
from holdfast.seeds import fresh_seed
from holdfast.stores.figures import BREAKER, LATENCY, OWN_CLOCK
from holdfast.validation import Problems, is_checking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast._native.gate import Permit
    from holdfast.clock import Clock
    from holdfast.policies.base import On, OnResult
    from holdfast.policies.breaker.snapshot import CircuitBreakerSnapshot, LatencySnapshot
    from holdfast.stores.ledger import Part
    from holdfast.trip import Trip

__all__ = ["CircuitBreaker"]


_ORDINARY = (State.CLOSED, State.HALF_OPEN, State.OPEN)
_ORDINARY_AT = {STATES.index(state) for state in _ORDINARY}
_SHUT = (State.OPEN, State.FORCED_OPEN)

# Why it moved, in a word, in the order of enum hf_rule; by itself, when the time has come.
BY_TIME = 0
RULES = (
    "",
    "consecutive_failures",
    "failure_rate",
    "slow_call_rate",
    "probe_failed",
    "probe_slow",
    "manual",
    "health",
)
_REASONS = {State.HALF_OPEN: "reset_timeout", State.CLOSED: "probes_succeeded"}
_THRESHOLDS = {
    "consecutive_failures": "failure_threshold",
    "failure_rate": "failure_rate",
    "slow_call_rate": "slow_call_rate",
}


class CircuitBreaker(Policy):
    """Rejects calls to a dependency that fails repeatedly, until probes succeed.

    Closed: all calls pass. Open: all calls are rejected for ``reset_timeout`` seconds. Half-open:
    a few probes pass; enough successes close the breaker, and one failure opens it again.

    A call that a probe makes through the same breaker belongs to the probe. It is admitted, also
    in tasks and in threads that have a copy of the context. Its failure counts; its success does
    not. A result counts only in the period that admitted its call.

    Cancellations and interrupts count neither as success nor as failure. This includes a
    cancelled ``concurrent.futures.Future`` unless ``on`` names its exception. A rejection by
    another policy counts only if ``on`` names it. An exception group is a failure if one of its
    exceptions is. The state changes only when a call is made: after the open time, the next call
    becomes a probe.

    Args:
        name: The guarded dependency, for messages, metrics and the registry.
        failure_threshold: Consecutive failures that open the breaker, 1 to 1,000,000. The default
            is 5, or None if a rate is given. The breaker opens if any of its rules applies.
        failure_rate: Share of failures in the window that opens the breaker, above 0 to 1.
        window: The calls for the rates: ``CountWindow(calls)`` or ``TimeWindow(seconds)``. It is
            unused without a rate, and starts empty each time the breaker closes.
        min_calls: Calls that the window must contain before a rate is evaluated. The default is
            reduced to the size of a smaller ``CountWindow``.
        slow_call_duration: Seconds from which a call counts as slow; snapshots show it even
            without a rate.
        slow_call_rate: Share of slow calls in the window that opens the breaker. A slow probe
            then counts as a failed probe.
        reset_timeout: Seconds that the breaker stays open before it admits a probe.
        reset_backoff: ``(factor, max seconds, jitter)``. After each failed probe, the open time
            is multiplied by ``factor``, up to ``max``, and a random share of up to ``jitter`` is
            added; the maximum applies to the sum. The open time is reset when the breaker closes,
            and by each manual override except ``half_open``.
        half_open_max_calls: Probes that may run at the same time, 1 to 32.
        success_threshold: Successful probes that close the breaker, 1 to 1,000,000.
        probe_timeout: Seconds after which a probe loses its slot without an outcome; None for
            never. Its later result counts if the half-open period has not ended.
        failure_reset: Seconds without a failure after which consecutive failures are forgotten.
        on: Exceptions that count as failures: classes, categories ("transient", "permanent",
            "resource", "logic"), several of both, or a predicate. All other exceptions are
            successes, because the dependency has answered. A category is asked of each exception
            in a group. The predicate is called with each Exception that is not a rejection (with
            the group, if it is a group). If a predicate raises, the caller gets that exception and
            the call does not count.
        ignore: Exceptions that count neither as success nor as failure; as ``on``.
        on_result: A predicate, called with each result; True means a failure. "http": a response
            is a failure if its status means that the same call may succeed later.
        is_failure: One predicate for results and exceptions: called with each result and with each
            exception that ``on`` names. Not together with ``on_result``.
        latency: Whether to record durations, which costs two clock reads per call. None: only in
            a pipeline.
        clock: The source of time; use a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None uses the mode of the process (HOLDFAST_MODE).
        shared: Return the existing shared breaker of this name, if its settings are equal.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> breaker = CircuitBreaker("payments", failure_threshold=3)
    >>> breaker.call(len, "ok")
    2
    """

    __slots__ = ()

    kind = "circuit_breaker"
    _kernel: Kernel

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    def __init__(
        self,
        name: str,
        *,
        failure_threshold: int | None = Default(5),
        failure_rate: float | None = None,
        window: CountWindow | TimeWindow = CountWindow(100),  # noqa: B008 - frozen
        min_calls: int = Default(10),
        slow_call_duration: float | timedelta | None = None,
        slow_call_rate: float | None = None,
        reset_timeout: float | timedelta = 60.0,
        reset_backoff: tuple[float, float | timedelta, float] | None = None,
        half_open_max_calls: int = 3,
        success_threshold: int = 3,
        probe_timeout: float | timedelta | None = 30.0,
        failure_reset: float | timedelta | None = None,
        on: On = (Exception,),
        ignore: On = (),
        on_result: OnResult | None = None,
        is_failure: Callable[[Any], object] | None = None,
        latency: bool | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
        load_what_openings_need()
        problems = Problems("CircuitBreaker", name)
        name = problems.name(name)
        rules, failure_threshold, min_calls = read_rules(
            problems,
            failure_threshold=failure_threshold,
            failure_rate=failure_rate,
            window=window,
            min_calls=min_calls,
            slow_call_duration=slow_call_duration,
            slow_call_rate=slow_call_rate,
        )
        recovery = read_recovery(
            problems,
            reset_timeout=reset_timeout,
            reset_backoff=reset_backoff,
            half_open_max_calls=half_open_max_calls,
            success_threshold=success_threshold,
            probe_timeout=probe_timeout,
            failure_reset=failure_reset,
        )
        on, classes, categories, wanted = problems.matcher("on", on)
        ignore, ignored, ignored_categories, unwanted = problems.matcher("ignore", ignore)
        is_failure = problems.asked("is_failure", is_failure)
        judges_results = read_on_result(problems, on_result)
        if is_failure is not None and on_result is not None:
            problems.refuse(
                "on_result",
                on_result,
                "None together with is_failure, which judges results as well; without is_failure, "
                "on= takes a predicate of exceptions",
            )
        latency = None if latency is None else problems.flag("latency", latency)
        clock = read_clock(problems, clock)
        mode = read_mode(problems, mode)
        problems.flag("shared", shared)
        problems.done()
        kernel = Kernel(**rules, **recovery, seed=fresh_seed())
        # First of all, for it refuses to be done twice.
        self._bind(
            "breaker",
            (kernel,),
            clock,
            name,
            NATIVE_MODES[mode],
            CircuitOpenError,
            timed=slow_call_duration is not None,
            on=classes,
            on_categories=categories,
            wanted=wanted,
            ignore=ignored if unwanted is None else unwanted,
            ignore_categories=ignored_categories,
            is_failure=is_failure if judges_results is None else judges_results,
            results_only=judges_results is not None,
        )
        if latency:
            self._record_latency()
        self._keep(
            failure_threshold=failure_threshold,
            failure_rate=failure_rate,
            window=window,
            min_calls=min_calls,
            slow_call_duration=slow_call_duration,
            slow_call_rate=slow_call_rate,
            reset_timeout=reset_timeout,
            reset_backoff=reset_backoff,
            half_open_max_calls=half_open_max_calls,
            success_threshold=success_threshold,
            probe_timeout=probe_timeout,
            failure_reset=failure_reset,
            on=on,
            ignore=ignore,
            on_result=on_result,
            is_failure=is_failure,
            latency=latency,
            clock=clock,
            mode=mode,
        )

    _setting_names = settings_of(__init__)

    # ---- state ----

    @property
    def state(self) -> State:
        """The current state. OPEN with ``retry_after`` 0 admits a probe at the next call."""
        return STATES[self._kernel.state()]

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be admitted; None if only a manual override can admit calls.

        The value is 0.0 when calls pass. It is also 0.0 when the breaker is half-open, because a
        slot becomes free as soon as a probe ends.
        """
        ns = self._kernel.retry_after_ns(self._clock.now_ns())
        return None if ns < 0 else ns / 1e9

    @property
    def in_flight(self) -> int:
        """The number of calls that are admitted and not yet settled."""
        return self._kernel.in_flight()

    def peek(self) -> bool:
        """Return whether a call would be admitted at this moment. Changes no state."""
        now_ns = self._clock.now_ns()
        return self._kernel.peek(now_ns) or self._peek_inside(now_ns)

    if TYPE_CHECKING:

        def acquire(self) -> Permit:
            """Admit one call and return a permit.

            Returns:
                A permit. Settle it with success(), failure(exc) or ignore(), or use it as a context
                manager. A permit that is garbage-collected frees its slot without an outcome.

            Raises:
                Rejected: No call is admitted.
            """

    else:
        acquire = Gate._permit

    # ---- orders ----

    def trip(self) -> None:
        """Open the breaker, as failures would. ``reset_timeout`` starts now."""
        self._order(State.OPEN)

    def half_open(self) -> None:
        """Make the breaker half-open, even if its open time has not ended."""
        self._order(State.HALF_OPEN)

    def reset(self) -> None:
        """Close the breaker and forget failures, probes and the window. The counters continue."""
        self._order(State.CLOSED)

    def force_open(self) -> None:
        """Reject all calls until another override."""
        self._order(State.FORCED_OPEN)

    def disable(self) -> None:
        """Admit all calls and count none until another override."""
        self._order(State.DISABLED)

    def metrics_only(self) -> None:
        """Admit and count all calls, and never change the state, until another override."""
        self._order(State.METRICS_ONLY)

    def _order(self, state: State) -> None:
        change = self._kernel.override(STATES.index(state), self._clock.now_ns())
        if change is not None:
            self._changed(*change)

    # ---- what a health check has proved ----

    def _close_opening(self, opening: int) -> int | None:
        """Close the breaker by evidence that began in this opening; return the generation."""
        change = self._kernel.close_opening(opening)
        if change is None:
            return None
        self._changed(*change)
        return change[2]

    def _open_generation(self, generation: int, failures: int, why: str) -> bool:
        """Open the breaker by evidence that began in this generation; return whether it did."""
        change = self._kernel.open_generation(generation, failures, self._clock.now_ns())
        if change is not None:
            self._changed(*change, why=why)
        return change is not None

    # ---- what others see ----

    def snapshot(self) -> CircuitBreakerSnapshot:
        """Return the current state and counts; see ``CircuitBreakerSnapshot`` for the fields."""
        from holdfast.policies.breaker.snapshot import CircuitBreakerSnapshot

        kernel = self._kernel
        now_ns = self._clock.now_ns()
        admitted, succeeded, failed, ignored, abandoned, rejected, observed, late, slow = (
            kernel.counters()
        )
        rejected = self._rejected(rejected)
        changes = kernel.changes()
        judged = succeeded + failed
        return CircuitBreakerSnapshot(
            name=self.name,
            state=self.state,
            requests=admitted + rejected,
            admitted=admitted,
            succeeded=succeeded,
            failed=failed,
            ignored=ignored,
            abandoned=abandoned,
            rejected=rejected,
            observed=observed,
            late=late,
            slow=slow,
            settled_twice=self._settled_twice,
            in_flight=kernel.in_flight(),
            probes=kernel.probes(now_ns),
            success_rate=succeeded / judged if judged else 1.0,
            consecutive_failures=kernel.failures_in_a_row(now_ns),
            generation=kernel.generation(),
            retry_after=self.retry_after,
            last_failure=_seconds(kernel.last_failure_ns()),
            last_success=_seconds(kernel.last_success_ns()),
            window=kernel.window(now_ns),
            state_changes={
                f"{old}->{new}": n
                for i, old in enumerate(STATES)
                for j, new in enumerate(STATES)
                if (n := changes[len(STATES) * i + j]) or (i != j and {i, j} <= _ORDINARY_AT)
            },
            latency=self._latency(),
            trip=None if self._queue is None else self._queue[1],
        )

    def _latency(self) -> LatencySnapshot | None:
        from holdfast.policies.breaker.snapshot import LatencySnapshot

        if not self._records:
            return None
        histogram = self._histogram
        if histogram is None:
            return LatencySnapshot(count=0, total=0.0, p50=None, p95=None, p99=None)
        return LatencySnapshot(
            count=histogram.count(),
            total=histogram.sum_ns() / 1e9,
            p50=_seconds(histogram.quantile(0.5)),
            p95=_seconds(histogram.quantile(0.95)),
            p99=_seconds(histogram.quantile(0.99)),
        )

    def _figured(self) -> tuple[Part, ...]:
        timed = ((LATENCY, self._histogram, 0),) if self._histogram is not None else ()
        own_clock = 0 if isinstance(self._clock, SystemClock) else OWN_CLOCK
        return ((BREAKER, self._kernel, own_clock), *timed)

    def _ended(self, failed: bool, error: BaseException | None) -> None:
        """Log how a call has ended, as a log has asked for that with ``_tells``."""
        if not failed:
            self._say("call_succeeded", "operation successful")
        elif error is None:
            self._say("call_failed", "operation failed")
        else:
            self._say("call_failed", "operation failed (%s)", type(error).__name__)

    def _changed(
        self,
        old: int,
        new: int,
        generation: int,
        rule: int,
        count: int,
        calls: int,
        error: BaseException | None = None,
        result: tuple[Any] | None = None,
        why: str | None = None,
    ) -> None:
        """Be told of a change, and of the error or the result of the call that caused it.

        If no call has caused it, ``why`` says what has.
        """
        was, now = STATES[old], STATES[new]
        at = self._clock.now_ns() / 1e9
        trip = interruption = None
        if now in _SHUT:
            try:
                trip = self._trip_of(rule, count, calls, error, result, why, at, generation)
            except ImportError:  # the interpreter ends, and nobody will ask
                pass
            except BaseException as raised:  # noqa: BLE001 - raised when all is done
                interruption = raised
        del error, result  # or what listeners raise would keep them alive
        if now is not State.HALF_OPEN:
            self._keep_trip(generation, trip)
        event = Event(
            "transition" if was in _ORDINARY and now in _ORDINARY else "override",
            self,
            self.name,
            old=was,
            new=now,
            reason=_REASONS[now] if rule == BY_TIME else RULES[rule],
            retry_after=self.retry_after if now in _SHUT else None,
            at=at,
            generation=generation,
            trip=trip,
        )
        try:
            if self._listeners:
                self._listeners.emit(event)
        finally:
            self._log(event)
        if interruption is not None:
            raise interruption

    def _trip_of(
        self,
        rule: int,
        count: int,
        calls: int,
        error: BaseException | None,
        result: tuple[Any] | None,
        why: str | None,
        at: float,
        generation: int,
    ) -> Trip:
        from holdfast.redaction import describe_error, describe_result
        from holdfast.trip import Trip

        name, text = (None, why) if error is None else describe_error(error)
        if result is not None:
            text = describe_result(result[0])
        setting = _THRESHOLDS.get(RULES[rule])
        return Trip(
            rule=RULES[rule],
            count=count,
            calls=calls or None,
            threshold=None if setting is None else self._setting(setting),
            error_type=name,
            error_text=text,
            time=self._clock._wall_time(),
            at=at,
            generation=generation,
        )

    def _log(self, event: Event) -> None:
        if self.mode is Mode.OFF:
            return
        try:
            from holdfast.transitions import log_transition
        except ImportError:  # the interpreter ends
            return
        log_transition(event, self.mode is Mode.OBSERVE)

    def _in_words(self) -> str:
        state, wait = self.state.value, self.retry_after
        return f"{state}, retry in {wait:.1f} s" if wait and state == "open" else state

    def _record_in_pipeline(self) -> None:
        """Durations are recorded inside a pipeline unless the caller said no."""
        if self._setting("latency") is None and not self._records and not is_checking():
            self._record_latency()

    def _make_histogram(self) -> None:
        """Be asked by the gate, which has the first duration to record."""
        self._keep_histogram(self._new_histogram(LATENCY))

    def _further_costs(self) -> list[str]:
        timed = self._records or self._setting("slow_call_duration") is not None
        asks = any(self._setting(field) is not None for field in ("on_result", "is_failure"))
        return ["reads the clock"] * timed + ["calls Python for each result"] * asks


def load_what_openings_need() -> None:
    """Import it now: a breaker may open since no file can be opened, and then callers wait."""
    with suppress(ImportError, OSError):  # the interpreter ends, or there is none left already
        import holdfast.redaction
        import holdfast.transitions
        import holdfast.trip  # noqa: F401


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9
