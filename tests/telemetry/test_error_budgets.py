"""What metrics show of error budgets."""

import pytest

import holdfast as hf
from tests.telemetry.scraped import Scrape


@pytest.mark.parametrize(("slo", "allowed"), [(0.999, 0.001), (0.9, 0.1), (1.0, 0.0)])
def test_the_share_that_may_fail_is_that_of_the_objective(slo, allowed, clock):
    budget = hf.ErrorBudget("z", slo=slo, clock=clock)
    assert Scrape(budget)("error_budget_allowed", budget="z") == allowed


def test_of_two_objectives_of_one_name_the_strictest_is_shown(clock):
    budgets = [hf.ErrorBudget("z", slo=slo, clock=clock) for slo in (0.9, 0.99, 0.95)]
    assert Scrape(*budgets)("error_budget_allowed", budget="z") == 0.01
    del budgets[1]
    assert Scrape(*budgets)("error_budget_allowed", budget="z") == 0.05


def test_the_share_that_failed_is_the_share_that_may_by_the_burn_rate(clock):
    budget = hf.ErrorBudget("z", slo=0.99, window=3600, clock=clock)
    budget.record(ok=True, n=970)
    budget.record(ok=False, n=30)
    seen = Scrape(budget)
    for window in ("5m", "1h", "30m", "6h"):
        burn_rate = seen("error_budget_burn_rate", budget="z", window=window)
        assert burn_rate * seen("error_budget_allowed", budget="z") == pytest.approx(0.03)
