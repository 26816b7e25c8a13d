"""A retry and its budget: shared or its own, what comes back, and what an outage costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import holdfast as hf
from holdfast import ManualClock
from tests.policies.calls import OutageError, fine, outage
from tests.policies.retry.retries import Flaky, budget_of, every_way, retry_of


def fail(retry: Any, clock: ManualClock) -> int:
    """Make a call that fails; return how many attempts it took."""
    flaky = Flaky(clock)
    with pytest.raises(OutageError):
        retry.call(flaky)
    return len(flaky.made)


@every_way
def test_each_retry_takes_a_token_and_each_success_gives_its_share(make, clock):  # D-RT-4
    budget = hf.RetryBudget(ratio=0.5, min_per_second=0, burst=10, clock=clock)
    retry = retry_of(clock, budget=budget)
    assert make(retry, clock, Flaky(clock, 2)) == "fine"
    assert budget.balance == 8.5
    with pytest.raises(OutageError):
        make(retry, clock, Flaky(clock))
    assert budget.balance == 6.5
    for _ in range(20):
        make(retry, clock, fine)
    assert budget.balance == 10.0


def test_every_retry_has_a_budget_of_its_own_on_its_own_clock(clock):
    one, other = (hf.Retry(name, clock=clock, on=OutageError) for name in ("one", "other"))
    assert one.budget is not other.budget
    assert one.budget is not None
    assert repr(one.budget) == "RetryBudget(ratio=0.2, min_per_second=10.0, burst=100)"
    assert one.budget.balance == 100.0
    for _ in range(60):
        with pytest.raises(OutageError):
            one.call(outage)
    assert other.budget is not None
    assert other.budget.balance == 100.0
    assert retry_of(clock).budget is None


def test_a_shared_budget_is_spent_by_all_who_have_it(clock):
    # D-RT-4: layers nested, and each multiplied the load
    budget = budget_of(clock, 3)
    one = retry_of(clock, budget=budget)
    other = hf.Retry("other", attempts=9, on=OutageError, budget=budget, clock=clock)
    assert fail(one, clock) == 3
    assert fail(other, clock) == 2
    assert fail(one, clock) == 1
    assert (budget.balance, budget.snapshot().withdrawn) == (0.0, 3)
    assert budget.snapshot().refused == 2


def test_nested_layers_with_one_budget_do_not_multiply(clock):  # D-RT-4
    budget = budget_of(clock, 6)
    layers = [
        hf.Retry(f"layer {n}", attempts=4, on=OutageError, budget=budget, clock=clock)
        for n in range(3)
    ]
    flaky = Flaky(clock)
    with pytest.raises(OutageError):
        hf.Pipeline("p", *layers).call(flaky)
    assert len(flaky.made) == 7  # and not 64


def test_a_budget_on_another_clock_is_asked_by_that(clock):
    other = ManualClock()
    budget = hf.RetryBudget(ratio=0, min_per_second=1, burst=1, clock=other)
    retry = retry_of(clock, budget=budget)
    assert fail(retry, clock) == 2
    assert fail(retry, clock) == 1
    other.advance(1)
    assert fail(retry, clock) == 2


def test_in_an_outage_the_load_stays_bounded_over_thousands_of_calls(clock):
    # D-RT-4: each layer multiplied the load by four to six
    retry = hf.Retry(
        "network", attempts=4, backoff=hf.Constant(0), on=OutageError, clock=clock, max_time=None
    )
    flaky = Flaky(clock)
    calls = 6_000
    for n in range(calls):  # a minute of a hundred calls a second
        with pytest.raises(OutageError):
            retry.call(flaky)
        if n % 100 == 99:
            clock.advance(1)
    retries = len(flaky.made) - calls
    assert retries <= 100 + 60 * 10  # what it began with, and ten a second
    assert retries >= 60 * 10  # and it goes on trying
    snapshot = retry.snapshot()
    assert sum(snapshot.retries) == retries
    assert snapshot.gave_up["no_budget"] + snapshot.gave_up["exhausted"] == calls


@pytest.mark.parametrize("failing", [0.1, 0.5, 0.9])
def test_with_some_calls_failing_retries_add_no_more_than_their_share(failing, clock):  # D-RT-4
    budget = hf.RetryBudget(ratio=0.2, min_per_second=0, burst=10, clock=clock)
    retry = retry_of(clock, backoff=hf.Constant(0), attempts=4, budget=budget)
    attempts = calls = 0

    def call() -> None:
        nonlocal attempts
        attempts += 1
        if attempts * failing % 1 < failing:
            raise OutageError

    for _ in range(1_000):
        calls += 1
        retry.try_call(call)
    succeeded = retry.snapshot().succeeded
    assert attempts - calls <= 10 + 0.2 * succeeded
    assert attempts - calls >= min(0.2 * succeeded, calls * failing) * 0.9


def test_it_recovers_once_calls_succeed_again(clock):  # trap 44
    budget = hf.RetryBudget(ratio=0.2, min_per_second=0, burst=10, clock=clock)
    retry = retry_of(clock, budget=budget)
    while fail(retry, clock) > 1:
        pass
    for _ in range(5):
        retry.call(fine)
    assert retry.call(Flaky(clock, 1)) == "fine"


def test_a_retry_that_waits_has_its_token_already(clock):
    # trap 44: retries in their back-off were not counted
    budget = budget_of(clock, 3)
    retry = retry_of(clock, budget=budget)

    async def fails() -> None:
        raise OutageError

    async def main() -> None:
        tasks = [asyncio.ensure_future(retry.acall(fails)) for _ in range(5)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert budget.balance == 0.0
        assert [task.done() for task in tasks] == [False, False, False, True, True]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert budget.balance == 3.0  # trap 44: nobody made them

    asyncio.run(main())
    snapshot = retry.snapshot()
    assert snapshot.gave_up["cancelled"] == 3
    assert snapshot.gave_up["no_budget"] == 2
    assert sum(snapshot.retries) == 0
    assert budget.snapshot().given_back == 3


@every_way
def test_what_gives_up_for_other_reasons_takes_no_token(make, clock):
    budget = budget_of(clock, 5)
    for settings in ({"max_time": 0.5}, {"attempts": 1}, {"on": ValueError}):
        with pytest.raises(OutageError):
            make(retry_of(clock, budget=budget, **settings), clock, Flaky(clock))
    assert budget.snapshot().withdrawn == 0


def test_an_attempt_that_an_inner_policy_refuses_has_had_its_token(clock):
    budget = budget_of(clock, 5)
    limiter = hf.RateLimiter("l", rate=1e-6, burst=1, clock=clock)
    pipe = hf.Pipeline("p", retry_of(clock, budget=budget), limiter)
    with pytest.raises(hf.RateLimitedError):
        pipe.call(Flaky(clock))
    assert budget.balance == 4.0
