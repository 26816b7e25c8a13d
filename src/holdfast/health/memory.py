"""MemoryCheck: how much of its memory this process and its neighbours use."""

from __future__ import annotations

from holdfast.health.usage import UsageCheck, bytes_shown
from holdfast.machine import tree as machine
from holdfast.machine.memory import memory_use
from holdfast.validation import explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta

    from holdfast.health.result import CheckResult

__all__ = ["MemoryCheck"]


class MemoryCheck(UsageCheck):
    """Compares the memory in use with the limit that ends this process if it is reached.

    The limit is that of the control group of version 2 (``memory.max``), then that of version 1
    (``memory.limit_in_bytes``), then the memory of the machine. Of groups within each other the
    fullest counts. The page cache that the kernel can drop is not in use. Without ``/proc``, the
    extra ``system`` (psutil) shows the memory of the machine.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        degraded_percent: Above this percentage the check is degraded, above 0 to 100; None for no
            limit.
        failed_percent: Above this percentage the check fails; None for no limit.
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

    Immutable and without state, so safe to share between threads, event loops and monitors.

    >>> MemoryCheck("memory", failed_percent=100).run().details["source"] != ""
    True
    """

    __slots__ = ()

    measures_self = True  # a full memory is evidence, also if it slows this process down

    @explains_names
    def __init__(
        self,
        name: str,
        degraded_percent: float | None = 90.0,
        failed_percent: float | None = None,
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
        self._degraded_percent = degraded_percent
        self._failed_percent = failed_percent
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
        memory_use(machine.HERE)  # or say at once what is missing

    def probe(self) -> CheckResult:
        """Read the limit and the usage, and compare."""
        use = memory_use(machine.HERE)
        details: dict[str, object] = {
            "used_bytes": use.used,
            "limit_bytes": use.limit,
            "source": use.source,
        }
        of = f"{bytes_shown(use.limit)} ({use.source})"
        return self._judge(100.0 * use.share, of, details)
