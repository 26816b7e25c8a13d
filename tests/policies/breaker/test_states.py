"""A circuit breaker's three states, and what leads from one to the next."""

import pytest

from holdfast import State
from tests.policies.calls import (
    SECOND,
    breaker_of,
    changes,
    fail,
    half_open_breaker,
    rejection,
    succeed,
)


@pytest.mark.parametrize(
    ("state", "name", "metric"),
    [
        (State.CLOSED, "closed", 0),
        (State.HALF_OPEN, "half-open", 1),
        (State.OPEN, "open", 2),
        (State.FORCED_OPEN, "forced-open", 2),
        (State.DISABLED, "disabled", 0),
        (State.METRICS_ONLY, "metrics-only", 0),
    ],
)
def test_a_state_has_its_name_and_its_metric_value(state, name, metric):  # CB-01
    assert state.value == name
    assert state.metric == metric
    assert State(name) is state
    assert State(name.replace("-", "_")) is state


@pytest.mark.parametrize("word", ["ajar", "CLOSED", "", None, 0, b"open"])
def test_a_word_that_names_no_state_is_refused(word):
    with pytest.raises(ValueError, match="is not a valid State"):
        State(word)


def test_it_begins_closed_and_closed_lets_every_call_pass(clock):  # CB-01, CB-02, CB-16
    breaker = breaker_of(clock)
    assert breaker.name == "payments"
    for _ in range(100):
        assert breaker.call(divmod, 7, 2) == (3, 1)
    assert breaker.call(sorted, [2, 1, 3], reverse=True) == [3, 2, 1]
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("threshold", [1, 2, 5])
def test_as_many_failures_in_a_row_as_the_threshold_open_it(clock, threshold):  # CB-03
    breaker = breaker_of(clock, failure_threshold=threshold)
    fail(breaker, threshold - 1)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


def test_a_success_while_closed_starts_the_count_again(clock):  # CB-03
    breaker = breaker_of(clock, failure_threshold=3)
    for _ in range(10):
        fail(breaker, 2)
        succeed(breaker)
    fail(breaker, 2)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


def test_it_is_half_open_once_the_reset_timeout_has_passed_to_the_nanosecond(clock):  # CB-04, CB-26
    breaker = breaker_of(clock, failure_threshold=1, reset_timeout=60)
    clock.advance(1000)
    fail(breaker)
    clock.advance_ns(60 * SECOND - 1)
    refused = rejection(breaker)
    assert refused is not None
    assert refused.retry_after == 1e-9
    assert breaker.state is State.OPEN
    clock.advance_ns(1)
    assert rejection(breaker) is None
    assert breaker.state is State.HALF_OPEN


def test_an_open_breaker_without_traffic_waits_for_it_and_needs_no_timer(clock):
    # CB-04, CB-26, trap 12
    breaker = breaker_of(clock, reset_timeout=60)
    breaker.trip()
    clock.advance(86_400)
    assert breaker.state is State.OPEN
    assert breaker.retry_after == 0
    assert breaker.peek()
    succeed(breaker)
    assert breaker.state is State.HALF_OPEN


@pytest.mark.parametrize(("places", "threshold"), [(1, 1), (3, 3), (1, 5), (5, 1)])
def test_as_many_probe_successes_as_the_threshold_close_it(clock, places, threshold):
    # CB-05, CB-26, trap 17: places bound the probes at once, so fewer places than needed successes
    # still decide
    breaker = half_open_breaker(clock, half_open_max_calls=places, success_threshold=threshold)
    succeed(breaker, threshold - 1)
    assert breaker.state is State.HALF_OPEN
    succeed(breaker)
    assert breaker.state is State.CLOSED


def test_one_failed_probe_opens_it_at_once_and_the_reset_timeout_starts_again(clock):  # CB-06
    breaker = half_open_breaker(clock, success_threshold=3, reset_timeout=60)
    clock.advance(7)
    succeed(breaker, 2)
    fail(breaker)
    assert breaker.state is State.OPEN
    assert breaker.retry_after == 60
    clock.advance_ns(60 * SECOND - 1)
    assert rejection(breaker) is not None
    clock.advance_ns(1)
    assert rejection(breaker) is None


def test_a_half_open_period_starts_its_successes_at_nothing(clock):  # CB-08, trap 16
    breaker = half_open_breaker(clock, success_threshold=3, reset_timeout=60)
    succeed(breaker, 2)
    fail(breaker)
    clock.advance(60)
    succeed(breaker, 2)
    assert breaker.state is State.HALF_OPEN
    succeed(breaker)
    assert breaker.state is State.CLOSED


def test_a_closed_period_starts_its_failures_at_nothing(clock):  # CB-08, trap 16
    breaker = breaker_of(clock, failure_threshold=3, success_threshold=2, reset_timeout=60)
    fail(breaker, 3)
    clock.advance(60)
    succeed(breaker, 2)
    assert breaker.snapshot().consecutive_failures == 0
    fail(breaker, 2)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


def test_it_goes_round_for_ever_and_never_sticks(clock):  # CB-26, trap 9
    breaker = breaker_of(clock, failure_threshold=1, success_threshold=1, reset_timeout=1)
    for turn in range(1, 51):
        fail(breaker)
        assert rejection(breaker) is not None
        clock.advance(1)
        succeed(breaker)
        assert breaker.state is State.CLOSED
        assert changes(breaker) == dict.fromkeys(
            [
                (State.CLOSED, State.OPEN),
                (State.OPEN, State.HALF_OPEN),
                (State.HALF_OPEN, State.CLOSED),
            ],
            turn,
        )
