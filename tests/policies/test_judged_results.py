"""`on_result` judges results, by a predicate or as the responses that they are."""

from types import SimpleNamespace
from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, breaker_of, fail, raising
from tests.policies.retry.retries import every_way, retry_of

BUSY = [SimpleNamespace(status_code=503), SimpleNamespace(status=429)]
FINE = [SimpleNamespace(status_code=404), SimpleNamespace(status="503"), None, "text", 503]


def give(results: list[Any]) -> Any:
    left = iter(results)
    return lambda: next(left)


@every_way
@pytest.mark.parametrize("on_result", ["http", lambda result: result in BUSY])
def test_a_retry_repeats_a_result_that_is_a_failure(clock, make, on_result):
    for busy in BUSY:
        assert make(retry_of(clock, on_result=on_result), clock, give([busy, busy, 1])) == 1
        assert make(retry_of(clock, on_result=on_result), clock, give([busy] * 3)) is busy
    for fine in FINE:
        assert make(retry_of(clock, on_result=on_result), clock, give([fine])) is fine


@pytest.mark.parametrize("on_result", ["http", lambda result: result in BUSY])
def test_a_breaker_counts_a_result_that_is_a_failure(clock, on_result):
    breaker = breaker_of(clock, failure_threshold=2, on_result=on_result)
    for fine in FINE:
        assert breaker.call(lambda fine=fine: fine) is fine
    assert breaker.snapshot().succeeded == len(FINE)
    fail(breaker)
    assert breaker.call(lambda: BUSY[0]) is BUSY[0]
    assert (breaker.state, breaker.snapshot().failed) == (hf.State.OPEN, 2)


def test_on_result_of_a_breaker_is_not_asked_about_errors(clock):
    asked: list[object] = []
    breaker = breaker_of(clock, failure_threshold=1000, on_result=asked.append)
    fail(breaker, 2)
    breaker.try_call(raising(ValueError()))
    assert (asked, breaker.snapshot().failed) == ([], 3)
    breaker.call(int)
    assert asked == [0]


def test_on_judges_errors_while_on_result_judges_results(clock):
    breaker = breaker_of(
        clock,
        failure_threshold=1000,
        on=lambda error: isinstance(error, OutageError),
        on_result="http",
    )
    fail(breaker)
    breaker.try_call(raising(ValueError()))
    breaker.call(lambda: BUSY[1])
    assert (breaker.snapshot().failed, breaker.snapshot().succeeded) == (2, 1)


def test_an_error_of_on_result_is_the_calls_own_and_does_not_count(clock):
    breaker = breaker_of(clock, failure_threshold=1, on_result=lambda result: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        breaker.call(int)
    assert (breaker.state, breaker.snapshot().ignored) == (hf.State.CLOSED, 1)


def test_a_breaker_takes_one_judge_of_results(clock):
    with pytest.raises(hf.ConfigError) as refused:
        breaker_of(clock, on_result="http", is_failure=bool)
    (problem,) = refused.value.problems
    assert problem.startswith("on_result: got 'http', allowed None together with is_failure, which")


def test_the_setting_is_shown_and_compared_as_it_was_given():
    breaker = hf.CircuitBreaker("b", on_result="http", shared=True)
    assert "on_result='http'" in breaker.describe()
    assert hf.CircuitBreaker("b", on_result="http", shared=True) is breaker
    with pytest.raises(hf.ConfigError, match="on_result: got None"):
        hf.CircuitBreaker("b", shared=True)
