"""One thread that waits for everything of all processes: for their ends, and for their output.

It runs no code of users. It begins with the first file that is watched, and ends with the last.
Elsewhere: what the files are (``exits``, ``output``).
"""

from __future__ import annotations

import posix
from contextlib import suppress
from threading import current_thread

from holdfast.clock import system_clock
from holdfast.forks import call_in_child
from holdfast.locks import RLock
from holdfast.supervision.originals import original, start_thread
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread
    from typing import Any

__all__ = ["Watching", "watching"]

_READABLE = 1  # POLLIN and EPOLLIN; an end is always told
_LEAVE_NS = 1_000_000_000
_AGAIN_SECONDS = 0.02


class Watching:
    """Files by descriptor, each with what is called when it can be read or has ended.

    Attributes:
        lock: Of everything that the functions touch. They run with it held, so a file that was
            removed with the lock held is not touched any more. Re-entrant, and one of the system:
            no greenlet is switched to while it is held.

    Safe to share between threads and greenlets.
    """

    __slots__ = ("_files", "_later", "_leavers", "_poller", "_running", "_thread", "_wake", "lock")

    def __init__(self) -> None:
        self.lock = RLock(original("_thread", "RLock"))
        self._files: dict[int, Callable[[], object]] = {}
        self._later: list[Callable[[], object]] = []
        self._leavers: list[ThreadWaiter] = []
        self._poller: Any = None
        self._wake: tuple[int, int] | None = None
        self._thread: Thread | None = None
        self._running = False

    def add(self, fd: int, ready: Callable[[], object]) -> None:
        """Have ``ready`` called, with the lock held, while the file can be read or has ended.

        It may also be called without a reason.

        Raises:
            RuntimeError: No thread can be started.
            OSError: No descriptor is left.
        """
        with self.lock:
            if self._wake is None:
                self._open()
            self._files[fd] = ready
            try:
                self._poller.register(fd, _READABLE)
                self._go_on()
            except BaseException:
                self._files.pop(fd, None)
                if not self._running:
                    self._close()
                raise

    def remove(self, fd: int) -> None:
        """Call nothing any more for a file, which may be closed afterwards."""
        with self.lock:
            if self._files.pop(fd, None) is not None:
                self._poller.unregister(fd)
                self._nudge()

    def call_later(self, function: Callable[[], object]) -> None:
        """Call a short function in the thread, without the lock, which is held now."""
        self._later.append(function)
        if self._wake is None:
            self._open()
        self._go_on()

    def settle(self) -> None:
        """If no file is left, wait until the thread has ended: a second at most."""
        me = current_thread()
        waiter = ThreadWaiter()
        with self.lock:
            thread = self._thread
            if self._files:
                return
            if self._running:
                self._leavers.append(waiter)
            else:
                waiter.wake()
        if waiter.park(system_clock, _LEAVE_NS) and thread is not None and thread is not me:
            thread.join(_LEAVE_NS / 1e9)

    # ---- with the lock held ----

    def _open(self) -> None:
        self._wake = posix.pipe()
        for fd in self._wake:
            posix.set_blocking(fd, False)
        self._poller = _poller()
        self._poller.register(self._wake[0], _READABLE)

    def _close(self) -> None:
        if self._wake is not None:
            for fd in self._wake:
                posix.close(fd)
        if hasattr(self._poller, "close"):
            self._poller.close()
        self._poller = self._wake = None

    def _go_on(self) -> None:
        """Have the thread look again; begin it if it does not run."""
        if self._running:
            self._nudge()
        else:
            self._thread = start_thread(self._run, "holdfast-processes")
            self._running = True

    def _nudge(self) -> None:
        if self._wake is not None:
            with suppress(BlockingIOError):  # it is full: the thread will look
                posix.write(self._wake[1], b"!")

    # ---- in the thread ----

    def _run(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        with self.lock:
            later, self._later = self._later, []
            if not self._files and not later:
                self._running = False
                self._close()
                for waiter in self._leavers:
                    waiter.wake()
                self._leavers.clear()
                return False
            poller = self._poller
        for function in later:
            try:
                function()
            except RuntimeError:  # no thread can be started: it is tried again
                with self.lock:
                    self._later.append(function)
                original("time", "sleep")(_AGAIN_SECONDS)
        if later:
            return True
        for fd, _ in poller.poll():
            with self.lock:
                if self._wake is not None and fd == self._wake[0]:
                    posix.read(fd, 4096)
                elif (ready := self._files.get(fd)) is not None:
                    ready()
        return True

    def leave(self) -> None:
        """In a forked child: close the copies of the files of the thread, which is not here."""
        self._close()
        self.__init__()  # type: ignore[misc]


def _poller() -> Any:
    try:
        return original("select", "epoll")()
    except AttributeError:  # not on Linux
        return original("select", "poll")()


watching = Watching()
call_in_child(watching.leave)
