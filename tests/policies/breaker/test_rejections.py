"""The refusal of an open breaker: what it says, what it costs, what it keeps alive."""

import gc
import weakref

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, breaker_of, fail, fine, outage


@pytest.fixture
def breaker(clock: hf.ManualClock) -> hf.CircuitBreaker:
    """A breaker that is open for another 59.5 seconds."""
    breaker = breaker_of(clock, reset_timeout=60)
    breaker.trip()
    clock.advance(0.5)
    return breaker


def refused(breaker: hf.CircuitBreaker) -> hf.CircuitOpenError:
    with pytest.raises(hf.CircuitOpenError) as caught:
        breaker.call(fine)
    return caught.value


def test_a_refusal_is_a_class_of_its_own_with_a_stable_code(breaker):  # GEN-08
    error = refused(breaker)
    assert type(error) is hf.CircuitOpenError
    assert error.code == "CIRCUIT_OPEN"
    assert isinstance(error, hf.Rejected)
    assert isinstance(error, hf.HoldfastError)
    assert error.policy is breaker
    assert (error.name, error.reason, error.retry_after) == ("payments", "open", 59.5)


def test_a_refusal_keeps_no_exception_of_a_call_before_it_alive(clock):  # trap 14
    breaker = breaker_of(clock, failure_threshold=1)
    with pytest.raises(OutageError) as caught:
        breaker.call(outage)
    earlier = weakref.ref(caught.value)
    del caught
    error = refused(breaker)
    gc.collect()
    assert (error.__context__, error.__cause__, earlier()) == (None, None, None)


def test_a_refusal_does_not_keep_its_breaker_registered_for_ever(clock):
    breaker = breaker_of(clock)
    breaker.trip()
    error = refused(breaker)
    there = weakref.ref(breaker)
    del breaker
    assert there() is error.policy
    del error
    gc.collect()
    assert there() is None


def test_an_open_breaker_is_not_bypassed_by_trying_another_way(clock):  # CB-02, D-C-3
    breaker = breaker_of(clock, failure_threshold=1)
    fail(breaker)
    calls: list[int] = []
    guarded = breaker(calls.append)
    for attempt in (
        lambda: guarded(1),
        lambda: breaker.call(guarded, 1),
        lambda: breaker.call(calls.append, 1),
        lambda: hf.Pipeline("again", breaker).call(calls.append, 1),
    ):
        with pytest.raises(hf.CircuitOpenError):
            attempt()
    assert calls == []
    assert breaker.try_call(outage).error is None
