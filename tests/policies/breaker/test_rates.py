"""Rates over a window: failures, slow calls, and how many calls there must be."""

from fractions import Fraction
from typing import Any

import pytest

import holdfast as hf
from holdfast import CountWindow, State, TimeWindow
from tests.policies.calls import (
    OutageError,
    breaker_of,
    fail,
    half_open_breaker,
    rejection,
    succeed,
)

MINUTE = TimeWindow(60)


def rated(clock: hf.ManualClock, rate: float | None = 0.5, **settings: Any) -> hf.CircuitBreaker:
    return breaker_of(clock, failure_rate=rate, **settings)


@pytest.mark.parametrize("window", [CountWindow(10), CountWindow(100), MINUTE], ids=repr)
def test_it_opens_when_the_rate_is_reached_and_not_before(clock, window):  # CB-27
    breaker = rated(clock, 0.5, window=window, min_calls=10)
    succeed(breaker, 5)
    fail(breaker, 4)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize(
    ("rate", "failures", "calls"),
    [(0.07, 7, 100), (0.1, 3, 30), (0.3, 3, 10), (0.29, 29, 100), (2 / 3, 2, 3), (0.001, 1, 1000)],
)
def test_a_rate_is_what_its_decimal_digits_say(clock, rate, failures, calls):
    # CB-15, trap 24: no rounding moves the edge
    for short in (1, 0):
        breaker = rated(clock, rate, window=MINUTE, min_calls=calls)
        succeed(breaker, calls - failures + short)
        fail(breaker, failures - short)
        assert breaker.state is (State.CLOSED if short else State.OPEN)


@pytest.mark.parametrize("window", [CountWindow(100), MINUTE], ids=repr)
def test_few_calls_are_no_rate(clock, window):  # trap 30
    breaker = rated(clock, 0.5, window=window, min_calls=10)
    fail(breaker, 9)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize("window", [CountWindow(100), MINUTE], ids=repr)
def test_the_call_that_makes_up_the_minimum_may_be_a_success(clock, window):  # trap 30
    breaker = rated(clock, 0.5, window=window, min_calls=10)
    fail(breaker, 9)
    succeed(breaker)
    assert breaker.state is State.OPEN


def test_with_a_rate_the_consecutive_rule_is_off_unless_asked_for(clock):  # CB-15
    breaker = rated(clock, 1.0, min_calls=100)
    fail(breaker, 99)
    assert breaker.state is State.CLOSED

    breaker = rated(clock, 1.0, min_calls=100, failure_threshold=7)
    fail(breaker, 6)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN

    breaker = rated(clock, 0.5, min_calls=10, failure_threshold=7)
    for _ in range(5):
        succeed(breaker)
        fail(breaker)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize("size", [1, 5, 9, 10, 11])
def test_the_default_minimum_is_lowered_to_a_smaller_count_window(clock, size):  # trap 17
    breaker = rated(clock, 1.0, window=CountWindow(size))
    fail(breaker, min(size, 10) - 1)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


def test_a_minimum_no_window_could_hold_is_refused(clock):  # trap 17
    with pytest.raises(hf.ConfigError, match="min_calls: got 11, allowed an integer from 1 to 10"):
        rated(clock, window=CountWindow(10), min_calls=11)
    assert rated(clock, window=CountWindow(10), min_calls=10).state is State.CLOSED
    assert rated(clock, window=TimeWindow(10), min_calls=1_000_000).state is State.CLOSED


@pytest.mark.parametrize("window", [CountWindow(10), MINUTE], ids=repr)
def test_nothing_of_before_is_in_the_window_of_a_breaker_that_closed(clock, window):
    # CB-08, trap 16
    breaker = rated(clock, 0.5, window=window, min_calls=4, success_threshold=3, reset_timeout=1)
    fail(breaker, 4)
    clock.advance(1)
    succeed(breaker, 3)
    assert breaker.state is State.CLOSED
    assert breaker.snapshot().window == (0, 0, 0, 0)
    fail(breaker, 3)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


def slow_rule(clock: hf.ManualClock, **settings: Any) -> hf.CircuitBreaker:
    return breaker_of(
        clock, slow_call_duration=2.0,
        **{"slow_call_rate": 0.5, "min_calls": 4, "window": CountWindow(10), **settings},
    )  # fmt: skip


def test_enough_slow_calls_open_it_though_all_succeed(clock):  # CB-15, CB-27
    breaker = slow_rule(clock)
    succeed(breaker, 2)
    breaker.call(clock.advance, 2.0)
    assert breaker.state is State.CLOSED
    breaker.call(clock.advance, 60)
    assert breaker.state is State.OPEN
    s = breaker.snapshot()
    assert (s.succeeded, s.failed, s.slow) == (4, 0, 2)


def test_a_call_is_slow_from_the_given_duration_on(clock):  # trap 24
    breaker = slow_rule(clock)
    breaker.call(clock.advance_ns, 2_000_000_000 - 1)
    assert breaker.snapshot().window == (1, 0, 0, 0)
    breaker.call(clock.advance_ns, 2_000_000_000)
    assert breaker.snapshot().window == (2, 0, 1, 0)


def test_the_slow_rule_alone_does_not_mind_failures(clock):  # CB-15
    breaker = slow_rule(clock)
    fail(breaker, 50)
    assert breaker.state is State.CLOSED


def test_a_slow_probe_is_a_failed_one_where_slow_calls_open(clock):  # CB-06
    breaker = half_open_breaker(clock, slow_call_duration=2.0, slow_call_rate=0.5)
    breaker.call(clock.advance, 1.9)
    assert breaker.state is State.HALF_OPEN
    breaker.call(clock.advance, 2)
    assert breaker.state is State.OPEN
    assert rejection(breaker) is not None


def test_a_duration_without_a_rate_only_counts_slow_calls(clock):  # CB-27
    breaker = breaker_of(clock, slow_call_duration=2.0, success_threshold=1)
    for _ in range(20):
        breaker.call(clock.advance, 5)
    assert breaker.state is State.CLOSED
    assert breaker.snapshot().slow == 20
    breaker.half_open()
    breaker.call(clock.advance, 5)
    assert breaker.state is State.CLOSED


def test_what_proves_nothing_is_not_slow(clock):
    breaker = slow_rule(clock, ignore=OutageError)

    def be_ignored_slowly() -> None:
        clock.advance(3)
        raise OutageError

    for _ in range(10):
        with pytest.raises(OutageError):
            breaker.call(be_ignored_slowly)
    assert breaker.snapshot().window == (0, 0, 0, 10)
    assert breaker.snapshot().slow == 0


def test_rates_are_judged_exactly_by_whole_numbers(clock):  # CB-27
    # Every share of calls up to 7, against every rate with a denominator up to 7.
    shares = {Fraction(a, b) for b in range(1, 8) for a in range(1, b + 1)}
    for calls in range(1, 8):
        for failures in range(1, calls + 1):
            for share in shares:
                breaker = rated(clock, float(share), window=CountWindow(calls), min_calls=calls)
                succeed(breaker, calls - failures)
                fail(breaker, failures)
                opens = Fraction(failures, calls) >= share
                assert breaker.state is (State.OPEN if opens else State.CLOSED)
