"""PerformanceMonitor: how this process, its operations, workers and caches perform.

Owns the times of looks, and the newest reports. Elsewhere: the figures (``system``, ``throughput``,
``workers_and_caches``), the shape of a report (``report``), the score (``score``), and readers
outside of this process (``publishing``).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from holdfast._native.histogram import ENDS
from holdfast.clock import read_clock
from holdfast.events import Event, Listeners
from holdfast.forks import mind, settle
from holdfast.life import Life
from holdfast.locks import RLock
from holdfast.periodic import Periodic
from holdfast.records import note
from holdfast.resources.asking import Asked, ask
from holdfast.resources.living import enlist_monitor
from holdfast.resources.publishing import publisher_of, values_of
from holdfast.resources.report import (
    PerformanceMonitorSnapshot,
    PerformanceReport,
    ResourceFigures,
)
from holdfast.resources.score import health_score
from holdfast.resources.system import System
from holdfast.resources.throughput import Recorded, Throughput
from holdfast.resources.workers_and_caches import MOST_WORKERS, Cache, Workers
from holdfast.telemetry.managed import is_manager
from holdfast.validation import (
    Problems,
    explains_names,
    nearest,
    require_callable,
    shown,
    wait_to_ns,
)
from holdfast.whole import Whole

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.events import Listener
    from holdfast.telemetry.managed import Managed

__all__ = ["PerformanceMonitor"]

HISTORY = 100
MOST_RECORDED = 1000
MOST_CACHES = 1000
OTHERS = "(other)"
_KIND = "performance_monitor"
_LEAST_INTERVAL_NS = 100_000_000
_ASK_SECONDS = 5.0  # for all caches together, and for a publication
_SUCCESS, _FAILURE = ENDS.index("success"), ENDS.index("failure")
_MOST_ERRORS = 2**63 - 1
_PLAIN_SECONDS = 1e6  # longer durations are checked


class PerformanceMonitor(Whole, Life):
    """Looks at this process every 30 seconds: machine, operations, workers and caches.

    Operations are not counted again: their figures are what policies count anyway, between two
    looks. A look costs a call nothing. The score of health is 100, less 2 for each percent of
    memory above 80, 0.01 for each thread or task above 1,000, and 2 for each percent of calls above
    5 that gave no result.

    Args:
        name: For messages, 1 to 200 characters.
        manager: The ``ResilienceManager`` whose operations are meant; None: all operations and
            pipelines of this process. A breaker or another policy alone is no operation.
        resources: A ``ResourceManager``, whose resources are shown by kind.
        supervisor: A ``Supervisor``, whose components are shown as workers.
        interval: Seconds from one look to the next, at least 0.1.
        publish: The place of each report for readers outside of this process: "file:PATH", or a
            URL of Redis; None: it is not published.
        clock: The source of time; use a ``ManualClock`` in tests.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.
        MissingExtraError: ``publish`` is Redis, and redis-py is not installed.

    Functions of caches and publications run in separate threads, within five seconds and without
    any lock. A running monitor is kept alive. In a forked child it is stopped, and knows no
    worker and no earlier look. Safe to share between threads and event loops.

    >>> monitor = PerformanceMonitor("shop")
    >>> monitor.record_operation("resize image", 0.25, ok=True)
    >>> report = monitor.collect()
    >>> report.application.operations["shop/resize image"].mean
    0.25
    """

    kind = _KIND

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        manager: Managed | None = None,
        resources: Any = None,
        supervisor: Any = None,
        interval: float | timedelta = 30.0,
        publish: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("PerformanceMonitor", name)
        self._name = problems.name(name)
        if manager is not None and not is_manager(manager):
            problems.refuse("manager", manager, "a ResilienceManager, or None")
        for field, source, method in (
            ("resources", resources, "snapshot"),
            ("supervisor", supervisor, "status"),
        ):
            if source is not None and not callable(getattr(source, method, None)):
                words = "a ResourceManager" if field == "resources" else "a Supervisor"
                problems.refuse(field, source, f"{words}, or None")
        interval_ns = problems.duration("interval", interval, least_ns=_LEAST_INTERVAL_NS)
        self._clock = read_clock(problems, clock)
        self._publisher = publisher_of(problems, publish)
        problems.done()
        self._scope = self._name if manager is None else manager.name
        self._manager = manager
        self._resources, self._supervisor = resources, supervisor
        self._lock = RLock()
        self._listeners = Listeners()
        self._workers = Workers()
        self._caches: dict[str, Cache] = {}
        self._recorded: dict[str, Recorded] = {}
        self._history: deque[PerformanceReport] = deque(maxlen=HISTORY)
        self._looks = self._published = self._failures = 0
        self._error: str | None = None  # of the newest publication
        self._publishing = Asked(self._publish_next)
        self._next: PerformanceReport | None = None  # what is published next
        self._event_loop: AbstractEventLoop | None = None
        self._throughput = Throughput(None if manager is None else manager.name)
        self._system = System()
        self._looked_ns = self._clock.now_ns()
        self._loop = Periodic(
            self.collect, interval_ns / 1e9, name=f"performance of {self._name}", clock=self._clock
        )
        mind(self)
        enlist_monitor(self)

    @property
    def name(self) -> str:
        """The name, for messages."""
        return self._name

    @property
    def interval(self) -> float:
        """Seconds from one look to the next."""
        return self._loop.interval or 0.0

    # ---- what it is told ----

    def record_worker_health(self, worker: str, running: bool, errors: int) -> None:
        """Keep what a worker says of itself, in place of what it said before.

        Args:
            worker: Its name.
            running: Whether it runs.
            errors: How many errors it has had in all; not those since it last said so.

        Raises:
            ConfigError: An argument is invalid, or there are 1,000 workers that are not silent.
        """
        problems = Problems("PerformanceMonitor", self._name)
        worker = problems.name(worker, "worker")
        running = problems.flag("running", running)
        errors = problems.integer("errors", errors, least=0, most=_MOST_ERRORS)
        problems.done()
        settle()
        with self._lock:
            if not self._workers.say(worker, running, errors, self._clock.now_ns()):
                problems.refuse(
                    "worker", worker, f"at most {MOST_WORKERS} workers: forget_worker()"
                )
        problems.done()

    def forget_worker(self, worker: str) -> bool:
        """Forget a worker that has ended for good; return whether it was known.

        Args:
            worker: Its name.
        """
        settle()
        with self._lock:
            return self._workers.forget(worker)

    def record_operation(self, name: str, seconds: float | timedelta, ok: bool) -> None:
        """Count a call that no policy guards, as one of an operation.

        It is counted natively, and metrics have it as an operation ``manager/name``; without a
        manager, as one of the monitor. After 1,000 names, further names share "(other)".

        Args:
            name: The name of the operation, which no operation of the manager has.
            seconds: How long the call took, at least 0.
            ok: Whether it succeeded.

        Raises:
            ConfigError: An argument is invalid.
        """
        given: object = ok
        recorded = self._recorded.get(name) if type(name) is str else None
        if (
            recorded is not None
            and type(given) is bool
            and type(seconds) is float
            and 0.0 <= seconds < _PLAIN_SECONDS
        ):
            ns = int(seconds * 1e9)
        else:
            problems = Problems("PerformanceMonitor", self._name)
            name = problems.name(name)
            ns = problems.duration("seconds", seconds)
            ok = problems.flag("ok", ok)
            problems.done()
            recorded = self._record(name)
        recorded.ends.count(_SUCCESS if ok else _FAILURE, ns)

    def _record(self, name: str) -> Recorded:
        """Return the counts of a name that may be new."""
        problems = Problems("PerformanceMonitor", self._name)
        settle()
        with self._lock:
            if name not in self._recorded and len(self._recorded) >= MOST_RECORDED:
                name = OTHERS
            recorded = self._recorded.get(name)
            if recorded is None:
                if name in {one.name for one in getattr(self._manager, "operations", ())}:
                    problems.refuse("name", name, "one that no operation of the manager has")
                    problems.done()
                recorded = self._recorded[name] = Recorded(self._scope, name)
            return recorded

    def watch_cache(self, name: str, figures: Callable[[], object]) -> None:
        """Ask a cache at each look. The first look shows all that it has counted.

        Args:
            name: Its name, in place of what had that name before.
            figures: Returns what the cache has counted in all: a ``CacheFigures``, or anything with
                ``hits`` and ``misses`` (also ``evictions`` and ``size``) as attributes or keys,
                such as ``cache_info`` of a function with ``lru_cache``. It is called in a thread.
                An exception is shown in the report, and logged once.

        Raises:
            ConfigError: The name is none, or there are 1,000 caches.
            TypeError: ``figures`` is not callable, or a coroutine or generator function.
        """
        problems = Problems("PerformanceMonitor", self._name)
        name = problems.name(name)
        problems.done()
        require_callable("figures", figures)
        settle()
        with self._lock:
            if name not in self._caches and len(self._caches) >= MOST_CACHES:
                problems.refuse("name", name, f"at most {MOST_CACHES} caches: unwatch_cache()")
            problems.done()
            self._caches[name] = Cache(name, figures)

    def unwatch_cache(self, name: str) -> None:
        """Ask a cache no more.

        Raises:
            LookupError: No cache has this name.
        """
        settle()
        with self._lock:
            if self._caches.pop(name, None) is None:
                hint = nearest(name, tuple(self._caches))
                raise LookupError(f"monitor {self._name!r} watches no cache {shown(name)}{hint}")

    # ---- what it shows ----

    @property
    def history(self) -> tuple[PerformanceReport, ...]:
        """The newest 100 reports, the oldest first."""
        settle()
        with self._lock:
            return tuple(self._history)

    def report(self) -> PerformanceReport:
        """Return the newest report; look now if there is none."""
        settle()
        with self._lock:
            newest = self._history[-1] if self._history else None
        return newest or self.collect()

    def collect(self) -> PerformanceReport:
        """Look now: return what came since the look before, publish it, and tell listeners.

        It waits for caches and for what it publishes to, at most five seconds each; not in the
        thread of an event loop.
        """
        settle()
        with self._lock:
            caches = list(self._caches.values())
        ask([one.asked for one in caches], _ASK_SECONDS, f"{self._name}-cache")
        components = self._components()
        held = self._held()
        with self._lock:
            before = self._history[-1] if self._history else None
            report = self._look(caches, components, held)
            self._history.append(report)
            self._looks += 1
        for cache in caches:
            self._tell_of_cache(cache, report)
        self._publish(report)
        self._listeners.emit(
            Event(
                "report",
                self,
                self._name,
                old=None if before is None else before.score,
                new=report.score,
                reason="; ".join(report.reasons),
                at=report.at,
            )
        )
        return report

    def _look(
        self,
        caches: list[Cache],
        components: Mapping[str, Any],
        held: Mapping[str, ResourceFigures],
    ) -> PerformanceReport:
        now_ns = self._clock.now_ns()
        seconds = max(0, now_ns - self._looked_ns) / 1e9
        self._looked_ns = now_ns
        system = self._system.figures(self._event_loop)
        application = self._throughput.look(seconds)
        score, reasons = health_score(system, application.total)
        return PerformanceReport(
            name=self._name,
            at=now_ns / 1e9,
            time=self._clock._wall_time(),
            seconds=seconds,
            score=score,
            reasons=reasons,
            system=system,
            application=application,
            workers=self._workers.look(now_ns, components),
            caches={cache.name: cache.look() for cache in caches},
            resources=held,
        )

    def _components(self) -> Mapping[str, Any]:
        """Return the status of each component of the supervisor."""
        found: Mapping[str, Any] = {} if self._supervisor is None else self._supervisor.status()
        return found

    def _held(self) -> Mapping[str, ResourceFigures]:
        """Return what the resource manager holds, by kind."""
        if self._resources is None:
            return {}
        kinds = self._resources.snapshot().kinds
        return {
            name: ResourceFigures(its.active, its.limit, its.leaks) for name, its in kinds.items()
        }

    def _tell_of_cache(self, cache: Cache, report: PerformanceReport) -> None:
        """Log that a cache does not answer, once until it does."""
        error = report.caches[cache.name].error
        if error is not None and not cache.was_failing:
            text = "performance monitor %r: cache %r does not tell its figures: %s"
            self._note("cache_failed", text, cache.name, error)
        cache.was_failing = error is not None

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event)`` after each look.

        The kind of the event is "report"; ``old`` and ``new`` are the score before and now, and
        ``reason`` why it is not 100. No lock is held. Exceptions of a listener are logged and
        counted.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        return self._listeners.subscribe(listener)

    def snapshot(self) -> PerformanceMonitorSnapshot:
        """Return the newest report, and what became of its publication."""
        settle()
        with self._lock:
            return PerformanceMonitorSnapshot(
                name=self._name,
                running=self.running,
                interval=self.interval,
                looks=self._looks,
                report=self._history[-1] if self._history else None,
                publish=None if self._publisher is None else self._publisher.target,
                published=self._published,
                publish_failures=self._failures,
                publish_error=self._error,
                callback_failures=self._listeners.raised,
            )

    # ---- readers outside ----

    def _publish(self, report: PerformanceReport) -> None:
        """Publish a report within five seconds; what fails is counted, and logged once."""
        publisher = self._publisher
        if publisher is None:
            return
        if self._publishing.is_late:
            error: str | None = "the publication before still runs"
        else:
            self._next = report
            if not ask([self._publishing], _ASK_SECONDS, f"{self._name}-publish"):
                return  # that of another look runs at this moment
            error = self._publishing.error
        with self._lock:
            before, self._error = self._error, error
            self._published += error is None
            self._failures += error is not None
        if error is not None and before is None:
            text = "performance monitor %r: no report in %s: %s"
            self._note("publishing_failed", text, publisher.target, error)
        elif error is None and before is not None:
            text = "performance monitor %r: reports are in %s again"
            self._note("publishing_recovered", text, publisher.target)

    def _publish_next(self) -> None:
        report, publisher = self._next, self._publisher
        if report is not None and publisher is not None:
            publisher.publish(list(values_of(report)), report.time)

    def _note(self, record: str, text: str, *args: object) -> None:
        note(record, _KIND, self._name, text, self._name, *args, clock=self._clock)

    # ---- its life ----

    @property
    def running(self) -> bool:
        """Whether it was started in this process and not stopped since."""
        return self._loop.running

    def start(self) -> None:
        """Look at once, and then once an interval, in a thread. One that runs already goes on.

        Raises:
            RuntimeError: No thread can be started.
        """
        was_running = self._loop.running
        self._loop.start()
        if not was_running:
            self._note("monitoring_started", "performance monitor %r is started")

    async def astart(self) -> None:
        """Start as ``start`` does, and count the tasks of this event loop.

        It looks in a thread: nothing of it blocks the event loop.
        """
        from holdfast.waiting.foreign import loop_here

        self._event_loop = loop_here(self, "start()")
        self.start()

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """Look no more, and wait until a look that goes on has ended.

        Published values expire by themselves. It may be called from anywhere, any number
        of times, also by a listener: it does not wait for itself.

        Args:
            timeout: How many seconds to wait at most, on the system's clock; 0 never waits.

        Returns:
            Whether no look goes on any more, except the one that calls this.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        wait_to_ns("timeout", timeout)
        was_running = self._loop.running
        ended = self._loop.stop(timeout)
        self._close(was_running)
        return ended

    async def astop(
        self,
        timeout: float | timedelta = 10.0,  # noqa: ASYNC109 - as in stop()
    ) -> bool:
        """Stop as ``stop`` does, in ``timeout`` seconds at most; the event loop goes on."""
        wait_to_ns("timeout", timeout)
        was_running = self._loop.running
        ended = await self._loop.astop(timeout)
        self._close(was_running)
        return ended

    def _close(self, was_running: bool) -> None:
        self._event_loop = None
        if self._publisher is not None and not self._publishing.is_busy:
            self._publisher.close()
        if was_running:
            self._note("monitoring_stopped", "performance monitor %r is stopped")

    def _after_fork(self) -> None:
        """In a forked child: have a free lock, and no state of the parent."""
        self._lock = RLock()
        self._workers = Workers()
        self._history.clear()
        self._looks = self._published = self._failures = 0
        self._error = None
        self._event_loop = None
        self._next = None
        self._publishing.forget()
        if self._publisher is not None:
            self._publisher.forget()
        for cache in list(self._caches.values()):
            cache.asked.forget()
        self._throughput.forget()
        self._system.forget()
        self._looked_ns = self._clock.now_ns()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<PerformanceMonitor {self._name!r}: {state}, {self._looks} looks>"
