"""`with` and `async with` a timeout, in threads and in tasks."""

# ruff: noqa: PT012 - blocks are what is tested here

from __future__ import annotations

import asyncio
import gc
import math
import operator
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from random import Random
from typing import Any

import pytest

import holdfast as hf
from tests.policies.timeout.timeouts import counts
from tests.waiting.virtual import ended, turns

pytestmark = pytest.mark.usefixtures("nothing_stays_open")


# ---- blocks in threads ----


def test_a_block_that_ends_late_raises(clock):  # TO-05
    policy = hf.Timeout(1, clock=clock)
    with policy:
        clock.advance(0.5)
    assert counts(policy) == (1, 0, 0, 0)
    with pytest.raises(hf.DeadlineExceededError), policy:
        clock.advance(1)
    assert counts(policy) == (1, 1, 1, 0)
    with pytest.raises(LookupError), policy:
        clock.advance(1)
        raise LookupError
    assert counts(policy) == (1, 2, 1, 0)


def test_what_is_called_in_a_block_has_its_deadline(clock):  # TO-09
    outer, inner = hf.Timeout(3, clock=clock), hf.Timeout(9, clock=clock)
    with pytest.raises(hf.DeadlineExceededError), outer:
        clock.advance(1)
        assert hf.deadline() == 2
        assert inner.call(hf.deadline) == 2
        with inner:
            assert hf.deadline() == 2
        with hf.Timeout(1, clock=clock):
            assert hf.deadline() == 1
        hf.check_deadline()
        clock.advance(2)
        assert hf.deadline() == 0.0
        with pytest.raises(hf.DeadlineExceededError):
            inner.call(int)
        with pytest.raises(hf.DeadlineExceededError), inner:
            raise AssertionError("was entered")
        hf.check_deadline()
    assert counts(outer) == (0, 1, 0, 0)
    assert counts(inner) == (2, 0, 0, 2)


def test_the_same_policy_in_itself_and_by_hand(clock):
    policy = hf.Timeout(3, clock=clock)
    with policy:
        clock.advance(1)
        with policy:
            assert hf.deadline() == 2
        assert hf.deadline() == 2
    policy.__enter__()
    assert hf.deadline() == 3
    policy.__exit__(None, None, None)
    with ExitStack() as stack:
        stack.enter_context(policy)
        assert hf.deadline() == 3
    assert counts(policy) == (4, 0, 0, 0)


def test_a_block_that_nobody_leaves_is_over_when_its_policy_dies(clock):
    policy = hf.Timeout(3, clock=clock)
    policy.__enter__()
    assert hf.deadline() == 3
    del policy
    gc.collect()
    assert hf.deadline() is None


def test_interleaved_generators_leave_their_own_blocks(clock):
    policies = [hf.Timeout(seconds, clock=clock) for seconds in (3, 2)]

    def block(policy: hf.Timeout) -> Iterator[float | None]:
        with policy:
            yield hf.deadline()
            clock.advance(1)
            yield hf.deadline()

    one, two = map(block, policies)
    assert (next(one), next(two)) == (3, 2)  # a block belongs to its thread
    assert next(one) == 1  # with two open, the one that is over first
    one.close()
    assert counts(policies[0]) == (1, 0, 0, 0)
    with pytest.raises(hf.DeadlineExceededError):
        list(two)
    assert counts(policies[1]) == (0, 1, 1, 0)


def test_a_block_of_a_thread_is_no_other_threads(clock):
    policy = hf.Timeout(3, clock=clock)
    seen: list[float | None] = []

    def run_there(fn: Any) -> None:
        thread = threading.Thread(target=fn)
        thread.start()
        thread.join()

    def generator() -> Iterator[None]:
        with policy:
            yield

    half: Any = generator()
    with policy:
        run_there(lambda: seen.append(hf.deadline()))
    # Nor that of a thread that has ended, whose number the next one gets.
    run_there(lambda: next(half))
    for _ in range(5):
        run_there(lambda: seen.append(hf.deadline()))
    seen.append(hf.deadline())
    assert seen == [None] * 7
    half.close()


def test_a_block_that_another_thread_leaves_is_in_force_no_longer(clock):
    def generator(seconds: float) -> Iterator[None]:
        with hf.Timeout(seconds, clock=clock):
            yield

    blocks: list[Any] = [generator(seconds) for seconds in (4, 3, 2)]
    for block, seconds in zip(blocks, (4, 3, 2), strict=True):
        next(block)
        assert hf.deadline() == seconds
    for block, left in ((1, 2), (2, 4), (0, None)):
        thread = threading.Thread(target=blocks[block].close)
        thread.start()
        thread.join()
        blocks[block] = None
        gc.collect()
        assert hf.deadline() == left


