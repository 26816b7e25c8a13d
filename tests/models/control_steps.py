"""What retries, timeouts and fallbacks are and count; how a call passes them is ``control``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.models.backoff import Backoff, StoredRate
from tests.models.budget import Budget
from tests.models.pipeline import Step, Verdicts

ORDINALS = 16
MS = 10**6


class PickyError(Exception):
    """What a predicate raises about what it does not like."""


class TimeoutStep(Step):
    def __init__(self, name: str, mode: str, tell: Any, duration_ns: int) -> None:
        super().__init__(name, mode, tell)
        self.duration_ns = duration_ns
        self.in_time = self.expired = self.late = self.refused = self.observed = 0

    def count_observed(self, took_ns: int) -> None:
        would_be_cut = took_ns >= self.duration_ns
        self.observed += would_be_cut
        self.in_time += not would_be_cut


class FallbackStep(Step):
    """`stand_in(raised, time, deadline)` gives an End."""

    def __init__(self, name: str, mode: str, tell: Any, on: Any, stand_in: Any) -> None:
        super().__init__(name, mode, tell)
        self.on = on
        self.stand_in = stand_in
        self.passed = self.used = self.failed = self.observed = 0


class AdaptiveDelay:
    """Another back-off's delay, the longer the more fails."""

    def __init__(self, inner: Backoff, k: float, max_ns: int) -> None:
        self.inner, self.k, self.max_ns = inner, k, max_ns
        self.failures = StoredRate()  # a nanosecond hangs on how it is stored

    def delay_ns(self, attempt: int, previous_ns: int | None = None) -> int:
        stretch = 1.0 + self.failures.rate * self.k
        return min(self.max_ns, round(self.inner.delay_ns(attempt) * stretch))


class RetryStep(Step):
    def __init__(
        self,
        name: str,
        mode: str,
        tell: Any,
        *,
        attempts: int,
        judge: Verdicts,
        wants: Callable[[Exception], object] | None,
        on_result: Callable[[Any], object] | None,
        backoff: Backoff | AdaptiveDelay,
        max_time_ns: int | None,
        max_retry_after_ns: int,
        budget: Budget | None,
        hook: Callable[[Any], Any] | None,
        wraps: bool,
        hears: bool,
    ) -> None:
        super().__init__(name, mode, tell)
        self.attempts = attempts
        self.judge = judge
        self.wants = wants
        self.on_result = on_result
        self.backoff = backoff
        self.max_time_ns = max_time_ns
        self.max_retry_after_ns = max_retry_after_ns
        self.budget = budget
        self.hook = hook  # how long the other side wants to be left alone
        self.wraps = wraps
        self.hears = hears
        self.heard: list[tuple[Any, ...]] = []
        self.succeeded = self.recovered = self.observed = self.slept_ns = 0
        self.gave_up: Counter[str] = Counter()
        self.retries = [0] * ORDINALS
        self.delays: Counter[str] = Counter()

    def record(self, *, failed: bool) -> None:
        if isinstance(self.backoff, AdaptiveDelay):
            self.backoff.failures.record(failed)

    def succeed(self, retries: int) -> None:
        self.succeeded += 1
        self.recovered += retries > 0
        self.record(failed=False)
        if self.budget is not None:
            self.budget.deposit()

    def give_back(self) -> None:
        if self.budget is not None:
            self.budget.give_back()

    def delay_ns(self, retries: int, before_ns: int | None, end: Any) -> int:
        asked: Any = None
        if self.hook is not None:
            asked = self.hook(end.value if end.error is None else end.error)
        elif end.raised is not None:
            asked = end.raised.retry_after
        if isinstance(asked, float) and asked >= 0:
            return min(round(asked * 1e9), self.max_retry_after_ns)
        return self.backoff.delay_ns(retries, before_ns)

    def why_not(self, delay_ns: int, elapsed_ns: int, now_ns: int, deadline_ns: int | None) -> str:
        """Why the call is not tried again after a delay; "" when it is."""
        if deadline_ns is not None and now_ns + delay_ns >= deadline_ns:
            return "deadline"
        if self.max_time_ns is not None and elapsed_ns + delay_ns > self.max_time_ns:
            return "out_of_time"
        if self.budget is None:
            return ""
        self.budget.pass_time(now_ns - self.budget.now_ns)
        return "" if self.budget.withdraw() else "no_budget"

    def hear(self, why: str, made: int, delay_ns: int, elapsed_ns: int, end: Any) -> None:
        if self.hears:
            self.heard.append((why, made, delay_ns, elapsed_ns, end.raised, end.value))

    def count_delay(self, ns: int) -> None:
        bound = next((2**i for i in range(ORDINALS) if ns <= MS * 2**i), None)
        self.delays["+Inf" if bound is None else f"{bound / 1000}"] += 1
        self.slept_ns += ns

    def count_retry(self, ordinal: int) -> None:
        self.retries[min(ordinal, ORDINALS) - 1] += 1
