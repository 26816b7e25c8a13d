"""The stage: exchanges and Redis as processes of one supervisor, and the collector that polls them.

Owns what is started and stopped together, and what can be seen of it. Elsewhere: what is done to
it (``scenarios``), and how a scenario is told (``scene``).
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

import httpx

import holdfast as hf
from examples.market_collector.admin import AdminServer
from examples.market_collector.cache import RedisCache, open_cache
from examples.market_collector.client import ExchangeClient
from examples.market_collector.collector import MarketCollector, make_manager
from examples.market_collector.exchange import start_exchange
from examples.market_collector.happenings import Happenings
from examples.market_collector.market import minute_at, symbols_of, ticker_at
from examples.market_collector.redis_server import start_redis
from examples.market_collector.report import Errors
from examples.market_collector.store import Store
from holdfast.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any, Self

    from examples.market_collector.exchange import ExchangeHandle
    from examples.market_collector.redis_server import RedisHandle
    from examples.market_collector.worker import WorkerState
    from holdfast.events import Event

__all__ = ["NAMES", "Stage"]

NAMES = ("alpha", "beta", "gamma", "delta")
REDIS = "redis"  # the component, and its breaker
CACHE = "cache"
_PROBE = "probe"
_ERRORS = "examples.market_collector.errors."  # which readers need not know
#: What a kind of event says of a process.
_PHRASES = {
    "exited": "has ended",
    "unhealthy": "is unhealthy",
    "recovering": "is stopped and started again",
    "attempt_failed": "has not recovered",
    "recovered": "has recovered",
    "cooling_down": "is left alone for a while",
}


class Stage:
    """Exchanges and Redis, and the collector.

    Args:
        folder: For the store.
        settings: Of the collector: what has ``preset()``.
        names: Of the exchanges.
        symbols: How many symbols each exchange has.
        minute: Seconds of a minute of the market.
        interval: Seconds from one round of a worker to the next.
        attempt: Seconds that one attempt to ask an exchange may take.
        has_redis: Whether the cache is in Redis; otherwise it is in memory.

    ``with`` starts and stops it. Used by one thread.
    """

    def __init__(
        self,
        folder: Path,
        settings: Any,
        *,
        names: Sequence[str] = NAMES,
        symbols: int = 8,
        minute: float = 1.0,
        interval: float = 0.2,
        attempt: float = 0.5,
        has_redis: bool = True,
    ) -> None:
        self.names = tuple(names)
        self.symbols = symbols
        self.happenings = Happenings()
        self.exchanges: dict[str, ExchangeHandle] = {}
        self.redis: RedisHandle | None = None
        self.token = folder / "admin.token"
        self.rest: dict[str, int] = {}
        self.supervisor = Supervisor("market", max_restarts=None, interval=1.0)
        self._folder = folder
        self._settings = settings
        self._minute = minute
        self._interval = interval
        self._attempt = attempt
        self._has_redis = has_redis
        self._before: dict[str, int] = {}
        self._breakers: dict[object, str] = {}
        self._stack = ExitStack()
        self._collector: MarketCollector | None = None

    @property
    def collector(self) -> MarketCollector:
        """The collector; it is there once the stage was started."""
        assert self._collector is not None
        return self._collector

    # ---- its life ----

    def start(self) -> None:
        """Start everything; returns when each exchange was collected."""
        self._before = self.in_use()
        try:
            self._start(self._stack)
        except BaseException:
            self.stop()
            raise

    def _start(self, stack: ExitStack) -> None:
        stack.callback(self.supervisor.on_event(self._heard_of_process))
        stack.callback(self._stop_processes)
        for name in self.names:
            self.exchanges[name] = start_exchange(
                self.supervisor, name, symbols=self.symbols, minute=self._minute
            )
        if self._has_redis:
            self.redis = start_redis(self.supervisor)
        self.supervisor.start()
        for handle in self._handles():
            handle.wait_until_up()
        rm = make_manager(self._settings)
        url = None if self.redis is None else self.redis.url
        self.cache = open_cache(rm, url, failed=self._cache_failed)
        stack.callback(self.cache.close)
        self.store = stack.enter_context(Store(self._folder / "prices.db", rm))
        self._collector = MarketCollector(
            self._settings,
            {name: handle.url for name, handle in self.exchanges.items()},
            cache=self.cache,
            store=self.store,
            rm=rm,
            connect=partial(ExchangeClient, attempt=self._attempt),
            interval=self._interval,
            backfill_interval=2 * self._minute,
        )
        stack.callback(rm.on_event(self._heard_of_breaker))
        self.admin = AdminServer(self._collector, self.token)
        for part in (self._collector, self.admin):
            stack.callback(part.stop)  # first, as the start may be interrupted
            part.start()
        self.rest = self._settled()

    def _settled(self) -> dict[str, int]:
        """Return the most that is in use while a few rounds are made."""
        most = self.in_use()
        until = {name: self.worker(name).rounds + 3 for name in self.names}
        deadline = time.monotonic() + 60
        while any(self.worker(name).rounds < least for name, least in until.items()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no three rounds within 60 s: {self.states()}")
            time.sleep(0.01)
            now = self.in_use()
            most = {what: max(now[what], most[what]) for what in now}
        # Pools of connections may grow: by that of a backfill, and those to Redis of each thread.
        most["sockets"] += 3 * len(self.names)
        return most

    def stop(self) -> None:
        """Stop everything; nothing of it is left."""
        self._stack.close()

    def left(self, within: float = 20.0) -> dict[str, int]:
        """Return what is left after a stop that was not there before the start.

        A thread of the library ends when it has logged what was repeated, ten seconds after the
        first time.
        """
        until = time.monotonic() + within
        while (left := self.above(self._before)) and time.monotonic() < until:
            time.sleep(0.02)
        return left

    def _stop_processes(self) -> None:
        handles = self._handles()
        for handle in handles:
            handle.thaw()
        self.supervisor.stop(20.0)
        for handle in handles:
            handle.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ---- what is seen: exchanges ----

    @property
    def rate(self) -> float:
        """How many rounds a second a worker is to make."""
        return 1 / self._interval

    def worker(self, name: str) -> WorkerState:
        """Return what the worker of an exchange has done."""
        return self.collector.states()[name]

    def is_open(self, name: str) -> bool:
        """Return whether the breaker of an exchange is not closed."""
        return self.breaker(name).state is not hf.State.CLOSED

    def breaker(self, name: str) -> hf.CircuitBreaker:
        """Return the breaker of an exchange."""
        breaker = self.collector.rm.keyed("exchange", name).circuit_breaker
        assert breaker is not None
        return breaker

    def states(self) -> str:
        """Return in a line how everything is."""
        states = ", ".join(f"{name} {self.breaker(name).state.value}" for name in self.names)
        health = self.collector.health()
        word = "healthy" if health.healthy else "unhealthy"
        return f"breakers: {states}; {word}: {health.message}"

    def ask(self, path: str) -> int:
        """Return the status with which the admin server answers a path."""
        return httpx.get(self.admin.url + path, timeout=10.0, trust_env=False).status_code

    def summary(self) -> str:
        """Return in a line what the collector has come to so far."""
        report = self.collector.report()
        score = self.collector.performance.report().score
        return (
            f"{report.health.message}, score {score:.0f}; "
            f"collected {report.collected:,}, filled {report.filled:,}; "
            f"{self.errors()}; cache: {self.cache_figures()}"
        )

    def rates(self, names: Sequence[str], rounds: int) -> dict[str, float]:
        """Return how many rounds a second the workers make, measured over so many rounds.

        Raises:
            TimeoutError: A worker has not made them within a minute.
        """
        began: dict[str, tuple[float, int]] = {}
        rates: dict[str, float] = {}
        last = {name: self.worker(name).rounds for name in names}
        deadline = time.monotonic() + 60
        while len(rates) < len(names):
            now = time.monotonic()
            for name in names:
                done = self.worker(name).rounds
                if name not in began and done > last[name]:
                    began[name] = now, done
                elif name in began and name not in rates and done >= began[name][1] + rounds:
                    at, first = began[name]
                    rates[name] = (done - first) / (now - at)
            if now > deadline:
                raise TimeoutError(f"no {rounds} rounds within 60 s: {self.states()}")
            time.sleep(0.005)
        return rates

    # ---- what is seen: the cache ----

    @property
    def cache_works(self) -> bool:
        """Whether the cache is in Redis at this moment."""
        return isinstance(self.cache, RedisCache) and self.cache.works

    def cache_figures(self) -> str:
        """Return in a few words how the cache is used."""
        figures = self.cache.figures()
        asked = figures.hits + figures.misses
        return f"{figures.size:,} values, {figures.hits:,} hits of {asked:,}"

    def remembers(self) -> bool:
        """Return whether the cache has what it is given at this moment."""
        value = time.monotonic()
        self.cache.put(_PROBE, value)
        return bool(self.cache.get(_PROBE) == value)

    # ---- what is seen: prices ----

    def minute(self) -> int:
        """Return the minute of the market at this moment."""
        return minute_at(minute=self._minute)

    def missing(self, first: int, last: int) -> list[tuple[str, str, int]]:
        """Return the exchange, symbol and minute of what is not in the store."""
        return [key for key, stored in self._stored(first, last) if stored is None]

    def wrong_values(self, first: int, last: int) -> list[tuple[str, str, int]]:
        """Return of what in the store is not what the exchange has said."""
        wrong: list[tuple[str, str, int]] = []
        for key, stored in self._stored(first, last):
            ticker = ticker_at(*key)
            if stored is not None and stored != (ticker.price, ticker.volume):
                wrong.append(key)
        return wrong

    def _stored(
        self, first: int, last: int
    ) -> list[tuple[tuple[str, str, int], tuple[float, float] | None]]:
        found: list[tuple[tuple[str, str, int], tuple[float, float] | None]] = []
        for name in self.names:
            for symbol in symbols_of(self.symbols):
                rows = {
                    row.minute: (row.price, row.volume) for row in self.store.rows(name, symbol)
                }
                found += [
                    ((name, symbol, minute), rows.get(minute)) for minute in range(first, last + 1)
                ]
        return found

    def filled(self) -> int:
        """Return how many prices were fetched afterwards."""
        return sum(filled for _, filled in self.store.counts().values())

    def errors(self) -> Errors:
        """Return all errors that the collector has aggregated."""
        errors = self.collector.errors
        return Errors(errors.total, errors.failed, errors.by_category, errors.by_operation)

    # ---- what is seen: resources ----

    def in_use(self) -> dict[str, int]:
        """Return what is in use: resources of the collector, files, sockets and threads."""
        files = sockets = 0
        for number in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # that of the listing itself
                target = os.readlink(f"/proc/self/fd/{number}")
                sockets += target.startswith("socket:")
                # In /proc, health checks look after the threads that are counted below.
                files += not target.startswith(("socket:", "/proc/"))
        collector = self._collector
        total = 0 if collector is None else collector.resources.count()
        operations = 0 if collector is None else collector.resources.count("operation")
        return {
            "resources": total - operations,
            "operations": operations,
            "files": files,
            "sockets": sockets,
            "threads": threading.active_count(),
        }

    def above(self, rest: Mapping[str, int]) -> dict[str, int]:
        """Return of what more is in use than that."""
        return {what: n for what, n in self.in_use().items() if n > rest.get(what, 0)}

    # ---- harm ----

    def heal(self) -> None:
        """End all harm, and return when all processes answer."""
        handles = self._handles()
        run = self.supervisor.status()

        def heal(handle: ExchangeHandle | RedisHandle) -> None:
            if handle.name not in run:  # it was taken down
                handle.start()
            handle.thaw()
            handle.wait_until_up()
            handle.clear()

        with ThreadPoolExecutor(len(handles)) as together:
            list(together.map(heal, handles))

    def _handles(self) -> list[ExchangeHandle | RedisHandle]:
        redis = [] if self.redis is None else [self.redis]
        return [*self.exchanges.values(), *redis]

    # ---- what is heard ----

    def _cache_failed(self, error: Exception) -> None:
        self.happenings.add("the cache", CACHE, "failed", f"{type(error).__name__}: {error}")
        if self._collector is not None:
            self._collector.errors.add("cache", error)

    def _heard_of_process(self, event: Event) -> None:
        who = event.name or ""
        words = f"{who} {_PHRASES.get(event.kind, event.kind)}"
        if event.reason and event.kind != "recovering":  # why was told when it was noticed
            words += f": {event.reason.replace('_', ' ')}"
        self.happenings.add("the supervisor", who, event.kind, words)

    def _heard_of_breaker(self, event: Event) -> None:
        if event.kind == "retry":
            words = f"{event.reason.rpartition('.')[2]}: asks again later"
            self.happenings.add(f"the retry of '{event.name}'", event.name or "", "retry", words)
        if event.kind != "transition":
            return
        if not self._breakers:
            self._breakers = {self.breaker(name): name for name in self.names}
        who = self._breakers.get(event.policy, event.name or "")
        new = event.new.value if isinstance(event.new, hf.State) else f"{event.new}"
        reason = event.reason.replace("_", " ") if event.trip is None else str(event.trip)
        words = f"{new}: {reason.replace(_ERRORS, '')}"
        self.happenings.add(f"the breaker of {who}", who, new, words)
