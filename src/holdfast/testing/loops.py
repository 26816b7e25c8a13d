"""An event loop whose time is a manual clock: where it would wait, the clock moves on.

Nothing sleeps, and what is due first is done first, so a test runs the same each time.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from typing import TYPE_CHECKING, TypeVar

from holdfast.clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    T = TypeVar("T")

__all__ = ["VirtualLoop", "run"]

#: How long another thread, or a socket, may take when nothing else is left to wait for.
PATIENCE_SECONDS = 5.0


class _Selector(selectors.DefaultSelector):
    """Waits for nothing that can be done, and moves the clock instead."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        clock = self._clock
        due_ns = clock.next_due_ns()
        steps = [] if timeout is None else [math.ceil(timeout * 1e9)]
        if due_ns is not None:
            steps.append(max(0, due_ns - clock.now_ns()))
        if steps:
            clock.advance_ns(min(steps))
            return []
        ready = super().select(PATIENCE_SECONDS)
        if not ready:
            raise RuntimeError(
                "this loop cannot continue: no timer is set, no file is ready, and "
                f"no other thread has called for {PATIENCE_SECONDS:g} s"
            )
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose sleeps, timeouts and policies wait on a ``ManualClock``.

    When no task can run, the clock advances to the end of the earliest wait. Sockets and other
    threads work. While a timer is set, the loop does not wait for them in real time, so their
    results may be late.

    Args:
        clock: The clock to advance; None creates one.

    Attributes:
        clock: The clock to advance.

    Used by one thread, as any event loop.
    """

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = ManualClock(auto=False) if clock is None else clock
        super().__init__(_Selector(self.clock))

    def time(self) -> float:
        """Return the time of the clock in seconds."""
        return self.clock.now_ns() / 1e9

    async def shutdown_default_executor(
        self,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - as the base has it
    ) -> None:
        """Wait for the threads of the default executor in real time, without a limit."""
        await super().shutdown_default_executor()


def run(main: Coroutine[Any, Any, T], *, clock: ManualClock | None = None) -> T:
    """Run a coroutine to its end in a ``VirtualLoop``, as ``asyncio.run`` does.

    Args:
        main: The coroutine.
        clock: The clock of the loop, which the policies should use; None creates one.

    Raises:
        RuntimeError: The coroutine waits for an event that can never occur.

    >>> clock = ManualClock()
    >>> run(asyncio.sleep(3_600, "an hour later"), clock=clock)
    'an hour later'
    >>> clock.now()
    3600.0
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
