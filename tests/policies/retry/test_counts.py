"""Retry: what is counted, of whom, and in which modes."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, fine, outage, raising
from tests.policies.retry.retries import (
    Flaky,
    budget_of,
    by_acall,
    by_call,
    every_way,
    retry_of,
    why,
)


def test_a_snapshot_has_all_that_happened(clock):  # RT-22, RT-23, RT-25
    retry = retry_of(clock, backoff=hf.Linear(0.001, 0.5, jitter=False), attempts=4)
    assert retry.snapshot().success_rate == 1.0
    retry.call(fine)
    retry.call(Flaky(clock, 2))
    with pytest.raises(OutageError):
        retry.call(outage)
    with pytest.raises(ValueError, match="mine"):
        retry.call(raising(ValueError("mine")))
    snapshot = retry.snapshot()
    assert (snapshot.name, snapshot.max_retries) == ("network", 3)
    assert (snapshot.succeeded, snapshot.failed, snapshot.recovered) == (2, 2, 1)
    assert snapshot.success_rate == 0.5
    assert snapshot.attempts == 1 + 3 + 4 + 1
    assert snapshot.retries[:4] == (2, 2, 1, 0)
    assert why(retry) == {"exhausted": 1, "not_retryable": 1}
    assert {bound: n for bound, n in snapshot.delays.items() if n} == {
        "0.001": 2,
        "0.512": 2,
        "1.024": 1,
    }
    assert snapshot.delay == pytest.approx(0.001 * 2 + 0.501 * 2 + 1.001)
    retry.reset()
    assert retry.snapshot() == snapshot


def test_statistics_are_the_policys_and_nothing_of_a_call_stays_with_it(clock):
    # trap 56, tenacity #93: concurrent calls shared a trial number
    retry = retry_of(clock)
    outer = Flaky(clock, 2)
    inner: list[Flaky] = []

    def reenters() -> str:
        flaky = Flaky(clock, 2)
        inner.append(flaky)
        assert retry.call(flaky) == "fine"
        return outer()

    assert retry.call(reenters) == "fine"
    assert [len(flaky.made) for flaky in (outer, *inner)] == [3, 3, 3, 3]
    snapshot = retry.snapshot()
    assert (snapshot.succeeded, snapshot.attempts) == (4, 12)


def test_a_retry_in_both_places_of_a_pipeline_keeps_its_calls_apart(clock):  # trap 56
    retry = retry_of(clock)
    flaky = Flaky(clock, 8)
    assert hf.Pipeline("p", retry, retry).call(flaky) == "fine"
    assert len(flaky.made) == 9
    assert retry.snapshot().succeeded == 2
    assert why(retry) == {"exhausted": 2}


@pytest.mark.parametrize("make", [by_call, by_acall])
def test_in_a_pipeline_each_attempt_passes_what_is_inside_and_the_call_what_is_outside(make, clock):
    outer, inner = (
        hf.CircuitBreaker(name, failure_threshold=99, clock=clock) for name in ("outer", "inner")
    )
    limiter = hf.RateLimiter("l", rate=1e-6, burst=10, clock=clock)
    pipe = hf.Pipeline("p", outer, retry_of(clock), limiter, inner)
    assert make(pipe, clock, Flaky(clock, 2)) == "fine"
    assert (outer.snapshot().succeeded, outer.snapshot().failed) == (1, 0)
    assert (inner.snapshot().succeeded, inner.snapshot().failed) == (1, 2)
    assert 10 - limiter.available == 3


@every_way
def test_observed_it_never_retries_and_counts_what_it_would_have(make, clock):
    error = OutageError()
    flaky = Flaky(clock, error=error)
    budget = budget_of(clock, 5)
    told: list[Any] = []
    retry = retry_of(
        clock, mode="observe", budget=budget, before_sleep=told.append, on_exhausted=told.append
    )
    with pytest.raises(OutageError) as raised:
        make(retry, clock, flaky)
    assert raised.value is error
    assert not hasattr(error, "__notes__")
    assert (flaky.made, told) == ([0.0], [])
    assert make(retry, clock, fine) == "fine"
    snapshot = retry.snapshot()
    assert (snapshot.observed, snapshot.succeeded, snapshot.failed) == (1, 1, 1)
    assert sum(snapshot.retries) == 0
    assert budget.snapshot().withdrawn == 0


@every_way
def test_switched_off_it_is_not_there(make, clock):
    flaky, retry = Flaky(clock), retry_of(clock, mode="off")
    with pytest.raises(OutageError) as raised:
        make(retry, clock, flaky)
    assert not hasattr(raised.value, "__notes__")
    assert flaky.made == [0.0]
    snapshot = retry.snapshot()
    assert (snapshot.attempts, snapshot.observed) == (0, 0)
