"""The three strategies, for asyncio.

With a storage in memory a hit is one native call, which finds the window and counts. With any other
storage the strategy asks that, as limits does, and the policy of the item counts the answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from holdfast.compat.limits._course import (
    ENFORCE,
    OFF,
    asked_tally,
    fixed_stats,
    moving_stats,
    refuse_moving,
    refuse_sliding,
    sliding_stats,
)
from holdfast.compat.limits._native_course import native_of, now_of
from holdfast.compat.limits.aio.storage.base import (
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    Storage,
)
from holdfast.compat.limits.limits import RateLimitItem
from holdfast.compat.limits.storage import StorageTypes
from holdfast.compat.limits.util import WindowStats

if TYPE_CHECKING:
    from typing import Any

    from holdfast._native.limit_windows import CounterWindows, FixedWindows, MovingWindows
    from holdfast.compat.limits._memory import Memory

__all__ = [
    "STRATEGIES",
    "FixedWindowRateLimiter",
    "MovingWindowRateLimiter",
    "RateLimiter",
    "SlidingWindowCounterRateLimiter",
]


class RateLimiter(ABC):
    """The base class of strategies.

    Args:
        storage: A storage for asyncio.

    Safe to share between event loops, if the storage is.
    """

    _table: Any
    _memory: Memory | None  # where its windows are, if nobody has to be asked

    def __init__(self, storage: StorageTypes) -> None:
        assert isinstance(storage, Storage)
        self.storage = storage

    @property
    def storage(self) -> Storage:
        """Where windows are."""
        return self._storage

    @storage.setter
    def storage(self, storage: Storage) -> None:
        self._storage = storage
        self._choose()

    def __getstate__(self) -> dict[str, Any]:
        """Return all it has, for pickle."""
        return {**self.__dict__, "_table": None, "_memory": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled."""
        self.__dict__.update(state)
        self._choose()

    def _choose(self) -> None:
        """Find out whether the windows of the storage may be hit without asking it."""
        memory = native_of(self._storage, self)
        self._table = None if memory is None else self._table_of(memory)
        self._memory = None if self._table is None else memory

    def _table_of(self, memory: Memory) -> Any:  # noqa: ARG002 - for subclasses
        """Return the windows of this strategy; None for a strategy that the user wrote."""
        return None

    @abstractmethod
    async def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Count a hit, and return whether the limit has room for it.

        Args:
            item: The limit.
            identifiers: Who is limited.
            cost: What the hit counts, at least 0.

        Raises:
            ValueError: ``cost`` is negative.
        """
        raise NotImplementedError

    @abstractmethod
    async def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Return whether a hit would have room. Changes nothing; see ``hit``."""
        raise NotImplementedError

    @abstractmethod
    async def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the window is reset, in seconds since 1970, and how many hits are left."""
        raise NotImplementedError

    async def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget the hits of one who is limited."""
        await self.storage.clear(item.key_for(*identifiers))


