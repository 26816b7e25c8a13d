"""What strategies for threads and for asyncio decide alike, once the storage has answered."""

from __future__ import annotations

from math import floor, inf
from typing import TYPE_CHECKING

from holdfast.compat.limits._policies import limit_of
from holdfast.compat.limits.util import WindowStats

if TYPE_CHECKING:
    from holdfast._native.limit_windows import Tally
    from holdfast.compat.limits._memory import Memory
    from holdfast.compat.limits.limits import RateLimitItem

    #: Count and seconds left of the window before, and of this one.
    Window = tuple[int, float, int, float]

__all__ = [
    "ENFORCE",
    "OFF",
    "asked_tally",
    "fixed_stats",
    "moving_stats",
    "refuse_moving",
    "refuse_sliding",
    "sliding_stats",
]

ENFORCE, OFF = 0, 2  # enum hf_mode


def asked_tally(item: RateLimitItem, cost: int) -> Tally:
    """Return what counts the hits of an item, for one whose cost is allowed.

    Raises:
        ValueError: ``cost`` is negative: it would give hits back that others have used.
    """
    if cost < 0:
        raise ValueError(f"cost: got {cost}, allowed an integer of at least 0")
    return limit_of(item).tally


def refuse_moving(storage: object) -> None:
    """Refuse a storage without moving windows."""
    if not (hasattr(storage, "acquire_entry") or hasattr(storage, "get_moving_window")):
        raise NotImplementedError(
            f"MovingWindowRateLimiting is not implemented for storage of type {storage.__class__}"
        )


def refuse_sliding(storage: object) -> None:
    """Refuse a storage without counters of sliding windows."""
    asked = hasattr(storage, "get_sliding_window"), hasattr(storage, "acquire_sliding_window_entry")
    if not all(asked):
        raise NotImplementedError(
            "SlidingWindowCounterRateLimiting is not implemented for storage of type "
            f"{storage.__class__}"
        )


def fixed_stats(memory: Memory, item: RateLimitItem, identifiers: tuple[str, ...]) -> WindowStats:
    """Return what is left of a fixed window in memory, and when it ends."""
    count, ends_ns = memory.fixed.look_item(item, *identifiers)
    return WindowStats(memory.wall(ends_ns), max(0, item.amount - count))


def moving_stats(memory: Memory, item: RateLimitItem, identifiers: tuple[str, ...]) -> WindowStats:
    """Return what is left of a moving window in memory, and when its oldest hit goes."""
    oldest_ns, count = memory.moving.look_item(item, *identifiers)
    return WindowStats(memory.wall(oldest_ns) + item.get_expiry(), item.amount - count)


def sliding_stats(item: RateLimitItem, weighted: float, window: Window, now: float) -> WindowStats:
    """Return what is left, and when the next hit of either window no longer counts."""
    previous_count, previous_expires_in, current_count, current_expires_in = window
    remaining = max(0, item.amount - floor(weighted))
    if not (previous_count or current_count):
        return WindowStats(now, remaining)
    expiry = item.get_expiry()
    step = expiry / previous_count if previous_count else inf
    previous_in = previous_expires_in % step or step if previous_count else inf
    current_in = current_expires_in % expiry or expiry if current_count else inf
    return WindowStats(now + min(previous_in, current_in), remaining)
