"""Trackers: many budgets of both kinds, by name."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict

import pytest

import holdfast as hf


def errors(clock: hf.Clock, name: str = "send", **settings: object) -> hf.ErrorBudget:
    return hf.ErrorBudget(name, **{"slo": 0.5, "min_requests": 1, "clock": clock, **settings})


def latency(clock: hf.Clock, name: str = "send", **settings: object) -> hf.LatencyBudget:
    return hf.LatencyBudget(name, **{"target": 0.1, "min_samples": 1, "clock": clock, **settings})


def test_budgets_of_both_kinds_are_found_by_name(clock):  # EB-07, EB-09
    tracker = hf.SloTracker(errors(clock), latency(clock))
    other = tracker.register(errors(clock, "sync"))
    assert tracker.get("sync") is tracker.get("sync", "error_budget") is other
    assert [tracker.get("send", kind).kind for kind in ("error_budget", "latency_budget")] == [
        "error_budget", "latency_budget",
    ]  # fmt: skip
    assert tracker.get("unknown") is tracker.get("sync", "latency_budget") is None
    assert (len(tracker), other in tracker) == (3, True)
    with pytest.raises(hf.ConfigError, match="kind: got 'send', allowed one of 'error_budget'"):
        tracker.get("send", "send")


def test_a_request_counts_once_in_each_budget_of_its_name(clock):  # EB-07, D-RM-5
    tracker = hf.SloTracker(errors(clock), latency(clock), errors(clock, "sync"))
    tracker.record("send", True, seconds=0.25)
    tracker.record("send", False, seconds=0.01)  # quick failures do not improve the latency
    tracker.record("send", False, seconds=0.25, n=2)
    tracker.record("sync", True)
    send, slow, sync = (budget.snapshot() for budget in tracker)
    assert (send.total_requests, send.failed_requests) == (4, 3)
    assert (slow.total_requests, slow.exceeding_requests) == (3, 3)
    assert (sync.total_requests, sync.failed_requests) == (1, 0)


def test_a_request_of_an_unknown_name_is_an_error_and_counts_nowhere(clock):
    tracker = hf.SloTracker(errors(clock))
    with pytest.raises(LookupError, match="no latency budget is registered as 'send'"):
        tracker.record("send", True, seconds=0.25)
    with pytest.raises(LookupError, match="'sned': did you mean 'send'"):
        tracker.record("sned", True)
    assert tracker.snapshot().budgets[0].total_requests == 0
    for wrong in ({}, {"ok": 1}, {"ok": True, "n": 0}):
        with pytest.raises(hf.ConfigError):
            tracker.record("send", **wrong)


def test_a_name_is_exhausted_if_one_of_its_budgets_is(clock):  # EB-09
    tracker = hf.SloTracker(errors(clock), latency(clock), errors(clock, "sync"))
    assert tracker.all_healthy()
    tracker.record("send", seconds=0.25)
    assert [tracker.is_exhausted(name) for name in ("send", "sync", "unknown")] == [
        True, False, False,
    ]  # fmt: skip
    assert not tracker.all_healthy()
    assert repr(tracker) == "<SloTracker of 3 budgets, exhausted: 'send'>"
    tracker.reset()
    assert tracker.all_healthy()
    assert hf.SloTracker().all_healthy()


def test_a_snapshot_has_those_of_all_budgets_and_their_compliance(clock):  # EB-07, EB-10
    tracker = hf.SloTracker(errors(clock), latency(clock))
    tracker.record("send", True, seconds=0.25)
    shown = tracker.snapshot()
    assert (shown.healthy, shown.compliance) == (False, 0.5)
    assert shown.exhausted == (("latency_budget", "send"),)
    assert [one["kind"] for one in json.loads(json.dumps(asdict(shown)))["budgets"]] == [
        "error_budget", "latency_budget",
    ]  # fmt: skip
    assert hf.SloTracker().snapshot().compliance == 1.0


def test_each_budget_is_visited_in_the_order_of_registration(clock):  # EB-09
    tracker = hf.SloTracker(latency(clock, "b"), latency(clock, "a"))
    seen: list[str] = []

    def visit(budget: hf.LatencyBudget) -> None:
        seen.append(budget.name)
        tracker.unregister(budget)  # what is visited is fixed before

    tracker.for_each(visit)
    assert (seen, len(tracker)) == (["b", "a"], 0)
    with pytest.raises(TypeError, match="fn: got 3"):
        tracker.for_each(3)


def test_a_name_has_one_budget_of_each_kind(clock):
    budget = latency(clock)
    tracker = hf.SloTracker(budget, budget)
    with pytest.raises(hf.ConfigError, match="another name, <LatencyBudget 'send'> is registered"):
        tracker.register(latency(clock))
    for wrong in (hf.Bulkhead("b"), "send", None):
        with pytest.raises(hf.ConfigError, match="an ErrorBudget or a LatencyBudget"):
            tracker.register(wrong)
    assert list(tracker) == [budget]
    assert (tracker.unregister(budget), tracker.unregister(budget)) == (True, False)
    assert tracker.register(latency(clock)) in tracker


def test_a_listener_hears_of_all_budgets_also_of_later_ones(clock):  # EB-04
    first, later, left = latency(clock, "first"), latency(clock, "later"), latency(clock, "left")
    tracker = hf.SloTracker(first, left)
    seen: list[tuple[str, str]] = []
    remove = tracker.on_event(lambda event: seen.append((event.name, event.kind)))
    tracker.register(later)
    tracker.register(later)
    tracker.unregister(left)
    for budget in (first, later, left):
        budget.record(1)
    assert seen == [("first", "budget_exhausted"), ("later", "budget_exhausted")]
    remove()
    remove()
    first.reset()
    tracker.register(left)
    left.reset()
    assert len(seen) == 2


def test_threads_that_register_one_name_end_with_one_budget(clock):
    tracker = hf.SloTracker()
    budgets = [latency(clock) for _ in range(8)]
    barrier, refused = threading.Barrier(8), []

    def register(budget: hf.LatencyBudget) -> None:
        barrier.wait(30)
        try:
            tracker.register(budget)
        except hf.ConfigError:
            refused.append(budget)

    threads = [threading.Thread(target=register, args=(budget,)) for budget in budgets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(tracker), len(refused)) == (1, 7)
