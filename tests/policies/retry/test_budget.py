"""Retry budget: what retries may add to the load, and how it comes back."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import weakref
from typing import Any

import pytest

import holdfast as hf
from holdfast import RetryBudget


def withdraw_all(budget: RetryBudget, most: int = 1_000) -> int:
    taken = 0
    while taken < most and budget.try_withdraw():
        taken += 1
    return taken


def test_a_budget_starts_full_with_what_ten_seconds_bring(clock):
    # D-RT-4, as Finagle's RetryBudget: ten a second, kept for ten seconds
    budget = RetryBudget(clock=clock)
    assert budget.balance == 100.0
    assert withdraw_all(budget) == 100
    assert budget.balance == 0.0


@pytest.mark.parametrize(
    ("min_per_second", "burst"), [(0, 10), (0.5, 10), (1.1, 11), (2.55, 26), (1e9, 1_000_000_000)]
)
def test_the_default_burst_is_what_ten_seconds_give_and_at_least_ten(min_per_second, burst):
    assert RetryBudget(min_per_second=min_per_second).snapshot().burst == burst


def test_successes_and_time_fill_it_up_again(clock):  # trap 44
    budget = RetryBudget(ratio=0.25, min_per_second=2, burst=10, clock=clock)
    assert withdraw_all(budget) == 10
    budget.deposit()
    assert budget.balance == 0.25
    clock.advance(0.5)
    assert budget.balance == 1.25
    clock.advance(3600)
    assert budget.balance == 10.0
    assert withdraw_all(budget) == 10


def test_a_snapshot_tells_its_settings_and_counts(clock):
    budget = RetryBudget(ratio=0.5, min_per_second=0, burst=2, clock=clock)
    withdraw_all(budget)
    budget.give_back()
    budget.deposit()
    snapshot = budget.snapshot()
    assert (snapshot.ratio, snapshot.min_per_second, snapshot.burst) == (0.5, 0.0, 2)
    assert (snapshot.withdrawn, snapshot.refused, snapshot.given_back) == (2, 1, 1)
    assert (snapshot.successes, snapshot.balance) == (1, 1.5)
    with pytest.raises(AttributeError):
        snapshot.balance = 3.0  # type: ignore[misc]


def test_a_budget_shows_its_settings_and_is_only_itself():  # trap 56
    budget, like = RetryBudget(), RetryBudget()
    assert repr(budget) == "RetryBudget(ratio=0.2, min_per_second=10.0, burst=100)"
    assert budget != like
    assert len({budget, like, budget}) == 2
    assert copy.copy(budget) is copy.deepcopy(budget) is budget
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(budget)
    with pytest.raises(AttributeError):
        budget.ratio = 1  # type: ignore[attr-defined]


def test_a_budget_is_in_no_registry_and_goes_when_nobody_has_it():
    budget = RetryBudget()
    registered: list[object] = [*hf.registry.all()]
    assert budget not in registered
    gone = weakref.ref(budget)
    del budget
    gc.collect()
    assert gone() is None


def test_a_forked_child_keeps_the_balance_it_has(clock):  # trap 58
    budget = RetryBudget(ratio=0, min_per_second=0, burst=3, clock=clock)
    assert budget.try_withdraw()
    child = os.fork()
    if child == 0:
        os._exit(withdraw_all(budget))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert budget.balance == 2.0


RATIO = "a number from 0 to 1000"
RATE = "a number from 0 to 1000000000"
BURST = "an integer from 1 to 1000000000, or None"


@pytest.mark.parametrize(
    ("field", "allowed", "values"),
    [
        ("ratio", RATIO, [-0.1, 1000.1, float("nan"), float("inf"), "1", None, True, 10**400]),
        ("min_per_second", RATE, [-1, 1e9 + 1, float("nan"), float("inf"), "1", None, False, b""]),
        ("burst", BURST, [0, -1, 10**9 + 1, 1.0, "1", True, float("nan")]),
        ("clock", "a SystemClock or a ManualClock", [0, "now", object()]),
    ],
)
def test_a_wrong_setting_is_refused_by_name(field, allowed, values):
    for value in values:
        with pytest.raises(hf.ConfigError) as refused:
            RetryBudget(**{field: value})
        (problem,) = refused.value.problems
        assert problem.startswith(f"{field}: got ")
        assert f", allowed {allowed}" in problem


def test_all_wrong_settings_are_named_at_once():
    bad: dict[str, Any] = {"ratio": -1, "min_per_second": None, "burst": 0, "clock": 1}
    with pytest.raises(hf.ConfigError) as refused:
        RetryBudget(**bad)
    assert [problem.split(":")[0] for problem in refused.value.problems] == list(bad)


def test_the_ends_of_every_range_are_taken(clock):
    for ratio in (0, 1e-300, 1e-6, 1000):
        for rate in (0, 1e-300, 1e9):
            for burst in (1, 1_000_000_000):
                budget = RetryBudget(ratio=ratio, min_per_second=rate, burst=burst, clock=clock)
                assert budget.balance == burst
                assert budget.try_withdraw()
