"""What a resource manager counts of one kind, or of all kinds together.

Elsewhere: what is registered, by whom and how it is cleaned (``manager``).
"""

from __future__ import annotations

from threading import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "ALL_FULL",
    "ALL_HIGH",
    "CLEANED",
    "COLLECTED",
    "DONE",
    "ERROR",
    "FULL",
    "HIGH",
    "LEAK",
    "MOST",
    "RELEASED",
    "Figures",
]

MOST = (1 << 48) - 1  # the greatest amount
# What a registration or a change of the limit is answered; DONE with any of the bits below.
FULL, ALL_FULL, DONE = 0, 1, 2
HIGH, ALL_HIGH = 4, 8
# What is counted. The first three are the ends of a registration.
CLEANED, RELEASED, COLLECTED, LEAK, ERROR = range(5)


class Figures:
    """The counts of one kind of resource, and its limit.

    Args:
        manager: The name of the manager.
        kind: The kind; None for all kinds together.
        limit: How much of it may be registered; None: any amount.
        every: The figures of all kinds, of which one of this kind is one.
    """

    def __init__(
        self, manager: str, kind: str | None, limit: int | None, every: Figures | None
    ) -> None:
        self.name = manager if kind is None else f"{manager}/{kind}"
        self._lock: Any = RLock() if every is None else every._lock
        self._every = every
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Count from zero, with nothing registered."""
        self.active = self.created = self.refused = 0
        self._counts = [0, 0, 0, 0, 0]

    @property
    def limit(self) -> int | None:
        """How much may be registered; None: any amount."""
        return self._limit

    def add(self, amount: int) -> int:
        """Register an amount: FULL, ALL_FULL, or DONE with HIGH, ALL_HIGH, both or none."""
        with self._lock:
            every = self._every
            if self._limit is not None and self.active + amount > self._limit:
                self.refused += 1
                return FULL
            if every is not None and every._limit is not None and every.active >= every._limit:
                every.refused += 1
                return ALL_FULL
            answer = DONE | (HIGH if self._take(amount) else 0)
            if every is not None and every._take(1):
                answer |= ALL_HIGH
            self.created += 1
            return answer

    def _take(self, amount: int) -> bool:
        was_high = self._is_high()
        self.active += amount
        return not was_high and self._is_high()

    def _is_high(self) -> bool:
        return self._limit is not None and self.active * 5 > self._limit * 4

    def remove(self, amount: int, end: int) -> bool:
        """End a registration in this way: CLEANED, RELEASED or COLLECTED."""
        with self._lock:
            if self.active < amount:
                return False
            self.active -= amount
            if self._every is not None:
                self._every.active -= 1
            self._counts[end] += 1
            return True

    def count(self, event: int) -> None:
        """Count a LEAK or an ERROR."""
        with self._lock:
            self._counts[event] += 1

    def counted(self, event: int) -> int:
        """Return how often something has happened."""
        return self._counts[event]

    def resize(self, limit: int | None) -> int:
        """Have another limit: FULL if more than that is registered, or DONE, with HIGH or not."""
        with self._lock:
            if limit is not None and self.active > limit:
                return FULL
            was_high, self._limit = self._is_high(), limit
            return DONE | (HIGH if not was_high and self._is_high() else 0)
