"""What a breaker shows of itself: counts, times, durations, size; and that looking is free."""

import dataclasses

import pytest

import holdfast as hf
from holdfast import CountWindow, State, TimeWindow
from tests.policies.calls import OutageError, breaker_of, fail, fine, rejection, succeed


def test_a_breaker_nobody_has_called_shows_nothing_and_divides_by_nothing(clock):
    # CB-23, CB-24, trap 29
    s = breaker_of(clock, failure_rate=0.5, latency=True).snapshot()
    assert (s.name, s.state, s.requests, s.in_flight) == ("payments", State.CLOSED, 0, 0)
    assert s.success_rate == 1.0
    assert s.last_failure is None
    assert s.last_success is None
    assert s.window == (0, 0, 0, 0)
    assert s.retry_after == 0.0
    assert s.latency is not None
    assert dataclasses.astuple(s.latency) == (0, 0.0, None, None, None)
    assert not any(s.state_changes.values())


def test_a_snapshot_counts_requests_successes_failures_and_the_rest(clock):  # CB-23, CB-27
    breaker = breaker_of(clock, failure_threshold=100, ignore=LookupError)
    succeed(breaker, 6)
    fail(breaker, 2)
    with pytest.raises(KeyError):
        breaker.call({}.__getitem__, 1)
    abandoned = breaker.acquire()
    del abandoned
    in_flight = [breaker.acquire(), breaker.acquire()]
    breaker.force_open()
    for _ in range(4):
        assert rejection(breaker) is not None
    s = breaker.snapshot()
    assert (s.requests, s.admitted, s.rejected) == (16, 12, 4)
    assert (s.succeeded, s.failed, s.ignored, s.abandoned) == (6, 2, 1, 1)
    assert s.in_flight == len(in_flight)
    assert s.success_rate == 0.75
    assert (s.late, s.observed, s.settled_twice, s.slow) == (0, 0, 0, 0)


def test_a_snapshot_is_of_its_moment_and_cannot_be_changed(clock):  # CB-23
    breaker = breaker_of(clock)
    before = breaker.snapshot()
    succeed(breaker)
    breaker.trip()
    assert (before.succeeded, before.state) == (0, State.CLOSED)
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.succeeded = 1  # type: ignore[misc]


def test_failures_in_a_row_are_those_that_count_towards_opening(clock):  # CB-23
    breaker = breaker_of(clock, failure_threshold=4, reset_timeout=60, success_threshold=3)

    def shown() -> int:
        return breaker.snapshot().consecutive_failures

    for n in range(1, 4):
        fail(breaker)
        assert shown() == n
    succeed(breaker)
    assert shown() == 0
    fail(breaker, 4)
    assert (breaker.state, shown()) == (State.OPEN, 0)
    clock.advance(60)
    succeed(breaker, 2)
    assert (breaker.state, shown()) == (State.HALF_OPEN, 0)
    succeed(breaker)
    fail(breaker)
    assert (breaker.state, shown()) == (State.CLOSED, 1)
    breaker.metrics_only()
    fail(breaker, 9)
    assert shown() == 9


@pytest.mark.parametrize(
    "settings",
    [
        {"failure_rate": 0.5},
        {"failure_rate": 0.5, "window": TimeWindow(10)},
        {"slow_call_duration": 1, "slow_call_rate": 0.5},
        {"slow_call_duration": 1},
        {"latency": True},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_a_breaker_that_reads_the_time_of_a_success_shows_it(clock, settings):  # CB-24
    breaker = breaker_of(clock, **settings)
    clock.advance(3)
    succeed(breaker)
    assert breaker.snapshot().last_success == 3.0


def test_in_a_pipeline_the_last_success_is_known(clock):  # CB-24
    breaker = breaker_of(clock)
    pipe = hf.Pipeline("payments", breaker)
    clock.advance(3)
    succeed(pipe)
    assert breaker.snapshot().last_success == 3.0


def test_durations_are_recorded_where_asked_for(clock):
    breaker = breaker_of(clock, latency=True, failure_threshold=100)
    assert breaker_of(clock).snapshot().latency is None
    assert breaker_of(clock, latency=False).snapshot().latency is None

    def fail_after(seconds: float) -> None:
        clock.advance(seconds)
        raise OutageError

    for seconds in (1, 2, 3, 4):
        breaker.call(clock.advance, seconds)
        with pytest.raises(OutageError):
            breaker.call(fail_after, seconds)
    permit = breaker.acquire()
    clock.advance(1000)
    permit.ignore()
    latency = breaker.snapshot().latency
    assert latency is not None
    assert (latency.count, latency.total) == (8, 20.0)
    assert latency.p50 == pytest.approx(2, rel=0.02)
    assert latency.p99 == pytest.approx(4, rel=0.02)


def test_in_a_pipeline_durations_are_recorded_unless_the_caller_said_no(clock):
    by_default, refused = breaker_of(clock), breaker_of(clock, latency=False)
    pipe = hf.Pipeline("payments", by_default, refused)
    pipe.call(clock.advance, 2)
    by_default.call(clock.advance, 3)
    refused.call(fine)
    latency = by_default.snapshot().latency
    assert latency is not None
    assert (latency.count, latency.total) == (2, 5.0)
    assert refused.snapshot().latency is None


def test_looking_changes_nothing(clock):  # trap 15
    breaker = breaker_of(clock, half_open_max_calls=1, reset_timeout=60, failure_rate=0.5)

    def look() -> None:
        for _ in range(100):
            breaker.peek()
            breaker.state  # noqa: B018 - looking is the point
            breaker.retry_after  # noqa: B018
            breaker.in_flight  # noqa: B018
            breaker.describe()
            breaker.snapshot()

    for order in ("reset", "trip", "half_open", "force_open", "disable", "metrics_only"):
        getattr(breaker, order)()
        before = breaker.snapshot()
        look()
        assert breaker.snapshot() == before
    breaker.trip()
    clock.advance(60)
    before = breaker.snapshot()
    look()
    assert breaker.snapshot() == before
    assert breaker.state is State.OPEN
    assert rejection(breaker) is None


def test_describe_names_every_setting_in_force(clock):  # CB-15
    text = breaker_of(clock, failure_rate=0.25, window=CountWindow(7), on=OutageError).describe()
    assert text.startswith("CircuitBreaker 'payments': ")
    for part in (
        "failure_threshold=None",
        "failure_rate=0.25",
        "window=CountWindow(7)",
        "min_calls=7",
        "on=(OutageError)",
    ):
        assert part in text


def test_a_breaker_does_not_grow_with_its_calls(clock):  # GEN-13, GEN-16
    breaker = breaker_of(clock, failure_rate=1.0, window=TimeWindow(10), min_calls=1_000_000)
    before = breaker._kernel.nbytes()
    for _ in range(1000):
        succeed(breaker)
        fail(breaker)
        clock.advance(0.5)
    assert breaker._kernel.nbytes() == before
    assert breaker_of(clock)._kernel.nbytes() <= 640
