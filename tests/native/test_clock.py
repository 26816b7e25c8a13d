"""The clock kernel through its binding, against its model."""

import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast._native.clock import Clock, ManualClock, read_repeatedly
from tests.models import clock as model

HOUR = 3_600 * 10**9
DAY = 24 * HOUR

pytestmark = pytest.mark.stress


class ManualClockMachine(RuleBasedStateMachine):
    @initialize(start_ns=st.integers(-DAY, DAY))
    def start(self, start_ns: int) -> None:
        self.clock = ManualClock(start_ns)
        self.model = model.ManualClock(start_ns)
        self.latest = start_ns

    @rule(d_ns=st.one_of(st.integers(0, 10), st.integers(0, 365 * DAY)))
    def advance(self, d_ns: int) -> None:
        self.clock.advance_ns(d_ns)
        self.model.advance_ns(d_ns)

    @rule(step_ns=st.one_of(st.integers(-10, 10), st.integers(-DAY, DAY)))
    def step(self, step_ns: int) -> None:  # trap 20, trap 21
        self.clock.set_ns(self.model.shown_ns + step_ns)
        self.model.set_ns(self.model.shown_ns + step_ns)

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.clock.now_ns() == self.clock.coarse_ns() == self.model.policy_ns
        assert self.clock.shown_ns() == self.model.shown_ns

    @invariant()
    def policy_time_never_goes_backwards(self) -> None:  # trap 20
        assert self.clock.now_ns() >= self.latest
        self.latest = self.clock.now_ns()


TestManualClock = ManualClockMachine.TestCase
TestManualClock.settings = settings.get_profile("machines")


def test_the_system_clock_is_the_monotonic_clock_of_the_machine() -> None:
    clock = Clock()
    before = time.monotonic_ns()
    now = clock.now_ns()
    assert before <= now <= time.monotonic_ns()


def test_coarse_time_lags_by_a_tick_at_most() -> None:
    clock = Clock()
    before = clock.now_ns()
    assert clock.coarse_ns() > before - 100_000_000
    assert clock.coarse_ns() <= clock.now_ns()


def test_many_reads_give_the_last_time_read() -> None:
    clock = Clock()
    before = clock.now_ns()
    assert before <= read_repeatedly(clock, 1_000) <= clock.now_ns()
    assert read_repeatedly(ManualClock(7), 1) == 7


@pytest.mark.parametrize("n", [0, -1, 100_001, 2**70])
def test_a_number_of_reads_that_is_out_of_range_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=r"^n: got .*, allowed .*100000"):
        read_repeatedly(Clock(), n)
