"""ProcessCheck: whether a process still runs."""

from __future__ import annotations

import os

from holdfast.health.check import Check
from holdfast.health.ping import check_function
from holdfast.health.result import CheckResult
from holdfast.machine import tree as machine
from holdfast.machine.processes import look_at_process
from holdfast.validation import answers_at_once, explains_names, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from holdfast.validation import Problems

__all__ = ["ProcessCheck"]

_MOST_PID = 1 << 31


class ProcessCheck(Check):
    """Looks whether a process runs: it has not ended, and it is not a zombie.

    It is the process that had the pid when the check was made, or when the function named it for
    the first time. If another process has this pid later, the check fails. Without ``/proc``, the
    extra ``system`` (psutil) is needed.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        pid: The pid of a process, or a function without arguments that returns it, such as one
            that reads a file. The function returns None if there is no process, and another pid
            after a restart.
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
        MissingExtraError: There is no ``/proc``, and psutil is not installed.

    Its settings are immutable; for a function, it remembers the process that was named last. Safe
    to share between threads, event loops and monitors.

    >>> ProcessCheck("parent", os.getppid).run().verdict
    'passed'
    """

    __slots__ = ("_pid", "_started")

    @explains_names
    def __init__(
        self,
        name: str,
        pid: int | Callable[[], int | None],
        *,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._pid: Any = pid
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
        # The process that is meant: its pid, and when it started if it was there.
        look_at_process(os.getpid(), machine.HERE)  # or say at once what is missing
        self._started: tuple[int, float | None] | None = None
        if not callable(self._pid):
            seen = look_at_process(self._pid, machine.HERE)
            self._started = (self._pid, None if seen is None else seen.started)

    def _checked(self, problems: Problems) -> None:
        if not callable(self._pid):
            problems.integer("pid", self._pid, least=1, most=_MOST_PID)
        elif answers_at_once(self._pid):
            check_function(problems, "pid", self._pid)
        else:
            problems.refuse("pid", self._pid, "a pid, or a plain function that returns it")

    def probe(self) -> CheckResult:
        """Look at the process."""
        pid = self._pid() if callable(self._pid) else self._pid
        if pid is None:
            return CheckResult("failed", "there is no process")
        if isinstance(pid, bool) or not isinstance(pid, int) or not 0 < pid <= _MOST_PID:
            return CheckResult("failed", f"got {shown(pid)}, which is no pid")
        details: dict[str, object] = {"pid": pid}
        seen = look_at_process(pid, machine.HERE)
        if seen is None:
            return CheckResult("failed", f"no process has the pid {pid}", details)
        if seen.started is None:
            return CheckResult("unproven", f"the system hides process {pid}", details)
        known = self._started
        if known is None or known[0] != pid:
            self._started = known = (pid, seen.started)
        if known[1] != seen.started:
            return CheckResult("failed", f"another process has the pid {pid}", details)
        if not seen.is_alive:
            text = f"process {pid} has ended, and its parent has not waited for it"
            return CheckResult("failed", text, details)
        return CheckResult("passed", "", details)
