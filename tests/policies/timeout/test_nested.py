"""Timeouts in timeouts, in asyncio: whose time is over first, and who does not inherit a deadline.

Where it differs from ``asyncio.timeout``, on purpose:

* Two that are over in the same tick, one in another: the inner one raises its
  ``DeadlineExceededError`` and the outer one lets it pass. Under ``asyncio.timeout`` the inner one
  lets the cancellation pass and the outer one converts it.
* A deadline that has passed stays in force for a call that has swallowed its cut: an inner timeout
  that begins then is refused.
"""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

import holdfast as hf
from tests.policies.timeout.timeouts import counts
from tests.waiting.clock_loop import asleep_ns
from tests.waiting.clock_loop import run as run_by
from tests.waiting.virtual import VirtualLoop, ended, turns


async def test_in_a_pipeline_the_inner_one_says_that_the_outer_one_has_cut_it(loop):  # CB-22
    outer = hf.Timeout(1, name="outer", clock=loop.clock)
    inner = hf.Timeout(5, name="inner", clock=loop.clock)
    breaker = hf.CircuitBreaker("b", clock=loop.clock)
    pipe = hf.Pipeline("p", outer, breaker, inner)
    error = await ended(pipe.acall(asyncio.sleep, 9))
    assert "'outer'" in str(error)
    assert breaker.snapshot().failed == 1  # the breaker between them has seen it
    assert counts(outer) == (0, 1, 0, 0)
    assert counts(inner) == (1, 0, 0, 0)  # it has cut nothing
    async with pipe:
        pass
    with pytest.raises(hf.DeadlineExceededError, match="'outer'"):
        async with pipe:
            await asyncio.sleep(9)
    assert breaker.snapshot().failed == 2
    assert (counts(outer), counts(inner)) == ((1, 2, 0, 0), (3, 0, 0, 0))


async def test_an_enclosing_deadline_that_has_passed_refuses_the_call(loop):  # GEN-04, D-CB-4
    outer, inner = (hf.Timeout(1, clock=loop.clock) for _ in range(2))
    ran = []

    async def body() -> None:
        loop.clock.advance_ns(2 * 10**9)
        ran.append(await ended(inner.acall(asyncio.sleep, 0)))

    await outer.acall(body)
    assert [type(error) for error in ran] == [hf.DeadlineExceededError]
    assert counts(inner) == (0, 0, 0, 1)


async def test_two_that_are_over_in_the_same_tick_and_what_comes_between_is_cut_too(loop):
    outer, inner = hf.Timeout(2, clock=loop.clock), hf.Timeout(1, clock=loop.clock)

    async def between() -> None:
        with pytest.raises(hf.DeadlineExceededError):
            await inner.acall(asyncio.sleep, 9)
        await asyncio.sleep(9)

    call = asyncio.ensure_future(outer.acall(between))
    await turns(2)
    loop.clock.advance_ns(3 * 10**9)  # the loop was busy elsewhere
    assert type(await ended(call)) is hf.DeadlineExceededError
    assert loop.time() == 3
    assert (counts(outer), counts(inner)) == ((0, 1, 0, 0), (0, 1, 0, 0))


@pytest.mark.parametrize("bounds", [(3, 2, 1), (1, 2, 3), (1, 5, 4), (5, 1, 4)])
@pytest.mark.parametrize("who", ["the loop", "the call", "the call before it waits"])
def test_of_those_that_are_late_together_each_cuts_what_comes_between(bounds, who):
    clock = hf.ManualClock()
    seen: list[object] = []
    timeouts = [hf.Timeout(seconds, clock=clock) for seconds in bounds]

    async def body() -> None:
        if who != "the call before it waits":
            await asleep_ns(clock, 1)
        if who == "the loop":
            asyncio.get_running_loop().call_soon(clock.advance_ns, 9 * 10**9)
        else:
            clock.advance_ns(9 * 10**9)
        await asleep_ns(clock, 10**9)
        seen.append("not cut")

    async def through(depth: int) -> None:
        if depth == len(timeouts):
            await body()
            return
        seen.append(type(await ended(timeouts[depth].acall(through, depth + 1))))
        await asleep_ns(clock, 10**9)
        seen.append("not cut")

    async def main() -> int:
        await through(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert run_by(clock, main()) == 0
    assert seen == [*[hf.DeadlineExceededError] * 3, "not cut"]
    assert clock.now() == pytest.approx(10)


def test_all_that_are_late_together_in_a_pipeline_name_the_outermost():
    clock = hf.ManualClock()
    outer, inner = (hf.Timeout(n, name=name, clock=clock) for n, name in ((1, "a"), (2, "b")))

    async def body() -> None:
        await asleep_ns(clock, 1)
        clock.advance_ns(9 * 10**9)
        await asleep_ns(clock, 1)

    error = run_by(clock, ended(hf.Pipeline("p", outer, inner).acall(body)))
    assert "'a'" in str(error)
    assert (counts(outer), counts(inner)) == ((0, 1, 0, 0), (1, 0, 0, 0))


@pytest.mark.parametrize("seed", range(5))
async def test_resized_at_random_every_call_ends_at_its_own_deadline_or_by_itself(
    loop, seed
):  # D-CB-5
    policy, random = hf.Timeout(5, clock=loop.clock), Random(seed)

    async def one(seconds: int, lasts: int) -> None:
        begun = loop.time()
        await ended(policy.acall(asyncio.sleep, lasts))
        assert loop.time() == begun + min(seconds, lasts)

    tasks = []
    for _ in range(100):
        seconds, lasts = random.sample(range(1, 50), 2)
        policy.resize(seconds)
        tasks.append(asyncio.ensure_future(one(seconds, lasts)))
        await turns(2)
        if random.random() < 0.3:
            await asyncio.sleep(random.randrange(5))
    await asyncio.gather(*tasks)


@pytest.mark.slow  # it compares CPU time
async def test_a_call_costs_the_same_whatever_calls_were_given_more_time_before(loop):
    async def cost(loop: VirtualLoop, others: int) -> float:
        """The least CPU time of 20 calls, suspended once, while so many others have longer."""
        policy, over = hf.Timeout(300, clock=loop.clock), asyncio.Event()
        tasks = [loop.create_task(policy.acall(over.wait)) for _ in range(others)]
        await turns(2)
        policy.resize(30)
        times = []
        for _ in range(5):
            start = time.thread_time()
            for _ in range(20):
                await policy.acall(asyncio.sleep, 0)
            times.append(time.thread_time() - start)
        over.set()
        await asyncio.gather(*tasks)
        return min(times)

    assert await cost(loop, 4_000) < 8 * await cost(loop, 5)


async def test_different_clocks_in_one_pipeline(loop, clock):
    slow = hf.ManualClock(start=1000)
    outer, inner = hf.Timeout(10, clock=slow), hf.Timeout(1, clock=loop.clock)
    pipe = hf.Pipeline("p", outer, inner)
    assert type(await ended(pipe.acall(asyncio.sleep, 9))) is hf.DeadlineExceededError
    assert loop.time() == 1
    assert (counts(outer), counts(inner)) == ((1, 0, 0, 0), (0, 1, 0, 0))
    call = asyncio.ensure_future(pipe.acall(asyncio.sleep, 0.5))
    await turns(2)
    slow.advance(11)
    assert type(await ended(call)) is hf.DeadlineExceededError
    assert counts(outer) == (1, 1, 0, 0)
    assert counts(inner) == (1, 1, 0, 0)
