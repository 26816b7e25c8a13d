"""The adaptive timeout through its binding, against its model."""

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


def test_limits_that_cross_are_refused() -> None:
    for initial, least, most in ((5, 10, 20), (25, 10, 20), (5, 0, 20), (15, 20, 10)):
        with pytest.raises(ValueError, match=r"_ns: got \d+, allowed \d+ to \d+"):
            AdaptiveTimeout(initial, least, most, 2.0, 0.95)
