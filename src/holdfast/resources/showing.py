"""What a resource manager shows: its snapshot, made of the figures of its kinds."""

from __future__ import annotations

import gc
import os
import threading

from holdfast.machine.tree import HERE
from holdfast.records import takes
from holdfast.resources.kinds import OPERATION
from holdfast.resources.news import KIND
from holdfast.resources.snapshot import KindSnapshot, ResourcesSnapshot, SystemSnapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.resources.resource import Tally

    Manager = Any  # ResourceManager, which stands above

__all__ = ["snapshot_of", "wants_statistics"]


def wants_statistics() -> bool:
    """Return whether a logger takes the statistics."""
    return takes("resource_statistics", KIND)


def snapshot_of(manager: Manager) -> ResourcesSnapshot:
    """Return what a manager shows at this moment."""
    tallies = manager._tallies.copy()
    operations: dict[str, int] = {}
    for one in manager.resources() if tallies[OPERATION].figures.active else ():
        if one.kind == OPERATION:
            kind = one.metadata.get(OPERATION, OPERATION)
            operations[kind] = operations.get(kind, 0) + one.amount
    every = manager._all
    return ResourcesSnapshot(
        name=manager.name,
        running=manager.running,
        accepts=manager._accepts,
        registered=every.active,
        max_resources=every.limit,
        refused=every.refused,
        kinds={kind: _kind(of) for kind, of in tallies.items()},
        operations=operations,
        system=_system(),
        callback_failures=manager._listeners.raised,
    )


def _kind(of: Tally) -> KindSnapshot:
    registered = of.registered()
    figures, last_ns = of.figures, of.last_cleanup_ns
    return KindSnapshot(
        resource=of.kind,
        registered=registered,
        active=figures.active,
        limit=figures.limit,
        created=figures.created,
        cleaned=figures.cleaned,
        unregistered=figures.released,
        collected=figures.collected,
        refused=figures.refused,
        leaks=figures.leaks,
        cleanup_errors=figures.cleanup_errors,
        last_cleanup=None if last_ns is None else last_ns / 1e9,
    )


def _system() -> SystemSnapshot:
    stats = gc.get_stats()
    return SystemSnapshot(
        threads=threading.active_count(),
        memory=_resident(),
        gc_objects=sum(gc.get_count()),
        gc_collections=sum(one["collections"] for one in stats),
        gc_uncollectable=sum(one["uncollectable"] for one in stats),
    )


def _resident() -> int | None:
    columns = (HERE.text("/proc/self/statm") or "").split()
    return int(columns[1]) * os.sysconf("SC_PAGE_SIZE") if len(columns) > 1 else None
