"""What is free on this machine: memory, room on a disk, processors."""

from __future__ import annotations

import os

__all__ = ["free_disk", "free_memory", "processors"]

_CGROUPS = "/sys/fs/cgroup"
_OWN_GROUPS = "/proc/self/cgroup"
# Of both versions of control groups: the file of the limit, and that of the usage.
_LIMITS = (
    ("", "memory.max", "memory.current"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_disk(path: str) -> int:
    """Return how many bytes this user can still write to the file system of ``path``."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def free_memory() -> int:
    """Return how many bytes this process can use before the system has to kill or swap.

    The limits of its control groups, such as those of a container, count as well.
    """
    free = _available()
    for folder, limit_file, usage_file in _limited_groups():
        limit, usage = (_number(f"{folder}/{name}") for name in (limit_file, usage_file))
        if limit is not None and usage is not None:
            free = min(free, max(0, limit - usage))
    return free


def _available() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    # No Linux, or one of before 2014. Memory that the system would give back is not included.
    name = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")


def _limited_groups() -> list[tuple[str, str, str]]:
    """Return the folders of the control groups that this process is in, from the root down."""
    try:
        with open(_OWN_GROUPS, encoding="utf-8") as lines:
            groups = [line.rstrip("\n").split(":", 2) for line in lines]
    except OSError:
        return []
    found = []
    for _, controllers, path in groups:
        for controller, limit, usage in _LIMITS:
            if controller in controllers.split(","):
                parts = path.strip("/").split("/")
                base = f"{_CGROUPS}/{controller}".rstrip("/")
                # A container may see a path of its host: the folders that it has are the limits.
                folders = {"/".join([base, *parts[:n]]).rstrip("/") for n in range(len(parts) + 1)}
                found += [(folder, limit, usage) for folder in sorted(folders)]
    return found


def _number(path: str) -> int | None:
    """Return the number in a file; None if there is none, or it is ``max``."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
