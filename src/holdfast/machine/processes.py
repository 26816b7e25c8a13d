"""Processes: whether one is there, and which one it is."""

from __future__ import annotations

import os
from typing import NamedTuple

from holdfast.machine.tree import HERE, psutil_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.machine.tree import Tree

__all__ = ["ProcessSeen", "look_at_process"]

_ENDED = "ZXx"  # of the states in /proc/PID/stat: ended, and not yet waited for by its parent


class ProcessSeen(NamedTuple):
    """One look at a process. Immutable.

    Attributes:
        is_alive: Whether it has not ended. A zombie has.
        started: When it started, to compare with another look: a later process may have its pid.
            None if the system hides it.
    """

    is_alive: bool
    started: float | None


def look_at_process(pid: int, tree: Tree = HERE) -> ProcessSeen | None:
    """Return what is known of the process with this pid; None if there is none.

    Raises:
        MissingExtraError: There is no ``/proc``, and psutil is not installed.
    """
    text = tree.text(f"/proc/{pid}/stat")
    if text:
        # The name, in parentheses, may contain any character.
        columns = text.rpartition(")")[2].split()
        return ProcessSeen(columns[0] not in _ENDED, float(columns[19]))
    if tree.text("/proc/self/stat") is None:
        return _by_psutil(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    return ProcessSeen(True, None)


def _by_psutil(pid: int) -> ProcessSeen | None:
    psutil = psutil_for("the look at a process")
    try:
        process = psutil.Process(pid)
        return ProcessSeen(process.status() != psutil.STATUS_ZOMBIE, process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return ProcessSeen(True, None)
