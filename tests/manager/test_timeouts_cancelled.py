"""Cancelling operations of a timeout manager, in threads and in tasks."""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import copy_context

import pytest

import holdfast as hf
from holdfast.errors import OperationCancelledError
from holdfast.manager.timeouts import TimeoutManager
from holdfast.waiting.cancelling import Cancelled
from tests.policies.calls import OutageError
from tests.waiting.parties import LoopParty, Party, auntil, until


@pytest.fixture
def clock():
    """A clock that no wait moves."""
    return hf.ManualClock(auto=False)


@pytest.fixture
def timeouts(clock):
    return TimeoutManager("collector", clock=clock)


def running(timeouts, fn, *args, **options):
    """Run an operation "one" in a thread; return once it runs there."""
    begun = threading.Event()

    def work():
        begun.set()
        return fn(*args)

    party = Party(timeouts.operation("api_call", "one", **options).call, work)
    assert begun.wait(20)
    return party


def waits_in_a_bulkhead(clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=5, max_wait=None, clock=clock)
    bulkhead.enter()
    return lambda: bulkhead.call(pytest.fail), lambda: bulkhead.snapshot().queued == 1


def waits_for_a_token(clock):
    limiter = hf.RateLimiter("l", rate=1, burst=1, max_wait=None, clock=clock)
    limiter.acquire()
    return lambda: limiter.call(pytest.fail), lambda: clock.next_due_ns() is not None


def waits_to_retry(clock):
    retry = hf.Retry("r", attempts=3, backoff=hf.Constant(5), clock=clock)
    calls = []

    def fail():
        calls.append(1)
        raise ConnectionError

    return lambda: retry.call(fail), lambda: calls == [1] and clock.next_due_ns() is not None


def waits_for_a_hedge(clock):
    hedge = hf.Hedge("h", delay=1000, clock=clock)
    release = threading.Event()
    return lambda: hedge.call(release.wait, 20), lambda: clock.next_due_ns() is not None


def waits_for_its_thread(clock):
    timeout = hf.Timeout(5, thread=True, clock=clock)
    release = threading.Event()
    return lambda: timeout.call(release.wait, 20), lambda: clock.next_due_ns() is not None


@pytest.mark.parametrize(
    "wait",
    [
        waits_in_a_bulkhead, waits_for_a_token, waits_to_retry, waits_for_a_hedge,
        waits_for_its_thread,
    ],
)  # fmt: skip
def test_cancelling_ends_every_wait_of_holdfast_in_a_thread(timeouts, clock, wait):
    # TO-04, GEN-04, D-RM-4, D-C-4
    work, is_waiting = wait(clock)
    party = running(timeouts, work)
    until(is_waiting)
    assert timeouts.cancel("one") is True
    with pytest.raises(OperationCancelledError, match="operation 'api_call' was cancelled: 'one'"):
        party.result()
    assert timeouts.active_count == 0
    assert timeouts.snapshot().cancelled == 1


def test_cancelling_ends_a_loop_that_checks(timeouts):
    # TO-04
    def spin():
        while True:
            hf.check_deadline()
            time.sleep(0)

    party = running(timeouts, spin)
    timeouts.cancel("one")
    with pytest.raises(OperationCancelledError):
        party.result()


def test_no_time_is_left_for_what_is_cancelled(timeouts, clock):
    def work():
        operation = timeouts.get("one")
        assert (hf.deadline(), operation.remaining) == (30, 30)
        operation.cancel()
        assert (hf.deadline(), operation.remaining) == (0, 0)
        assert operation.cancelled
        operation.check()

    with pytest.raises(OperationCancelledError) as caught:
        timeouts.operation("api_call", "one").call(work)
    assert isinstance(caught.value.__cause__, Cancelled)
    assert (caught.value.operation, caught.value.operation_id) == ("api_call", "one")
    assert hf.deadline() is None


def test_a_cancelled_operation_that_comes_to_its_end_keeps_its_result(timeouts):
    def work():
        timeouts.cancel("one")
        return "done"

    assert timeouts.operation("api_call", "one").call(work) == "done"

    def fail():
        timeouts.cancel("one")
        raise OutageError

    with pytest.raises(OutageError):
        timeouts.operation("api_call", "one").call(fail)


