"""What a policy shows of itself and says when it refuses, compared with what its model knows."""

from dataclasses import astuple, replace
from typing import Any

import holdfast as hf
from tests.models.pipeline import BreakerStep, BulkheadStep, LimiterStep, Refusal
from tests.pipeline.composed import Policy

STATES = tuple(hf.State)


def seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def check_refusal(policy: Policy, want: Refusal, error: BaseException | None) -> None:
    """Check who refused a call through a policy, and what it said."""
    assert isinstance(error, hf.Rejected)
    assert (error.name, error.reason) == (want.name, want.reason)
    assert error.retry_after == seconds(want.retry_after_ns)
    refusing = error.policy
    assert isinstance(refusing, hf.Policy)
    assert refusing.name == want.name
    assert refusing in policy.reals


def check_shown(part: Policy, now_ns: int) -> None:
    step = part.steps[0]
    if isinstance(step, BreakerStep):
        _check_breaker(part.real, step, now_ns)
    elif isinstance(step, LimiterStep):
        _check_limiter(part.real, step, now_ns)
    else:
        _check_bulkhead(part.real, step)


def _check_breaker(real: Any, step: BreakerStep, now_ns: int) -> None:
    s, m = real.snapshot(), step.model
    assert s.state is real.state is STATES[m.state]
    assert s.generation == m.generation
    # Whoever observes rejects nothing, though its kernel goes on counting.
    counted = replace(m.counters, rejected=0) if step.observes else m.counters
    assert astuple(counted) == (
        s.admitted, s.succeeded, s.failed, s.ignored, s.abandoned, s.rejected, s.observed,
        s.late, s.slow,
    )  # fmt: skip
    assert s.admitted == s.succeeded + s.failed + s.ignored + s.abandoned + s.in_flight
    assert (s.in_flight, s.probes) == (m.in_flight, m.probes(now_ns))
    assert s.window == (m.tally(now_ns) if m.window else None)
    assert s.consecutive_failures == m.failures_in_a_row(now_ns)
    is_inside = any(m.holds(probe, now_ns) for probe in step.probes)
    assert real.peek() is (m.peek(now_ns) or is_inside)
    left_ns = m.retry_after_ns(now_ns)
    assert s.retry_after == seconds(None if left_ns < 0 else left_ns)
    assert s.last_failure == seconds(m.last_failure_ns)
    assert s.last_success == seconds(m.last_success_ns)
    assert (s.latency is not None) is step.records
    if s.latency:
        times_ns = step.durations_ns
        assert (s.latency.count, s.latency.total) == (len(times_ns), sum(times_ns) / 1e9)


def _check_limiter(real: Any, step: LimiterStep, now_ns: int) -> None:
    s = real.snapshot()
    assert (s.allowed, s.rejected, s.observed) == (step.allowed, step.rejected, step.observed)
    assert s.available == step.model.available(now_ns)
    assert real.test() is (step.is_off or step.observes or s.available > 0)
    stats = real.stats()
    assert stats.remaining == s.available
    assert stats.reset_after == seconds(step.model.wait_ns(step.model.burst, now_ns))


def _check_bulkhead(real: Any, step: BulkheadStep) -> None:
    s = real.snapshot()
    *counts, busy_ns = step.since_reset()
    assert counts == [
        s.admitted, s.completed, s.undone, s.rejected, s.over_released, s.observed,
    ]  # fmt: skip
    assert (s.active, s.capacity) == (step.model.in_flight, step.model.limit)
    assert s.available == max(0, s.capacity - s.active)
    assert s.average_execution_time == (busy_ns / s.completed / 1e9 if s.completed else None)
