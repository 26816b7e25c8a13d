"""What is in a breaker's window: its edges, its expiry, and that its totals are their parts."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast import CountWindow, State, TimeWindow
from tests.models import windows as model
from tests.policies.calls import SECOND, OutageError, breaker_of, fail, succeed


def with_window(
    clock: hf.ManualClock, window: CountWindow | TimeWindow, **settings: Any
) -> hf.CircuitBreaker:
    """Return a breaker that does no more than count: it takes a million calls to judge."""
    most = window.size if isinstance(window, CountWindow) else 1_000_000
    return breaker_of(
        clock, failure_rate=1.0, min_calls=most, window=window,
        slow_call_duration=SLOW, slow_call_rate=1.0, **settings,
    )  # fmt: skip


SLOW = 0.5


@pytest.mark.parametrize("window", [0.01, 1, 10, 60, 86_400])
def test_a_call_leaves_a_time_window_exactly_when_its_slice_does(clock, window):  # trap 24
    slice_ns = round(window * SECOND) // 10
    for begun_ns in (0, 1, slice_ns - 1):
        breaker = with_window(clock, TimeWindow(window))
        clock.advance_ns(-clock.now_ns() % (10 * slice_ns) + begun_ns)
        fail(breaker)
        clock.advance_ns(10 * slice_ns - begun_ns - 1)
        assert breaker.snapshot().window == (1, 1, 0, 0)
        clock.advance_ns(1)
        assert breaker.snapshot().window == (0, 0, 0, 0)


def test_a_window_expires_when_it_is_read_without_any_traffic(clock):  # trap 26
    breaker = with_window(clock, TimeWindow(10))
    fail(breaker, 5)
    clock.advance(5)
    succeed(breaker, 3)
    assert breaker.snapshot().window == (8, 5, 0, 0)
    clock.advance(5)
    assert breaker.snapshot().window == (3, 0, 0, 0)
    clock.advance(5)
    assert breaker.snapshot().window == (0, 0, 0, 0)


def test_a_call_longer_than_the_window_counts_when_it_ends(clock):  # trap 11, trap 31
    breaker = breaker_of(clock, failure_rate=0.5, min_calls=10, window=TimeWindow(1))
    long_ones = [breaker.acquire() for _ in range(10)]
    for _ in range(100):
        clock.advance(1)
        succeed(breaker)
    clock.advance(1)
    for permit in long_ones:
        permit.failure()
    assert breaker.state is State.OPEN
    assert breaker.snapshot().late == 0


def test_results_slower_than_the_window_one_after_the_other_still_open_it(clock):
    # trap 11: a rotation of the window is no new generation
    breaker = breaker_of(
        clock, failure_threshold=20, failure_rate=1.0, min_calls=1000, window=TimeWindow(1)
    )
    for n in range(20):
        assert breaker.snapshot().consecutive_failures == n
        permit = breaker.acquire()
        clock.advance(1.5)
        permit.failure()
    assert breaker.state is State.OPEN


ENDS = st.sampled_from(["success", "failure", "slow success", "slow failure", "ignored"])
PAUSES = st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 30), st.just(1.0))


def make_call(breaker: hf.CircuitBreaker, clock: hf.ManualClock, end: str) -> None:
    def call() -> None:
        clock.advance(SLOW if "slow" in end else 0)
        if "success" not in end:
            raise OutageError if "failure" in end else InterruptedError

    with contextlib.suppress(OutageError, InterruptedError):
        breaker.call(call)


@settings(max_examples=60)
@given(st.integers(1, 8), st.lists(ENDS, max_size=60))
def test_the_totals_of_a_count_window_are_those_of_its_last_calls(size, ends):  # trap 23, trap 28
    clock = hf.ManualClock()
    breaker = with_window(clock, CountWindow(size), ignore=InterruptedError)
    breaker.metrics_only()
    for n in range(len(ends)):
        make_call(breaker, clock, ends[n])
        last = [end for end in ends[: n + 1] if end != "ignored"][-size:]
        assert breaker.snapshot().window == (
            len(last),
            sum("failure" in end for end in last),
            sum("slow" in end for end in last),
            ends[: n + 1].count("ignored"),
        )


@settings(max_examples=60)
@given(st.lists(st.tuples(PAUSES, ENDS), max_size=40))
def test_the_totals_of_a_time_window_are_those_of_its_slices(calls):  # trap 23, trap 28
    clock = hf.ManualClock()
    breaker = with_window(clock, TimeWindow(10), ignore=InterruptedError)
    breaker.metrics_only()
    window = model.TimeWindow(10, SECOND)
    for pause, end in calls:
        clock.advance(pause)
        make_call(breaker, clock, end)
        outcome = {"success": 0, "failure": 1, "ignored": 2}[end.removeprefix("slow ")]
        window.record(1, clock.now_ns(), outcome, "slow" in end)
        assert breaker.snapshot().window == window.read(1, clock.now_ns())


def test_without_a_rate_there_is_no_window(clock):
    assert breaker_of(clock, window=TimeWindow(10)).snapshot().window is None
