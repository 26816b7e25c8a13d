"""Circuit breaker: stops calling what keeps failing, and finds out when it is well again.

Owns the settings and the face; every decision is ``csrc/holdfast/hf_breaker.h``.
"""

from __future__ import annotations

from holdfast._native.breaker import Breaker as Kernel
from holdfast._native.gate import Gate
from holdfast._native.histogram import Histogram
from holdfast.clock import read_clock
from holdfast.errors import CircuitOpenError
from holdfast.events import Listeners
from holdfast.mode import read_mode
from holdfast.policies.base import NATIVE_MODES, Default, Policy
from holdfast.policies.breaker.rules import read_recovery, read_rules
from holdfast.policies.breaker.state import STATES, State
from holdfast.policies.breaker.windows import CountWindow, TimeWindow
from holdfast.seeds import fresh_seed
from holdfast.stores.figures import BREAKER, LATENCY
from holdfast.stores.ledger import ledger
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.mode import Mode
    from holdfast.policies.breaker.snapshot import CircuitBreakerSnapshot, LatencySnapshot
    from holdfast.stores.ledger import Part

__all__ = ["CircuitBreaker"]


_ORDINARY = (State.CLOSED, State.HALF_OPEN, State.OPEN)


class CircuitBreaker(Policy):
    """Rejects calls to a dependency that keeps failing, until probes find it well.

    Closed, every call passes. Open, every call is rejected, for ``reset_timeout``. Half-open, a
    few probes pass: enough successes close it, one failure opens it again. A call that a probe
    makes through the same breaker belongs to the probe: it passes, also from tasks, and from
    threads with a copy of the context; it may fail the probe, and is no success of its own. A
    result counts only in the period that admitted it. Cancellation and interrupts prove nothing:
    they neither lengthen nor end a run of failures; a ``concurrent.futures.Future`` that was
    cancelled is one unless ``on`` names it. A rejection by another policy counts only where ``on``
    names it. An exception group is judged by what is in it: one failure makes it a failure. Time
    alone opens and closes nothing; an opening that is over ends with the next call.

    Args:
        name: What it guards, for messages, metrics and the registry.
        failure_threshold: Consecutive failures that open it, 1 to 1,000,000; 5, or None once
            ``failure_rate`` or ``slow_call_rate`` is given. Of several rules any opens it.
        failure_rate: Share of failures in the window that opens it, above 0 to 1.
        window: The calls that the rates are taken over: ``CountWindow(n)`` or ``TimeWindow(s)``.
            Without a rate there is none. It starts empty whenever the breaker closes.
        min_calls: Calls in the window before a rate is judged; left alone it is lowered to a
            smaller ``CountWindow``.
        slow_call_duration: Seconds from which a call counts as slow; shown also without a rate.
        slow_call_rate: Share of slow calls in the window that opens it. Half-open, a slow probe
            then counts as a failed one.
        reset_timeout: Seconds it stays open before a probe is admitted.
        reset_backoff: ``(factor, max, jitter)``: each time a probe fails the open time grows by
            ``factor`` up to ``max`` seconds, plus a random 0 to ``jitter`` share of it, the cap
            holding afterwards. It starts afresh with every closing, and with every order but
            ``half_open()``.
        half_open_max_calls: Probes in flight at once, not in all, 1 to 32.
        success_threshold: Successful probes that close it, 1 to 1,000,000.
        probe_timeout: Seconds after which a probe gives up its place, without a verdict; None for
            never. Its result, should it still come in the same half-open period, counts.
        failure_reset: Seconds without a failure after which consecutive failures are forgotten.
        on: Exceptions that are failures; others are successes: the dependency answered.
        ignore: Exceptions that prove nothing.
        is_failure: Asked for each result, and each exception that ``on`` names, whether it is a
            failure; of a group, about the group. What it raises goes to the caller, and the call
            proves nothing.
        latency: Whether to record durations (two clock reads a call). None: only in a pipeline.
        clock: Where it reads the time; a ``ManualClock`` in tests.
        mode: "enforce", "observe" or "off"; None for that of the process (HOLDFAST_MODE).
        shared: Return the living shared breaker of that name, if its settings are equal.

    Raises:
        ConfigError: Naming every argument that is not as it should be.

    Safe to share between threads and event loops. Defaults are those of CB-10 and CB-12.

    >>> breaker = CircuitBreaker("payments", failure_threshold=3)
    >>> breaker.call(len, "ok")
    2
    """

    __slots__ = ("_kernel",)

    kind = "circuit_breaker"

    if TYPE_CHECKING:

        @property
        def name(self) -> str:
            """What the user called it."""

    _fields = (
        "failure_threshold",
        "failure_rate",
        "window",
        "min_calls",
        "slow_call_duration",
        "slow_call_rate",
        "reset_timeout",
        "reset_backoff",
        "half_open_max_calls",
        "success_threshold",
        "probe_timeout",
        "failure_reset",
        "on",
        "ignore",
        "is_failure",
        "latency",
        "clock",
        "mode",
    )

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
        on: type[Exception] | tuple[type[Exception], ...] = (Exception,),
        ignore: type[Exception] | tuple[type[Exception], ...] = (),
        is_failure: Callable[[Any], object] | None = None,
        latency: bool | None = None,
        clock: Clock | None = None,
        mode: Mode | str | None = None,
        shared: bool = False,
    ) -> None:
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
        on = problems.exceptions("on", on)
        ignore = problems.exceptions("ignore", ignore)
        is_failure = problems.asked("is_failure", is_failure)
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
            on=on,
            ignore=ignore,
            is_failure=is_failure,
            histogram=Histogram() if latency else None,
        )
        self._kernel = kernel
        self._listeners = Listeners()
        self.mode = mode
        self._settings = (
            failure_threshold,
            failure_rate,
            window,
            min_calls,
            slow_call_duration,
            slow_call_rate,
            reset_timeout,
            reset_backoff,
            half_open_max_calls,
            success_threshold,
            probe_timeout,
            failure_reset,
            on,
            ignore,
            is_failure,
            latency,
            clock,
            mode,
        )

    # ---- state ----

    @property
    def state(self) -> State:
        """The state. OPEN with ``retry_after`` 0 admits a probe at the next call."""
        return STATES[self._kernel.state()]

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be admitted; None when only an order helps.

        0.0 when calls pass, and half-open, where a place is free as soon as a probe ends.
        """
        ns = self._kernel.retry_after_ns(self._clock.now_ns())
        return None if ns < 0 else ns / 1e9

    @property
    def in_flight(self) -> int:
        """Calls admitted and not settled."""
        return self._kernel.in_flight()

    def peek(self) -> bool:
        """Return whether a call made here would be admitted. Never changes anything."""
        now_ns = self._clock.now_ns()
        return self._kernel.peek(now_ns) or self._peek_inside(now_ns)

    acquire = Gate._permit

    # ---- orders ----

    def trip(self) -> None:
        """Open it, as failures would; ``reset_timeout`` runs from here."""
        self._order(State.OPEN)

    def half_open(self) -> None:
        """Let probes decide from here, whatever the open time."""
        self._order(State.HALF_OPEN)

    def reset(self) -> None:
        """Close it, and forget failures, probes and window; the counters go on."""
        self._order(State.CLOSED)

    def force_open(self) -> None:
        """Reject every call until another order."""
        self._order(State.FORCED_OPEN)

    def disable(self) -> None:
        """Let every call pass and count nothing until another order."""
        self._order(State.DISABLED)

    def metrics_only(self) -> None:
        """Let every call pass, count, and never change state until another order."""
        self._order(State.METRICS_ONLY)

    def _order(self, state: State) -> None:
        change = self._kernel.override(STATES.index(state), self._clock.now_ns())
        if change is not None:
            self._changed(*change)

    # ---- what others see ----

    def snapshot(self) -> CircuitBreakerSnapshot:
        """Return its state and counts at this moment; fields in ``CircuitBreakerSnapshot``."""
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
                (old, new): changes[len(STATES) * i + j]
                for i, old in enumerate(STATES)
                for j, new in enumerate(STATES)
                if old is not new
            },
            latency=self._latency(),
        )

    def _latency(self) -> LatencySnapshot | None:
        from holdfast.policies.breaker.snapshot import LatencySnapshot

        histogram = self._histogram
        if histogram is None:
            return None
        return LatencySnapshot(
            count=histogram.count(),
            total=histogram.sum_ns() / 1e9,
            p50=_seconds(histogram.quantile(0.5)),
            p95=_seconds(histogram.quantile(0.95)),
            p99=_seconds(histogram.quantile(0.99)),
        )

    def _figured(self) -> tuple[Part, ...]:
        timed = ((LATENCY, self._histogram, 0),) if self._histogram is not None else ()
        return ((BREAKER, self._kernel, 0), *timed)

    def _changed(self, old: int, new: int, generation: int) -> None:
        was, now = STATES[old], STATES[new]
        ordinary = was in _ORDINARY and now in _ORDINARY
        self._emit(
            "transition" if ordinary else "override", old=was, new=now, generation=generation
        )

    def _record_in_pipeline(self) -> None:
        """Durations are recorded inside a pipeline unless the caller said no."""
        if self._setting("latency") is None and self._histogram is None:
            self._record_latency(Histogram())
            ledger.extend(self, (LATENCY, self._histogram, 0))

    def _further_costs(self) -> list[str]:
        timed = self._histogram is not None or self._setting("slow_call_duration") is not None
        asks = self._setting("is_failure") is not None
        return ["reads the clock"] * timed + ["calls Python for each result"] * asks

    def _after_fork(self) -> None:
        super()._after_fork()
        self._kernel.forget_in_flight()
        self._kernel.reseed(fresh_seed())


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9
