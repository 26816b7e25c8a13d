"""Processors: how many this process may use, and how busy they were between two looks."""

from __future__ import annotations

import os
from typing import NamedTuple

from holdfast.clock import system_clock
from holdfast.machine.tree import HERE, psutil_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.machine.tree import Tree

__all__ = ["ProcessorLook", "ProcessorUse", "look_at_processors", "processors", "use_between"]

_IDLE = {3, 4}  # the columns "idle" and "iowait" of /proc/stat
_GUEST = 8  # from this column on: time that the columns before include


class ProcessorUse(NamedTuple):
    """How busy processors were. Immutable.

    Attributes:
        share: The used share of what may be used, from 0.
        processors: The number of processors that may be used, also a fraction.
        source: "cgroup v2", "cgroup v1" or "system".
    """

    share: float
    processors: float
    source: str


class ProcessorLook(NamedTuple):
    """The counters of processor time at one moment. Immutable.

    Attributes:
        at_ns: The time of the look.
        groups: By folder, of each control group with a quota: the source, the used seconds, and
            the quota in processors.
        busy: The time that the processors worked, in any unit.
        total: All the time of the processors, in the same unit.
    """

    at_ns: int
    groups: dict[str, tuple[str, float, float]]
    busy: float
    total: float


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def look_at_processors(tree: Tree = HERE) -> ProcessorLook:
    """Read the counters of processor time of this process's control groups and of the machine.

    Raises:
        MissingExtraError: There is no ``/proc``, and psutil is not installed.
    """
    most = processors()
    groups = {
        folder: (source, used, quota)
        for folder, source, used, quota in _groups(tree)
        if quota < most  # a greater quota limits nothing
    }
    busy, total = _machine(tree)
    return ProcessorLook(system_clock.now_ns(), groups, busy, total)


def use_between(old: ProcessorLook, new: ProcessorLook) -> ProcessorUse | None:
    """Return how busy the processors were between two looks; None if no time was counted.

    Of several control groups with a quota, one within the other, the busiest counts. Without any,
    the processors of the machine count that this process may use.
    """
    seconds = (new.at_ns - old.at_ns) / 1e9
    found = [
        ProcessorUse(max(0.0, used - old.groups[folder][1]) / (seconds * quota), quota, source)
        for folder, (source, used, quota) in new.groups.items()
        if folder in old.groups and seconds > 0
    ]
    if found:
        return max(found)
    total = new.total - old.total
    if new.groups or total <= 0:
        return None
    return ProcessorUse(max(0.0, (new.busy - old.busy) / total), float(processors()), "system")


def _groups(tree: Tree) -> Iterator[tuple[str, str, float, float]]:
    """Yield each group that has a quota: its folder, source, used seconds and quota."""
    new, old = tree.groups("cpu")
    for folder in new:
        words = (tree.text(f"{folder}/cpu.max") or "").split()
        used = tree.table(f"{folder}/cpu.stat").get("usage_usec")
        if len(words) != 2 or used is None or not all(map(str.isdecimal, words)):
            continue  # such as "max 100000"
        share, of = map(int, words)
        if share and of:
            yield folder, "cgroup v2", used / 1e6, share / of
    for folder in old:
        quota = tree.number(f"{folder}/cpu.cfs_quota_us")
        period = tree.number(f"{folder}/cpu.cfs_period_us")
        used = tree.number(f"{folder}/cpuacct.usage")
        if used is None:  # the other controller has its own tree
            used = tree.number(folder.replace("/cpu", "/cpuacct", 1) + "/cpuacct.usage")
        if quota is not None and quota > 0 and period and used is not None:
            yield folder, "cgroup v1", used / 1e9, quota / period


def _machine(tree: Tree) -> tuple[float, float]:
    """Return how long the processors that this process may use worked, and all their time."""
    rows: dict[str, list[int]] = {}
    for line in (tree.text("/proc/stat") or "").splitlines():
        if line.startswith("cpu"):
            name, *columns = line.split()
            rows[name] = [int(column) for column in columns[:_GUEST]]
    if "cpu" in rows:
        mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
        own = [rows[name] for n in mine if (name := f"cpu{n}") in rows] or [rows["cpu"]]
        total = sum(map(sum, own))
        return total - sum(row[n] for row in own for n in _IDLE if n < len(row)), total
    times = psutil_for("the use of processors").cpu_times()
    spent = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return spent - times.idle - getattr(times, "iowait", 0.0), spent