def test_no_policy_counts_or_repeats_what_was_cancelled(timeouts, clock):
    # D-RM-8: cancelled calls are no failures
    breaker = hf.CircuitBreaker("b", failure_threshold=1, clock=clock)
    retry = hf.Retry("r", attempts=3, on=(Exception,), clock=clock)
    calls = []

    def work():
        calls.append(1)
        timeouts.cancel("one")
        try:
            hf.check_deadline()
        except Exception:
            pytest.fail("it is no Exception")

    operation = timeouts.operation("api_call", "one")
    with pytest.raises(OperationCancelledError):
        operation.call(hf.Pipeline("p", hf.Fallback("cached"), retry, breaker).call, work)
    assert calls == [1]
    assert breaker.state is hf.State.CLOSED
    assert breaker.snapshot().consecutive_failures == 0


def cancel_twice(timeouts, one):
    assert timeouts.cancel("one") is True
    assert timeouts.cancel("one") is False
    assert one.cancel() is False
    hf.check_deadline()


def test_cancelling_twice_or_what_is_not_active_does_nothing(timeouts):
    assert timeouts.cancel("one") is False
    with pytest.raises(OperationCancelledError), timeouts.operation("api_call", "one") as one:
        cancel_twice(timeouts, one)
    assert one.cancel() is False
    assert timeouts.snapshot().cancelled == 1


def test_all_operations_can_be_cancelled_at_once(timeouts):
    # TO-04
    by_hand = [timeouts.begin("backfill") for _ in range(3)]
    party = running(
        timeouts, hf.Retry("r", backoff=hf.Constant(1), clock=timeouts._clock).call, fail
    )
    assert timeouts.cancel_all() == 4
    with pytest.raises(OperationCancelledError):
        party.result()
    assert timeouts.active_count == 0
    assert [one.complete() for one in by_hand] == [False] * 3
    with pytest.raises(OperationCancelledError):
        by_hand[0].check()
    assert timeouts.cancel_all() == 0


def fail():
    raise ConnectionError


def test_parts_are_cancelled_with_their_operation_and_it_is_not_with_them(timeouts, clock):
    # TO-04
    outer = timeouts.begin("backfill", "outer")
    part = timeouts.begin("api_call", "part", parent=outer)
    other = timeouts.begin("api_call", "other", parent=outer)
    assert part.cancel()
    assert (outer.cancelled, other.cancelled) == (False, False)
    assert outer.cancel()
    assert other.cancelled
    with pytest.raises(OperationCancelledError, match="'outer'"):
        timeouts.operation("api_call", parent=outer).call(pytest.fail)
    assert timeouts.snapshot().cancelled == 3


def test_a_cancelled_operation_begins_no_part_and_ends_as_one(timeouts):
    ran = []

    def outer():
        for _ in range(3):
            hf.Retry("r", on=(Exception,), clock=timeouts._clock).call(
                timeouts.operation("api_call").call, inner
            )

    def inner():
        ran.append(1)
        timeouts.cancel("outer")
        hf.check_deadline()

    with pytest.raises(OperationCancelledError, match="'outer'"):
        timeouts.operation("backfill", "outer").call(outer)
    assert ran == [1]


def test_what_a_cancelled_operation_has_left_behind_goes_on(timeouts):
    # its context outlives it: threads, callbacks
    contexts = []

    def work():
        contexts.append(copy_context())
        timeouts.cancel_all()
        hf.check_deadline()

    with pytest.raises(OperationCancelledError):
        timeouts.execute("api_call", work)
    context = contexts.pop()
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_wait=1.0, max_waiting=1)
    assert context.run(timeouts.execute, "api_call", len, "") == 0
    assert context.run(bulkhead.call, len, "") == 0
    context.run(hf.check_deadline)


