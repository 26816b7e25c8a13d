"""The histogram kernel through its binding. Its exactness: tests/c/test_histogram.c."""

import pytest

from holdfast._native.histogram import Histogram

MS = 10**6


def test_buckets_count_and_sum_are_those_of_the_recorded_durations() -> None:
    histogram = Histogram()
    for ns in (5 * MS, 5 * MS + 1, 10_000 * MS, 10_000 * MS + 1):
        histogram.record(ns)
    assert histogram.buckets() == (1, *[2] * 9, 3, 4)
    assert (histogram.count(), histogram.sum_ns()) == (4, 20_010 * MS + 2)
    assert histogram.quantile(0.25) == pytest.approx(5 * MS, rel=0.02)
    assert histogram.quantile(1.0) == pytest.approx(10_000 * MS, rel=0.02)
    histogram.clear()
    assert (histogram.count(), histogram.sum_ns(), histogram.buckets()) == (0, 0, (0,) * 12)


def test_a_quantile_of_nothing_is_none() -> None:  # trap 29
    assert Histogram().quantile(0.5) is None


@pytest.mark.parametrize("bad", [float("nan"), -0.01, 1.01, float("inf")])
def test_a_quantile_outside_zero_to_one_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"q: got .*, allowed 0\.0 to 1\.0"):
        Histogram().quantile(bad)
