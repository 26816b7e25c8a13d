"""Outcomes that reach a breaker later than its window is long (trap 25)."""

from contextlib import suppress

import holdfast as hf


def fail() -> None:
    raise OSError


def breaker_of(clock: hf.ManualClock, **settings: object) -> hf.CircuitBreaker:
    chosen = {"failure_rate": 0.9, "min_calls": 1000, "failure_threshold": None, **settings}
    return hf.CircuitBreaker("outer", window=hf.TimeWindow(10), clock=clock, **chosen)  # type: ignore[arg-type]


def fails(breaker: hf.CircuitBreaker, times: int) -> None:
    for _ in range(times):
        with suppress(OSError):
            breaker.call(fail)


def test_an_outcome_later_than_the_window_takes_nothing_from_the_present():
    clock = hf.ManualClock(start=1000)
    outer = breaker_of(clock)
    pause = 0

    def slow_verdict(_: object) -> bool:
        clock.advance(pause)
        fails(outer, 50)
        return False

    for pause in (10, 20, 25, 3600):  # noqa: B007 - read by the verdict
        inner = hf.CircuitBreaker("inner", is_failure=slow_verdict, clock=clock)
        with suppress(OSError):
            hf.Pipeline("pipe", outer, inner).call(fail)
        assert outer.snapshot().window == (50, 50, 0, 0)
    assert outer.snapshot().failed == 4 * 51  # each is in the totals


def test_late_successes_do_not_hide_that_the_present_fails():
    clock = hf.ManualClock(start=1000)
    outer = breaker_of(clock, min_calls=10)

    def slow_verdict(_: object) -> bool:
        clock.advance(20)
        fails(outer, 9)
        return False

    inner = hf.CircuitBreaker("inner", is_failure=slow_verdict, clock=clock, on=ValueError)
    hf.Pipeline("pipe", outer, inner).call(int)
    fails(outer, 1)
    assert outer.state is hf.State.OPEN
