"""The breaker as users see it, against a model that reads from top to bottom.

``tests/native/test_breaker.py`` compares the kernel; here the whole way counts: settings in
seconds, the gate that admits and settles, permits that are dropped, a clock that steps, events.
"""

from __future__ import annotations

import contextlib
import gc
import os
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

import holdfast as hf
from tests.models import breaker as model
from tests.models.breaker import LEASE_TICK_NS, Change, Config, State
from tests.models.windows import FAILURE, IGNORED, SUCCESS
from tests.policies.calls import OutageError

pytestmark = pytest.mark.stress

MS = 10**6
SLICES = 10  # of a TimeWindow
STATES = tuple(hf.State)
ORDERS = ("reset", "half_open", "trip", "force_open", "disable", "metrics_only")  # as State counts

ENDS: dict[int, BaseException | None] = {
    SUCCESS: None,
    FAILURE: OutageError(),
    IGNORED: KeyboardInterrupt(),
}
outcomes = st.sampled_from([SUCCESS, SUCCESS, FAILURE, FAILURE, IGNORED])
pauses = st.sampled_from([0, 1, MS - 1, MS, 2 * MS, 5 * MS, 20 * MS, 3600 * 10**9])


@st.composite
def breakers(draw: st.DrawFn) -> tuple[dict[str, Any], Config]:
    """Settings as a user gives them, and what they mean: one written beside the other."""
    rate = draw(st.sampled_from([None, None, 0.5, 1.0]))
    slow = draw(st.sampled_from([None, 0.5]))
    rated = rate is not None or slow is not None
    threshold = draw(st.sampled_from([1, 2, 3] if not rated else [None, 2, 3]))
    window = draw(st.sampled_from([hf.CountWindow(3), hf.CountWindow(6), hf.TimeWindow(0.01)]))
    count = isinstance(window, hf.CountWindow)
    kinds = {"window_kind": 1 if count else 2, "window_n": window.size if count else SLICES}
    least = draw(st.integers(1, 3))
    places, needed = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    probe_ns = draw(st.sampled_from([None, LEASE_TICK_NS, 2 * MS]))
    reset_ns = draw(st.sampled_from([MS, MS + 3]))
    forget_ns = draw(st.sampled_from([None, 2 * MS]))
    backoff = draw(st.sampled_from([None, (2, 0.005, 0.0)]))
    given = {
        "failure_threshold": threshold,
        "failure_rate": rate,
        "window": window,
        "min_calls": least,
        "slow_call_rate": slow,
        "slow_call_duration": None if slow is None else 0.001,
        "half_open_max_calls": places,
        "success_threshold": needed,
        "probe_timeout": None if probe_ns is None else probe_ns / 1e9,
        "reset_timeout": reset_ns / 1e9,
        "reset_backoff": backoff,
        "failure_reset": None if forget_ns is None else forget_ns / 1e9,
    }
    return given, Config(
        failure_threshold=threshold or 0,
        failure_rate_ppb=int((rate or 0) * 10**9),
        slow_rate_ppb=int((slow or 0) * 10**9),
        slow_ns=0 if slow is None else MS,
        min_calls=least,
        half_open_max=places,
        success_threshold=needed,
        probe_ns=-1 if probe_ns is None else probe_ns,
        reset_ns=reset_ns,
        reset_max_ns=5 * MS if backoff else reset_ns,
        reset_factor=2.0 if backoff else 1.0,
        failure_reset_ns=forget_ns or 0,
        **(kinds if rated else {}),
        slice_ns=MS if rated and not count else 0,
    )


