"""What a bulkhead shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BulkheadSnapshot"]


@dataclass(frozen=True, slots=True)
class BulkheadSnapshot:
    """A bulkhead at one moment (BH-07).

    Attributes:
        active, capacity, utilization: Calls inside, how many may be, and their share.
        queued, queue_capacity, queue_utilization: Calls that wait, how many may, and their
            share; 0.0 where nobody may (D-BH-3).
        available: Places free.
        admitted, completed, rejected, timed_out: Calls since ``reset``; admitted less completed
            less undone are inside. Undone: refused further in, so they never ran.
        waited: Admitted calls that came from the queue.
        over_released: Places given back that were never taken (BH-06).
        observed: Calls, of those admitted, that would have been rejected (mode "observe").
        average_execution_time: Seconds inside, of completed calls; None before the first.
    """

    name: str
    active: int
    capacity: int
    utilization: float
    queued: int
    queue_capacity: int
    queue_utilization: float
    available: int
    admitted: int
    completed: int
    undone: int
    rejected: int
    timed_out: int
    waited: int
    over_released: int
    observed: int
    average_execution_time: float | None
