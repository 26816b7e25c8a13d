"""The report of a performance monitor: data only.

Elsewhere: the sources of the figures (``system``, ``throughput``, ``workers_and_caches``), and the
score of health (``score``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = [
    "ApplicationFigures",
    "CacheFigures",
    "CachePerformance",
    "OperationFigures",
    "PerformanceMonitorSnapshot",
    "PerformanceReport",
    "ResourceFigures",
    "SystemFigures",
    "WorkerHealth",
]


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """The use of the machine or container. A figure that cannot be read is None.

    Attributes:
        cpu: The used share of the processors that it may use, since the look before; above 1 for
            a short time where a quota allows it. None until a tenth of a second has passed.
        processors: How many processors it may use, also a fraction.
        own_cpu: How many processors this process itself has used since the look before.
        memory_used: Bytes in use, by all that share the limit.
        memory_limit: Bytes that may be in use.
        memory_source: Whose limit it is: "cgroup v2", "cgroup v1" or "system".
        resident: Bytes of this process that are in memory.
        threads: The threads of this process.
        tasks: The tasks of the event loop that the monitor was started in; 0 without one.
        descriptors: Open file descriptors.
        descriptors_limit: How many there may be.
    """

    cpu: float | None
    processors: float
    own_cpu: float | None
    memory_used: int | None
    memory_limit: int | None
    memory_source: str | None
    resident: int | None
    threads: int
    tasks: int
    descriptors: int | None
    descriptors_limit: int | None

    @property
    def memory(self) -> float | None:
        """The used share of the memory that may be in use; None if it is not known."""
        if self.memory_used is None or self.memory_limit is None:
            return None
        return self.memory_used / self.memory_limit if self.memory_limit else 1.0

    @property
    def concurrency(self) -> int:
        """Threads and tasks together."""
        return self.threads + self.tasks


@dataclass(frozen=True, slots=True)
class OperationFigures:
    """The calls of one operation, or of several, that ended between two looks.

    Durations are those of calls that ran. A percentile is estimated within the two bounds of the
    metrics that it is between, such as 25 and 50 ms; the mean is exact. Above 10 s it is 10 s.

    Attributes:
        name: The name of the operation; "" for the sum of several.
        calls: How many calls ended.
        succeeded: How many of them returned.
        failed: How many raised an error.
        timeouts: How many were out of time.
        rejected: How many did not run, since a policy refused them.
        cancelled: How many were given up by their callers, which is no failure.
        throughput: Calls a second; None if no time has passed.
        mean: Seconds that a call took on average; None without calls that ran. So are:
        p50: the seconds that half of the calls did not exceed,
        p95: that 95 of 100 calls did not exceed,
        p99: and that 99 of 100 calls did not exceed.
    """

    name: str
    calls: int
    succeeded: int
    failed: int
    timeouts: int
    rejected: int
    cancelled: int
    throughput: float | None
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None

    @property
    def failures(self) -> int:
        """Calls that did not give their caller a result: failed, out of time or refused."""
        return self.failed + self.timeouts + self.rejected

    @property
    def success_rate(self) -> float | None:
        """The share of calls that returned, 0 to 1; None without calls that were not cancelled."""
        asked = self.succeeded + self.failures
        return self.succeeded / asked if asked else None

    @property
    def failure_rate(self) -> float | None:
        """The share of calls that gave no result, 0 to 1; None as ``success_rate``."""
        asked = self.succeeded + self.failures
        return self.failures / asked if asked else None


@dataclass(frozen=True, slots=True)
class ApplicationFigures:
    """All calls that ended between two looks.

    Attributes:
        total: Of all operations together.
        operations: Of each operation with calls, by name: those with the most failures, then with
            the most calls, first. At most 100.
        others: How many operations had calls and are only in the total.
    """

    total: OperationFigures
    operations: Mapping[str, OperationFigures]
    others: int


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """The newest state of a worker, as it or its supervisor has reported.

    Attributes:
        name: Its name.
        running: Whether it runs: as it said itself, and as its supervisor says. One that has said
            nothing for ten minutes does not.
        errors: How many errors it has had, as it last said. Of a component that says nothing:
            how often it was started again.
        new_errors: How many of them are new since the look before.
        age: Seconds since it has said something; None: only its supervisor speaks of it.
        silent: Whether it has said nothing for ten minutes.
    """

    name: str
    running: bool
    errors: int
    new_errors: int
    age: float | None
    silent: bool


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """The running totals of a cache, as ``watch_cache`` reads them.

    Attributes:
        hits: Reads that found something.
        misses: Reads that found nothing.
        evictions: Entries that left for others, or as their time was over.
        size: Entries at the moment; None if the cache does not know.
    """

    hits: int
    misses: int
    evictions: int = 0
    size: int | None = None


@dataclass(frozen=True, slots=True)
class CachePerformance:
    """A cache between two looks.

    Attributes:
        name: Its name.
        hits: Reads that found something.
        misses: Reads that found nothing.
        evictions: Entries that left.
        size: Entries at the moment; None if it is not known.
        total: Its running totals; None if it has never answered.
        error: Why it did not answer; the counts are 0 then. None: it answered.
    """

    name: str
    hits: int
    misses: int
    evictions: int
    size: int | None
    total: CacheFigures | None
    error: str | None

    @property
    def hit_rate(self) -> float | None:
        """The share of reads that found something, 0 to 1; None if nothing was read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else None

    @property
    def miss_rate(self) -> float | None:
        """The share of reads that found nothing, 0 to 1; None if nothing was read."""
        reads = self.hits + self.misses
        return self.misses / reads if reads else None