def test_of_those_who_complete_and_cancel_one_alone_ends_an_operation():
    timeouts = TimeoutManager()
    for n in range(300):
        operation = timeouts.begin("api_call", f"a{n}")
        barrier = threading.Barrier(3)

        def end(how, barrier=barrier):
            barrier.wait()
            return how()

        parties = [Party(end, operation.complete) for _ in range(2)]
        parties.append(Party(end, operation.cancel))
        ended = [party.result() for party in parties]
        assert ended[:2].count(True) + operation.cancelled <= 2
        assert not operation.active
    shown = timeouts.snapshot()
    assert (shown.active, shown.started) == (0, 300)
    assert timeouts._types["api_call"].policy._settled_twice == 0


# ---- in tasks ----


async def test_cancelling_ends_what_a_task_waits_for():
    # TO-04
    timeouts = TimeoutManager()
    task = asyncio.create_task(timeouts.operation("api_call", "one").acall(asyncio.sleep, 1000))
    await auntil(lambda: timeouts.active_count)
    assert timeouts.cancel("one")
    assert timeouts.is_active("one")  # until its code has ended
    with pytest.raises(OperationCancelledError) as caught:
        await task
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert task.cancelling() == 0
    assert timeouts.active_count == 0


async def test_a_task_goes_on_after_its_cancelled_operation():
    timeouts = TimeoutManager()
    asyncio.get_running_loop().call_later(1, timeouts.cancel_all)
    with pytest.raises(OperationCancelledError):
        async with timeouts.operation("api_call"):
            await asyncio.sleep(2)
    await asyncio.sleep(1)
    assert await timeouts.aexecute("api_call", asyncio.sleep, 0, "done") == "done"


async def test_cancelling_a_task_itself_remains_a_cancellation():
    # RT-07: the caller's own cancellation is no timeout and no OperationCancelledError
    timeouts = TimeoutManager()
    task = asyncio.create_task(timeouts.aexecute("api_call", asyncio.sleep, 1000))
    await auntil(lambda: timeouts.active_count)
    timeouts.cancel_all()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert timeouts.active_count == 0


async def test_an_operation_that_cancels_itself_ends_where_it_next_waits():
    timeouts = TimeoutManager()

    async def work(waits):
        timeouts.cancel_all()
        if waits:
            await asyncio.sleep(1)
        return "done"

    with pytest.raises(OperationCancelledError):
        await timeouts.aexecute("api_call", work, True)
    assert await timeouts.aexecute("api_call", work, False) == "done"
    await asyncio.sleep(1)  # and no later wait is ended


async def test_a_task_that_checks_ends_there_and_no_later_wait_is_ended():
    timeouts = TimeoutManager()

    async def work():
        timeouts.cancel_all()
        hf.check_deadline()

    for _ in range(2):
        with pytest.raises(OperationCancelledError):
            await timeouts.aexecute("api_call", work)
        with pytest.raises(OperationCancelledError):
            async with timeouts.operation("api_call"):
                await work()
    await asyncio.sleep(1)
    assert asyncio.current_task().cancelling() == 0
    assert timeouts.active_count == 0


async def test_of_nested_operations_the_cancelled_one_raises():
    timeouts = TimeoutManager()
    loop = asyncio.get_running_loop()
    loop.call_later(1, timeouts.cancel, "inner")
    async with timeouts.operation("backfill", "outer"):
        with pytest.raises(OperationCancelledError, match="'inner'"):
            async with timeouts.operation("api_call", "inner"):
                await asyncio.sleep(2)
        await asyncio.sleep(1)
    loop.call_later(1, timeouts.cancel, "outer")
    outer, inner = timeouts.operation("backfill", "outer"), timeouts.operation("api_call", "inner")
    with pytest.raises(OperationCancelledError, match="'outer'"):
        await outer.acall(inner.acall, asyncio.sleep, 2)
    assert asyncio.current_task().cancelling() == 0


async def test_of_a_deadline_and_a_cancellation_the_first_counts(loop):
    timeouts = TimeoutManager(timeouts={"api_call": 2}, clock=loop.clock)
    for after, error in ((1, OperationCancelledError), (3, hf.DeadlineExceededError)):
        cancel = loop.call_later(after, timeouts.cancel_all)
        with pytest.raises(error):
            await timeouts.aexecute("api_call", asyncio.sleep, 10)
        cancel.cancel()
    assert asyncio.current_task().cancelling() == 0


