"""Waiting for the end of processes that are not our children, without sleeping."""

import os
import select
from collections.abc import Callable

SECONDS = 30


def watch(pid: int) -> Callable[[], bool]:
    """Return what blocks until the process has ended, also when nobody reaps it; False: too long.

    Watch it while it lives: a process that is gone cannot be watched.
    """
    if hasattr(os, "pidfd_open"):
        pidfd = os.pidfd_open(pid)

        def ended() -> bool:
            ready, _, _ = select.select([pidfd], [], [], SECONDS)
            os.close(pidfd)
            return bool(ready)

        return ended

    queue = select.kqueue()
    exits = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
    queue.control([exits], 0)

    def ended() -> bool:
        ready = queue.control(None, 1, SECONDS)
        queue.close()
        return bool(ready)

    return ended
