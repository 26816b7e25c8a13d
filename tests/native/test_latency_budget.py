"""The latency budget through its binding: against its model, call by call."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.latency_budget import LatencyBudget, middle_ns
from tests.models import latency_budget as model

pytestmark = pytest.mark.stress

MS = 10**6
TARGET = 100 * MS
machines = settings.get_profile("machines")
durations = st.one_of(
    st.sampled_from([0, 1000, TARGET - 1, TARGET, TARGET + 1, 10 * TARGET, 2**62, -5, -(2**63)]),
    st.integers(1000, 20 * TARGET),
)
blocks = st.lists(
    st.tuples(st.sampled_from(["record", "clear"]), durations, st.integers(1, 12)), max_size=30
)
percentiles = st.one_of(st.sampled_from([0, 1, 500_000, 950_000, 999_999]), st.integers(0, 10**6))


@settings(machines)
@given(parts=percentiles, size=st.integers(1, 40), data=st.data(), steps=blocks)
def test_each_call_changes_it_as_the_model_says(parts, size, data, steps):  # LB-01
    least = data.draw(st.integers(1, size))
    budget = LatencyBudget(TARGET, parts, size, least)
    expected = model.LatencyBudget(TARGET, parts, size, least)
    for what, ns, times in steps:
        for _ in range(times if what == "record" else 1):
            arguments = (ns,) if what == "record" else ()
            assert getattr(budget, what)(*arguments) == getattr(expected, what)(*arguments)
        assert budget.tally() == (len(expected.last), expected.exceeding)
        assert budget.turns() == expected.turns
        assert budget.counters() == (
            expected.recorded, expected.exceeded, (expected.turns + 1) // 2,
        )  # fmt: skip
        asked = tuple(sorted((0, parts, 500_000, 990_000, 1_000_000)))
        for one, ns in zip(asked, budget.percentiles_ns(asked), strict=True):
            is_near(ns, expected.percentile(one))


def is_near(ns: int | None, exact: int | None) -> None:
    """Within 2 % from 1 us to 275 s, and on the right side of the target."""
    if ns is None or exact is None:
        assert ns is exact
        return
    assert (ns > TARGET) == (exact > TARGET)
    assert abs(ns - min(exact, 2**38)) <= max(16, exact * 0.02)


def test_the_middle_of_each_cell_is_above_that_of_the_one_before():
    middles = [middle_ns(cell) for cell in range(939)]
    assert middles == sorted(set(middles))
    with pytest.raises(ValueError, match="cell"):
        middle_ns(939)


def test_percentiles_are_asked_for_in_ascending_order():
    budget = LatencyBudget(TARGET, 950_000, 10, 1)
    assert budget.percentiles_ns(()) == ()
    assert budget.percentiles_ns((5, 5)) == (None, None)
    for wrong in ((5, 4), (1,) * 9, (-1,), (1_000_001,), (0.5,)):
        with pytest.raises((ValueError, TypeError), match="percentiles"):
            budget.percentiles_ns(wrong)


def test_it_takes_two_bytes_a_call():
    few, many = (LatencyBudget(TARGET, 950_000, size, 1).nbytes() for size in (1_000, 100_000))
    assert many - few == 2 * 99_000
    assert few < 6_500
