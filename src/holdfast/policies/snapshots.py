"""What policies show of themselves at one moment: frozen dataclasses.

Imported by the first snapshot that is asked for: dataclasses are a third of the import time of
everything else. Each figure is read at once; figures of one snapshot may be a call apart. Not here:
what controls calls (``control_snapshots``).
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.mode import Mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.policies.base import Policy
    from holdfast.policies.breaker import CircuitBreaker, State
    from holdfast.policies.bulkhead import Bulkhead
    from holdfast.policies.limiter import RateLimiter

__all__ = [
    "BulkheadSnapshot",
    "CircuitBreakerSnapshot",
    "LatencySnapshot",
    "LimiterStats",
    "RateLimiterSnapshot",
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


def rejected_by(policy: Policy, refused: int) -> int:
    """Return how many calls it rejected of those its kernel refused: none if it observes.

    Not the difference of two counts: between them, a reader would see it rise and fall again.
    """
    return 0 if policy.mode is Mode.OBSERVE else refused


def breaker_snapshot(breaker: CircuitBreaker) -> CircuitBreakerSnapshot:
    """Read a circuit breaker."""
    from holdfast.policies.breaker import State

    kernel = breaker._kernel
    now_ns = breaker._clock.now_ns()
    admitted, succeeded, failed, ignored, abandoned, rejected, observed, late, slow = (
        kernel.counters()
    )
    rejected = rejected_by(breaker, rejected)
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
        rejected=rejected_by(limiter, sum(rejected for _, rejected, _ in counters)),
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
        rejected=rejected_by(bulkhead, rejected),
        timed_out=timed_out,
        waited=waited,
        over_released=over_released,
        observed=observed,
        average_execution_time=busy_ns / completed / 1e9 if completed else None,
    )


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
