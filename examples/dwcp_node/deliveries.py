"""Deliveries: who takes messages out of the inbox, each message once.

A kind of message has a handler, or callers of ``receive``. Both get messages in the order in which
they were stored. A message leaves the inbox when it is confirmed. Whoever is killed between the
hand-over and the confirmation gets the message again after the restart, marked ``again``.

Elsewhere: what a confirmation promises (``inbox``).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import holdfast as hf
from examples.dwcp_node.errors import TransportStoppedError
from examples.dwcp_node.inbox import InboxError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from examples.dwcp_node.inbox import Inbox, Stored
    from examples.dwcp_node.settings import Settings

    Effect = Callable[[sqlite3.Connection], object]
    Handler = Callable[["Message"], Awaitable[Any]]

__all__ = ["Deliveries", "Message", "UnconfirmedError"]

logger = logging.getLogger("dwcp_node.transport")
#: What SQLite says of a disk that is full, busy or broken, perhaps for a while.
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR}
#: Messages read at once.
BATCH = 100


class UnconfirmedError(RuntimeError):
    """Too many messages were received and not confirmed. Call ``await message.confirm()``."""


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A message of a peer.

    Args:
        sender: Who sent it.
        kind: Its kind.
        payload: Its content.
        key: What makes a repeated message the same message, or None.
        epoch: The epoch of the sender.
        number: Its number in the epoch. Sender, epoch and number are the message's identity.
        again: Whether it was stored before this start: it may have been handed over before.
        attempt: 1 for the first call of a handler, and so on.
    """

    sender: str
    kind: str
    payload: bytes
    key: str | None
    epoch: int
    number: int
    again: bool
    attempt: int
    _stored: Stored
    _shelf: _Shelf

    async def confirm(self, effect: Effect | None = None) -> bool:
        """Mark the message as delivered: it is not handed over again.

        Args:
            effect: Called with the inbox's SQLite connection, in the inbox's thread, in the
                transaction of the confirmation: what it writes happens exactly once.

        Returns:
            False if it was confirmed before; the effect is not called then.

        Raises:
            InboxError: The transport has stopped. The message is handed over again.
            sqlite3.Error: The transaction failed, for example on a full disk.
        """
        return await self._shelf.confirm(self._stored, effect)

    def put_back(self) -> None:
        """Let the message be the next one to be received."""
        self._shelf.put_back(self._stored)


class _Shelf:
    """The messages of one kind that were read from the inbox and wait to be handed over."""

    def __init__(
        self, kind: str, inbox: Inbox, settings: Settings, freed: Callable[[], object]
    ) -> None:
        self.kind = kind
        self._inbox = inbox
        self._settings = settings
        self._freed = freed
        self._row: deque[Stored] = deque()
        self._read_to = 0
        self._lock = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._arrived.set()
        self._handed: set[int] = set()
        self._closed: Exception | None = None

    def arrived(self) -> None:
        self._arrived.set()

    def close(self, error: Exception) -> None:
        self._closed = error
        self._arrived.set()

    async def ready(self) -> None:
        """Wait until there is one to hand over, or none will come any more."""
        while self._closed is None and not self._row:
            async with self._lock:
                if not self._row and self._closed is None:
                    await self._read()

    def take(self) -> Stored | None:
        """Return the next one, if one was read already."""
        if self._closed is not None:
            raise self._closed
        if not self._row:
            return None
        if len(self._handed) >= self._settings.most_unconfirmed:
            raise UnconfirmedError(
                f"{len(self._handed)} messages of kind {self.kind!r} were received, not confirmed"
            )
        stored = self._row.popleft()
        self._handed.add(stored.id)
        return stored

    async def next(self) -> Stored:
        while True:
            stored = self.take()
            if stored is not None:
                return stored
            await self.ready()

    async def _read(self) -> None:
        await self._arrived.wait()
        if self._closed is not None:
            return
        self._arrived.clear()
        found = await self._inbox.take(self.kind, self._read_to, BATCH)
        if found:
            self._read_to = found[-1].id
            self._row.extend(found)
            self._arrived.set()  # perhaps there are more

    async def confirm(self, stored: Stored, effect: Effect | None) -> bool:
        try:
            is_first = await self._inbox.confirm(stored, effect)
        except asyncio.CancelledError:
            self._handed.discard(stored.id)  # it may be confirmed: it is not handed over again
            raise
        self._handed.discard(stored.id)
        if is_first:
            self._freed()
        return is_first

    def give_up(self, stored: Stored) -> None:
        self._handed.discard(stored.id)

    def put_back(self, stored: Stored) -> None:
        if stored.id in self._handed:
            self._handed.discard(stored.id)
            self._row.appendleft(stored)
            self._arrived.set()

    def message(self, stored: Stored, attempt: int = 1) -> Message:
        return Message(
            stored.sender, stored.kind, stored.payload, stored.key, stored.epoch, stored.number,
            stored.id < self._inbox.oldest_new, attempt, stored, self,
        )  # fmt: skip


