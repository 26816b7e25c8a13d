"""What a pool shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["PoolBulkheadSnapshot"]


@dataclass(frozen=True, slots=True)
class PoolBulkheadSnapshot:
    """The occupation and counts of a pool at one moment.

    Attributes:
        workers, active, utilization: The number of threads, running tasks, and their ratio.
        queued, queue_capacity, queue_utilization: Waiting tasks, how many may wait, and the
            ratio; 0.0 if no task may wait.
        capacity: Tasks that the pool accepts at the same time, running and waiting.
        submitting: Threads that wait in ``submit`` for a place.
        accepted: Tasks since ``reset``. Each is completed, cancelled, running or queued.
        completed, failed: Tasks that have run, and those among them that raised.
        cancelled: Tasks that were cancelled before they started.
        rejected, timed_out: Tasks rejected immediately, and after ``max_wait``.
        observed: Accepted tasks that would have been rejected (mode "observe").
        average_execution_time: Average seconds that completed tasks ran; None before the first.
        stopped: Whether the pool accepts no more tasks.
    """

    kind: str = field(default="pool_bulkhead", init=False)
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
