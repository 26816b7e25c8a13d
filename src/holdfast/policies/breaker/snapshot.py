"""What a circuit breaker shows of itself at one moment; each figure is read at once."""

from __future__ import annotations

from dataclasses import dataclass, field

# Serializers such as pydantic read the types.
from holdfast.policies.breaker.state import State
from holdfast.trip import Trip

__all__ = ["CircuitBreakerSnapshot", "LatencySnapshot"]


@dataclass(frozen=True, slots=True)
class LatencySnapshot:
    """Quantiles of the durations of calls, in seconds, within 2 %; None before the first call."""

    count: int
    total: float
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class CircuitBreakerSnapshot:
    """The state and counts of a circuit breaker at one moment.

    Attributes:
        requests: Admitted and rejected calls.
        admitted: Admitted calls. Each is in flight, or settled as succeeded, failed, ignored or
            abandoned.
        success_rate: Successes among successes and failures; 1.0 before the first.
        late: Results that arrived after their generation; included in succeeded, failed or
            ignored.
        observed: Admitted calls that would have been rejected (mode "observe").
        window: (calls, failures, slow, ignored) in the window; None without a window.
        state_changes: The number of transitions, by "from->to": "closed->open" … Overrides are
            included once there was one: "closed->forced-open".
        last_failure, last_success: The time of the last failure or success with a known time, in
            seconds on the policy's clock; None before it. The time of a failure is always known.
            The time of a success is known for probes, and for breakers with a rate,
            ``slow_call_duration`` or ``latency``.
        trip: Why the breaker last opened, also after it has closed again; None before that.
    """

    kind: str = field(default="circuit_breaker", init=False)
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
    state_changes: dict[str, int]
    latency: LatencySnapshot | None
    trip: Trip | None
