"""Worker: collects the prices of one exchange, a round each interval.

Owns what a round does, and what it has come to. Each exchange has a worker with threads, breaker
and connections of its own, so that none waits for another. Elsewhere: how one request is made
(``client``), what is kept (``store``), and what is fetched afterwards (``backfill``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median_low
from threading import Event, Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

import holdfast as hf
from examples.market_collector.store import Row
from holdfast.degradation import GatherError, gather_or_sequential

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from examples.market_collector.link import Link
    from examples.market_collector.market import Candle, Ticker
    from examples.market_collector.store import Store
    from holdfast.degradation import DegradationMode
    from holdfast.manager.aggregate import ErrorAggregate

__all__ = ["Calendar", "Feed", "Round", "Shared", "Worker", "WorkerState"]

MAX_CONCURRENT = 4  # requests of one exchange at the same time
FAILURE_RATE = 0.5  # of the symbols: from here on they are fetched one by one
FAILED_ROUNDS = 3  # in a row: the worker does not count as running any more
_LIST_IS_NEW = 60.0  # seconds in which an exchange is not asked again what it trades
_LIST_IS_KNOWN = 3600.0  # seconds in which that is used while the exchange does not say it
_A_DAY = 1440  # minutes
_PART = 200  # prices in one entry of the cache


class Feed(Protocol):
    """An exchange, as the collector sees it: what asks it raises if it does not answer."""

    def symbols(self) -> list[str]:
        """Return what is traded."""
        ...

    def ticker(self, symbol: str) -> Ticker:
        """Return the price of the minute that it is."""
        ...

    def candles(self, symbol: str, since: int, limit: int) -> list[Candle]:
        """Return so many minutes that are over, from one on."""
        ...

    def close(self) -> object:
        """Break off what runs."""
        ...


class Calendar:
    """Which minutes there are, as the exchanges tell. The clock of any of them may be wrong.

    Attributes:
        first: The first minute that was seen.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._newest_of: dict[str, int] = {}
        self.first: int | None = None

    def saw(self, exchange: str, minute: int) -> None:
        """Take the minute that it is, as an exchange has told."""
        with self._lock:
            self.first = minute if self.first is None else min(self.first, minute)
            self._newest_of[exchange] = minute

    def newest_of(self, exchange: str) -> int | None:
        """Return the minute that it was, as an exchange has told last; None before its first."""
        return self._newest_of.get(exchange)

    @property
    def newest(self) -> int | None:
        """The newest minute, but not one that is a day ahead of all other exchanges."""
        told = self._told()
        for minute, before in pairwise(told):
            if minute - before <= _A_DAY:
                return minute
        return told[-1] if told else None

    @property
    def agreed(self) -> int | None:
        """A minute to which two exchanges have come, if there are two."""
        told = self._told()
        return told[min(1, len(told) - 1)] if told else None

    def _told(self) -> list[int]:
        with self._lock:
            return sorted(self._newest_of.values(), reverse=True)


class Shared(NamedTuple):
    """What all workers use together.

    Attributes:
        ending: Whether the whole collector stops.
    """

    rm: hf.ResilienceManager
    store: Store
    cache: Any
    resources: hf.ResourceManager
    errors: ErrorAggregate
    mode: DegradationMode
    calendar: Calendar
    ending: Event


