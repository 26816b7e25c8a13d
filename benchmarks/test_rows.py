"""One benchmark a row of the cost table; none of them is a test of speed.

``make bench`` runs them and then ``report.py``, whose figures are the ones that count: here each
case has a process to share with all others, there it is compared with its yardsticks.
"""

from __future__ import annotations

from itertools import repeat

import pytest

import holdfast as hf
from benchmarks import contention, footprint
from holdfast.bench.cases import CASES
from holdfast.bench.timing import loop_of

REPEATS = 1000
CALLS = 20_000


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


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_through_one_breaker(threads, benchmark):
    breaker = hf.CircuitBreaker("shared")
    guarded = breaker(contention.bare)
    rates = []

    def body() -> None:
        rates.append(contention.rate([guarded] * threads, CALLS))

    benchmark(body)
    assert breaker.snapshot().succeeded == len(rates) * threads * CALLS


@pytest.mark.parametrize("module", ["holdfast", "asyncio"])
def test_import(module, benchmark):
    assert benchmark.pedantic(footprint.cpu_seconds, args=(f"import {module}",), rounds=10) > 0


@pytest.mark.parametrize(
    ("make", "most"), [pytest.param(make, most, id=label) for label, make, most in footprint.SIZES]
)
def test_making_one_and_what_it_weighs(make, most, benchmark):
    policy = benchmark(make)
    native = footprint.native_bytes(policy)
    benchmark.extra_info["native bytes"] = native
    assert native <= most
