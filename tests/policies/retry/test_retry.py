"""Retry: how often it calls, what it retries and what it gives back, in every way to call it."""

from __future__ import annotations

import gc
import weakref
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, fine, outage
from tests.policies.retry.retries import (
    WAYS,
    Flaky,
    every_way,
    in_a_coroutine,
    retry_of,
    run_async,
    why,
)


@every_way
@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_call_is_made_until_it_succeeds(make, failures, clock):
    # RT-07: it returns what the last attempt returned
    flaky, retry = Flaky(clock, failures), retry_of(clock)
    assert make(retry, clock, flaky) == "fine"
    assert flaky.made == [float(n) for n in range(failures + 1)]
    snapshot = retry.snapshot()
    assert (snapshot.succeeded, snapshot.failed) == (1, 0)
    assert snapshot.recovered == (failures > 0)  # RT-23
    assert snapshot.attempts == failures + 1


@every_way
def test_it_gives_up_after_its_attempts_and_raises_what_the_last_one_raised(make, clock):
    # RT-02, RT-21: attempts are the retries plus one
    errors = [OutageError("first"), OutageError("second"), OutageError("third")]
    flaky, retry = Flaky(clock, 3, errors), retry_of(clock)
    with pytest.raises(OutageError) as raised:
        make(retry, clock, flaky)
    assert raised.value is errors[2]
    assert raised.value.__cause__ is None
    assert flaky.made == [0.0, 1.0, 2.0]
    assert why(retry) == {"exhausted": 1}


@every_way
def test_one_attempt_is_a_call_without_retries_and_without_a_note(make, clock):
    flaky, retry = Flaky(clock), retry_of(clock, attempts=1)
    with pytest.raises(OutageError) as raised:
        make(retry, clock, flaky)
    assert flaky.made == [0.0]
    assert not hasattr(raised.value, "__notes__")
    assert why(retry) == {"exhausted": 1}


@every_way
def test_a_million_attempts_may_be_asked_for_and_are_counted_together_from_the_16th(make, clock):
    # RT-25
    flaky, retry = Flaky(clock, 40), retry_of(clock, attempts=1_000_000)
    assert make(retry, clock, flaky) == "fine"
    snapshot = retry.snapshot()
    assert snapshot.retries == (1,) * 15 + (25,)
    assert (snapshot.attempts, snapshot.delay) == (41, 40.0)


@every_way
def test_a_result_may_be_a_reason_and_the_last_one_is_returned(make, clock):
    results = iter([None, None, "late", "later", "latest"])
    retry = retry_of(clock, on_result=lambda result: result is None or result == "later")
    assert make(retry, clock, lambda: next(results)) == "late"
    assert make(retry, clock, lambda: next(results)) == "latest"
    assert (retry.snapshot().recovered, clock.now()) == (2, 3.0)
    assert make(retry, clock, lambda: None) is None
    assert why(retry) == {"exhausted": 1}


@every_way
def test_results_are_not_asked_about_without_a_predicate(make, clock):
    error = OutageError()
    assert make(retry_of(clock), clock, lambda: error) is error
    assert clock.now() == 0.0


@every_way
@pytest.mark.parametrize(
    ("on", "ignore"),
    [
        ((ConnectionError,), ()),
        (Exception, (OutageError,)),
        ((), ()),
        (lambda error: False, ()),
        (lambda error: True, OutageError),
        (lambda error: 0, ()),
    ],
)
def test_what_is_not_to_be_retried_goes_to_the_caller_untouched(make, on, ignore, clock):
    # RT-06, RT-08, D-RT-1
    error = OutageError()
    flaky = Flaky(clock, error=error)
    retry = retry_of(clock, on=on, ignore=ignore, wrap=True)
    with pytest.raises(OutageError) as raised:
        make(retry, clock, flaky)
    assert raised.value is error
    assert not hasattr(error, "__notes__")
    assert (error.__cause__, error.__context__) == (None, None)
    assert flaky.made == [0.0]
    assert why(retry) == {"not_retryable": 1}


@every_way
def test_a_predicate_is_asked_for_each_error_and_what_it_says_is_true_or_not(make, clock):  # RT-06
    asked: list[Exception] = []
    errors = [OutageError("again"), ValueError("again"), KeyError("enough")]

    def wanted(error: Exception) -> str:
        asked.append(error)
        return "yes" if error.args == ("again",) else ""

    with pytest.raises(KeyError):
        make(retry_of(clock, on=wanted, attempts=9), clock, Flaky(clock, 9, errors))
    assert asked == errors


def test_a_number_of_seconds_is_a_constant_back_off(clock):
    assert retry_of(clock, backoff=0.5).backoff == hf.Constant(0.5)
    assert retry_of(clock, backoff=timedelta(minutes=1)).backoff == hf.Constant(60)
    assert hf.chain(0, hf.Constant(1)) == hf.chain(hf.Constant(0), hf.Constant(1))
    assert hf.AdaptiveBackoff(2).delay(0) == 2.0
    one = hf.Retry("same", backoff=2, shared=True)
    assert hf.Retry("same", backoff=hf.Constant(2), shared=True) is one


def test_the_default_is_to_retry_lost_connections_and_timeouts(clock):
    retry = hf.Retry("default", clock=clock)
    for error in (ConnectionResetError, TimeoutError):
        flaky = Flaky(clock, 3, error)
        assert retry.call(flaky) == "fine"
        assert len(flaky.made) == 4
    for other in (OSError, ValueError, PermissionError):
        flaky = Flaky(clock, 3, other)
        with pytest.raises(other):
            retry.call(flaky)
        assert len(flaky.made) == 1


