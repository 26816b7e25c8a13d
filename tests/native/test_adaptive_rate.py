"""The adaptive rate through its binding, against its model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.adaptive_rate import MOVES, AdaptiveRate
from holdfast._native.bucket import TokenBucket
from tests.models import adaptive_rate as model

pytestmark = pytest.mark.stress

MS = 10**6
MICRO = 10**6
machines = settings.get_profile("machines")

durations = st.one_of(
    st.sampled_from([79, 80, 99, 100, 101, 120, 121, 1000]).map(lambda ms: ms * MS),
    st.integers(-(2**63), 2**63 - 1),
)
calls = st.tuples(
    st.sampled_from([0, 0, 0, 0, 1, 2]),  # the evidence
    durations,
    st.integers(0, 300 * MS),  # how long ago it was admitted
    st.integers(0, 50 * MS),  # and how long after the call before it ended
    st.integers(0, 3),  # tokens taken
    st.sampled_from([1, 5, 30]),
)
limits = st.lists(st.integers(1000, 10_000 * MICRO), min_size=3, max_size=3).map(sorted)
steps = st.one_of(calls, calls, calls, limits)


@settings(machines)
@given(
    limits=limits,
    target_ms=st.sampled_from([1, 100, 3_600_000]),
    window=st.sampled_from([2, 10, 100]),
    max_age_ms=st.sampled_from([100, 1000, 100_000]),
    steps=st.lists(steps, max_size=40),
)
def test_it_decides_as_the_model_does_and_never_leaves_its_limits(
    limits: list[int],
    target_ms: int,
    window: int,
    max_age_ms: int,
    steps: list[tuple[int, int, int, int, int, int] | list[int]],
) -> None:  # RL-02, RL-03, trap 47
    least, first, most = limits
    now = 0
    bucket = TokenBucket(1, 10**6, 1000, now)
    rate = AdaptiveRate(bucket, first, least, most, 0, target_ms * MS, max_age_ms * MS, window, now)
    expected = model.AdaptiveRate((first, least, most), target_ms * MS, max_age_ms * MS, window)
    for step in steps:
        if isinstance(step, list):
            least, first, most = step
            rate.resize(first, least, most, 0, now)
            expected.resize(first, least, most, now)
            continue
        evidence, ns, ago, later, tokens, times = step
        for _ in range(times):
            now += later
            for _ in range(tokens):
                if bucket.try_take(1, now):
                    expected.used += 1
                else:
                    expected.refused += 1
            if evidence == 0:
                move, _ = rate.record(ns, now - ago, now)
            elif evidence == 1:
                move, _ = rate.record_unfinished(ns, now - ago, now)
            else:
                move, _ = rate.throttle(now - ago, now)
            assert move == expected.record(evidence, ns, now - ago, now), MOVES[move]
            assert least <= rate.rate() <= most
        assert rate.rate() == expected.rate
        assert rate.counters() == tuple(expected.moves[1:])
        assert rate.latency() == (
            expected.average_ns,
            expected.quantile.ns(),
            expected.samples,
        )
        num, den, _ = bucket.rate()
        if any(expected.moves[1:]):
            assert num / den * 1e15 == pytest.approx(expected.rate, rel=3e-6)


def test_limits_that_cross_are_refused() -> None:
    bucket = TokenBucket(1, 10**6, 1000, 0)
    for first, least, most in ((5000, 9000, 9500), (9999, 9000, 9500), (5000, 9000, 2000)):
        with pytest.raises(ValueError, match=r"rate: got \d+, allowed \d+ to \d+"):
            AdaptiveRate(bucket, first, least, most, 0, MS, MS, 10, 0)