class _Known(RateLimiter):
    """A strategy whose hits the windows of a storage in memory decide, or else the storage."""

    async def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Count a hit, and return whether the limit has room for it.

        Args:
            item: The limit.
            identifiers: Who is limited.
            cost: What the hit counts, at least 0.

        Raises:
            ValueError: ``cost`` is negative.
        """
        if self._table is not None:
            hit = self._table.hit  # called by name, a cost takes as long as all else
            taken: bool = (
                hit(item, *identifiers) if cost == 1 else hit(item, *identifiers, cost=cost)
            )
            return taken
        tally = asked_tally(item, cost)
        return tally.mode == OFF or tally.count(await self._ask_hit(item, identifiers, cost))

    async def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Return whether a hit would have room. Changes nothing; see ``hit``."""
        if self._table is not None:
            has_room: bool = self._table.test(item, *identifiers, cost=cost)
            return has_room
        enforces = asked_tally(item, cost).mode == ENFORCE
        return not enforces or await self._ask_test(item, identifiers, cost)

    async def _ask_hit(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        raise NotImplementedError

    async def _ask_test(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        raise NotImplementedError


class MovingWindowRateLimiter(_Known):
    """At most so many hits in any span of the time, whenever it begins.

    Args:
        storage: A storage with moving windows.

    Raises:
        NotImplementedError: The storage has none.

    Safe to share between threads and event loops.

    >>> import asyncio
    >>> from holdfast.compat.limits import aio, parse
    >>> limiter = MovingWindowRateLimiter(aio.storage.MemoryStorage())
    >>> asyncio.run(limiter.hit(parse("2/minute"), "user"))
    True
    """

    def __init__(self, storage: StorageTypes) -> None:
        refuse_moving(storage)
        super().__init__(storage)

    def _table_of(self, memory: Memory) -> MovingWindows:
        return memory.moving

    async def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the oldest hit no longer counts, and how many hits are left.

        Args:
            item: The limit.
            identifiers: Who is limited.
        """
        if self._memory is not None:
            return moving_stats(self._memory, item, identifiers)
        expiry = item.get_expiry()
        start, count = await self._moving.get_moving_window(
            item.key_for(*identifiers), item.amount, expiry
        )
        return WindowStats(start + expiry, item.amount - count)

    @property
    def _moving(self) -> MovingWindowSupport:
        return cast("MovingWindowSupport", self.storage)

    async def _ask_hit(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        return await self._moving.acquire_entry(
            item.key_for(*identifiers), item.amount, item.get_expiry(), amount=cost
        )

    async def _ask_test(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        _, count = await self._moving.get_moving_window(
            item.key_for(*identifiers), item.amount, item.get_expiry()
        )
        return count <= item.amount - cost


class FixedWindowRateLimiter(_Known):
    """At most so many hits in a window, which begins with the first hit.

    Args:
        storage: A storage.

    Safe to share between threads and event loops.

    >>> import asyncio
    >>> from holdfast.compat.limits import aio, parse
    >>> limiter = FixedWindowRateLimiter(aio.storage.MemoryStorage())
    >>> asyncio.run(limiter.hit(parse("2/minute"), "user"))
    True
    """

    def _table_of(self, memory: Memory) -> FixedWindows:
        return memory.fixed

    async def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the window ends, and how many hits are left.

        Args:
            item: The limit.
            identifiers: Who is limited.
        """
        if self._memory is not None:
            return fixed_stats(self._memory, item, identifiers)
        key = item.key_for(*identifiers)
        remaining = max(0, item.amount - await self.storage.get(key))
        return WindowStats(await self.storage.get_expiry(key), remaining)

    async def _ask_hit(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        count = await self.storage.incr(item.key_for(*identifiers), item.get_expiry(), amount=cost)
        return count <= item.amount

    async def _ask_test(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        return await self.storage.get(item.key_for(*identifiers)) < item.amount - cost + 1


class SlidingWindowCounterRateLimiter(_Known):
    """At most so many hits in the time, as two counters estimate it.

    The hits of the window before count by the part of it that the time covers still.

    Args:
        storage: A storage with counters of sliding windows.

    Raises:
        NotImplementedError: The storage has none.

    Safe to share between threads and event loops.

    >>> import asyncio
    >>> from holdfast.compat.limits import aio, parse
    >>> limiter = SlidingWindowCounterRateLimiter(aio.storage.MemoryStorage())
    >>> asyncio.run(limiter.hit(parse("2/minute"), "user"))
    True
    """

    def __init__(self, storage: StorageTypes) -> None:
        refuse_sliding(storage)
        super().__init__(storage)

    def _table_of(self, memory: Memory) -> CounterWindows | None:
        own = SlidingWindowCounterRateLimiter._weighted_count
        return memory.counter if type(self)._weighted_count is own else None

    def _weighted_count(
        self,
        item: RateLimitItem,
        previous_count: int,
        previous_expires_in: float,
        current_count: int,
    ) -> float:
        return previous_count * previous_expires_in / item.get_expiry() + current_count

    async def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the next hit no longer counts, and how many hits are left.

        Args:
            item: The limit.
            identifiers: Who is limited.
        """
        if self._memory is not None:
            window = self._memory.sliding_of(item, identifiers)
        else:
            window = await self._sliding.get_sliding_window(
                item.key_for(*identifiers), item.get_expiry()
            )
        return sliding_stats(
            item, self._weighted_count(item, *window[:3]), window, now_of(self.storage)
        )

    async def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget the hits of one who is limited."""
        await self._sliding.clear_sliding_window(item.key_for(*identifiers), item.get_expiry())

    @property
    def _sliding(self) -> SlidingWindowCounterSupport:
        return cast("SlidingWindowCounterSupport", self.storage)

    async def _ask_hit(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        return await self._sliding.acquire_sliding_window_entry(
            item.key_for(*identifiers), item.amount, item.get_expiry(), cost
        )

    async def _ask_test(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        window = await self._sliding.get_sliding_window(
            item.key_for(*identifiers), item.get_expiry()
        )
        return self._weighted_count(item, *window[:3]) < item.amount - cost + 1


STRATEGIES = {
    "sliding-window-counter": SlidingWindowCounterRateLimiter,
    "fixed-window": FixedWindowRateLimiter,
    "moving-window": MovingWindowRateLimiter,
}