class Round(NamedTuple):
    """What one round has come to.

    Attributes:
        collected: How many symbols have a price.
        failed: How many have none.
        new: How many rows are new in the store.
        is_saved: Whether the store has taken them.
        switched: Why the symbols were fetched one by one; None: they were not.
        is_skipped: Whether the breaker of the exchange was open, so that nothing was asked.
    """

    collected: int
    failed: int
    new: int = 0
    is_saved: bool = True
    switched: str | None = None
    is_skipped: bool = False

    @property
    def ok(self) -> bool:
        """Whether anything was collected and kept."""
        return self.collected > 0 and self.is_saved


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker at one moment.

    Attributes:
        running: Whether it collects: its thread runs, no round takes far too long, and of the
            last three rounds one has collected something.
        rounds: Rounds that have ended.
        failed_rounds: Those that have collected nothing, the skipped ones included.
        skipped_rounds: Those in which the breaker was open.
        sequential_rounds: Those that went on one by one.
        missed_rounds: Rounds that were left out because an earlier one took too long.
        collected: Prices that were collected.
        errors: Symbols that got no price, over all rounds.
        failed_in_a_row: The last rounds in a row that have collected nothing.
        is_back: Whether the last round is the first that has collected all since one that has not.
    """

    running: bool
    rounds: int
    failed_rounds: int
    skipped_rounds: int
    sequential_rounds: int
    missed_rounds: int
    collected: int
    errors: int
    failed_in_a_row: int
    is_back: bool


class Worker:
    """Collects one exchange.

    Args:
        exchange: Its name.
        link: What asks the exchange.
        shared: What it uses together with others.
        interval: Seconds from one round to the next.
        after: Called with the state after each round.

    Attributes:
        max_concurrent: How many requests it makes at the same time, from the next round on.

    ``run`` is for one thread; ``state`` is safe from any.
    """

    def __init__(
        self,
        exchange: str,
        link: Link,
        shared: Shared,
        *,
        interval: float,
        after: Callable[[str, WorkerState], object] | None = None,
    ) -> None:
        self.exchange = exchange
        self.max_concurrent = MAX_CONCURRENT
        self._link = link
        self._shared = shared
        self._interval = interval
        self._after = after
        self._key = shared.rm.keyed("exchange", exchange)
        self._longest = shared.rm.timeouts.timeout_for("worker_collection")
        self._id = f"worker_collection:{exchange}"
        self._stopping: Event | None = None
        self._symbols: list[str] = []
        self._is_watched = False
        self._is_alive = False
        self._began_at: float | None = None  # of the round that runs
        self._was_whole = self._is_back = False
        self._rounds = self._failed_rounds = self._skipped = self._sequential = self._missed = 0
        self._collected = self._errors = self._failed_in_a_row = 0

    # ---- the thread ----

    def run(self, stopping: Event) -> None:
        """Make a round each interval until the end; a round that raises ends the thread."""
        resources = self._shared.resources
        self._is_alive, self._stopping = True, stopping
        try:
            with resources.register(f"worker:{self.exchange}", "thread") as thread, thread.using():
                due = time.monotonic()
                while not stopping.is_set():
                    self.round()
                    due = self._next(due)
                    stopping.wait(max(0.0, due - time.monotonic()))
        finally:
            self._is_alive, self._stopping = False, None

    def end(self) -> None:
        """Break off the round that runs, once ``stopping`` is set."""
        self._shared.rm.timeouts.cancel(self._id)
        if self._shared.ending.is_set():
            self._link.stop()  # an exchange that hangs does not hold it up

    def _is_ending(self) -> bool:
        """Return whether what runs is broken off; another thread may have cut the link already."""
        stopping = self._stopping
        return self._shared.ending.is_set() or (stopping is not None and stopping.is_set())

    def _next(self, due: float) -> float:
        """Return when the next round is due; what has passed meanwhile is not made up."""
        late = int((time.monotonic() - due) / self._interval)
        self._missed += late
        return due + (late + 1) * self._interval

    # ---- a round ----

    def round(self) -> Round:
        """Collect all symbols once, and keep what was collected."""
        self._began_at = time.monotonic()
        taken = _Taken()
        self._link.touch()  # also while the breaker is open: it is not idle
        try:
            if not self._key.circuit_breaker.peek():
                done = Round(0, len(self._symbols), is_skipped=True)
            else:
                self._collect(taken)
                done = self._keep(taken)
        finally:
            self._began_at = None
        self._count(done)
        if self._after is not None:
            self._after(self.exchange, self.state())
        return done

    def _collect(self, taken: _Taken) -> None:
        """Fetch all symbols within the time of a round; what has failed is taken as well."""
        operation = self._shared.rm.timeouts.operation("worker_collection", self._id)
        try:
            with self._shared.resources.operation("worker_collection"):
                operation.call(self._fetch, taken)
        except Exception as error:  # noqa: BLE001 - told by the aggregate
            taken.error = error
            if not taken.asked and not self._is_ending():
                self._shared.errors.add(f"{self.exchange}.symbols", error)

    def _fetch(self, taken: _Taken) -> None:
        if self._is_ending():
            return  # end() may have come before the operation began
        taken.asked = asked = self._list()
        is_probe = self._key.circuit_breaker.state is not hf.State.CLOSED
        try:
            report = gather_or_sequential(
                [partial(self._take, taken, symbol) for symbol in asked],
                # After an outage one request is to show whether the exchange is back, not all.
                max_concurrent=1 if is_probe else self.max_concurrent,
                failure_rate=FAILURE_RATE,
                timeout=self._shared.rm.timeouts.timeout_for("concurrent_op"),
                mode=self._shared.mode,
                name=self.exchange,
            )
        except GatherError as error:  # not one has succeeded
            report = error.report
        taken.switched = report.switched
        taken.failed = {asked[place]: error for place, error in report.errors.items()}

    def _take(self, taken: _Taken, symbol: str) -> None:
        # Beyond the limit of operations this fails, and the symbols are fetched one by one.
        with self._shared.resources.operation("ticker"):
            price = self._link.feed.ticker(symbol)
        taken.add(Row(symbol, price.minute, price.price, price.volume))

    def _list(self) -> list[str]:
        """Return the symbols: from the cache, else from the exchange, else the last ones."""
        cache, errors = self._shared.cache, self._shared.errors
        found = _read_list(cache.get(f"symbols:{self.exchange}"))
        if not found:
            try:
                found = self._shared.rm.timeouts.execute("symbol_fetch", self._link.feed.symbols)
            except Exception as error:
                found = self._symbols or _read_list(cache.get(f"known:{self.exchange}"))
                if not found or self._is_ending():
                    raise
                errors.add(f"{self.exchange}.symbols", error)
            else:
                errors.add(f"{self.exchange}.symbols")
                cache.put(f"symbols:{self.exchange}", found, _LIST_IS_NEW)
                cache.put(f"known:{self.exchange}", found, _LIST_IS_KNOWN)
        if found != self._symbols:
            self._symbols, self._is_watched = found, False
        return found

    def _keep(self, taken: _Taken) -> Round:
        errors = self._shared.errors
        rows = taken.end()
        have = {row.symbol for row in rows}
        if self._is_ending():
            taken.asked = [row.symbol for row in rows]  # what was broken off has not failed
        for symbol in taken.asked:
            error = taken.failed.get(symbol) or taken.error or TimeoutError("no answer in time")
            errors.add(f"{self.exchange}.ticker", None if symbol in have else error)
        failed = sum(symbol not in have for symbol in taken.asked)
        if not rows:
            return Round(0, failed, switched=taken.switched)
        minute = median_low(row.minute for row in rows)  # one price does not say what time it is
        self._shared.calendar.saw(self.exchange, minute)
        try:
            self._watch(minute)
            new = self._shared.store.add(self.exchange, rows)
        except Exception as error:  # noqa: BLE001 - what is not kept now is filled in later
            errors.add(f"{self.exchange}.save", error)
            return Round(len(rows), failed, is_saved=False, switched=taken.switched)
        errors.add(f"{self.exchange}.save")
        for part in range(0, len(rows), _PART):
            listed = [list(row) for row in rows[part : part + _PART]]
            self._shared.cache.put(f"prices:{self.exchange}:{part}", listed)
        return Round(len(rows), failed, new, switched=taken.switched)

    def _watch(self, minute: int) -> None:
        """Have the store miss what is not collected from now on, or from the very first minute."""
        if self._is_watched or not self._symbols:
            return
        store = self._shared.store
        is_first = not store.symbols(self.exchange)
        first = self._shared.calendar.first
        store.watch(self.exchange, self._symbols, first if is_first and first else minute)
        self._is_watched = True

    def prices(self) -> list[Row]:
        """Return the newest prices that the cache has, of all symbols in it."""
        rows: list[Row] = []
        try:
            while listed := self._shared.cache.get(f"prices:{self.exchange}:{len(rows)}"):
                rows += [Row(*each) for each in listed]
        except TypeError:
            pass  # others may write to the cache as well
        return rows

    # ---- what it has come to ----

    def _count(self, done: Round) -> None:
        self._rounds += 1
        self._collected += done.collected
        self._errors += done.failed
        self._skipped += done.is_skipped
        self._sequential += done.switched is not None
        is_whole = done.ok and not done.failed
        self._is_back = is_whole and not self._was_whole
        self._was_whole = is_whole
        if done.ok:
            self._failed_in_a_row = 0
        else:
            self._failed_rounds += 1
            self._failed_in_a_row += 1

    def state(self) -> WorkerState:
        """Return how it is."""
        began_at = self._began_at
        is_stuck = began_at is not None and time.monotonic() - began_at > 2 * self._longest
        return WorkerState(
            running=self._is_alive and not is_stuck and self._failed_in_a_row < FAILED_ROUNDS,
            rounds=self._rounds,
            failed_rounds=self._failed_rounds,
            skipped_rounds=self._skipped,
            sequential_rounds=self._sequential,
            missed_rounds=self._missed,
            collected=self._collected,
            errors=self._errors,
            failed_in_a_row=self._failed_in_a_row,
            is_back=self._is_back,
        )


def _read_list(value: Any) -> list[str]:
    """Return a list of symbols from the cache, which others may write to as well."""
    given: Any = value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in given):
        return []
    listed: list[str] = given
    return listed


class _Taken:
    """What a round takes, also from threads that end after the round: theirs is dropped."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failed: dict[str, BaseException] = {}
        self.error: Exception | None = None  # what has ended the round early
        self.switched: str | None = None
        self._lock = Lock()
        self._rows: list[Row] | None = []

    def add(self, row: Row) -> None:
        """Take the row of a symbol."""
        with self._lock:
            if self._rows is not None:
                self._rows.append(row)

    def end(self) -> list[Row]:
        """Return what was taken, and take nothing more."""
        with self._lock:
            rows, self._rows = self._rows, None
        return rows or []
