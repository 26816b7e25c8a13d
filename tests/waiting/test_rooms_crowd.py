"""Many enter, wait, give up and resize at once, in threads and in tasks of several loops."""

import asyncio
import contextlib
import random
import threading

import pytest

from holdfast.clock import system_clock
from holdfast.waiting.rooms import ENTERED, FULL
from tests.waiting.houses import House
from tests.waiting.parties import LoopParty, Party, until


@pytest.mark.stress
def test_no_place_is_lost_among_threads_and_tasks_that_enter_and_give_up(stress_scale):
    # BH-01, D-BH-1, trap 33, trap 37
    house = House(limit=3, max_waiting=8)
    inside, most, turns = 0, 0, 80 * stress_scale
    guard = threading.Lock()
    loops = [LoopParty(), LoopParty()]

    def visit(answer: int) -> None:
        nonlocal inside, most
        if answer == ENTERED:
            with guard:
                inside += 1
                most = max(most, inside)
            with guard:
                inside -= 1
            house.room.leave()

    def thread(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(turns):
            visit(house.room.enter(system_clock, rng.choice((None, 0, 1000, 100_000))))

    async def task(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(turns):
            attempt = asyncio.ensure_future(
                house.room.aenter(system_clock, rng.choice((None, 0, 1000, 100_000)))
            )
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            if rng.random() < 0.3:
                attempt.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                visit(await attempt)

    parties = [Party(thread, seed) for seed in range(4)]
    parties += [loops[seed % 2].spawn(task(seed)) for seed in range(6)]
    rng = random.Random(0)
    for _ in range(turns):
        house.room.resize(rng.randrange(1, 4))
    for party in parties:
        party.result()
    for loop in loops:
        loop.kill()
    assert 1 <= most <= 3
    house.assert_empty()


class Asked(asyncio.SelectorEventLoop):
    """An event loop that counts how often it is asked whether it is closed."""

    times = 0

    def is_closed(self) -> bool:
        self.times += 1
        return super().is_closed()


def asked_by_a_refusal(waiting: int) -> int:
    house = House(max_waiting=waiting)
    house.enter()
    loop = Asked()

    async def refused() -> int:
        tasks = [asyncio.ensure_future(house.aenter()) for _ in range(waiting)]
        await asyncio.sleep(0)
        loop.times = 0
        assert house.enter() == FULL
        times = loop.times
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return times

    times = loop.run_until_complete(refused())
    loop.close()
    house.room.leave()
    house.assert_empty()
    return times


def test_a_refusal_by_a_full_queue_asks_each_loop_once_however_many_of_its_tasks_wait():
    assert asked_by_a_refusal(waiting=500) == asked_by_a_refusal(waiting=1) <= 2


def test_of_several_loops_only_the_tasks_of_the_closed_one_leave_a_full_queue():
    house = House(max_waiting=6)
    house.enter()
    living, dying = LoopParty(), LoopParty()
    for number in range(6):
        (dying if number % 2 else living).spawn(house.aenter())
        until(lambda number=number: house.kernel.waiting() == number + 1)
    dying.kill()
    party = Party(house.enter)  # who finds the queue full has it looked through
    until(lambda: house.kernel.waiting() == 4)
    assert list(house.room._loops) == [living.loop]
    for _ in range(4):
        house.room.leave()
    assert party.result() == ENTERED
    house.room.leave()
    living.kill()
    house.assert_empty()
