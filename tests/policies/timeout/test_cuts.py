"""A timeout in asyncio, beyond what ``asyncio.timeout`` does: what is cut, when, and who is told.

Where it differs from ``asyncio.timeout``, on purpose:

* Nothing is armed before the first suspension, so what a task asks of itself before it counts as
  asked before the call: ``task.cancel()`` inside of it, swallowed, does not keep it from being cut.
* ``asyncio.timeout`` of 3.13 and later also puts a TimeoutError into the context of what the call
  raises instead of being cancelled; here that is left as it is.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Generator
from typing import Any

import pytest

import holdfast as hf
from tests.policies.timeout.bounded_world import Odd
from tests.policies.timeout.timeouts import counts
from tests.waiting.virtual import VirtualLoop, ended, run, turns


@types.coroutine
def bare() -> Generator[None, Any, Any]:
    """Suspend on nothing, as ``asyncio.sleep(0)`` does."""
    return (yield)


async def test_what_is_raised_says_how_long_it_was_allowed_and_what_cut_it(
    loop,
):  # TO-01, TO-05, trap 51
    policy = hf.Timeout(1, name="network", clock=loop.clock)
    error = await ended(policy.acall(asyncio.sleep, 2))
    assert type(error) is hf.DeadlineExceededError
    assert str(error) == "timed out after 1 s, timeout 'network'"
    assert type(error.__cause__) is asyncio.CancelledError
    assert loop.time() == 1
    assert counts(policy) == (0, 1, 0, 0)


async def test_each_call_is_counted_once_by_how_it_ended(loop):  # TO-10
    policy = hf.Timeout(1, clock=loop.clock)

    async def stubborn() -> str:
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            return "all the same"
        return "never"

    await policy.acall(asyncio.sleep, 0.5)
    assert counts(policy) == (1, 0, 0, 0)
    await ended(policy.acall(asyncio.sleep, 5))
    assert counts(policy) == (1, 1, 0, 0)
    assert await policy.acall(stubborn) == "all the same"  # and keeps its result, as in asyncio
    assert counts(policy) == (2, 1, 0, 0)
    task = asyncio.ensure_future(policy.acall(asyncio.sleep, 5))
    await turns(2)
    task.cancel()
    assert type(await ended(task)) is asyncio.CancelledError  # D-TO-3: not a timeout
    assert counts(policy) == (3, 1, 0, 0)
    assert policy.snapshot().timeout_rate == 0.25


async def test_an_answer_that_came_in_the_same_tick_is_cut_where_it_is_awaited(loop):
    policy = hf.Timeout(1, clock=loop.clock)
    seen: list[object] = []

    async def body() -> None:
        try:
            seen.append(await asyncio.sleep(1, "in time"))
        except asyncio.CancelledError:
            seen.append("cut")
            await asyncio.sleep(5)  # and not once more in its clean-up
            seen.append("cleaned up")
            raise

    assert type(await ended(policy.acall(body))) is hf.DeadlineExceededError
    assert (seen, loop.time()) == (["cut", "cleaned up"], 6)


@pytest.mark.parametrize("way", ["calls", "pipeline", "blocks"])
async def test_two_that_are_late_together_cut_once(loop, way):
    outer, inner = (hf.Timeout(seconds, clock=loop.clock) for seconds in (2, 1))
    seen: list[object] = []

    async def body() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop.call_soon(loop.clock.advance_ns, 3 * 10**9)  # the loop is busy elsewhere
        try:
            await asyncio.sleep(9)
        except asyncio.CancelledError:
            seen.append(task.cancelling())
            await asyncio.sleep(5)
            seen.append("cleaned up")
            raise

    async def in_blocks() -> None:
        async with outer, inner:
            await body()

    call: Any = {
        "calls": lambda: outer.acall(inner.acall, body),
        "pipeline": lambda: hf.Pipeline("p", outer, inner).acall(body),
        "blocks": in_blocks,
    }[way]()
    assert type(await ended(call)) is hf.DeadlineExceededError
    assert (seen, loop.time()) == ([2, "cleaned up"], 8)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_group_of_tasks_inside_of_it_ends_as_its_cut_says(loop):
    policy = hf.Timeout(1, clock=loop.clock)
    ends: list[object] = []

    async def child() -> None:
        ends.append(type(await ended(asyncio.sleep(9))))
        raise LookupError  # in its clean-up

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    error = await ended(policy.acall(body))
    assert type(error) is ExceptionGroup
    assert ends == [asyncio.CancelledError]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_call_that_moves_time_itself_is_cut_when_it_waits(clock):
    # A manual clock rings in whoever moves it, which may be the call.
    policy = hf.Timeout(1, clock=clock)

    async def body() -> str:
        await asyncio.sleep(0)
        clock.advance(2)
        await asyncio.sleep(0)
        return "went on"

    assert type(await ended(policy.acall(body))) is hf.DeadlineExceededError
    assert counts(policy) == (0, 1, 0, 0)


async def test_what_cannot_be_cancelled_is_waited_for_and_then_cut(loop):
    policy = hf.Timeout(1, clock=loop.clock)

    async def body() -> None:
        await Odd(loop, 3)
        raise AssertionError("went on")

    assert type(await ended(policy.acall(body))) is hf.DeadlineExceededError
    assert loop.time() == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_cancel_that_raises_does_not_keep_the_call(loop):
    class Broken(asyncio.Future):
        def cancel(self, msg: object = None) -> bool:
            raise LookupError("cannot")

    policy = hf.Timeout(1, clock=loop.clock)
    future = Broken(loop=loop)
    loop.call_later(2, future.set_result, None)

    async def body() -> None:
        await future

    assert type(await ended(policy.acall(body))) is hf.DeadlineExceededError
    assert loop.time() == 2


def test_who_is_cancelled_may_end_the_call_then_and_there():
    # A future whose cancel() closes the call it is awaited by: its alarms are no more.
    class Closing(asyncio.Future):
        def cancel(self, msg: object = None) -> bool:
            call.close()
            return True

    async def main(loop: VirtualLoop) -> None:
        nonlocal call
        policy = hf.Timeout(1, clock=loop.clock)
        future = Closing(loop=loop)

        async def body() -> None:
            await future

        call = policy.acall(body)
        call.send(None)
        await asyncio.sleep(2)
        assert counts(policy) == (0, 0, 0, 0)
        super(Closing, future).cancel()

    call: Any = None
    run(main)


def test_driven_by_hand_it_is_cooperative(clock):
    policy = hf.Timeout(1, clock=clock)

    async def body() -> str:
        await bare()
        return "late"

    call = policy.acall(body)
    call.send(None)
    clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError):
        call.send(None)
    assert counts(policy) == (0, 1, 1, 0)


async def test_driven_by_hand_in_a_running_loop_outside_of_any_task(loop):
    def drive(call: Any) -> object:
        try:
            return call.throw(asyncio.CancelledError())
        except BaseException as error:
            return error

    policy = hf.Timeout(1, clock=loop.clock)
    done = loop.create_future()

    async def body() -> None:
        await loop.create_future()

    def begin() -> None:
        call = policy.acall(body)
        future = call.send(None)
        future.add_done_callback(lambda _: done.set_result(drive(call)))

    loop.call_soon(begin)
    assert type(await done) is hf.DeadlineExceededError
    assert loop.time() == 1


async def test_each_attempt_is_told_from_cancellations_of_its_own_time(loop):  # RT-06, trap 51
    # asyncio.timeout counts from where it is entered: what the first attempt swallowed is past.
    attempt = hf.Timeout(1, clock=loop.clock)
    retry = hf.Retry("r", attempts=2, on=Exception, backoff=hf.Constant(0), clock=loop.clock)
    pipe = hf.Pipeline("p", retry, attempt)
    attempts = 0

    async def body() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            try:
                await asyncio.sleep(0.9)
            except asyncio.CancelledError:
                raise LookupError from None
        await asyncio.sleep(5)

    task = asyncio.ensure_future(pipe.acall(body))
    loop.call_later(0.5, task.cancel)
    error = await ended(task)
    assert type(error) is hf.DeadlineExceededError
    assert (attempts, loop.time()) == (2, 1.5)


async def test_what_a_task_asks_of_itself_before_the_first_wait_counts_as_asked_before(loop):
    policy = hf.Timeout(1, clock=loop.clock)

    async def body() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        await asyncio.sleep(5)

    assert type(await ended(asyncio.ensure_future(policy.acall(body)))) is (
        hf.DeadlineExceededError
    )


async def test_cut_while_it_waits_for_a_place_it_says_so_and_counts(loop):  # trap 42, trap 51
    policy = hf.Timeout(1, clock=loop.clock)
    breaker = hf.CircuitBreaker("c", clock=loop.clock)
    for bulkhead_clock in (hf.ManualClock(auto=False), loop.clock):  # who ends the wait first
        bulkhead = hf.Bulkhead(
            "b", max_concurrent=1, max_waiting=9, max_wait=None, clock=bulkhead_clock
        )
        pipe = hf.Pipeline("p", policy, breaker, bulkhead)
        expired = policy.snapshot().expired
        with bulkhead:
            assert type(await ended(pipe.acall(asyncio.sleep, 0))) is hf.DeadlineExceededError
            assert policy.snapshot().expired == expired + 1
            task = asyncio.ensure_future(pipe.acall(asyncio.sleep, 0))
            loop.call_later(0.5, task.cancel)
            assert type(await ended(task)) is asyncio.CancelledError
        assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)
    assert policy.snapshot().in_time == 0  # none has run
    assert breaker.snapshot().admitted == breaker.snapshot().in_flight == 0


async def test_cut_while_it_pauses_before_a_retry_it_says_so(loop):  # trap 50
    slow = hf.ManualClock(auto=False)
    policy = hf.Timeout(1, clock=loop.clock)
    retry = hf.Retry("r", on=Exception, backoff=hf.Constant(0.5), clock=slow)
    pipe = hf.Pipeline("p", policy, retry)

    async def body() -> None:
        raise LookupError

    assert type(await ended(pipe.acall(body))) is hf.DeadlineExceededError
    assert retry.snapshot().gave_up["cancelled"] == 1
    assert counts(policy) == (0, 1, 0, 0)


async def test_a_block_and_a_permit_wait_no_longer_than_they_may_take(loop):  # trap 42
    policy, longer = hf.Timeout(1, clock=loop.clock), hf.Timeout(9, clock=loop.clock)
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=9, max_wait=None, clock=loop.clock)
    pipe = hf.Pipeline("p", policy, longer, bulkhead)

    async def block() -> None:
        async with pipe:
            raise AssertionError("was entered")

    with bulkhead:
        assert type(await ended(block())) is hf.DeadlineExceededError
        assert loop.time() == 1
        assert type(await ended(pipe._apermit())) is hf.DeadlineExceededError
        assert loop.time() == 2
        assert hf.deadline() is None
    assert bulkhead.try_enter()
    loop.call_later(0.5, bulkhead.leave)
    (await pipe._apermit()).success()
    assert (loop.time(), bulkhead.in_flight, hf.deadline()) == (2.5, 0, None)


def test_a_block_of_a_thread_waits_no_longer_than_it_may_take(clock):  # trap 42
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=9, max_wait=None, clock=clock)
    pipe = hf.Pipeline("p", hf.Timeout(1, clock=clock), bulkhead)
    with bulkhead:
        with pytest.raises(hf.DeadlineExceededError), pipe:
            raise AssertionError("was entered")
        with pytest.raises(hf.DeadlineExceededError):
            pipe.acquire()
        assert (clock.now(), hf.deadline()) == (2, None)
    with pipe:
        pass
