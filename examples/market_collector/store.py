"""Store: what was collected, a row for each exchange, symbol and minute, in a SQLite file.

Owns what is kept, and which minutes are missing. Every statement runs as the operation
"database_query" of a manager. Elsewhere: who writes (``worker``), who fills what is missing
(``backfill``), and who deletes old rows (``cleaning``).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import holdfast as hf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from typing import Any, Self, TypeVar

    T = TypeVar("T")

__all__ = ["Gap", "Row", "Store"]

OPERATION = "database_query"
_LONGEST_WAIT = 5.0  # for the lock, where no deadline says less
_LOOK_EVERY = 10_000  # steps of SQLite between two looks at the deadline
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS prices (
    exchange TEXT NOT NULL, symbol TEXT NOT NULL, minute INTEGER NOT NULL,
    price REAL NOT NULL, volume REAL NOT NULL, filled INTEGER NOT NULL,
    PRIMARY KEY (exchange, symbol, minute)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_minute ON prices (minute);
CREATE TABLE IF NOT EXISTS watched (
    exchange TEXT NOT NULL, symbol TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (exchange, symbol)
) WITHOUT ROWID;
COMMIT;
"""
# Most symbols lack nothing: to count their rows is much faster than to look at each.
# A row before the first and behind the last expected minute makes their absence a gap as well.
_GAPS = """
WITH expected AS MATERIALIZED (
    SELECT symbol, max(since, :since) AS first, min(coalesce(until, :until), :until) AS last
    FROM watched WHERE exchange = :exchange
), torn AS MATERIALIZED (
    SELECT symbol, first, last FROM expected WHERE first <= last AND last - first + 1 > (
        SELECT count(*) FROM prices
        WHERE exchange = :exchange AND symbol = expected.symbol AND minute BETWEEN first AND last
    )
), present AS (
    SELECT symbol, minute FROM torn CROSS JOIN prices USING (symbol)
    WHERE exchange = :exchange AND minute BETWEEN first AND last
    UNION ALL SELECT symbol, first - 1 FROM torn
    UNION ALL SELECT symbol, last + 1 FROM torn
)
SELECT symbol, before + 1, minute - 1 FROM (
    SELECT symbol, minute, lag(minute) OVER (PARTITION BY symbol ORDER BY minute) AS before
    FROM present
) WHERE minute - before > 1 ORDER BY 2, 1
"""


class Row(NamedTuple):
    """The price and the volume of one symbol in one minute."""

    symbol: str
    minute: int
    price: float
    volume: float


class Gap(NamedTuple):
    """Minutes of a symbol that are missing: all from ``first`` to ``last``."""

    symbol: str
    first: int
    last: int

    @property
    def minutes(self) -> int:
        """How many minutes are missing."""
        return self.last - self.first + 1


