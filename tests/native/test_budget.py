"""The retry budget's kernel through its binding, against its model."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.budget import Budget
from tests.models import budget as model

pytestmark = pytest.mark.stress

SECOND = 10**9
MILLION = 10**6
MOST = 2**63 - 1
machines = settings.get_profile("machines")


@settings(machines)
@given(
    ratio=st.one_of(st.integers(0, 3 * MILLION), st.integers(0, 10**9)),
    rate=st.one_of(st.integers(0, 30 * MILLION), st.integers(0, 10**15)),
    burst=st.one_of(st.integers(1, 20), st.integers(1, 10**9)),
    steps=st.lists(
        st.one_of(
            st.just("withdraw"),
            st.just("deposit"),
            st.just("give back"),
            st.integers(0, 3 * SECOND),
            st.integers(0, MOST),
        ),
        max_size=60,
    ),
)
def test_whatever_the_settings_never_more_is_issued_than_was_given(
    ratio: int, rate: int, burst: int, steps: list[str | int]
) -> None:  # D-RT-4, traps 38, 39, 44
    budget, exact = Budget(ratio, rate, burst, 0), model.Budget(ratio, rate, burst, 0)
    slack = Fraction(2, budget.unit())  # each of the two shares is cut to a unit
    for step in steps:
        if step == "withdraw":
            had = exact.tokens
            if budget.withdraw(exact.now_ns):
                exact.tokens -= 1
                exact.withdrawn += 1
                assert had > 1 - slack
            else:
                assert had < 1 + slack
        elif step == "deposit":
            budget.deposit()
            exact.deposit()
        elif step == "give back":
            assert budget.give_back() == exact.give_back()  # trap 34
        else:
            assert isinstance(step, int)
            exact.pass_time(min(step, 2**62 - exact.now_ns))
        balance = Fraction(budget.balance(exact.now_ns))
        assert 0 <= balance <= burst
        # A double has 53 bits; the kernel's number is whole.
        assert abs(balance - exact.tokens) < slack + balance * Fraction(1, 2**52)
        # Of all that was ever given, nothing is issued twice: this law is exact.
        given = burst + exact.deposits * exact.ratio + exact.now_ns * exact.per_ns
        withdrawn, _, given_back, deposits = budget.counters()
        assert withdrawn - given_back <= given
        assert (withdrawn, given_back, deposits) == (
            exact.withdrawn, exact.given_back, exact.deposits,
        )  # fmt: skip
