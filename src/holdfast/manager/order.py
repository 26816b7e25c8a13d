"""In which order the policies of an operation are passed.

Elsewhere: which policies an operation has (``operation``), what the order is for
(``pipeline.standard``).
"""

from __future__ import annotations

from holdfast.pipeline.steps import ATTEMPT, PLACES, TOTAL

__all__ = ["ATTEMPT", "CLASSIC", "ORDERS", "RECOMMENDED", "TOTAL"]

#: Each attempt is admitted and judged by itself, and one deadline is for all of them.
RECOMMENDED = PLACES

#: As in the system that S1 describes: one admission and one verdict for all attempts, each of which
#: has the operation's timeout, while the breaker's own is for all of them. Faults strike first.
#: Budgets see every end, also that of an injected fault.
CLASSIC = (
    "error_budget", "latency_budget", "fallback", "chaos", "rate_limiter", "bulkhead",
    "circuit_breaker", ATTEMPT, "retry", "hedge", TOTAL,
)  # fmt: skip

ORDERS = {"recommended": RECOMMENDED, "classic": CLASSIC}
