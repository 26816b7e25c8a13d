"""File descriptors and threads: how many there are, and how many there may be."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.machine.tree import HERE, psutil_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.machine.tree import Tree

__all__ = ["HandleUse", "descriptor_use", "thread_use"]

_NAMES = {"RLIMIT_NOFILE": "Max open files", "RLIMIT_NPROC": "Max processes"}


class HandleUse(NamedTuple):
    """How many there are, and how many there may be. Immutable."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        """The used share; 1 if the limit is 0."""
        return self.used / self.limit if self.limit else 1.0


def descriptor_use(tree: Tree = HERE) -> HandleUse | None:
    """Return the open file descriptors of this process, and its limit; None: it has no limit.

    Raises:
        MissingExtraError: There is no ``/proc``, and psutil is not installed.
    """
    limit = _limit(tree, "RLIMIT_NOFILE")
    if limit is None:
        return None
    used = tree.entries("/proc/self/fd")
    if used is None:
        return HandleUse(psutil_for("the number of descriptors").Process().num_fds(), limit)
    return HandleUse(max(0, used - 1), limit)  # one was that of the folder


def thread_use(tree: Tree = HERE) -> HandleUse | None:
    """Return the threads, and their limit, where the share is the largest; None: there is no limit.

    A control group counts the threads of all its processes, and so does the system. The limit of a
    user is compared with the threads of this process alone.

    Raises:
        MissingExtraError: There is no ``/proc``, and psutil is not installed.
    """
    found = [*_groups(tree), *_system(tree)]
    limit = _limit(tree, "RLIMIT_NPROC")
    if limit is not None:
        used = tree.table("/proc/self/status").get("Threads")
        if used is None:
            used = psutil_for("the number of threads").Process().num_threads()
        found.append(HandleUse(used, limit))
    return max(found, key=lambda use: use.share) if found else None


def _groups(tree: Tree) -> Iterator[HandleUse]:
    """Yield the use of each control group that has a limit."""
    new, old = tree.groups("pids")
    for folder in new + old:
        limit = tree.number(f"{folder}/pids.max")
        used = tree.number(f"{folder}/pids.current")
        if limit is not None and used is not None:
            yield HandleUse(used, limit)


def _system(tree: Tree) -> Iterator[HandleUse]:
    limit = tree.number("/proc/sys/kernel/threads-max")
    # "0.20 0.18 0.12 1/80 11206": of 80 threads one runs
    words = (tree.text("/proc/loadavg") or "").split()
    _, _, used = words[3].partition("/") if len(words) > 3 else ("", "", "")
    if limit is not None and used.isdecimal():
        yield HandleUse(int(used), limit)


def _limit(tree: Tree, name: str) -> int | None:
    """Return a limit of this process that holds now; None: there is none."""
    for line in (tree.text("/proc/self/limits") or "").splitlines():
        if line.startswith(_NAMES[name]):
            word = line.removeprefix(_NAMES[name]).split()[0]
            return int(word) if word.isdecimal() else None
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    soft, _ = resource.getrlimit(getattr(resource, name))
    return None if soft == resource.RLIM_INFINITY else soft
