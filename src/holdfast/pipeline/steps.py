"""The policies of a pipeline in order, those of pipelines in it included, and the place of each.

Elsewhere: what a place is for (``standard``), what goes where (``options``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from holdfast.policies.base import Policy

__all__ = ["ATTEMPT", "PLACES", "TOTAL", "flat", "place_of", "places"]

TOTAL, ATTEMPT = "total_timeout", "attempt_timeout"

# Those of the standard pipeline, the first outermost; most have the name of a kind of policies.
PLACES = (
    "error_budget", "latency_budget", "fallback", TOTAL, "retry", "hedge",
    "circuit_breaker", "rate_limiter", "bulkhead", ATTEMPT, "chaos",
)  # fmt: skip
_SEVERAL, _GUARDS = PLACES[4:6], PLACES[6:9]  # those that make several attempts at a call


def flat(policies: Iterable[Policy]) -> list[Policy]:
    """Return policies, outermost first, and instead of a pipeline those that it is made of."""
    steps: list[Policy] = []
    for policy in policies:
        inner: Any = policy
        steps.extend(flat(inner.policies) if policy.kind == "pipeline" else (policy,))
    return steps


def place_of(kind: str) -> str:
    """Return the place of policies of a kind; timeouts have two."""
    return "chaos" if kind == "fault" else kind


def places(policies: Iterable[Policy]) -> list[tuple[Policy, str]]:
    """Return each policy with its place, which depends on its kind; of a timeout, on what it times.

    All attempts are timed by what is outside of the first retry or hedge, each by what is inside.
    In a pipeline without both, outside is what is outside of every breaker, limiter and bulkhead.
    """
    steps = flat(policies)
    several = any(step.kind in _SEVERAL for step in steps)
    begin_inside = _SEVERAL if several else _GUARDS
    found, inside = [], False
    for step in steps:
        place = place_of(step.kind)
        inside = inside or place in begin_inside
        timed = ATTEMPT if inside else TOTAL
        found.append((step, timed if step.kind == "timeout" else place))
    return found
