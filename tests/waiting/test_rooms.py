"""Who waits for a place gets it in turn, or gives it on: nobody is stranded, no place is lost."""

import asyncio
import gc

import pytest

from holdfast import Bulkhead, BulkheadTimeoutError, ManualClock
from holdfast.clock import system_clock
from holdfast.waiting.parking import ThreadWaiter
from holdfast.waiting.rooms import ENTERED, FULL, QUEUED, TIMED_OUT, _Place
from tests.apart import run_apart
from tests.waiting.houses import House
from tests.waiting.parties import LoopParty, Party, auntil, until

SECOND = 10**9


def test_whoever_finds_room_enters(house):  # BH-02
    assert house.enter(0) == ENTERED
    assert house.room.leave() is True
    assert house.enter(SECOND) == ENTERED
    assert house.room.leave() is True
    assert asyncio.run(house.aenter(SECOND)) == ENTERED
    assert house.room.leave() is True
    assert house.room.leave() is False  # nobody was inside


def test_whoever_has_no_time_to_wait_is_told_at_once(house):  # BH-02, trap 42
    assert house.enter() == ENTERED
    assert house.enter(0) == FULL
    assert asyncio.run(house.aenter(0)) == FULL
    assert house.kernel.waiting() == 0
    house.room.leave()


def test_a_full_queue_refuses_at_once_threads_and_tasks():  # BH-01, BH-02
    house = House(max_waiting=2)
    house.enter()
    parties = [house.start(), house.start()]
    assert house.enter() == FULL
    assert asyncio.run(house.aenter()) == FULL
    for party in parties:
        house.room.leave()
        assert party.result() == ENTERED
    house.room.leave()
    house.assert_empty()


def test_without_room_to_wait_nobody_waits():
    house = House(max_waiting=0)
    house.enter()
    assert house.enter() == FULL
    house.room.leave()
    house.assert_empty()


def test_a_thread_gives_up_when_its_time_is_up(house):  # BH-02, D-BH-1: the clock is the policy's
    house.enter()
    party = house.start(SECOND)
    house.clock.advance(0.999)
    assert house.kernel.waiting() == 1
    house.clock.advance(0.001)
    assert party.result() == TIMED_OUT
    assert house.kernel.waiting() == 0
    assert house.kernel.counters()[5] == 1
    house.room.leave()


def test_a_task_gives_up_when_its_time_is_up(house):  # BH-02, D-BH-1
    async def main() -> None:
        task = await house.start_task(SECOND)
        house.clock.advance(1)
        assert await task == TIMED_OUT

    house.enter()
    asyncio.run(main())
    house.room.leave()


def test_a_wait_on_a_clock_that_moves_by_itself_takes_no_time(house):
    clock = ManualClock()
    house.enter()
    assert house.enter(5 * SECOND, clock) == TIMED_OUT
    assert clock.now() == 5.0
    house.room.leave()


def test_a_wait_on_the_system_clock_times_out(house):
    house.enter()
    assert house.enter(10**6, system_clock) == TIMED_OUT
    house.room.leave()


def test_a_place_granted_in_the_moment_time_is_up_is_taken(house):
    # trap 33: neither lost nor counted twice
    house.enter()
    place = _Place(ThreadWaiter())
    assert house.room._join(place) == QUEUED
    house.room.leave()
    assert house.room._give_up(place) == ENTERED
    assert house.kernel.counters()[5] == 0
    house.room.leave()


def test_threads_and_tasks_of_several_loops_enter_in_the_order_they_came(house):
    # BH-01: one queue for all of them
    order: list[int] = []
    loops = [LoopParty(), LoopParty()]

    def thread(number: int) -> None:
        assert house.enter() == ENTERED
        order.append(number)
        house.room.leave()

    async def task(number: int) -> None:
        assert await house.aenter() == ENTERED
        order.append(number)
        house.room.leave()

    house.enter()
    parties = []
    for number in range(9):
        if number % 3:
            parties.append(loops[number % 3 - 1].spawn(task(number)))
        else:
            parties.append(Party(thread, number))
        until(lambda number=number: house.kernel.waiting() == number + 1)
    house.room.leave()
    for party in parties:
        party.result()
    for loop in loops:
        loop.kill()
    assert order == list(range(9))


def test_nobody_enters_past_those_who_wait(house):
    house.enter()
    party = house.start()
    assert house.kernel.try_enter() is False
    house.room.leave()
    assert house.kernel.try_enter() is False  # granted to the one who waited
    assert party.result() == ENTERED
    house.room.leave()


def test_a_cancelled_task_leaves_the_queue_and_the_next_takes_its_turn(house):  # trap 33, D-BH-1
    async def main() -> None:
        first, second = await house.start_task(), await house.start_task(SECOND)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert house.kernel.waiting() == 1
        house.room.leave()
        assert await second == ENTERED

    house.enter()
    asyncio.run(main())
    house.room.leave()


