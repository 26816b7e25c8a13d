"""The histogram kernel through its binding, against its model."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast._native.histogram import Histogram
from tests.models import histogram as model

pytestmark = pytest.mark.stress

# Where the promise of 2 % holds; below, a cell is 32 ns wide.
LEAST_EXACT_NS, MOST_NS = 1_000, 2**38 - 1

durations = st.one_of(
    st.integers(0, 5_000),
    st.integers(LEAST_EXACT_NS, MOST_NS),
    st.integers(0, 38).map(lambda octave: min(2**octave, MOST_NS)),
    st.sampled_from(model.BOUNDS_NS).flatmap(lambda bound: st.integers(bound - 1, bound + 1)),
)


class HistogramMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.histogram = Histogram()
        self.model = model.Histogram()

    @rule(ns=durations, times=st.integers(1, 3))
    def record(self, ns: int, times: int) -> None:
        for _ in range(times):
            self.histogram.record(ns)
            self.model.record(ns)

    @rule(q=st.floats(0, 1))
    def quantiles_are_within_two_percent(self, q: float) -> None:
        got, want = self.histogram.quantile(q), self.model.quantile(q)
        if want is None:
            assert got is None  # trap 29: no statistic of nothing
        else:
            assert got is not None
            assert abs(got - want) <= max(0.02 * want, 16)

    @rule()
    def clear(self) -> None:
        self.histogram.clear()
        self.start()

    @invariant()
    def buckets_count_and_sum_are_exact(self) -> None:
        assert self.histogram.buckets() == self.model.buckets()
        assert self.histogram.count() == len(self.model.durations_ns)
        assert self.histogram.sum_ns() == sum(self.model.durations_ns)


TestHistogram = HistogramMachine.TestCase
TestHistogram.settings = settings.get_profile("machines")


def test_a_quantile_of_nothing_is_none() -> None:  # trap 29
    assert Histogram().quantile(0.5) is None


@pytest.mark.parametrize("bad", [float("nan"), -0.01, 1.01, float("inf")])
def test_a_quantile_outside_zero_to_one_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"q: got .*, allowed 0\.0 to 1\.0"):
        Histogram().quantile(bad)
