"""Process groups: their signals, who is in them, and whether one is gone.

The number of a group belongs to no other process and no other group while one process is in it.
Its leader is kept as a zombie (``exits``) until nothing has to be signalled any more.
"""

from __future__ import annotations

import os
import posix
from contextlib import suppress
from functools import partial

from holdfast.clock import system_clock
from holdfast.supervision.exits import open_pidfd
from holdfast.supervision.watching import watching
from holdfast.waiting.parking import ThreadWaiter, sleep_ns

__all__ = ["is_there", "members", "signal_group", "wait_for"]

_ENDED = b"ZXx"
_LOOK_AGAIN_NS = 20_000_000


def signal_group(group: int, number: int) -> None:
    """Send a signal to every process of a group; nothing happens if there is none.

    Raises:
        PermissionError: All of them belong to another user.
    """
    with suppress(ProcessLookupError):
        posix.killpg(group, number)


def is_there(group: int) -> bool:
    """Return whether any process is in a group, zombies included."""
    try:
        posix.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def members(group: int) -> list[int] | None:
    """Return who is in a group and runs; None where the system has no ``/proc``."""
    try:
        names = os.listdir("/proc")
    except FileNotFoundError:
        return None
    found = [int(name) for name in names if name.isdecimal() and _runs_in(name, group)]
    return found if found or "self" in names else None


def _runs_in(pid: str, group: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read(1024)
    except OSError:  # it has ended
        return False
    # The name, in parentheses, may contain any character; then: state, parent, group.
    columns = text.rpartition(b")")[2].split(None, 3)
    return len(columns) > 2 and columns[0] not in _ENDED and int(columns[2]) == group


def wait_for(group: int, until_ns: int) -> bool:
    """Wait until nobody runs in a group whose leader has ended, or until a time of the system.

    Returns:
        Whether nobody does.
    """
    while is_there(group):
        running = members(group)
        if running is not None and not running:
            return True  # zombies only, whose parents have not looked yet
        left_ns = until_ns - system_clock.now_ns()
        if left_ns <= 0:
            return False
        if running is None or not _wait_for_all(running, left_ns):
            sleep_ns(system_clock, min(left_ns, _LOOK_AGAIN_NS))
    return True


def _wait_for_all(pids: list[int], limit_ns: int) -> bool:
    """Wait until all of some processes have ended; return False where that is not told."""
    waiter = ThreadWaiter()
    waited_for: set[int] = set()

    def ended(fd: int) -> None:
        watching.remove(fd)
        waited_for.discard(fd)
        if not waited_for:
            waiter.wake()

    opened: list[int] = []
    try:
        for pid in pids:
            fd = open_pidfd(pid)
            if fd is None:
                return False
            if fd >= 0:
                opened.append(fd)
        waited_for.update(opened)
        for fd in opened:
            watching.add(fd, partial(ended, fd))
        if opened:
            waiter.park(system_clock, limit_ns)
        return True
    finally:
        with watching.lock:
            for fd in opened:
                watching.remove(fd)
                posix.close(fd)
