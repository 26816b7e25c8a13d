"""One benchmark a row of the cost table; none of them is a test of speed.

``make bench`` runs them and then ``report.py``, whose figures are the ones that count: here each
case has a process to share with all others, there it is compared with its yardsticks.
"""

from __future__ import annotations

from itertools import repeat

import pytest

from benchmarks.cases import CASES
from benchmarks.timing import loop_of

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
