"""Backfiller: fetches the minutes of one exchange that are missing in the store.

Owns when it looks, and what it gives up. Each exchange has one of its own, so that none waits for
another. Elsewhere: which minutes are missing (``store``).
"""

from __future__ import annotations

from threading import Event, Lock
from typing import TYPE_CHECKING

import holdfast as hf
from examples.market_collector.errors import BusyError
from examples.market_collector.store import Gap, Row

if TYPE_CHECKING:
    from examples.market_collector.link import Link
    from examples.market_collector.worker import Shared

__all__ = ["Backfiller"]

_MOST_CANDLES = 500  # that one request asks for
_FRUITLESS = 3  # so often an exchange may have nothing of a minute before it is given up


class Backfiller:
    """Fills the gaps of one exchange.

    A gap of which the exchange has nothing, asked three times, is given up: it did not trade then.

    Args:
        exchange: Its name.
        link: What asks the exchange.
        shared: What it uses together with others.
        interval: Seconds from one look to the next; ``wake`` has it look at once.
        keep: How many minutes back it looks.

    ``run`` is for one thread; all else is safe from any.
    """

    def __init__(
        self, exchange: str, link: Link, shared: Shared, *, interval: float, keep: int
    ) -> None:
        self.exchange = exchange
        self.filled = 0
        self._link = link
        self._shared = shared
        self._interval = interval
        self._keep = keep
        self._key = shared.rm.keyed("exchange", exchange)
        self._id = f"backfill:{exchange}"
        self._woken = Event()
        self._tries: dict[tuple[str, int], int] = {}  # by symbol and minute
        self._lock = Lock()

    def run(self, stopping: Event) -> None:
        """Look for gaps and fill them until the end."""
        resources = self._shared.resources
        with resources.register(f"backfill:{self.exchange}", "thread") as thread, thread.using():
            while not stopping.is_set():
                self._woken.wait(self._interval)
                self._woken.clear()
                if not stopping.is_set():
                    self.fill(stopping)

    def wake(self) -> None:
        """Look at once, as when an exchange is back."""
        self._woken.set()

    def end(self) -> None:
        """Break off what runs, once ``stopping`` is set."""
        self.wake()
        self._shared.rm.timeouts.cancel(self._id)
        if self._shared.ending.is_set():
            self._link.stop()

    def missing(self) -> list[Gap]:
        """Return the gaps, those that were given up left out."""
        calendar = self._shared.calendar
        newest = calendar.newest
        if newest is None:
            return []
        newest = max(newest, calendar.newest_of(self.exchange) or 0)
        since = newest - self._keep + 1
        # The newest minute has not ended: it may be collected still.
        found = self._shared.store.gaps(self.exchange, since, newest - 1)
        with self._lock:
            self._tries = {key: n for key, n in self._tries.items() if key[1] >= since}
            return [part for gap in found for part in self._worth_it(gap)]

    def fill(self, stopping: Event | None = None) -> int:
        """Fetch what is missing, within the time of a backfill; return how many rows are new.

        Nothing is asked of an exchange whose breaker is not closed. What fails is counted with the
        errors of the collector, and the next look goes on with it.
        """
        if self._key.circuit_breaker.state is not hf.State.CLOSED:
            return 0
        before = self.filled
        try:
            with self._shared.resources.operation("backfill"):
                self._shared.rm.timeouts.operation("backfill", self._id).call(self._fill, stopping)
        except Exception as error:  # noqa: BLE001 - told by the aggregate
            if not self._is_ending(stopping):  # else another thread may have cut the link
                self._shared.errors.add(f"{self.exchange}.backfill", error)
        return self.filled - before

    def _fill(self, stopping: Event | None) -> None:
        failed: set[str] = set()  # symbols: one that always fails keeps none of the others waiting
        for gap in self.missing():
            first = gap.first
            while first <= gap.last and gap.symbol not in failed:
                if self._is_ending(stopping):
                    return
                last = min(gap.last, first + _MOST_CANDLES - 1)
                if not self._fetch(Gap(gap.symbol, first, last), stopping):
                    failed.add(gap.symbol)
                first = last + 1

    def _fetch(self, gap: Gap, stopping: Event | None) -> bool:
        """Fetch one part, and remember what the exchange does not have; False if that fails."""
        try:
            candles = self._link.feed.candles(gap.symbol, gap.first, gap.minutes)
        except (hf.Rejected, hf.OperationCancelledError, BusyError):
            raise  # any other symbol would have the same answer
        except Exception as error:
            left = hf.deadline()
            if self._is_ending(stopping) or (left is not None and left <= 0):
                raise
            self._shared.errors.add(f"{self.exchange}.backfill", error)
            return False
        rows = [
            Row(gap.symbol, candle.minute, candle.open, candle.volume)
            for candle in candles
            if gap.first <= candle.minute <= gap.last
        ]
        self.filled += self._shared.store.add(self.exchange, rows, filled=True)
        self._shared.errors.add(f"{self.exchange}.backfill")
        have = {row.minute for row in rows}
        # The clock of an exchange may be behind: what it has not come to, it cannot have.
        newest = self._shared.calendar.newest_of(self.exchange) or gap.first
        with self._lock:
            for minute in range(gap.first, min(gap.last + 1, newest)):
                if minute not in have:
                    key = (gap.symbol, minute)
                    self._tries[key] = self._tries.get(key, 0) + 1
        return True

    def _is_ending(self, stopping: Event | None) -> bool:
        return self._shared.ending.is_set() or (stopping is not None and stopping.is_set())

    def _worth_it(self, gap: Gap) -> list[Gap]:
        """Return the parts of a gap that were not given up. The lock is held."""
        parts: list[Gap] = []
        for minute in range(gap.first, gap.last + 1):
            if self._tries.get((gap.symbol, minute), 0) >= _FRUITLESS:
                continue
            if parts and parts[-1].last == minute - 1:
                parts[-1] = parts[-1]._replace(last=minute)
            else:
                parts.append(Gap(gap.symbol, minute, minute))
        return parts
