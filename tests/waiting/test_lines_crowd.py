"""Thousands wait for tokens: each is woken for his own, and no event loop is held up."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import holdfast as hf
from holdfast.waiting.lines import AT_ONCE, PATIENCE_NS, Line, Turn
from tests.waiting.parties import LoopParty, Party, until
from tests.waiting.virtual import VirtualLoop, ended

CROWD = 1000


class Watched(VirtualLoop):
    """A loop that counts what its waiters cost, in all and in the busiest of its rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = self.settled = self.most = 0

    def _run_once(self) -> None:
        before = self.settled
        super()._run_once()  # type: ignore[misc]
        self.most = max(self.most, self.settled - before)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Watched]:
    """Return what runs ``main(loop)`` in a watched loop."""

    def counted(loop: Watched, name: str, counter: str) -> None:
        method = getattr(Line, name)

        def count(line: Line, *args: Any) -> Any:
            setattr(loop, counter, getattr(loop, counter) + 1)
            return method(line, *args)

        monkeypatch.setattr(Line, name, count)

    def run(main: Callable[[Watched], Coroutine[Any, Any, None]]) -> Watched:
        with asyncio.Runner(loop_factory=Watched) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, Watched)
            counted(loop, "_look_again", "looks")
            counted(loop, "_give", "settled")
            counted(loop, "_refuse", "settled")
            runner.run(main(loop))
        return loop

    return run


def waiting(limiter: hf.RateLimiter, n: int = CROWD) -> list[asyncio.Task[Any]]:
    return [asyncio.ensure_future(ended(limiter.aacquire())) for _ in range(n)]


async def settled(tasks: list[asyncio.Task[Any]]) -> int:
    """How many of them have got their tokens, in the end."""
    return [await task for task in tasks].count(None)


@pytest.mark.parametrize("window", [None, "sliding"])
def test_a_token_is_looked_at_by_the_one_who_gets_it(watch, window):
    async def main(loop: Watched) -> None:
        limiter = hf.RateLimiter("l", rate=10, window=window, max_wait=None, clock=loop.clock)
        assert await settled(waiting(limiter)) == CROWD

    assert watch(main).looks <= CROWD * 1.1  # a timer may be a nanosecond early


@pytest.mark.parametrize("window", [None, "sliding"])
def test_of_thousands_for_whom_there_are_tokens_a_round_of_the_loop_serves_a_few(watch, window):
    async def main(loop: Watched) -> None:
        limiter = hf.RateLimiter("l", rate=CROWD, window=window, max_wait=None, clock=loop.clock)
        limiter.try_acquire(CROWD)
        tasks = waiting(limiter)
        await asyncio.sleep(0)
        limiter.clear()
        assert await settled(tasks) == CROWD
        assert loop.time() == 0

    assert watch(main).most == AT_ONCE


def test_of_thousands_whose_time_is_up_together_a_round_of_the_loop_refuses_a_few(watch):
    async def main(loop: Watched) -> None:
        limiter = hf.RateLimiter("l", rate=10, window="sliding", max_wait=1.5, clock=loop.clock)
        limiter.try_acquire(10)
        tasks = waiting(limiter)
        assert await settled(tasks) == 10  # at 1.1 s; the next would come at 2.2 s
        assert loop.time() == pytest.approx(1.1)

    assert watch(main).most == AT_ONCE


@pytest.mark.parametrize("rate", [1, 1000])
def test_a_change_of_the_rate_wakes_none_but_the_first_of_thousands(watch, monkeypatch, rate):
    async def main(loop: Watched) -> None:
        limiter = hf.RateLimiter("l", rate=10, max_wait=None, clock=loop.clock)
        tasks = waiting(limiter)
        await asyncio.sleep(0)
        woken: list[Turn] = []
        wake = Turn.wake
        monkeypatch.setattr(Turn, "wake", lambda turn: woken.append(turn) or wake(turn))
        limiter.resize(rate=rate)
        assert len(woken) <= 1
        assert await settled(tasks) == CROWD
        assert loop.time() == pytest.approx((CROWD - 10) / rate)
        assert len(woken) <= 2 * CROWD

    assert watch(main).looks <= 2 * CROWD


def test_thousands_who_leave_together_are_looked_at_once_each(watch):
    async def main(loop: Watched) -> None:
        limiter = hf.RateLimiter("l", rate=10, max_wait=None, clock=loop.clock)
        tasks = waiting(limiter)
        last = waiting(limiter, 1)
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        assert await settled(last) == 1
        assert loop.time() == pytest.approx(0.1)

    assert watch(main).looks <= 20


def test_one_who_leaves_when_it_is_his_turn_to_go_on_is_forgotten(watch):
    async def main(loop: Watched) -> None:
        limiter = hf.RateLimiter("l", rate=2 * AT_ONCE, max_wait=None, clock=loop.clock)
        limiter.try_acquire(2 * AT_ONCE)
        tasks = waiting(limiter, 2 * AT_ONCE)
        await asyncio.sleep(0)
        limiter.clear()
        told = limiter._line._told
        assert told is next(iter(limiter._line._queue))
        tasks[AT_ONCE].cancel()
        assert await settled(tasks) == 2 * AT_ONCE - 1
        assert limiter._line._told is not told

    watch(main)


def test_of_those_who_wait_for_a_sliding_window_only_the_first_has_a_timer(watch):
    async def main(loop: Watched) -> None:
        limiter = hf.RateLimiter("l", rate=1, window="sliding", max_wait=None, clock=loop.clock)
        limiter.try_acquire()
        tasks = waiting(limiter, 100)
        await asyncio.sleep(0)
        assert loop.pending == 1
        for task in tasks:
            task.cancel()
        await settled(tasks)

    watch(main)


def test_one_who_does_not_go_on_when_it_is_his_turn_holds_nobody_up():
    clock = hf.ManualClock(auto=False)
    limiter = hf.RateLimiter("l", rate=2, per=3600, max_wait=None, clock=clock)
    limiter.try_acquire(2)
    elsewhere, free = LoopParty(), threading.Event()
    task = elsewhere.spawn(limiter.aacquire())
    until(lambda: len(limiter._line._queue) == 1)
    elsewhere.loop.call_soon_threadsafe(free.wait)  # his loop does something else for long
    behind = Party(limiter.acquire)
    until(lambda: len(limiter._line._queue) == 2)
    limiter._line._to_serve = 0  # as after a step that has served many
    limiter.clear()
    assert len(limiter._line._queue) == 2
    clock.advance_ns(PATIENCE_NS)
    limiter._line._step()  # of whoever comes by
    behind.result()
    free.set()
    task.result(20)
    elsewhere.kill()
