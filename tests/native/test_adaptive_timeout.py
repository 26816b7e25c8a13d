"""The adaptive timeout through its binding: its model, and the spiral it must not enter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.adaptive_timeout import AdaptiveTimeout
from tests.models import adaptive_timeout as model
from tests.models.quantile import MOST_NS

pytestmark = pytest.mark.stress

MS = 10**6
SECOND = 10**9
machines = settings.get_profile("machines")

durations = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(0, 1000), st.integers(MS, 10 * SECOND)
)
calls = st.one_of(
    st.tuples(durations, st.booleans(), st.sampled_from([1, 3, 10, 50])),
    st.tuples(durations, st.none(), st.just(1)),  # set_timeout_ns
)
limits = st.lists(
    st.one_of(st.integers(1, MOST_NS), st.integers(MS, SECOND)), min_size=3, max_size=3
).map(sorted)
steps = st.one_of(calls, limits)  # limits: a resize


@settings(machines)
@given(
    limits=limits,
    multiplier=st.sampled_from([1.0, 1.1, 2.0, 3.7, 1000.0]),
    p=st.sampled_from([0.001, 0.5, 0.95, 0.999]),
    steps=st.lists(steps, max_size=20),
)
def test_it_decides_as_the_model_does_and_never_leaves_its_limits(
    limits: list[int],
    multiplier: float,
    p: float,
    steps: list[tuple[int, bool | None, int] | list[int]],
) -> None:  # TO-08
    least, initial, most = limits
    timeout = AdaptiveTimeout(initial, least, most, multiplier, p)
    expected = model.AdaptiveTimeout(initial, least, most, multiplier, p)
    assert timeout.snapshot() == (initial, None, None, 0)
    for step in steps:
        if isinstance(step, list):
            least, initial, most = step
            timeout.resize(initial, least, most)
            expected.resize(initial, least, most)
            assert timeout.limits_ns() == (least, most)
            assert timeout.timeout_ns() == initial
            continue
        ns, timed_out, times = step
        for _ in range(times):
            if timed_out is None:
                timeout.set_timeout_ns(ns)
                expected.set_timeout_ns(ns)
            else:
                timeout.record(ns, timed_out)
                expected.record(ns, timed_out)
            assert least <= timeout.timeout_ns() <= most
        assert timeout.snapshot() == expected.snapshot()
        assert timeout.timeout_ns() == timeout.snapshot()[0]


def after_fast_calls(count: int = 200, latency_ns: int = MS) -> AdaptiveTimeout:
    """Thirty seconds to begin with, 10 ms to 5 minutes, as where the rule comes from."""
    timeout = AdaptiveTimeout(30 * SECOND, 10 * MS, 300 * SECOND, 2.0, 0.95)
    for _ in range(count):
        timeout.record(latency_ns, False)
    return timeout


def call(timeout: AdaptiveTimeout, takes_ns: int) -> bool:
    """A call that takes so long, or is given up; whether it came through."""
    given_ns = timeout.timeout_ns()
    timeout.record(min(takes_ns, given_ns), takes_ns > given_ns)
    return takes_ns <= given_ns


def test_fast_calls_bring_it_down_to_its_floor() -> None:
    assert 10 * MS <= after_fast_calls().timeout_ns() < 10 * MS + 1000


def test_when_calls_grow_slower_than_the_timeout_it_recovers() -> None:
    # D-TO-1: after 200 fast calls 20 of 20 calls of 15 ms timed out, and so for ever.
    timeout = after_fast_calls()
    came_through = [call(timeout, 15 * MS) for _ in range(100)]
    assert not any(came_through[:5])
    assert all(came_through[40:])
    assert 15 * MS < timeout.timeout_ns() < 60 * MS


@pytest.mark.parametrize("slower", [10, 100, 1000, 10_000])
def test_it_recovers_however_much_slower_calls_have_become(slower: int) -> None:  # D-TO-1
    timeout = after_fast_calls(latency_ns=10 * MS)
    came_through = [call(timeout, 10 * MS * slower) for _ in range(200)]
    assert all(came_through[-50:])


def test_a_timed_out_call_counts_as_at_least_the_timeout() -> None:  # D-TO-1
    timeout = AdaptiveTimeout(SECOND, MS, 10 * SECOND, 2.0, 0.95)
    timeout.record(0, True)
    assert timeout.snapshot() == (SECOND, SECOND, SECOND, 1)
    timeout.record(9 * SECOND, True)
    assert timeout.snapshot()[1] == SECOND + 8 * SECOND // 16


def test_before_the_tenth_call_it_stays_as_it_was_set() -> None:
    timeout = AdaptiveTimeout(SECOND, MS, 10 * SECOND, 2.0, 0.95)
    for _ in range(9):
        timeout.record(100 * MS, False)
        assert timeout.timeout_ns() == SECOND
    timeout.record(100 * MS, False)
    assert timeout.timeout_ns() == SECOND - 80 * MS  # a tenth of the way to 200 ms


def test_it_goes_up_by_half_of_the_way() -> None:
    timeout = AdaptiveTimeout(100 * MS, MS, 10 * SECOND, 2.0, 0.95)
    for _ in range(10):
        timeout.record(SECOND, False)
    assert timeout.timeout_ns() == 100 * MS + (1900 * MS) // 2


def test_a_timeout_set_by_hand_is_held_within_the_limits_and_moves_on_from_there() -> None:  # TO-08
    timeout = after_fast_calls(latency_ns=100 * MS)
    for ns, held in ((SECOND, SECOND), (0, 10 * MS), (-1, 10 * MS), (2**62, 300 * SECOND)):
        timeout.set_timeout_ns(ns)
        assert timeout.timeout_ns() == held
    timeout.record(100 * MS, False)
    assert timeout.timeout_ns() < 300 * SECOND


def test_limits_that_cross_are_refused() -> None:
    for initial, least, most in ((5, 10, 20), (25, 10, 20), (5, 0, 20), (15, 20, 10)):
        with pytest.raises(ValueError, match=r"_ns: got \d+, allowed \d+ to \d+"):
            AdaptiveTimeout(initial, least, most, 2.0, 0.95)


def test_each_record_costs_the_same_however_many_there_were() -> (
    None
):  # D-TO-2: no samples are kept
    timeout = after_fast_calls(10_000)
    assert timeout.nbytes() <= 128
    assert timeout.snapshot()[3] == 10_000
