"""A thread or a task waits until it is woken or time is up, and leaves nothing behind."""

import asyncio
import threading
import time

import pytest

from holdfast import ManualClock
from holdfast.clock import system_clock
from holdfast.waiting.aio import TaskWaiter, asleep_ns
from holdfast.waiting.parking import ThreadWaiter, sleep_ns
from tests.apart import run_apart
from tests.waiting.parties import LoopParty, Party, auntil, until

SECOND = 10**9
MS = 10**6


@pytest.fixture
def still() -> ManualClock:
    """A manual clock that no wait moves."""
    return ManualClock(auto=False)


def timers(clock: ManualClock) -> int:
    return len(clock._callbacks)


# ---- threads ----


def test_a_thread_woken_before_it_parks_does_not_park(still):
    moving = ManualClock()
    for clock in (still, moving, system_clock):
        for timeout_ns in (None, 0, SECOND):
            waiter = ThreadWaiter()
            assert waiter.wake()
            assert waiter.park(clock, timeout_ns)
            assert waiter.woken
    assert timers(still) == 0
    assert moving.now() == 0.0


def test_a_parked_thread_goes_on_when_it_is_woken(still):
    for timeout_ns in (None, SECOND):
        waiter = ThreadWaiter()
        party = Party(waiter.park, still, timeout_ns)
        if timeout_ns:
            until(lambda: timers(still) == 1)
        waiter.wake()
        assert party.result() is True
    assert timers(still) == 0
    assert still.now_ns() == 0


def test_a_thread_may_be_woken_many_times_by_many():
    waiter, start = ThreadWaiter(), threading.Barrier(4)

    def wake() -> None:
        start.wait()
        for _ in range(1000):
            assert waiter.wake()

    parties = [Party(wake) for _ in range(3)]
    start.wait()
    assert waiter.park(system_clock, None)
    for party in parties:
        party.result()


def test_a_parked_thread_goes_on_when_the_clock_is_moved_past_its_time(still):
    waiter = ThreadWaiter()
    party = Party(waiter.park, still, 2 * SECOND)
    until(lambda: timers(still) == 1)
    still.advance(1.999_999_999)
    assert party.is_alive()
    assert timers(still) == 1
    still.advance_ns(1)
    assert party.result() is False
    assert timers(still) == 0
    assert not waiter.woken


def test_a_wake_that_comes_as_time_runs_out_is_not_lost(still):
    waiter = ThreadWaiter()
    still.call_at_ns(SECOND, waiter.wake)  # the same moment, and before the end of the wait
    party = Party(waiter.park, still, SECOND)
    until(lambda: timers(still) == 2)
    still.advance(1)
    assert party.result() is True


def test_a_thread_on_a_clock_that_moves_by_itself_moves_it_to_the_end_of_its_time():  # trap 22
    clock = ManualClock()
    assert ThreadWaiter().park(clock, 3 * SECOND) is False
    assert clock.now() == 3.0


def test_what_happens_while_a_clock_moves_by_itself_can_wake_who_moved_it():
    clock, waiter = ManualClock(), ThreadWaiter()
    clock.call_at_ns(SECOND, waiter.wake)
    assert waiter.park(clock, 3 * SECOND) is True


def test_a_thread_on_the_system_clock_waits_no_shorter_than_its_time():
    """The lower bound holds at any speed."""
    before = time.monotonic_ns()
    assert ThreadWaiter().park(system_clock, 2 * MS) is False
    assert time.monotonic_ns() - before >= 2 * MS
    assert ThreadWaiter().park(system_clock, 0) is False


def test_sleeping_threads_follow_their_clock(still):
    clock = ManualClock()
    sleep_ns(clock, 5 * SECOND)
    assert clock.now() == 5.0
    party = Party(sleep_ns, still, SECOND)
    until(lambda: timers(still) == 1)
    still.advance(1)
    party.result()
    before = time.monotonic_ns()
    sleep_ns(system_clock, MS)
    assert time.monotonic_ns() - before >= MS  # at any speed


def test_ctrl_c_ends_a_parked_thread_and_leaves_no_timer():
    printed = run_apart("""
        from holdfast import ManualClock
        from holdfast.waiting.parking import ThreadWaiter, sleep_ns
        from tests.ctrl_c import CtrlC

        clock, ctrl_c = ManualClock(auto=False), CtrlC()
        for wait in (lambda: ThreadWaiter().park(clock, 10**9), lambda: sleep_ns(clock, 10**9)):
            sender = ctrl_c.when_parked(clock)
            try:
                wait()
            except KeyboardInterrupt:
                print("interrupted", len(clock._callbacks))
            sender.result()
        """)
    assert printed.splitlines() == ["interrupted 0"] * 2


