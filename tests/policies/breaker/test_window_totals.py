"""What is in a breaker's window: its edges and its expiry.

That its totals are those of its calls: tests/pipeline/test_pipeline_model.py.
"""

from typing import Any

import pytest

import holdfast as hf
from holdfast import CountWindow, State, TimeWindow
from tests.policies.calls import SECOND, breaker_of, fail, succeed


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


def test_without_a_rate_there_is_no_window(clock):
    assert breaker_of(clock, window=TimeWindow(10)).snapshot().window is None
