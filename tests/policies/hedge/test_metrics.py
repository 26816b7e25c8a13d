"""The metrics of a hedge, in this process and summed over workers."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from holdfast.telemetry.prometheus import Collector
from tests.policies.hedge.hedges import Attempts, DownError

prometheus_client = pytest.importorskip("prometheus_client")


def exported(name: str) -> dict[str, float]:
    """Return the samples of a hedge by their name, without what they have in common."""
    return {
        sample.name.removeprefix("holdfast_hedge_"): sample.value
        for family in Collector().collect()
        for sample in family.samples
        if sample.labels.get("hedge") == name and not sample.name.endswith("_created")
    }


async def test_counts_of_all_hedges_of_one_name_are_exported(loop: Any):
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=3, clock=loop.clock)
    hedge = hf.Hedge("counted", delay=1, budget=budget, clock=loop.clock)
    other = hedge.with_options(delay=2)
    assert set(exported("counted").values()) == {0}
    await hedge.acall(Attempts((60, None), (0.1, None)))
    await hedge.acall(Attempts((0.1, None)))
    for _ in range(3):
        await other.try_acall(Attempts((0, DownError("down"))))
    assert exported("counted") == {
        "calls_total": 5,
        "calls_failed_total": 3,
        "calls_hedged_total": 3,
        "attempts_total": 3,
        "won_total": 1,
        "cancelled_total": 1,
        "refused_total": 1,
    }


def test_attempts_left_behind_in_threads_are_exported_once_there_are_some(clock):
    hedge = hf.Hedge("left", clock=clock)
    hedge._kernel.count_abandoned()
    shown = exported("left")
    assert (shown["threads_abandoned_total"], shown["threads_running"]) == (1, 1)
    hedge._kernel.count_stopped()
    assert exported("left")["threads_abandoned_total"] == 1
