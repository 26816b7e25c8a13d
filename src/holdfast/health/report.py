"""HealthReport: all checks, their counts and one status, for people and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.clock import system_clock
from holdfast.health.check import Check
from holdfast.health.result import CheckResult
from holdfast.health.states import STATES, HealthState
from holdfast.validation import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol, TypeAlias

    class _Snapshot(Protocol):
        """A snapshot with the status of each check, by its name."""

        @property
        def checks(self) -> Mapping[str, Any]: ...

    class _Watching(Protocol):
        def snapshot(self) -> _Snapshot: ...

    _Monitor: TypeAlias = _Watching | _Snapshot

__all__ = ["HealthReport", "health_report"]

_STATES: dict[str, HealthState] = {
    "passed": HealthState.HEALTHY,
    "degraded": HealthState.DEGRADED,
    "failed": HealthState.UNHEALTHY,
    "unproven": HealthState.UNKNOWN,
}
# The worst first: of several checks, its state is that of all.
_WORST = (
    HealthState.UNHEALTHY,
    HealthState.UNKNOWN,
    HealthState.DEGRADED,
    HealthState.HEALTHY,
)


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All checks at one moment.

    Attributes:
        status: The state of all checks together, which is that of the worst one: unhealthy, then
            unknown, degraded, healthy. Without checks it is unknown.
        summary: How many checks there are ("total"), and how many have each state.
        checks: By its name, of each check its "status", "message" and "details"; from a monitor
            also whether it is "critical", its "age_seconds" and its "duration_ms".
        resources: The used percentage of each check that has one, such as memory and disk.
        check_duration_ms: How many milliseconds the checks took, one after the other.

    Immutable, so safe to share between threads and event loops.
    """

    status: HealthState
    summary: Mapping[str, int]
    checks: Mapping[str, Mapping[str, object]]
    resources: Mapping[str, float]
    check_duration_ms: float

    def to_dict(self) -> dict[str, object]:
        """Return the report in values that JSON has."""
        return {
            "status": str(self.status),
            "summary": dict(self.summary),
            "checks": {name: dict(found) for name, found in self.checks.items()},
            "resources": dict(self.resources),
            "check_duration_ms": self.check_duration_ms,
        }


def health_report(
    found: _Monitor | Mapping[str, CheckResult] | Iterable[Check], *, seconds: float = 0.0
) -> HealthReport:
    """Return a report of checks.

    Args:
        found: A ``HealthMonitor`` or its snapshot; or results by the names of their checks; or
            checks, which then run, one after the other.
        seconds: How long results took; the time of a monitor and of checks is known.

    Raises:
        TypeError: ``found`` is something else.

    >>> from holdfast.health import PingCheck
    >>> report = health_report([PingCheck("a", lambda: True), PingCheck("b", lambda: False)])
    >>> report.status, report.summary["healthy"], report.summary["unhealthy"]
    (<HealthState.UNHEALTHY: 'unhealthy'>, 1, 1)
    """
    given: Any = found
    if callable(getattr(given, "snapshot", None)):
        given = given.snapshot()
    statuses: Any = getattr(given, "checks", None)
    if _is_mapping(statuses):
        return _report(
            {name: _of_status(status) for name, status in statuses.items()},
            sum(status.duration or 0.0 for status in statuses.values()),
        )
    if _is_mapping(given):
        return _report({name: _of_result(name, one) for name, one in given.items()}, seconds)
    checks = _checks(given)
    began_ns = system_clock.now_ns()
    ran = {check.name: _of_result(check.name, check.run()) for check in checks}
    return _report(ran, (system_clock.now_ns() - began_ns) / 1e9)


def _checks(given: Any) -> list[Check]:
    try:
        found: list[Any] = list(given)
    except TypeError:
        found = [given]
    for one in found:
        if not isinstance(one, Check):
            raise TypeError(f"health_report() takes a monitor, results or checks, not {shown(one)}")
    return found


def _of_status(status: Any) -> dict[str, object]:
    duration = status.duration
    return {
        "status": str(status.state),
        "message": status.message,
        "details": _plain(status.details),
        "critical": status.critical,
        "age_seconds": status.age,
        "duration_ms": None if duration is None else round(duration * 1e3, 3),
    }


def _of_result(name: str, result: Any) -> dict[str, object]:
    if not isinstance(result, CheckResult):
        raise TypeError(f"health_report(): {name!r} has {shown(result)}, not a CheckResult")
    return {
        "status": str(_STATES[result.verdict]),
        "message": result.message,
        "details": _plain(result.details),
    }


def _report(checks: dict[str, dict[str, object]], seconds: float) -> HealthReport:
    states = [found["status"] for found in checks.values()]
    summary = {"total": len(states)} | {str(state): states.count(state) for state in STATES}
    status = next((one for one in _WORST if summary[one]), HealthState.UNKNOWN)
    details: dict[str, Any] = {name: found["details"] for name, found in checks.items()}
    resources = {name: of["percent"] for name, of in details.items() if "percent" in of}
    return HealthReport(status, summary, checks, resources, round(seconds * 1e3, 3))


def _plain(value: Any) -> Any:
    """Return a value in values that JSON has."""
    if _is_any_of(value, (bool, int, float, str)) or value is None:
        return value
    if _is_mapping(value):
        return {str(name): _plain(one) for name, one in value.items()}
    if _is_any_of(value, (list, tuple)):
        return [_plain(one) for one in value]
    return shown(value)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_any_of(value: object, classes: tuple[type, ...]) -> bool:
    return isinstance(value, classes)
