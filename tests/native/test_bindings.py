"""What every binding promises beside its kernel: its size, what it hands out, its permits."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import gc
import pickle
import sys
import sysconfig
from collections.abc import Callable
from typing import Any

import pytest

from holdfast._native.backoff import Backoff
from holdfast._native.breaker import Breaker, Permit
from holdfast._native.budget import Budget
from holdfast._native.bulkhead import Bulkhead
from holdfast._native.clock import ManualClock
from holdfast._native.fallback import Fallback
from holdfast._native.timeout import Timeout
from tests.native.kernels import BACKOFF, BREAKER, KERNELS, SECOND, every_kernel, made


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
def test_words_begin_on_a_cache_line_where_threads_change_them_at_once(name: str) -> None:
    kernels = [made(name) for _ in range(20)]
    line = 64 if sysconfig.get_config_var("Py_GIL_DISABLED") else 8
    assert all(pointer(k._capsule(), KERNELS[name][1]) % line == 0 for k in kernels)


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


# --- counts --------------------------------------------------------------------------------------


def test_work_left_behind_is_counted_until_it_stops() -> None:
    timeout = Timeout(1)
    for _ in range(3):
        timeout.count_abandoned()
    timeout.count_stopped()
    assert timeout.counters() == (0, 0, 0, 0, 3, 1, 0)


def test_a_deadline_is_the_time_and_the_duration_of_the_moment() -> None:  # TO-09
    timeout = Timeout(5)
    timeout.set_duration_ns(7)
    assert (timeout.duration_ns(), timeout.deadline_ns(-3)) == (7, 4)
    assert Timeout(2**63 - 1).deadline_ns(1) == 2**63 - 1


def test_kernels_of_outcomes_begin_with_nothing_counted() -> None:
    assert Fallback().counters() == (0, 0, 0, 0)
    assert Timeout(1).counters() == (0,) * 7
    assert Budget(200_000, 0, 7, 0).counters() == (0, 0, 0, 0)
