"""What the checks and faults of a preset become, which are written in words.

Elsewhere: which there are in a preset (``dwcp``).
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.policies.base import made_within
from holdfast.policies.breaker import State
from holdfast.validation import Problems, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")
    # A ResilienceManager, whose module imports this one.
    Manager = Any

    from holdfast.chaos import Fault
    from holdfast.health.check import Check
    from holdfast.policies.error_budget import ErrorBudget

__all__ = ["error_rate", "made_check", "made_fault"]

_SHUT = (State.OPEN, State.FORCED_OPEN)
_MIN_FAILURES = 10  # that prove a rate whatever the number of requests


def made_check(manager: Manager, name: str, entry: Any) -> Check:
    """Return a health check of a preset.

    Args:
        manager: The manager whose policies it looks at.
        name: The name of the check.
        entry: A ``Check``, or what it looks at: ``{"check": "breakers", "of": (names)}``,
            ``{"check": "error_rate", "of": budget, "max": share}``, ``{"check": "ping", "fn": …}``,
            with the settings of a check.

    Raises:
        ConfigError: There is no such check.
    """
    if not isinstance(entry, Mapping):
        return entry  # type: ignore[no-any-return]  # the manager looks at it
    settings = dict(entry)
    return _made(_CHECKS, "check", name, settings)(manager, name, settings)


def made_fault(manager: Manager, name: str, entry: Any) -> Fault:
    """Return a fault of a preset: a ``Fault``, or its kind and settings in words.

    Raises:
        ConfigError: There is no such fault, or a setting is wrong.
    """
    if not isinstance(entry, Mapping):
        return entry  # type: ignore[no-any-return]  # the manager looks at it
    from holdfast.chaos import Error, Latency, Partition, Raise, Timeout

    kinds: dict[str, type[Fault]] = {
        "latency": Latency,
        "error": Error,
        "timeout": Timeout,
        "panic": Raise,
        "partition": Partition,
    }
    settings = {"name": name, "clock": manager.clock, **entry}
    cls = _made(kinds, "fault", name, settings)
    return made_within(manager.name, cls, **settings)


def error_rate(budget: ErrorBudget, least: float) -> float:
    """Return the share of failed requests in the window of an error budget.

    It is 0 until there were enough requests to prove it: as many as allow one failure, or ten
    failures.

    Args:
        budget: The error budget.
        least: The share that would be too much, above 0.
    """
    seen = budget.snapshot()
    is_proved = seen.total_requests * least >= 1 or seen.failed_requests >= _MIN_FAILURES
    return seen.failed_requests / seen.total_requests if is_proved and seen.total_requests else 0.0


def _made(kinds: Mapping[str, T], word: str, name: str, settings: dict[str, Any]) -> T:
    """Take the kind out of the settings, and return what makes it."""
    kind = settings.pop(word, None)
    if not isinstance(kind, str) or kind not in kinds:
        problems = Problems(word, name)
        there = ", ".join(map(repr, kinds))
        problems.refuse(word, kind, f"one of {there}{nearest(kind, tuple(kinds))}")
        problems.done()
    return kinds[kind]


def _ping(_manager: Manager, name: str, settings: dict[str, Any]) -> Check:
    from holdfast.health.ping import PingCheck

    return PingCheck(name, **settings)


def _breakers(manager: Manager, name: str, settings: dict[str, Any]) -> Check:
    from holdfast.health.ping import PingCheck
    from holdfast.health.result import CheckResult

    of = settings.pop("of")
    names = (of,) if isinstance(of, str) else tuple(of)

    def are_closed() -> CheckResult:
        shut = [one for one in names if manager.circuit_breaker(one).state in _SHUT]
        if shut:
            return CheckResult("failed", f"circuit breakers are open: {', '.join(shut)}")
        return CheckResult("passed")

    return PingCheck(name, are_closed, **settings)


def _error_rate(manager: Manager, name: str, settings: dict[str, Any]) -> Check:
    from holdfast.health.threshold import ThresholdCheck

    of, most = settings.pop("of"), settings["max"]
    return ThresholdCheck(name, lambda: error_rate(manager.error_budget(of), most), **settings)


_CHECKS: dict[str, Callable[..., Check]] = {
    "ping": _ping,
    "breakers": _breakers,
    "error_rate": _error_rate,
}
