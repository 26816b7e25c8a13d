"""What policies show of themselves at one moment: frozen dataclasses.

Imported by the first snapshot that is asked for: dataclasses are a third of the import time of
everything else. Each figure is read at once; figures of one snapshot may be a call apart.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.policies.adaptive_timeout import AdaptiveTimeout
    from holdfast.policies.breaker import CircuitBreaker, State
    from holdfast.policies.budget import RetryBudget
    from holdfast.policies.bulkhead import Bulkhead
    from holdfast.policies.fallback import Fallback
    from holdfast.policies.limiter import RateLimiter
    from holdfast.policies.retry import Retry
    from holdfast.policies.timeout import Timeout

__all__ = [
    "AdaptiveTimeoutSnapshot",
    "BulkheadSnapshot",
    "CallStats",
    "CircuitBreakerSnapshot",
    "FallbackSnapshot",
    "LatencySnapshot",
    "LimiterStats",
    "RateLimiterSnapshot",
    "RetryBudgetSnapshot",
    "RetrySnapshot",
    "RetryState",
    "TimeoutSnapshot",
]


@dataclass(frozen=True, slots=True)
class LatencySnapshot:
    """Durations of calls, in seconds; quantiles within 2 %, None before the first call."""

    count: int
    total: float
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class CircuitBreakerSnapshot:
    """A circuit breaker at one moment (CB-23, CB-24).

    Attributes:
        requests: Calls that asked to pass: admitted or rejected.
        admitted: Calls that passed; each is settled as one of succeeded, failed, ignored or
            abandoned, or is in flight.
        success_rate: Successes among successes and failures; 1.0 before the first.
        late: Results that came after their generation; part of succeeded, failed or ignored.
        observed: Calls, of those admitted, that would have been rejected (mode "observe").
        window: (calls, failures, slow, ignored) in the window; None without one.
        state_changes: Transitions and overrides so far, by (from, to).
        last_failure, last_success: Seconds on the policy's clock, of the last one that was timed;
            None before it. A failure is timed always, a success where the breaker reads the clock
            anyway: as a probe, or with a rate, ``slow_call_duration`` or ``latency``.
    """

    name: str
    state: State
    requests: int
    admitted: int
    succeeded: int
    failed: int
    ignored: int
    abandoned: int
    rejected: int
    observed: int
    late: int
    slow: int
    settled_twice: int
    in_flight: int
    probes: int
    success_rate: float
    consecutive_failures: int
    generation: int
    retry_after: float | None
    last_failure: float | None
    last_success: float | None
    window: tuple[int, int, int, int] | None
    state_changes: dict[tuple[State, State], int]
    latency: LatencySnapshot | None


@dataclass(frozen=True, slots=True)
class RateLimiterSnapshot:
    """A rate limiter at one moment (RL-07).

    Attributes:
        rate: Tokens per second of the scarcest limit.
        burst: Tokens it holds at most.
        available: Whole tokens there are now.
        allowed, rejected: Calls; those that waited and got their tokens are allowed.
        observed: Calls that ran although they would have been rejected (mode "observe"); beside
            those allowed.
    """

    name: str
    rate: float
    burst: int
    available: int
    allowed: int
    rejected: int
    observed: int


@dataclass(frozen=True, slots=True)
class LimiterStats:
    """What a limiter has left.

    Attributes:
        remaining: Whole tokens there are now.
        reset_after: Seconds until all of them are back, if nobody takes any.
    """

    remaining: int
    reset_after: float


@dataclass(frozen=True, slots=True)
class BulkheadSnapshot:
    """A bulkhead at one moment (BH-07).

    Attributes:
        active, capacity, utilization: Calls inside, how many may be, and their share.
        queued, queue_capacity, queue_utilization: Calls that wait, how many may, and their
            share; 0.0 where nobody may (D-BH-3).
        available: Places free.
        admitted, completed, rejected, timed_out: Calls since ``reset``; admitted less completed
            less undone are inside. Undone: refused further in, so they never ran.
        waited: Admitted calls that came from the queue.
        over_released: Places given back that were never taken (BH-06).
        observed: Calls, of those admitted, that would have been rejected (mode "observe").
        average_execution_time: Seconds inside, of completed calls; None before the first.
    """

    name: str
    active: int
    capacity: int
    utilization: float
    queued: int
    queue_capacity: int
    queue_utilization: float
    available: int
    admitted: int
    completed: int
    undone: int
    rejected: int
    timed_out: int
    waited: int
    over_released: int
    observed: int
    average_execution_time: float | None


@dataclass(frozen=True, slots=True)
class RetryBudgetSnapshot:
    """A retry budget at one moment.

    Attributes:
        ratio, min_per_second, burst: As it was made.
        balance: Tokens there are.
        withdrawn: Retries that took a token; less given_back, retries made.
        refused: Retries not made for want of a token.
        given_back: Tokens of retries that were not made after all.
        successes: Calls that gave their share back.
    """

    ratio: float
    min_per_second: float
    burst: int
    balance: float
    withdrawn: int
    refused: int
    given_back: int
    successes: int


@dataclass(frozen=True, slots=True)
class RetrySnapshot:
    """A retry at one moment (RT-22).

    Attributes:
        attempts: Attempts of all calls; those of calls in flight are not in it but for retries.
        succeeded, failed: Calls, by how they ended; failed is the sum of ``gave_up``.
        recovered: Calls, of those succeeded, that a retry has saved (RT-23).
        success_rate: Successes among calls that have ended; 1.0 before the first.
        max_retries: Retries of one call at most.
        retries: How many first, second … retries there were; the 16th stands for all later ones.
        gave_up: Calls that failed, by why they were not tried again: "exhausted", "out_of_time",
            "deadline", "no_budget", "not_retryable", "cancelled".
        delays: Pauses, by their greatest length in seconds; ``inf`` has those beyond.
        delay: Seconds of all pauses together.
        observed: Retries that were not made, but would have been (mode "observe").
    """

    name: str
    attempts: int
    succeeded: int
    failed: int
    recovered: int
    success_rate: float
    max_retries: int
    retries: tuple[int, ...]
    gave_up: dict[str, int]
    delays: dict[float, int]
    delay: float
    observed: int


@dataclass(frozen=True, slots=True)
class RetryState:
    """Where a call stands when it is about to be tried again, or when it is given up.

    Attributes:
        name: The policy's name.
        attempts: Attempts made.
        error: What the last one raised; None if its result is the reason.
        result: What the last one returned; None if it raised.
        delay: Seconds until the next one; 0.0 when there is none.
        elapsed: Seconds since the first one began.
    """

    name: str
    attempts: int
    error: BaseException | None
    result: Any
    delay: float
    elapsed: float


@dataclass(frozen=True, slots=True)
class CallStats:
    """What one call took.

    Attributes:
        ok: Whether it has a value: its own, or a fallback's.
        attempts: How often the function was called; 0 when the call was refused.
        duration: Seconds from its beginning to its end, on the clock of the policy, or of the
            outermost one of a pipeline.
        waited: Seconds in pauses before retries.
        fallback_used: Whether a fallback gave a result.
    """

    ok: bool
    attempts: int
    duration: float
    waited: float
    fallback_used: bool

    @property
    def recovered(self) -> bool:
        """Whether a retry has saved it."""
        return self.ok and self.attempts > 1 and not self.fallback_used


@dataclass(frozen=True, slots=True)
class TimeoutSnapshot:
    """A timeout at one moment (TO-10).

    Attributes:
        duration: Seconds a call that begins at this moment may take.
        in_time, expired: Calls that have ended, by whether they took too long.
        timeout_rate: The share of those that took too long; 0.0 before the first.
        late: Of those expired, values that came and were dropped.
        refused: Calls that never ran: an enclosing deadline had passed.
        abandoned, running: Work left behind in threads, and how much of it goes on.
        observed: Calls that would have been cut short (mode "observe").
    """

    name: str | None
    duration: float
    in_time: int
    expired: int
    timeout_rate: float
    late: int
    refused: int
    abandoned: int
    running: int
    observed: int


@dataclass(frozen=True, slots=True)
class AdaptiveTimeoutSnapshot(TimeoutSnapshot):
    """A timeout that adapts, at one moment (TO-08).

    Attributes:
        average_latency: Seconds, an average in which the last 16 or so samples weigh most; None
            before the first.
        quantile_latency: Seconds, the running estimate of the quantile it follows; None before
            the first.
        samples: Calls that it has learnt from.
        floor, ceiling: Seconds between which ``duration`` stays.
    """

    average_latency: float | None
    quantile_latency: float | None
    samples: int
    floor: float
    ceiling: float


@dataclass(frozen=True, slots=True)
class FallbackSnapshot:
    """A fallback at one moment.

    Attributes:
        passed: Calls whose own result or exception went through.
        used, failed: Calls that something stood in for, and those for which that raised.
        observed: Calls that something would have stood in for (mode "observe").
    """

    name: str | None
    passed: int
    used: int
    failed: int
    observed: int


def breaker_snapshot(breaker: CircuitBreaker) -> CircuitBreakerSnapshot:
    """Read a circuit breaker."""
    from holdfast.policies.breaker import State

    kernel = breaker._kernel
    now_ns = breaker._clock.now_ns()
    admitted, succeeded, failed, ignored, abandoned, rejected, observed, late, slow = (
        kernel.counters()
    )
    states = tuple(State)
    changes = kernel.changes()
    judged = succeeded + failed
    return CircuitBreakerSnapshot(
        name=breaker.name,
        state=breaker.state,
        requests=admitted + rejected,
        admitted=admitted,
        succeeded=succeeded,
        failed=failed,
        ignored=ignored,
        abandoned=abandoned,
        rejected=rejected,
        observed=observed,
        late=late,
        slow=slow,
        settled_twice=breaker._settled_twice,
        in_flight=kernel.in_flight(),
        probes=kernel.probes(now_ns),
        success_rate=succeeded / judged if judged else 1.0,
        consecutive_failures=kernel.failures_in_a_row(now_ns),
        generation=kernel.generation(),
        retry_after=breaker.retry_after,
        last_failure=_seconds(kernel.last_failure_ns()),
        last_success=_seconds(kernel.last_success_ns()),
        window=kernel.window(now_ns),
        state_changes={
            (old, new): changes[len(states) * i + j]
            for i, old in enumerate(states)
            for j, new in enumerate(states)
            if old is not new
        },
        latency=_latency(breaker),
    )


def limiter_snapshot(limiter: RateLimiter) -> RateLimiterSnapshot:
    """Read a rate limiter: a call is allowed by its last limit, and rejected by one of them."""
    unobserved = limiter._unobserved  # counted last, read first: no figure is ever below zero
    observed = limiter._observed
    counters = [cell.counters() for cell in limiter._kernels]
    allowed, _, refunded = counters[-1]
    return RateLimiterSnapshot(
        name=limiter.name,
        rate=min(rate.per_second for rate in limiter._rates),
        burst=min(rate.burst for rate in limiter._rates),
        available=limiter.available,
        allowed=allowed - refunded,
        rejected=sum(rejected for _, rejected, _ in counters) - observed,
        observed=observed - unobserved,
    )


def limiter_stats(limiter: RateLimiter) -> LimiterStats:
    """Read what a rate limiter has left."""
    now_ns = limiter._clock.now_ns()
    waits = (
        cell.wait_ns(rate.burst, now_ns) or 0
        for cell, rate in zip(limiter._kernels, limiter._rates, strict=True)
    )
    return LimiterStats(remaining=limiter.available, reset_after=max(waits) / 1e9)


def bulkhead_snapshot(bulkhead: Bulkhead) -> BulkheadSnapshot:
    """Read a bulkhead."""
    kernel = bulkhead._kernel
    counts, busy_ns, observed = bulkhead._counts_since_reset()
    admitted, completed, undone, rejected, waited, timed_out, over_released, _ = counts
    active, capacity = kernel.in_flight(), kernel.limit()
    queued, queue_capacity = kernel.waiting(), kernel.max_waiting()
    return BulkheadSnapshot(
        name=bulkhead.name,
        active=active,
        capacity=capacity,
        utilization=active / capacity,
        queued=queued,
        queue_capacity=queue_capacity,
        queue_utilization=queued / queue_capacity if queue_capacity else 0.0,
        available=max(0, capacity - active),
        admitted=admitted,
        completed=completed,
        undone=undone,
        rejected=rejected - observed,
        timed_out=timed_out,
        waited=waited,
        over_released=over_released,
        observed=observed,
        average_execution_time=busy_ns / completed / 1e9 if completed else None,
    )


def budget_snapshot(budget: RetryBudget) -> RetryBudgetSnapshot:
    """Read a retry budget."""
    ratio, min_per_second, burst = budget._settings
    withdrawn, refused, given_back, successes = budget._kernel.counters()
    return RetryBudgetSnapshot(
        ratio=ratio,
        min_per_second=min_per_second,
        burst=burst,
        balance=budget.balance,
        withdrawn=withdrawn,
        refused=refused,
        given_back=given_back,
        successes=successes,
    )


def retry_snapshot(retry: Retry) -> RetrySnapshot:
    """Read a retry."""
    kernel = retry._kernel
    succeeded, recovered, observed = kernel.counters()
    gave_up, retries = kernel.gave_up(), kernel.retries()
    counts, delay_ns = kernel.delays()
    bounds = [2**i / 1000 for i in range(len(counts) - 1)] + [float("inf")]
    failed = sum(gave_up.values())
    ended = succeeded + failed
    return RetrySnapshot(
        name=retry.name,
        attempts=ended + sum(retries),
        succeeded=succeeded,
        failed=failed,
        recovered=recovered,
        success_rate=succeeded / ended if ended else 1.0,
        max_retries=retry._settings[0] - 1,
        retries=retries,
        gave_up=gave_up,
        delays=dict(zip(bounds, counts, strict=True)),
        delay=delay_ns / 1e9,
        observed=observed,
    )


def timeout_snapshot(timeout: Timeout) -> TimeoutSnapshot:
    """Read a timeout."""
    return TimeoutSnapshot(**_timeout_figures(timeout))


def adaptive_timeout_snapshot(timeout: AdaptiveTimeout) -> AdaptiveTimeoutSnapshot:
    """Read a timeout that adapts."""
    _, average_ns, quantile_ns, samples = timeout._adaptive.snapshot()
    floor_ns, ceiling_ns = timeout._adaptive.limits_ns()
    return AdaptiveTimeoutSnapshot(
        **_timeout_figures(timeout),
        average_latency=_seconds(average_ns),
        quantile_latency=_seconds(quantile_ns),
        samples=samples,
        floor=floor_ns / 1e9,
        ceiling=ceiling_ns / 1e9,
    )


def _timeout_figures(timeout: Timeout) -> dict[str, Any]:
    stopped_before = timeout._kernel.counters()[5]  # read first: no figure is ever below zero
    in_time, expired, late, refused, abandoned, _, observed = timeout._kernel.counters()
    ended = in_time + expired
    return {
        "name": timeout.name,
        "duration": timeout.duration,
        "in_time": in_time,
        "expired": expired,
        "timeout_rate": expired / ended if ended else 0.0,
        "late": late,
        "refused": refused,
        "abandoned": abandoned,
        "running": abandoned - stopped_before,
        "observed": observed,
    }


def fallback_snapshot(fallback: Fallback) -> FallbackSnapshot:
    """Read a fallback."""
    passed, used, failed, observed = fallback._kernel.counters()
    return FallbackSnapshot(fallback.name, passed, used, failed, observed)


def _latency(breaker: CircuitBreaker) -> LatencySnapshot | None:
    histogram = breaker._histogram
    if histogram is None:
        return None
    return LatencySnapshot(
        count=histogram.count(),
        total=histogram.sum_ns() / 1e9,
        p50=_seconds(histogram.quantile(0.5)),
        p95=_seconds(histogram.quantile(0.95)),
        p99=_seconds(histogram.quantile(0.99)),
    )


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9
