"""What a retry means: whether a call is tried again, in numbers of Python, and what is counted."""

from __future__ import annotations

from collections import Counter

MILLION = 10**6
ORDINALS = 16
BOUNDS = [MILLION << i for i in range(16)]  # delays up to 1, 2, 4 … 32,768 ms
ENDS = (
    "exhausted",
    "out_of_time",
    "deadline",
    "no_budget",
    "not_retryable",
    "rejected",
    "cancelled",
)


class Retry:
    """At most ``attempts``, each begun within ``max_time_ns`` of the first; None: no limit."""

    def __init__(self, attempts: int, max_time_ns: int | None) -> None:
        self.attempts, self.max_time_ns = attempts, max_time_ns
        self.succeeded = self.recovered = self.observed = self.delay_ns = 0
        self._ends: Counter[str] = Counter()
        self._retries: Counter[int] = Counter()
        self._delays: Counter[int] = Counter()

    def decide(
        self, retries: int, started_ns: int, now_ns: int, delay_ns: int, deadline_ns: int | None
    ) -> str:
        if retries + 1 >= self.attempts:
            return "exhausted"
        begin_ns = now_ns + delay_ns
        if deadline_ns is not None and begin_ns >= deadline_ns:
            return "deadline"
        if self.max_time_ns is not None and begin_ns - started_ns > self.max_time_ns:
            return "out_of_time"
        return "again"

    def count_delay(self, delay_ns: int) -> None:
        self._delays[sum(delay_ns > bound for bound in BOUNDS)] += 1
        self.delay_ns += delay_ns

    def count_retry(self, ordinal: int) -> None:
        self._retries[min(ordinal, ORDINALS)] += 1

    def count_success(self, retries: int) -> None:
        self.succeeded += 1
        self.recovered += retries > 0

    def count_end(self, verdict: str) -> None:
        self._ends[verdict] += 1

    def count_observed(self) -> None:
        self.observed += 1

    def counters(self) -> tuple[int, int, int]:
        return self.succeeded, self.recovered, self.observed

    def gave_up(self) -> dict[str, int]:
        return {end: self._ends[end] for end in ENDS}

    def retries(self) -> tuple[int, ...]:
        return tuple(self._retries[ordinal] for ordinal in range(1, ORDINALS + 1))

    def delays(self) -> tuple[tuple[int, ...], int]:
        return tuple(self._delays[cell] for cell in range(len(BOUNDS) + 1)), self.delay_ns
