"""A block that is tried again and left in its pause or while it runs: nothing is left of it."""

from __future__ import annotations

import gc

import pytest

from tests.apart import run_apart
from tests.policies.calls import OutageError
from tests.policies.retry.retries import budget_of, retry_of, waits, why


def test_an_interrupt_in_the_pause_ends_the_loop_and_gives_the_retry_back():  # trap 50
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


@pytest.mark.parametrize("end", ["close", "throw", "drop"])
async def test_a_block_whose_coroutine_ends_in_the_pause_gives_its_retry_back(
    end, clock
):  # trap 50
    budget = budget_of(clock, 5)
    retry = retry_of(clock, budget=budget)

    async def call() -> None:
        async for attempt in retry.attempts():
            with attempt:
                raise OutageError

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
    assert (waits(clock), budget.balance) == ([], 5.0)
    assert why(retry) == {"cancelled": 1}
