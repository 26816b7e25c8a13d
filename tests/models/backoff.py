"""What a back-off's formulas and its jitter mean, in numbers of Python."""

from __future__ import annotations

from tests.models.random import Random

CONSTANT, LINEAR, EXPONENTIAL, FIBONACCI, DECORRELATED = range(5)
ADD, AROUND, FULL, EQUAL = range(4)


class Backoff:
    def __init__(
        self,
        kind: int,
        base_ns: int,
        max_ns: int,
        *,
        increment_ns: int,
        factor: float,
        mode: int,
        jitter: float,
        seed: int,
    ) -> None:
        self.kind, self.base_ns, self.max_ns = kind, base_ns, max_ns
        self.increment_ns, self.factor = increment_ns, factor
        self.mode, self.jitter = mode, jitter
        self.random = Random(seed)

    def delay_ns(self, attempt: int, previous_ns: int | None = None) -> int:
        if self.kind == DECORRELATED:
            before = max(previous_ns or 0, self.base_ns)
            return self.draw(self.base_ns, min(3 * before, 2**63 - 1))
        ns = min(self.plain(attempt), self.max_ns)
        share = min(int(ns * self.jitter), ns)
        if self.mode == ADD:
            return self.draw(ns, ns + share)
        if self.mode == AROUND:
            return self.draw(ns - share, ns + share)
        return self.draw(0 if self.mode == FULL else ns - ns // 2, ns)

    def plain(self, attempt: int) -> int:
        if self.kind == LINEAR:
            return self.base_ns + attempt * self.increment_ns
        if self.kind == EXPONENTIAL:
            return self.grown(attempt)
        if self.kind == FIBONACCI:
            before, ns = 0, self.base_ns
            for _ in range(min(attempt, 100)):  # by then any base is past any cap
                before, ns = ns, before + ns
            return ns
        return self.base_ns

    def grown(self, attempt: int) -> int:
        """By squaring, as floats of any machine do it alike; within bounds of the exact power."""
        if attempt == 0 or self.base_ns == 0:
            return self.base_ns
        grown, factor = float(self.base_ns), self.factor
        while attempt:
            if attempt & 1:
                grown *= factor
            if grown >= self.max_ns:
                return self.max_ns
            factor *= factor
            attempt >>= 1
        return int(grown + 0.5)

    def draw(self, low: int, high: int) -> int:
        if low == high:
            return low
        width = high - low
        return min(low + min(int(self.random.unit() * (float(width) + 1.0)), width), self.max_ns)


class StoredRate:
    """A failure rate in which an attempt weighs a thirty-second, as it is stored.

    In whole 2^31ths, each step rounded up, so it comes to rest.
    """

    ONE = 2**31

    def __init__(self) -> None:
        self.stored = 0

    @property
    def rate(self) -> float:
        return self.stored / self.ONE

    def record(self, failed: bool) -> None:
        if failed:
            self.stored += (self.ONE - self.stored + 31) // 32
        else:
            self.stored -= (self.stored + 31) // 32
