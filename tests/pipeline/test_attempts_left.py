"""A block that is tried again and left in its pause or while it runs: nothing is left of it."""

from __future__ import annotations

import asyncio
import gc

import pytest

from holdfast import ManualClock
from tests.apart import run_apart
from tests.pipeline.parties import auntil
from tests.policies.calls import OutageError
from tests.policies.retries import budget_of, retry_of, waits, why


def test_an_interrupt_in_the_pause_ends_the_loop_and_gives_the_retry_back() -> None:  # trap 50
    run_apart(
        """
        import holdfast as hf
        from tests.ctrl_c import CtrlC

        clock = hf.ManualClock(auto=False)
        budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=5, clock=clock)
        retry = hf.Retry("r", on=ValueError, backoff=hf.Constant(9), budget=budget, clock=clock)
        ctrl_c = CtrlC()

        def block():
            for attempt in retry.attempts():
                with attempt:
                    raise ValueError

        def call():
            def fail():
                raise ValueError
            retry.call(fail)

        for way in (block, call):
            party = ctrl_c.when_parked(clock)
            try:
                way()
            except KeyboardInterrupt as error:
                assert not hasattr(error, "__notes__")
            else:
                raise AssertionError("not interrupted")
            party.result()
            assert not clock._callbacks
            assert budget.balance == 5.0
        snapshot = retry.snapshot()
        assert snapshot.gave_up["cancelled"] == 2, snapshot
        assert (snapshot.failed, sum(snapshot.retries)) == (2, 0), snapshot
        """
    )


def test_a_block_that_is_cancelled_in_its_pause_ends_at_once_and_leaves_nothing(
    clock: ManualClock,
) -> None:  # trap 50, RT-07, GEN-04
    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget)

    async def call() -> None:
        async for attempt in retry.attempts():
            with attempt:
                raise OutageError

    async def main() -> None:
        task = asyncio.ensure_future(call())
        await auntil(lambda: waits(clock))
        assert budget.balance == 4.0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (waits(clock), budget.balance) == ([], 5.0)
    assert (clock.now(), why(retry)) == (0.0, {"cancelled": 1})


def test_a_block_that_is_cancelled_while_it_runs_is_not_tried_again(clock: ManualClock) -> None:
    # trap 50
    retry = retry_of(clock, on=lambda error: True)
    numbers: list[int] = []

    async def call() -> None:
        async for attempt in retry.attempts():
            with attempt:
                numbers.append(attempt.number)
                await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.ensure_future(call())
        await auntil(lambda: numbers)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (numbers, why(retry)) == ([1], {"cancelled": 1})


@pytest.mark.parametrize("end", ["close", "throw", "drop"])
def test_a_block_whose_coroutine_ends_in_the_pause_gives_its_retry_back(
    end: str, clock: ManualClock
) -> None:  # trap 50
    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget)

    async def call() -> None:
        async for attempt in retry.attempts():
            with attempt:
                raise OutageError

    async def main() -> None:
        coroutine = call()
        coroutine.send(None)
        assert (len(waits(clock)), budget.balance) == (1, 4.0)
        if end == "close":
            coroutine.close()
        elif end == "throw":
            with pytest.raises(LookupError):
                coroutine.throw(LookupError())
        del coroutine
        gc.collect()

    asyncio.run(main())
    assert (waits(clock), budget.balance) == ([], 5.0)
    assert why(retry) == {"cancelled": 1}
