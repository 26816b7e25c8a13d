"""The error budget's kernel through its binding, against its model."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.error_budget import EXHAUSTED, ErrorBudget
from tests.models import error_budget as model

pytestmark = pytest.mark.stress

SECOND = 10**9
WHOLE = 10**9
machines = settings.get_profile("machines")


@settings(machines)
@given(
    start=st.integers(-(10**15), 10**15),
    allowed=st.sampled_from([0, 1, 10**6, 10**8, WHOLE]),
    least=st.integers(1, 50),
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(1, 20), st.integers(0, 30) | st.integers(0, 10**6)),
        max_size=60,
    ),
)
def test_a_window_holds_the_requests_of_its_slices_and_no_others(
    start: int, allowed: int, least: int, steps: list[tuple[bool, int, int]]
) -> None:  # EB-01, EB-03
    kernel = ErrorBudget(100 * SECOND, allowed, least, 2**62, False, True, False, start)
    exact = model.ErrorBudget(10 * SECOND, Fraction(allowed, WHOLE), least)
    now, good_ones, failed_ones = start, 0, 0
    for good, n, seconds in steps:
        now += seconds * SECOND
        kernel.record(good, n, now)
        exact.record(good, n, now)
        good_ones, failed_ones = good_ones + n * good, failed_ones + n * (not good)
        assert kernel.outcomes(0, now) == exact.outcomes(now)
        assert bool(kernel.judge(now) & EXHAUSTED) == exact.is_exhausted(now)
        later = now + 35 * SECOND
        assert kernel.outcomes(0, later) == exact.outcomes(later)  # without a record
        assert kernel.counters()[:2] == (good_ones, failed_ones)
        # A failure leaves no more of the budget, nor does time but by expiry.
        total, failed = kernel.outcomes(0, now)
        assert 0 <= failed <= total <= good_ones + failed_ones


def test_time_gives_back_only_what_has_left_the_window() -> None:
    kernel = ErrorBudget(100 * SECOND, 10**8, 1, 10, False, True, False, 0)
    kernel.record(True, 90, 0)
    kernel.record(False, 5, 55 * SECOND)
    before = kernel.outcomes(0, 55 * SECOND)
    for second in range(55, 100):
        assert kernel.outcomes(0, second * SECOND) == before
    assert kernel.outcomes(0, 100 * SECOND) == (5, 5)  # the first slice has left
    assert kernel.outcomes(0, 150 * SECOND) == (0, 0)
