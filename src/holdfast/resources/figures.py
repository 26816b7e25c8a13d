"""What a manager of resources counts.

Elsewhere: what is registered and what happens to it (``manager``).
"""

from __future__ import annotations

from threading import RLock

from holdfast.forks import mind

__all__ = [
    "TOTAL",
    "KindFigures",
    "TotalFigures",
]

TOTAL = "total"
MOST = (1 << 48) - 2  # the greatest amount
# What a registration or a change of the limit is answered; DONE with any of the bits below.
FULL, ALL_FULL, DONE = 0, 1, 2
HIGH, ALL_HIGH = 4, 8
# What is counted. The first three are the ends of a registration.
CLEANED, RELEASED, COLLECTED, LEAK, ERROR = range(5)

_lock = RLock()


class _Kernel:
    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._active = 0
        self._counted = [0] * 7
        mind(self)

    def _after_fork(self) -> None:
        self._active = 0
        self._counted = [0] * 7

    def add(self, n: int, total: _Kernel | None = None) -> int:
        with _lock:
            if self._limit is not None and self._active + n > self._limit:
                self._counted[6] += 1
                return FULL
            if total is not None and total._limit is not None and total._active >= total._limit:
                total._counted[6] += 1
                return ALL_FULL
            answer = DONE | (HIGH if self._take(n) else 0)
            if total is not None and total._take(1):
                answer |= ALL_HIGH
            self._counted[5] += 1
            return answer

    def _take(self, n: int) -> bool:
        was_high = self._is_high()
        self._active += n
        return not was_high and self._is_high()

    def _is_high(self) -> bool:
        return self._limit is not None and self._active * 5 > self._limit * 4

    def remove(self, end: int, n: int, total: _Kernel | None = None) -> bool:
        with _lock:
            if self._active < n:
                return False
            self._active -= n
            if total is not None:
                total._active -= 1
            self._counted[end] += 1
            return True

    def count(self, event: int) -> None:
        with _lock:
            self._counted[event] += 1

    def counted(self) -> tuple[int, ...]:
        return tuple(self._counted)

    def active(self) -> int:
        return self._active

    def limit(self) -> int | None:
        return self._limit

    def resize(self, limit: int | None) -> int:
        with _lock:
            if limit is not None and self._active > limit:
                return FULL
            was_high, self._limit = self._is_high(), limit
            return DONE | (HIGH if not was_high and self._is_high() else 0)


class _Figures:
    def __init__(self, manager: str, of: str, limit: int | None) -> None:
        self.name = f"{manager}/{of}"
        self.kernel = _Kernel(limit)

    @property
    def active(self) -> int:
        """How much is registered."""
        return self.kernel.active()

    @property
    def limit(self) -> int | None:
        """How much may be registered; None for any amount."""
        return self.kernel.limit()

    @property
    def refused(self) -> int:
        """Registrations that found no room."""
        return self.kernel.counted()[6]

    def limit_to(self, limit: int | None) -> bool | None:
        """Have another limit; None: more is registered; else whether that is above 80 %."""
        answer = self.kernel.resize(limit)
        return None if answer == FULL else bool(answer & HIGH)


class TotalFigures(_Figures):
    """What is registered of all kinds together."""

    def __init__(self, manager: str, limit: int) -> None:
        super().__init__(manager, TOTAL, limit)


class KindFigures(_Figures):
    """What is registered of one kind."""

    def show_limit(self, limit: int | None) -> None:
        """Have metrics show this limit while the kind has none of its own."""

    @property
    def cleaned(self) -> int:
        """Resources that were cleaned by the manager."""
        return self.kernel.counted()[0]

    @property
    def released(self) -> int:
        """Resources that their owners have unregistered."""
        return self.kernel.counted()[1]

    @property
    def collected(self) -> int:
        """Resources that died without having been unregistered."""
        return self.kernel.counted()[2]

    @property
    def leaks(self) -> int:
        """Resources that were suspected to be leaks."""
        return self.kernel.counted()[3]

    @property
    def cleanup_errors(self) -> int:
        """Clean-ups that failed."""
        return self.kernel.counted()[4]

    @property
    def created(self) -> int:
        """Resources that were registered."""
        return self.kernel.counted()[5]
