"""What a timeout manager shows of itself at one moment: data only."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ActiveOperation", "TimeoutManagerSnapshot", "TimeoutTypeSnapshot"]


@dataclass(frozen=True, slots=True)
class ActiveOperation:
    """An operation that has begun and not ended.

    Attributes:
        kind: The type of the operation.
        id: Its identifier.
        timeout: Seconds that it may take.
        elapsed: Seconds since its begin.
        remaining: Seconds until its deadline, or that of a parent; 0.0 afterwards.
        parent: The identifier of the operation that it is a part of, or None.
        cancelled: Whether it was cancelled, and its code has not come to its end yet.
    """

    kind: str
    id: str
    timeout: float
    elapsed: float
    remaining: float
    parent: str | None
    cancelled: bool


@dataclass(frozen=True, slots=True)
class TimeoutTypeSnapshot:
    """The counts of one type of operation.

    Attributes:
        timeout: Seconds that an operation which begins now may take.
        own: Whether the type has a timeout of its own; else it follows the default.
        active: Operations that have begun and not ended.
        in_time, expired: Completed operations before and after their deadline.
        timeout_rate: The share of expired operations; 0.0 before the first one.
        late: Expired operations whose value arrived and was dropped.
        refused: Operations that never ran because an enclosing deadline had passed.
    """

    timeout: float
    own: bool
    active: int
    in_time: int
    expired: int
    timeout_rate: float
    late: int
    refused: int


@dataclass(frozen=True, slots=True)
class TimeoutManagerSnapshot:
    """The operations and counts of a timeout manager at one moment.

    Attributes:
        name: The name of the manager.
        default: Seconds for types without a timeout of their own.
        warn_above: The number of active operations above which a warning is logged.
        active: The number of active operations.
        most_active: The highest number so far.
        started: Operations that have begun.
        cancelled: Operations that were cancelled.
        types: The counts of each type of operation.
        operations: The active operations, the oldest first.
    """

    name: str
    default: float
    warn_above: int
    active: int
    most_active: int
    started: int
    cancelled: int
    types: Mapping[str, TimeoutTypeSnapshot]
    operations: tuple[ActiveOperation, ...]
