"""Waits until the other threads of this process sleep, as a fork in C needs.

In the child a thread that ran Python would hold the interpreter's lock for ever; where there is
none, the collector would wait for it for ever.
"""

from pathlib import Path
from threading import Event, get_native_id


def until_others_sleep():
    """Return once no other thread has run for a while; one that waits for the lock does."""
    before = None
    while (now := list(_switches())) != before or None in now:
        before = now
        Event().wait(0.05)


def _switches():
    """How often each other thread has run so far; None for one that runs, or has just ended."""
    for task in Path("/proc/self/task").iterdir():
        if task.name != str(get_native_id()):
            try:
                status = (task / "status").read_text()
            except OSError:
                yield None
            else:
                yield status.split("ctxt_switches")[1:] if "State:\tS" in status else None
