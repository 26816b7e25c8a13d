"""`async with policy:` holds what its own entry was given, whatever tasks and contexts do."""

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import CircuitBreaker, ManualClock
from tests.gate.parts import fates, half_open, pipe, places
from tests.waiting.parties import auntil

NOTHING = (None, None, None)


async def test_tasks_and_plain_blocks_interleave_on_one_policy() -> None:
    async def block(number: int) -> None:
        for turn in range(20):
            with contextlib.suppress(LookupError):
                async with breaker, bulkhead:
                    await asyncio.sleep(0)
                    if (number + turn) % 2:
                        raise LookupError
            with contextlib.suppress(LookupError), breaker, bulkhead:
                await asyncio.sleep(0)
                if (number + turn) % 2:
                    raise LookupError

    breaker = CircuitBreaker("b", failure_threshold=None, failure_rate=1.0)
    bulkhead = places(20)
    await asyncio.gather(*map(block, range(20)))
    assert bulkhead.in_flight == 0
    assert fates(breaker) == {"succeeded": 400, "failed": 400}


async def test_each_task_leaves_its_own_entry() -> None:
    """Tasks that enter one after another and leave in that order each have their own duration."""

    async def block(seconds: int) -> None:
        async with breaker:
            await gates[seconds].wait()

    clock = ManualClock()
    breaker = CircuitBreaker("b", latency=True, clock=clock)
    gates = {1: asyncio.Event(), 3: asyncio.Event()}
    tasks = [asyncio.create_task(block(seconds)) for seconds in (1, 3)]
    await auntil(lambda: breaker.in_flight == 2)
    for seconds, task in ((3, tasks[1]), (1, tasks[0])):
        clock.advance(1)
        gates[seconds].set()
        await task
    assert breaker.snapshot().latency.total == 1 + 2


async def test_an_async_generator_entered_in_one_task_may_be_closed_in_another() -> None:  # trap 5
    async def stream() -> AsyncIterator[int]:
        async with bulkhead:
            with breaker:
                yield 1

    bulkhead, breaker = places(), CircuitBreaker("b")
    one, other = stream(), stream()
    await anext(one)
    await asyncio.create_task(anext(other))
    assert bulkhead.in_flight == 2
    await asyncio.create_task(one.aclose())
    assert bulkhead.in_flight == 1
    await other.aclose()
    assert bulkhead.in_flight == 0
    assert fates(breaker) == {"ignored": 2}


async def test_a_copied_context_neither_carries_nor_loses_an_entry() -> None:
    def inside() -> int:
        with bulkhead:
            return bulkhead.in_flight

    async def run_inside() -> int:
        async with bulkhead:
            return bulkhead.in_flight

    bulkhead = places()
    async with bulkhead:
        context = contextvars.copy_context()
        assert context.run(inside) == 2
        task = asyncio.get_running_loop().create_task(run_inside(), context=context)
        assert await task == 2
        assert bulkhead.in_flight == 1
    assert bulkhead.in_flight == 0


async def test_an_async_exit_stack_leaves_what_it_entered() -> None:
    bulkhead = places()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(bulkhead)
        stack.enter_context(bulkhead)
        assert bulkhead.in_flight == 2
    assert bulkhead.in_flight == 0


async def test_entering_and_leaving_by_hand() -> None:
    bulkhead = places()
    assert await bulkhead.__aenter__() is bulkhead
    assert bulkhead.in_flight == 1
    assert not await bulkhead.__aexit__(*NOTHING)
    assert bulkhead.in_flight == 0
    with pytest.raises(RuntimeError, match="without an entry"):
        await bulkhead.__aexit__(*NOTHING)


async def test_two_entries_begun_by_hand_at_once_both_come_home() -> None:
    bulkhead = places()
    enter, leave = bulkhead.__aenter__, bulkhead.__aexit__
    await asyncio.gather(enter(), enter())
    assert bulkhead.in_flight == 2
    await leave(*NOTHING)
    await leave(*NOTHING)
    assert bulkhead.in_flight == 0


async def test_an_entry_is_made_when_awaited_and_warns_when_it_never_is() -> None:
    bulkhead = places()
    entering = bulkhead.__aenter__()
    assert bulkhead.in_flight == 0
    with pytest.warns(RuntimeWarning, match="of <Bulkhead 'places'> was never awaited"):
        del entering
    assert bulkhead.in_flight == 0


async def test_a_cancelled_block_gives_back_and_proves_nothing() -> None:  # trap 5
    async def block() -> None:
        async with pipe(breaker, bulkhead):
            await asyncio.Event().wait()

    bulkhead, breaker = places(), half_open()
    task = asyncio.create_task(block())
    await auntil(lambda: bulkhead.in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bulkhead.in_flight == 0
    assert breaker.snapshot().probes == 0
    assert fates(breaker) == {"ignored": 1}


def test_a_policy_of_two_loops_in_turn_keeps_nothing_of_the_first() -> None:
    async def main() -> Any:
        async with bulkhead:
            return bulkhead.in_flight

    bulkhead = places(1, max_waiting=1, max_wait=1.0)
    assert [asyncio.run(main()) for _ in range(3)] == [1, 1, 1]