class Deliveries:
    """What hands out the messages of an inbox.

    Args:
        inbox: The inbox.
        settings: Times and limits.
        freed: Called after each confirmation.
        broken: Called if a handler's task ends by an error of the inbox.

    Attributes:
        delivered: How many messages were confirmed since the start.
        given_up: How many messages a handler refused at every attempt. They are handed over again
            after the next start.
    """

    def __init__(
        self,
        inbox: Inbox,
        settings: Settings,
        *,
        freed: Callable[[], object],
        broken: Callable[[Exception], object],
    ) -> None:
        self.delivered = 0
        self.given_up = 0
        self._inbox = inbox
        self._settings = settings
        self._freed = freed
        self._broken = broken
        self._handlers: dict[str, Handler] = {}
        self._shelves: dict[str, _Shelf] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs = False
        self._backoff = hf.Exponential(0.05, factor=2, max=2.0)

    def start(self) -> None:
        """Hand out from now on."""
        self._runs = True
        self.delivered = self.given_up = 0
        for kind in self._handlers:
            self._begin(kind)

    async def stop(self) -> None:
        """Cancel handlers and whoever waits to receive."""
        self._runs = False
        tasks = [*self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        for shelf in self._shelves.values():
            shelf.close(TransportStoppedError("the transport stopped"))
        self._shelves.clear()
        if tasks:
            await asyncio.wait(tasks)

    def handle(self, kind: str, handler: Handler) -> Callable[[], None]:
        """Call a handler for each message of a kind, in place of an earlier handler of it."""
        self._handlers[kind] = handler
        if self._runs:
            self._begin(kind)

        def unhandle() -> None:
            if self._handlers.get(kind) is handler:
                del self._handlers[kind]
                if (task := self._tasks.pop(kind, None)) is not None:
                    task.cancel()

        return unhandle

    async def receive(self, kind: str) -> Message:
        """Return the next message of a kind that has no handler."""
        shelf = self._open_shelf(kind)
        return shelf.message(await shelf.next())

    async def ready(self, kind: str) -> None:
        """Wait until ``take`` has something to return or to raise."""
        if self._runs:
            await self._open_shelf(kind).ready()

    def take(self, kind: str) -> Message | None:
        """Return the next message of a kind if it is there already."""
        shelf = self._open_shelf(kind)
        stored = shelf.take()
        return None if stored is None else shelf.message(stored)

    def _open_shelf(self, kind: str) -> _Shelf:
        if not self._runs:
            raise TransportStoppedError("the transport does not run")
        if kind in self._handlers:
            raise ValueError(f"messages of kind {kind!r} have a handler")
        return self._shelf(kind)

    def arrived(self, kinds: Collection[str]) -> None:
        """Note that messages of some kinds were stored."""
        for kind in kinds:
            if (shelf := self._shelves.get(kind)) is not None:
                shelf.arrived()

    def failed_tasks(self) -> list[str]:
        """Return the kinds whose handlers are called no more."""
        return [kind for kind, task in self._tasks.items() if task.done()]

    def _shelf(self, kind: str) -> _Shelf:
        shelf = self._shelves.get(kind)
        if shelf is None:
            shelf = self._shelves[kind] = _Shelf(kind, self._inbox, self._settings, self._confirmed)
        return shelf

    def _confirmed(self) -> None:
        self.delivered += 1
        self._freed()

    def _begin(self, kind: str) -> None:
        if kind not in self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks[kind] = loop.create_task(self._hand_over(kind), name=f"handler of {kind}")

    async def _hand_over(self, kind: str) -> None:
        shelf = self._shelf(kind)
        try:
            while True:
                stored = await shelf.next()
                try:
                    await self._handle(shelf, stored)
                except asyncio.CancelledError:
                    shelf.put_back(stored)  # if the confirmation has not begun
                    raise
        except TransportStoppedError:
            pass
        except Exception as error:  # noqa: BLE001 - the owner learns that nothing is handed over
            self._broken(error)

    async def _confirm(self, shelf: _Shelf, stored: Stored, effect: Effect | None) -> None:
        """Confirm; a disk that is full now may have room later, and the handler is not to blame."""
        for attempt in itertools.count():
            try:
                await shelf.confirm(stored, effect)
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in _PASSING:
                    raise
                logger.warning("A delivery cannot be confirmed: %s", error)
                await asyncio.sleep(self._backoff.delay(min(attempt, 10)))

    async def _handle(self, shelf: _Shelf, stored: Stored) -> None:
        """Call the handler, more than once if it raises; confirm with the effect it returns."""
        for attempt in range(1, self._settings.attempts + 1):
            try:
                effect = await self._handlers[stored.kind](shelf.message(stored, attempt))
                await self._confirm(shelf, stored, effect if callable(effect) else None)
                return
            except InboxError:
                raise
            except Exception:
                logger.warning(
                    "The handler of %r failed, attempt %d", stored.kind, attempt, exc_info=True
                )
                if attempt < self._settings.attempts:
                    await asyncio.sleep(self._backoff.delay(attempt - 1))
        self.given_up += 1
        shelf.give_up(stored)
        logger.error("A message of kind %r from %s stays in the inbox", stored.kind, stored.sender)
