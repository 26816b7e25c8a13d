"""Programs that are supervised, and what a test sees of them. Not here: what is tested."""

import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from holdfast.supervision import Exit, ProcessComponent

SECONDS = 30.0

# Each instance holds a lock of the kernel as long as it lives, and writes that another one had it.
ALONE = """
    import fcntl, os, sys, time
    folder = sys.argv[1]
    lock = open(f"{folder}/lock", "a")
    log = os.open(f"{folder}/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.write(log, b"two\\n")
        raise SystemExit(9)
    os.write(log, f"{os.getpid()}\\n".encode())
"""


def program(source: str, *arguments: object) -> list[str]:
    """Return the command that runs Python source, without the site's packages."""
    return [sys.executable, "-I", "-S", "-c", textwrap.dedent(source), *map(str, arguments)]


def wait_until(is_so: Callable[[], object], what: str = "", seconds: float = SECONDS) -> None:
    """Wait for what another process does, which nobody tells."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"not so after {seconds} s: {what or is_so}"
        time.sleep(0.002)


def is_running(pid: int) -> bool:
    """Return whether a process runs: it is there, and no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def in_group(group: int) -> list[int]:
    """Return who runs in a process group."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                columns = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if columns[0] not in "ZX" and int(columns[2]) == group:
                found.append(int(folder.name))
    return found


def files_here() -> set[str]:
    """Return the descriptors of this process, and what each is."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
        except OSError:  # that of the listing
            continue
    return found


def children_here() -> set[str]:
    """Return the children of this process, zombies included, and what each is.

    Those that earlier tests have killed may end at any time: compare with ``<=``.
    """
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                name, _, rest = (folder / "stat").read_text().rpartition(")")
                command = (folder / "cmdline").read_bytes()[:200]
            except OSError:
                continue
            if int(rest.split()[1]) == os.getpid():
                found.add(f"{name}) {command!r}")
    return found


class Watched:
    """A component whose end is awaited."""

    def __init__(self, component: ProcessComponent) -> None:
        self.component = component
        self.exits: list[Exit] = []
        self.told = Event()

    def start(self) -> "Watched":
        """Start it, and note how it ends by itself."""
        self.told.clear()
        self.component.watch(self._tell)
        self.component.start()
        return self

    def _tell(self, ended: Exit) -> None:
        self.exits.append(ended)
        self.told.set()

    def wait(self) -> Exit:
        """Return how it has ended, once it has."""
        assert self.told.wait(SECONDS), "its end was not told"
        return self.exits[-1]
