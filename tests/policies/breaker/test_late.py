"""Results that come after the period that admitted them: counted, and deciding nothing."""

from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from holdfast import State, TimeWindow
from tests.policies.calls import (
    OutageError,
    breaker_of,
    fail,
    half_open_breaker,
    rejection,
    succeed,
)

END: dict[str, Callable[[hf.Permit], object]] = {
    "success": lambda permit: permit.success(),
    "failure": lambda permit: permit.failure(),
    "judged failure": lambda permit: permit.failure(OutageError()),
    "ignored": lambda permit: permit.ignore(),
}

every_end = pytest.mark.parametrize("end", END.values(), ids=END)


def without_counts(breaker: hf.CircuitBreaker) -> tuple[object, ...]:
    """Return everything a result may decide or touch, but not the counts of results."""
    s = breaker.snapshot()
    return (
        s.state, s.generation, s.consecutive_failures, s.probes, s.retry_after, s.window,
        s.last_failure, s.last_success, s.state_changes, breaker.peek(),
    )  # fmt: skip


def test_a_success_from_before_the_trip_does_not_close_a_half_open_breaker(clock):
    # CB-06, trap 2, D-CB-3
    breaker = breaker_of(clock, success_threshold=1, reset_timeout=60)
    late = [breaker.acquire() for _ in range(3)]
    breaker.trip()
    clock.advance(60)
    probe = breaker.acquire()
    for permit in late:
        permit.success()
    assert breaker.state is State.HALF_OPEN
    probe.success()
    assert breaker.state is State.CLOSED


@every_end
def test_a_late_result_frees_no_place_it_never_took(clock, end):  # trap 1, trap 3
    breaker = breaker_of(clock, half_open_max_calls=2, reset_timeout=60)
    late = [breaker.acquire() for _ in range(5)]
    breaker.trip()
    clock.advance(60)
    probes = [breaker.acquire(), breaker.acquire()]
    for permit in late:
        end(permit)
        assert rejection(breaker) is not None
    assert breaker.snapshot().probes == len(probes) == 2


@every_end
def test_a_probe_of_an_earlier_half_open_period_decides_nothing_in_a_later_one(clock, end):
    # trap 2, trap 3, D-CB-3
    breaker = half_open_breaker(clock, half_open_max_calls=2, success_threshold=1, reset_timeout=60)
    late = breaker.acquire()
    fail(breaker)
    clock.advance(60)
    probe = breaker.acquire()
    before = without_counts(breaker)
    end(late)
    assert without_counts(breaker) == before
    probe.success()
    assert breaker.state is State.CLOSED


@every_end
@pytest.mark.parametrize(
    "order", ["trip", "half_open", "reset", "force_open", "disable", "metrics_only"]
)
def test_a_result_from_before_an_order_changes_nothing_but_counts(clock, order, end):
    # CB-19, trap 3
    breaker = breaker_of(clock, failure_rate=0.5, min_calls=1, failure_threshold=2)
    late = breaker.acquire()
    getattr(breaker, order)()
    before = without_counts(breaker)
    clock.advance(1)
    retry_after = breaker.retry_after
    end(late)
    after = without_counts(breaker)
    assert after[:4] + after[5:] == before[:4] + before[5:]
    assert breaker.retry_after == retry_after
    assert breaker.snapshot().late == 1
    assert breaker.in_flight == 0


def test_late_results_are_counted_as_what_they_are_and_as_late(clock):  # CB-23
    breaker = breaker_of(clock)
    late = [breaker.acquire() for _ in range(4)]
    breaker.reset()
    succeed(breaker)
    late[0].success()
    late[1].failure()
    late[2].ignore()
    late.pop()
    s = breaker.snapshot()
    assert (s.succeeded, s.failed, s.ignored, s.abandoned, s.late) == (2, 1, 1, 1, 3)
    assert s.admitted == 5
    assert s.in_flight == 0


def test_a_call_that_trips_its_own_breaker_is_late(clock):  # trap 3, trap 13
    breaker = breaker_of(clock)
    breaker.call(breaker.trip)
    assert breaker.state is State.OPEN
    assert breaker.snapshot().late == 1
    with pytest.raises(hf.CircuitOpenError):
        breaker.call(breaker.reset)


def judging_slowly(
    clock: hf.ManualClock, outer: hf.CircuitBreaker, seconds: float, times: int
) -> hf.Pipeline:
    """Return the outer breaker around one whose verdict takes time, in which the outer one fails.

    The end of a call is timed before the verdict, so the outer breaker hears of it late.
    """

    def slow_verdict(_: Any) -> bool:
        clock.advance(seconds)
        fail(outer, times)
        return False

    inner = hf.CircuitBreaker("inner", is_failure=slow_verdict, clock=clock)
    return hf.Pipeline("pipe", outer, inner)


def test_an_outcome_later_than_the_window_takes_nothing_from_the_present(clock):  # trap 25
    outer = breaker_of(clock, failure_rate=0.9, min_calls=1000, window=TimeWindow(10))
    for seconds in (10, 20, 25, 3600):
        fail(judging_slowly(clock, outer, seconds, 50))
        assert outer.snapshot().window == (50, 50, 0, 0)
    assert outer.snapshot().failed == 4 * 51  # each is in the totals


def test_late_successes_do_not_hide_that_the_present_fails(clock):  # trap 25
    outer = breaker_of(clock, failure_rate=0.9, min_calls=10, window=TimeWindow(10))
    succeed(judging_slowly(clock, outer, 20, 9))
    fail(outer)
    assert outer.state is State.OPEN
