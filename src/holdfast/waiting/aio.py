"""Waiting of asyncio tasks: for somebody to wake them, or for time to pass on a policy's clock.

Imported by the first task that waits: this is what imports asyncio. Elsewhere: threads
(``parking``), and who is woken when (``rooms``).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Context
from weakref import ref

from holdfast.clock import ManualClock
from holdfast.validation import MAX_NS
from holdfast.waiting.foreign import refuse_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.clock import Clock

__all__ = ["TaskWaiter", "asleep_ns", "now_ns_of_loop", "set_timer"]


class TaskWaiter:
    """One wait of one task of the running event loop.

    Attributes:
        woken: Whether ``wake`` was called, however the wait ended.
        loop: The event loop; once it is closed, the task never goes on.
        task: Whose wait it is, where somebody is to look at it; for whoever does.

    Only its task parks, once; any thread and any loop may wake it, at any time, more than once.
    """

    __slots__ = ("_cancel", "_future", "loop", "task", "woken")

    def __init__(self) -> None:
        self.woken = False
        self.task: asyncio.Task[Any] | None = None
        self._cancel: Callable[[], object] | None = None
        refuse_wait()
        self.loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self.loop.create_future()

    def wake(self) -> bool:
        """End the wait, also one that has not begun.

        Returns:
            False when the loop is closed: nobody will ever go on from here.
        """
        self.woken = True
        return self._release()

    @property
    def waits(self) -> bool:
        """Whether the wait was not ended yet, by anybody."""
        return not self._future.done()

    def fail(self, error: Exception) -> None:
        """End the wait, which has begun and was not ended, with an error; in the task's loop."""
        if not self._future.done():
            self._future.set_exception(error)

    async def park(self, clock: Clock, timeout_ns: int | None, end_ns: int | None = None) -> bool:
        """Wait until woken, or for ``timeout_ns`` on ``clock``; None waits without limit.

        On a manual clock the wait ends when the clock is moved past its end.

        Args:
            clock: Whose time it is.
            timeout_ns: How long.
            end_ns: When that is, if it was reckoned before others could see this wait. Whoever sees
                it may move a manual clock before this task sleeps: that is part of the wait.

        Returns:
            Whether it was woken; False: time is up.
        """
        try:
            await self.begin(clock, timeout_ns, end_ns)
        finally:
            self.end()
        return self.woken

    def begin(
        self, clock: Clock, timeout_ns: int | None, end_ns: int | None = None
    ) -> asyncio.Future[None]:
        """Return what to await, as ``park`` does; ``end`` is due afterwards."""
        if timeout_ns is None:
            return self._future
        if isinstance(clock, ManualClock):
            if end_ns is None:
                end_ns = clock.now_ns() + timeout_ns
            self._cancel = clock.call_at_ns(end_ns, self._release)
        elif timeout_ns < MAX_NS // 2:  # or no process lives to see it
            self._cancel = self.loop.call_later(timeout_ns / 1e9, self._resolve).cancel
        return self._future

    def end(self) -> None:
        """Cancel the timer of the wait."""
        if self._cancel is not None:
            self._cancel()

    def _release(self) -> bool:
        if self.loop.is_closed():
            return False
        if asyncio._get_running_loop() is self.loop:
            self._resolve()
            return True
        try:
            self.loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:
            return False  # closed since
        return True

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


def now_ns_of_loop() -> int:
    """Return the time of the running loop, in nanoseconds; its timers are on this clock."""
    return int(asyncio.get_running_loop().time() * 1e9)


async def asleep_ns(clock: Clock, ns: int) -> None:
    """Let ``ns`` nanoseconds pass on ``clock``; a manual one has to be moved by somebody else."""
    if isinstance(clock, ManualClock):
        await TaskWaiter().park(clock, ns)
    else:
        refuse_wait()
        await asyncio.sleep(ns / 1e9)


def set_timer(
    clock: Clock,
    loop: asyncio.AbstractEventLoop,
    ring: Callable[[], object],
    deadline_ns: int,
) -> Callable[[], object]:
    """Have ``loop`` call ``ring`` once ``clock`` shows a time, from the loop's own thread.

    Returns:
        What cancels it.
    """
    ahead_ns = max(0, deadline_ns - clock.now_ns())
    # In a context of its own: it rings for many calls, and is to keep nothing of the first's.
    if not isinstance(clock, ManualClock):
        return _Stop(loop, loop.call_later(ahead_ns / 1e9, ring, context=Context()))
    if ahead_ns == 0:
        return _Stop(loop, loop.call_soon(ring, context=Context()))
    its = ref(loop)

    def ring_there() -> None:
        loop = its()
        if loop is None:
            return
        if asyncio._get_running_loop() is loop:
            ring()
            return
        with suppress(RuntimeError):  # the loop was closed: nobody waits in it
            loop.call_soon_threadsafe(ring)

    return clock.call_at_ns(deadline_ns, ring_there)


class _Stop:
    """Cancels a timer of a loop, from any thread; keeps neither the one nor the other."""

    __slots__ = ("_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, handle: asyncio.Handle) -> None:
        self._loop = ref(loop)
        self._handle = ref(handle)

    def __call__(self) -> None:
        loop, handle = self._loop(), self._handle()
        if loop is None or handle is None:
            return
        if not loop.is_running() or asyncio._get_running_loop() is loop:
            handle.cancel()
            return
        with suppress(RuntimeError):  # the loop was closed, and its timers are no more
            loop.call_soon_threadsafe(handle.cancel)
