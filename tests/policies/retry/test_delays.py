"""How long a retry waits: what the other side asks for, and what its back-off says."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast import ManualClock
from tests.policies.calls import OutageError
from tests.policies.retry.retries import (
    WAYS,
    BusyError,
    Flaky,
    both_ways,
    by_call,
    every_way,
    retry_of,
    why,
)


def pauses(make: Any, retry: hf.Retry, clock: ManualClock, flaky: Flaky) -> list[float]:
    """Make a call that gives up in the end; return the pauses between its attempts."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, it fails
        make(retry, clock, flaky)
    return [round(after - before, 9) for before, after in itertools.pairwise(flaky.made)]


# ---- what the other side asks for ----


@both_ways
@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        (7, 7.0),
        (2.5, 2.5),
        (timedelta(minutes=0.5), 30.0),
        (0, 0.0),
        (-0.0, 0.0),
        (1e-12, 1e-9),
        (60.5, 60.0),
        (3600, 60.0),
        (10**30, 60.0),
        (1e30, 60.0),
        (float("inf"), 60.0),
        (timedelta.max, 60.0),
    ],
)
def test_a_retry_waits_as_long_as_the_error_asks_but_no_longer_than_it_may(
    make, asked, pause, clock
):
    # D-RT-4: hints such as Retry-After were impossible; trap 49
    retry = retry_of(clock, on=BusyError)
    assert pauses(make, retry, clock, Flaky(clock, error=BusyError(asked))) == [pause, pause]


@every_way
def test_the_longest_wish_that_is_granted_can_be_set(make, clock):
    for most, pause in ((timedelta(hours=2), 3600.0), (5, 5.0), (0, 0.0)):
        retry = retry_of(clock, on=BusyError, max_retry_after=most)
        assert pauses(make, retry, clock, Flaky(clock, error=BusyError(3600)))[0] == pause


@every_way
def test_a_hook_is_asked_for_each_failure_and_instead_of_the_error(make, clock):
    asked: list[Any] = []
    answers: Any = iter([3, None, float("nan"), timedelta(seconds=9)])
    errors = [BusyError(50) for _ in range(5)]

    def hook(failure: Any) -> Any:
        asked.append(failure)
        return next(answers)

    retry = retry_of(clock, on=BusyError, attempts=5, retry_after=hook)
    assert pauses(make, retry, clock, Flaky(clock, 5, errors)) == [3.0, 1.0, 1.0, 9.0]
    assert asked == errors[:4]  # nobody waits after the last


@every_way
def test_a_hook_is_asked_about_results_as_well(make, clock):
    results = iter([(503, 4.0), (503, None), (200, 9.0)])
    retry = retry_of(
        clock, on_result=lambda r: r[0] == 503, retry_after=lambda result: result[1], attempts=5
    )
    assert make(retry, clock, lambda: next(results)) == (200, 9.0)
    assert clock.now() == 5.0


@every_way
def test_a_result_with_a_wish_of_its_own_is_only_a_result(make, clock):
    with pytest.raises(hf.RetryExhaustedError):
        make(
            retry_of(clock, on_result=lambda result: True, wrap=True), clock, lambda: BusyErrorLike
        )
    assert clock.now() == 2.0


class BusyErrorLike:
    retry_after = 50


class CrashingError(Exception):
    @property
    def retry_after(self) -> float:
        raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@every_way
def test_a_wish_that_cannot_be_read_is_none_and_the_error_stays_the_calls(make, clock):
    retry = retry_of(clock, on=CrashingError)
    error = CrashingError()
    assert pauses(make, retry, clock, Flaky(clock, error=error)) == [1.0, 1.0]
    assert error.__context__ is None
    assert why(retry) == {"exhausted": 1}


@every_way
def test_a_hook_that_raises_ends_the_call_with_its_error(make, clock):
    def hook(failure: Any) -> None:
        raise ZeroDivisionError

    error = OutageError()
    retry = retry_of(clock, retry_after=hook)
    with pytest.raises(ZeroDivisionError) as raised:
        make(retry, clock, Flaky(clock, error=error))
    assert raised.value.__context__ is error
    assert why(retry) == {"not_retryable": 1}
    assert retry.snapshot().delay == 0.0


# ---- back-offs ----


@both_ways
@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        (hf.Exponential(0.1, factor=2, max=0.5, jitter=False), [0.1, 0.2, 0.4, 0.5, 0.5]),
        (hf.Linear(1, 2, max=6, jitter=False), [1.0, 3.0, 5.0, 6.0, 6.0]),
        (hf.Fibonacci(1, jitter=False), [1.0, 1.0, 2.0, 3.0, 5.0]),
        (hf.Constant(0), [0.0] * 5),
        (hf.Constant(1) + hf.Linear(0, 1, jitter=False), [1.0, 2.0, 3.0, 4.0, 5.0]),
        (hf.chain(hf.Constant(0), hf.Constant(9)), [0.0, 9.0, 9.0, 9.0, 9.0]),
    ],
)
def test_a_retry_waits_as_its_back_off_says(make, backoff, expected, clock):
    # RT-01, RT-03, RT-04, RT-05, RT-10
    retry = retry_of(clock, backoff=backoff, attempts=6)
    assert pauses(make, retry, clock, Flaky(clock)) == expected
    assert retry.snapshot().delay == pytest.approx(sum(expected))


