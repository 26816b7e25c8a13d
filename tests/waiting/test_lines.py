"""Waiting for tokens: in order, told at once of what changes, and never a token too many."""

import asyncio
import random
from typing import Any

import pytest

import holdfast as hf
from holdfast.testing import run
from holdfast.waiting.lines import WAITS
from tests.models import line as model
from tests.waiting import virtual
from tests.waiting.parties import LoopParty, Party, until
from tests.waiting.virtual import VirtualLoop, turns

HOUR = 3600


def limiter_of(clock: hf.ManualClock, **settings: Any) -> hf.RateLimiter:
    return hf.RateLimiter("l", **{"max_wait": None, "clock": clock, **settings})


@pytest.fixture
def still() -> hf.ManualClock:
    return hf.ManualClock(auto=False)


async def begun(limiter: hf.RateLimiter, *weights: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.ensure_future(limiter.aacquire(n)) for n in weights]
    await turns(2)
    return tasks


async def end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def done(tasks: list[asyncio.Task[None]]) -> list[bool]:
    return [task.done() for task in tasks]


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("settings", [{"rate": 10, "per": 100}, {"limits": "10/100s;15/300s"}])
def test_since_a_clear_no_more_than_the_burst_is_given_out(still, settings, leaves):
    async def main() -> None:
        limiter = limiter_of(still, **settings)
        assert limiter.try_acquire(10)
        tasks = await begun(limiter, 5)
        limiter.clear()
        used = sum(limiter.try_acquire() for _ in range(20))
        if leaves:
            await end(tasks)
        await turns(3)
        used += sum(limiter.try_acquire() for _ in range(20))
        burst = 10
        assert done(tasks) == [True]
        assert used + 5 * (not leaves) == burst

    run(main(), clock=still)


def test_tokens_of_before_a_clear_are_not_given_back_to_what_it_filled(still):
    limiter = limiter_of(still, rate=10, per=100, max_wait=0)
    full = hf.Bulkhead("full", max_concurrent=1, max_waiting=1, max_wait=5, clock=still)
    full.enter()
    refused = Party(hf.Pipeline("p", limiter, full).try_call, int)
    until(lambda: full.waiting)
    limiter.clear()
    assert sum(limiter.try_acquire() for _ in range(20)) == 10
    still.advance(5)
    assert not refused.result().ok  # its token was one of before
    assert not limiter.try_acquire()


def test_who_waits_is_served_first_when_it_is_cleared(still):
    async def main() -> None:
        limiter = limiter_of(still, rate=3, per=HOUR)
        limiter.try_acquire(3)
        tasks = await begun(limiter, 2, 2, 1)
        limiter.clear()
        assert not limiter.try_acquire()  # the one that is there is the second's
        await turns(3)
        assert done(tasks) == [True, False, False]
        still.advance(HOUR / 3)
        await turns(3)
        assert done(tasks) == [True, True, False]
        await end(tasks)

    run(main(), clock=still)


@pytest.mark.parametrize("change", ["resize", "clear"])
@pytest.mark.parametrize("window", [None, "sliding"])
def test_those_who_wait_are_told_at_once_what_changed(still, window, change):
    async def main() -> None:
        limiter = limiter_of(still, rate=2, per=HOUR, window=window)
        limiter.try_acquire(2)
        tasks = await begun(limiter, 1, 1, 1)
        if change == "clear":
            limiter.clear()
        else:
            limiter.resize(rate=5) if window else limiter.resize(rate=1000, per=1)
            still.advance(0.003)
        await turns(4)
        assert done(tasks) == [True, True, change == "resize"]
        await end(tasks)

    run(main(), clock=still)


@pytest.mark.parametrize("window", [None, "sliding"])
def test_threads_and_loops_elsewhere_are_told_too(window):
    clock = hf.ManualClock(auto=False)
    limiter = limiter_of(clock, rate=1, per=HOUR, window=window)
    limiter.try_acquire()
    elsewhere = LoopParty()
    threads = [Party(limiter.acquire) for _ in range(3)]
    tasks = [elsewhere.spawn(limiter.aacquire()) for _ in range(3)]
    until(lambda: len(limiter._line._queue) == 6)
    for _ in range(6):
        limiter.clear()
    for task in tasks:
        task.result(20)
    for thread in threads:
        thread.result()
    assert not limiter.try_acquire()
    elsewhere.kill()


