"""What is exported of policies: roles, and the sums of all that bear one name.

Counts only grow and are added up, over policies of one name and over processes. What is true at
the moment is kept beside them, one of each living policy. Elsewhere: names of metrics (telemetry).
"""

from __future__ import annotations

import operator
from itertools import accumulate

from holdfast._native.figures import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    #: A role and a policy's name.
    Key = tuple[int, str]
    Figures = dict[Key, "Sum"]

__all__ = [
    "ADAPTIVE",
    "BREAKER",
    "BULKHEAD",
    "CALLS",
    "COMPONENT",
    "COUNTS",
    "DEGRADATION",
    "ERROR_BUDGET",
    "FALLBACK",
    "FAULT",
    "HEALTH",
    "HEDGE",
    "IN_THREADS",
    "KEYED",
    "KINDS",
    "LATENCY",
    "LATENCY_BUDGET",
    "LIMITER",
    "LIMITER_PART",
    "MANAGER",
    "OBSERVE",
    "OPERATION",
    "OTHER",
    "OWN_CLOCK",
    "PAIRED",
    "PIPELINE",
    "PLACES",
    "POOL",
    "POOL_WAIT",
    "RESOURCE",
    "RESOURCES",
    "RETRY",
    "ROLES",
    "ROLES_OF",
    "TIMED",
    "TIMEOUT",
    "TIMEOUTS",
    "TIMEOUT_ATTEMPT",
    "TIMEOUT_TOTAL",
    "WAIT",
    "Sum",
    "add",
    "exported",
    "kind_of",
    "pair",
    "parts_of",
    "with_accepting",
]

# What a kernel is to its policy. LIMITER is the last of a limiter's limits, which every allowed
# call has passed; LIMITER_PART one before it. TIMEOUT_TOTAL and TIMEOUT_ATTEMPT are those of a
# standard pipeline, which have one name. ADAPTIVE is what moves the rate of a limiter. OPERATION
# counts the calls of a manager's operation, through whichever pipeline it consists of by then.
# MANAGER shows whether it runs; TIMED the operations of a manager of timeouts that are active;
# KEYED how many keys an operation keeps, and how many found no room; COMPONENT what a supervisor
# counts of a component; RESOURCE what a manager of resources has registered of a kind, RESOURCES of
# all kinds.
ROLES = (
    "breaker", "latency", "limiter", "limiter_part", "bulkhead", "wait", "pool", "pool_wait",
    "retry", "timeout", "fallback", "timeout_total", "timeout_attempt", "pipeline",
    "hedge",
    "latency_budget",
    "error_budget",
    "adaptive",
    "fault",
    "health",
    "degradation",
    "operation",
    "manager",
    "timeouts",
    "keys",
    "component",
    "resource",
    "resources",
)  # fmt: skip
(
    BREAKER, LATENCY, LIMITER, LIMITER_PART, BULKHEAD, WAIT, POOL, POOL_WAIT,
    RETRY, TIMEOUT, FALLBACK, TIMEOUT_TOTAL, TIMEOUT_ATTEMPT, PIPELINE,
    HEDGE,
    LATENCY_BUDGET,
    ERROR_BUDGET,
    ADAPTIVE,
    FAULT,
    HEALTH,
    DEGRADATION,
    OPERATION,
    MANAGER,
    TIMED,
    KEYED,
    COMPONENT,
    RESOURCE,
    RESOURCES,
) = range(len(ROLES))  # fmt: skip

#: The roles whose names are pairs: of a check, its monitor and itself; of a component, its manager
#: or its supervisor and itself; of a kind of resources, its manager and itself.
PAIRED = frozenset((HEALTH, DEGRADATION, COMPONENT, RESOURCE, RESOURCES))

#: The roles of timeouts, and the scope that metrics give them; a timeout of its own has none.
TIMEOUTS = {TIMEOUT_TOTAL: "total", TIMEOUT_ATTEMPT: "attempt", TIMEOUT: ""}

# The policies' own word for what has the role, as the registry knows it.
KINDS = {
    BREAKER: "circuit_breaker",
    LATENCY: "circuit_breaker",
    LIMITER: "rate_limiter",
    LIMITER_PART: "rate_limiter",
    BULKHEAD: "bulkhead",
    WAIT: "bulkhead",
    POOL: "pool_bulkhead",
    POOL_WAIT: "pool_bulkhead",
    RETRY: "retry",
    TIMEOUT: "timeout",
    FALLBACK: "fallback",
    TIMEOUT_TOTAL: "timeout",
    TIMEOUT_ATTEMPT: "timeout",
    PIPELINE: "pipeline",
    HEDGE: "hedge",
    LATENCY_BUDGET: "latency_budget",
    ERROR_BUDGET: "error_budget",
    ADAPTIVE: "rate_limiter",
    FAULT: "fault",
    HEALTH: "health_check",
    DEGRADATION: "degradation",
    OPERATION: "operation",
    MANAGER: "manager",
    TIMED: "timeouts",
    KEYED: "keys",
    COMPONENT: "component",
    RESOURCE: "resource",
    RESOURCES: "resources",
}

#: The roles of each kind.
ROLES_OF = {
    kind: tuple(role for role, its in KINDS.items() if its == kind) for kind in KINDS.values()
}

#: The roles of what counts how calls end, and how long they take.
CALLS = (PIPELINE, OPERATION)

