"""The end of this process: managers that run clean what they have.

A child of multiprocessing ends without the functions of ``atexit``, up to Python 3.14; it calls
finalizers of its own. A process that is killed, or calls ``os._exit``, calls nobody.
"""

from __future__ import annotations

import atexit
import os
import sys
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["not_at_end", "stop_at_end"]

_running: WeakSet[Any] = WeakSet()  # of ResourceManager, whose module imports this one
_minded = 0  # the pid of the child of multiprocessing whose end is known to come


def stop_at_end(manager: Any) -> None:
    """Have a manager stopped at the end of this process."""
    _running.add(manager)
    _mind_multiprocessing()


def not_at_end(manager: Any) -> None:
    """Have nothing done at the end: a manager was stopped, or is that of a parent process."""
    _running.discard(manager)


def _mind_multiprocessing() -> None:
    global _minded  # noqa: PLW0603 - one for each process
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None or _minded == os.getpid():
        return
    from multiprocessing.util import Finalize

    Finalize(None, _stop_all, exitpriority=0)
    _minded = os.getpid()


def _stop_all() -> None:
    for manager in list(_running):
        manager.stop(manager._limit_ns / 1e9)


atexit.register(_stop_all)
