"""What the sliding limit means: counts of slices of time."""

from collections import Counter
from itertools import count

SLICES = 10  # in a span; with the one that has begun, eleven count


class SlidingWindow:
    def __init__(self, limit: int, per_ns: int) -> None:
        self.limit = limit
        self.slice_ns = -(-per_ns // SLICES)
        self.taken = Counter[int]()
        self.latest = -(2**63)

    def slice_at(self, now_ns: int) -> int:
        return now_ns // self.slice_ns

    def current(self, now_ns: int) -> int:
        """Time that is behind stands still until it has caught up."""
        return max(self.latest, self.slice_at(now_ns))

    def counted(self, current: int) -> int:
        return sum(n for number, n in self.taken.items() if number >= current - SLICES)

    def available(self, now_ns: int) -> int:
        return max(0, self.limit - self.counted(self.current(now_ns)))

    def try_take(self, n: int, now_ns: int) -> bool:
        self.latest = self.current(now_ns)
        if self.counted(self.latest) + n > self.limit:
            return False
        self.taken[self.latest] += n
        return True

    def refund(self, n: int, taken_ns: int) -> None:
        """From the slice it was taken in on, since it may have been counted a little later."""
        first = self.slice_at(taken_ns)
        if first < self.latest - SLICES:
            return  # it counts no more, and what counts is others'
        for number in range(first, self.latest + 1):
            back = min(n, self.taken[number])
            self.taken[number] -= back
            n -= back

    def wait_ns(self, n: int, now_ns: int) -> int | None:
        if n > self.limit:
            return None
        first = self.current(now_ns)
        fits = next(s for s in count(first) if self.counted(s) + n <= self.limit)
        return 0 if fits == first else fits * self.slice_ns - now_ns

    def resize(self, limit: int) -> None:
        self.limit = limit

    def clear(self) -> None:
        self.taken.clear()
