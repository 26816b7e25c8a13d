"""What every binding promises beside its kernel: what it refuses, its size, what it hands out."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import gc
import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest

from holdfast._native.adaptive_timeout import AdaptiveTimeout
from holdfast._native.backoff import Backoff
from holdfast._native.breaker import Breaker, Permit
from holdfast._native.bucket import SlidingWindow, TokenBucket
from holdfast._native.budget import Budget
from holdfast._native.bulkhead import Bulkhead
from holdfast._native.clock import Clock, ManualClock
from holdfast._native.failure_rate import FailureRate
from holdfast._native.fallback import Fallback
from holdfast._native.histogram import Histogram
from holdfast._native.quantile import Quantile
from holdfast._native.random import Random
from holdfast._native.retry import Retry
from holdfast._native.timeout import Timeout
from holdfast._native.window import CountWindow, TimeWindow

SECOND = 10**9

# A breaker as most are: five failures in a row or half of the last ten seconds' calls.
BREAKER: dict[str, Any] = {
    "failure_threshold": 5,
    "success_threshold": 3,
    "half_open_max": 3,
    "min_calls": 10,
    "failure_rate_ppb": 500_000_000,
    "slow_rate_ppb": 0,
    "slow_ns": 0,
    "reset_ns": 60 * SECOND,
    "reset_max_ns": 0,
    "probe_ns": 30 * SECOND,
    "failure_reset_ns": 0,
    "reset_factor": 1.0,
    "reset_jitter": 0.0,
    "window_kind": 2,
    "window_n": 10,
    "slice_ns": SECOND,
    "seed": 1,
}

# Kind, base and longest, and the rest: a tenth of a second, doubled up to a minute.
BACKOFF: dict[str, Any] = {
    "kind": 2,
    "base_ns": SECOND // 10,
    "max_ns": 60 * SECOND,
    "increment_ns": 0,
    "factor": 2.0,
    "mode": 0,
    "jitter": 0.1,
    "seed": 1,
}

# How each kernel is made, the name of its capsule, and the memory it may take.
KERNELS: dict[str, tuple[Callable[[], Any], str, int]] = {
    "Clock": (Clock, "holdfast.clock", 64),
    "ManualClock": (ManualClock, "holdfast.clock", 64),
    "Random": (lambda: Random(1), "holdfast.random", 64),
    "CountWindow": (lambda: CountWindow(100), "holdfast.count_window", 256),
    "TimeWindow": (lambda: TimeWindow(10, SECOND), "holdfast.time_window", 512),
    "Breaker": (lambda: Breaker(**BREAKER), "holdfast.breaker", 1024),
    "TokenBucket": (lambda: TokenBucket(1000, SECOND, 100, 0), "holdfast.bucket", 256),
    "SlidingWindow": (lambda: SlidingWindow(1000, SECOND), "holdfast.sliding", 256),
    "Bulkhead": (lambda: Bulkhead(100, 10), "holdfast.bulkhead", 256),
    "Histogram": (Histogram, "holdfast.histogram", 10_000),
    "Backoff": (lambda: Backoff(**BACKOFF), "holdfast.backoff", 64),
    "FailureRate": (FailureRate, "holdfast.failure_rate", 64),
    "Budget": (lambda: Budget(200_000, 10_000_000, 100, 0), "holdfast.budget", 128),
    "Quantile": (lambda: Quantile(0.95), "holdfast.quantile", 64),
    "Retry": (lambda: Retry(4), "holdfast.retry", 512),
    "Timeout": (lambda: Timeout(SECOND), "holdfast.timeout", 128),
    "Fallback": (Fallback, "holdfast.fallback", 64),
    "AdaptiveTimeout": (
        lambda: AdaptiveTimeout(SECOND, 1, 2 * SECOND, 2.0, 0.95),
        "holdfast.adaptive_timeout",
        128,
    ),
}

every_kernel = pytest.mark.parametrize("name", KERNELS)


def made(name: str) -> Any:
    return KERNELS[name][0]()


def pointer(capsule: object, name: str) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address: int = get(capsule, name.encode())
    return address


# --- what a kernel is ----------------------------------------------------------------------------


@every_kernel
def test_a_kernel_stays_within_its_memory(name: str) -> None:  # GEN-13
    assert 4 <= made(name).nbytes() <= KERNELS[name][2]


@every_kernel
def test_a_capsule_bears_the_name_of_its_kernel_and_the_address_of_its_words(name: str) -> None:
    kernel = made(name)
    address = pointer(kernel._capsule(), KERNELS[name][1])
    assert address == pointer(kernel._capsule(), KERNELS[name][1])
    assert address % 8 == 0


@pytest.mark.parametrize("name", ["Breaker", "CountWindow", "TimeWindow"])
def test_words_that_are_allocated_apart_begin_on_a_cache_line(name: str) -> None:
    kernels = [made(name) for _ in range(20)]
    assert all(pointer(k._capsule(), KERNELS[name][1]) % 64 == 0 for k in kernels)


@every_kernel
def test_a_capsule_keeps_its_kernel_alive_and_lets_go_of_it(name: str) -> None:
    kernel = made(name)
    before = sys.getrefcount(kernel)
    capsule = kernel._capsule()
    assert sys.getrefcount(kernel) == before + 1
    del capsule
    gc.collect()
    assert sys.getrefcount(kernel) == before


@every_kernel
def test_a_kernel_cannot_be_pickled_or_copied(name: str) -> None:  # trap 56
    kernel = made(name)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(kernel, protocol)
    with pytest.raises(TypeError, match="cannot pickle"):
        copy.copy(kernel)
    with pytest.raises(TypeError, match="cannot pickle"):
        copy.deepcopy(kernel)


DERIVED_FROM = ("Clock", "ManualClock", "Backoff")


@pytest.mark.parametrize("name", [name for name in KERNELS if name not in DERIVED_FROM])
def test_a_kernel_has_no_subclasses(name: str) -> None:
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Derived", (type(made(name)),), {})


def test_clocks_may_be_derived_from_with_other_arguments() -> None:
    class Seconds(ManualClock):
        def __new__(cls, start: float, *, name: str) -> Seconds:
            return super().__new__(cls, int(start * SECOND))

        def __init__(self, start: float, *, name: str) -> None:
            self.name = name

    clock = Seconds(1.5, name="mine")
    assert (clock.now_ns(), clock.name) == (1_500_000_000, "mine")


def test_a_back_off_is_made_once_and_one_that_is_not_made_never_waits() -> None:
    backoff = Backoff(**BACKOFF)
    with pytest.raises(TypeError, match="made once"):
        backoff.__init__(**{**BACKOFF, "base_ns": 1})  # type: ignore[misc]
    assert 0.1 <= backoff.delay(0) <= 0.11
    assert Backoff.__new__(Backoff).delay(5) == 0.0


def test_a_second_init_does_not_touch_a_living_kernel() -> None:
    bulkhead = Bulkhead(1, 0)
    assert bulkhead.try_enter()
    with contextlib.suppress(TypeError):  # to refuse is as good
        bulkhead.__init__(5, 5)  # type: ignore[call-arg]
    assert (bulkhead.in_flight(), bulkhead.limit()) == (1, 1)


# --- what a kernel refuses -----------------------------------------------------------------------

NOT_INTEGERS: list[Any] = [1.0, 1.9, float("nan"), "1", None, b"1", 1j]
TOO_LARGE = [2**64, 2**1000, -(2**63) - 1]

# Every argument that is an integer: how it is given, its name, and what is just out of its range.
INTEGERS: list[tuple[Callable[[Any], object], str, list[int]]] = [
    (lambda v: ManualClock(v), "start_ns", []),
    (lambda v: ManualClock().advance_ns(v), "d_ns", [-1]),
    (lambda v: ManualClock().set_ns(v), "shown_ns", []),
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
    (lambda v: Retry(v), "attempts", [-1, 0, 2**32]),
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
    (lambda v: Breaker(**BREAKER).reseed(v), "seed", [-1]),
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


# --- permits -------------------------------------------------------------------------------------


def test_only_a_breaker_makes_permits() -> None:
    with pytest.raises(TypeError, match=r"made by Breaker\.admit"):
        Permit()


def test_a_permit_of_another_breaker_is_refused_by_every_end() -> None:
    permit, _ = Breaker(**BREAKER).admit(0)
    assert permit is not None
    other = Breaker(**BREAKER)
    ends: list[Callable[[Any], object]] = [
        lambda p: other.settle(p, 0, -1, 0),
        other.settle_fast,
        other.abandon,
        other.undo,
    ]
    for end in ends:
        for bad in (permit, None, Permit.__new__(Permit)):
            with pytest.raises(ValueError, match="permit: got a permit of another breaker"):
                end(bad)
        with pytest.raises(TypeError, match="permit"):
            end("permit")
    assert other.counters() == (0,) * 9


def test_a_permit_keeps_its_breaker_alive() -> None:
    breaker = Breaker(**BREAKER)
    before = sys.getrefcount(breaker)
    permit, _ = breaker.admit(0)
    assert sys.getrefcount(breaker) == before + 1
    del permit
    assert sys.getrefcount(breaker) == before
