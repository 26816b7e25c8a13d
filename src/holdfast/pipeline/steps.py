"""The policies of a pipeline in order, those of pipelines in it included, and the place of each.

Elsewhere: what a place is for (``standard``), what goes where (``options``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from holdfast.policies.base import Policy

__all__ = ["ATTEMPT", "PLACES", "TOTAL", "flat", "places"]

TOTAL, ATTEMPT = "total_timeout", "attempt_timeout"

# Those of the standard pipeline, the first outermost; all but the timeouts' are kinds of policies.
PLACES = ("fallback", TOTAL, "retry", "circuit_breaker", "rate_limiter", "bulkhead", ATTEMPT)
_GUARDS = PLACES[3:6]


def flat(policies: Iterable[Policy]) -> list[Policy]:
    """Return policies, outermost first, and instead of a pipeline those that it is made of."""
    steps: list[Policy] = []
    for policy in policies:
        inner: Any = policy
        steps.extend(flat(inner.policies) if policy.kind == "pipeline" else (policy,))
    return steps


def places(policies: Iterable[Policy]) -> list[tuple[Policy, str]]:
    """Return each policy with its place: its kind; of a timeout, what it is the timeout of.

    All attempts are timed by what is outside of the first retry, each by what is inside. Where
    nothing is tried again, outside is what is outside of every breaker, limiter and bulkhead.
    """
    steps = flat(policies)
    begin_inside = ("retry",) if any(step.kind == "retry" for step in steps) else _GUARDS
    found, inside = [], False
    for step in steps:
        inside = inside or step.kind in begin_inside
        timed = ATTEMPT if inside else TOTAL
        found.append((step, timed if step.kind == "timeout" else step.kind))
    return found
