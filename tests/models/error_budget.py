"""An error budget in plain Python: every request with its slice, and which are in a window."""

from __future__ import annotations

from fractions import Fraction

SLICES = 10


class ErrorBudget:
    """Counts the requests of the last ten slices, exactly."""

    def __init__(self, slice_ns: int, allowed: Fraction, min_requests: int) -> None:
        self.slice_ns = slice_ns
        self.allowed = allowed
        self.min_requests = min_requests
        self.requests: list[tuple[int, bool, int]] = []

    def record(self, good: bool, n: int, now_ns: int) -> None:
        self.requests.append((now_ns // self.slice_ns, good, n))

    def outcomes(self, now_ns: int) -> tuple[int, int]:
        first = now_ns // self.slice_ns - SLICES + 1
        inside = [(good, n) for slice_, good, n in self.requests if slice_ >= first]
        return sum(n for _, n in inside), sum(n for good, n in inside if not good)

    def is_exhausted(self, now_ns: int) -> bool:
        total, failed = self.outcomes(now_ns)
        return total >= self.min_requests and failed > self.allowed * total
