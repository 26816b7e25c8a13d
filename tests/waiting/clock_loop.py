"""An event loop whose time is a manual clock: where it would wait, the clock is moved."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

import holdfast as hf


class ClockSelector(selectors.DefaultSelector):
    """Has nothing to wait for but a manual clock, and moves it to the next timer."""

    def __init__(self, clock: hf.ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            return []
        clock = self._clock
        due = [at_ns for at_ns, serial in clock._timers if serial in clock._callbacks]
        assert due, "it would wait for ever"
        clock.advance_ns(max(0, min(due) - clock.now_ns()))
        return []


def loop_of(clock: hf.ManualClock) -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(ClockSelector(clock))


def run(clock: hf.ManualClock, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in a loop of its own."""
    loop = loop_of(clock)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def asleep_ns(clock: hf.ManualClock, ns: int) -> None:
    """Let time pass in this task; no time is no wait."""
    if ns == 0:
        return
    future = asyncio.get_running_loop().create_future()
    cancel = clock.call_at_ns(clock.now_ns() + ns, lambda: future.done() or future.set_result(None))
    try:
        await future
    finally:
        cancel()
