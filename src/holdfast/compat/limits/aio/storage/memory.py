"""A storage in the memory of this process, for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.compat.limits._memory import MOST_KEYS, Entry, Memory
from holdfast.compat.limits._native_course import Deciding, keep_methods
from holdfast.compat.limits._wrapping import is_for_original
from holdfast.compat.limits.aio.storage.base import (
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    Storage,
)
from holdfast.compat.limits.storage.base import TimestampedSlidingWindow

if TYPE_CHECKING:
    from collections import Counter

    from holdfast.clock import Clock

__all__ = ["Entry", "MemoryStorage"]


@keep_methods
class MemoryStorage(
    Deciding, Storage, MovingWindowSupport, SlidingWindowCounterSupport, TimestampedSlidingWindow
):
    """A storage in the memory of this process.

    Native kernels count, and nothing waits. No task is started: windows that have ended go while
    others are used.

    Args:
        uri: Ignored.
        wrap_exceptions: Whether its exceptions are raised as ``StorageError``.
        clock: The source of time; use a ``ManualClock`` in tests.
        most_keys: How many keys may have windows, for each kind of window. Beyond it, one with
            few hits makes room.

    Safe to share between threads, event loops and strategies. A forked child has a copy.

    >>> import asyncio
    >>> asyncio.run(MemoryStorage().incr("key", 60))
    1
    """

    STORAGE_SCHEME = ["async+memory"]  # noqa: RUF012 - as in limits

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        *,
        clock: Clock | None = None,
        most_keys: int = MOST_KEYS,
        **_: float | str | bool,
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **_)
        self._memory = Memory(clock, most_keys)
        is_for_original(MemoryStorage, Storage, MovingWindowSupport, SlidingWindowCounterSupport)

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """The exceptions of the storage."""
        return ValueError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to the fixed window of a key, and return what it has.

        Args:
            key: The key.
            expiry: Seconds until a new window ends.
            amount: What to add.
        """
        return self._memory.incr(key, expiry, amount)

    async def decr(self, key: str, amount: int = 1) -> int:
        """Take from the fixed window of a key, not below 0, and return what it has."""
        return self._memory.decr(key, amount)

    async def get(self, key: str) -> int:
        """Return what the fixed window of a key has."""
        return self._memory.get(key)

    async def get_expiry(self, key: str) -> float:
        """Return when the fixed window of a key ends, in seconds since 1970; now without one."""
        return self._memory.get_expiry(key)

    async def clear(self, key: str) -> None:
        """Forget the fixed and the moving window of a key."""
        self._memory.clear(key)

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add hits to a moving window if it has room for them, and return whether it has.

        Args:
            key: The key.
            limit: Hits at most.
            expiry: Seconds for which a hit counts.
            amount: Hits.
        """
        return self._memory.acquire_entry(key, limit, expiry, amount)

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the oldest hit was that counts, or now, and how many count.

        Args:
            key: The key.
            limit: Hits at most.
            expiry: Seconds for which a hit counts.
        """
        return self._memory.get_moving_window(key, limit, expiry)

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Add hits if the weighted sum of two windows has room for them, and return whether.

        Args:
            key: The key.
            limit: Hits at most.
            expiry: Seconds of a window.
            amount: Hits.
        """
        return self._memory.acquire_sliding(key, limit, expiry, amount)

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return count and seconds to live of the window before, and of this one.

        Args:
            key: The key.
            expiry: Seconds of a window.
        """
        return self._memory.get_sliding(key, expiry)

    async def clear_sliding_window(self, key: str, expiry: int) -> None:  # noqa: ARG002
        """Forget both windows of a key.

        Args:
            key: The key.
            expiry: Seconds of a window.
        """
        self._memory.clear_sliding(key)

    async def check(self) -> bool:
        """Return True: memory is there."""
        return True

    async def reset(self) -> int | None:
        """Forget everything, and return how many keys had windows."""
        return self._memory.reset()

    # ---- as others look into it; changes of these copies change nothing ----

    @property
    def storage(self) -> Counter[str]:
        """What each fixed window has, by key."""
        return self._memory.counts()

    @property
    def expirations(self) -> dict[str, float]:
        """When each fixed window ends, by key."""
        return self._memory.ends()

    @property
    def events(self) -> dict[str, list[Entry]]:
        """The hits of each moving window, newest first, by key."""
        return self._memory.entries()
