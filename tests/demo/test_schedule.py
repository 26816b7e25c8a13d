import math
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.demo.run import CALLS_PER_SECOND
from holdfast.demo.schedule import NS, PHASES, Schedule

durations = st.one_of(st.none(), st.floats(10, 604_800))


def test_the_phases_of_a_cycle_fill_it():
    assert sum(phase.percent for phase in PHASES) == 100


def test_the_upstream_is_healthy_flaky_slow_failing_killed_and_back():
    names = [phase.name for phase in PHASES]
    assert names == ["healthy", "flaky", "slow", "failing", "killed", "back"]
    assert [phase.name for phase in PHASES if phase.behaviour is None] == ["killed"]


def test_the_upstream_can_do_some_times_what_it_is_offered_save_in_the_slow_phase():
    capacity = {phase.name: phase.capacity for phase in PHASES}
    assert capacity.pop("killed") == 0
    assert CALLS_PER_SECOND / 3 < capacity.pop("slow") < CALLS_PER_SECOND / 2
    assert all(each > 2 * CALLS_PER_SECOND for each in capacity.values())


@given(durations)
def test_one_phase_ends_where_the_next_begins(seconds):
    schedule = Schedule.fit(seconds)
    moments = list(islice(schedule.moments(), 100))
    assert moments[0].starts_ns == 0
    assert all(a.ends_ns == b.starts_ns for a, b in pairwise(moments))
    for moment in moments:
        assert moment.starts_ns < moment.ends_ns
        assert schedule.at(moment.starts_ns) == schedule.at(moment.ends_ns - 1) == moment


@given(st.floats(10, 604_800))
def test_a_fitted_run_is_whole_cycles_of_a_watchable_length(seconds):
    schedule = Schedule.fit(seconds)
    assert schedule.cycles is not None
    assert schedule.length_ns == pytest.approx(seconds * NS, abs=schedule.cycles)
    assert 10 * NS <= schedule.cycle_ns <= 45 * NS
    names = [moment.phase.name for moment in islice(schedule.moments(), 6 * 20)]
    assert names == [phase.name for phase in PHASES] * min(schedule.cycles, 20)


def test_the_shortest_run_has_one_cycle():
    assert Schedule.fit(10) == Schedule(cycle_ns=10 * NS, cycles=1)


def test_without_a_length_the_cycle_repeats_for_ever():
    schedule = Schedule.fit(None)
    assert schedule.length_ns is None
    late = schedule.at(1_000 * schedule.cycle_ns + 1)
    assert (late.cycle, late.phase.name) == (1_000, "healthy")


def test_a_time_outside_of_the_run_belongs_to_its_first_or_last_phase():
    schedule = Schedule.fit(10)
    assert schedule.at(10 * NS).phase.name == "back"
    assert schedule.at(99 * NS) == schedule.at(10 * NS)
    assert schedule.at(-1).phase.name == "healthy"


@pytest.mark.parametrize("seconds", [9.999, 0, -20, 604_800.1, math.inf, math.nan])
def test_a_length_with_no_room_for_the_phases_is_refused_with_what_is_allowed(seconds):
    with pytest.raises(ValueError, match=r"got .*, allowed: 10 to 604800 seconds"):
        Schedule.fit(seconds)


@given(durations, st.floats(0, 1000))
def test_the_time_spent_in_the_phases_is_the_time_there_was(seconds, elapsed):
    schedule = Schedule.fit(seconds)
    elapsed_ns = round(elapsed * NS)
    if schedule.length_ns is not None:
        elapsed_ns = min(elapsed_ns, schedule.length_ns)
    assert sum(schedule.spent_ns(elapsed_ns).values()) == elapsed_ns


def test_the_time_spent_in_a_phase_grows_while_it_lasts_only():
    schedule = Schedule.fit(10)
    assert schedule.spent_ns(3 * NS) == {
        "healthy": 1_600_000_000,
        "flaky": 1_400_000_000,
        "slow": 0,
        "failing": 0,
        "killed": 0,
        "back": 0,
    }
