"""MarketCollector: collects the prices of several exchanges, and goes on while some are down.

Owns the manager of all policies, the threads, and their beginning and end. Elsewhere: what a
thread does (``worker``, ``backfill``, ``cleaning``), and how healthy it is (``health``).
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

import holdfast as hf
from examples.market_collector.backfill import Backfiller
from examples.market_collector.cleaning import Cleaner
from examples.market_collector.client import ExchangeClient
from examples.market_collector.health import Health, health_of, workers_check
from examples.market_collector.link import Link
from examples.market_collector.policies import adapted
from examples.market_collector.summary import ErrorCounts, ExchangeSummary, Summary
from examples.market_collector.worker import Calendar, Feed, Shared, Worker, WorkerState
from holdfast.supervision import Supervisor, ThreadComponent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from examples.market_collector.store import Row, Store
    from holdfast.clock import Clock

__all__ = ["OPERATIONS", "TIMED", "MarketCollector", "make_manager"]

#: What the collector calls under policies, by name.
OPERATIONS = ("database_query", "exchange", "redis_operation")
#: What it does within a time, by name: each has a timeout of its own, none the default.
TIMED = ("backfill", "cleanup", "concurrent_op", "symbol_fetch", "worker_collection")
_NOT_IN_PRESET = {"worker_collection": 30.0, "cleanup": 30.0}  # seconds
_STOP_WITHIN = 15.0


def make_manager(settings: Any, *, clock: Clock | None = None) -> hf.ResilienceManager:
    """Return the manager of a collector: what the settings say, and what they do not know."""
    preset = adapted(settings.preset()).but(
        timeouts=_NOT_IN_PRESET, operations={"exchange": {"critical": True}}
    )
    return hf.ResilienceManager("collector", presets=preset, clock=clock)


class MarketCollector:
    """Collects prices until it is stopped.

    Each exchange has a worker and a backfiller, with threads, a circuit breaker and connections of
    its own. A supervisor restarts a thread that has died of an error.

    Args:
        settings: What has ``preset()``: the policies.
        exchanges: The URL of each exchange, by its name; at least one.
        cache: Where lists of symbols and the newest prices are put.
        store: Where prices are kept. The collector closes neither; ``resources`` does, if they are
            registered there.
        clock: The source of time of the policies.
        rm: What ``make_manager`` has made, where cache and store have to use it; None: it is made.
        connect: Makes what asks an exchange, of the manager, its name and its URL.
        interval: Seconds from one round to the next.
        backfill_interval: Seconds from one look for gaps to the next.
        cleaning_interval: Seconds from one clean-up to the next.
        keep: How many minutes are kept and back-filled.
        adaptive: Whether the number of requests at the same time follows the ``optimiser``.
        publish: Where ``performance`` publishes its reports: "file:PATH" or a URL of Redis.

    Attributes:
        rm: The manager of all policies.
        resources: What the collector holds: threads, connections, operations that run.
        recovery: Runs operations with a fallback, under the same policies and the same switch.
        performance: How its workers and operations are.
        optimiser: Proposes how many requests this machine has room for.
        mode: The switch that has all symbols fetched one by one.
        errors: The errors of all operations.
        calendar: The first and the newest minute that an exchange has told.

    Raises:
        ValueError: There is no exchange.

    ``with`` starts and stops it. Safe to share between threads.
    """

    def __init__(
        self,
        settings: Any,
        exchanges: Mapping[str, str],
        *,
        cache: Any,
        store: Store,
        clock: Clock | None = None,
        rm: hf.ResilienceManager | None = None,
        connect: Callable[[hf.ResilienceManager, str, str], Feed] = ExchangeClient,
        interval: float = 1.0,
        backfill_interval: float = 10.0,
        cleaning_interval: float = 60.0,
        keep: int = 1440,
        publish: str | None = None,
        adaptive: bool = False,
    ) -> None:
        if not exchanges:
            raise ValueError("exchanges: at least one")
        self.rm = make_manager(settings, clock=clock) if rm is None else rm
        idle = max(300.0, 3 * interval)
        n = len(exchanges)  # each has a connection, and holds less than 20 resources at once
        self.resources = hf.ResourceManager(
            "collector",
            max_resources=max(1000, 20 * n),
            limits={"connection": max(100, 2 * n)},
            idle_after=idle,
            leak_idle=idle,
            leak_age=2 * idle,
            clock=clock,
        )
        # Without a default: a name that has no policies is an error.
        self.recovery = hf.ErrorRecoveryManager("collector", manager=self.rm, default=None)
        self.mode = self.recovery.mode
        self.errors = self.recovery.aggregate("collector", keep=100)
        self.calendar = Calendar()
        self._lock = Lock()
        self._cache = cache
        self._held = ExitStack()  # what is in use as long as it runs
        self._shared = Shared(
            self.rm, store, cache, self.resources, self.errors, self.mode, self.calendar, Event()
        )
        self._supervisor = Supervisor("collector")
        self.performance = hf.PerformanceMonitor(
            "collector",
            manager=self.rm,
            resources=self.resources,
            supervisor=self._supervisor,
            publish=publish,
            clock=clock,
        )
        self.performance.watch_cache("cache", cache.figures)
        self.optimiser = hf.ResourceOptimiser("collector", monitor=self.performance, clock=clock)
        if adaptive:
            self.optimiser.follow(self, "workers")
        self._workers: dict[str, Worker] = {}
        self._backfillers: dict[str, Backfiller] = {}
        for name, url in exchanges.items():
            link = Link(name, partial(connect, self.rm, name, url), self.resources)
            worker = Worker(name, link, self._shared, interval=interval, after=self._after)
            backfiller = Backfiller(name, link, self._shared, interval=backfill_interval, keep=keep)
            self._workers[name], self._backfillers[name] = worker, backfiller
            self._supervise(link)
            self._supervise(_thread(_worker(name), worker), link.name)
            self._supervise(_thread(f"backfill:{name}", backfiller), link.name)
        self._cleaner = Cleaner(self._shared, interval=cleaning_interval, keep=keep)
        self._supervise(_thread("cleaning", self._cleaner))
        self._check = workers_check(self._workers)
        self.rm.register_health_check(self._check)

    def _supervise(self, component: Any, *needed: str) -> None:
        self._supervisor.add(component, depends_on=needed, stop_timeout=_STOP_WITHIN + 5.0)

    # ---- its life ----

    @property
    def running(self) -> bool:
        """Whether it collects, or tries to."""
        return self._supervisor.running

    def start(self) -> None:
        """Collect from now on. One that runs already goes on."""
        with self._lock:
            if self.running:
                return
            self._shared.ending.clear()
            try:
                self.resources.start()
                for name, kind in (("store", "file"), ("cache", "memory")):
                    self._held.enter_context(self.resources.register(name, kind).using())
                for part in (self._supervisor, self.rm, self.performance, self.optimiser):
                    part.start()
            except BaseException:  # such as Ctrl-C: what runs already must not go on
                self._stop(_STOP_WITHIN)
                raise

    def stop(self, timeout: float = 30.0) -> bool:
        """Break off what runs, and wait until all threads have ended and all is cleaned.

        Args:
            timeout: How many seconds to wait for the threads.

        Returns:
            Whether all have ended.
        """
        with self._lock:
            return self._stop(timeout)

    def _stop(self, timeout: float) -> bool:
        self._shared.ending.set()
        self.optimiser.stop()
        self.performance.stop()
        self.rm.health.stop()  # that its workers end says nothing about it
        done = self._supervisor.stop(timeout)
        done = self.rm.stop() and done
        self._held.close()
        return self.resources.stop() and done

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def resize(self, n: int) -> None:
        """Share so many requests at the same time among the exchanges: each has one at least."""
        for worker in self._workers.values():
            worker.max_concurrent = max(1, n // len(self._workers))

    def _after(self, exchange: str, state: WorkerState) -> None:
        """Tell of a worker, and have the gaps filled of an exchange that is back."""
        # By the name of its component: whether its supervisor finds it up counts as well.
        self.performance.record_worker_health(_worker(exchange), state.running, state.errors)
        if state.is_back:
            self._backfillers[exchange].wake()

    # ---- how it is ----

    def health(self) -> Health:
        """Return how it is now."""
        return health_of(self._check, self._workers)

    def states(self) -> dict[str, WorkerState]:
        """Return what each worker has done, by the name of its exchange."""
        return {name: worker.state() for name, worker in self._workers.items()}

    def prices(self, exchange: str) -> list[Row]:
        """Return the newest prices of an exchange, from the cache; none if it has none.

        Raises:
            KeyError: There is no such exchange.
        """
        return self._workers[exchange].prices()

    def report(self) -> Summary:
        """Return what it has come to so far."""
        exchanges = {name: self._summary_of(name) for name in self._workers}
        failed = self.errors.error()
        return Summary(
            health=self.health(),
            collected=sum(one.worker.collected for one in exchanges.values()),
            filled=sum(one.filled for one in exchanges.values()),
            deleted=self._cleaner.deleted,
            exchanges=exchanges,
            errors=ErrorCounts(
                total=self.errors.total,
                failed=self.errors.failed,
                by_category=self.errors.by_category,
                by_operation=self.errors.by_operation,
                message=None if failed is None else failed.message,
            ),
            cache=self._cache.figures(),
            resources={kind: count for kind in _KINDS if (count := self.resources.count(kind))},
            active=self.rm.timeouts.active_count,
        )

    def _summary_of(self, exchange: str) -> ExchangeSummary:
        backfiller = self._backfillers[exchange]
        missing: int | None = None
        try:
            missing = sum(gap.minutes for gap in backfiller.missing())
        except Exception as error:  # noqa: BLE001 - told by the aggregate
            self.errors.add(f"{exchange}.gaps", error)
        return ExchangeSummary(
            breaker=self.rm.keyed("exchange", exchange).circuit_breaker.state.value,
            worker=self._workers[exchange].state(),
            filled=backfiller.filled,
            missing=missing,
        )


_KINDS = ("connection", "file", "memory", "operation", "thread")


def _worker(exchange: str) -> str:
    return f"worker:{exchange}"


def _thread(name: str, part: Worker | Backfiller | Cleaner) -> ThreadComponent:
    return ThreadComponent(name, part.run, stop=part.end, stop_timeout=_STOP_WITHIN)