def test_a_wait_that_a_slower_rate_makes_too_long_is_refused_at_once(still):
    async def main() -> None:
        limiter = limiter_of(still, rate=1, max_wait=5)
        limiter.try_acquire()
        tasks = await begun(limiter, 1, 1, 1)
        limiter.resize(rate=1, per=2)
        await turns(3)
        assert done(tasks) == [False, False, True]
        with pytest.raises(hf.RateLimitedError):
            await tasks[2]
        still.advance(4)
        await turns(3)
        assert done(tasks) == [True] * 3

    run(main(), clock=still)


def test_a_wait_that_a_smaller_window_makes_too_long_is_refused_at_once(still):
    async def main() -> None:
        limiter = limiter_of(still, rate=2, per=10, window="sliding", max_wait=8)
        for _ in range(2):
            still.advance(5)
            assert limiter.try_acquire()
        tasks = await begun(limiter, 1)  # there is room at 15 s
        limiter.resize(rate=1)  # and now at 20 s, which is past 18 s
        await turns(3)
        assert done(tasks) == [True]
        with pytest.raises(hf.RateLimitedError):
            await tasks[0]

    run(main(), clock=still)


def test_a_wait_behind_others_ends_at_its_own_deadline(still):
    async def main() -> None:
        limiter = limiter_of(still, rate=2, per=10, window="sliding")
        assert limiter.try_acquire()
        still.advance(8)
        assert limiter.try_acquire()
        tasks = await begun(limiter, 2)  # there is room at 18 s
        tasks.append(asyncio.ensure_future(limiter.aacquire(timeout=7)))
        await turns(2)
        for seconds, expected in (6, [False, False]), (1, [False, True]), (4, [True, True]):
            still.advance(seconds)
            await turns(3)
            assert done(tasks) == expected
        with pytest.raises(hf.RateLimitedError):
            await tasks[1]

    run(main(), clock=still)


@pytest.mark.parametrize("window", [None, "sliding"])
@pytest.mark.parametrize("order", ["first to last", "last to first", "mixed"])
def test_of_a_hundred_of_whom_all_but_the_last_leave_he_waits_for_none(still, window, order):
    async def main() -> None:
        limiter = limiter_of(still, rate=1, per=10, window=window)
        limiter.try_acquire()
        tasks = await begun(limiter, *[1] * 100)
        leavers = tasks[:-1]
        if order == "last to first":
            leavers.reverse()
        elif order == "mixed":
            random.Random(1).shuffle(leavers)
        await end(leavers)
        still.advance(9.9)
        await turns(3)
        assert not tasks[-1].done()
        still.advance(1.1)  # a sliding window refuses up to a tenth early
        await turns(3)
        assert tasks[-1].done()
        assert not limiter.try_acquire()

    run(main(), clock=still)


def test_who_leaves_wakes_nobody_but_the_next(still, monkeypatch):
    woken = []

    async def main() -> None:
        limiter = limiter_of(still, rate=1, per=10)
        limiter.try_acquire()
        tasks = await begun(limiter, *[1] * 200)
        turn = type(next(iter(limiter._line._queue)))
        wake = turn.wake
        monkeypatch.setattr(turn, "wake", lambda self: woken.append(self) or wake(self))
        await end(tasks[1:150:2])
        assert woken == []
        await end(tasks[:1])
        assert len(woken) == 1
        await end(tasks)

    run(main(), clock=still)
    assert len(woken) <= 200


@pytest.mark.parametrize("window", [None, "sliding"])
def test_who_is_woken_long_after_the_end_of_a_wait_takes_what_is_there(still, window):
    async def main() -> None:
        limiter = limiter_of(still, rate=1, per=10, window=window, max_wait=11)
        assert limiter.try_acquire()
        tasks = await begun(limiter, 1)
        still.advance(100)
        await turns(3)
        assert done(tasks) == [True]
        await tasks[0]

    run(main(), clock=still)


def test_a_token_that_is_due_in_a_nanosecond_is_waited_for(still):
    async def main() -> None:
        limiter = limiter_of(still, rate=1, per=1)
        assert limiter.try_acquire()
        still.advance_ns(10**9 - 1)
        tasks = await begun(limiter, 1)
        assert done(tasks) == [False]
        still.advance_ns(1)
        await turns(3)
        assert done(tasks) == [True]

    run(main(), clock=still)


def test_tasks_that_wait_and_reservations_stay_in_the_parent_of_a_fork(still):
    async def main() -> None:
        limiter = limiter_of(still, rate=1)
        assert limiter.try_acquire()
        tasks = await begun(limiter, 1)
        assert limiter.reserve() == 2
        first, _ = limiter._line._queue
        limiter._line._after_fork()
        await turns(3)
        assert (first.state, done(tasks), limiter._line.is_empty) == (WAITS, [False], True)
        assert limiter.reserve() == 3  # too late rather than a token too many
        await end(tasks)

    run(main(), clock=still)


