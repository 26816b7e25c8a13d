"""What a latency budget does with a duration, in plain numbers: a list of the last, sorted."""

from collections import deque
from fractions import Fraction
from math import ceil


class LatencyBudget:
    def __init__(self, target_ns: int, parts: int, size: int, least: int) -> None:
        self.target_ns = target_ns
        self.share = Fraction(parts, 1_000_000)
        self.least = least
        self.last: deque[int] = deque(maxlen=size)
        self.recorded = self.exceeded = self.turns = 0

    @property
    def exceeding(self) -> int:
        return sum(ns > self.target_ns for ns in self.last)

    def rank(self, share: Fraction) -> int:
        return max(1, ceil(share * len(self.last)))

    def percentile(self, parts: int) -> int | None:
        """The exact one."""
        if not self.last:
            return None
        return sorted(self.last)[self.rank(Fraction(parts, 1_000_000)) - 1]

    def record(self, ns: int) -> bool:
        """Return whether it became exhausted, or recovered."""
        self.last.append(max(ns, 0))
        self.recorded += 1
        self.exceeded += ns > self.target_ns
        return self._turn()

    def _turn(self) -> bool:
        if len(self.last) < self.least:
            return False
        most = len(self.last) - self.rank(self.share)
        exhausted = self.turns % 2 == 1
        if exhausted:
            most -= ceil(Fraction(most, 10))
        if exhausted == (self.exceeding > most):
            return False
        self.turns += 1
        return True

    def clear(self) -> bool:
        self.last.clear()
        exhausted = self.turns % 2
        self.turns += exhausted
        return exhausted == 1
