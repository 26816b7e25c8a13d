"""HealthReport: all checks, their counts and one status, for people and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.clock import system_clock
from holdfast.health.check import Check
from holdfast.health.result import CheckResult
from holdfast.health.states import STATES, HealthLevel, HealthState
from holdfast.validation import Problems, shown
from holdfast.waiting.parking import ThreadWaiter

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
_AGAIN_NS = 110_000_000  # after which the use of the processors is known
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
        level: Of a monitor, its level; else None. A check that is not critical may be unhealthy
            while the service is ready: answer a load balancer by ``ready``, not by ``status``.
        ready: Of a monitor, whether the service can take traffic; else None.
        live: Of a monitor, whether no restart of this process would help; else None.

    Immutable, so safe to share between threads and event loops.
    """

    status: HealthState
    summary: Mapping[str, int]
    checks: Mapping[str, Mapping[str, object]]
    resources: Mapping[str, float]
    check_duration_ms: float
    level: HealthLevel | None = None
    ready: bool | None = None
    live: bool | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the report in values that JSON has."""
        shown: dict[str, object] = {
            "status": str(self.status),
            "summary": dict(self.summary),
            "checks": {name: dict(found) for name, found in self.checks.items()},
            "resources": dict(self.resources),
            "check_duration_ms": self.check_duration_ms,
        }
        if self.level is not None:
            shown |= {"level": str(self.level), "ready": self.ready, "live": self.live}
        return shown


def health_report(
    found: _Monitor | Mapping[str, CheckResult] | Iterable[Check], *, seconds: float = 0.0
) -> HealthReport:
    """Return a report of checks.

    Args:
        found: A ``HealthMonitor`` or its snapshot; or results by the names of their checks; or
            checks, which then run, one after the other. Those that prove nothing, as the first
            look at the processors does, run once more after 0.1 seconds.
        seconds: How long results took; the time of a monitor and of checks is known.

    Raises:
        TypeError: ``found`` is something else.
        ConfigError: Two checks have the same name.

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
            level=given.level,
            ready=given.ready,
            live=given.live,
        )
    if _is_mapping(given):
        return _report({name: _of_result(name, one) for name, one in given.items()}, seconds)
    checks = _checks(given)
    began_ns = system_clock.now_ns()
    ran = {check.name: check.run() for check in checks}
    took_ns = system_clock.now_ns() - began_ns
    if again := [check for check in checks if ran[check.name].verdict == "unproven"]:
        ThreadWaiter().park(system_clock, _AGAIN_NS)
        began_ns = system_clock.now_ns()
        ran |= {check.name: check.run() for check in again}
        took_ns += system_clock.now_ns() - began_ns
    return _report({name: _of_result(name, one) for name, one in ran.items()}, took_ns / 1e9)


def _checks(given: Any) -> list[Check]:
    try:
        found: list[Any] = list(given)
    except TypeError:
        found = [given]
    for one in found:
        if not isinstance(one, Check):
            raise TypeError(f"health_report() takes a monitor, results or checks, not {shown(one)}")
    problems = Problems("health_report")
    names = [check.name for check in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        problems.refuse("found", twice[0], "checks of which each has another name")
    problems.done()
    return found


def _of_status(status: Any) -> dict[str, object]:
    duration = status.duration
    return {
        "status": str(status.state),
        "message": "no result yet" if status.age is None else status.message,
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


def _report(
    checks: dict[str, dict[str, object]], seconds: float, **of_monitor: Any
) -> HealthReport:
    states = [found["status"] for found in checks.values()]
    summary = {"total": len(states)} | {str(state): states.count(state) for state in STATES}
    status = next((one for one in _WORST if summary[one]), HealthState.UNKNOWN)
    details: dict[str, Any] = {name: found["details"] for name, found in checks.items()}
    resources = {name: of["percent"] for name, of in details.items() if "percent" in of}
    took_ms = round(seconds * 1e3, 3)
    return HealthReport(status, summary, checks, resources, took_ms, **of_monitor)


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
