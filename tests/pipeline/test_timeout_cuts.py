"""A timeout in asyncio, beyond what ``asyncio.timeout`` does: alarms, counts, and odd company.

Where it differs from ``asyncio.timeout``, on purpose:

* It cancels what the call waits for, not the task. A result that came in the same tick is
  delivered; the call is cut when it waits again. ``asyncio.timeout`` drops it.
* Nothing is armed before the first suspension, so what a task asks of itself before it counts as
  asked before the call: ``task.cancel()`` inside of it, swallowed, does not keep it from being cut.
* Two that are over in the same tick, one in another: the inner one raises its
  ``DeadlineExceededError`` and the outer one lets it pass. Under ``asyncio.timeout`` the inner one
  lets the cancellation pass and the outer one converts it.
* A deadline that has passed stays in force for a call that has swallowed its cut: an inner timeout
  that begins then is refused, and one that was to be over later does not cut once more.
* ``asyncio.timeout`` of 3.13 and later also puts a TimeoutError into the context of what the call
  raises instead of being cancelled; here that is left as it is.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import types
import weakref
from collections.abc import Generator
from typing import Any

import pytest

import holdfast as hf
from tests.pipeline.bounded_scenes import Odd
from tests.pipeline.virtual import VirtualLoop, ended, run, turns


def counts(policy: hf.Timeout) -> tuple[int, int, int, int]:
    snapshot = policy.snapshot()
    return snapshot.in_time, snapshot.expired, snapshot.late, snapshot.refused


@types.coroutine
def bare() -> Generator[None, Any, Any]:
    """Suspend on nothing, as ``asyncio.sleep(0)`` does."""
    return (yield)


# ---- what is raised ----


def test_what_is_raised_says_how_long_it_was_allowed_and_what_cut_it():  # TO-01, TO-05, trap 51
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(1, name="network", clock=loop.clock)
        error = await ended(policy.acall(asyncio.sleep, 2))
        assert type(error) is hf.DeadlineExceededError
        assert str(error) == "operation timeout: longer than 1 s, timeout 'network'"
        assert type(error.__cause__) is asyncio.CancelledError
        assert loop.time() == 1
        assert counts(policy) == (0, 1, 0, 0)

    run(main)


def test_each_call_is_counted_once_by_how_it_ended():  # TO-10
    async def main(loop: VirtualLoop) -> None:
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

    run(main)


# ---- at the very deadline ----


def test_a_result_that_came_in_the_same_tick_is_kept():
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(1, clock=loop.clock)
        assert await policy.acall(asyncio.sleep, 1, "in time") == "in time"

    run(main)


def test_a_call_that_waits_again_after_such_a_result_is_cut_then():
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(1, clock=loop.clock)
        seen = []

        async def body() -> None:
            seen.append(await asyncio.sleep(1, "in time"))
            await asyncio.sleep(1)

        assert type(await ended(policy.acall(body))) is hf.DeadlineExceededError
        assert (seen, loop.time()) == (["in time"], 1)
        for wait in (bare, lambda: Odd(loop, 0.5)):  # nor can these be cancelled

            async def other(wait: Any = wait) -> None:
                await asyncio.sleep(1)
                await wait()
                raise AssertionError("went on")

            assert type(await ended(policy.acall(other))) is hf.DeadlineExceededError

    run(main)


def test_a_call_that_moves_time_itself_is_cut_when_it_waits(clock):
    # A manual clock rings in whoever moves it, which may be the call.
    policy = hf.Timeout(1, clock=clock)

    async def body() -> str:
        await asyncio.sleep(0)
        clock.advance(2)
        await asyncio.sleep(0)
        return "went on"

    async def main() -> None:
        assert type(await ended(policy.acall(body))) is hf.DeadlineExceededError

    asyncio.run(main())
    assert counts(policy) == (0, 1, 0, 0)


# ---- odd company ----


def test_what_cannot_be_cancelled_is_waited_for_and_then_cut():
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(1, clock=loop.clock)

        async def body() -> None:
            await Odd(loop, 3)
            raise AssertionError("went on")

        assert type(await ended(policy.acall(body))) is hf.DeadlineExceededError
        assert loop.time() == 3

    run(main)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cancel_that_raises_does_not_keep_the_call():
    class Broken(asyncio.Future):
        def cancel(self, msg: object = None) -> bool:
            raise LookupError("cannot")

    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(1, clock=loop.clock)
        future = Broken(loop=loop)
        loop.call_later(2, future.set_result, None)

        async def body() -> None:
            await future

        assert type(await ended(policy.acall(body))) is hf.DeadlineExceededError
        assert loop.time() == 2

    run(main)


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


def test_driven_by_hand_in_a_running_loop_outside_of_any_task():
    async def main(loop: VirtualLoop) -> None:
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

    def drive(call: Any) -> object:
        try:
            return call.throw(asyncio.CancelledError())
        except BaseException as error:
            return error

    run(main)


# ---- who asked the task to end ----


def test_each_attempt_is_told_from_cancellations_of_its_own_time():  # RT-06, trap 51
    # asyncio.timeout counts from where it is entered: what the first attempt swallowed is past.
    async def main(loop: VirtualLoop) -> None:
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

    run(main)


def test_what_a_task_asks_of_itself_before_the_first_wait_counts_as_asked_before():
    async def main(loop: VirtualLoop) -> None:
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

    run(main)


# ---- one in another ----


def test_in_a_pipeline_the_inner_one_says_that_the_outer_one_has_cut_it():  # CB-22
    async def main(loop: VirtualLoop) -> None:
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

    run(main)


def test_an_enclosing_deadline_that_has_passed_refuses_the_call():  # GEN-04, D-CB-4
    async def main(loop: VirtualLoop) -> None:
        outer, inner = (hf.Timeout(1, clock=loop.clock) for _ in range(2))
        ran = []

        async def body() -> None:
            loop.clock.advance_ns(2 * 10**9)
            ran.append(await ended(inner.acall(asyncio.sleep, 0)))

        await outer.acall(body)
        assert [type(error) for error in ran] == [hf.DeadlineExceededError]
        assert counts(inner) == (0, 0, 0, 1)

    run(main)


def test_two_that_are_over_in_the_same_tick_and_what_comes_between_is_cut_too():
    async def main(loop: VirtualLoop) -> None:
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

    run(main)


def test_resized_while_calls_are_under_way_each_keeps_the_deadline_it_began_with():  # D-CB-5
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(5, clock=loop.clock)
        ends = []

        async def one() -> None:
            await ended(policy.acall(asyncio.sleep, 9))
            ends.append(loop.time())

        tasks = []
        for seconds in (5, 1, 3, 2, 4):  # so the queue is not in the order they came
            policy.resize(seconds)
            tasks.append(asyncio.ensure_future(one()))
            await turns(2)
        assert policy.duration == 4
        await asyncio.gather(*tasks)
        assert ends == [1, 2, 3, 4, 5]
        with pytest.raises(hf.ConfigError, match=r"^Timeout: duration: got 0, allowed"):
            policy.resize(0)

    run(main)


def test_different_clocks_in_one_pipeline(clock):
    async def main(loop: VirtualLoop) -> None:
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

    run(main)


# ---- alarms of what is gone ----


@pytest.mark.parametrize("how", ["closed", "thrown into", "dropped"])
def test_the_alarm_of_a_call_that_ends_otherwise_is_cleared(how: str):  # trap 52, D-CB-5
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(1, clock=loop.clock)
        future = loop.create_future()

        async def body() -> None:
            await future

        call: Any = policy.acall(body)
        call.send(None)
        if how == "closed":
            call.close()
        elif how == "thrown into":
            with pytest.raises(LookupError):
                call.throw(LookupError())
        call = None
        gc.collect()
        await asyncio.sleep(2)
        assert not future.cancelled()
        assert policy.snapshot().expired == 0

    run(main)


def test_a_call_that_dies_is_not_cut_as_it_dies(clock):
    # Its clean-up moves the clock: the alarm would ring for what is half gone.
    policy = hf.Timeout(1, clock=clock)
    closed = []

    async def body() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            clock.advance(5)
            closed.append(True)

    async def main() -> None:
        call: Any = policy.acall(body)
        call.send(None)
        del call
        assert closed == [True]
        await turns(3)

    asyncio.run(main())
    assert policy.snapshot().expired == 0


def test_a_task_that_is_given_up_in_the_middle_is_collected(clock):
    # The loop is closed under it: what it waited for and its alarms are a circle with it.
    for suspended in ("call", "block"):
        policy = hf.Timeout(1, clock=clock)

        async def block(policy: hf.Timeout = policy) -> None:
            async with policy:
                await asyncio.get_running_loop().create_future()

        async def wait() -> None:
            await asyncio.get_running_loop().create_future()

        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        task = loop.create_task(block() if suspended == "block" else policy.acall(wait))
        for _ in range(3):
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        gone = [weakref.ref(task), weakref.ref(loop)]
        del task, loop
        gc.collect()
        assert [one() for one in gone] == [None, None], suspended
        assert hf.deadline() is None


def test_a_task_is_collected_by_another_thread_while_the_loop_runs():
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(1, clock=loop.clock)
        futures = []

        async def body() -> None:
            future = loop.create_future()
            futures.append(weakref.ref(future))
            await future

        def circle() -> None:
            call = policy.acall(body)
            call.send(None)
            box = [call]
            box.append(box)  # type: ignore[arg-type]

        gc.collect()
        gc.disable()
        try:
            for _ in range(100):
                circle()
            keeps = asyncio.ensure_future(policy.acall(asyncio.sleep, 9))
            await turns(2)
            thread = threading.Thread(target=gc.collect)
            thread.start()
            thread.join()
        finally:
            gc.enable()
        assert all(future() is None for future in futures)
        assert type(await ended(keeps)) is hf.DeadlineExceededError
        assert counts(policy) == (0, 1, 0, 0)

    run(main)


# ---- forks ----


def in_child(check: Any) -> None:
    """Run ``check()`` in a forked child, and look how it ended."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            check()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_while_calls_wait_nothing_rings_in_the_child():  # traps 46, 58
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(1, clock=loop.clock)
        calls: list[Any] = []
        for _ in range(3):
            calls.append(policy.acall(asyncio.sleep, 9))
            calls[-1].send(None)

        def check() -> None:
            calls[0].close()
            del calls[:]
            gc.collect()
            loop.clock.advance_ns(2 * 10**9)
            for timer in list(loop._scheduled):  # type: ignore[attr-defined]
                timer._run()
            assert counts(policy) == (0, 0, 0, 0)
            asyncio._set_running_loop(None)

            async def again(loop: VirtualLoop) -> None:
                mine = hf.Timeout(1, clock=loop.clock)
                for one in (mine, policy):
                    wait = one.acall(asyncio.sleep, 0)
                    await wait

            run(again)
            assert policy.snapshot().in_time == 1

        in_child(check)
        for call in calls:
            call.close()

    run(main)