def test_tasks_are_cancelled_from_another_thread():
    # TO-04, D-C-5
    timeouts = TimeoutManager()
    party = LoopParty()
    try:
        futures = [
            party.spawn(timeouts.operation("api_call", f"a{n}").acall(asyncio.sleep, 1000))
            for n in range(20)
        ]
        until(lambda: timeouts.active_count == 20)
        assert timeouts.cancel("a7")
        with pytest.raises(OperationCancelledError, match="'a7'"):
            futures[7].result(20)
        assert timeouts.cancel_all() == 19
        for n in range(19):
            with pytest.raises(OperationCancelledError):
                futures[n if n < 7 else n + 1].result(20)
        assert timeouts.active_count == 0
    finally:
        party.kill()


async def test_the_waits_of_policies_in_a_task_end_and_give_back_what_they_hold():
    timeouts = TimeoutManager()
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=5, max_wait=None)
    await bulkhead.aenter()
    tasks = [asyncio.create_task(timeouts.aexecute("a", bulkhead.acall, asyncio.sleep, 0))
             for _ in range(3)]  # fmt: skip
    await auntil(lambda: bulkhead.snapshot().queued == 3)
    timeouts.cancel_all()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in results] == [OperationCancelledError] * 3
    bulkhead.leave()
    assert (bulkhead.snapshot().active, bulkhead.snapshot().queued) == (0, 0)


# ---- the end ----


def test_stopping_cancels_all_and_waits_for_their_code_to_end(timeouts, clock):
    # TO-07, GEN-07
    work, is_waiting = waits_to_retry(clock)
    ended = []

    def runs():
        try:
            work()
        finally:
            ended.append(1)

    party = running(timeouts, runs)
    until(is_waiting)
    assert timeouts.stop() is True
    assert ended == [1]
    with pytest.raises(OperationCancelledError):
        party.result()
    assert timeouts.execute("api_call", len, "") == 0  # and may be used again


def test_stopping_does_not_wait_longer_than_it_may(timeouts):
    release = threading.Event()
    party = running(timeouts, release.wait, 20)
    assert timeouts.stop(timeout=0) is False
    assert timeouts.stop(timeout=0.01) is False
    release.set()
    assert party.result() is True
    assert timeouts.stop() is True


def test_an_operation_may_stop_its_manager(timeouts):
    operation = timeouts.operation("api_call", "one")
    assert operation.call(timeouts.stop) is True
    assert operation.cancelled


async def test_stopping_in_a_task_waits_for_the_other_tasks():
    # TO-07
    timeouts = TimeoutManager()
    tasks = [asyncio.create_task(timeouts.aexecute("a", asyncio.sleep, 1000)) for _ in range(3)]
    await auntil(lambda: timeouts.active_count == 3)
    assert timeouts.stop(timeout=5) is True  # not for tasks, whose loop stands still meanwhile
    assert timeouts.active_count == 3
    assert await timeouts.astop() is True
    assert timeouts.active_count == 0
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(one) for one in results} == {OperationCancelledError}


def test_operations_are_cancelled_while_others_begin_and_each_ends_once(timeouts):
    # D-C-5, D-RM-3
    timeouts = TimeoutManager()
    over = threading.Event()

    def cancel():
        n = 0
        while not over.is_set():
            n += timeouts.cancel_all()
            time.sleep(0)
        return n

    def work():
        ended = {"done": 0, "cancelled": 0}
        retry = hf.Retry(
            "r", attempts=3, backoff=hf.Constant(0.0005), budget=None, clock=hf.SystemClock()
        )
        for _ in range(100):
            try:
                timeouts.execute("a", hf.Fallback("x").call, retry.call, fail)
                ended["done"] += 1
            except OperationCancelledError:
                ended["cancelled"] += 1
        return ended

    canceller = Party(cancel)
    parties = [Party(work) for _ in range(8)]
    ended = [party.result() for party in parties]
    over.set()
    cancelled = canceller.result()
    assert sum(sum(one.values()) for one in ended) == 800
    assert sum(one["cancelled"] for one in ended) <= cancelled == timeouts.snapshot().cancelled
    assert (timeouts.active_count, timeouts.snapshot().started) == (0, 800)
