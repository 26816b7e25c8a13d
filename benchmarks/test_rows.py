"""One benchmark a row of the cost table; none of them is a test of speed.

``make bench`` runs them and then ``report.py``, whose figures are the ones that count: here each
case has a process to share with all others, there it is compared with its yardsticks.
"""

from __future__ import annotations

from itertools import repeat

import pytest

from benchmarks import contention, footprint
from benchmarks.cases import CASES
from benchmarks.rows import ROWS
from benchmarks.timing import loop_of, run_in_turn

REPEATS = 1000


@pytest.mark.parametrize("name", CASES)
def test_case(name, benchmark):
    case = CASES[name]()
    loop = loop_of(case)
    runs = 0

    def body() -> int:
        nonlocal runs
        runs += 1
        return loop(repeat(None, REPEATS))

    benchmark(body)
    assert case.holds(runs * REPEATS)


def test_every_row_can_be_figured_out():
    ns = run_in_turn({name: make() for name, make in CASES.items()}, rounds=1)
    assert all(isinstance(row.figure(ns), float) for row in ROWS)


def test_two_threads_lose_no_count():
    rows = contention.measure(2, calls=2_000)
    assert [row["threads"] for row in rows] == [1, 2]


@pytest.mark.parametrize(("label", "make", "most"), footprint.SIZES)
def test_native_state_is_as_small_as_promised(label, make, most):  # GEN-13
    assert footprint.native_bytes(make()) <= most
    assert footprint.whole_bytes(make, count=5) > 0
