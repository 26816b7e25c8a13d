"""When an error budget pages: at a proven burn, and never at the objective."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from random import Random
from typing import Any

import pytest

import holdfast as hf
from holdfast.policies.error_budget.burn import MIN_FAILURES, PAIRS, lower_bound, pages

SLO = 0.999
DAYS = 10_000


def limit_of(allowed: float, rate: float) -> float:
    return min(rate * allowed, (1 + allowed) / 2)


def in_words(short: Any, long: Any, allowed: float, rate: float) -> bool:
    """Decide as the documented formula does, which exported rules repeat."""
    (n, k), (total, failed), z = short, long, 1.6448536269
    if failed < 10 or not k or failed / total <= limit_of(allowed, rate):
        return False
    p = k / n
    spread = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low = (p + z**2 / (2 * n) - spread) / (1 + z**2 / n)
    return low > limit_of(allowed, rate)


def test_the_decision_is_the_documented_formula() -> None:
    random = Random(4)
    found = {True: 0, False: 0}
    for _ in range(20_000):
        total = random.randrange(1, 3000)
        n = random.randrange(1, total + 1)
        failed = min(total, int(random.expovariate(1 / 30)))
        k = min(n, failed, int(random.expovariate(1 / 10)))
        allowed = random.choice([0.0, 0.001, 0.01, 0.1, 0.5])
        rate = random.choice([6.0, 14.4])
        decided = pages((n, k), (total, failed), allowed, rate)
        assert decided == in_words((n, k), (total, failed), allowed, rate)
        found[decided] += 1
    assert min(found.values()) > 1000


def test_the_lower_bound_is_below_the_share_and_closes_in_on_it() -> None:
    assert lower_bound(0, 0) == lower_bound(100, 0) == 0.0
    bounds = [lower_bound(10**k, 10 ** (k - 1)) for k in range(1, 9)]
    assert bounds == sorted(bounds)
    assert 0.0999 < bounds[-1] < 0.1


@pytest.mark.parametrize("an_hour", [1, 5, 10, 50])
def test_ten_thousand_days_at_the_objective_page_nobody(an_hour: int) -> None:
    """Only times with ten failures in six hours can page: the others need no look."""
    random = Random(an_hour)
    hours = 24 * DAYS
    failures, at = [], 0.0
    while (at := at + random.expovariate(an_hour * (1 - SLO))) < hours:
        failures.append(at)
    assert len(failures) > 100
    called = 0
    for at in failures:
        for pair in PAIRS:
            counts = []
            for seconds in (pair.short_seconds, pair.long_seconds):
                first = bisect_left(failures, at - seconds / 3600)
                failed = bisect_right(failures, at) - first
                others = sum(random.random() < an_hour / 60 for _ in range(seconds // 60))
                counts.append((failed + others, failed))
            called += pages(*counts, 1 - SLO, pair.rate)
    assert called == 0


def test_a_total_outage_after_an_hour_of_traffic_is_found_within_a_minute() -> None:
    for each_second in (1, 10, 100):
        clock = hf.ManualClock(start=10**6)
        budget = hf.ErrorBudget("send", slo=SLO, clock=clock)
        for _ in range(3600):
            budget.record(ok=True, n=each_second)
            clock.advance(1)
        assert budget.paging == ()
        seconds = 0
        while "5m/1h" not in budget.paging:
            budget.record(ok=False, n=each_second)
            clock.advance(1)
            seconds += 1
        assert seconds <= 60


def test_one_error_among_few_requests_pages_nobody() -> None:
    clock = hf.ManualClock(start=10**6)
    budget = hf.ErrorBudget("send", slo=SLO, clock=clock)
    for _ in range(MIN_FAILURES - 1):
        budget.record(ok=False)
        assert budget.paging == ()
    budget.record(ok=False)
    assert budget.paging == ("5m/1h", "30m/6h")


def test_a_low_objective_pages_in_a_total_outage_too() -> None:
    clock = hf.ManualClock(start=10**6)
    budget = hf.ErrorBudget("send", slo=0.5, clock=clock)
    budget.record(ok=True, n=100)
    budget.record(ok=False, n=250)
    assert budget.paging == ()
    budget.record(ok=False, n=300)  # 85 % of all; 14.4 times the allowed half is more than all
    assert "5m/1h" in budget.paging


def test_pages_are_told_when_they_begin_and_end_without_traffic() -> None:
    clock = hf.ManualClock(start=10**6)
    budget = hf.ErrorBudget("send", slo=SLO, clock=clock)
    seen: list[tuple[str, str]] = []
    budget.on_event(lambda event: seen.append((event.kind, event.reason)))
    budget.record(ok=False, n=20)
    assert seen == [("budget_exhausted", "errors"), ("page", "5m/1h"), ("page", "30m/6h")]
    del seen[:]
    clock.advance(7 * 3600)  # nobody calls: the background loop looks
    assert seen == [
        ("page_ended", "5m/1h"),
        ("page_ended", "30m/6h"),
        ("budget_recovered", "errors"),
    ]


def test_the_burn_rate_of_the_window_is_the_share_of_the_budget_used_up() -> None:
    clock = hf.ManualClock(start=10**6)
    budget = hf.ErrorBudget("send", slo=0.9, clock=clock)
    random = Random(7)
    for _ in range(500):
        budget.record(ok=random.random() > 0.05, n=random.randrange(1, 9))
        clock.advance(random.random() * 20)
        shown = budget.snapshot()
        consumed = shown.failed_requests / (0.1 * shown.total_requests)
        assert budget.burn_rate() == pytest.approx(consumed)
        assert shown.remaining_budget == pytest.approx(max(0.0, 1 - consumed))
        assert 0.0 <= shown.availability <= 1.0  # D-EB-2


@pytest.mark.parametrize("window", [3600, 86_400, 30 * 86_400])
def test_in_a_steady_outage_no_burn_rate_ever_falls_to_nothing(window: int) -> None:
    clock = hf.ManualClock()
    budget = hf.ErrorBudget("send", slo=0.9, window=window, clock=clock)
    lengths = [one for one in (1, 30, 300, 3600, 21_600, 86_400, 172_800) if one <= window]
    clock.advance(window - 10)
    for _ in range(100):  # over the start of a slice in each of the rings
        budget.record(ok=False)
        clock.advance(1)
        for length in lengths:
            assert budget.burn_rate(length) == pytest.approx(10)


def test_burn_rates_look_at_the_time_that_they_are_asked_for() -> None:
    clock = hf.ManualClock(start=10**6)
    budget = hf.ErrorBudget("send", slo=0.9, clock=clock)
    budget.record(ok=False, n=10)
    clock.advance(1000)
    budget.record(ok=True, n=90)
    assert budget.burn_rate(300) == 0.0
    assert budget.burn_rate(1800) == pytest.approx(1.0)
    with pytest.raises(hf.ConfigError, match="window: got 30000"):
        budget.burn_rate(30_000)
