"""Whose deadline holds where contexts, tasks and loops take turns in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from tests.waiting.virtual import VirtualLoop, ended, run

pytestmark = pytest.mark.usefixtures("nothing_stays_open")


def test_what_runs_in_another_context_inside_of_a_call_has_its_deadline(clock):
    outer, inner = hf.Timeout(3, clock=clock), hf.Timeout(1, clock=clock)

    def elsewhere(fn: Callable[..., Any], *args: Any) -> Any:
        return contextvars.copy_context().run(fn, *args)

    assert outer.call(elsewhere, hf.deadline) == 3
    assert outer.call(elsewhere, elsewhere, hf.deadline) == 3
    assert outer.call(elsewhere, inner.call, hf.deadline) == 1
    assert outer.call(elsewhere, inner.call, elsewhere, hf.deadline) == 1
    assert inner.call(elsewhere, outer.call, hf.deadline) == 1
    with outer:
        assert elsewhere(hf.deadline) == 3
    assert elsewhere(hf.deadline) is None


async def test_tasks_that_share_a_context_have_blocks_of_their_own(loop):
    context = contextvars.copy_context()

    async def one(seconds: float) -> object:
        async with hf.Timeout(seconds, clock=loop.clock):
            await asyncio.sleep(0)
            return hf.deadline()

    async def none() -> object:
        await asyncio.sleep(0)
        return hf.deadline()

    tasks = [loop.create_task(one(seconds), context=context) for seconds in (3, 1, 2)]
    tasks.append(loop.create_task(none(), context=context))
    assert await asyncio.gather(*tasks) == [3, 1, 2, None]


def test_a_loop_that_runs_inside_of_a_call_is_inside_of_it(clock):
    seen: list[object] = []

    async def look() -> None:
        seen.append(hf.deadline())

    async def main() -> None:
        await hf.Timeout(1, clock=clock).acall(look)
        await hf.Timeout(9, clock=clock).acall(look)
        await look()

    def run_loop() -> None:
        asyncio.run(main())

    hf.Timeout(3, clock=clock).call(run_loop)
    with hf.Timeout(2, clock=clock):
        run_loop()
    run_loop()
    assert seen == [1, 3, 3, 1, 2, 2, 1, 9, None]


@pytest.mark.slow  # it compares CPU time
async def test_a_call_costs_the_same_whatever_blocks_are_open_elsewhere(loop):
    async def cost(loop: VirtualLoop, blocks: int) -> float:
        """The least CPU time that 20 calls of a task take while so many others wait in a block."""
        block, policy = hf.Timeout(300, clock=loop.clock), hf.Timeout(30, clock=loop.clock)
        over = asyncio.Event()

        async def wait() -> None:
            async with block:
                await over.wait()

        async def call() -> float:
            start = time.thread_time()
            for _ in range(20):
                await policy.acall(look)
            return time.thread_time() - start

        async def look() -> None:
            assert hf.deadline() == 30

        tasks = [loop.create_task(wait()) for _ in range(blocks)]
        await asyncio.sleep(0)
        least = min([await loop.create_task(call()) for _ in range(5)])
        over.set()
        await asyncio.gather(*tasks)
        return least

    assert await cost(loop, 2_000) < 20 * await cost(loop, 5)


async def test_a_block_of_a_task_is_around_what_it_runs_in_another_context_alone(loop):
    async def one(seconds: float) -> list[object]:
        seen: list[object] = []
        async with hf.Timeout(seconds, clock=loop.clock):
            await asyncio.sleep(0)
            elsewhere = contextvars.copy_context().run
            seen.append(elsewhere(hf.deadline))
            seen.append(elsewhere(hf.Timeout(2, clock=loop.clock).call, hf.deadline))
            await asyncio.sleep(0)
            seen.append(await hf.Timeout(9, clock=loop.clock).acall(look, elsewhere))
        return [*seen, elsewhere(hf.deadline)]

    async def look(elsewhere: Callable[..., object]) -> object:
        return elsewhere(hf.deadline)

    first, second, third = await asyncio.gather(*map(one, [3, 1, 20]))
    assert (first, second) == ([3, 2, 3, None], [1, 1, 1, None])
    assert third == [20, 2, 9, None]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_a_context_at_the_address_of_a_dead_one_belongs_to_its_own_loop(clock):
    seen: list[object] = []

    async def look() -> None:
        seen.append(hf.deadline())

    async def begin() -> None:
        asyncio.eager_task_factory(asyncio.get_running_loop(), look())  # type: ignore[attr-defined]

    async def main(fn: Callable[[], Any]) -> None:
        await hf.Timeout(1, clock=clock).acall(fn)

    def run_in(loop: asyncio.AbstractEventLoop, context: contextvars.Context, fn: Any) -> int:
        loop.run_until_complete(loop.create_task(main(fn), context=context))
        return id(context)

    loops = [asyncio.new_event_loop() for _ in range(2)]
    address = run_in(loops[0], contextvars.Context(), look)
    gc.collect()
    again = [contextvars.Context() for _ in range(1000)]
    same = [context for context in again if id(context) == address]
    run_in(loops[1], (same or again)[0], begin)
    for loop in loops:
        loop.close()
    assert seen == [1, None]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_an_eager_task_inherits_neither_from_a_call_nor_from_a_block():
    async def main(loop: VirtualLoop) -> None:
        async def child() -> object:
            return hf.deadline(), await hf.Timeout(9, clock=loop.clock).acall(look)

        async def look() -> object:
            return hf.deadline()

        async def make() -> object:
            return await asyncio.create_task(child()), hf.deadline()

        policy = hf.Timeout(1, clock=loop.clock)
        assert await policy.acall(make) == ((None, 9), 1)
        async with policy:
            assert await make() == ((None, 9), 1)
        with policy:
            assert await make() == ((None, 9), 1)

    run(main, asyncio.eager_task_factory)  # type: ignore[attr-defined]


async def test_a_function_that_returns_no_awaitable_leaves_nothing(loop):
    policy = hf.Timeout(1, clock=loop.clock)
    for gate_of_it in (policy, hf.Pipeline("p", policy, hf.Retry("r", clock=loop.clock))):
        error = await ended(gate_of_it.acall(lambda: 42))
        assert type(error) is TypeError
        assert hf.deadline() is None
    loop.clock.advance_ns(5 * 10**9)
    assert await hf.Timeout(1, clock=loop.clock).acall(asyncio.sleep, 0, "ok") == "ok"


def test_a_block_whose_task_cannot_be_found_out_leaves_nothing_to_the_next_call(clock):
    class Interrupt(BaseException):
        pass

    class Loop:
        def __hash__(self) -> int:  # asked for where the task is looked for, up to 3.13
            raise Interrupt

    policy = hf.Timeout(3, clock=clock)
    asyncio._set_running_loop(Loop())  # type: ignore[arg-type]
    try:
        with contextlib.suppress(Interrupt), policy:
            pass
    finally:
        asyncio._set_running_loop(None)
    for _ in range(3):
        assert policy.call(hf.deadline) == 3
        with policy:
            assert hf.deadline() == 3
        assert hf.deadline() is None


@pytest.mark.parametrize("kind", ["block", "call", "permit"])
def test_a_deadline_at_the_end_of_time_is_none_that_could_pass(kind):
    clock = hf.ManualClock()
    clock.advance_ns(2**63 - 1 - clock.now_ns() - 10)
    policy = hf.Timeout(1, clock=clock)
    if kind == "block":
        with policy:
            assert hf.Timeout(1, clock=clock).call(lambda: "ok") == "ok"
    elif kind == "call":
        assert policy.call(lambda: "ok") == "ok"
    else:
        hf.Pipeline("p", policy).acquire().success()
