"""The guard: a process that ends the others if this one ends without having ended them.

Whatever ends this process, kill -9 included, ends the pipe from which the guard reads which
process groups there are. It then sends SIGKILL to each. It is a shell, which takes a millisecond to
start and a megabyte, and lives as long as there are groups. Elsewhere: the groups (``groups``).
"""

from __future__ import annotations

import posix
from functools import partial

from holdfast.clock import system_clock
from holdfast.forks import call_in_child
from holdfast.locks import RLock
from holdfast.supervision.exits import ChildExit
from holdfast.supervision.originals import original, original_module, start_thread
from holdfast.supervision.watching import watching
from holdfast.waiting.parking import ThreadWaiter

__all__ = ["Guard", "guard"]

_LEAVE_NS = 2_000_000_000
_LASTING_NS = 1_000_000_000  # one that ends sooner is not started again for nothing
# Each line is "+" or "-" and the number of a group.
_SCRIPT = """
trap '' HUP INT QUIT TERM
groups=' '
while read -r what group; do
  case $what in
    +) groups="$groups$group " ;;
    -) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
"""


class Guard:
    """The guard of this process, if it needs one. Safe to share between threads and greenlets."""

    __slots__ = ("_child", "_groups", "_lock", "_pipe", "_since_ns", "_waiters", "_warned")

    def __init__(self) -> None:
        self._lock = RLock(original("_thread", "RLock"))
        self._groups: set[int] = set()
        self._child: ChildExit | None = None
        self._pipe: int | None = None
        self._since_ns = 0
        self._waiters: list[ThreadWaiter] = []
        self._warned = False

    @property
    def pid(self) -> int | None:
        """The process that guards, if there is one."""
        return None if self._child is None else self._child.pid

    def add(self, group: int) -> None:
        """Have a group killed if this process ends before ``remove``."""
        with self._lock:
            self._groups.add(group)
            if self._child is None or self._child.exit is not None or not self._say("+", group):
                self._start()

    def remove(self, group: int) -> None:
        """Forget a group, which is gone. With the last one, the guard ends."""
        child = None
        with self._lock:
            if group not in self._groups:
                return
            self._groups.discard(group)
            is_guarded = self._say("-", group)
            if not self._groups:
                child = self._leave()
            elif not is_guarded:
                self._start()
        if child is not None:
            self._wait(child)

    def _start(self) -> None:
        """Start a guard, which is told of all groups."""
        self._leave()
        subprocess = original_module("subprocess")
        devnull = subprocess.DEVNULL
        reads = -1
        try:
            reads, self._pipe = posix.pipe()
            process = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "holdfast-guard"],
                stdin=reads,
                stdout=devnull,
                stderr=devnull,
                cwd="/",
                start_new_session=True,
            )
            process.returncode = 0  # whoever looks at its end is not this object
            self._since_ns = system_clock.now_ns()
            self._child = ChildExit(process.pid, self._ended)
        except (OSError, RuntimeError) as error:
            self._leave()
            if not self._warned:
                self._warned = True
                from holdfast.events import warn

                warn(
                    "no guard can be started, so supervised processes would outlive a killed"
                    " supervisor: %s",
                    error,
                )
            return
        finally:
            if reads >= 0:
                posix.close(reads)
        for group in self._groups:
            self._say("+", group)

    def _say(self, what: str, group: int) -> bool:
        """Tell the guard, if there is one; False: it was killed, which nobody has noticed yet."""
        if self._pipe is not None:
            try:
                posix.write(self._pipe, f"{what} {group}\n".encode())
            except OSError:
                self._leave()
                return False
        return True

    def _leave(self) -> ChildExit | None:
        """Let the guard end, and return it."""
        pipe, self._pipe = self._pipe, None
        child, self._child = self._child, None
        if pipe is not None:
            posix.close(pipe)
        return child

    def _wait(self, child: ChildExit) -> None:
        """Wait until the guard has ended, which has nothing to do any more."""
        until_ns = system_clock.now_ns() + _LEAVE_NS
        while (left_ns := until_ns - system_clock.now_ns()) > 0:
            waiter = ThreadWaiter()
            with watching.lock:
                if child.exit is not None:
                    return
                self._waiters.append(waiter)
            waiter.park(system_clock, left_ns)

    def _ended(self, child: ChildExit) -> None:
        """With the lock of ``watching`` held, which nobody waits for with: see to its end."""
        child.reap()
        child.close()
        for waiter in self._waiters:
            waiter.wake()
        self._waiters.clear()
        if child is self._child and system_clock.now_ns() - self._since_ns > _LASTING_NS:
            watching.call_later(partial(start_thread, self._revive, "holdfast-guard"))

    def _revive(self) -> None:
        """In a thread: somebody has killed the guard, so start another one."""
        with self._lock:
            if self._groups and (self._child is None or self._child.exit is not None):
                self._start()

    def leave(self) -> None:
        """In a forked child: the groups are its parent's, and so is the guard."""
        if self._pipe is not None:
            posix.close(self._pipe)
        self.__init__()  # type: ignore[misc]


guard = Guard()
call_in_child(guard.leave)
