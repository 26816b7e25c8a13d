"""The metrics there are: their names, labels and buckets, and how each is read off figures.

The names have no namespace here. A counter that alerts are built on has its series, at 0, from the
beginning: Prometheus sees no increase in a first value. A histogram, and a counter of what hardly
ever happens, has its series once there is something in it. Elsewhere: formats.
"""

from __future__ import annotations

import operator
import re
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from holdfast._native.check import DEGRADED, HEALTHY
from holdfast._native.component import STOPPED, UP
from holdfast._native.histogram import ENDS
from holdfast._native.latency_budget import middle_ns
from holdfast._native.retry import VERDICTS
from holdfast.policies.breaker.state import STATES
from holdfast.priorities import PRIORITIES
from holdfast.stores.figures import (
    ADAPTIVE,
    BREAKER,
    BULKHEAD,
    COMPONENT,
    COUNTS,
    DEGRADATION,
    ERROR_BUDGET,
    FALLBACK,
    FAULT,
    HEALTH,
    HEDGE,
    IN_THREADS,
    KEYED,
    KINDS,
    LATENCY,
    LATENCY_BUDGET,
    LIMITER,
    LIMITER_PART,
    MANAGER,
    OBSERVE,
    OPERATION,
    OTHER,
    PIPELINE,
    PLACES,
    POOL,
    POOL_WAIT,
    RESOURCE,
    RESOURCES,
    RETRY,
    TIMED,
    TIMEOUTS,
    WAIT,
    Sum,
    parts_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.stores.figures import Figures

    Row = tuple[str, tuple[str, ...]]

__all__ = ["FAMILIES", "NAMESPACE", "Family", "by_role", "named_by"]

#: What may stand before the names.
NAMESPACE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}", re.ASCII)

# In the order of enum hf_state: what the gauge shows, and what labels say.
_STATE_METRICS = tuple(state.metric for state in STATES)
_STATES = tuple(state.value for state in STATES)
_ORDINARY = 3

_SECONDS = (
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf",
)  # fmt: skip
_ORDINALS = len(range(COUNTS[RETRY])[PLACES[RETRY]["retries"]])
_DELAY_BUCKETS = tuple(repr(2**n / 1000) for n in range(10))


class Family(NamedTuple):
    """One metric.

    Attributes:
        name: Without namespace, and without what its type adds.
        type: "counter", "gauge" or "histogram".
        help: What it says.
        labels: The first is the policy's name; of a pair (``PAIRED``) the first two are, but for
            resources, whose first joins both.
        role: Whose figures it is read off.
        rows: What each sample adds to the name, and the values of the other labels.
        read: Gives the samples' values, in the order of the rows; there may be fewer.
    """

    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    role: int
    rows: tuple[Row, ...]
    read: Callable[[Sum], Sequence[float]]


def named_by(role: int, name: str) -> tuple[str, ...]:
    """Return the values of the labels that tell what has this name."""
    parts = parts_of(role, name)
    if role in _TYPED:
        return ("/".join(parts) if name != OTHER else OTHER,)
    return parts


def by_role(figures: Figures) -> dict[int, dict[str, Sum]]:
    """Sort figures by role, those of a limiter's limits and of both kinds of bulkhead in one."""
    found: dict[int, dict[str, Sum]] = {role: {} for role in COUNTS}
    parts = []
    for (role, name), there in figures.items():
        if role in _JOINED:
            parts.append((role, name, there))
        else:
            found[role][name] = there
    for role, name, part in parts:
        its = found[_JOINED[role]]
        whole = Sum(list(part.counts))
        whole.states = [] if role == LIMITER_PART else part.states
        if role == POOL:
            whole.states = [
                (mode, 0, (min(inside, workers), max(0, inside - workers)))
                for mode, workers, (inside, _) in part.states
            ]
        if (there_too := its.get(name)) is not None:
            whole.counts = list(map(operator.add, whole.counts, there_too.counts))
            whole.states = [*whole.states, *there_too.states]
        its[name] = whole
    return found


_TYPED = (RESOURCE, RESOURCES)
_JOINED = {LIMITER_PART: LIMITER, POOL: BULKHEAD, POOL_WAIT: WAIT}


def _counts(there: Sum, role: int, name: str) -> list[int]:
    return there.counts[PLACES[role][name]]


# ---- breakers ----

