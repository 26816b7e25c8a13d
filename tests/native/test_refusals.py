"""What every binding refuses: what is no integer, what is out of range, what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast._native.adaptive_timeout import AdaptiveTimeout
from holdfast._native.backoff import Backoff
from holdfast._native.breaker import Breaker
from holdfast._native.bucket import SlidingWindow, TokenBucket
from holdfast._native.budget import Budget
from holdfast._native.bulkhead import Bulkhead
from holdfast._native.check import CheckState
from holdfast._native.clock import Clock, ManualClock
from holdfast._native.histogram import Histogram
from holdfast._native.quantile import Quantile
from holdfast._native.random import Random
from holdfast._native.retry import Retry
from holdfast._native.timeout import Timeout
from holdfast._native.window import CountWindow, TimeWindow
from tests.native.kernels import BACKOFF, BREAKER, SECOND, every_kernel, made

NOT_INTEGERS: list[Any] = [1.0, 1.9, float("nan"), "1", None, b"1", 1j]
TOO_LARGE = [2**64, 2**1000, -(2**63) - 1]

# Every argument that is an integer: how it is given, its name, and what is just out of its range.
INTEGERS: list[tuple[Callable[[Any], object], str, list[int]]] = [
    (lambda v: ManualClock(v), "start_ns", []),
    (lambda v: ManualClock().advance_ns(v), "d_ns", [-1]),
    (lambda v: ManualClock().set_ns(v), "shown_ns", []),
    (lambda v: CheckState(v, 1, 0), "failures", [0, 1001]),
    (lambda v: CheckState(1, v, 0), "successes", [0, 1001]),
    (lambda v: CheckState(1, 1, v), "start_period_ns", [-1]),
    (lambda v: CheckState(1, 1, 0).start(v), "now_ns", []),
    (lambda v: CheckState(1, 1, 0).record(v, 0, 0), "verdict", [-1, 4]),
    (lambda v: CheckState(1, 1, 0).record(0, v, 0), "began_ns", []),
    (lambda v: CheckState(1, 1, 0).record(0, 0, v), "duration_ns", []),
    (lambda v: Random(v), "seed", [-1]),
    (lambda v: Random(0).seed(v), "seed", [-1]),
    (lambda v: Random(0).below(v), "n", [-1, 0]),
    (lambda v: CountWindow(v), "n", [0, 100_001]),
    (lambda v: CountWindow(1).record(v, 0, False), "generation", [-1, 2**35]),
    (lambda v: CountWindow(1).record(0, v, False), "outcome", [-1, 3]),
    (lambda v: CountWindow(1).read(v), "generation", [-1, 2**35]),
    (lambda v: TimeWindow(v, 1), "slices", [0, 1025]),
    (lambda v: TimeWindow(1, v), "slice_ns", [0]),
    (lambda v: TimeWindow(1, 1).record(v, 0, 0, False), "generation", [-1, 2**35]),
    (lambda v: TimeWindow(1, 1).record(0, v, 0, False), "now_ns", []),
    (lambda v: TimeWindow(1, 1).record(0, 0, v, False), "outcome", [-1, 3]),
    (lambda v: TimeWindow(1, 1).read(0, v), "now_ns", []),
    (lambda v: TimeWindow(1, 1).has_failures(v, 0), "generation", [-1, 2**35]),
    (lambda v: TokenBucket(v, 1, 1, 0), "num", [0, 200_001]),
    (lambda v: TokenBucket(1, v, 1, 0), "den", [0, 2**60 + 1]),
    (lambda v: TokenBucket(1, 2**30, v, 0), "burst", [0, 2**30 + 1]),
    (lambda v: TokenBucket(1, 1, 1, v), "now_ns", []),
    (lambda v: TokenBucket(1, 1, 1, 0).try_take(v, 0), "n", [-1]),
    (lambda v: TokenBucket(1, 1, 1, 0).try_take(1, v), "now_ns", []),
    (lambda v: TokenBucket(1, 1, 1, 0).take_within(1, 0, v), "max_wait_ns", [-1]),
    (lambda v: TokenBucket(1, 1, 1, 0).reserve(v, 0), "n", [-1]),
    (lambda v: TokenBucket(1, 1, 1, 0).wait_ns(v, 0), "n", [-1]),
    (lambda v: TokenBucket(1, 1, 1, 0).refund(v), "n", [-1]),
    (lambda v: TokenBucket(1, 1, 1, 0).resize(1, 1, v, 0), "burst", [0, 2**60 + 1]),
    (lambda v: SlidingWindow(v, 1), "limit", [0, 2**28]),
    (lambda v: SlidingWindow(1, v), "per_ns", [0]),
    (lambda v: SlidingWindow(1, 1).try_take(v, 0), "n", [-1]),
    (lambda v: SlidingWindow(1, 1).refund(v, 0), "n", [-1]),
    (lambda v: SlidingWindow(1, 1).resize(v), "limit", [0, 2**28]),
    (lambda v: Bulkhead(v, 0), "limit", [-1, 0, 2**21]),
    (lambda v: Bulkhead(1, v), "max_waiting", [-1, 2**21]),
    (lambda v: Bulkhead(1, 0).resize(v), "limit", [-1, 0, 2**21]),
    (lambda v: Histogram().record(v), "ns", []),
    *[
        (lambda v, field=field: Backoff(**{**BACKOFF, field: v}), field, bad)  # type: ignore[misc]
        for field, bad in {
            "kind": [-1, 5],
            "base_ns": [-1, 60 * SECOND + 1],
            "max_ns": [-1],
            "increment_ns": [-1],
            "mode": [-1, 4],
            "seed": [-1],
        }.items()
    ],
    (lambda v: Backoff(**BACKOFF)._delay_ns(0, v), "previous_ns", [-2]),
    (lambda v: Backoff(**BACKOFF).seed(v), "seed", [-1]),
    (lambda v: Budget(v, 0, 1, 0), "ratio", [-1, 10**9 + 1]),
    (lambda v: Budget(0, v, 1, 0), "rate", [-1, 10**15 + 1]),
    (lambda v: Budget(0, 0, v, 0), "burst", [0, 10**9 + 1]),
    (lambda v: Budget(0, 0, 1, v), "now_ns", []),
    (lambda v: Budget(0, 0, 1, 0).withdraw(v), "now_ns", []),
    (lambda v: Budget(0, 0, 1, 0).balance(v), "now_ns", []),
    (lambda v: Quantile(0.5).record(v), "ns", []),
    (lambda v: Retry(v), "attempts", [-1, 2**32]),
    (lambda v: Retry(1, v), "max_time_ns", [-2]),
    (lambda v: Retry(2).decide(v, 0, 0, 0), "retries", [-1, 2**32]),
    (lambda v: Retry(2).decide(0, v, 0, 0), "now_ns", []),
    (lambda v: Retry(2).decide(0, 0, v, 0), "now_ns", []),
    (lambda v: Retry(2).decide(0, 0, 0, v), "delay_ns", [-1]),
    (lambda v: Retry(2).decide(0, 0, 0, 0, v), "now_ns", []),
    (lambda v: Retry(2).count_delay(v), "delay_ns", [-1]),
    (lambda v: Retry(2).count_retry(v), "ordinal", [-1, 0, 2**32]),
    (lambda v: Retry(2).count_success(v), "retries", [-1, 2**32]),
    (lambda v: AdaptiveTimeout(v, 2, 9, 2.0, 0.5), "initial_ns", [1, 10]),
    (lambda v: AdaptiveTimeout(2, v, 9, 2.0, 0.5), "min_ns", [-1, 0]),
    (lambda v: AdaptiveTimeout(2, 2, v, 2.0, 0.5), "max_ns", [1, 100 * 365 * 86_400 * SECOND + 1]),
    (lambda v: AdaptiveTimeout(2, 2, 9, 2.0, 0.5).set_timeout_ns(v), "ns", []),
    (lambda v: AdaptiveTimeout(2, 2, 9, 2.0, 0.5).resize(v, 2, 9), "ns", [1, 10]),
    (lambda v: AdaptiveTimeout(2, 2, 9, 2.0, 0.5).resize(2, v, 9), "min_ns", [-1, 0]),
    (lambda v: AdaptiveTimeout(2, 2, 9, 2.0, 0.5).resize(2, 2, v), "max_ns", [1]),
    (lambda v: AdaptiveTimeout(2, 2, 9, 2.0, 0.5).record(v, False), "latency_ns", []),
    (lambda v: Timeout(v), "duration_ns", [-1]),
    (lambda v: Timeout(1).set_duration_ns(v), "duration_ns", [-1]),
    (lambda v: Timeout(1).deadline_ns(v), "now_ns", []),
    (lambda v: Breaker(**BREAKER).admit(v), "now_ns", []),
    (lambda v: Breaker(**BREAKER).override(v, 0), "state", [-1, 6]),
    (lambda v: Breaker(**BREAKER).peek(v), "now_ns", []),
    (lambda v: Breaker(**BREAKER)._forget(v), "seed", [-1]),
]

BREAKER_INTEGERS: list[tuple[str, list[int]]] = [
    ("failure_threshold", [-1, 2**20]),
    ("success_threshold", [0, 2**20]),
    ("half_open_max", [0, 10_001]),
    ("min_calls", [-1, 2**32]),
    ("failure_rate_ppb", [-1, 10**9 + 1]),
    ("slow_rate_ppb", [-1, 10**9 + 1]),
    ("slow_ns", [-1]),
    ("reset_ns", [-1]),
    ("reset_max_ns", [-1]),
    ("probe_ns", [-2]),
    ("failure_reset_ns", [-1]),
    ("window_kind", [-1, 3]),
    ("window_n", [0, 1025]),
    ("slice_ns", [0]),
    ("seed", [-1]),
]

INTEGERS += [
    (lambda v, field=field: Breaker(**{**BREAKER, field: v}), field, out_of_range)  # type: ignore[misc]
    for field, out_of_range in BREAKER_INTEGERS
]

every_integer = pytest.mark.parametrize(
    ("give", "field", "out_of_range"),
    INTEGERS,
    ids=[f"{i}-{f}" for i, (_, f, _) in enumerate(INTEGERS)],
)


@every_integer
def test_what_is_no_integer_is_refused_by_name_and_not_cut_down(
    give: Callable[[Any], object], field: str, out_of_range: list[int]
) -> None:
    for bad in NOT_INTEGERS:
        with pytest.raises(TypeError, match=f"^{field}: got .*, allowed an integer$"):
            give(bad)


@every_integer
def test_an_integer_out_of_range_is_refused_with_what_is_allowed(
    give: Callable[[Any], object], field: str, out_of_range: list[int]
) -> None:
    for bad in out_of_range + TOO_LARGE:
        with pytest.raises(ValueError, match=rf"^{field}: got {bad}, allowed -?\d+.* to -?\d+"):
            give(bad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 0.99, -1.0])
def test_an_open_time_never_shrinks(bad: float) -> None:
    with pytest.raises(ValueError, match=r"^reset_factor: got .*, allowed 1\.0 or more$"):
        Breaker(**{**BREAKER, "reset_factor": bad})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1])
def test_jitter_only_adds(bad: float) -> None:  # trap 49
    with pytest.raises(ValueError, match=r"^reset_jitter: got .*, allowed 0\.0 or more$"):
        Breaker(**{**BREAKER, "reset_jitter": bad})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, 0.0009, 0.9991, 1.0, -1])
def test_a_quantile_is_of_a_share_that_samples_can_show(bad: float) -> None:
    for make in (Quantile, lambda p: AdaptiveTimeout(1, 1, 1, 2.0, p)):
        with pytest.raises(ValueError, match=r"^p: got .*, allowed 0\.001 to 0\.999$"):
            make(bad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.99, -2.0, 1000.1])
def test_a_timeout_is_no_less_than_its_quantile(bad: float) -> None:
    with pytest.raises(ValueError, match=r"^multiplier: got .*, allowed 1\.0 to 1000\.0$"):
        AdaptiveTimeout(1, 1, 1, bad, 0.5)


def test_what_the_kind_of_window_does_not_need_has_to_be_nothing() -> None:
    with pytest.raises(ValueError, match="window_n: got 10, allowed 0 to 0"):
        Breaker(**{**BREAKER, "window_kind": 0})
    with pytest.raises(ValueError, match="slice_ns: got 1000000000, allowed 0 to 0"):
        Breaker(**{**BREAKER, "window_kind": 1})


@pytest.mark.parametrize("field", BREAKER)
def test_a_breaker_has_no_defaults_of_its_own(field: str) -> None:
    with pytest.raises(TypeError, match=field):
        Breaker(**{name: value for name, value in BREAKER.items() if name != field})


@every_kernel
def test_unknown_arguments_are_refused(name: str) -> None:
    with pytest.raises(TypeError):
        type(made(name))(surprise=1)


def test_the_system_clock_takes_no_arguments() -> None:
    with pytest.raises(TypeError, match="takes no arguments"):
        Clock(1)
