"""Back-offs through their binding, against their model."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from holdfast._native.backoff import Backoff, read
from tests.models import backoff as model

pytestmark = pytest.mark.stress

SECOND = 10**9
MOST = 2**63 - 1
spans = st.one_of(st.integers(0, 100 * SECOND), st.integers(0, 10), st.integers(0, MOST))
attempts = st.one_of(st.integers(0, 100), st.sampled_from([2**16, 2**31, 2**32 - 1]))
previous = st.one_of(st.none(), spans)
made_of = st.builds(
    lambda span, **rest: {"base_ns": min(span), "max_ns": max(span), **rest},
    span=st.tuples(spans, spans),
    kind=st.integers(0, 4),
    increment_ns=spans,
    factor=st.one_of(st.floats(1, 10), st.sampled_from([1.0, 1.5, 2.0, 1000.0, 1e300])),
    mode=st.integers(0, 3),
    jitter=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 1.0])),
    seed=st.integers(0, 2**64 - 1),
)
machines = settings.get_profile("machines")


class BackoffMachine(RuleBasedStateMachine):
    @initialize(settings=made_of)
    def start(self, settings: dict[str, Any]) -> None:
        self.backoff = Backoff(**settings)
        self.model = model.Backoff(**settings)

    @rule(attempt=attempts, previous_ns=previous)
    def delay(self, attempt: int, previous_ns: int | None) -> None:  # RT-03, RT-04, RT-05
        ns = self.backoff.delay_ns(attempt, previous_ns)
        assert ns == self.model.delay_ns(attempt, previous_ns)
        assert 0 <= ns <= self.model.max_ns  # trap 49

    @rule(attempt=attempts, previous_ns=previous)
    def delay_in_seconds(self, attempt: int, previous_ns: int | None) -> None:
        seconds = None if previous_ns is None else timedelta(microseconds=previous_ns // 1000)
        in_ns = None if seconds is None else round(seconds.total_seconds() * 1e9)
        expected = self.model.delay_ns(attempt, in_ns) / 1e9
        assert self.backoff.delay(attempt, seconds) == pytest.approx(expected, rel=1e-15)

    @rule(attempt=attempts, previous_ns=previous)
    def delay_as_a_retry_asks(self, attempt: int, previous_ns: int | None) -> None:
        asked = -1 if previous_ns is None else previous_ns
        assert self.backoff._delay_ns(attempt, asked) == self.model.delay_ns(attempt, previous_ns)

    @rule(seed=st.integers(0, 2**64 - 1))
    def seed_again(self, seed: int) -> None:  # trap 58: a forked child does
        self.backoff.seed(seed)
        self.model.random.seed(seed)


TestBackoff = BackoffMachine.TestCase
TestBackoff.settings = machines


def exponential(base_ns: int, factor: float, max_ns: int) -> Backoff:
    return Backoff(
        2, base_ns, max_ns, increment_ns=0, factor=factor, mode=0, jitter=0.0, seed=0
    )  # fmt: skip


@given(st.integers(0, MOST), st.floats(1, 1000), st.integers(0, 300), st.integers(0, MOST))
def test_a_power_is_as_near_to_the_exact_one_as_doubles_come(
    base_ns: int, factor: float, attempt: int, max_ns: int
) -> None:  # RT-03
    exact = min(base_ns * Fraction(factor) ** attempt, Fraction(max(base_ns, max_ns)))
    ns = exponential(base_ns, factor, max(base_ns, max_ns)).delay_ns(attempt)
    assert abs(ns - exact) <= 1 + exact * (2 * attempt + 2) / 2**52


@pytest.mark.parametrize("beyond", [2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64, 10**30])
def test_an_attempt_beyond_four_billion_waits_as_long_as_that_one(beyond: int) -> None:  # trap 49
    assert exponential(SECOND, 2.0, 60 * SECOND).delay(beyond) == 60.0
    assert exponential(SECOND, 1.0, 60 * SECOND).delay_ns(beyond) == SECOND
    assert read(beyond, None) == (2**32 - 1, -1)


@pytest.mark.parametrize(
    ("previous", "ns"),
    [
        (None, -1),
        (0, 0),
        (0.0, 0),
        (1, SECOND),
        (0.1, SECOND // 10),
        (1e-9, 1),
        (timedelta(milliseconds=3), 3_000_000),
        (9e9, 9 * 10**18),
        (1e300, MOST),
        (float("inf"), MOST),
        (10**400, MOST),
    ],
)
def test_the_delay_before_is_read_as_any_duration_is(previous: Any, ns: int) -> None:
    assert read(3, previous) == (3, ns)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        *(("factor", bad) for bad in (0.99, -1.0, float("nan"), float("inf"))),
        *(("jitter", bad) for bad in (-0.01, 1.01, float("nan"), float("inf"))),
    ],
)
def test_a_factor_below_one_or_a_jitter_beyond_it_is_refused(field: str, bad: float) -> None:
    values: dict[str, Any] = {"factor": 1.0, "jitter": 0.0, field: bad}
    with pytest.raises(ValueError, match=rf"^{field}: got .*, allowed \d"):
        Backoff(2, 1, 1, increment_ns=0, mode=0, seed=0, **values)
    values[field] = "1"
    with pytest.raises(TypeError, match=rf"^{field}: got '1', allowed \d"):
        Backoff(2, 1, 1, increment_ns=0, mode=0, seed=0, **values)
