"""The benchmarks of the original system under their names: counts, and what a call allocates."""

from itertools import repeat

import pytest

from benchmarks import original
from holdfast.bench.cases import ORIGINAL, Case
from holdfast.bench.timing import loop_of


def test_they_have_the_names_that_the_original_gave_them() -> None:  # TS-06, GEN-12
    assert set(ORIGINAL) == set(original.CLAIMED)
    assert set(ORIGINAL) == {
        "CircuitBreakerClosed",
        "RateLimiterAllowed",
        "RateLimiterRejected",
        "Bulkhead",
        "ResilienceManagerFullStack",
    }


@pytest.mark.parametrize("name", ORIGINAL)
def test_each_call_is_counted(name: str) -> None:  # TS-04, TS-06
    case = ORIGINAL[name]()
    loop_of(case)(repeat(None, 1_000))
    assert case.holds(1_000)
    assert not case.holds(999)


@pytest.mark.parametrize("name", ORIGINAL)
def test_a_call_that_succeeds_or_is_refused_allocates_nothing(name: str) -> None:  # TS-06, GEN-12
    assert original.allocated(ORIGINAL[name]) < 64


def test_what_a_call_allocates_is_seen() -> None:
    assert original.allocated(lambda: Case("bytearray(10_000)")) >= 9_000
