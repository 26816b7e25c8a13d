"""The benchmarks still run, and measure what they say. None of them is a test of speed."""

from itertools import repeat

import pytest

from benchmarks import contention, footprint
from holdfast.bench.cases import CASES
from holdfast.bench.rows import ROWS
from holdfast.bench.timing import loop_of, run_in_turn


@pytest.mark.parametrize("name", CASES)
def test_each_case_does_what_it_times(name):
    case = CASES[name]()
    assert loop_of(case)(repeat(None, 10)) > 0
    assert case.holds(10)


def test_every_row_can_be_figured_out():
    ns = run_in_turn({name: make() for name, make in CASES.items()}, rounds=1)
    assert all(isinstance(row.figure(ns), float) for row in ROWS)


def test_two_threads_lose_no_count():
    rates = contention.measure(2, calls=2_000, rounds=2)
    assert all(rates.of(kind, 2) > 0 for kind in contention.KINDS)
    assert rates.scaling() > 0


@pytest.mark.parametrize(("label", "make", "most"), footprint.SIZES)
def test_native_state_is_as_small_as_promised(label, make, most):  # GEN-13
    assert footprint.native_bytes(make()) <= most
    assert footprint.whole_bytes(make, count=5) > 0
