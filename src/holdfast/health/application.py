"""Checks for every application: of its settings, memory, processors and disk."""

from __future__ import annotations

import os

from holdfast.health.check import Check
from holdfast.health.cpu import CpuCheck
from holdfast.health.disk import DiskCheck
from holdfast.health.memory import MemoryCheck
from holdfast.health.result import CheckResult
from holdfast.validation import Problems, explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from typing import Any

__all__ = ["EnvironmentCheck", "application_checks"]


class EnvironmentCheck(Check):
    """Looks whether variables of the environment are set and not empty. Values are not shown.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        *variables: The names of the variables, at least one.
        interval: Seconds from one run to the next; None: that of the monitor.
        timeout: How many seconds one run may take; None: that of the monitor.
        failures: How many failed runs in a row make the check unhealthy.
        successes: How many passed runs in a row make it healthy again.
        start_period: Seconds after the start during which failed runs do not count before the
            first pass.
        jitter: The share of the interval by which a run may be delayed; None: that of the monitor.
        critical: Whether the service cannot work without what is checked.
        liveness: Whether a restart of this process would help if the check is unhealthy.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable and without state, so safe to share between threads, event loops and monitors.

    >>> EnvironmentCheck("settings", "PATH", "NO_SUCH_SETTING").run().message
    'not set: NO_SUCH_SETTING'
    """

    __slots__ = ("_variables",)

    measures_self = True

    @explains_names
    def __init__(
        self,
        name: str,
        *variables: str,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._variables = variables
        super().__init__(
            name,
            interval=interval,
            timeout=timeout,
            failures=failures,
            successes=successes,
            start_period=start_period,
            jitter=jitter,
            critical=critical,
            liveness=liveness,
        )

    def _checked(self, problems: Problems) -> None:
        if not self._variables:
            problems.refuse("variables", self._variables, "at least one name")
        for at, variable in enumerate(self._variables):
            given: Any = variable
            if not isinstance(given, str) or not given or "=" in given or "\0" in given:
                problems.refuse(f"variables[{at}]", given, "the name of a variable")

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the variables."""
        return self._variables

    def probe(self) -> CheckResult:
        """Look at the environment of this process."""
        missing = [name for name in self._variables if not os.environ.get(name)]
        if missing:
            return CheckResult("failed", f"not set: {', '.join(missing)}", {"missing": missing})
        return CheckResult("passed")


def application_checks(
    variables: Iterable[str] = (),
    *,
    path: str | os.PathLike[str] = "/",
    memory_percent: float = 90.0,
    cpu_percent: float = 95.0,
    disk_percent: float = 90.0,
    interval: float | timedelta | None = None,
) -> tuple[Check, ...]:
    """Return checks of this process and its machine, to add to a monitor.

    They are named "environment", "memory", "cpu" and "disk". The first fails if a variable is not
    set; without ``variables`` it is left out. The others are degraded above their limits, never
    fail for that, and are not critical.

    Args:
        variables: The variables of the environment that have to be set.
        path: A file or folder on the disk.
        memory_percent: Above this percentage of the memory in use, "memory" is degraded.
        cpu_percent: Above this use of the processors in per cent, "cpu" is degraded.
        disk_percent: Above this percentage of the disk in use, "disk" is degraded.
        interval: Seconds from one run of each to the next; None: that of the monitor.

    Raises:
        ConfigError: An argument is invalid; the message names it.
        MissingExtraError: There is no ``/proc``, and psutil is not installed.

    >>> [check.name for check in application_checks(["PATH"])]
    ['environment', 'memory', 'cpu', 'disk']
    """
    given: object = variables
    if isinstance(given, str):  # else each letter is a variable
        problems = Problems("application_checks")
        problems.refuse("variables", given, "several names, as in a list")
        problems.done()
    names = tuple(variables)
    checks: list[Check] = []
    if names:
        checks.append(EnvironmentCheck("environment", *names, interval=interval))
    checks += [
        MemoryCheck("memory", memory_percent, interval=interval, critical=False),
        CpuCheck("cpu", cpu_percent, interval=interval, critical=False),
        DiskCheck("disk", path, disk_percent, interval=interval, critical=False),
    ]
    return tuple(checks)
