"""Something whose end threads and tasks wait for. Elsewhere: what it is (``cleanup_round``)."""

from __future__ import annotations

from functools import partial

from holdfast.clock import system_clock
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.waiting.aio import TaskWaiter

__all__ = ["Awaited"]


class Awaited:
    """The base of what ends once, and wakes those who wait for it then."""

    def __init__(self) -> None:
        self._watchers: dict[ThreadWaiter | TaskWaiter, None] = {}

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        raise NotImplementedError

    @property
    def is_here(self) -> bool:
        """Whether this thread is in it, and would wait for itself."""
        return False

    def is_of(self, owner: object) -> bool:  # noqa: ARG002 - of those that are
        """Whether it is a single clean-up of a manager, and has not ended."""
        return False

    def wait(self, timeout_ns: int | None = None) -> bool:
        """Wait for the end; return whether it has come."""
        self._park(partial(self._left, timeout_ns, system_clock.now_ns()))
        return self.is_over

    async def await_end(self, timeout_ns: int | None = None) -> bool:
        """Wait as ``wait`` does; the event loop goes on meanwhile."""
        await self._apark(partial(self._left, timeout_ns, system_clock.now_ns()))
        return self.is_over

    def _left(self, timeout_ns: int | None, began_ns: int) -> int | None:
        """Return how long to wait before the next look, 0: no longer."""
        if self.is_over:
            return 0
        return None if timeout_ns is None else max(0, timeout_ns + began_ns - system_clock.now_ns())

    def _park(self, left: Callable[[], int | None]) -> None:
        while True:
            waiter = ThreadWaiter()
            self._watchers[waiter] = None
            try:
                left_ns = left()
                if left_ns == 0:
                    return
                waiter.park(system_clock, left_ns)
            finally:
                self._watchers.pop(waiter, None)

    async def _apark(self, left: Callable[[], int | None]) -> None:
        from holdfast.waiting.aio import TaskWaiter

        while True:
            waiter = TaskWaiter()
            self._watchers[waiter] = None
            try:
                left_ns = left()
                if left_ns == 0:
                    return
                await waiter.park(system_clock, left_ns)
            finally:
                self._watchers.pop(waiter, None)

    def look_again(self) -> None:
        """Have those that wait see whether they are to wait any longer."""
        self._wake()

    def _wake(self) -> None:
        for one in list(self._watchers):
            one.wake()
