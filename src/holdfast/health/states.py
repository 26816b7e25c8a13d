"""What is known of the health of one dependency, and of all of them together.

Elsewhere: how the state of a check follows from its results (``hf_check.h``), and the level from
the states (``monitor``).
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LEVELS", "STATES", "HealthLevel", "HealthState"]


class HealthState(StrEnum):
    """The state of one check. Each is a string, its value: ``f"{HealthState.HEALTHY}"``.

    UNKNOWN: there is no evidence. HEALTHY: the check passes. DEGRADED: the dependency works, but
    not well. UNHEALTHY: the check fails.

    The words of other systems are understood: "critical", "failed" and "error" are UNHEALTHY.

    Safe to share between threads and event loops.

    >>> HealthState("unhealthy")
    <HealthState.UNHEALTHY: 'unhealthy'>
    """

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"

    @classmethod
    def _missing_(cls, value: object) -> HealthState | None:
        return _STATE_WORDS.get(value) if isinstance(value, str) else None


class HealthLevel(StrEnum):
    """The health of everything that a monitor checks. Each level is a string, its value.

    HEALTHY: every check passes. DEGRADED: something is wrong that is not critical. CRITICAL: a
    critical check is unhealthy. FAILED: all critical checks are. UNKNOWN: there is no
    evidence about a critical check.

    The words of other systems are understood: "unhealthy" is CRITICAL, "error" and
    "no_data_directory" are FAILED.

    Safe to share between threads and event loops.

    >>> HealthLevel("degraded").is_ready
    True
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def is_ready(self) -> bool:
        """Whether the service can take traffic: it is healthy or degraded."""
        return self is HealthLevel.HEALTHY or self is HealthLevel.DEGRADED

    @classmethod
    def _missing_(cls, value: object) -> HealthLevel | None:
        return _LEVEL_WORDS.get(value) if isinstance(value, str) else None


STATES = tuple(HealthState)  # in the order of the kernel
LEVELS = tuple(HealthLevel)
_STATE_WORDS = {
    "critical": HealthState.UNHEALTHY,
    "failed": HealthState.UNHEALTHY,
    "error": HealthState.UNHEALTHY,
}
_LEVEL_WORDS = {
    "unhealthy": HealthLevel.CRITICAL,
    "error": HealthLevel.FAILED,
    "no_data_directory": HealthLevel.FAILED,
}
