"""An event loop whose time passes by itself: when nothing is to be done, its next timer is due.

Nothing sleeps, and what is due first is done first, so a run is the same each time.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, Self, TypeVar

from holdfast._native import clock as native
from holdfast.clock import Clock

T = TypeVar("T")


class LoopClock(native.ManualClock, Clock):
    """Time that a loop moves. No ``ManualClock`` to the policies: their timers are the loop's."""

    __slots__ = ()

    def __new__(cls) -> Self:
        return super().__new__(cls, 0)


class _Selector:
    """Waits for nothing, and moves the clock instead."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self._inner = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> Any:
        events = self._inner.select(0)
        if timeout is None and not events:
            raise RuntimeError("nothing will ever happen in this loop")
        if timeout and not events:
            self._clock.advance_ns(math.ceil(timeout * 1e9))
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on a ``LoopClock`` that counts the timers set in it.

    Attributes:
        clock: What it moves; loops of several threads may share it.
        timers: How many were set.
    """

    def __init__(self, clock: LoopClock | None = None) -> None:
        self.clock = clock or LoopClock()
        self.timers = 0
        super().__init__(_Selector(self.clock))  # type: ignore[arg-type]

    def time(self) -> float:
        return self.clock.now_ns() / 1e9

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)

    @property
    def pending(self) -> int:
        """Timers that are set and not cancelled."""
        return sum(not timer.cancelled() for timer in self._scheduled)  # type: ignore[attr-defined]


def run(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, T]], factory: Callable[..., Any] | None = None
) -> T:
    """Run ``main(loop)`` in a loop of its own; ``factory`` makes its tasks."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        loop.set_task_factory(factory)
        return runner.run(main(loop))


async def turns(n: int) -> None:
    """Let the others go on, ``n`` times."""
    for _ in range(n):
        await asyncio.sleep(0)


async def ended(awaitable: Awaitable[Any]) -> Any:
    """Return what came of it: a value, or the exception."""
    try:
        return await awaitable
    except BaseException as error:
        return error