class BreakerMachine(RuleBasedStateMachine):
    """Calls and permits that begin, end, are dropped, and outlive the period that admitted them."""

    held = Bundle("held")

    @initialize(pair=breakers(), start=st.sampled_from([0, 5 * MS + 7, 10**18]))
    def make(self, pair: tuple[dict[str, Any], Config], start: int) -> None:
        given, config = pair
        note(str(given))
        self.clock = hf.ManualClock()
        self.clock.advance_ns(start)
        self.breaker = hf.CircuitBreaker("payments", clock=self.clock, **given)
        self.model = model.Breaker(config)
        self.timed = config.slow_ns > 0
        self.told: list[Change] = []
        self.expected: list[Change] = []
        self.breaker.on_event(self.note_change)

    def note_change(self, event: hf.Event) -> None:
        if event.kind != "rejection":
            self.told.append((STATES.index(event.old), STATES.index(event.new), event.generation))

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns()

    def expect(self, change: Change | None) -> None:
        if change is not None:
            self.expected.append(change)

    # --- time --------------------------------------------------------------------------------

    @rule(ns=pauses)
    def wait(self, ns: int) -> None:
        self.clock.advance_ns(ns)

    @rule(beside=st.sampled_from([-1, 0, 1]))
    def wait_out_the_opening(self, beside: int) -> None:  # CB-04
        self.clock.advance_ns(max(0, self.model.retry_after_ns(self.now_ns) + beside))

    @rule(share=st.floats(0, 1))
    def the_clock_steps_back(self, share: float) -> None:  # trap 20
        before_ns = self.now_ns
        shown_ns = self.clock.shown_ns()
        # In whole nanoseconds: seconds, rounded, might be a step forward at such times.
        self.clock.set_ns(min(shown_ns, int(shown_ns * share)))
        assert self.now_ns == before_ns

    # --- calls -------------------------------------------------------------------------------

    def admit(self) -> model.Permit | None:
        permit, change = self.model.admit(self.now_ns)
        self.expect(change)
        return permit

    def settle(self, permit: model.Permit, outcome: int, began_ns: int) -> None:
        if outcome == SUCCESS and not self.timed and self.model.settle_fast(permit):
            return
        duration_ns = self.now_ns - began_ns if self.timed else -1
        self.expect(self.model.settle(permit, outcome, duration_ns, self.now_ns))

    @rule(outcome=outcomes, lasts=pauses, way=st.sampled_from(["call", "try_call", "with"]))
    def call(self, outcome: int, lasts: int, way: str) -> None:
        # CB-02, CB-03, CB-05, CB-06, CB-16
        self.call_as(self.admit(), outcome, lasts, way)

    def call_as(self, permit: model.Permit | None, outcome: int, lasts: int, way: str) -> None:
        """Make a call that the model has admitted, or refused."""
        began_ns = self.now_ns
        try:
            ran = self.make_call(ENDS[outcome], lasts, way)
        except (OutageError, KeyboardInterrupt):
            ran = True
        assert ran is (permit is not None)
        if permit is not None:
            self.settle(permit, outcome, began_ns)

    def make_call(self, error: BaseException | None, lasts: int, way: str) -> bool:
        """Return whether the call ran and did not raise."""

        def work() -> None:
            self.clock.advance_ns(lasts)
            if error is not None:
                raise error

        try:
            if way == "with":
                with self.breaker:
                    work()
            elif way == "call":
                self.breaker.call(work)
            else:
                return self.breaker.try_call(work).rejection is None
        except hf.CircuitOpenError:
            return False
        return True

    @rule(
        outcome=outcomes,
        inner=st.lists(st.tuples(outcomes, pauses), min_size=1, max_size=4),
        way=st.sampled_from(["call", "try_call", "with"]),
    )
    def call_within_a_call(self, outcome: int, inner: list[tuple[int, int]], way: str) -> None:
        outer, began_ns, ran = self.admit(), self.now_ns, []

        def work() -> None:
            ran.append(True)
            assert outer is not None
            for each, lasts in inner:
                permit = self.model.admit_inside(outer, self.now_ns)
                self.call_as(permit or self.admit(), each, lasts, way)
            if (error := ENDS[outcome]) is not None:
                raise error

        with contextlib.suppress(hf.CircuitOpenError, OutageError, KeyboardInterrupt):
            self.breaker.call(work)
        assert bool(ran) is (outer is not None)
        if outer is not None:
            self.settle(outer, outcome, began_ns)

    @rule(target=held)
    def acquire(self) -> object:  # CB-17, trap 7
        want = self.admit()
        try:
            got = self.breaker.acquire()
        except hf.CircuitOpenError:
            assert want is None
            return multiple()
        assert want is not None
        return [got, want, self.now_ns]  # a list, for what consumes it may drop the permit

    @rule(permit=consumes(held), outcome=outcomes)
    def end(self, permit: list[Any], outcome: int) -> None:  # CB-17, trap 1, trap 2, trap 3
        got, want, began_ns = permit
        (got.success, got.failure, got.ignore)[outcome]()
        self.settle(want, outcome, began_ns)

    @rule(permit=consumes(held))
    def drop(self, permit: list[Any]) -> None:  # trap 4
        _, want, _ = permit
        permit.clear()
        gc.collect(0)
        self.model.abandon(want)

    # --- by hand -----------------------------------------------------------------------------

    @rule(to=st.sampled_from([*State, State.CLOSED, State.OPEN, State.HALF_OPEN]))
    def order(self, to: State) -> None:  # CB-19, trap 12
        getattr(self.breaker, ORDERS[to])()
        self.expect(self.model.override(to, self.now_ns))

    # --- always ------------------------------------------------------------------------------

    @invariant()
    def tells_every_change_once(self) -> None:  # CB-07, trap 8, D-CB-9
        assert self.told == self.expected

    @invariant()
    def shows_what_it_is(self) -> None:  # CB-01, CB-23, CB-24, trap 9, trap 15, trap 18
        s, m, now_ns = self.breaker.snapshot(), self.model, self.now_ns
        assert s.state is self.breaker.state is STATES[m.state]
        assert s.generation == m.generation
        assert astuple(m.counters) == (
            s.admitted, s.succeeded, s.failed, s.ignored, s.abandoned, s.rejected, s.observed,
            s.late, s.slow,
        )  # fmt: skip
        assert (s.in_flight, s.probes) == (m.in_flight, m.probes(now_ns))
        assert s.window == (m.tally(now_ns) if m.window else None)
        assert self.breaker.peek() is m.peek(now_ns)
        left_ns = m.retry_after_ns(now_ns)
        assert s.retry_after == (None if left_ns < 0 else left_ns / 1e9)
        for shown, ns in ((s.last_failure, m.last_failure_ns), (s.last_success, m.last_success_ns)):
            assert shown == (None if ns is None else ns / 1e9)
        assert s.settled_twice == 0


# The same examples in every quick run, more and random ones in `make stress`.
scale = int(os.environ.get("STRESS_SCALE", "1"))

TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(
    max_examples=40 * scale,
    stateful_step_count=40,
    derandomize=scale == 1,
    suppress_health_check=[HealthCheck.too_slow],
)
