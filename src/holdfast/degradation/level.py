"""The levels of degradation, and which of them measurements ask for."""

from __future__ import annotations

from enum import IntEnum

from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

__all__ = ["LEVELS", "Level", "read_level", "should_degrade"]


class Level(IntEnum):
    """How far a component is degraded. A greater level is worse; its text is its name.

    >>> f"{Level.SEVERELY_DEGRADED}"
    'severely_degraded'
    >>> Level.DEGRADED < Level.EMERGENCY
    True
    """

    NORMAL = 0
    DEGRADED = 1
    SEVERELY_DEGRADED = 2
    EMERGENCY = 3

    @property
    def word(self) -> str:
        """The name as metrics and messages have it: "severely_degraded"."""
        return self.name.lower()

    def __str__(self) -> str:
        return self.word


LEVELS = tuple(Level)
_ALLOWED = "a Level, an integer from 0 to 3, or its name"
_MOST = 1e15


def read_level(problems: Problems, field: str, value: object) -> Level:
    """Return the level that a user named; note a problem if it is none."""
    if isinstance(value, str):
        for level in LEVELS:
            if value.lower() == level.word:
                return level
    elif isinstance(value, int) and not isinstance(value, bool) and value in range(len(LEVELS)):
        return LEVELS[value]
    problems.refuse(field, value, _ALLOWED)
    return Level.NORMAL


def should_degrade(
    error_rate: float | None = None,
    latency: float | timedelta | None = None,
    error_threshold: float | None = None,
    latency_threshold: float | timedelta | None = None,
) -> Level:
    """Return the level that an error rate and a latency ask for.

    More than the threshold is DEGRADED, more than 1.5 times the threshold SEVERELY_DEGRADED, and
    more than twice the threshold EMERGENCY. The worse of the two measurements counts.

    Args:
        error_rate: The share of calls that fail, or any other rate from 0 on. None: not measured.
        latency: The latency in seconds. None: not measured.
        error_threshold: The highest error rate that is normal, greater than 0, in the unit of
            ``error_rate``.
        latency_threshold: The highest latency that is normal, in seconds, at least a nanosecond.

    Raises:
        ConfigError: One or more arguments are invalid, a measurement has no threshold, or there is
            no measurement; the message lists all of it.

    >>> should_degrade(0.08, 0.2, error_threshold=0.05, latency_threshold=1.0)
    <Level.SEVERELY_DEGRADED: 2>
    """
    problems = Problems("should_degrade")
    if error_rate is None and latency is None:
        problems.refuse("error_rate", error_rate, "a number, or give latency=")
    found = Level.NORMAL
    if error_rate is not None:
        rate = problems.number("error_rate", error_rate, most=_MOST)
        threshold = problems.number("error_threshold", error_threshold, above=0.0, most=_MOST)
        found = _worse_of(found, rate, threshold)
    if latency is not None:
        took_ns = problems.duration("latency", latency)
        limit: Any = latency_threshold  # None is refused, as it is no duration
        limit_ns = problems.duration("latency_threshold", limit, least_ns=1)
        found = _worse_of(found, took_ns, limit_ns)
    problems.done()
    return found


def _worse_of(found: Level, measured: float, threshold: float) -> Level:
    if measured > 2 * threshold:
        return Level.EMERGENCY
    if 2 * measured > 3 * threshold:
        return max(found, Level.SEVERELY_DEGRADED)
    return max(found, Level.DEGRADED) if measured > threshold else found