def test_a_pipeline_as_a_block_gives_its_deadline_to_all_of_it(clock):  # CB-22
    outer, inner = hf.Timeout(1, clock=clock), hf.Timeout(5, clock=clock)
    breaker = hf.CircuitBreaker("b", clock=clock)
    with pytest.raises(hf.DeadlineExceededError), hf.Pipeline("p", outer, breaker, inner):
        assert hf.deadline() == 1
        clock.advance(2)
    assert breaker.snapshot().failed == 1
    assert (counts(outer), counts(inner)) == ((0, 1, 0, 0), (1, 0, 0, 0))


@pytest.mark.parametrize("policy", [hf.Retry("r"), hf.Fallback(1)])
def test_a_block_cannot_be_run_again(clock, policy):
    pipe = hf.Pipeline("p", hf.Timeout(1, clock=clock), policy)
    with pytest.raises(TypeError, match="cannot run a block again"), pipe:
        raise AssertionError("was entered")


class Blocks:
    """Blocks on two clocks, opened and left in any order, and what their deadlines are to be."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clocks = [hf.ManualClock(auto=False), hf.ManualClock(auto=False)]
        self.open: list[list[Any]] = []
        self.calls: list[tuple[hf.ManualClock, float]] = []

    def around(self) -> tuple[float, hf.ManualClock | None, float]:
        """The least time left of any that is open, and on which clock it ends when."""
        ends = [block[1:] for block in self.open] + self.calls
        left = [(end - clock.now(), clock, end) for clock, end in ends]
        return min(left, default=(math.inf, None, 0), key=operator.itemgetter(0))

    def limit(self) -> tuple[hf.Timeout, hf.ManualClock, float, bool]:
        """A timeout, when on which clock it ends, and whether it is the shortest."""
        clock, seconds = self.random.choice(self.clocks), self.random.randrange(1000, 2000)
        left, its, ends = self.around()
        policy = hf.Timeout(seconds, clock=clock)
        if its is None or seconds < left:
            return policy, clock, clock.now() + seconds, True
        return policy, its, ends, False

    def agree(self) -> None:
        left = self.around()[0]
        assert hf.deadline() == (None if left == math.inf else left)

    def act(self, depth: int = 0) -> None:
        """Open one, leave one, let time pass, or do all that inside of a call."""
        what = self.random.randrange(4)
        if what == 0:
            self.random.choice(self.clocks).advance(self.random.randrange(3))
        elif what == 1 and self.open:
            self.open.pop(self.random.randrange(len(self.open)))[0].__exit__(None, None, None)
        elif what == 2 and depth < 3:
            policy, clock, ends, is_shortest = self.limit()
            self.calls += [(clock, ends)] * is_shortest  # the others have no limit of their own
            policy.call(self.acts, depth + 1)
            del self.calls[len(self.calls) - is_shortest :]
        else:
            *block, _ = self.limit()
            block[0].__enter__()
            self.open.append(block)
        self.agree()

    def acts(self, depth: int) -> None:
        for _ in range(8):
            self.act(depth)


@pytest.mark.parametrize("seed", range(20))
def test_blocks_left_in_any_order_leave_the_shortest_of_the_others(seed):  # TO-09
    blocks = Blocks(seed)
    for _ in range(30):
        blocks.act()
    while blocks.open:
        blocks.open.pop(blocks.random.randrange(len(blocks.open)))[0].__exit__(None, None, None)
        blocks.agree()
    assert hf.deadline() is None


def test_a_block_costs_the_same_however_many_are_open_around_it(clock):
    policy = hf.Timeout(1000, clock=clock)

    def seconds_each(n: int) -> float:
        began = time.thread_time()  # other processes may have the processor meanwhile
        with ExitStack() as stack:
            for _ in range(n):
                stack.enter_context(policy)
        return (time.thread_time() - began) / n

    gc.disable()  # without the GIL, each collection looks at all objects of the process
    try:
        few = min(seconds_each(100) for _ in range(5))
        assert min(seconds_each(30_000) for _ in range(3)) < 12 * few  # it was 40 times as much
    finally:
        gc.enable()


# ---- blocks in tasks ----


async def test_a_task_in_a_block_is_cut_short(loop):  # TO-05, D-TO-3
    policy = hf.Timeout(1, clock=loop.clock)
    with pytest.raises(hf.DeadlineExceededError) as caught:
        async with policy:
            assert hf.deadline() == 1
            await asyncio.sleep(9)
    assert type(caught.value.__cause__) is asyncio.CancelledError
    task = asyncio.current_task()
    assert task is not None
    assert (task.cancelling(), loop.time()) == (0, 1)
    async with policy, AsyncExitStack() as stack:
        await stack.enter_async_context(policy)
        await asyncio.sleep(0.5)
    assert counts(policy) == (2, 1, 0, 0)
    assert loop.pending == 0


async def test_an_exit_stack_leaves_the_block_of_its_own_task(loop):
    policy = hf.Timeout(3, clock=loop.clock)

    async def one(inside: float) -> tuple[object, object]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(policy)
            await asyncio.sleep(inside)
            left = hf.deadline()
        await asyncio.sleep(9)  # outside of it, where nothing cuts
        return left, hf.deadline()

    first, second, third = [loop.create_task(one(inside)) for inside in (5, 1, 2)]
    assert type(await ended(first)) is hf.DeadlineExceededError
    assert await asyncio.gather(second, third) == [(2, None), (1, None)]
    assert counts(policy) == (2, 1, 0, 0)


async def test_a_with_block_in_a_task_is_cooperative_and_the_tasks_own(loop):
    policy = hf.Timeout(1, clock=loop.clock)

    async def other() -> float | None:
        return hf.deadline()

    with pytest.raises(hf.DeadlineExceededError), policy:
        assert await asyncio.create_task(other()) is None
        assert await other() == 1
        await asyncio.sleep(2)
        assert loop.time() == 2
    assert counts(policy) == (0, 1, 1, 0)


def test_outside_of_any_task_there_is_nothing_to_cut_short(clock):
    policy = hf.Timeout(1, clock=clock)

    async def body() -> None:
        async with policy:
            raise AssertionError("was entered")

    with pytest.raises(RuntimeError, match="needs an asyncio task"):
        body().send(None)
    assert counts(policy) == (0, 0, 0, 0)


async def test_an_async_generator_that_is_closed_elsewhere_leaves_its_block(loop):
    policy = hf.Timeout(1, clock=loop.clock)

    async def items() -> AsyncIterator[int]:
        async with policy:
            yield 1
            yield 2

    async def begin(stream: Any) -> None:
        await anext(stream)

    stream: Any = items()
    await asyncio.create_task(begin(stream))
    assert hf.deadline() is None
    await asyncio.create_task(stream.aclose())
    assert counts(policy) == (1, 0, 0, 0)
    await asyncio.create_task(begin(items()))  # closed by the loop
    await turns(5)
    gc.collect()
    await turns(5)
    await asyncio.sleep(5)
    assert counts(policy) == (2, 0, 0, 0)
    assert loop.pending == 0


async def test_a_manual_clock_cuts_a_block_when_it_is_moved(clock):
    policy = hf.Timeout(1, clock=clock)

    async def body() -> None:
        async with policy:
            await asyncio.get_running_loop().create_future()

    task = asyncio.ensure_future(body())
    await turns(2)
    clock.advance(0.5)
    await turns(2)
    assert not task.done()
    thread = threading.Thread(target=clock.advance, args=(0.5,))
    thread.start()
    thread.join()
    assert type(await ended(task)) is hf.DeadlineExceededError


@pytest.mark.parametrize("depth", [1, 2])
async def test_a_block_that_moves_its_clock_and_never_waits_leaves_no_cancellation(clock, depth):
    policies = [hf.Timeout(n + 1, clock=clock) for n in range(depth)]
    policy = hf.Pipeline("both", *policies) if depth == 2 else policies[0]
    async with policy:
        clock.advance(5)
    assert asyncio.current_task().cancelling() == 0
    await turns(2)  # a cancellation that nobody took back would end it
    assert [counts(each) for each in policies] == [(1, 0, 0, 0)] * depth


async def test_a_block_that_moves_its_clock_is_cut_where_it_waits_next(clock):
    policy = hf.Timeout(1, clock=clock)
    with pytest.raises(hf.DeadlineExceededError):
        async with policy:
            clock.advance(5)
            await turns(3)
    assert counts(policy) == (0, 1, 0, 0)
    await turns(2)