OBSERVE = 1  # enum hf_mode
OWN_CLOCK = 1  # extra of what has a clock that is not the machine's, where that matters
IN_THREADS = 1  # extra of a timeout that runs calls in threads of its own
OTHER = "__other__"  # all names beyond a bound share it

# The kernels whose figures each role has. A limiter's windows count alike.
_KERNELS = {
    BREAKER: "breaker",
    LATENCY: "histogram",
    LIMITER: "bucket",
    LIMITER_PART: "bucket",
    BULKHEAD: "bulkhead",
    WAIT: "histogram",
    POOL: "bulkhead",
    POOL_WAIT: "histogram",
    RETRY: "retry",
    TIMEOUT: "timeout",
    FALLBACK: "fallback",
    TIMEOUT_TOTAL: "timeout",
    TIMEOUT_ATTEMPT: "timeout",
    PIPELINE: "pipeline",
    HEDGE: "hedge",
    LATENCY_BUDGET: "latency_budget",
    ERROR_BUDGET: "error_budget",
    ADAPTIVE: "adaptive_rate",
    FAULT: "chaos",
    HEALTH: "check",
    DEGRADATION: "level",
    OPERATION: "pipeline",
    MANAGER: "meter",
    TIMED: "meter",
    KEYED: "meter",
    COMPONENT: "component",
    RESOURCE: "resource",
    RESOURCES: "resource",
}
# Their kernels count no calls that were let through; ``exported`` adds them.
_OBSERVED_ADDED = (LIMITER, LIMITER_PART, BULKHEAD, POOL)


def _places(role: int) -> dict[str, slice]:
    named = names(_KERNELS[role])
    if role in _OBSERVED_ADDED:
        named += (("observed", 1),)
    ends = list(accumulate(numbers for _, numbers in named))
    return {
        name: slice(end - numbers, end) for (name, numbers), end in zip(named, ends, strict=True)
    }


#: Where each count of a role is among its numbers, by the name it has in the kernel.
PLACES = {role: _places(role) for role in range(len(ROLES))}
#: How many numbers each role has.
COUNTS = {role: max(place.stop for place in places.values()) for role, places in PLACES.items()}


def kind_of(key: Key) -> tuple[str, str]:
    """Return the kind and the name of a policy."""
    return KINDS[key[0]], key[1]


def pair(first: str, second: str) -> str:
    """Return one name for two, whatever is in them. No two pairs share one."""
    return f"{len(first)} {first}/{second}"


def parts_of(role: int, name: str) -> tuple[str, ...]:
    """Return what a name consists of: itself, or what ``pair`` has joined."""
    if role not in PAIRED:
        return (name,)
    if name == OTHER:
        return name, name
    length, _, joined = name.partition(" ")
    at = int(length) if length.isdecimal() else len(joined)  # a file may say anything
    return joined[:at], joined[at + 1 :]


class Sum:
    """All that bear one name, in one role.

    Attributes:
        counts: Added up; they only grow.
        states: (mode, extra, what is true at the moment) of each that lives.
    """

    __slots__ = ("counts", "states")

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts
        self.states: list[tuple[int, int, tuple[int, ...]]] = []


def exported(role: int, mode: int, counts: tuple[int, ...]) -> tuple[int, ...]:
    """Return a kernel's counts as they are exported; those that are already, as they are.

    A policy that observes rejects nothing: what its kernel counts as rejected ran all the same.

    Raises:
        ValueError: There are more or fewer than the role has.
    """
    observes = mode == OBSERVE
    if len(counts) == COUNTS[role] and not (observes and role == BREAKER):
        return counts
    adds = role in _OBSERVED_ADDED and len(counts) + 1 == COUNTS[role]
    shown = list(counts) + [0] * adds
    if adds or (role == BREAKER and len(counts) == COUNTS[role]):
        places = PLACES[role]
        if adds and observes:
            shown[places["observed"]] = shown[places["rejected"]]
        if observes:
            shown[places["rejected"]] = [0]
        if role == LIMITER_PART:  # a call counts as allowed, or gives back, at the last limit
            shown[places["allowed"]] = shown[places["refunded"]] = [0]
    counts = tuple(shown)
    if len(counts) != COUNTS[role]:
        raise ValueError(f"{ROLES[role]}: got {len(counts)} counts, allowed {COUNTS[role]}")
    return counts


ALWAYS_NS = -(2**63)  # hf_figures.h: of a breaker that is not open


def with_accepting(state: tuple[int, ...], now_ns: int | None) -> tuple[int, ...]:
    """Return a breaker's state, and whether it admits calls, or a probe.

    Args:
        state: As its kernel says it: the state, and until when it admits nobody.
        now_ns: The time on its clock; None if that cannot be read here.
    """
    name, until = state
    until_ns = until - (until >> 63 << 64)  # it is signed
    return name, int(until_ns == ALWAYS_NS if now_ns is None else until_ns <= now_ns)


def add(figures: Figures, key: Key, counts: Iterable[int], state: Any = None) -> None:
    """Add counts to the sum of their name, and the state of one that lives."""
    there = figures.get(key)
    if there is None:
        there = figures[key] = Sum(list(counts))
    else:
        there.counts = list(map(operator.add, there.counts, counts))
    if state is not None:
        there.states.append(state)