@both_ways
def test_jitter_stays_within_its_share_and_never_above_the_longest(make, clock):
    # RT-09, D-RT-3: jitter was added after the cap; trap 49
    retry = retry_of(clock, attempts=40, backoff=hf.Exponential(1.0, factor=2, max=30, jitter=0.1))
    waited = pauses(make, retry, clock, Flaky(clock))
    for n, pause in enumerate(waited):
        assert min(30.0, 2.0**n) <= pause <= min(30.0, 2.0**n * 1.1)
    assert len({round(pause / 2.0**n, 6) for n, pause in enumerate(waited[:5])}) == 5


class Own(hf.Backoff):
    """Notes what it is asked, and says what a list says."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[int, Any]] = []

    def delay(self, attempt: int, previous: Any = None) -> float:
        self.asked.append((attempt, previous))
        answer: float = self.answers[attempt]
        return answer


@both_ways
def test_a_back_off_of_ones_own_is_told_the_retries_made_and_the_pause_before(make, clock):
    own = Own([0.5, 2, 0, 4])
    retry = retry_of(clock, backoff=own, attempts=5)
    assert pauses(make, retry, clock, Flaky(clock)) == [0.5, 2.0, 0.0, 4.0]
    assert own.asked == [(0, None), (1, 0.5), (2, 2.0), (3, 0.0)]


@both_ways
def test_a_pause_that_was_asked_for_is_the_one_before_for_the_back_off(make, clock):
    own = Own([0.5, 1, 2])
    errors = [OutageError(), BusyError(7), OutageError(), OutageError()]
    retry = retry_of(clock, backoff=own, attempts=4, on=Exception)
    assert pauses(make, retry, clock, Flaky(clock, 4, errors)) == [0.5, 7.0, 2.0]
    assert own.asked == [(0, None), (2, 7.0)]


@both_ways
@pytest.mark.parametrize("answer", [-1, float("nan"), None, "1", True])
def test_a_back_off_that_talks_nonsense_ends_the_call(make, answer, clock):  # trap 49
    error = OutageError()
    retry = retry_of(clock, backoff=Own([answer]))
    with pytest.raises(ValueError, match=r"Own\.delay: got .*, allowed seconds from 0") as raised:
        make(retry, clock, Flaky(clock, error=error))
    assert raised.value.__context__ is error
    assert why(retry) == {"not_retryable": 1}


@both_ways
def test_an_adaptive_back_off_is_told_of_every_attempt(make, clock):  # RT-24
    backoff = hf.AdaptiveBackoff(hf.Constant(1.0), k=4.0)
    retry = retry_of(clock, backoff=backoff)
    assert pauses(make, retry, clock, Flaky(clock)) == pytest.approx([1.125, 1.12109375 + 0.125])
    failing = backoff.failure_rate
    assert failing == pytest.approx(1 - (31 / 32) ** 3)
    make(retry, clock, Flaky(clock, 0))
    assert backoff.failure_rate == pytest.approx(failing * 31 / 32)
    with pytest.raises(ValueError, match="other"):
        make(retry, clock, Flaky(clock, error=ValueError("other")))
    assert backoff.failure_rate == pytest.approx(failing * 31 / 32)  # it proves nothing


@pytest.mark.parametrize(
    "composed",
    [
        lambda adaptive: adaptive + hf.Constant(1),
        lambda adaptive: hf.chain(hf.Constant(0), hf.Constant(1) + adaptive),
        lambda adaptive: hf.chain(adaptive, adaptive),
    ],
)
def test_an_adaptive_back_off_within_another_is_told_as_well(composed, clock):  # RT-24
    adaptive = hf.AdaptiveBackoff(hf.Constant(1))
    retry = retry_of(clock, backoff=composed(adaptive))
    retry.try_call(Flaky(clock))
    assert adaptive.failure_rate == pytest.approx(1 - (31 / 32) ** 3)


def test_the_longest_pause_of_all_is_a_hundred_years(clock):  # trap 49
    retry = retry_of(clock, backoff=Own([1e300, float("inf")]))
    years = 100 * 365 * 86_400.0
    assert pauses(by_call, retry, clock, Flaky(clock)) == [years, years]
    assert list(retry.snapshot().delays.values())[-1] == 2


def test_a_pause_of_nothing_does_not_sleep_at_all(clock, monkeypatch):
    def never(*args: Any) -> None:
        raise AssertionError("slept")

    monkeypatch.setattr(hf.Retry, "_sleep", never)
    monkeypatch.setattr(hf.Retry, "_pause", never)
    for make in WAYS:
        assert make(retry_of(clock, backoff=hf.Constant(0)), clock, Flaky(clock, 2)) == "fine"
