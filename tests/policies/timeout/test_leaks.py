"""Thousands of timeouts leave nothing behind: no timer, task, thread, loop or memory."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable

import pytest

import holdfast as hf
from holdfast._native import gate
from tests.waiting.virtual import VirtualLoop, ended, turns


def growth(work: Callable[[], object], rounds: int = 8) -> int:
    """How many blocks of memory more there are after some work, once all caches are full."""
    grown = 0
    for _ in range(rounds):
        gc.collect()
        before = sys.getallocatedblocks()
        work()
        gc.collect()
        grown = sys.getallocatedblocks() - before
        if grown < 50:
            break
    return grown


async def test_thousands_in_one_loop_set_few_timers_and_leave_one(loop):
    # D-CB-5, D-C-5, trap 59: time.After(30s) per call left 100 MB
    policy = hf.Timeout(1, clock=loop.clock)
    threads, tasks = set(threading.enumerate()), len(asyncio.all_tasks())

    async def suspend() -> None:
        await asyncio.sleep(0)

    for _ in range(10_000):
        await policy.acall(suspend)
    assert loop.timers == 1
    assert loop.pending == 1  # which rings once more, and then no more
    assert set(threading.enumerate()) <= threads
    assert len(asyncio.all_tasks()) == tasks
    await asyncio.sleep(2)
    assert loop.timers == 2  # that sleep's own
    assert loop.pending == 0
    assert policy.snapshot().in_time == 10_000


async def test_thousands_that_are_over_set_a_timer_for_each_moment(loop):
    policy = hf.Timeout(1, clock=loop.clock)

    async def wait() -> None:
        await loop.create_future()

    for _ in range(20):
        calls = [asyncio.ensure_future(policy.acall(wait)) for _ in range(200)]
        await asyncio.wait(calls)
        assert all(type(call.exception()) is hf.DeadlineExceededError for call in calls)
    assert loop.timers == 20
    assert loop.pending == 0
    assert len(asyncio.all_tasks()) == 1
    assert policy.snapshot().expired == 4_000


async def test_blocks_set_a_timer_each_and_leave_none(loop):
    policy = hf.Timeout(1, clock=loop.clock)
    for _ in range(2_000):
        async with policy:
            await asyncio.sleep(0)
    assert loop.pending == 0
    assert gate._limits_in_force() == 0


async def in_time(policy: hf.Timeout, loop: VirtualLoop) -> None:
    await policy.acall(asyncio.sleep, 0)


async def over(policy: hf.Timeout, loop: VirtualLoop) -> None:
    await ended(policy.acall(asyncio.sleep, 9))


async def turning(policy: hf.Timeout, loop: VirtualLoop) -> None:
    async def turn() -> None:
        loop.clock.advance_ns(2 * 10**9)
        while True:  # noqa: ASYNC110 - there is nothing else to wait for
            await asyncio.sleep(0)

    await ended(policy.acall(turn))


async def cancelled(policy: hf.Timeout, loop: VirtualLoop) -> None:
    task = asyncio.ensure_future(policy.acall(asyncio.sleep, 9))
    await turns(2)
    task.cancel()
    await ended(task)


async def closed(policy: hf.Timeout, loop: VirtualLoop) -> None:
    call = policy.acall(asyncio.sleep, 9)
    call.send(None)
    call.close()


async def dropped(policy: hf.Timeout, loop: VirtualLoop) -> None:
    policy.acall(asyncio.sleep, 9).send(None)


async def nested(policy: hf.Timeout, loop: VirtualLoop) -> None:
    async def inner() -> None:
        await policy.acall(asyncio.sleep, 9)

    await ended(hf.Pipeline("p", hf.Timeout(0.5, clock=loop.clock), policy).acall(inner))


async def block_over(policy: hf.Timeout, loop: VirtualLoop) -> None:
    with pytest.raises(hf.DeadlineExceededError):
        async with policy:
            await asyncio.sleep(9)


async def permit(policy: hf.Timeout, loop: VirtualLoop) -> None:
    pipe = hf.Pipeline("p", policy)
    held = await hf.Timeout(0.5, clock=loop.clock).acall(pipe._apermit)
    held.ignore()
    del held
    await hf.Timeout(0.5, clock=loop.clock).acall(pipe._apermit)


async def policy_dies(policy: hf.Timeout, loop: VirtualLoop) -> None:
    await ended(hf.Timeout(0.5, clock=loop.clock).acall(asyncio.sleep, 9))
    await hf.Timeout(0.5, clock=loop.clock).acall(asyncio.sleep, 0)


KINDS: list[Callable[[hf.Timeout, VirtualLoop], Awaitable[None]]] = [
    in_time,
    over,
    turning,
    cancelled,
    closed,
    dropped,
    nested,
    block_over,
    permit,
    policy_dies,
]


@pytest.mark.parametrize("kind", KINDS)
async def test_no_memory_and_no_reference_is_left_behind(loop, kind):  # trap 59
    policy = hf.Timeout(1, clock=loop.clock)

    async def work() -> None:
        for _ in range(200):
            await kind(policy, loop)

    await work()
    await asyncio.sleep(5)
    gc.collect()
    references = sys.getrefcount(policy), sys.getrefcount(loop), sys.getrefcount(loop.clock)
    for _ in range(10):
        gc.collect()
        before = sys.getallocatedblocks()
        await work()
        await asyncio.sleep(5)
        gc.collect()
        grown = sys.getallocatedblocks() - before
        if grown < 50:
            break
    assert grown < 50
    after = sys.getrefcount(policy), sys.getrefcount(loop), sys.getrefcount(loop.clock)
    assert all(abs(a - b) < 10 for a, b in zip(references, after, strict=True)), (references, after)
    assert loop.pending == 0
    assert gate._limits_in_force() == 0


def test_sync_calls_leave_no_memory_behind(clock):
    policy = hf.Timeout(1, clock=clock)

    def late() -> object:
        clock.advance(2)
        return object()

    def work() -> None:
        for _ in range(400):
            policy.call(int)
            with pytest.raises(hf.DeadlineExceededError):
                policy.call(late)
            with policy:
                policy.call(hf.deadline)

    work()
    assert growth(work) < 50


@pytest.mark.parametrize("manual", [False, True], ids=["loop's timers", "manual clock's"])
def test_hundreds_of_loops_one_after_another_are_not_kept(manual):  # D-C-5
    moved = hf.ManualClock()
    policy = hf.Timeout(60, clock=moved if manual else None)
    loops = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await policy.acall(asyncio.sleep, 0)
        async with policy:
            await asyncio.sleep(0)

    for _ in range(50):
        asyncio.run(main())
    gc.collect()
    assert [loop() for loop in loops if loop() is not None] == []
    assert moved.next_due_ns() is None
    assert policy.snapshot().in_time == 100


def test_a_policy_that_dies_outside_of_its_loop_or_in_another_thread_cancels_its_timer():
    loop = VirtualLoop()
    box = [hf.Timeout(60, clock=loop.clock), hf.Timeout(60, clock=loop.clock)]
    for policy in box:
        loop.run_until_complete(policy.acall(asyncio.sleep, 0))
    del policy
    assert loop.pending == 2
    box.pop()
    assert loop.pending == 1

    async def main() -> None:
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join()
        await turns(2)
        assert loop.pending == 0

    loop.run_until_complete(main())
    box.append(hf.Timeout(60, clock=loop.clock))
    loop.run_until_complete(box[0].acall(asyncio.sleep, 0))
    loop.close()
    box.clear()  # there is nothing to cancel any more


def test_a_timer_that_a_closed_loop_never_rang_is_set_again_in_the_next(clock):
    policy = hf.Timeout(1, clock=clock)
    for _ in range(3):

        async def main() -> None:
            call = asyncio.ensure_future(policy.acall(asyncio.sleep, 10**6))
            await turns(2)
            clock.advance(1)
            assert type(await ended(call)) is hf.DeadlineExceededError
            await policy.acall(asyncio.sleep, 0)  # whose timer the loop takes with it

        asyncio.run(main())
