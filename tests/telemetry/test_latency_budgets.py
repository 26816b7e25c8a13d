"""What metrics show of latency budgets."""

import pytest

import holdfast as hf
from tests.telemetry.scraped import Scrape


def test_percentiles_violations_and_exhaustions_are_told_of(clock):  # LB-03, MX-24 to MX-27
    budget = hf.LatencyBudget("y", samples=100, min_samples=1, clock=clock)
    for n in range(1, 101):
        budget.record(n / 500)
    seen = Scrape(budget)
    for percent in (50, 95, 99):
        shown = seen(f"latency_budget_p{percent}_seconds", budget="y")
        assert shown == pytest.approx(percent / 500, rel=0.02)
    assert seen("latency_budget_calls_total", budget="y") == 100
    assert seen("latency_budget_violations_total", budget="y") == 50
    assert seen("latency_budget_exhausted_total", budget="y") == 1
    assert seen("latency_budget_compliant", budget="y") == 0


def test_a_budget_without_calls_has_counters_at_zero_and_no_percentiles(clock):
    budget = hf.LatencyBudget("y", clock=clock)
    seen = Scrape(budget)
    assert not seen.series("latency_budget_p95_seconds")
    assert seen("latency_budget_violations_total", budget="y") == 0
    assert seen("latency_budget_compliant", budget="y") == 1


def test_percentiles_of_policies_of_one_name_are_weighted_by_their_calls(clock):
    slow, fast = (hf.LatencyBudget("y", samples=1000, clock=clock) for _ in range(2))
    for _ in range(40):
        slow.record(1)
    for _ in range(960):
        fast.record(0.01)
    seen = Scrape(slow, fast)
    shown = [seen(f"latency_budget_p{n}_seconds", budget="y") for n in (50, 95, 99)]
    assert shown == pytest.approx([0.01, 0.01, 1], rel=0.02)


def test_a_reset_takes_percentiles_away_and_no_count(clock):
    budget = hf.LatencyBudget("y", min_samples=1, clock=clock)
    budget.record(1)
    budget.reset()
    seen = Scrape(budget)
    assert not seen.series("latency_budget_p95_seconds")
    assert seen("latency_budget_violations_total", budget="y") == 1
    assert seen("latency_budget_exhausted_total", budget="y") == 1
