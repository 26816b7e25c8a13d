"""What a circuit breaker shows of itself at one moment; each figure is read at once."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.policies.breaker.state import State

__all__ = ["CircuitBreakerSnapshot", "LatencySnapshot"]


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
