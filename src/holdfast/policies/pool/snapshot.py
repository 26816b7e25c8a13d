"""What a pool shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PoolBulkheadSnapshot"]


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
        stopped: Whether it accepts no more tasks.
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
