"""The breaker kernel through its binding, against its model."""

from __future__ import annotations

from dataclasses import asdict, astuple
from typing import Any

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from holdfast._native.breaker import Breaker, Permit
from tests.models import breaker as model
from tests.models.breaker import LEASE_TICK_NS, Change, Config, State
from tests.models.windows import FAILURE, IGNORED, SUCCESS

pytestmark = pytest.mark.stress

MS = 10**6
HOUR = 3_600 * 10**9
YEAR = 24 * 365 * HOUR

outcomes = st.sampled_from([SUCCESS, SUCCESS, FAILURE, FAILURE, IGNORED])
beside = st.sampled_from([-1, 0, 1])  # just before a moment, at it, just after

# What a breaker judges by: runs of failures, the last calls, the last slices of time.
RUNS = st.fixed_dictionaries({"failure_threshold": st.integers(1, 4)})
RATES = {
    "failure_threshold": st.sampled_from([0, 0, 4]),
    "min_calls": st.integers(0, 4),
    "failure_rate_ppb": st.sampled_from([0, 1, 333_333_334, 500_000_000, 10**9]),
    "slow_rate_ppb": st.sampled_from([0, 500_000_000]),
}
LAST_CALLS = st.fixed_dictionaries(
    {**RATES, "window_kind": st.just(1), "window_n": st.integers(1, 6)}
)
LAST_SLICES = st.fixed_dictionaries(
    {**RATES, "window_kind": st.just(2), "window_n": st.integers(1, 4), "slice_ns": st.just(MS)}
)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Small numbers, so that every rule comes to its turn within a few calls."""
    return Config(
        success_threshold=draw(st.integers(1, 3)),
        half_open_max=draw(st.integers(1, 3)),
        slow_ns=draw(st.sampled_from([0, MS])),
        reset_ns=draw(st.sampled_from([0, MS, MS + 3])),
        reset_max_ns=draw(st.sampled_from([0, 5 * MS])),
        probe_ns=draw(st.sampled_from([-1, 0, LEASE_TICK_NS, 2 * MS])),
        failure_reset_ns=draw(st.sampled_from([0, 2 * MS])),
        reset_factor=draw(st.sampled_from([1.0, 1.5, 2.0])),
        reset_jitter=draw(st.sampled_from([0.0, 0.5])),
        **draw(st.one_of(RUNS, LAST_CALLS, LAST_SLICES)),
    )


class BreakerMachine(RuleBasedStateMachine):
    """Many calls in flight at once, each settled late, early, twice removed, or never."""

    permits = Bundle("permits")
    periods = Bundle("periods")

    @initialize(config=configs(), now_ns=st.integers(-YEAR, YEAR), seed=st.integers(0, 2**64 - 1))
    def start(self, config: Config, now_ns: int, seed: int) -> None:
        note(str(config))
        self.config = config
        self.breaker = Breaker(**asdict(config), seed=seed)
        self.model = model.Breaker(config)
        self.now_ns = self.latest_ns = now_ns

    def _changes(self, got: Change | None, want: Change | None) -> None:
        """Both changed alike; of an opening with jitter the model learns the length."""
        assert got == want
        if self.config.reset_jitter and self.model.state == State.OPEN:
            self._learn_jitter()

    def _learn_jitter(self) -> None:
        left_ns = self.breaker.retry_after_ns(self.now_ns)
        least = self.model.config.open_ns(self.model.reopens, 0.0)
        most = self.model.config.open_ns(self.model.reopens, self.model.config.reset_jitter)
        if self.model.until_ns == self.now_ns + least:
            assert least <= left_ns <= most
            self.model.until_ns = self.now_ns + left_ns

    # --- time --------------------------------------------------------------------------------

    def _wait_until(self, then_ns: int, beside: int) -> None:
        self.now_ns = max(self.now_ns, then_ns + beside)

    @rule(ns=st.one_of(st.sampled_from([1, MS, 2 * MS]), st.integers(0, HOUR)))
    def wait(self, ns: int) -> None:
        self.now_ns += ns

    @precondition(lambda self: self.model.state == State.OPEN)
    @rule(beside=beside)
    def wait_out_the_opening(self, beside: int) -> None:  # CB-04
        self._wait_until(self.now_ns + self.model.left_ns(self.now_ns), beside)

    @precondition(
        lambda self: any(lease and lease.deadline is not None for lease in self.model.slots)
    )
    @rule(beside=beside)
    def wait_out_a_probe(self, beside: int) -> None:  # trap 4
        deadlines = [s.deadline for s in self.model.slots if s and s.deadline is not None]
        self._wait_until(min(deadlines) * LEASE_TICK_NS, beside)

    @precondition(lambda self: self.config.failure_reset_ns)
    @rule(beside=beside)
    def wait_out_a_run_of_failures(self, beside: int) -> None:  # CB-09
        if self.model.last_failure_ns is not None:
            self._wait_until(self.model.last_failure_ns + self.config.failure_reset_ns, beside)

    @rule(ns=st.one_of(st.integers(0, 3 * MS), st.integers(0, HOUR)))
    def time_steps_back(self, ns: int) -> None:  # trap 20, trap 25
        """By less than a window, where time makes the window: its own machine goes further."""
        self.latest_ns = max(self.latest_ns, self.now_ns)
        self.now_ns -= ns
        if self.config.window_kind == 2:
            self.now_ns = max(self.now_ns, self.latest_ns - (self.config.window_n - 1) * MS)

    # --- calls -------------------------------------------------------------------------------

    @rule(target=permits, observe=st.booleans())
    def admit(self, observe: bool) -> object:  # CB-02, trap 7
        got, change = self.breaker.admit(self.now_ns)
        want, expected = self.model.admit(self.now_ns)
        assert (got is None) == (want is None)
        self._changes(change, expected)
        if want is None and observe:
            got, want = self.breaker.admit_observed(), self.model.admit_observed()
        if got is None or want is None:
            return multiple()
        assert got.generation == want.generation
        assert got.is_probe == (want.lease is not None)
        assert got.is_observed == want.is_observed
        assert got.is_silent == want.is_silent
        return got, want

    @rule(target=permits, probe=permits)
    def admit_inside(self, probe: tuple[Permit, model.Permit]) -> object:
        got = self.breaker.admit_inside(probe[0], self.now_ns)
        want = self.model.admit_inside(probe[1], self.now_ns)
        assert (got is None) == (want is None)
        if got is None or want is None:
            return multiple()
        assert got.is_inside
        assert got.is_probe == (want.lease is not None)
        return got, want

    @rule(
        permit=consumes(permits),
        outcome=outcomes,
        duration_ns=st.sampled_from([-1, 0, MS - 1, MS, HOUR]),
        fast=st.booleans(),
    )
    def settle(  # CB-03, CB-05, CB-06, CB-09, trap 1, trap 2, trap 3
        self, permit: tuple[Permit, model.Permit], outcome: int, duration_ns: int, fast: bool
    ) -> None:
        got, want = permit
        if fast and outcome == SUCCESS:
            done = self.model.settle_fast(want)
            assert self.breaker.settle_fast(got) == done
            if done:
                return
        expected = self.model.settle(want, outcome, duration_ns, self.now_ns)
        self._changes(self.breaker.settle(got, outcome, duration_ns, self.now_ns), expected)

    @rule(ends=st.lists(st.tuples(outcomes, st.sampled_from([-1, MS])), min_size=1, max_size=8))
    def call_again_and_again(self, ends: list[tuple[int, int]]) -> None:  # CB-03, CB-05, CB-27
        """Calls one after the other, each settled before the next: runs and rates come about."""
        for outcome, duration_ns in ends:
            got, change = self.breaker.admit(self.now_ns)
            want, expected = self.model.admit(self.now_ns)
            self._changes(change, expected)
            assert (got is None) == (want is None)
            if got is not None and want is not None:
                expected = self.model.settle(want, outcome, duration_ns, self.now_ns)
                change = self.breaker.settle(got, outcome, duration_ns, self.now_ns)
                self._changes(change, expected)

    @rule(permit=consumes(permits))
    def abandon(self, permit: tuple[Permit, model.Permit]) -> None:  # trap 5
        self.breaker.abandon(permit[0])
        self.model.abandon(permit[1])

    @rule(permit=consumes(permits))
    def undo(self, permit: tuple[Permit, model.Permit]) -> None:  # trap 6
        self.breaker.undo(permit[0])
        self.model.undo(permit[1])

    @rule(permit=consumes(permits))
    def lose(self, permit: tuple[Permit, model.Permit]) -> None:  # trap 4: nobody ever ends it
        del permit

    # --- by hand -----------------------------------------------------------------------------

    @rule(to=st.sampled_from([*State, State.CLOSED, State.OPEN, State.HALF_OPEN]))
    def override(self, to: State) -> None:  # CB-19, trap 12
        expected = self.model.override(to, self.now_ns)
        self._changes(self.breaker.override(to, self.now_ns), expected)

    @rule(
        failures=st.integers(0, 6),
        successes=st.integers(1, 4),
        reset_ns=st.sampled_from([0, MS, HOUR]),
    )
    def tune(self, failures: int, successes: int, reset_ns: int) -> None:
        self.breaker.tune(failures, successes, reset_ns)
        self.model.tune(failures, successes, reset_ns)

    @precondition(lambda self: not self.config.failure_reset_ns or self.model.last_failure_ns)
    @rule(run=st.integers(0, 6))
    def set_run(self, run: int) -> None:
        assert self.breaker.set_run(run) == self.model.set_run(run)

    # --- by a health check -------------------------------------------------------------------

    @rule(target=periods)
    def begin_a_check(self) -> tuple[int, int | None]:
        period = self.breaker.period()
        assert period == self.model.period()
        return period

    @rule(began=periods)
    def pass_a_check(self, began: tuple[int, int | None]) -> None:  # CB-30, trap 65
        if began[1] is not None:
            expected = self.model.close_opening(began[1])
            self._changes(self.breaker.close_opening(began[1]), expected)

    @rule(began=periods, failures=st.integers(0, 9))
    def fail_a_check(self, began: tuple[int, int | None], failures: int) -> None:  # CB-30
        expected = self.model.open_generation(began[0], failures, self.now_ns)
        got = self.breaker.open_generation(began[0], failures, self.now_ns)
        self._changes(got, expected)

    @rule()
    def forget(self) -> None:  # trap 58
        self.breaker._forget(1)
        self.model.forget()

    # --- always ------------------------------------------------------------------------------

    @invariant()
    def is_in_the_same_state(self) -> None:  # CB-01, CB-08, trap 9
        assert self.breaker.state() == self.model.state
        assert self.breaker.generation() == self.model.generation
        assert self.breaker.consecutive() == self.model.run
        run = self.model.failures_in_a_row(self.now_ns)
        assert self.breaker.failures_in_a_row(self.now_ns) == run

    @invariant()
    def counts_the_same(self) -> None:  # CB-07, CB-23, CB-24, trap 8
        assert self.breaker.counters() == astuple(self.model.counters)
        assert self.breaker.changes() == tuple(self.model.changes)
        assert self.breaker.in_flight() == self.model.in_flight
        assert self.breaker.last_failure_ns() == self.model.last_failure_ns
        assert self.breaker.last_success_ns() == self.model.last_success_ns

    @invariant()
    def answers_the_same(self) -> None:  # trap 15: and asking changes nothing
        assert self.breaker.retry_after_ns(self.now_ns) == self.model.retry_after_ns(self.now_ns)
        assert self.breaker.peek(self.now_ns) == self.model.peek(self.now_ns)
        assert self.breaker.probes(self.now_ns) == self.model.probes(self.now_ns)
        window = self.breaker.window(self.now_ns)
        assert window == (self.model.tally(self.now_ns) if self.config.window_kind else None)

    @invariant()
    def probes_stay_within_their_slots(self) -> None:  # D-CB-2, trap 1, trap 7
        assert self.breaker.probes(self.now_ns) <= self.config.half_open_max


machines = settings.get_profile("machines")
TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(machines, max_examples=machines.max_examples * 4 // 3)


def breaker_of(**config: Any) -> Breaker:
    return Breaker(**asdict(Config(**config)), seed=1)


def settle_all(breaker: Breaker, outcomes: list[int], now_ns: int) -> list[Change | None]:
    """Make a call for each outcome, one after the other."""
    changes = []
    for outcome in outcomes:
        permit, _ = breaker.admit(now_ns)
        assert permit is not None
        changes.append(breaker.settle(permit, outcome, -1, now_ns))
    return changes


def test_jitter_adds_up_to_its_share_and_a_seed_replays_it() -> None:  # trap 49
    lengths = []
    for seed in (1, 2, 3, 1):
        config = Config(failure_threshold=1, reset_ns=MS, reset_jitter=0.5)
        breaker = Breaker(**asdict(config), seed=seed)
        settle_all(breaker, [FAILURE], 0)
        lengths.append(breaker.retry_after_ns(0))
    assert all(MS <= length <= MS + MS // 2 for length in lengths)
    assert len(set(lengths)) == 3
    assert lengths[0] == lengths[3]