_PAIRS = [
    (old, new) for old in range(_ORDINARY) for new in range(_ORDINARY) if old != new
]  # of states without an order
_PAIR_PLACES = [len(_STATES) * old + new for old, new in _PAIRS]
_OVERRIDE_PLACES = [
    [
        len(_STATES) * old + new
        for old in range(len(_STATES))
        if old != new and max(old, new) >= _ORDINARY
    ]
    for new in range(len(_STATES))
]


def _state(there: Sum) -> Sequence[float]:
    return [max(_STATE_METRICS[state] for _, _, (state, _) in there.states)] if there.states else ()


def _accepting(there: Sum) -> Sequence[float]:
    """Return 1 if all breakers of the name admit calls; one that does not enforce admits all."""
    if not there.states:
        return ()
    return [min(1 if mode else accepting for mode, _, (_, accepting) in there.states)]


def _state_changes(there: Sum) -> Sequence[float]:
    changes = _counts(there, BREAKER, "changes")
    return [changes[at] for at in _PAIR_PLACES]


def _overrides(there: Sum) -> Sequence[float]:
    changes = _counts(there, BREAKER, "changes")
    if not any(changes):
        return ()
    overrides = [sum([changes[at] for at in places]) for places in _OVERRIDE_PLACES]
    return overrides if any(overrides) else ()


# ---- retries ----


MANY = 2**32  # attempts: there is no limit


def _retries(there: Sum) -> Sequence[float]:
    counts = _counts(there, RETRY, "retries")
    possible = max(((attempts or MANY) - 1 for _, _, (attempts,) in there.states), default=0)
    made = max((at + 1 for at, count in enumerate(counts) if count), default=0)
    return counts[: max(possible, made)]


def _delays(there: Sum) -> Sequence[float]:
    upto = list(accumulate(_counts(there, RETRY, "delays")))
    if not upto[-1]:
        return ()
    [total_ns] = _counts(there, RETRY, "delay_ns")
    return [*upto[: len(_DELAY_BUCKETS)], upto[-1], upto[-1], total_ns / 1e9]


# ---- what several have ----


def _durations(role: int) -> Callable[[Sum], Sequence[float]]:
    upto, sum_ns = PLACES[role]["upto"], PLACES[role]["sum_ns"].start

    def read(there: Sum) -> Sequence[float]:
        buckets = there.counts[upto]
        return [*buckets, buckets[-1], there.counts[sum_ns] / 1e9] if buckets[-1] else ()

    return read


def _at(role: int, *names: str) -> Callable[[Sum], Sequence[float]]:
    places = [PLACES[role][name].start for name in names]
    return lambda there: [there.counts[at] for at in places]


def _sum_of(at: int) -> Callable[[Sum], Sequence[float]]:
    return lambda there: [sum(state[at] for _, _, state in there.states)] if there.states else ()


def _rare(role: int, name: str) -> Callable[[Sum], Sequence[float]]:
    """A count that has no series before it counts."""
    at = PLACES[role][name].start
    return lambda there: [there.counts[at]] if there.counts[at] else ()


def _mode(there: Sum) -> Sequence[float]:
    """The modes of others than those that enforce, as nearly all do."""
    mode = max((mode for mode, _, _ in there.states), default=0)
    return [mode] if mode else ()


def _observed(role: int) -> Callable[[Sum], Sequence[float]]:
    at = PLACES[role]["observed"].start

    def read(there: Sum) -> Sequence[float]:
        count = there.counts[at]
        return [count] if count or any(mode == OBSERVE for mode, _, _ in there.states) else ()

    return read


# ---- adaptive rate limiters ----


def _current_rate(there: Sum) -> Sequence[float]:
    """Return the tokens per second that all limiters of the name give together."""
    return [sum(micro for _, _, (micro,) in there.states) / 1e6] if there.states else ()


# ---- timeouts ----


def _abandoned(role: int) -> Callable[[Sum], Sequence[float]]:
    at = PLACES[role]["abandoned"].start

    def read(there: Sum) -> Sequence[float]:
        count = there.counts[at]
        return [count] if count or any(extra == IN_THREADS for _, extra, _ in there.states) else ()

    return read


def _running(there: Sum) -> Sequence[float]:
    states = there.states
    running = sum(running for _, _, (running,) in states)
    return [running] if running or any(extra == IN_THREADS for _, extra, _ in states) else ()


# ---- latency budgets ----


