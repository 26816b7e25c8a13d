"""A budget that sheds: who is refused, how many, and until when."""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context
from itertools import pairwise
from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import fine


def exhausted(clock: hf.ManualClock, failed: int, **settings: Any) -> hf.ErrorBudget:
    """Return a budget of which ``failed`` of 1,000 requests failed, and 10 may."""
    settings = {"slo": 0.99, "window": 100, "on_exhausted": "shed", **settings}
    budget = hf.ErrorBudget("send", clock=clock, **settings)
    budget.record(ok=False, n=failed)
    budget.record(ok=True, n=1001 - failed)
    return budget


def refused(budget: hf.ErrorBudget, level: Any, calls: int = 100) -> int:
    with hf.priority(level):
        return sum(budget.try_call(fine).rejection is not None for _ in range(calls))


@pytest.fixture
def clock() -> hf.ManualClock:
    return hf.ManualClock(start=1000.0)


def test_a_budget_that_is_not_exhausted_refuses_nobody(clock: Any) -> None:
    assert refused(exhausted(clock, 10), "sheddable") == 0


def test_the_share_refused_grows_with_the_overdraft_and_falls_with_the_priority(clock: Any) -> None:
    shares = [
        [refused(exhausted(clock, failed), level) for level in ("sheddable", "normal", "high")]
        for failed in (20, 80, 320, 1000)
    ]
    for before, after in pairwise(shares):
        assert all(one <= other for one, other in zip(before, after, strict=True))
    for share in shares:
        assert share == sorted(share, reverse=True)
    assert 45 <= shares[0][0] <= 50
    assert max(map(max, shares)) <= 90  # what is admitted shows a recovery


def test_critical_calls_are_never_refused(clock: Any) -> None:
    assert refused(exhausted(clock, 1000), "critical") == 0


def test_refusals_are_spread_evenly_and_the_same_in_each_run(clock: Any) -> None:
    def run() -> list[bool]:
        budget = exhausted(clock, 20)
        with hf.priority("sheddable"):
            return [budget.try_call(fine).rejection is not None for _ in range(20)]

    assert run() == run()
    answers = run()
    assert all(sum(answers[at : at + 4]) in (1, 2, 3) for at in range(16))


def test_refused_calls_do_not_count_and_the_error_names_the_budget(clock: Any) -> None:
    budget = exhausted(clock, 1000)
    total = budget.snapshot().total_requests
    admitted = 100 - refused(budget, "sheddable")
    assert budget.snapshot().total_requests == total + admitted
    with hf.priority("sheddable"):
        answers = [budget.try_call(fine).rejection for _ in range(3)]
    [error, *_] = [one for one in answers if one is not None]
    assert isinstance(error, hf.ShedError)
    assert str(error) == "load is shed: 'send' (budget)"
    assert error.policy is budget


def test_it_admits_all_again_once_the_failures_have_left_the_window(clock: Any) -> None:
    budget = exhausted(clock, 1000)
    assert refused(budget, "sheddable") > 80
    clock.advance(101)
    assert refused(budget, "sheddable") == 0


def test_observe_mode_refuses_nobody_and_counts_whom_it_would_have(clock: Any) -> None:
    budget = exhausted(clock, 1000, mode="observe")
    assert refused(budget, "sheddable") == 0
    assert budget.snapshot().observed > 80
    assert budget.snapshot().shed == 0


def test_a_budget_that_only_observes_its_exhaustion_refuses_nobody(clock: Any) -> None:
    assert refused(exhausted(clock, 1000, on_exhausted="observe"), "sheddable") == 0


# ---- priorities ----


def test_a_priority_holds_in_its_block_and_in_blocks_of_it_another(clock: Any) -> None:
    assert hf.priority.current() == "normal"
    low = hf.priority("sheddable")
    with low:
        with hf.priority("critical"), low:
            assert hf.priority.current() == "sheddable"
        assert hf.priority.current() == "sheddable"
    assert hf.priority.current() == "normal"


async def test_a_task_has_the_priority_of_the_block_that_created_it() -> None:
    async def current() -> str:
        return hf.priority.current()

    with hf.priority("high"):
        task = asyncio.create_task(current())
    assert await task == "high"
    assert hf.priority.current() == "normal"


def test_a_block_of_a_coroutine_that_nobody_awaits_ends_in_any_context() -> None:
    async def block() -> None:
        with hf.priority("high"):
            await asyncio.sleep(0)

    left = block()
    Context().run(left.send, None)
    left.close()  # as a collection does, wherever it comes
    assert hf.priority.current() == "normal"


def test_threads_may_use_one_priority_at_the_same_time() -> None:
    level, seen, both = hf.priority("high"), [], threading.Barrier(2, timeout=10)

    def work() -> None:
        with level:
            both.wait()
            seen.append(hf.priority.current())
            both.wait()
        seen.append(hf.priority.current())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(seen) == ["high", "high", "normal", "normal"]


def test_an_unknown_priority_is_refused() -> None:
    with pytest.raises(hf.ConfigError, match="level: got 'low', allowed one of 'critical', 'high'"):
        hf.priority("low")  # type: ignore[arg-type]
