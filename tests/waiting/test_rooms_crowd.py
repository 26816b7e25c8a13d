"""Many enter, wait, give up and resize at once, in threads and in tasks of several loops."""

import asyncio
import contextlib
import random
import threading

import pytest

from holdfast.clock import system_clock
from holdfast.waiting.rooms import ENTERED
from tests.waiting.houses import House
from tests.waiting.parties import LoopParty, Party


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
