"""The three strategies, for threads.

With a storage in memory a hit is one native call, which finds the window and counts. With any other
storage the strategy asks that, as limits does, and the policy of the item counts the answer.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, cast

from holdfast._native.limit_windows import Limiter, own_methods
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
from holdfast.compat.limits.limits import RateLimitItem
from holdfast.compat.limits.storage import StorageTypes
from holdfast.compat.limits.storage.base import (
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    Storage,
)
from holdfast.compat.limits.util import WindowStats

if TYPE_CHECKING:
    from typing import Any

    from holdfast._native.limit_windows import CounterWindows, FixedWindows, MovingWindows
    from holdfast.compat.limits._memory import Memory

__all__ = [
    "STRATEGIES",
    "FixedWindowRateLimiter",
    "KnownStrategy",
    "MovingWindowRateLimiter",
    "RateLimiter",
    "SlidingWindowCounterRateLimiter",
]


class RateLimiter(Limiter, metaclass=ABCMeta):
    """The base class of strategies.

    Args:
        storage: A storage for threads.

    Safe to share between threads and event loops; a storage of another process blocks.
    """

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
        return {**self.__dict__, "_memory": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled."""
        self.__dict__.update(state)
        self._choose()

    def _choose(self) -> None:
        """Find out whether the windows of the storage may be hit without asking it."""
        memory = native_of(self._storage, self)
        self.table = None if memory is None else self._table_of(memory)
        self._memory = None if self.table is None else memory

    def _table_of(self, memory: Memory) -> Any:  # noqa: ARG002 - for subclasses
        """Return the windows of this strategy; None for a strategy that the user wrote."""
        return None

    @abstractmethod
    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
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
    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Return whether a hit would have room. Changes nothing; see ``hit``."""
        raise NotImplementedError

    @abstractmethod
    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the window is reset, in seconds since 1970, and how many hits are left."""
        raise NotImplementedError

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget the hits of one who is limited."""
        self.storage.clear(item.key_for(*identifiers))


class _Known(RateLimiter):
    """A strategy whose hits the windows of a storage in memory decide, or else the storage."""

    if TYPE_CHECKING:

        def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
            """Count a hit, and return whether the limit has room for it."""

        def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
            """Return whether a hit would have room."""

    else:  # where there are no windows they call `_hit` and `_test`
        hit, test = Limiter.hit, Limiter.test

    def _hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Ask the storage, unless the policy is off, and have the policy count the answer."""
        tally = asked_tally(item, cost)
        return tally.mode == OFF or tally.count(self._ask_hit(item, identifiers, cost))

    def _test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Ask the storage, if the policy enforces."""
        enforces = asked_tally(item, cost).mode == ENFORCE
        return not enforces or self._ask_test(item, identifiers, cost)

    def _ask_hit(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        raise NotImplementedError

    def _ask_test(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        raise NotImplementedError


class MovingWindowRateLimiter(_Known):
    """At most so many hits in any span of the time, whenever it begins.

    Args:
        storage: A storage with moving windows.

    Raises:
        NotImplementedError: The storage has none.

    Safe to share between threads and event loops.

    >>> from holdfast.compat.limits import parse, storage
    >>> limiter = MovingWindowRateLimiter(storage.MemoryStorage())
    >>> [limiter.hit(parse("2/minute"), "user") for _ in range(3)]
    [True, True, False]
    """

    if TYPE_CHECKING:
        table: MovingWindows | None

    def __init__(self, storage: StorageTypes) -> None:
        refuse_moving(storage)
        super().__init__(storage)

    def _table_of(self, memory: Memory) -> MovingWindows:
        return memory.moving

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the oldest hit no longer counts, and how many hits are left.

        Args:
            item: The limit.
            identifiers: Who is limited.
        """
        if self._memory is not None:
            return moving_stats(self._memory, item, identifiers)
        expiry = item.get_expiry()
        start, count = self._moving.get_moving_window(
            item.key_for(*identifiers), item.amount, expiry
        )
        return WindowStats(start + expiry, item.amount - count)

    @property
    def _moving(self) -> MovingWindowSupport:
        return cast("MovingWindowSupport", self.storage)

    def _ask_hit(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        return self._moving.acquire_entry(
            item.key_for(*identifiers), item.amount, item.get_expiry(), amount=cost
        )

    def _ask_test(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        _, count = self._moving.get_moving_window(
            item.key_for(*identifiers), item.amount, item.get_expiry()
        )
        return count <= item.amount - cost


class FixedWindowRateLimiter(_Known):
    """At most so many hits in a window, which begins with the first hit.

    Args:
        storage: A storage.

    Safe to share between threads and event loops.

    >>> from holdfast.compat.limits import parse, storage
    >>> limiter = FixedWindowRateLimiter(storage.MemoryStorage())
    >>> item = parse("2/minute")
    >>> limiter.hit(item, "user"), limiter.get_window_stats(item, "user").remaining
    (True, 1)
    """

    if TYPE_CHECKING:
        table: FixedWindows | None

    def _table_of(self, memory: Memory) -> FixedWindows:
        return memory.fixed

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the window ends, and how many hits are left.

        Args:
            item: The limit.
            identifiers: Who is limited.
        """
        if self._memory is not None:
            return fixed_stats(self._memory, item, identifiers)
        key = item.key_for(*identifiers)
        remaining = max(0, item.amount - self.storage.get(key))
        return WindowStats(self.storage.get_expiry(key), remaining)

    def _ask_hit(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        count = self.storage.incr(item.key_for(*identifiers), item.get_expiry(), amount=cost)
        return count <= item.amount

    def _ask_test(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        return self.storage.get(item.key_for(*identifiers)) < item.amount - cost + 1


class SlidingWindowCounterRateLimiter(_Known):
    """At most so many hits in the time, as two counters estimate it.

    The hits of the window before count by the part of it that the time covers still.

    Args:
        storage: A storage with counters of sliding windows.

    Raises:
        NotImplementedError: The storage has none.

    Safe to share between threads and event loops.

    >>> from holdfast.compat.limits import parse, storage
    >>> limiter = SlidingWindowCounterRateLimiter(storage.MemoryStorage())
    >>> [limiter.hit(parse("2/year"), "user") for _ in range(3)]
    [True, True, False]
    """

    if TYPE_CHECKING:
        table: CounterWindows | None

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

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the next hit no longer counts, and how many hits are left.

        Args:
            item: The limit.
            identifiers: Who is limited.
        """
        if self._memory is not None:
            window = self._memory.sliding_of(item, identifiers)
        else:
            window = self._sliding.get_sliding_window(item.key_for(*identifiers), item.get_expiry())
        return sliding_stats(
            item, self._weighted_count(item, *window[:3]), window, now_of(self.storage)
        )

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget the hits of one who is limited."""
        self._sliding.clear_sliding_window(item.key_for(*identifiers), item.get_expiry())

    @property
    def _sliding(self) -> SlidingWindowCounterSupport:
        return cast("SlidingWindowCounterSupport", self.storage)

    def _ask_hit(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        return self._sliding.acquire_sliding_window_entry(
            item.key_for(*identifiers), item.amount, item.get_expiry(), cost
        )

    def _ask_test(self, item: RateLimitItem, identifiers: tuple[str, ...], cost: int) -> bool:
        window = self._sliding.get_sliding_window(item.key_for(*identifiers), item.get_expiry())
        return self._weighted_count(item, *window[:3]) < item.amount - cost + 1


KnownStrategy = (
    type[SlidingWindowCounterRateLimiter]
    | type[FixedWindowRateLimiter]
    | type[MovingWindowRateLimiter]
)

STRATEGIES: dict[str, KnownStrategy] = {
    "sliding-window-counter": SlidingWindowCounterRateLimiter,
    "fixed-window": FixedWindowRateLimiter,
    "moving-window": MovingWindowRateLimiter,
}

for _strategy in STRATEGIES.values():
    own_methods(_strategy)
