"""The inbox: the file in which a node keeps what others have sent to it. SQLite, one writer.

What the words mean:

* A message is **stored** once its transaction is committed and synced. The sender's ``send``
  returns after that: the message is *accepted*, and survives the death of either side.
* A message is **delivered** once a second transaction, ``confirm``, has marked it so. That happens
  once at most. What the application writes by the ``effect`` of the confirmation is part of the
  same transaction: it happens exactly once, also if the process is killed at any moment.
* A message that is stored and not confirmed is handed over again after a restart.

A sender numbers its messages 1, 2, 3 … in each of its **epochs**. The inbox keeps the epoch and the
last number of each sender: a number that it has seen is stored no second time, a number that leaves
a gap and an epoch below the latest one are refused. A **key** makes a message the same message over
epochs: the inbox remembers the latest 100,000 keys of each sender.

The file has an identity. If it is lost, what was stored in it and not yet delivered is lost with
it: the file is the promise. Senders notice the new identity (``link``).

Elsewhere: connections and frames (``arrivals``), and who takes messages out (``deliveries``).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import queue
import sqlite3
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Arrival", "Backlog", "Inbox", "InboxError", "OrderError", "StaleEpochError", "Stored"]

#: "DWCP" in the header of the file, and the version of its tables.
APPLICATION_ID = 0x44574350
VERSION = 1
#: Most operations in one transaction.
BATCH = 500
#: Forgotten keys are deleted once there are so many of them.
KEYS_SLACK = 1000

_TABLES = (
    "CREATE TABLE self (id TEXT NOT NULL, epoch INTEGER NOT NULL)",
    """CREATE TABLE senders (
        name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, last INTEGER NOT NULL, keys INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, epoch INTEGER NOT NULL,
        number INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT, payload BLOB NOT NULL
    )""",
    "CREATE INDEX by_kind ON messages (kind, id)",
    """CREATE TABLE keys (
        sender TEXT NOT NULL, key TEXT NOT NULL, nth INTEGER NOT NULL, PRIMARY KEY (sender, key)
    ) WITHOUT ROWID""",
    "CREATE INDEX by_age ON keys (sender, nth)",
)


class InboxError(RuntimeError):
    """The inbox cannot be used: another process has it, it is no inbox, or it is closed."""


class StaleEpochError(ConnectionError):
    """A sender speaks in an epoch before its latest one: a later life of it has spoken already.

    Attributes:
        latest: The latest epoch of the sender; None: it never greeted in the one it speaks in.
    """

    def __init__(self, sender: str, epoch: int, latest: int | None) -> None:
        told = "greeted in no such epoch" if latest is None else f"spoken in epoch {latest} already"
        super().__init__(f"{sender} speaks in epoch {epoch}, but has {told}")
        self.latest = latest


class OrderError(ConnectionError):
    """A sender left out a number."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that is to be stored."""

    number: int
    kind: str
    key: str | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A message that waits for its delivery."""

    id: int
    sender: str
    epoch: int
    number: int
    kind: str
    key: str | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much is stored and not yet delivered."""

    messages: int
    bytes: int


class _Operation:
    """Something to do in the inbox's thread, and who waits for it."""

    __slots__ = ("do", "future", "loop")

    def __init__(self, do: Callable[[sqlite3.Connection], Any]) -> None:
        self.do = do
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def settle(self, result: object, error: BaseException | None) -> None:
        def settle() -> None:
            if self.future.done():
                return
            if error is None:
                self.future.set_result(result)
            else:
                self.future.set_exception(error)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(settle)


