"""DiskCheck: how full a file system is."""

from __future__ import annotations

import os

from holdfast.health.result import CheckResult
from holdfast.health.usage import UsageCheck, bytes_shown
from holdfast.machine.disk import disk_use
from holdfast.validation import explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast.validation import Problems

__all__ = ["DiskCheck"]

_MOST_BYTES = 1 << 62


class DiskCheck(UsageCheck):
    """Compares how full the file system of a path is with limits, in per cent or in free bytes.

    The percentage is the one that ``df`` shows, or the used share of the files (inodes) that the
    file system can hold, if that is greater. The check fails if there is no such path.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        path: A file or folder.
        degraded_percent: Above this percentage the check is degraded, above 0 to 100; None for no
            limit.
        failed_percent: Above this percentage the check fails; None for no limit.
        degraded_free: The check is degraded if less than this number of bytes is free; None for no
            limit.
        failed_free: The check fails if less than this number of bytes is free; None for no limit.
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

    >>> DiskCheck("disk", "/no/such/path").run().message
    "FileNotFoundError: [Errno 2] No such file or directory: '/no/such/path'"
    """

    __slots__ = ("_degraded_free", "_failed_free", "_path")

    @explains_names
    def __init__(
        self,
        name: str,
        path: str | os.PathLike[str],
        degraded_percent: float | None = 90.0,
        failed_percent: float | None = None,
        *,
        degraded_free: int | None = None,
        failed_free: int | None = None,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._path: Any = path
        self._degraded_percent = degraded_percent
        self._failed_percent = failed_percent
        self._degraded_free = degraded_free
        self._failed_free = failed_free
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
        given: Any = self._path
        try:
            self._path = os.fsdecode(given)
        except TypeError:
            self._path = ""
        if not self._path or "\0" in self._path:
            problems.refuse("path", given, "a string that is not empty, or a path")
        for field in ("degraded_free", "failed_free"):
            value = getattr(self, f"_{field}")
            number = problems.integer(field, value, least=1, most=_MOST_BYTES, none=True)
            setattr(self, f"_{field}", number)
        self._order(problems, "failed_free", "degraded_free")
        super()._checked(problems)

    def _has_limit(self) -> bool:
        free = self._degraded_free is not None or self._failed_free is not None
        return free or super()._has_limit()

    @property
    def path(self) -> str:
        """The file or folder."""
        path: str = self._path
        return path

    def probe(self) -> CheckResult:
        """Look at the file system, and compare."""
        use = disk_use(self._path)
        by_bytes, by_files = 100.0 * use.share, 100.0 * use.files_share
        details: dict[str, object] = {
            "path": self._path,
            "free_bytes": use.free,
            "total_bytes": use.total,
            "files_percent": round(by_files, 2),
        }
        of = "the files" if by_files > by_bytes else bytes_shown(use.total)
        result = self._judge(max(by_bytes, by_files), f"{of} at {self._path}", details)
        if result.verdict == "failed":
            return result
        if wrong := self._short_of(use.free, self._failed_free):
            return CheckResult("failed", wrong, result.details)
        if result.verdict == "passed" and (wrong := self._short_of(use.free, self._degraded_free)):
            return CheckResult("degraded", wrong, result.details)
        return result

    def _short_of(self, free: int, least: int | None) -> str:
        if least is None or free >= least:
            return ""
        return f"{bytes_shown(free)} free at {self._path}, less than {bytes_shown(least)}"
