"""What a monitor shows of its checks: data only."""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.health.outlook import Forecast
    from holdfast.health.result import CheckResult
    from holdfast.health.states import HealthLevel, HealthState
    from holdfast.policies.breaker.state import State

__all__ = ["CheckRecord", "CheckStatus", "MonitorSnapshot"]


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """One result of a check.

    Attributes:
        at: When it was known, in seconds on the monitor's clock.
        duration: How many seconds the run took.
        result: The result.
        state: The state of the check after it.
    """

    at: float
    duration: float
    result: CheckResult
    state: HealthState


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """One check at one moment. Times are seconds on the monitor's clock.

    Attributes:
        name: The name of the check.
        state: Its state.
        healthy: Whether the state is HEALTHY. Unknown is not healthy.
        critical: Whether the service cannot work without this dependency.
        liveness: Whether it takes part in ``is_live``.
        message: The message of the last result.
        error: The message of the last result that failed, until one passes; else None.
        details: The figures of the last result.
        age: Seconds since the last result; None: there is none.
        last_check: When the last result was known; None: there is none.
        last_success: When the last one that has not failed was known, or None.
        last_failure: When the last one that failed was known, or None.
        check_count: How many results there are since the check was added.
        pass_count: How many of them passed, including those that were degraded.
        fail_count: How many of them failed.
        unproven_count: How many of them proved nothing.
        abandoned_count: How many runs were given up because they took longer than their timeout.
        success_rate: The share that passed of the results that proved something; 1.0 if none did.
        duration: Seconds that the last run took; None before the first has ended.
        average_duration: Seconds that a run took on average; None before the first has ended.
        failures_in_a_row: The last results that failed, without one that passed between them.
        pending: Whether the last results contradict the state, which may change soon.
        running: Whether a run of it goes on, also one that was given up.
        interval: Seconds from one run to the next at the moment.
        next_due: When it is due; None while the monitor does not run.
        breaker: The state of the breaker that it closes; None without one.
    """

    name: str
    state: HealthState
    healthy: bool
    critical: bool
    liveness: bool
    message: str
    error: str | None
    details: Mapping[str, object]
    age: float | None
    last_check: float | None
    last_success: float | None
    last_failure: float | None
    check_count: int
    pass_count: int
    fail_count: int
    unproven_count: int
    abandoned_count: int
    success_rate: float
    duration: float | None
    average_duration: float | None
    failures_in_a_row: int
    pending: bool
    running: bool
    interval: float
    next_due: float | None
    breaker: State | None


@dataclass(frozen=True, slots=True)
class MonitorSnapshot:
    """A monitor at one moment.

    Attributes:
        name: The name of the monitor.
        running: Whether it was started and not stopped since.
        level: The health of everything it checks.
        healthy: Whether every check is healthy; True without checks.
        ready: Whether the service can take traffic.
        live: Whether no restart of this process would help.
        total_checks: The number of checks.
        healthy_checks: How many of them are healthy.
        unhealthy_checks: How many of them are unhealthy.
        total_check_runs: The number of results.
        total_failures: How many of them failed.
        overall_success_rate: The share that passed of the results that proved something.
        abandoned: How many runs were given up and still go on.
        waiting: How many runs wait for a thread.
        callback_failures: How many callbacks and listeners raised.
        checks: The status of each check, by its name.
        outlooks: The forecast of each check with an outlook, by the name of the check; None before
            there is enough history.
    """

    name: str
    running: bool
    level: HealthLevel
    healthy: bool
    ready: bool
    live: bool
    total_checks: int
    healthy_checks: int
    unhealthy_checks: int
    total_check_runs: int
    total_failures: int
    overall_success_rate: float
    abandoned: int
    waiting: int
    callback_failures: int
    checks: Mapping[str, CheckStatus] = field(default_factory=dict)
    outlooks: Mapping[str, Forecast | None] = field(default_factory=dict)
