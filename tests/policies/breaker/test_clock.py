"""A breaker's time: one clock for everything, whichever way it steps."""

from typing import Any

import pytest

import holdfast as hf
from holdfast import State, TimeWindow
from tests.policies.calls import SECOND, OutageError, breaker_of, fail, fine, rejection, succeed

HOUR = 3600.0


def open_times(breaker: hf.CircuitBreaker, clock: hf.ManualClock, times: int) -> list[float]:
    """Return the lengths of openings that follow each other without a success between."""
    lengths = []
    for _ in range(times):
        fail(breaker)
        assert breaker.state is State.OPEN
        lengths.append(breaker.retry_after or 0.0)
        clock.advance(lengths[-1])
    return lengths


def test_with_backoff_each_failed_recovery_makes_the_next_opening_longer_up_to_a_cap(clock):
    # CB-15
    breaker = breaker_of(
        clock, failure_threshold=1, reset_timeout=5, reset_backoff=(2, 60, 0), success_threshold=1
    )
    assert open_times(breaker, clock, 7) == [5, 10, 20, 40, 60, 60, 60]
    succeed(breaker)
    assert breaker.state is State.CLOSED
    assert open_times(breaker, clock, 3) == [5, 10, 20]


def test_openings_grow_no_further_after_a_hundred_failed_recoveries(clock):  # CB-15
    breaker = breaker_of(
        clock, failure_threshold=1, reset_timeout=1e-9, reset_backoff=(1000, 60, 0)
    )
    assert open_times(breaker, clock, 100)[-1] == 60


def test_jitter_adds_up_to_its_share_differs_each_time_and_respects_the_cap(clock):  # CB-15
    breaker = breaker_of(clock, failure_threshold=1, reset_timeout=10, reset_backoff=(1, 14, 0.5))
    lengths = open_times(breaker, clock, 300)
    assert 10 <= min(lengths) < 10.5
    assert max(lengths) == 14.0
    assert 12 < sorted(lengths)[150] < 13
    assert len(set(lengths)) > 100


def test_two_breakers_of_the_same_settings_do_not_reopen_in_step(clock):  # CB-15
    alike: dict[str, Any] = {"reset_timeout": 10, "reset_backoff": (1, 20, 1.0)}
    one, other = breaker_of(clock, **alike), breaker_of(clock, **alike)
    one.trip()
    other.trip()
    assert one.retry_after != other.retry_after


def test_failures_are_forgotten_after_the_given_time_without_one(clock):  # CB-09, trap 26
    breaker = breaker_of(clock, failure_threshold=3, failure_reset=300)
    fail(breaker)
    clock.advance(200)
    fail(breaker)
    clock.advance_ns(300 * SECOND - 1)
    assert breaker.snapshot().consecutive_failures == 2
    clock.advance_ns(1)
    assert breaker.snapshot().consecutive_failures == 0  # shown though nothing happened since
    fail(breaker, 2)
    assert breaker.state is State.CLOSED
    clock.advance_ns(300 * SECOND - 1)
    fail(breaker)
    assert breaker.state is State.OPEN


def test_an_open_breaker_stays_open_no_longer_because_its_clock_stepped_back(clock):  # trap 20
    clock.advance(2 * HOUR)
    breaker = breaker_of(clock, reset_timeout=60)
    breaker.trip()
    clock.advance(10)
    clock.set(clock.now() - HOUR)
    assert breaker.retry_after == 50
    clock.advance(50)
    assert rejection(breaker) is None


def test_a_call_during_which_the_clock_steps_back_lasts_as_long_as_it_went_forward(clock):
    # trap 20
    clock.advance(HOUR)
    breaker = breaker_of(clock, latency=True)

    def call() -> None:
        clock.advance(1)
        clock.set(0)
        clock.advance(2)

    breaker.call(call)
    latency = breaker.snapshot().latency
    assert latency is not None
    assert (latency.count, latency.total) == (1, 3.0)


def test_a_step_forward_costs_one_window_and_no_more(clock):  # trap 21
    breaker = breaker_of(clock, failure_rate=0.5, min_calls=10, window=TimeWindow(10))
    fail(breaker, 9)
    clock.set(10 * 365 * 86_400)
    fail(breaker, 9)
    assert breaker.snapshot().window == (9, 9, 0, 0)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN


