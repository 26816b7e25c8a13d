"""CpuCheck: how busy the processors are that this process may use."""

from __future__ import annotations

from holdfast.health.result import CheckResult
from holdfast.health.usage import UsageCheck
from holdfast.machine import tree as machine
from holdfast.machine.processors import look_at_processors, use_between
from holdfast.validation import explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta

    from holdfast.machine.processors import ProcessorLook

__all__ = ["CpuCheck"]

_LEAST_NS = 100_000_000  # counters of the machine move in steps of 10 ms
_SPAN_NS = 1_000_000_000


class CpuCheck(UsageCheck):
    """Compares the use of the processors since the run before with limits. It never sleeps.

    It is a share of the quota of the control group, such as that of a container, of version 2
    (``cpu.max``) or 1 (``cpu.cfs_quota_us``). Without a quota it is a share of those processors of
    the machine that this process may use. A use of less than a tenth of a second proves nothing, as
    that of a first run right after the check was made. Without ``/proc``, the extra ``system``
    (psutil) shows the processors of the machine.

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

    Its settings are immutable, and its only state is what the counters showed before. Safe to share
    between threads, event loops and monitors.

    >>> CpuCheck("cpu").run().message
    'the use of the processors is known after 0.1 s'
    """

    __slots__ = ("_looks",)

    measures_self = True  # busy processors are evidence, also if this process got none of them

    @explains_names
    def __init__(
        self,
        name: str,
        degraded_percent: float | None = 95.0,
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
        # Replaced as a whole. Two runs at the same time may lose a look, and nothing else.
        self._looks: tuple[ProcessorLook, ...] = (look_at_processors(machine.HERE),)

    def probe(self) -> CheckResult:
        """Read the counters, and compare their growth with the limits."""
        new = look_at_processors(machine.HERE)
        old = self._look_before(new)
        seconds = (new.at_ns - old.at_ns) / 1e9
        use = use_between(old, new) if new.at_ns - old.at_ns >= _LEAST_NS else None
        if use is None:
            return CheckResult("unproven", "the use of the processors is known after 0.1 s")
        details: dict[str, object] = {
            "processors": use.processors,
            "source": use.source,
            "seconds": round(seconds, 3),
        }
        plural = "" if use.processors == 1 else "s"
        of = f"{use.processors:g} processor{plural} ({use.source})"
        return self._judge(100.0 * use.share, of, details)

    def _look_before(self, new: ProcessorLook) -> ProcessorLook:
        """Return the newest look that is a second old, else the oldest; keep the new one."""
        looks = self._looks
        old = [look for look in looks if new.at_ns - look.at_ns >= _SPAN_NS]
        before = old[-1] if old else looks[0]
        if new.at_ns - looks[-1].at_ns >= _LEAST_NS:
            self._looks = (*(look for look in looks if look.at_ns >= before.at_ns), new)
        return before