def _percentile(percent: int) -> Callable[[Sum], Sequence[float]]:
    """Read a percentile of the last calls of all budgets of a name together, in seconds.

    Each tells how many calls it has, and in which cells of a histogram their hundred percentiles
    are. So each of those stands for a hundredth of its calls.
    """

    def read(there: Sum) -> Sequence[float]:
        weights: dict[int, int] = {}
        for _, _, (_, calls, *packed) in there.states:
            for four in packed if calls else ():
                for shift in (0, 16, 32, 48):
                    cell = four >> shift & 0xFFFF
                    weights[cell] = weights.get(cell, 0) + calls
        wanted = percent * sum(weights.values())
        seen = 0
        for cell in sorted(weights):
            seen += 100 * weights[cell]
            if seen >= wanted:
                return [middle_ns(cell) / 1e9]
        return ()

    return read


def _compliant(there: Sum) -> Sequence[float]:
    """Return 1 if no budget of the name is exhausted."""
    return [min(1 - exhausted for _, _, (exhausted, *_) in there.states)] if there.states else ()


# ---- error budgets ----


_WHOLE = 10**9  # shares are in billionths
_WINDOWS = ("5m", "1h", "30m", "6h")  # after the budget's own


def _burns(there: Sum) -> list[float]:
    """Return the burn rate of each window, of all requests of the name together."""
    states = [state for _, _, state in there.states]
    rates: list[float] = []
    for at in range(1, 2 * len(_WINDOWS) + 3, 2):
        failed = sum(state[at + 1] for state in states)
        may_fail = sum(state[at] * state[0] for state in states) / _WHOLE
        rates.append(0.0 if not failed else failed / may_fail if may_fail else inf)
    return rates


def _allowed(there: Sum) -> Sequence[float]:
    """Return the share of requests that may fail; of several budgets of a name the smallest."""
    return [min(state[0] for _, _, state in there.states) / _WHOLE] if there.states else ()


def _consumed(there: Sum) -> Sequence[float]:
    return [min(1.0, _burns(there)[0])] if there.states else ()


def _remaining(there: Sum) -> Sequence[float]:
    return [1.0 - min(1.0, _burns(there)[0])] if there.states else ()


def _burn_rates(there: Sum) -> Sequence[float]:
    return _burns(there)[1:] if there.states else ()


# ---- operations ----


def _critical(there: Sum) -> Sequence[float]:
    """Return 1 where an operation of the name is critical, as few are."""
    return [1] if any(critical for _, _, (critical,) in there.states) else ()


# ---- managers ----


def _metered(role: int, at: int) -> Callable[[Sum], Sequence[float]]:
    place = PLACES[role]["counted"].start + at
    return lambda there: [there.counts[place]]


def _runs(there: Sum) -> Sequence[float]:
    return [max(running for _, _, (running, _) in there.states)] if there.states else ()


# ---- health checks ----


_FINE = range(HEALTHY, DEGRADED + 1)


def _status(there: Sum) -> Sequence[float]:
    """Return 1 if a check of the name is healthy or degraded, and none is unhealthy.

    A process that does not know, such as a master whose workers run the monitor, says nothing of
    what others know.
    """
    if not there.states:
        return ()
    known = [state for _, _, (state,) in there.states if state >= HEALTHY]
    return [int(bool(known) and all(state in _FINE for state in known))]


def _results(there: Sum) -> Sequence[float]:
    passed, limped, failed = _at(HEALTH, "passed", "limped", "failed")(there)
    return [passed + limped, failed]


# ---- degradation ----


_LEVELS = ("normal", "degraded", "severely_degraded", "emergency")


def _level(there: Sum) -> Sequence[float]:
    return [max(level for _, _, (level,) in there.states)] if there.states else ()


def _degraded_seconds(there: Sum) -> Sequence[float]:
    return [ns / 1e9 for ns in _counts(there, DEGRADATION, "spent_ns")[1:]]


def _shed(there: Sum) -> Sequence[float]:
    calls = _counts(there, DEGRADATION, "shed")[1:]  # critical calls never are
    return calls if any(calls) else ()


# ---- components ----


def _is_up(there: Sum) -> Sequence[float]:
    """Return 1 if all of the name are up but those that are stopped; nothing if all of them are."""
    wanted = [state for _, _, (state,) in there.states if state != STOPPED]
    return [int(all(state == UP for state in wanted))] if wanted else ()