# ---- eager tasks ----


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_an_eager_task_does_not_inherit_the_deadline_of_who_makes_it():
    async def main(loop: VirtualLoop) -> None:
        outer, inner = hf.Timeout(1, clock=loop.clock), hf.Timeout(3, clock=loop.clock)
        innermost = hf.Timeout(9, clock=loop.clock)
        seen: list[object] = []

        async def child() -> None:
            seen.append(hf.deadline())
            await inner.acall(grandchild)

        async def grandchild() -> object:
            seen.append(hf.deadline())
            seen.append(innermost.call(hf.deadline))
            return await innermost.acall(body)

        async def body() -> None:
            seen.append(hf.deadline())
            await asyncio.sleep(0.5)
            seen.append(hf.deadline())
            await asyncio.sleep(9)

        async def make() -> asyncio.Task[None]:
            task = asyncio.create_task(child())
            seen.append(hf.deadline())
            return task

        task = await outer.acall(make)
        error = await ended(task)
        assert seen == [None, 3, 3, 3, 1, 2.5]
        assert type(error) is hf.DeadlineExceededError
        assert loop.time() == 3

    run(main, asyncio.eager_task_factory)  # type: ignore[attr-defined]


# ---- before the function runs ----


def test_cut_while_it_waits_for_a_place_it_says_so_and_counts():  # trap 42, trap 51
    async def main(loop: VirtualLoop) -> None:
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

    run(main)


def test_cut_while_it_pauses_before_a_retry_it_says_so():  # trap 50
    async def main(loop: VirtualLoop) -> None:
        slow = hf.ManualClock(auto=False)
        policy = hf.Timeout(1, clock=loop.clock)
        retry = hf.Retry("r", on=Exception, backoff=hf.Constant(0.5), clock=slow)
        pipe = hf.Pipeline("p", policy, retry)

        async def body() -> None:
            raise LookupError

        assert type(await ended(pipe.acall(body))) is hf.DeadlineExceededError
        assert retry.snapshot().gave_up["cancelled"] == 1
        assert counts(policy) == (0, 1, 0, 0)

    run(main)


def test_a_block_and_a_permit_wait_no_longer_than_they_may_take():  # trap 42
    async def main(loop: VirtualLoop) -> None:
        policy, longer = hf.Timeout(1, clock=loop.clock), hf.Timeout(9, clock=loop.clock)
        bulkhead = hf.Bulkhead(
            "b", max_concurrent=1, max_waiting=9, max_wait=None, clock=loop.clock
        )
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

    run(main)


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
