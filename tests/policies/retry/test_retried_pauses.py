"""The pause of a call that is tried again: cancelled, dropped, forked, and in nobody's way."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import holdfast as hf
from holdfast import ManualClock
from tests.apart import run_apart
from tests.policies.calls import OutageError
from tests.policies.retry.retries import (
    Flaky,
    budget_of,
    in_a_coroutine,
    retry_of,
    run_async,
    waits,
    why,
)
from tests.policies.test_forked import IN_CHILD
from tests.waiting.parties import Party, auntil, until

pytestmark = pytest.mark.usefixtures("no_warnings")


async def failing() -> None:
    await asyncio.sleep(0)
    raise OutageError


def paused(retry: hf.Retry, make: str) -> Any:
    if make == "acall":
        return retry.acall(failing)
    return retry.try_acall(failing) if make == "try_acall" else retry(failing)()


@pytest.mark.parametrize("make", ["acall", "try_acall", "guard"])
def test_a_call_that_is_cancelled_in_its_pause_ends_at_once_and_leaves_nothing(make, clock):
    # trap 41, trap 50, RT-07, D-RT-3, GEN-04
    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget, backoff=hf.Constant(3600))

    async def main() -> None:
        task = asyncio.ensure_future(paused(retry, make))
        await auntil(lambda: waits(clock))
        task.cancel("mine")
        with pytest.raises(asyncio.CancelledError, match="mine") as raised:
            await task
        assert not hasattr(raised.value, "__notes__")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert (waits(clock), clock._callbacks) == ([], {})
    assert (clock.now(), budget.balance, why(retry)) == (0.0, 5.0, {"cancelled": 1})
    snapshot = retry.snapshot()
    assert (snapshot.attempts, sum(snapshot.retries)) == (1, 0)


@pytest.mark.parametrize("end", ["close", "throw", "drop", "interrupt"])
async def test_a_coroutine_that_ends_in_its_pause_leaves_nothing(end, clock):  # trap 41, trap 50
    budget = budget_of(clock, 5)
    bulkhead = hf.Bulkhead("b", max_concurrent=1)
    retry = retry_of(clock, budget=budget)
    pipe = hf.Pipeline("p", bulkhead, retry)
    coroutine = pipe.acall(failing)
    coroutine.send(None)
    coroutine.send(None)
    assert (len(waits(clock)), budget.balance, bulkhead.in_flight) == (1, 4.0, 1)
    if end == "close":
        coroutine.close()
    elif end != "drop":
        kind = LookupError if end == "throw" else KeyboardInterrupt
        with pytest.raises(kind):
            coroutine.throw(kind())
    del coroutine
    gc.collect()
    assert (clock._callbacks, budget.balance, bulkhead.in_flight) == ({}, 5.0, 0)
    assert why(retry) == {"cancelled": 1}


async def test_a_task_cancelled_while_an_attempt_runs_is_not_retried(clock):  # trap 50, D-RT-3
    retry = retry_of(clock, on=lambda error: True)
    begun: list[int] = []

    async def call() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    task = asyncio.ensure_future(retry.acall(call))
    await auntil(lambda: begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(begun), why(retry)) == (1, {"cancelled": 1})


async def test_hundreds_of_pauses_that_are_cancelled_leave_no_timer(clock):  # trap 43, trap 50
    budget = budget_of(clock, 300)
    retry = retry_of(clock, budget=budget)
    tasks = [asyncio.ensure_future(retry.acall(failing)) for _ in range(300)]
    await auntil(lambda: len(clock._callbacks) == 300)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(OutageError):
        await retry_of(clock, attempts=1).acall(failing)
    assert (clock._callbacks, budget.balance) == ({}, 300.0)


def test_calls_in_their_pause_do_not_hold_up_the_loop_or_each_other(clock):
    retry = retry_of(clock, backoff=hf.Linear(1, 1, jitter=False))

    async def main() -> list[Any]:
        calls = [retry.acall(in_a_coroutine(Flaky(clock, n % 3))) for n in range(30)]
        return await asyncio.gather(*calls)

    assert run_async(clock, main()) == ["fine"] * 30
    assert clock.now() == 3.0


def test_a_thread_in_its_pause_goes_on_when_the_clock_is_moved():
    clock = ManualClock(auto=False)
    retry = retry_of(clock)
    flaky = Flaky(clock, 1)
    party = Party(retry.call, flaky)
    until(lambda: waits(clock))
    assert len(flaky.made) == 1
    clock.advance(1)
    assert party.result() == "fine"
    assert clock._callbacks == {}


def test_the_pause_of_a_call_that_no_loop_drives_is_an_error_and_not_a_hang(clock):
    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget)
    coroutine = retry.acall(in_a_coroutine_of_nobody)
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)
    assert (budget.balance, why(retry)) == (5.0, {"cancelled": 1})


async def in_a_coroutine_of_nobody() -> None:
    raise OutageError


def test_a_forked_child_draws_other_delays_than_its_parent():  # trap 58
    run_apart(
        IN_CHILD
        + """
    clock = hf.ManualClock()
    backoffs = [hf.Exponential(1, jitter=1.0), hf.Exponential(1, jitter=1.0) + hf.Constant(1)]
    for backoff in backoffs:
        retry = hf.Retry("r", attempts=6, on=OSError, backoff=backoff, clock=clock, budget=None)

        def delays():
            made = []

            def call():
                made.append(clock.now())
                raise OSError

            retry.try_call(call)
            return [b - a for a, b in zip(made, made[1:])]

        drawn = {in_child(delays), in_child(delays), repr(delays())}
        assert len(drawn) == 3, drawn
    """
    )


def test_a_call_in_its_pause_when_the_process_forks_is_the_parents():  # trap 58
    run_apart(
        IN_CHILD
        + """
    import asyncio, gc

    clock = hf.ManualClock()
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=5, clock=clock)
    retry = hf.Retry("r", on=OSError, backoff=hf.Constant(1), clock=clock, budget=budget)

    async def fail():
        raise OSError

    async def main():
        coroutine = retry.acall(fail)
        coroutine.send(None)

        def child():
            nonlocal coroutine
            coroutine.close()
            gc.collect()
            return retry.snapshot().failed

        assert in_child(child) == "0"
        coroutine.close()

    asyncio.run(main())
    assert budget.balance == 5
    assert retry.snapshot().gave_up["cancelled"] == 1
    """
    )
