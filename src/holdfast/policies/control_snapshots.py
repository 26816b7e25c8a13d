"""What policies that control calls show at one moment: retries, timeouts, fallbacks, single calls.

Imported by the first snapshot that is asked for, as ``snapshots`` is. Each figure is read at once;
figures of one snapshot may be a call apart.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.policies.fallback import Fallback
    from holdfast.policies.retry import Retry, RetryBudget
    from holdfast.policies.timeout import AdaptiveTimeout, Timeout

__all__ = [
    "AdaptiveTimeoutSnapshot",
    "CallStats",
    "FallbackSnapshot",
    "RetryBudgetSnapshot",
    "RetrySnapshot",
    "RetryState",
    "TimeoutSnapshot",
]


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
            "deadline", "no_budget", "not_retryable", "rejected" (by another policy, where ``on``
            does not name it), "cancelled".
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
        average_latency=None if average_ns is None else average_ns / 1e9,
        quantile_latency=None if quantile_ns is None else quantile_ns / 1e9,
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
