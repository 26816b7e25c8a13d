"""One process of a component, from its start until nothing of it is left.

Elsewhere: its parts (``spawn``, ``exits``, ``groups``, ``output``), and what ends it if this
process is killed (``guard``).
"""

from __future__ import annotations

import posix
import signal
from contextlib import suppress
from functools import partial

from holdfast.clock import system_clock
from holdfast.supervision.exits import ChildExit
from holdfast.supervision.groups import is_there, signal_group, wait_for
from holdfast.supervision.guard import guard
from holdfast.supervision.originals import start_thread
from holdfast.supervision.output import Stream, writing
from holdfast.supervision.spawn import spawn
from holdfast.supervision.watching import watching
from holdfast.waiting.parking import ThreadWaiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from holdfast.supervision.component import Exit
    from holdfast.supervision.spawn import Plan, Spawned

__all__ = ["Child"]

_DIES_NS = 5_000_000_000  # how long the kernel may take to end what got SIGKILL
_STARTS_NS = 5_000_000_000  # how long a stop waits for a start that has not come to its end


class Child:
    """One process, from its start until nothing of it is left.

    Everything in it belongs to the lock of ``watching``.
    """

    def __init__(
        self,
        name: str,
        plan: Plan,
        told: Callable[[Exit], object] | None,
        last: deque[str],
    ) -> None:
        """Have a process that was not started yet.

        Args:
            name: Of the component, for messages and the log.
            plan: What is started, and how it is stopped.
            told: Called with its end, in a thread, unless ``end`` has begun by then.
            last: Where its last lines are kept.
        """
        self.pid: int | None = None
        self.exit: Exit | None = None
        self.is_stopping = False
        self._name = name
        self._plan = plan
        self._told = told
        self._last = last
        self._child: ChildExit | None = None
        self._streams: list[Stream] = []
        self._is_starting = True
        self._is_group_gone = False
        self._kill_at_ns: int | None = None
        self._waiters: list[ThreadWaiter] = []

    # ---- its start ----

    def start(self) -> None:
        """Start the process. Whatever goes wrong, ``end`` ends what there is."""
        try:
            self._follow(spawn(self._plan))
            if not self._plan.outlives and self.pid is not None:
                guard.add(self.pid)
        finally:
            with watching.lock:
                self._is_starting = False
                self._wake_all()

    def _follow(self, spawned: Spawned) -> None:
        """Watch a process that has just begun, and read what it says."""
        self._last.clear()
        files = dict(spawned.files)
        with watching.lock:
            self.pid = spawned.pid
            try:
                self._child = _watch_or_kill(spawned.pid, self._ended)
                for name in spawned.files:
                    say = partial(writing.put, self._name)
                    self._streams.append(Stream(files[name], name, say, self._last))
                    del files[name]
            finally:
                for fd in files.values():
                    posix.close(fd)

    # ---- its end ----

    def _ended(self, child: ChildExit) -> None:
        """See that the process has ended, by itself or not; the lock is held."""
        self.exit = child.exit
        told, self._told = self._told, None
        if told is not None and not self.is_stopping and child.exit is not None:
            tell = partial(_tell, told, child.exit)
            watching.call_later(partial(start_thread, tell, "holdfast-exit"))
        if child.is_reaped:
            # Nothing keeps its number: what is left of the group is signalled now or never.
            self._is_group_gone = not is_there(child.pid)
            if not self._is_group_gone:
                self._send(child, signal.SIGKILL)
        self._wake_all()

    def signal(self, number: int) -> bool:
        """Send a signal to the group, while nobody else can have its number; the lock is held."""
        child = self._child
        if child is None or not child.has_number():
            return False
        signal_group(child.pid, number)
        return child.exit is None

    def end(self, number: int) -> None:
        """Stop the process and its group: each step is done once, whoever calls this how often.

        Args:
            number: The signal that is sent first.
        """
        self._begin_to_end()
        if not self._wait_until(lambda: not self._is_starting, _now_ns() + _STARTS_NS):
            raise RuntimeError(
                f"component {self._name!r}: its start has not come to its end, so it may run"
            )
        if self._child is not None:
            self._end_group(self._child, number)
        self._clean_up()

    def _begin_to_end(self) -> None:
        with watching.lock:
            self.is_stopping = True
            self._told = None

    def _end_group(self, child: ChildExit, number: int) -> None:
        kill_at_ns = self._ask_to_end(child, number)
        self._wait_until(lambda: child.exit is not None, kill_at_ns)
        if child.exit is None:
            self._kill(child)
            if not self._wait_until(lambda: child.exit is not None, _now_ns() + _DIES_NS):
                raise self._immortal()
        # Now the number is kept only by those of the group who still run, if any does.
        child.reap()
        if self._is_group_gone or wait_for(child.pid, kill_at_ns):
            return
        self._kill(child)
        if not wait_for(child.pid, _now_ns() + _DIES_NS):
            raise self._immortal()

    def _ask_to_end(self, child: ChildExit, number: int) -> int:
        """Send the first signal, once; return when the second is due, on the system's clock."""
        with watching.lock:
            if self._kill_at_ns is None:
                self._kill_at_ns = _now_ns() + self._plan.kill_after_ns
                if child.has_number():
                    self._send(child, number)
                    self._send(child, signal.SIGCONT)  # or it would not see it while it is stopped
            return self._kill_at_ns

    def _kill(self, child: ChildExit) -> None:
        with watching.lock:
            if child.has_number():
                self._send(child, signal.SIGKILL)

    def _send(self, child: ChildExit, number: int) -> None:
        try:
            signal_group(child.pid, number)
        except PermissionError:  # some systems say so of a group of zombies as well
            if child.exit is None:
                raise

    def _immortal(self) -> RuntimeError:
        return RuntimeError(
            f"component {self._name!r}: a process of the group {self.pid} still runs"
            f" {_DIES_NS // 10**9} seconds after SIGKILL"
        )

    def _clean_up(self) -> None:
        """Let go what was kept for the process, once its group is gone."""
        if self._child is not None:
            self._child.close()
        for stream in self._streams:
            stream.close()
        if self.pid is not None:
            guard.remove(self.pid)
        with watching.lock:
            self._is_group_gone = True
        writing.flush()
        watching.settle()

    def leave(self) -> None:
        """In a forked child: close the copies of the files; nothing else of it is here."""
        for one in (self._child, *self._streams):
            if one is not None:
                one.leave()

    # ---- waiting ----

    def _wait_until(self, is_so: Callable[[], bool], until_ns: int) -> bool:
        """Wait until something is so, or until a time of the system; return whether it is."""
        while True:
            waiter = ThreadWaiter()
            with watching.lock:
                if is_so():
                    return True
                left_ns = until_ns - _now_ns()
                if left_ns <= 0:
                    return False
                self._waiters.append(waiter)
            try:
                waiter.park(system_clock, left_ns)
            finally:
                with watching.lock:
                    self._waiters.remove(waiter)

    def _wake_all(self) -> None:
        for waiter in self._waiters:
            waiter.wake()


def _watch_or_kill(pid: int, ended: Callable[[ChildExit], object]) -> ChildExit:
    try:
        return ChildExit(pid, ended)
    except BaseException:
        signal_group(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            posix.waitpid(pid, 0)
        raise


def _tell(told: Callable[[Exit], object], ended: Exit) -> None:
    """In a thread of its own: the listener may wait, or raise."""
    try:
        told(ended)
    except Exception:
        from logging import getLogger

        getLogger("holdfast.supervision").exception("a listener for the end of a process raised")


def _now_ns() -> int:
    return system_clock.now_ns()
