"""Which policies each key of an operation has for itself: how they are made, when they are at rest.

Elsewhere: which keys there are (``keyed``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.policies.base import Policy, unentered
from holdfast.policies.breaker.state import State
from holdfast.policies.retry.budget import RetryBudget

if TYPE_CHECKING:
    from typing import Any

__all__ = ["another", "is_apart", "records_with_others", "rests"]


def is_apart(policy: Policy) -> bool:
    """Return whether a policy has a state that one key must not share with another."""
    if policy.kind == "retry":
        retry: Any = policy
        return retry.budget is not None
    return policy.kind in ("circuit_breaker", "rate_limiter", "bulkhead")


def another(policy: Policy, scope: str, name: str) -> Policy:
    """Return a new policy with the settings that are in force, which metrics do not know yet."""
    settings = dict(zip(policy._setting_names, policy._settings, strict=True))
    if policy.kind == "retry" and settings["budget"] != "own":
        retry: Any = policy
        ratio, per_second, burst = retry.budget._settings
        settings["budget"] = RetryBudget(
            ratio=ratio, min_per_second=per_second, burst=burst, clock=retry.budget._clock
        )
    elif settings.get("limits") is not None:
        for field in ("rate", "per", "burst"):  # not beside several limits
            del settings[field]
    return unentered(scope, type(policy), name, **settings)


def records_with_others(policy: Any) -> bool:
    """Return whether a breaker records durations that nobody asked to have by key: 8 kB each."""
    return (
        policy.kind == "circuit_breaker" and policy._records and policy._setting("latency") is None
    )


def rests(policy: Any) -> bool:
    """Return whether a new policy in its place would let no call pass that this one stops.

    No call is inside or waits, a breaker is closed, and all tokens are there.
    """
    kind: str = policy.kind
    if kind == "circuit_breaker":
        return policy.state is State.CLOSED and not policy.in_flight
    if kind == "bulkhead":
        return not policy.in_flight and not policy.waiting
    if kind == "retry":
        return bool(policy.budget.balance >= policy.budget._settings[2])
    now_ns = policy._clock.now_ns()
    return all(
        cell.wait_ns(rate.burst, now_ns) == 0
        for cell, rate in zip(policy._kernels, policy._rates, strict=True)
    )