def test_a_task_cancelled_after_its_place_was_granted_gives_it_to_the_next(house):
    # trap 33: a permit given to somebody who has gone
    async def main(thread: Party | None = None) -> None:
        first = await house.start_task()
        second = house.start()
        house.room.leave()  # grants: first has not run yet
        assert house.kernel.waiting() == 1
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert second.result() == ENTERED

    house.enter()
    asyncio.run(main())
    house.room.leave()
    assert house.kernel.counters()[2] == 1  # undone


def test_tasks_of_a_closed_loop_are_passed_over(house):  # trap 33: abandoned waiters take no place
    loop = LoopParty()
    house.enter()
    for number in range(3):
        loop.spawn(house.aenter())
        until(lambda number=number: house.kernel.waiting() == number + 1)
    party = house.start()
    loop.kill()
    house.room.leave()
    assert party.result() == ENTERED
    assert house.kernel.waiting() == 0
    house.room.leave()
    gc.collect()  # the tasks' own end gives nothing back a second time


@pytest.mark.parametrize("ahead", [0, 1])
def test_tasks_of_a_closed_loop_take_no_room_to_wait_from_the_living(ahead):
    house = House(max_waiting=ahead + 2)
    loop = LoopParty()
    house.enter()
    living = [house.start() for _ in range(ahead)]
    for number in range(ahead, ahead + 2):
        loop.spawn(house.aenter())
        until(lambda number=number: house.kernel.waiting() == number + 1)
    assert house.enter() == FULL
    loop.kill()
    living.append(Party(house.enter))
    until(lambda: house.kernel.waiting() == ahead + 1)
    for party in living:
        house.room.leave()
        assert party.result() == ENTERED
    house.room.leave()
    gc.collect()
    house.assert_empty()


def test_tasks_of_a_closed_loop_that_hold_each_other_hold_no_place():  # trap 33
    policy = Bulkhead("shared", max_concurrent=1, max_waiting=2, max_wait=None, clock=ManualClock())

    async def visit() -> None:
        async with policy:
            await asyncio.Event().wait()

    async def main() -> None:
        asyncio.gather(visit(), visit())
        await auntil(lambda: policy.waiting == 1)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    with pytest.raises(BulkheadTimeoutError):
        policy.enter(1)
    gc.collect()
    policy.enter(1)
    policy.leave()


def test_a_dropped_coroutine_leaves_the_queue(house):
    async def main() -> None:
        waiting = house.aenter()
        waiting.send(None)
        assert house.kernel.waiting() == 1
        del waiting
        gc.collect()
        assert house.kernel.waiting() == 0

    house.enter()
    asyncio.run(main())
    house.room.leave()


def test_growing_lets_in_as_many_as_fit(house):  # trap 37
    house.enter()
    parties = [house.start() for _ in range(3)]
    house.room.resize(3)
    assert [party.result() for party in parties[:2]] == [ENTERED] * 2
    assert (house.kernel.in_flight(), house.kernel.waiting()) == (3, 1)
    for _ in range(3):
        house.room.leave()
    assert parties[2].result() == ENTERED
    house.room.leave()


def test_shrinking_blocks_nobody_and_strands_nobody():  # trap 37
    house = House(limit=3)
    for _ in range(3):
        house.enter()
    parties = [house.start() for _ in range(2)]
    house.room.resize(1)
    house.room.leave()
    house.room.leave()
    assert (house.kernel.in_flight(), house.kernel.waiting()) == (1, 2)
    for party in parties:
        house.room.leave()
        assert party.result() == ENTERED
    house.room.leave()
    house.assert_empty()


def test_a_forked_child_finds_the_room_empty_and_the_lock_free():  # trap 58
    printed = run_apart("""
        import os, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is the point
        from holdfast import Bulkhead
        from tests.waiting.parties import Party, until

        bulkhead = Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None)
        bulkhead.enter()
        party = Party(bulkhead.enter)
        until(lambda: bulkhead.waiting == 1)
        held, release = threading.Event(), threading.Event()
        def hold():
            with bulkhead._room._lock:
                held.set()
                release.wait()
        holder = Party(hold)
        held.wait()
        child = os.fork()
        if child == 0:
            assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)
            bulkhead.enter()
            other = Party(bulkhead.enter)
            until(lambda: bulkhead.waiting == 1)
            bulkhead.leave()
            other.result()
            bulkhead.leave()
            assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)
            os._exit(7)
        release.set()
        holder.result()
        assert (bulkhead.in_flight, bulkhead.waiting) == (1, 1)
        bulkhead.leave()
        party.result()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """)
    assert printed.split() == ["7"]
