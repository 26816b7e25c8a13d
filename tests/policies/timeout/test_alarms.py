"""Alarms of timeouts in asyncio: none rings for a call that is gone, nor in a forked child."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from tests.apart import in_child
from tests.policies.timeout.timeouts import counts
from tests.waiting.virtual import VirtualLoop, ended, run, turns


@pytest.mark.parametrize("how", ["closed", "thrown into", "dropped"])
async def test_the_alarm_of_a_call_that_ends_otherwise_is_cleared(loop, how):  # trap 52, D-CB-5
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


async def test_a_call_that_dies_is_not_cut_as_it_dies(clock):
    # Its clean-up moves the clock: the alarm would ring for what is half gone.
    policy = hf.Timeout(1, clock=clock)
    closed = []

    async def body() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            clock.advance(5)
            closed.append(True)

    call: Any = policy.acall(body)
    call.send(None)
    del call
    assert closed == [True]
    await turns(3)
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


async def test_a_task_is_collected_by_another_thread_while_the_loop_runs(loop):
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


class StoppedByOneFunction(hf.ManualClock):
    """A clock whose timers are cancelled by a function that is as old as it."""

    def __init__(self) -> None:
        super().__init__()
        stopped = self.stopped = [0]

        def stop() -> None:
            stopped[0] += 1

        self.stop = stop

    def call_at_ns(self, deadline_ns: int, callback: Callable[[], object]) -> Callable[[], None]:
        super().call_at_ns(deadline_ns, callback)
        return self.stop


def test_a_timeout_dies_in_one_collection_with_what_cancels_its_timer():
    # The collector empties functions before it frees the timeout: by then none may be called.
    def circle() -> list[int]:
        clock = StoppedByOneFunction()
        last: list[object] = []
        last.append(last)
        policy = hf.Timeout(1, clock=clock)
        last.append(policy)
        call: Any = policy.acall(asyncio.sleep, 9)
        call.send(None)
        call.close()
        return clock.stopped

    async def main() -> None:
        gc.collect()
        gc.disable()
        stopped = circle()
        assert stopped == [0]
        gc.collect()
        assert stopped == [1]

    in_child(lambda: asyncio.new_event_loop().run_until_complete(main()))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_forked_while_calls_wait_nothing_rings_in_the_child(loop):  # traps 46, 58
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


@pytest.mark.parametrize("goes_on", [False, True])
async def test_an_interrupt_while_an_alarm_is_set_is_the_calls(loop, monkeypatch, goes_on):
    """A signal's handler raises in whatever Python runs; here that sets the timer of the loop."""
    set_timer: Callable[..., Any] = hf.Timeout._set_timer
    interrupts, heard = [KeyboardInterrupt], []

    def interrupted(*args: Any) -> Any:
        if interrupts:
            raise interrupts.pop()
        return set_timer(*args)

    async def body() -> str:
        try:
            await asyncio.sleep(5)
        except KeyboardInterrupt:
            heard.append(True)
            if not goes_on:
                raise
        await asyncio.sleep(9)
        return "ok"

    policy = hf.Timeout(1, clock=loop.clock)
    monkeypatch.setattr(hf.Timeout, "_set_timer", interrupted)
    with pytest.raises(hf.DeadlineExceededError if goes_on else KeyboardInterrupt):
        await policy.acall(body)
    assert (heard, hf.deadline()) == ([True], None)
    assert (loop.time(), loop.pending) == (1 if goes_on else 0, 0)
    assert counts(policy) == ((0, 1, 0, 0) if goes_on else (1, 0, 0, 0))