class Inbox:
    """The file of a node. All operations run in one thread; those that wait share a transaction.

    Args:
        path: The file. Its folder is made; the file and its lock can be read by this user only.
        is_synced: Whether a message is to survive a loss of power too. False: it survives the death
            of the process, and a transaction costs a tenth.
        remember: How many keys of each sender to remember.

    Open it in an event loop and use it there.
    """

    def __init__(self, path: Path, *, is_synced: bool = True, remember: int = 100_000) -> None:
        self.path = path
        self.is_synced = is_synced
        self.remember = remember
        self.id = ""
        self.backlog = Backlog(0, 0)
        self.oldest_new = 1
        self._queue: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = -1
        self._mutex = threading.Lock()
        self._takes = False
        self._ended: Callable[[BaseException], object] | None = None

    async def open(self, ended: Callable[[BaseException], object] | None = None) -> None:
        """Open the file, or make it.

        Args:
            ended: Called in the inbox's thread if that thread ends by an error.

        Raises:
            InboxError: Another process has it open, or the file is no inbox of this version.
            OSError: The folder or the file cannot be made.
        """
        if self._thread is not None:
            raise InboxError(f"{self.path} is open already")
        self._ended = ended
        self._takes = True
        self._queue = queue.SimpleQueue()
        opening = _Operation(self._prepare)
        self._queue.put(opening)
        self._thread = threading.Thread(
            target=self._work, args=(opening,), name=f"inbox {self.path.name}", daemon=True
        )
        self._thread.start()
        try:
            await opening.future
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was asked for, and close the file. Closing twice is harmless.

        Each call returns when the file is closed, also if another one has begun to close it: an
        inbox that is opened too early would take over the lock and the queue of the old thread.
        """
        thread = self._thread
        if thread is not None:
            self._queue.put(None)
            await asyncio.shield(asyncio.to_thread(thread.join))
            if self._thread is thread:
                self._thread = None

    @property
    def is_open(self) -> bool:
        """Whether its thread works."""
        return self._thread is not None and self._takes

    async def next_epoch(self) -> int:
        """Return an epoch above all earlier ones of this node, also if the file was lost since.

        It is the time in nanoseconds, or the last one plus one if the clock was set back.
        """

        def count(connection: sqlite3.Connection) -> int:
            sql = "UPDATE self SET epoch = max(epoch + 1, ?) RETURNING epoch"
            return int(_one(connection, sql, time.time_ns()))

        return int(await self._do(count))

    async def note_epoch(self, seen: int) -> None:
        """Make sure that the next epoch is above one that a peer has seen."""
        await self._do(lambda connection: connection.execute(
            "UPDATE self SET epoch = max(epoch, ?)", (seen,)
        ).rowcount)  # fmt: skip

    async def greet(self, sender: str, epoch: int) -> int:
        """Note the epoch of a sender, and return the last number stored in it.

        Raises:
            StaleEpochError: The sender has spoken in a later epoch.
        """

        def greet(connection: sqlite3.Connection) -> int:
            last = self._last(connection, sender, epoch)
            if last is None:
                connection.execute(
                    "INSERT INTO senders VALUES (?, ?, 0, 0) ON CONFLICT (name)"
                    " DO UPDATE SET epoch = excluded.epoch, last = 0",
                    (sender, epoch),
                )
            return last or 0

        return int(await self._do(greet))

    async def store(self, sender: str, epoch: int, arrivals: list[Arrival]) -> int:
        """Store messages in the order of their numbers, and return the last number stored.

        A number that was stored before is passed over, and so is a message with a known key.

        Raises:
            StaleEpochError: The sender has spoken in a later epoch, or never in this one.
            OrderError: A number is missing before one of them. Nothing is stored.
        """
        stored = await self._do(lambda its: self._store(its, sender, epoch, arrivals))
        return int(stored)

    async def take(self, kind: str, after: int, most: int) -> list[Stored]:
        """Return messages of a kind that wait for delivery, in the order in which they were stored.

        Args:
            kind: The kind of message.
            after: With an id above this one.
            most: At most so many, and not many more than 4 MiB of payloads.
        """
        sql = (
            "SELECT id, sender, epoch, number, kind, key, payload FROM messages"
            " WHERE kind = ? AND id > ? ORDER BY id LIMIT ?"
        )

        def take(connection: sqlite3.Connection) -> list[Stored]:
            found: list[Stored] = []
            room = 4 << 20
            with contextlib.closing(connection.execute(sql, (kind, after, most))) as rows:
                for row in rows:
                    found.append(Stored(*row))
                    room -= len(row[-1])
                    if room <= 0:
                        break
            return found

        found: list[Stored] = await self._do(take)
        return found

    async def confirm(
        self, message: Stored, effect: Callable[[sqlite3.Connection], object] | None = None
    ) -> bool:
        """Mark a message as delivered, once.

        Args:
            message: The message.
            effect: Called with the connection, within the transaction, in the inbox's thread. It
                writes to tables of its own. If it raises, nothing has happened.

        Returns:
            False if the message was delivered before; the effect is not called then.
        """

        def confirm(connection: sqlite3.Connection) -> bool:
            done = connection.execute("DELETE FROM messages WHERE id = ?", (message.id,)).rowcount
            if done and effect is not None:
                effect(connection)
            self._count(-done, -done * len(message.payload))
            return bool(done)

        return bool(await self._do(confirm))

    async def run(self, effect: Callable[[sqlite3.Connection], Any]) -> Any:
        """Call a function with the connection in a transaction of its own; return its result."""
        return await self._do(effect)

    # What follows runs in the inbox's thread.

    async def _do(self, do: Callable[[sqlite3.Connection], Any]) -> Any:
        operation = _Operation(do)
        with self._mutex:  # what is put into the queue is done or refused, never forgotten
            if not self._takes or self._thread is None:
                raise InboxError(f"{self.path} is closed")
            self._queue.put(operation)
        return await operation.future

    def _work(self, opening: _Operation) -> None:
        connection: sqlite3.Connection | None = None
        error: BaseException = InboxError(f"{self.path} is closed")
        try:
            self._queue.get()
            connection = self._connect()
            opening.settle(opening.do(connection), None)
            goes_on = True
            while goes_on:
                batch = [self._queue.get()]
                with contextlib.suppress(queue.Empty):
                    while batch[-1] is not None and len(batch) < BATCH:
                        batch.append(self._queue.get_nowait())
                goes_on = batch[-1] is not None
                self._transact(connection, [one for one in batch if one is not None])
        except BaseException as caught:  # noqa: BLE001 - told to whoever waits, and to the owner
            error = caught
            if not opening.future.done():
                opening.settle(None, caught)
            if self._ended is not None:
                self._ended(caught)
        finally:
            if connection is not None:
                connection.close()
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1
            self._refuse_rest(error)

    def _refuse_rest(self, error: BaseException) -> None:
        with self._mutex:
            self._takes = False
        with contextlib.suppress(queue.Empty):
            while True:
                operation = self._queue.get_nowait()
                if operation is not None:
                    operation.settle(None, InboxError(f"{self.path} is closed: {error}"))

    def _transact(self, connection: sqlite3.Connection, batch: list[_Operation]) -> None:
        """Do all in one transaction. What one operation raises undoes that operation alone."""
        if not batch:
            return
        results: list[tuple[_Operation, object, BaseException | None]] = []
        before = self.backlog
        try:
            connection.execute("BEGIN IMMEDIATE")
            for operation in batch:
                connection.execute("SAVEPOINT one")
                try:
                    results.append((operation, operation.do(connection), None))
                except Exception as error:
                    if not connection.in_transaction:  # a full disk has rolled back everything
                        raise sqlite3.OperationalError(f"rolled back: {error}") from error
                    connection.execute("ROLLBACK TO one")
                    results.append((operation, None, error))
                connection.execute("RELEASE one")
            connection.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            self.backlog = before
            passing = isinstance(error, sqlite3.Error)
            told = error if passing else InboxError(f"{self.path} works no more: {error!r}")
            for operation in batch:
                operation.settle(None, told)
            if not passing:
                raise
            return
        for result in results:
            result[0].settle(*result[1:])

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._lock = os.open(f"{self.path}.lock", flags, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise InboxError(f"{self.path} is in use by another process or transport") from None
        if not self.path.exists():
            os.close(os.open(self.path, flags, 0o600))  # SQLite would make it readable for all
        return sqlite3.connect(self.path, isolation_level=None, timeout=1.0)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA trusted_schema=OFF")
            found = (
                _one(connection, "PRAGMA application_id"),
                _one(connection, "PRAGMA user_version"),
            )
            tables = _one(connection, "SELECT count(*) FROM sqlite_master")
            if tables == 0 and found == (0, 0):
                self._create(connection)
            elif found != (APPLICATION_ID, VERSION):
                raise InboxError(f"{self.path} is no inbox of version {VERSION}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA journal_size_limit={64 << 20}")
            connection.execute(f"PRAGMA synchronous={'FULL' if self.is_synced else 'NORMAL'}")
            self.id = str(_one(connection, "SELECT id FROM self"))
            count, size, newest = connection.execute(
                "SELECT count(*), coalesce(sum(length(payload)), 0), coalesce(max(id), 0)"
                " FROM messages"
            ).fetchone()
        except sqlite3.DatabaseError as error:
            raise InboxError(f"{self.path} cannot be used as an inbox: {error}") from error
        self.backlog = Backlog(count, size)
        self.oldest_new = newest + 1

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            connection.execute(table)
        connection.execute("INSERT INTO self VALUES (?, 0)", (uuid.uuid4().hex,))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")

    def _last(self, connection: sqlite3.Connection, sender: str, epoch: int) -> int | None:
        """Return the last number of a sender in an epoch; None: it has not spoken in it."""
        row = connection.execute(
            "SELECT epoch, last FROM senders WHERE name = ?", (sender,)
        ).fetchone()
        if row is None or row[0] < epoch:
            return None
        if row[0] > epoch:
            raise StaleEpochError(sender, epoch, int(row[0]))
        return int(row[1])

    def _store(
        self, connection: sqlite3.Connection, sender: str, epoch: int, arrivals: list[Arrival]
    ) -> int:
        last = self._last(connection, sender, epoch)
        if last is None:
            raise StaleEpochError(sender, epoch, None)
        rows: list[tuple[Any, ...]] = []
        for arrival in arrivals:
            if arrival.number <= last:
                continue
            if arrival.number != last + 1:
                raise OrderError(f"{sender} sent number {arrival.number} after {last}")
            last = arrival.number
            if arrival.key is None or self._is_new(connection, sender, arrival.key):
                rows.append((sender, epoch, last, arrival.kind, arrival.key, arrival.payload))
        connection.executemany(
            "INSERT INTO messages (sender, epoch, number, kind, key, payload)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
        connection.execute("UPDATE senders SET last = ? WHERE name = ?", (last, sender))
        self._count(len(rows), sum(len(row[-1]) for row in rows))
        return last

    def _is_new(self, connection: sqlite3.Connection, sender: str, key: str) -> bool:
        """Remember a key; return False if it is remembered already."""
        nth = _one(connection, "SELECT keys + 1 FROM senders WHERE name = ?", sender)
        added = connection.execute(
            "INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (sender, key, nth)
        ).rowcount
        if added != 1:
            return False
        connection.execute("UPDATE senders SET keys = ? WHERE name = ?", (nth, sender))
        if nth % KEYS_SLACK == 0:
            connection.execute(
                "DELETE FROM keys WHERE sender = ? AND nth <= ?", (sender, nth - self.remember)
            )
        return True

    def _count(self, messages: int, size: int) -> None:
        self.backlog = Backlog(self.backlog.messages + messages, self.backlog.bytes + size)


def _one(connection: sqlite3.Connection, sql: str, *values: object) -> Any:
    (value,) = connection.execute(sql, values).fetchone()
    return value
