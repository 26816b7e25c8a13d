"""Waiting of threads: for somebody to wake them, or for time to pass on a policy's clock.

Elsewhere: tasks (``aio``, which alone imports asyncio), greenlets (``hubs``), and who is woken when
(``rooms``).
"""

from __future__ import annotations

import time
from _thread import allocate_lock
from contextvars import ContextVar
from threading import TIMEOUT_MAX

from holdfast.clock import ManualClock
from holdfast.waiting.hubs import lock_of_hub, sleep_of_hub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from typing import Any

    from holdfast.clock import Clock

    Scope = Any  # of ``cancelling``, whose module imports this one

__all__ = ["ThreadWaiter", "current", "sleep_ns"]

# Of the operation that this code belongs to, also in the threads and tasks that it has made.
current: ContextVar[Scope | None] = ContextVar("holdfast.scope", default=None)


class ThreadWaiter:
    """One wait of one thread, or of one greenlet of gevent or eventlet.

    Attributes:
        woken: Whether ``wake`` was called, however the wait ended.
        loop: None: a thread needs no event loop to go on.

    Only its thread parks, once; any thread may wake it, at any time and more than once.
    """

    __slots__ = ("_held", "woken")

    loop = None

    def __init__(self) -> None:
        self.woken = False
        self._held = lock_of_hub() or _held_lock()  # released to let the thread go

    def wake(self) -> bool:
        """End the wait, also one that has not begun. Returns True: a thread can always be woken."""
        self.woken = True
        self._release()
        return True

    def park(self, clock: Clock, timeout_ns: int | None, end_ns: int | None = None) -> bool:
        """Wait until woken, or for ``timeout_ns`` on ``clock``; None waits without limit.

        A manual clock that moves by itself is moved to the end of the wait.

        Args:
            clock: Whose time it is.
            timeout_ns: How long.
            end_ns: When that is, if it was reckoned before others could see this wait. Whoever sees
                it may move a manual clock before this thread sleeps: that is part of the wait.

        Returns:
            Whether it was woken; False: time is up.

        Raises:
            Cancelled: The operation that this code belongs to was cancelled; it was not woken.
        """
        scope = current.get()
        if scope is None:
            return self._park(clock, timeout_ns, end_ns)
        scope.enter(self)
        try:
            woken = self._park(clock, timeout_ns, end_ns)
        finally:
            scope.leave(self)
        if not woken:
            scope.check()
        return woken

    def _park(self, clock: Clock, timeout_ns: int | None, end_ns: int | None) -> bool:
        if timeout_ns is None:
            self._held.acquire()
        elif not isinstance(clock, ManualClock):
            self._held.acquire(timeout=min(timeout_ns / 1e9, TIMEOUT_MAX))
        elif not clock.auto:
            self._park_until(clock, clock.now_ns() + timeout_ns if end_ns is None else end_ns)
        elif not self.woken:
            clock.advance_ns(timeout_ns)
        return self.woken

    def park_until(self, clock: Clock, deadline_ns: int) -> bool:
        """Wait until woken, or until ``clock`` shows a time: for work to end, not for time to pass.

        So a manual clock has to be moved by somebody else, also one that moves by itself.

        Returns:
            Whether it was woken; False: it is that time.

        Raises:
            Cancelled: As of ``park``.
        """
        scope = current.get()
        if scope is None:
            return self._work_until(clock, deadline_ns)
        scope.enter(self)
        try:
            woken = self._work_until(clock, deadline_ns, scope)
        finally:
            scope.leave(self)
        if not woken:
            scope.check()
        return woken

    def _work_until(self, clock: Clock, deadline_ns: int, scope: Scope | None = None) -> bool:
        if isinstance(clock, ManualClock):
            self._park_until(clock, deadline_ns)
            return self.woken
        while not self.woken and (left_ns := deadline_ns - clock.now_ns()) > 0:
            if scope is not None and scope.is_in_force():
                break
            self._held.acquire(timeout=min(left_ns / 1e9, TIMEOUT_MAX))
        return self.woken

    def _park_until(self, clock: ManualClock, deadline_ns: int) -> None:
        cancel = clock.call_at_ns(deadline_ns, self._release)
        try:
            self._held.acquire()
        finally:
            cancel()

    def _release(self) -> None:
        try:  # noqa: SIM105 - contextlib is not worth importing for one line
            self._held.release()
        except RuntimeError:
            pass  # released before: woken twice, or woken as time ran out


def _held_lock() -> LockType:
    lock = allocate_lock()
    lock.acquire()
    return lock


def sleep_ns(clock: Clock, ns: int) -> None:
    """Let ``ns`` nanoseconds pass on ``clock``; a manual one that moves by itself is moved on.

    Raises:
        Cancelled: The operation that this code belongs to was cancelled.
    """
    if isinstance(clock, ManualClock) or current.get() is not None:
        ThreadWaiter().park(clock, ns)
    else:
        (sleep_of_hub() or time.sleep)(ns / 1e9)
