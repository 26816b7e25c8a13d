"""The retry budget's kernel through its binding, against its model."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast._native.budget import Budget
from tests.models import budget as model

pytestmark = pytest.mark.stress

SECOND = 10**9
MILLION = 10**6
MOST = 2**63 - 1
machines = settings.get_profile("machines")


class BudgetMachine(RuleBasedStateMachine):
    """Whole units only, so that the kernel's balance is the model's to the last digit."""

    @initialize(
        ratio=st.sampled_from([0, 1_000, 200_000, 500_000, MILLION, 2_500_000]),
        rate=st.sampled_from([0, MILLION, 10 * MILLION]),
        burst=st.integers(1, 20),
        now_ns=st.sampled_from([0, 17, -5 * SECOND, MOST // 2]),
    )
    def start(self, ratio: int, rate: int, burst: int, now_ns: int) -> None:
        self.budget = Budget(ratio, rate, burst, now_ns)
        self.model = model.Budget(ratio, rate, burst, now_ns)

    @rule()
    def withdraw(self) -> None:  # D-RT-4, trap 44
        assert self.budget.withdraw(self.model.now_ns) == self.model.withdraw()

    @rule(times=st.integers(1, 12))
    def withdraw_often(self, times: int) -> None:
        for _ in range(times):
            self.withdraw()

    @rule(times=st.sampled_from([1, 2, 3, 5, 30]))
    def deposit(self, times: int) -> None:  # trap 44
        for _ in range(times):
            self.budget.deposit()
            self.model.deposit()

    @rule()
    def give_back(self) -> None:
        assert self.budget.give_back() == self.model.give_back()

    @rule(ms=st.sampled_from([1, 2, 99, 100, 101, 5_000, 10**9]))
    def pass_time(self, ms: int) -> None:
        self.model.pass_time(ms * MILLION)

    @invariant()
    def has_as_many_tokens_as_the_model(self) -> None:
        assert self.budget.balance(self.model.now_ns) == float(self.model.tokens)
        assert self.budget.counters() == self.model.counters()

    @invariant()
    def an_older_time_shows_fewer_tokens_and_never_less_than_none(self) -> None:  # trap 25
        older = self.budget.balance(self.model.now_ns - 3 * SECOND)
        assert 0.0 <= older <= self.budget.balance(self.model.now_ns)


TestBudget = BudgetMachine.TestCase
TestBudget.settings = machines


@settings(machines)
@given(
    ratio=st.one_of(st.integers(0, 3 * MILLION), st.integers(0, 10**9)),
    rate=st.one_of(st.integers(0, 30 * MILLION), st.integers(0, 10**15)),
    burst=st.one_of(st.integers(1, 20), st.integers(1, 10**9)),
    steps=st.lists(
        st.one_of(
            st.just("withdraw"),
            st.just("deposit"),
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
                assert had > 1 - slack
            else:
                assert had < 1 + slack
        elif step == "deposit":
            budget.deposit()
            exact.deposit()
        else:
            assert isinstance(step, int)
            exact.pass_time(min(step, 2**62 - exact.now_ns))
        balance = Fraction(budget.balance(exact.now_ns))
        assert 0 <= balance <= burst
        # A double has 53 bits; the kernel's number is whole.
        assert abs(balance - exact.tokens) < slack + balance * Fraction(1, 2**52)
        # Of all that was ever given, nothing is issued twice: this law is exact.
        given = burst + exact.deposits * exact.ratio + exact.now_ns * exact.per_ns
        assert budget.counters()[0] <= given


def test_what_a_budget_holds_is_told_before_it_is_used() -> None:
    budget = Budget(200_000, 0, 7, 0)
    assert budget.balance(0) == 7.0
    assert budget.counters() == (0, 0, 0, 0)
