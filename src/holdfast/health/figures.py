"""The state and the counts of one check of one monitor, where metrics and other workers see them.

Elsewhere: what decides a state (``hf_check.h``), and names of metrics (``telemetry``).
"""

from __future__ import annotations

from holdfast._native.check import CheckState
from holdfast.stores.figures import HEALTH, KINDS, pair
from holdfast.stores.ledger import ledger
from holdfast.validation import is_checking

__all__ = ["Figures"]


class Figures:
    """Enters the state of a check in the ledger, for as long as this object lives.

    Keep it with the check: its series disappear with the last reference, and the counts of a check
    that is added again under its name begin at zero.

    Args:
        checker: The name of the monitor.
        check: The name of the check.
        failures: Failures in a row that make it unhealthy, 1 to 1,000.
        successes: Passes in a row that make it healthy again, 1 to 1,000.
        start_period_ns: For how long after a start failures are no evidence.

    Attributes:
        state: The native state. Whoever runs the check records its results there.

    Safe to share between threads.
    """

    __slots__ = ("__weakref__", "name", "state")

    kind = KINDS[HEALTH]

    def __init__(
        self, checker: str, check: str, *, failures: int, successes: int, start_period_ns: int
    ) -> None:
        ledger.prepare()  # first: from here on a kernel stands where other workers see it
        self.name = pair(checker, check)
        self.state = CheckState(failures, successes, start_period_ns)
        if not is_checking():
            ledger.enter(self, 0, ((HEALTH, self.state, 0),))
