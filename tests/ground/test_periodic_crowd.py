"""Many threads and tasks start, stop and wake the same loops: no two ticks of one overlap."""

import asyncio
import random
import threading
from functools import partial

import pytest

from holdfast import ManualClock
from holdfast.periodic import Periodic
from tests.waiting.parties import Party, auntil, until

WORDS = ["start", "stop", "stop", "wake", "wake", "running"]


class Alone:
    """A tick that notices when it is not alone, and is called after the end."""

    def __init__(self):
        self.lock = threading.Lock()
        self.together = 0
        self.ticks = 0

    def __call__(self):
        if not self.lock.acquire(blocking=False):
            self.together += 1
            return
        try:
            self.ticks += 1
        finally:
            self.lock.release()

    async def in_task(self):
        if not self.lock.acquire(blocking=False):
            self.together += 1
            return
        try:
            self.ticks += 1
            await asyncio.sleep(0)
        finally:
            self.lock.release()


@pytest.mark.stress
@pytest.mark.parametrize("moves", [False, True], ids=["system clock", "manual clock"])
def test_threads_that_start_stop_and_wake_loops_see_no_overlap_and_leave_nothing(
    moves, stress_scale
):
    clock = ManualClock() if moves else None
    alone = [Alone() for _ in range(4)]
    loops = [Periodic(tick, 0.001, name="p", clock=clock) for tick in alone]

    def has_ticked(n, there):
        return alone[n].ticks > there or not loops[n].running

    def act(seed):
        chance = random.Random(seed)
        for _ in range(200 * stress_scale):
            n, word = chance.randrange(4), chance.choice(WORDS)
            loop, there = loops[n], alone[n].ticks
            if word == "running":
                assert loop.running in (True, False)
            elif word == "stop":
                assert loop.stop(chance.choice([0, 3600])) in (True, False)
            else:
                getattr(loop, word)()
            if clock is None:
                until(partial(has_ticked, n, there))
            else:
                clock.advance(0.001)

    for party in [Party(act, seed) for seed in range(6)]:
        party.result()
    ended = [loop.stop() for loop in loops]
    assert ended == [True] * 4
    assert [tick.together for tick in alone] == [0] * 4
    assert any(tick.ticks for tick in alone)
    there = [tick.ticks for tick in alone]
    until(lambda: not any(one.name == "holdfast-periodic" for one in threading.enumerate()))
    if clock:
        clock.advance(1)
    assert [tick.ticks for tick in alone] == there


@pytest.mark.stress
def test_tasks_and_threads_that_use_one_loop_see_no_overlap_and_leave_no_task(stress_scale):
    alone = Alone()
    periodic = Periodic(alone.in_task, 0.001, name="p")

    def has_ticked(there):
        return alone.ticks > there or not periodic.running

    async def act(seed):
        chance = random.Random(seed)
        for _ in range(50 * stress_scale):
            word = chance.choice(["astart", "astop", "wake", "stop", "elsewhere"])
            there = alone.ticks
            if word == "wake":
                periodic.wake()
            elif word == "stop":
                periodic.stop(0)
            elif word == "elsewhere":
                await asyncio.to_thread(periodic.stop, 3600)
            else:
                await getattr(periodic, word)()
            await auntil(partial(has_ticked, there))

    async def main():
        await asyncio.gather(*(act(seed) for seed in range(6)))
        assert await periodic.astop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert alone.together == 0
    assert alone.ticks