class Store:
    """Keeps prices. What is written twice is kept once, and the first stays.

    Args:
        path: The file; it is made with mode 0600 if it is missing.
        rm: The manager whose operation "database_query" all statements run as.

    Raises:
        sqlite3.Error: The file cannot be opened, or is no database.

    Methods raise what the operation does: ``sqlite3.Error`` after all attempts, a ``Rejected`` of
    a policy, ``DeadlineExceededError``. A write that fails has written nothing.

    Safe to share between threads; their statements run one after the other.
    """

    def __init__(self, path: Path, rm: hf.ResilienceManager) -> None:
        # Made by hand: SQLite would let everybody read it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._operation = rm.operation(OPERATION)
        self._lock = Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=WAL").fetchall()
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except BaseException:
            self._db.close()
            raise
        self._db.set_progress_handler(_is_late, _LOOK_EVERY)

    def close(self) -> None:
        """Close the file. Closing twice does nothing."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- writing ----

    def watch(self, exchange: str, symbols: Iterable[str], minute: int) -> None:
        """Expect a row for each minute from this one on; of symbols that are not named, no more.

        Symbols that were watched before stay watched from the minute at which that began, also
        over a time in which they were not named: an exchange may have told half of its list.
        """
        named = sorted(set(symbols))

        def write(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT INTO watched VALUES (?, ?, ?, NULL)"
                " ON CONFLICT DO UPDATE SET since = min(since, excluded.since), until = NULL"
                " WHERE until IS NOT NULL OR since > excluded.since",
                [(exchange, symbol, minute) for symbol in named],
            )
            marks = ", ".join("?" * len(named))
            db.execute(
                "UPDATE watched SET until = ? WHERE exchange = ? AND until IS NULL"
                f" AND symbol NOT IN ({marks})",
                (minute - 1, exchange, *named),
            )

        self._run(lambda db: _whole(db, write))

    def add(self, exchange: str, rows: Sequence[Row], *, filled: bool = False) -> int:
        """Keep rows, all or none; return how many of them are new.

        Args:
            exchange: The exchange.
            rows: What was collected.
            filled: Whether it was fetched afterwards, to fill a gap.
        """
        if not rows:
            return 0
        values = [(exchange, *row, filled) for row in rows]

        def write(db: sqlite3.Connection) -> int:
            before = db.total_changes
            db.executemany(
                "INSERT INTO prices VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (exchange, symbol, minute) DO NOTHING",
                values,
            )
            return db.total_changes - before

        return self._run(lambda db: _whole(db, write))

    def delete_before(self, minute: int, most: int = 1000) -> int:
        """Delete rows of earlier minutes, ``most`` at a time; return how many."""
        return self._run(
            lambda db: (
                db.execute(
                    "DELETE FROM prices WHERE (exchange, symbol, minute) IN"
                    " (SELECT exchange, symbol, minute FROM prices WHERE minute < ? LIMIT ?)",
                    (minute, most),
                ).rowcount
            )
        )

    # ---- reading ----

    def gaps(self, exchange: str, since: int, until: int) -> list[Gap]:
        """Return which minutes are missing between two minutes, both included; the oldest first."""
        given = {"exchange": exchange, "since": since, "until": until}
        return [Gap(*row) for row in self._read(_GAPS, given)]

    def rows(self, exchange: str, symbol: str) -> list[Row]:
        """Return all rows of a symbol, in the order of time."""
        read = self._read(
            "SELECT symbol, minute, price, volume FROM prices"
            " WHERE exchange = ? AND symbol = ? ORDER BY minute",
            (exchange, symbol),
        )
        return [Row(*row) for row in read]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return for each exchange how many rows there are, and how many of them were filled in."""
        read = self._read("SELECT exchange, count(*), sum(filled) FROM prices GROUP BY 1", ())
        return {exchange: (rows, filled) for exchange, rows, filled in read}

    def symbols(self, exchange: str) -> list[str]:
        """Return the symbols that are watched."""
        query = "SELECT symbol FROM watched WHERE exchange = ? AND until IS NULL ORDER BY 1"
        return [symbol for (symbol,) in self._read(query, (exchange,))]

    def newest(self) -> int | None:
        """Return the newest minute of all rows; None if there are none."""
        [(minute,)] = self._read("SELECT max(minute) FROM prices", ())
        return None if minute is None else int(minute)

    # ---- how statements run ----

    def _read(self, query: str, given: Any) -> list[Any]:
        return self._run(lambda db: db.execute(query, given).fetchall())

    def _run(self, statement: Callable[[sqlite3.Connection], T]) -> T:
        return self._operation.call(self._alone, statement)

    def _alone(self, statement: Callable[[sqlite3.Connection], T]) -> T:
        left = hf.deadline()
        wait = _LONGEST_WAIT if left is None else max(0.0, min(left, _LONGEST_WAIT))
        if not self._lock.acquire(timeout=wait):
            raise TimeoutError(f"the database is busy since {wait:.3g} s")
        try:
            return statement(self._db)
        finally:
            self._lock.release()


def _whole(db: sqlite3.Connection, write: Callable[[sqlite3.Connection], T]) -> T:
    """Have all writes count, or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        done = write(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return done


def _is_late() -> bool:
    """Return whether the deadline has passed of the call that a statement runs for."""
    left = hf.deadline()
    return left is not None and left <= 0