def test_all_that_a_breaker_times_it_times_by_its_own_clock(clock):  # trap 22
    clock.advance(1000)
    breaker = breaker_of(clock, failure_threshold=2, latency=True, reset_timeout=60)
    events: list[hf.Event] = []
    breaker.on_event(events.append)
    breaker.call(clock.advance, 2)
    fail(breaker)
    clock.advance(3)
    fail(breaker)
    assert rejection(breaker) is not None
    s = breaker.snapshot()
    assert (s.last_success, s.last_failure, s.retry_after) == (1002.0, 1005.0, 60.0)
    assert s.latency is not None
    assert (s.latency.count, s.latency.total) == (3, 2.0)
    assert [event.at for event in events] == [1005.0, 1005.0]


def test_policies_of_one_pipeline_each_go_by_their_own_clock():  # trap 22
    clocks = [hf.ManualClock(start) for start in (0, 500, 9000)]
    breakers = [
        breaker_of(clock, slow_call_duration=2, failure_threshold=1, reset_timeout=60)
        for clock in clocks
    ]
    pipe = hf.Pipeline("all", *breakers)

    def call(failing: bool) -> None:
        for seconds, clock in enumerate(clocks, 1):
            clock.advance(seconds)
        if failing:
            raise OutageError

    pipe.call(call, False)
    with pytest.raises(OutageError):
        pipe.call(call, True)
    snapshots = [breaker.snapshot() for breaker in breakers]
    assert [s.slow for s in snapshots] == [0, 2, 2]
    assert [s.latency and s.latency.total for s in snapshots] == [2.0, 4.0, 6.0]
    assert [s.last_failure for s in snapshots] == [2.0, 504.0, 9006.0]
    clocks[1].advance(60)
    assert [breaker.peek() for breaker in breakers] == [False, True, False]


def test_a_result_whose_time_is_behind_that_of_another_is_counted(clock):
    # trap 25: the pipeline read the time of the end before the inner breaker's listener ran
    for behind in (0.1, 1, 5, 8.9):
        outer = breaker_of(clock, failure_rate=1.0, min_calls=1000, window=TimeWindow(10))
        inner = breaker_of(clock, failure_threshold=1)

        def meanwhile(
            event: hf.Event, behind: float = behind, outer: hf.CircuitBreaker = outer
        ) -> None:
            clock.advance(behind)
            fail(outer, 3)

        inner.on_event(meanwhile)
        fail(hf.Pipeline("both", outer, inner))
        assert outer.snapshot().window == (4, 4, 0, 0)
        assert outer.snapshot().last_failure == clock.now()


def test_an_opening_is_not_cut_short_by_a_caller_whose_time_is_behind(clock):
    # CB-04, trap 25: the pipeline read the time before the outer breaker's listener ran
    outer = breaker_of(clock, reset_timeout=1)
    inner = breaker_of(clock, reset_timeout=60)

    def meanwhile(event: hf.Event) -> None:
        clock.advance(7)
        inner.trip()

    outer.trip()
    clock.advance(1)
    outer.on_event(meanwhile)
    with pytest.raises(hf.CircuitOpenError) as caught:
        hf.Pipeline("both", outer, inner).call(fine)
    assert caught.value.policy is inner
    assert inner.retry_after == 60


def test_on_the_systems_clock_who_comes_when_told_to_is_admitted():
    """The question, the refusal and the admission agree on the time, at any speed."""
    # CB-04, trap 22
    clock = hf.SystemClock()
    for _ in range(3):
        breaker = hf.CircuitBreaker("payments", reset_timeout=0.003)
        breaker.trip()
        while not breaker.peek():
            pass
        assert rejection(breaker) is None
        breaker.trip()
        refused = rejection(breaker)
        if refused is None:
            continue  # this thread was held up for the whole of the opening
        until = clock.now() + (refused.retry_after or 0.0)
        while clock.now() < until:
            pass
        assert rejection(breaker) is None


def test_on_the_systems_clock_an_opening_is_neither_shorter_nor_told_to_be_longer():
    """A clock that lags is none that stepped back. Both bounds hold at any speed."""
    # CB-04, trap 20
    clock = hf.SystemClock()
    for _ in range(50):  # the coarse clock is behind at nearly every look
        breaker = hf.CircuitBreaker("payments", reset_timeout=HOUR)
        opened_ns = clock.now_ns()
        breaker.trip()
        refused = rejection(breaker)
        assert refused is not None
        assert (refused.retry_after or 0.0) <= HOUR
        left_ns = round((breaker.retry_after or 0.0) * SECOND)
        assert clock.now_ns() + left_ns >= opened_ns + HOUR * SECOND