def test_what_was_reserved_behind_a_waiter_stays_behind_him(still):
    async def main() -> None:
        limiter = limiter_of(still, rate=1)
        limiter.try_acquire()
        tasks = await begun(limiter, 1, 1)
        assert limiter.reserve() == 3
        await end(tasks[:1])
        still.advance(1)
        await turns(3)
        assert tasks[1].done()
        assert limiter.reserve() == 2  # what was reserved comes a second earlier too

    run(main(), clock=still)


def behind_is_in(line):
    with line._lock:
        return any(turn.waiter.loop is None for turn in line._queue)


def test_a_closed_loop_does_not_hold_up_those_behind_its_tasks(still):
    limiter = limiter_of(still, rate=1, per=10)
    limiter.try_acquire()
    elsewhere = LoopParty()
    elsewhere.spawn(limiter.aacquire())
    until(lambda: limiter._line._queue)
    elsewhere.kill()
    behind = Party(limiter.acquire)
    until(lambda: len(limiter._line._queue) <= 1 and limiter.available == 0)
    until(lambda: behind_is_in(limiter._line))
    still.advance(10)
    behind.result()


def test_a_token_that_a_refused_call_gives_back_is_the_next_ones(still):
    async def main() -> None:
        limiter = limiter_of(still, rate=1, per=10, burst=2)
        full = hf.Bulkhead("full", max_concurrent=1, max_waiting=1, max_wait=None, clock=still)
        full.enter()
        refused = asyncio.ensure_future(hf.Pipeline("p", limiter, full).acall(asyncio.sleep, 0))
        await turns(2)
        limiter.try_acquire()
        first = (await begun(limiter, 1))[0]
        await end([refused])
        newcomer = (await begun(limiter, 1))[0]  # who comes by sees it; it is not his
        assert done([first, newcomer]) == [True, False]
        await end([newcomer])

    run(main(), clock=still)


def test_who_is_due_before_those_ahead_of_him_sleeps_until_they_are():
    async def main(loop: VirtualLoop) -> None:
        limiter = limiter_of(loop.clock, rate=1, per=10, burst=2)
        full = hf.Bulkhead("full", max_concurrent=1, max_waiting=2, max_wait=None)
        full.enter()
        pipe = hf.Pipeline("p", limiter, full)
        refused = [asyncio.ensure_future(pipe.acall(asyncio.sleep, 0)) for _ in range(2)]
        await turns(2)
        waiting = await begun(limiter, 2, 2)
        await end(refused)
        waiting += await begun(limiter, 1)
        await asyncio.gather(*waiting)
        assert loop.time() == pytest.approx(30)
        assert loop.timers < 20

    virtual.run(main)


STEPS = ["take", "wait", "wait", "wait", "leave", "leave", "clear", "resize", "pass", "pass"]


class Scene:
    """The same things happen to a limiter and to its model."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = hf.ManualClock(auto=False)
        self.limiter = limiter_of(self.clock, rate=4, burst=5)
        self.model = model.Line(rate=4, burst=5)
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.taken = self.most = 0

    async def step(self) -> None:
        n = self.random.randint(1, 5)
        match self.random.choice(STEPS):
            case "take":
                took = self.limiter.try_acquire(n)
                assert took == self.model.take(n)
                self.taken += n * took
            case "wait":
                who = len(self.tasks)
                self.tasks[who] = asyncio.ensure_future(self.limiter.aacquire(n))
                await turns(1)
                self.model.wait(who, n)
            case "leave" if self.model.waiting:
                who = self.random.choice(self.model.waiting)[0]
                self.tasks[who].cancel()
                await turns(1)
                self.model.leave(who)
            case "clear":
                self.limiter.clear()
                self.model.clear()
            case "resize":
                rate = self.random.choice([1, 2, 5, 20])
                self.limiter.resize(rate=rate)
                self.model.resize(rate)
            case "pass":
                ns = self.random.randint(1, 2 * 10**9)
                self.clock.advance_ns(ns)
                self.model.advance_ns(ns)
        await turns(4)
        served = [who for who, task in self.tasks.items() if task.done() and not task.cancelled()]
        assert served == sorted(self.model.served)
        if not self.model.waiting:
            assert self.limiter.available == int(self.model.level)

    async def play(self) -> None:
        for _ in range(60):
            await self.step()
        await end(list(self.tasks.values()))


@pytest.mark.parametrize("seeds", range(8))
def test_a_limiter_serves_as_a_list_of_those_who_wait_would(seeds):  # RL-03
    for seed in range(20 * seeds, 20 * seeds + 20):
        scene = Scene(seed)
        run(scene.play(), clock=scene.clock)
