"""What a bulkhead shows of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["BulkheadSnapshot"]


@dataclass(frozen=True, slots=True)
class BulkheadSnapshot:
    """The occupation and counts of a bulkhead at one moment.

    Attributes:
        active, capacity, utilization: Running calls, the number of slots, and their ratio.
        queued, queue_capacity, queue_utilization: Waiting calls, how many may wait, and the
            ratio; 0.0 if no call may wait.
        available: Free slots.
        admitted, completed, rejected, timed_out: Calls since ``reset``. Running calls are
            admitted less completed less undone.
        undone: Calls that an inner policy refused, so they never ran.
        waited: Admitted calls that came from the queue.
        over_released: Calls of ``leave`` without a slot.
        observed: Admitted calls that would have been rejected (mode "observe").
        average_execution_time: Average seconds that completed calls ran; None before the first.
    """

    kind: str = field(default="bulkhead", init=False)
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
