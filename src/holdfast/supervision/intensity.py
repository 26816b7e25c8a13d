"""Intensity: whether restarts come too often. Pure: no lock, no clock.

Elsewhere: what follows if they do (``crew``).
"""

from __future__ import annotations

from collections import deque

__all__ = ["Intensity"]


class Intensity:
    """At most ``most`` restarts within ``within_ns``; None: any number.

    >>> intensity = Intensity(1, 60)
    >>> intensity.admit(0), intensity.admit(59), intensity.admit(60)
    (True, False, True)
    """

    __slots__ = ("_times", "most", "within_ns")

    def __init__(self, most: int | None, within_ns: int) -> None:
        self.most = most
        self.within_ns = within_ns
        self._times: deque[int] = deque()

    def admit(self, now_ns: int) -> bool:
        """Count a restart; False: it would be one too many, and is not counted."""
        if self.most is None:
            return True
        self._forget(now_ns)
        if len(self._times) >= self.most:
            return False
        self._times.append(now_ns)
        return True

    def count(self, now_ns: int) -> int:
        """Return how many restarts there were within the time."""
        self._forget(now_ns)
        return len(self._times)

    def clear(self) -> None:
        """Forget all restarts."""
        self._times.clear()

    def _forget(self, now_ns: int) -> None:
        while self._times and now_ns - self._times[0] >= self.within_ns:
            self._times.popleft()