def _component_state(there: Sum) -> Sequence[float]:
    return [max(state for _, _, (state,) in there.states)] if there.states else ()


_DOWN_AT = PLACES[COMPONENT]["down_ns"].start


# ---- resources ----


def _limit(there: Sum) -> Sequence[float]:
    """Return the limit of all managers of the name together, if each has one."""
    limits = [limit for _, _, (_, limit) in there.states]
    return [sum(limits)] if limits and all(limits) else ()


_VALUE: tuple[Row, ...] = (("", ()),)
_TOTAL: tuple[Row, ...] = (("_total", ()),)


def _totals(*values: str) -> tuple[Row, ...]:
    return tuple(("_total", (value,)) for value in values)


def _scope(scope: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The label that tells two timeouts of a standard pipeline apart, and its value."""
    return (("scope",), (scope,)) if scope else ((), ())


def _histogram(*bounds: str) -> tuple[Row, ...]:
    return (*(("_bucket", (le,)) for le in bounds), ("_count", ()), ("_sum", ()))


# Labels of policies that observe, of which timeouts may have a scope.
_OBSERVING = (
    *(
        (role, (), ())
        for role in (BREAKER, LIMITER, BULKHEAD, RETRY, FALLBACK, HEDGE, ERROR_BUDGET, FAULT)
    ),
    *((role, *_scope(scope)) for role, scope in TIMEOUTS.items()),
)

FAMILIES = (
    Family(
        "pipeline_calls", "counter",
        "Total number of calls of a pipeline",
        ("pipeline", "outcome"), PIPELINE, _totals(*ENDS), _at(PIPELINE, *ENDS),
    ),
    Family(
        "pipeline_call_duration_seconds", "histogram",
        "Pipeline call duration in seconds",
        ("pipeline", "le"), PIPELINE, _histogram(*_SECONDS), _durations(PIPELINE),
    ),
    Family(  # MX-29
        "operations", "counter",
        "Total number of calls of an operation",
        ("operation", "result"), OPERATION, _totals(*ENDS), _at(OPERATION, *ENDS),
    ),
    Family(
        "operation_retries", "counter",
        "Total number of retries of an operation",
        ("operation",), OPERATION, _TOTAL, _at(OPERATION, "retries"),
    ),
    Family(
        "timeouts", "counter",
        "Total number of calls and attempts of an operation that were not in time",
        ("operation",), OPERATION, _TOTAL, _at(OPERATION, "timeouts"),
    ),
    Family(
        "operation_duration_seconds", "histogram",
        "Operation call duration in seconds",
        ("operation", "le"), OPERATION, _histogram(*_SECONDS), _durations(OPERATION),
    ),
    Family(
        "operation_critical", "gauge",
        "Whether the operation is critical (1=yes)",
        ("operation",), OPERATION, _VALUE, _critical,
    ),
    Family(
        "keys", "gauge",
        "Current number of keys that have policies of their own",
        ("operation",), KEYED, _VALUE, _sum_of(0),
    ),
    Family(
        "keys_limit", "gauge",
        "Number of keys that may have policies of their own",
        ("operation",), KEYED, _VALUE, _sum_of(1),
    ),
    Family(
        "keys_evicted", "counter",
        "Total number of keys that made room for others",
        ("operation",), KEYED, _TOTAL, _metered(KEYED, 0),
    ),
    Family(
        "keys_overflowed", "counter",
        "Total number of times that a key found no room and shared the overflow key",
        ("operation",), KEYED, _TOTAL, _metered(KEYED, 1),
    ),
    Family(  # MX-30
        "manager_running", "gauge",
        "Whether the manager's monitoring runs (1=yes, 0=no)",
        ("manager",), MANAGER, _VALUE, _runs,
    ),
    Family(
        "manager_changes", "counter",
        "Total number of changes of what is registered with a manager",
        ("manager",), MANAGER, _TOTAL, _metered(MANAGER, 0),
    ),
    Family(
        "timeouts_active", "gauge",
        "Current number of operations that a manager of timeouts limits",
        ("manager",), TIMED, _VALUE, _sum_of(0),
    ),
    Family(
        "timeouts_started", "counter",
        "Total number of operations that a manager of timeouts has begun",
        ("manager",), TIMED, _TOTAL, _metered(TIMED, 0),
    ),
    Family(
        "timeouts_cancelled", "counter",
        "Total number of operations that were cancelled through a manager of timeouts",
        ("manager",), TIMED, _TOTAL, _metered(TIMED, 1),
    ),
    Family(  # MX-01
        "circuit_breaker_state", "gauge",
        "Circuit breaker state (0=closed, 1=half-open, 2=open)",
        ("name",), BREAKER, _VALUE, _state,
    ),
    Family(
        "circuit_breaker_accepting", "gauge",
        "Whether the circuit breaker admits a call, or a probe (1=yes, 0=no)",
        ("name",), BREAKER, _VALUE, _accepting,
    ),
    Family(  # MX-02
        "circuit_breaker_requests", "counter",
        "Total number of requests through circuit breaker",
        ("name", "result"), BREAKER, _totals("success", "failure", "rejected"),
        _at(BREAKER, "succeeded", "failed", "rejected"),
    ),
    Family(  # MX-03
        "circuit_breaker_failures", "counter",
        "Total number of circuit breaker failures",
        ("name",), BREAKER, _TOTAL, _at(BREAKER, "failed"),
    ),
    Family(  # MX-04
        "circuit_breaker_state_changes", "counter",
        "Total number of circuit breaker state changes",
        ("name", "from", "to"), BREAKER,
        tuple(("_total", (_STATES[old], _STATES[new])) for old, new in _PAIRS), _state_changes,
    ),
    Family(
        "circuit_breaker_overrides", "counter",
        "Total number of moves into and out of states that only an order ends",
        ("name", "to"), BREAKER, _totals(*_STATES), _overrides,
    ),
    Family(
        "circuit_breaker_late_results", "counter",
        "Total number of results that came after the state they were admitted in",
        ("name",), BREAKER, _TOTAL, _rare(BREAKER, "late"),
    ),
    Family(  # MX-05
        "circuit_breaker_request_duration_seconds", "histogram",
        "Circuit breaker request duration in seconds",
        ("name", "le"), LATENCY, _histogram(*_SECONDS), _durations(LATENCY),
    ),
    Family(  # MX-06
        "retry_attempts", "counter",
        "Total number of retry attempts",
        ("policy", "attempt"), RETRY,
        _totals(*map(str, range(1, _ORDINALS)), f"{_ORDINALS}+"), _retries,
    ),
    Family(  # MX-07
        "retry_success", "counter",
        "Total number of successful retries",
        ("policy",), RETRY, _TOTAL, _at(RETRY, "recovered"),
    ),
    Family(  # MX-08
        "retry_failures", "counter",
        "Total number of failed retries",
        ("policy", "reason"), RETRY, _totals(*VERDICTS[1:]),
        lambda there: _counts(there, RETRY, "gave_up")[1:],
    ),
    Family(  # MX-09
        "retry_backoff_delay_seconds", "histogram",
        "Retry backoff delay in seconds",
        ("policy", "le"), RETRY, _histogram(*_DELAY_BUCKETS, "+Inf"), _delays,
    ),
    Family(  # MX-14
        "rate_limiter_allowed", "counter",
        "Total number of allowed requests",
        ("limiter",), LIMITER, _TOTAL, _at(LIMITER, "allowed"),
    ),
    Family(  # MX-15
        "rate_limiter_rejected", "counter",
        "Total number of rejected requests",
        ("limiter",), LIMITER, _TOTAL, _at(LIMITER, "rejected"),
    ),
    Family(
        "rate_limiter_refunded", "counter",
        "Total number of allowed requests that gave their tokens back without having run",
        ("limiter",), LIMITER, _TOTAL, _at(LIMITER, "refunded"),
    ),
    Family(  # MX-16
        "rate_limiter_current_rate", "gauge",
        "Current rate limit",
        ("limiter",), ADAPTIVE, _VALUE, _current_rate,
    ),
    Family(
        "rate_limiter_adjustments", "counter",
        "Total number of changes of the rate of adaptive rate limiters",
        ("limiter", "reason"), ADAPTIVE, _totals("raised", "slowed", "throttled"),
        _at(ADAPTIVE, "raised", "slowed", "throttled"),
    ),
    Family(  # MX-17
        "bulkhead_concurrent", "gauge",
        "Current number of concurrent executions",
        ("bulkhead",), BULKHEAD, _VALUE, _sum_of(0),
    ),
    Family(  # MX-18
        "bulkhead_queued", "gauge",
        "Current number of queued requests",
        ("bulkhead",), BULKHEAD, _VALUE, _sum_of(1),
    ),
    Family(  # MX-19
        "bulkhead_rejected", "counter",
        "Total number of rejected requests",
        ("bulkhead",), BULKHEAD, _TOTAL,
        lambda there: [sum(_at(BULKHEAD, "rejected", "timed_out")(there))],
    ),
    Family(  # MX-20
        "bulkhead_wait_duration_seconds", "histogram",
        "Bulkhead wait duration in seconds",
        ("bulkhead", "le"), WAIT, _histogram(*_SECONDS), _durations(WAIT),
    ),
    *(
        family
        for role, scope in TIMEOUTS.items()
        for label, value in [_scope(scope)]
        for family in (
            Family(
                "timeout_calls", "counter",
                "Total number of calls through timeouts",
                ("timeout", *label, "result"), role,
                tuple(("_total", (*value, end)) for end in ("in_time", "expired", "refused")),
                _at(role, "in_time", "expired", "refused"),
            ),
            Family(
                "timeout_late_results", "counter",
                "Total number of results that came after the deadline and were dropped",
                ("timeout", *label), role, (("_total", value),), _rare(role, "late"),
            ),
            Family(
                "timeout_threads_abandoned", "counter",
                "Total number of calls that were left behind in a thread",
                ("timeout", *label), role, (("_total", value),), _abandoned(role),
            ),
            Family(
                "timeout_threads_running", "gauge",
                "Current number of calls that were left behind in a thread and still run",
                ("timeout", *label), role, (("", value),), _running,
            ),
        )
    ),
    Family(
        "fallback_calls", "counter",
        "Total number of calls through fallbacks",
        ("fallback", "result"), FALLBACK, _totals("passed", "used", "failed"),
        _at(FALLBACK, "passed", "used", "failed"),
    ),
    Family(
        "hedge_calls", "counter",
        "Total number of calls through hedges",
        ("hedge",), HEDGE, _TOTAL, _at(HEDGE, "calls"),
    ),
    Family(
        "hedge_calls_failed", "counter",
        "Total number of calls of which every attempt failed",
        ("hedge",), HEDGE, _TOTAL, _at(HEDGE, "failed"),
    ),
    Family(
        "hedge_calls_hedged", "counter",
        "Total number of calls with a further attempt",
        ("hedge",), HEDGE, _TOTAL, _at(HEDGE, "hedged"),
    ),
    Family(
        "hedge_attempts", "counter",
        "Total number of further attempts",
        ("hedge",), HEDGE, _TOTAL, _at(HEDGE, "attempts"),
    ),
    Family(
        "hedge_won", "counter",
        "Total number of calls that a further attempt answered",
        ("hedge",), HEDGE, _TOTAL, _at(HEDGE, "won"),
    ),
    Family(
        "hedge_cancelled", "counter",
        "Total number of attempts that were ended without need for their answer",
        ("hedge",), HEDGE, _TOTAL, _at(HEDGE, "cancelled"),
    ),
    Family(
        "hedge_refused", "counter",
        "Total number of further attempts for which the budget had no token",
        ("hedge",), HEDGE, _TOTAL, _at(HEDGE, "refused"),
    ),
    Family(
        "hedge_threads_abandoned", "counter",
        "Total number of attempts that were left behind in a thread",
        ("hedge",), HEDGE, _TOTAL, _rare(HEDGE, "abandoned"),
    ),
    Family(
        "hedge_threads_running", "gauge",
        "Current number of attempts that were left behind in a thread and still run",
        ("hedge",), HEDGE, _VALUE, _running,
    ),
    Family(
        "chaos_checks", "counter",
        "Total number of calls that passed an armed fault",
        ("fault",), FAULT, _TOTAL, _at(FAULT, "checked"),
    ),
    Family(
        "chaos_injections", "counter",
        "Total number of calls that a fault has struck",
        ("fault",), FAULT, _TOTAL, _at(FAULT, "injected"),
    ),
    *(
        Family(  # MX-24, MX-25, MX-26
            f"latency_budget_p{percent}_seconds", "gauge",
            f"Latency budget {percent}th percentile in seconds",
            ("budget",), LATENCY_BUDGET, _VALUE, _percentile(percent),
        )
        for percent in (50, 95, 99)
    ),
    Family(  # MX-27
        "latency_budget_violations", "counter",
        "Total number of latency budget violations",
        ("budget",), LATENCY_BUDGET, _TOTAL, _at(LATENCY_BUDGET, "exceeded"),
    ),
    Family(
        "latency_budget_calls", "counter",
        "Total number of calls that count for a latency budget",
        ("budget",), LATENCY_BUDGET, _TOTAL, _at(LATENCY_BUDGET, "recorded"),
    ),
    Family(
        "latency_budget_compliant", "gauge",
        "Whether the latency is within the budget (1=yes, 0=no)",
        ("budget",), LATENCY_BUDGET, _VALUE, _compliant,
    ),
    Family(
        "latency_budget_exhausted", "counter",
        "Total number of times a latency budget was exhausted",
        ("budget",), LATENCY_BUDGET, _TOTAL, _at(LATENCY_BUDGET, "exhausted"),
    ),
    Family(  # MX-21
        "error_budget_remaining", "gauge",
        "Remaining error budget (0-1)",
        ("budget",), ERROR_BUDGET, _VALUE, _remaining,
    ),
    Family(  # MX-22
        "error_budget_consumed", "gauge",
        "Consumed error budget (0-1)",
        ("budget",), ERROR_BUDGET, _VALUE, _consumed,
    ),
    Family(  # MX-23
        "error_budget_exhausted", "counter",
        "Total number of times error budget was exhausted",
        ("budget",), ERROR_BUDGET, _TOTAL, _at(ERROR_BUDGET, "exhausted"),
    ),
    Family(
        "error_budget_allowed", "gauge",
        "Share of requests that the objective allows to fail (0-1)",
        ("budget",), ERROR_BUDGET, _VALUE, _allowed,
    ),
    Family(
        "error_budget_burn_rate", "gauge",
        "Share of failed requests by the share that the objective allows",
        ("budget", "window"), ERROR_BUDGET,
        tuple(("", (window,)) for window in _WINDOWS), _burn_rates,
    ),
    Family(
        "error_budget_requests", "counter",
        "Total number of requests that count for an error budget",
        ("budget", "result"), ERROR_BUDGET, _totals("success", "failure"),
        _at(ERROR_BUDGET, "good", "bad"),
    ),
    Family(
        "error_budget_pages", "counter",
        "Total number of times an error budget began to page",
        ("budget", "windows"), ERROR_BUDGET, _totals("5m/1h", "30m/6h"),
        _at(ERROR_BUDGET, "paged_fast", "paged_slow"),
    ),
    Family(
        "error_budget_shed", "counter",
        "Total number of calls that were refused because an error budget was exhausted",
        ("budget",), ERROR_BUDGET, _TOTAL, _at(ERROR_BUDGET, "shed"),
    ),
    Family(  # MX-10
        "health_check_status", "gauge",
        "Health check status (1=healthy, 0=unhealthy)",
        ("checker", "check"), HEALTH, _VALUE, _status,
    ),
    Family(  # MX-11
        "health_check_duration_seconds", "histogram",
        "Health check duration in seconds",
        ("checker", "check", "le"), HEALTH, _histogram(*_SECONDS), _durations(HEALTH),
    ),
    Family(  # MX-12
        "health_check", "counter",
        "Total number of health checks",
        ("checker", "check", "result"), HEALTH, _totals("success", "failure"), _results,
    ),
    Family(  # MX-13
        "health_check_failures", "counter",
        "Total number of health check failures",
        ("checker", "check"), HEALTH, _TOTAL, _at(HEALTH, "failed"),
    ),
    Family(
        "health_check_unproven", "counter",
        "Total number of health checks that prove nothing, since the own process was late",
        ("checker", "check"), HEALTH, _TOTAL, _rare(HEALTH, "unproven"),
    ),
    Family(
        "health_check_abandoned", "counter",
        "Total number of health checks that were left behind, since they ignored their timeout",
        ("checker", "check"), HEALTH, _TOTAL, _rare(HEALTH, "abandoned"),
    ),
    Family(  # DG-10
        "degradation_level", "gauge",
        "Level of a component (0=normal, 1=degraded, 2=severely degraded, 3=emergency)",
        ("manager", "component"), DEGRADATION, _VALUE, _level,
    ),
    Family(
        "degradation_changes", "counter",
        "Total number of changes of a component into a level",
        ("manager", "component", "level"), DEGRADATION, _totals(*_LEVELS),
        lambda there: _counts(there, DEGRADATION, "changes"),
    ),
    Family(
        "degradation_seconds", "counter",
        "Total time of a component in a level in seconds",
        ("manager", "component", "level"), DEGRADATION, _totals(*_LEVELS[1:]), _degraded_seconds,
    ),
    Family(
        "degradation_shed", "counter",
        "Total number of calls that were refused to shed load",
        ("manager", "component", "priority"), DEGRADATION, _totals(*PRIORITIES[1:]), _shed,
    ),
    Family(  # MX-28, MG-15
        "component_up", "gauge",
        "Whether the component is up (1=yes, 0=no); no series while nobody wants it to run",
        ("supervisor", "component"), COMPONENT, _VALUE, _is_up,
    ),
    Family(
        "component_state", "gauge",
        "State of a component (0=stopped, 1=up, 2=down, 3=cooling down, 4=given up)",
        ("supervisor", "component"), COMPONENT, _VALUE, _component_state,
    ),
    Family(  # MX-28
        "component_recovery_attempts", "counter",
        "Total number of attempts to recover a component",
        ("supervisor", "component"), COMPONENT, _TOTAL, _at(COMPONENT, "attempts"),
    ),
    Family(  # MX-28
        "component_recoveries", "counter",
        "Total number of recoveries of a component that ended",
        ("supervisor", "component", "result"), COMPONENT, _totals("recovered", "failed"),
        _at(COMPONENT, "recovered", "failed"),
    ),
    Family(
        "component_restarts", "counter",
        "Total number of restarts of a component without an order",
        ("supervisor", "component"), COMPONENT, _TOTAL, _at(COMPONENT, "restarted"),
    ),
    Family(  # MX-28
        "component_downtime_seconds", "counter",
        "Total time that a component was down in seconds",
        ("supervisor", "component"), COMPONENT, _TOTAL,
        lambda there: [there.counts[_DOWN_AT] / 1e9],
    ),
    Family(
        "supervisor_escalations", "counter",
        "Total number of times that a component exceeded what its supervisor allows",
        ("supervisor", "component"), COMPONENT, _TOTAL, _at(COMPONENT, "escalated"),
    ),
    *(
        family
        for role in (RESOURCE, RESOURCES)
        for family in (
            Family(  # MX-29
                "resources", "gauge",
                "What this process uses, or all that share its limit, or what is registered",
                ("type",), role, _VALUE, _sum_of(0),
            ),
            Family(  # MX-29, AR-09
                "resources_limit", "gauge",
                "What this process may use, or all that share its limit, or what may be registered",
                ("type",), role, _VALUE, _limit,
            ),
            Family(
                "resources_refused", "counter",
                "Total number of registrations of resources for which there was no room",
                ("type",), role, _TOTAL, _at(role, "refused"),
            ),
        )
    ),
    Family(
        "resources_created", "counter",
        "Total number of resources that were registered",
        ("type",), RESOURCE, _TOTAL, _at(RESOURCE, "created"),
    ),
    Family(
        "resources_cleaned", "counter",
        "Total number of resources that their manager has cleaned",
        ("type",), RESOURCE, _TOTAL, _at(RESOURCE, "cleaned"),
    ),
    Family(
        "resources_collected", "counter",
        "Total number of resources that died without having been unregistered",
        ("type",), RESOURCE, _TOTAL, _rare(RESOURCE, "collected"),
    ),
    Family(
        "resource_leaks", "counter",
        "Total number of resources that were suspected to be leaks",
        ("type",), RESOURCE, _TOTAL, _at(RESOURCE, "leaks"),
    ),
    Family(
        "resource_cleanup_errors", "counter",
        "Total number of clean-ups of resources that failed",
        ("type",), RESOURCE, _TOTAL, _at(RESOURCE, "cleanup_errors"),
    ),
    *(
        Family(
            "observed", "counter",
            "Total number of interventions that observing policies did not make",
            ("name", "kind", *label), role, (("_total", (KINDS[role], *value)),), _observed(role),
        )
        for role, label, value in _OBSERVING
    ),
    *(
        Family(
            "policy_mode", "gauge",
            "Mode of a policy (0=enforce, 1=observe, 2=off)",
            ("name", "kind", *label), role, (("", (KINDS[role], *value)),), _mode,
        )
        for role, label, value in _OBSERVING
    ),
)  # fmt: skip