@pytest.mark.parametrize("make", WAYS[:4], ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_are_never_retried(make, kind, clock):  # trap 50, D-RT-3
    flaky, retry = Flaky(clock, error=kind), retry_of(clock, on=lambda error: True)
    with pytest.raises(kind) as raised:
        make(retry, clock, flaky)
    assert not hasattr(raised.value, "__notes__")
    assert len(flaky.made) == 1
    assert why(retry) == {"cancelled": 1}


@every_way
def test_a_rejection_is_never_retried_unless_named(make, clock):
    # trap 55: retrying what an open breaker refuses only amplifies
    breaker = hf.CircuitBreaker("payments", clock=clock)
    breaker.trip()

    def through() -> Any:
        return breaker.call(fine)

    for on in (Exception, lambda error: True):
        retry = retry_of(clock, on=on)
        with pytest.raises(hf.CircuitOpenError):
            make(retry, clock, through)
        assert (clock.now(), why(retry)) == (0.0, {"rejected": 1})
    retry = retry_of(clock, on=(hf.CircuitOpenError,), ignore=(hf.Rejected,))
    with pytest.raises(hf.CircuitOpenError):
        make(retry, clock, through)
    assert why(retry) == {"rejected": 1}
    retry = retry_of(clock, on=(hf.CircuitOpenError,))
    assert make(retry, clock, through) == "fine"  # after the minute that the rejection asks for
    assert clock.now() == 60.0
    assert why(retry) == {}


def test_a_rejection_by_an_inner_policy_is_retried_when_named_after_its_own_time(clock):  # trap 55
    limiter = hf.RateLimiter("l", rate=0.25, burst=1, clock=clock)
    pipe = hf.Pipeline("p", retry_of(clock, on=hf.RateLimitedError), limiter)
    for _ in range(4):
        assert pipe.call(fine) == "fine"
    assert clock.now() == 12.0


@pytest.mark.parametrize("calls", ["try_call", "try_acall"])
def test_an_outcome_says_a_rejection_only_of_the_last_attempt(calls, clock):
    limiter = hf.RateLimiter("l", rate=1, burst=1, clock=clock)
    retry = retry_of(clock, on=(hf.RateLimitedError,))
    pipe = hf.Pipeline("p", retry, limiter)

    def outcome(fn: Any) -> hf.Outcome[Any]:
        if calls == "try_call":
            return pipe.try_call(fn)
        made: hf.Outcome[Any] = run_async(clock, pipe.try_acall(in_a_coroutine(fn)))
        return made

    assert outcome(fine).value == "fine"
    failed = outcome(outage)  # refused, then run
    assert (type(failed.error), failed.rejection) == (OutageError, None)
    assert clock.now() == 1.0
    limiter.resize(rate=0.001)
    clock.advance(1)
    outcome(fine)
    refused = outcome(fine)
    assert isinstance(refused.rejection, hf.RateLimitedError)
    assert refused.error is None


@pytest.mark.parametrize("calls", ["try_call", "try_acall"])
@pytest.mark.parametrize("instead", ["wrap", "on_exhausted", "before_sleep"])
def test_what_comes_in_place_of_a_rejection_is_an_error(calls, instead, clock):
    def breaks(state: object) -> None:
        raise ZeroDivisionError

    limiter = hf.RateLimiter("l", rate=0.001, burst=1, clock=clock)
    limiter.call(fine)
    settings: dict[str, Any] = {instead: True if instead == "wrap" else breaks}
    retry = retry_of(clock, on=(hf.RateLimitedError,), **settings)
    pipe = hf.Pipeline("p", retry, limiter)
    if calls == "try_call":
        outcome = pipe.try_call(fine)
    else:
        outcome = run_async(clock, pipe.try_acall(in_a_coroutine(fine)))
    expected = hf.RetryExhaustedError if instead == "wrap" else ZeroDivisionError
    assert (type(outcome.error), outcome.rejection) == (expected, None)


def test_a_shared_retry_is_the_living_one_if_its_settings_are_equal(clock):
    made = retry_of(clock, shared=True, backoff=hf.Exponential(0.1))
    assert retry_of(clock, shared=True, backoff=hf.Exponential(0.1)) is made
    with pytest.raises(hf.ConfigError, match="attempts: got 9, allowed 3"):
        retry_of(clock, shared=True, backoff=hf.Exponential(0.1), attempts=9)


def test_its_settings_are_in_one_line_and_a_block_cannot_be_run_twice(clock):
    retry = retry_of(clock)
    assert retry.describe().startswith("Retry 'network': attempts=3, backoff=Constant(")
    assert repr(retry) == "<Retry 'network' 3 attempts>"
    with pytest.raises(TypeError, match=r"for attempt in retry\.attempts\(\):"), retry:
        pass
    with pytest.raises(TypeError, match="<Retry 'network'> cannot run a block again"), retry:
        raise AssertionError("ran")


def test_a_retry_that_was_dropped_is_gone(clock):
    retry = retry_of(clock)
    with pytest.raises(OutageError):
        retry.call(outage)
    gone = weakref.ref(retry)
    del retry
    gc.collect()
    assert gone() is None
