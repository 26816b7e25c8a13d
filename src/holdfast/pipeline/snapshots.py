"""What pipelines and pools show of themselves at one moment; see ``policies.snapshots``."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.policies.snapshots import rejected_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.pipeline.pool import PoolBulkhead

__all__ = ["PipelineSnapshot", "PoolBulkheadSnapshot", "pool_snapshot"]


@dataclass(frozen=True, slots=True)
class PipelineSnapshot:
    """The snapshots of a pipeline's policies, outermost first."""

    name: str
    policies: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class PoolBulkheadSnapshot:
    """A pool at one moment (BH-07).

    Attributes:
        workers, active, utilization: Threads it may have, tasks that run, and their share.
        queued, queue_capacity, queue_utilization: Tasks that wait for a thread, how many may,
            and their share; 0.0 where none may (D-BH-3).
        capacity: Tasks it takes at once, running and waiting.
        submitting: Threads that wait in ``submit`` for a place.
        accepted: Tasks since ``reset``; each is completed, cancelled, running or queued.
        completed, failed: Tasks that have run, and those of them that raised.
        cancelled: Tasks given up before they began.
        rejected, timed_out: Tasks refused at once, and after ``max_wait``.
        observed: Tasks taken although they would have been rejected (mode "observe").
        average_execution_time: Seconds that completed tasks ran; None before the first.
        stopped: Whether it takes no more tasks.
    """

    name: str
    workers: int
    active: int
    utilization: float
    queued: int
    queue_capacity: int
    queue_utilization: float
    capacity: int
    submitting: int
    accepted: int
    completed: int
    failed: int
    cancelled: int
    rejected: int
    timed_out: int
    observed: int
    average_execution_time: float | None
    stopped: bool


def pool_snapshot(pool: PoolBulkhead) -> PoolBulkheadSnapshot:
    """Read a pool."""
    crew, (workers, queue_capacity, *_) = pool._crew, pool._settings
    accepted, completed, cancelled, rejected, _, timed_out, _, _, observed, failed, busy_ns = (
        pool._since_reset()
    )
    active, queued = crew.active, crew.queued
    return PoolBulkheadSnapshot(
        name=pool.name,
        workers=workers,
        active=active,
        utilization=active / workers,
        queued=queued,
        queue_capacity=queue_capacity,
        queue_utilization=min(1.0, queued / queue_capacity) if queue_capacity else 0.0,
        capacity=workers + queue_capacity,
        submitting=pool._kernel.waiting(),
        accepted=accepted,
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        rejected=rejected_by(pool, rejected),
        timed_out=timed_out,
        observed=observed,
        average_execution_time=busy_ns / completed / 1e9 if completed else None,
        stopped=crew.stopped,
    )