@dataclass(frozen=True, slots=True)
class ResourceFigures:
    """The resources of one kind that are registered with a resource manager.

    Attributes:
        active: How much is registered.
        limit: How much may be; None: this kind has no limit.
        leaks: How many resources were suspected to be leaks.
    """

    active: int
    limit: int | None
    leaks: int


@dataclass(frozen=True, slots=True)
class PerformanceReport:
    """One look of a performance monitor, as plain values.

    Immutable, so safe to share between threads and event loops.

    >>> import holdfast as hf
    >>> report = hf.PerformanceMonitor("shop").collect()
    >>> report.application.total.calls, report.workers
    (0, {})

    Attributes:
        name: The name of the monitor.
        at: Seconds on the monitor's clock.
        time: The same as seconds since 1970.
        seconds: For how long the counts between two looks were made.
        score: The health, 0 to 100.
        reasons: Why it is not 100: a sentence for each deduction.
        system: The machine.
        application: The operations.
        workers: The workers, by name.
        caches: The caches, by name.
        resources: The registered resources, by kind.
    """

    kind: str = field(default="performance_report", init=False)
    name: str
    at: float
    time: float
    seconds: float
    score: float
    reasons: tuple[str, ...]
    system: SystemFigures
    application: ApplicationFigures
    workers: Mapping[str, WorkerHealth]
    caches: Mapping[str, CachePerformance]
    resources: Mapping[str, ResourceFigures]

    @property
    def active_workers(self) -> int:
        """How many workers run."""
        return sum(worker.running for worker in self.workers.values())

    @property
    def worker_errors(self) -> int:
        """How many errors all workers have had."""
        return sum(worker.errors for worker in self.workers.values())


@dataclass(frozen=True, slots=True)
class PerformanceMonitorSnapshot:
    """A performance monitor at one moment.

    Attributes:
        name: Its name.
        running: Whether it was started and not stopped since.
        interval: Seconds from one look to the next.
        looks: How many looks it has taken.
        report: The newest; None before the first.
        publish: The place of published reports, without passwords; None: they are not published.
        published: How many reports were published.
        publish_failures: How many could not be.
        publish_error: Why the newest could not be; None: it was, or there was none.
        callback_failures: How many exceptions listeners have raised.
    """

    kind: str = field(default="performance_monitor", init=False)
    name: str
    running: bool
    interval: float
    looks: int
    report: Any
    publish: str | None
    published: int
    publish_failures: int
    publish_error: str | None
    callback_failures: int
