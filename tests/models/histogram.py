"""What a histogram of durations means: the durations themselves, sorted when asked."""

import math

# Prometheus' default bounds, in nanoseconds.
BOUNDS_NS = [
    5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
    500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
]  # fmt: skip


class Histogram:
    def __init__(self) -> None:
        self.durations_ns: list[int] = []

    def record(self, ns: int) -> None:
        self.durations_ns.append(ns)

    def buckets(self) -> tuple[int, ...]:
        """How many were at most each bound, the bound included; last, all of them."""
        below = [sum(ns <= bound for ns in self.durations_ns) for bound in BOUNDS_NS]
        return (*below, len(self.durations_ns))

    def quantile(self, q: float) -> int | None:
        """The smallest duration that at least the fraction ``q`` of all do not exceed."""
        if not self.durations_ns:
            return None
        share = q * len(self.durations_ns)
        rank = max(1, math.ceil(share - share * 2**-52))  # .55 of 100 is 55, though not in floats
        return sorted(self.durations_ns)[rank - 1]
