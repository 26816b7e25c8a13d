"""When a check is due: pure arithmetic.

Elsewhere: what runs then (``rounds``), and the state of a check (``hf_check.h``).
"""

from __future__ import annotations

from holdfast.health.states import HealthState

__all__ = ["SHARE_NS", "early_ns", "interval_ns", "phase_ns", "slot_after_ns"]

SHARE_NS = 100_000_000  # checks that are due within this time of each other share a wake-up
_LEAST_NS = 1_000_000
_GOLDEN = 0.6180339887498949  # its multiples, without their whole parts, spread evenly


def interval_ns(base_ns: int, state: HealthState, is_pending: bool, last_ns: int) -> int:
    """Return how long it is to the next run of a check.

    Short while something is about to change, long while nothing does. Back to the full interval it
    goes in steps of half of what it was.

    Args:
        base_ns: The interval of the check while it is healthy.
        state: Its state.
        is_pending: Whether its last results contradict its state, or the last one proves nothing.
        last_ns: The interval before.
    """
    if is_pending or state is HealthState.UNHEALTHY:
        wanted_ns = base_ns // 4
    elif state is HealthState.DEGRADED:
        wanted_ns = base_ns // 2
    else:
        wanted_ns = base_ns
    if wanted_ns > last_ns:
        wanted_ns = min(wanted_ns, last_ns * 3 // 2 + 1)
    return max(_LEAST_NS, wanted_ns)


def early_ns(of_ns: int) -> int:
    """Return how much before its time a check may run, to share the wake-up of another one.

    A tenth of a second; of a short interval ``of_ns`` no more than a quarter.
    """
    return min(SHARE_NS, of_ns // 4)


def phase_ns(ordinal: int, of_ns: int, turn: float = 0.0) -> int:
    """Return how long after its first run the second run of check number ``ordinal`` is due.

    More than nothing and at most the interval ``of_ns``: as evenly over it as can be, for any
    number of checks.

    Args:
        ordinal: The number of the check.
        of_ns: Its interval.
        turn: A share of the interval, the same for all checks of a monitor: processes that were
            started at the same moment do not ask the same dependency at the same moments.
    """
    return max(1, int((1.0 - (ordinal * _GOLDEN + turn) % 1.0) * of_ns))


def slot_after_ns(slot_ns: int, of_ns: int, now_ns: int) -> int:
    """Return the time of the run after that of ``slot_ns``; those that have passed are left out."""
    next_ns = slot_ns + of_ns
    if next_ns <= now_ns:
        next_ns += ((now_ns - next_ns) // of_ns + 1) * of_ns
    return next_ns