# ---- tasks ----


async def test_a_task_woken_before_it_parks_does_not_park(still):
    for clock in (still, ManualClock(), system_clock):
        for timeout_ns in (None, 0, SECOND):
            waiter = TaskWaiter()
            assert waiter.wake()
            assert await waiter.park(clock, timeout_ns)
    assert timers(still) == 0


def test_a_parked_task_is_woken_by_its_own_loop_by_a_thread_and_by_another_loop():
    other = LoopParty()

    async def by_another_loop(waiter: TaskWaiter) -> bool:
        return waiter.wake()

    async def main() -> None:
        for wake in (
            lambda waiter: waiter.wake(),
            lambda waiter: Party(waiter.wake).result(),
            lambda waiter: other.spawn(by_another_loop(waiter)).result(),
        ):
            waiter = TaskWaiter()
            task = asyncio.create_task(waiter.park(system_clock, None))
            await asyncio.sleep(0)
            assert wake(waiter) is True
            assert waiter.wake() is True
            assert await task is True

    asyncio.run(main())
    other.kill()


def test_a_parked_task_goes_on_when_the_clock_is_moved_past_its_time():
    # In asyncio no wait moves a clock, not even one that moves by itself.
    for clock in (ManualClock(), ManualClock(auto=False)):

        async def main(clock: ManualClock = clock) -> None:
            task = asyncio.create_task(TaskWaiter().park(clock, 2 * SECOND))
            await auntil(lambda: timers(clock) == 1)
            clock.advance(1.5)
            await asyncio.sleep(0)
            assert not task.done()
            Party(clock.advance, 0.5).result()  # from another thread
            assert await task is False

        asyncio.run(main())
        assert clock.now() == 2.0
        assert timers(clock) == 0


async def test_a_task_woken_by_its_own_loop_goes_on_in_the_next_turn():
    waiter = TaskWaiter()
    task = asyncio.create_task(waiter.park(system_clock, None))
    await asyncio.sleep(0)
    waiter.wake()
    await asyncio.sleep(0)
    assert task.done()


def test_a_task_on_the_system_clock_waits_for_its_time():
    """The lower bound holds at any speed."""

    async def main() -> bool:
        return await TaskWaiter().park(system_clock, 2 * MS)

    before = time.monotonic_ns()
    assert asyncio.run(main()) is False
    # The loop's clock counts as reached what it cannot tell apart from now.
    assert (
        time.monotonic_ns() - before >= 2 * MS - time.get_clock_info("monotonic").resolution * 1e9
    )


async def test_a_cancelled_task_leaves_no_timer_and_a_later_wake_is_harmless(still):
    waiter = TaskWaiter()
    task = asyncio.create_task(waiter.park(still, SECOND))
    await auntil(lambda: timers(still) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert timers(still) == 0
    assert waiter.wake() is True
    await asyncio.sleep(0)


def test_a_task_whose_loop_is_closed_cannot_be_woken():
    made: list[TaskWaiter] = []

    async def main() -> None:
        made.append(TaskWaiter())

    asyncio.run(main())
    (waiter,) = made
    assert waiter.loop.is_closed()
    assert waiter.wake() is False
    assert Party(waiter.wake).result() is False


def test_a_loop_that_closes_just_before_it_is_told_counts_as_closed():
    class Closing:
        def is_closed(self) -> bool:
            return False

        def call_soon_threadsafe(self, _: object) -> None:
            raise RuntimeError("Event loop is closed")

    async def main() -> TaskWaiter:
        return TaskWaiter()

    waiter = asyncio.run(main())
    waiter.loop = Closing()  # type: ignore[assignment]
    assert Party(waiter.wake).result() is False


async def test_sleeping_tasks_follow_their_clock():
    clock = ManualClock()
    task = asyncio.create_task(asleep_ns(clock, SECOND))
    await auntil(lambda: timers(clock) == 1)
    clock.advance(1)
    await task
    await asleep_ns(system_clock, MS)
    assert timers(clock) == 0


def test_threads_wait_without_asyncio_being_imported():
    assert run_apart("""
        import sys
        import holdfast
        bulkhead = holdfast.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=1.0,
                                     clock=holdfast.ManualClock())
        bulkhead.enter()
        try:
            bulkhead.enter()
        except holdfast.BulkheadTimeoutError:
            print("asyncio" in sys.modules, "logging" in sys.modules)
        """).split() == ["False", "False"]
