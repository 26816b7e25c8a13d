"""What is exported of policies: roles, and the sums of all that bear one name.

Counts only grow and are added up, over policies of one name and over processes. What is true at
the moment is kept beside them, one of each living policy. Not here: names of metrics (telemetry).
"""

from __future__ import annotations

import operator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    #: A role and a policy's name.
    Key = tuple[int, str]
    Figures = dict[Key, "Sum"]

__all__ = [
    "BREAKER",
    "BULKHEAD",
    "COUNTS",
    "FALLBACK",
    "KINDS",
    "LATENCY",
    "LIMITER",
    "LIMITER_PART",
    "POOL",
    "POOL_WAIT",
    "RETRY",
    "ROLES",
    "TIMEOUT",
    "WAIT",
    "Sum",
    "add",
    "exported",
]

# What a kernel is to its policy. LIMITER is the last of a limiter's limits, which every allowed
# call has passed; LIMITER_PART one before it.
ROLES = (
    "breaker", "latency", "limiter", "limiter_part", "bulkhead", "wait", "pool", "pool_wait",
    "retry", "timeout", "fallback",
)  # fmt: skip
(
    BREAKER, LATENCY, LIMITER, LIMITER_PART, BULKHEAD, WAIT, POOL, POOL_WAIT,
    RETRY, TIMEOUT, FALLBACK,
) = range(len(ROLES))  # fmt: skip

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
}

OBSERVE = 1  # enum hf_mode

# How many counts there are of each role: succeeded, failed, rejected, observed and 36 changes;
# 12 buckets and a sum in ns; allowed, rejected, refunded, observed; admitted, rejected, waited,
# timed out, observed; succeeded, recovered, observed, 8 verdicts, 16 retries, 17 delays and their
# sum in ns; in time, expired, late, refused, observed; passed, used, failed, observed.
COUNTS = {
    BREAKER: 40,
    LATENCY: 13,
    LIMITER: 4,
    LIMITER_PART: 4,
    BULKHEAD: 5,
    WAIT: 13,
    POOL: 5,
    POOL_WAIT: 13,
    RETRY: 45,
    TIMEOUT: 5,
    FALLBACK: 4,
}


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
    if role == BREAKER and observes:
        counts = (*counts[:2], 0, *counts[3:])
    if role in (LIMITER, LIMITER_PART, BULKHEAD, POOL) and len(counts) + 1 == COUNTS[role]:
        first, rejected, *others = counts
        return (
            0 if role == LIMITER_PART else first,
            0 if observes else rejected,
            *((0,) if role == LIMITER_PART else others),
            rejected if observes else 0,
        )
    if len(counts) != COUNTS[role]:
        raise ValueError(f"{ROLES[role]}: got {len(counts)} counts, allowed {COUNTS[role]}")
    return counts


def add(figures: Figures, key: Key, counts: Iterable[int], state: Any = None) -> None:
    """Add counts to the sum of their name, and the state of one that lives."""
    there = figures.get(key)
    if there is None:
        there = figures[key] = Sum(list(counts))
    else:
        there.counts = list(map(operator.add, there.counts, counts))
    if state is not None:
        there.states.append(state)
