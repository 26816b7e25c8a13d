"""What a retry budget means: a number of tokens that successes and time fill up to the burst."""

from fractions import Fraction

MILLION = 10**6


class Budget:
    """Exact: each success and each nanosecond gives its share at once, and is cut off at once."""

    def __init__(self, ratio: int, rate: int, burst: int, now_ns: int) -> None:
        self.ratio = Fraction(ratio, MILLION)
        self.per_ns = Fraction(rate, MILLION * 10**9)
        self.burst = self.tokens = Fraction(burst)
        self.now_ns = now_ns
        self.withdrawn = self.refused = self.given_back = self.deposits = 0

    def counters(self) -> tuple[int, ...]:
        return self.withdrawn, self.refused, self.given_back, self.deposits

    def _give(self, tokens: Fraction | int) -> None:
        self.tokens = min(self.burst, self.tokens + tokens)

    def pass_time(self, ns: int) -> None:
        self.now_ns += ns
        self._give(ns * self.per_ns)

    def deposit(self) -> None:
        self.deposits += 1
        self._give(self.ratio)

    def withdraw(self) -> bool:
        there = self.tokens >= 1
        self.tokens -= there
        self.withdrawn += there
        self.refused += not there
        return there

    def give_back(self) -> bool:
        out = self.given_back < self.withdrawn
        if out:
            self.given_back += 1
            self._give(1)
        return out
