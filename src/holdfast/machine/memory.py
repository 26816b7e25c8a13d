"""Memory: how much this process may use, how much is used, and how much is free."""

from __future__ import annotations

import os
from typing import NamedTuple

from holdfast.machine.tree import HERE, psutil_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.machine.tree import Tree

__all__ = ["MemoryUse", "free_memory", "memory_use"]

_MEMINFO = "/proc/meminfo"
# Of both versions of control groups: the files of the limit and of the usage, and the name of what
# the kernel can give back without writing anything, in the file memory.stat.
_FILES = (
    ("cgroup v2", "memory.max", "memory.current", "inactive_file"),
    ("cgroup v1", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


class MemoryUse(NamedTuple):
    """How much memory is used of a limit, in bytes. Immutable."""

    used: int
    limit: int
    source: str

    @property
    def share(self) -> float:
        """The used share; 1 if the limit is 0."""
        return self.used / self.limit if self.limit else 1.0


def memory_use(tree: Tree = HERE) -> MemoryUse:
    """Return the memory in use, and its limit.

    The limit is that of the control groups of version 2, then that of version 1, then the memory
    of the machine. Of several groups, one within the other, the fullest counts. The page cache
    that the kernel can drop is not in use, as in the "working set" of Kubernetes.

    Raises:
        MissingExtraError: There is no ``/proc``, and psutil is not installed.
    """
    machine = _machine(tree)
    for version in _FILES:
        found = [
            MemoryUse(
                max(0, usage - tree.table(f"{folder}/memory.stat").get(version[3], 0)),
                limit,
                version[0],
            )
            for folder, limit, usage in _limited(tree, version)
            if limit < machine.limit  # a greater one limits nothing, such as "none" of version 1
        ]
        if found:
            return max(found, key=lambda use: use.share)
    return machine


def free_memory(tree: Tree = HERE) -> int:
    """Return how many bytes this process can use before the system has to kill or swap.

    It includes the limits of its control groups, such as those of a container.
    """
    free = _available(tree)
    for version in _FILES:
        for _, limit, usage in _limited(tree, version):
            free = min(free, max(0, limit - usage))
    return free


def _limited(tree: Tree, version: tuple[str, str, str, str]) -> Iterator[tuple[str, int, int]]:
    """Yield each group that has a limit: its folder, the limit and the usage in bytes."""
    new, old = tree.groups("memory")
    for folder in new if version is _FILES[0] else old:
        limit = tree.number(f"{folder}/{version[1]}")
        usage = tree.number(f"{folder}/{version[2]}")
        if limit is not None and usage is not None:
            yield folder, limit, usage


def _machine(tree: Tree) -> MemoryUse:
    found = tree.table(_MEMINFO)
    if "MemTotal" in found:
        old_kernel = sum(found.get(name, 0) for name in ("MemFree", "Buffers", "Cached"))
        free = found.get("MemAvailable", old_kernel)
        return MemoryUse(max(0, found["MemTotal"] - free), found["MemTotal"], "system")
    memory = psutil_for("the memory in use").virtual_memory()
    return MemoryUse(memory.total - memory.available, memory.total, "system")


def _available(tree: Tree) -> int:
    available = tree.table(_MEMINFO).get("MemAvailable")
    if available is not None:
        return available
    # No Linux, or one of before 2014. Memory that the system would give back is not included.
    name = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
