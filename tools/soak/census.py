"""What this process has: threads, tasks, open files, processes and memory.

Taken before and after a run, it shows what the run has left behind.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

MARK = "HOLDFAST_SOAK"
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Census:
    """What there is at one moment."""

    threads: Counter[str]
    files: Counter[str]
    processes: Counter[str]

    def leaked_since(self, before: Census) -> list[str]:
        """Return what is here that was not there before, a line each; nothing is best."""
        return [
            f"{number} more {what}: {name}"
            for what, here, there in (
                ("thread", self.threads, before.threads),
                ("open file", self.files, before.files),
                ("process", self.processes, before.processes),
            )
            for name, number in (here - there).items()
        ]


def mark() -> str:
    """Mark this process and all that it will start, so that none of them is overlooked.

    A process whose parent has died is a child of process 1, and nobody's by its parent's number.
    """
    return os.environ.setdefault(MARK, uuid.uuid4().hex)


def census() -> Census:
    """Look."""
    gc.collect()
    return Census(_threads(), _files(), _marked())


def settled(before: Census, within: float = 10.0) -> list[str]:
    """Return what was left behind, once what is ending has had time to end."""
    until = time.monotonic() + within
    while True:
        leaked = census().leaked_since(before)
        if not leaked or time.monotonic() > until:
            return leaked
        time.sleep(0.1)


def resident() -> int:
    """Return how many bytes of memory this process has, without what only waits for reuse."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return resident_of(os.getpid())


def resident_of(pid: int) -> int:
    """Return how many bytes of memory a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


class Memory:
    """Whether this process grows: its memory early on, and at the end.

    Args:
        seconds: How long the run takes. The first fifth, but 10 seconds at least, is warming up.
    """

    MOST = 0.05

    def __init__(self, seconds: float) -> None:
        self._warm_at = time.monotonic() + max(10.0, seconds / 5)
        self._seconds = seconds
        self._next_at = self._warm_at
        self.early: int | None = None
        self.last: int | None = None

    def look(self) -> None:
        """Look again, if it is time to."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + 5.0
        self.last = resident()
        if self.early is None:
            self.early = self.last

    def judge(self) -> list[str]:
        """Return what is wrong: growth by more than a twentieth."""
        if self.early is None:
            return []  # too short a run to say anything
        self.last = resident()
        growth = self.last / self.early - 1
        return [f"memory has grown by {growth:.1%}"] if growth > self.MOST else []

    def __str__(self) -> str:
        if self.early is None or self.last is None:
            return "memory: too early to say"
        return f"memory {self.last / 1e6:.1f} MB, {self.last / self.early - 1:+.1%}"


def _threads() -> Counter[str]:
    known = {thread.native_id: thread.name for thread in threading.enumerate()}
    return Counter(known.get(int(number), "native") for number in os.listdir("/proc/self/task"))


def _files() -> Counter[str]:
    files: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue  # that of this very list
        # The number of a socket says nothing, and it is another one each time.
        files[target.partition(":[")[0]] += 1
    return files


def _marked() -> Counter[str]:
    wanted = f"{MARK}={os.environ.get(MARK, '')}".encode()
    found: Counter[str] = Counter()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                found[line] += 1
            elif _parent(entry) == os.getpid():
                found[(entry / "comm").read_text().strip()] += 1
        except OSError:
            continue  # it has ended, or it is somebody else's
    return found


def _parent(entry: Path) -> int:
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
