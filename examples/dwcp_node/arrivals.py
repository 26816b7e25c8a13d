"""Arrivals: the listener of a node, and the connections on which peers send to it.

A connection begins with the peer's HELLO. Whoever says nothing, or anything else, is sent away
after a short time. After the answer, messages are stored as they come, many in one transaction, and
acknowledged when they are stored. A later connection of the same peer replaces the earlier one.

Elsewhere: how a message is stored (``inbox``), and the sending side (``link``).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from examples.dwcp_node.compression import (
    IN_THREAD_BYTES,
    CompressionError,
    decompress,
    known_codecs,
)
from examples.dwcp_node.errors import RefusedError
from examples.dwcp_node.frames import (
    LONGEST_HELLO,
    LONGEST_KEY,
    LONGEST_KIND,
    Decoder,
    Frame,
    FrameError,
    Kind,
    decode_envelope,
    decode_fields,
    encode,
    encode_fields,
)
from examples.dwcp_node.inbox import Arrival, InboxError, OrderError, StaleEpochError
from examples.dwcp_node.link import CHUNK, MOST_AHEAD_NS, ROOM, read_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from examples.dwcp_node.inbox import Inbox
    from examples.dwcp_node.settings import Settings

__all__ = ["Arrivals"]

#: A peer is disconnected after so many heartbeats without a byte.
IDLE_BEATS = 10
#: So much of decompressed payloads is stored at once.
STORE_BYTES = 8 << 20
ENVELOPE_BYTES = 16 + LONGEST_KIND + LONGEST_KEY


class _Connection:
    """One connection of a peer."""

    def __init__(
        self,
        owner: Arrivals,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.owner = owner
        self.reader = reader
        self.writer = writer
        self.sender = ""
        self.epoch = 0
        self.last = -1  # -1: the node's own check, which sends no messages
        self._said = 0.0
        self._answers: list[bytes] = []

    def cut(self) -> None:
        self.writer.transport.abort()

    async def serve(self) -> None:
        settings = self.owner.settings
        decoder = Decoder(LONGEST_HELLO)
        try:
            async with asyncio.timeout(settings.greeting_timeout):
                hello = await read_frame(self.reader, decoder)
                await self._greet(hello)
        except TimeoutError:
            raise RefusedError("silent", "no greeting in time") from None
        decoder.longest = settings.most_payload + ENVELOPE_BYTES
        frames = decoder.feed(b"")
        while True:
            await self._take(frames)
            data = await self._receive()
            frames = decoder.feed(data)
            if not frames and time.monotonic() - self._said > settings.heartbeat / 2:
                await self._acknowledge()  # a long frame comes slowly: say that it comes

    async def _receive(self) -> bytes:
        settings = self.owner.settings
        for _ in range(IDLE_BEATS):
            try:
                async with asyncio.timeout(settings.heartbeat):
                    data = await self.reader.read(CHUNK)
            except TimeoutError:
                continue
            if not data:
                raise ConnectionResetError("the peer closed the connection")
            return data
        raise RefusedError("silent", f"{self.sender} has sent nothing for {IDLE_BEATS} heartbeats")

    async def _greet(self, hello: Frame) -> None:
        if hello.kind is not Kind.HELLO:
            raise FrameError("stranger", f"a connection began with {hello.kind.name}")
        owner = self.owner
        fields = decode_fields(hello.body, network=str, name=str, to=str, epoch=int)
        try:
            self._judge(fields)
            self.sender, self.epoch = fields["name"], fields["epoch"]
            if self.sender != owner.name:
                self.last = await owner.inbox.greet(self.sender, self.epoch)
                owner.replace(self)
        except (RefusedError, StaleEpochError) as error:
            latest = getattr(error, "latest", None)
            reason = getattr(error, "reason", "outlived")
            await self._greet_back(refused=reason, message=str(error), epoch=latest)
            raise
        room = owner.room()
        owner.is_hungry(self, not room and self.last >= 0)
        await self._greet_back(
            name=owner.name, inbox=owner.inbox.id, last=max(0, self.last), room=room,
            longest=owner.settings.most_payload, codecs=known_codecs(),
        )  # fmt: skip

    async def _greet_back(self, **fields: object) -> None:
        await self._say(Frame(Kind.HELLO, body=encode_fields(fields)))

    def _judge(self, fields: dict[str, Any]) -> None:
        owner = self.owner
        name, epoch = fields["name"], fields["epoch"]
        if fields["network"] != owner.settings.network:
            raise RefusedError("network", f"this is the network {owner.settings.network}")
        if fields["to"] != owner.name:
            raise RefusedError("name", f"this is {owner.name}")
        if name != owner.name and name not in owner.known:
            raise RefusedError("unknown", "no peer of that name is configured here")
        if not 0 < epoch <= time.time_ns() + MOST_AHEAD_NS:
            raise RefusedError("epoch", "the epoch is no time up to now; is the clock right?")

    async def _take(self, frames: list[Frame]) -> None:
        arrivals: list[Arrival] = []
        size = 0
        for frame in frames:
            if frame.kind is Kind.PING and not frame.body:
                self._answers.append(encode(Frame(Kind.PONG, frame.number)))
            elif frame.kind is Kind.DATA and self.last >= 0:
                arrival = await self._arrival(frame)
                arrivals.append(arrival)
                size += len(arrival.payload)
                if size > STORE_BYTES:
                    await self._store(arrivals)
                    arrivals, size = [], 0
            else:
                raise FrameError("order", f"a {frame.kind.name} frame that must not come")
        if self._answers:
            await self._say()
        if arrivals:
            await self._store(arrivals)

    async def _arrival(self, frame: Frame) -> Arrival:
        envelope = decode_envelope(frame.body)
        most = self.owner.settings.most_payload
        if envelope.size > most:
            raise FrameError("length", f"a payload of {envelope.size} bytes; at most {most} here")
        try:
            if frame.codec and envelope.size > IN_THREAD_BYTES:
                payload = await asyncio.to_thread(
                    decompress, frame.codec, envelope.content, envelope.size
                )
            else:
                payload = decompress(frame.codec, envelope.content, envelope.size)
        except CompressionError as error:
            raise FrameError("compression", str(error)) from None
        return Arrival(frame.number, envelope.kind, envelope.key, payload)

    async def _store(self, arrivals: list[Arrival]) -> None:
        try:
            self.last = await self.owner.inbox.store(self.sender, self.epoch, arrivals)
        except OrderError as error:
            raise FrameError("order", str(error)) from None
        except StaleEpochError as error:
            raise RefusedError("outlived", str(error)) from None
        self.owner.stored({arrival.kind for arrival in arrivals})
        await self._acknowledge()

    async def _acknowledge(self) -> None:
        if self.last >= 0:
            await self._say(Frame(Kind.ACK, self.last, self._pack_room()))

    def tell_room(self) -> None:
        """Say that there is room again."""
        self.writer.write(encode(Frame(Kind.ACK, self.last, self._pack_room())))

    def _pack_room(self) -> bytes:
        """Return how much room there is; whoever hears that there is none is told later."""
        room = self.owner.room()
        self.owner.is_hungry(self, not room)
        return ROOM.pack(room)

    async def _say(self, *frames: Frame) -> None:
        self._said = time.monotonic()
        self.writer.write(b"".join((*self._answers, *map(encode, frames))))
        self._answers.clear()
        settings = self.owner.settings
        try:
            async with asyncio.timeout(IDLE_BEATS * settings.heartbeat):
                await self.writer.drain()
        except TimeoutError:
            raise RefusedError("slow", f"{self.sender} does not read what it is told") from None


class Arrivals:
    """The listener of a node.

    Args:
        name: The node.
        known: The names of its peers, which may change.
        settings: Times and limits.
        inbox: Where messages are stored.
        stored: Called with the kinds of the messages that were just stored.
        told: Called with the kind of an event, the name of a peer and a reason.

    Attributes:
        refused: How many connections ended for each reason.
    """

    def __init__(
        self,
        name: str,
        known: Collection[str],
        settings: Settings,
        inbox: Inbox,
        *,
        stored: Callable[[Collection[str]], object],
        told: Callable[[str, str, str], object],
    ) -> None:
        self.name = name
        self.known = known
        self.settings = settings
        self.inbox = inbox
        self.stored = stored
        self.refused: Counter[str] = Counter()
        self._told = told
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], _Connection] = {}
        self._of: dict[str, _Connection] = {}
        self._hungry: set[_Connection] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port.

        Raises:
            OSError: The address cannot be listened at.
        """
        self._server = await asyncio.start_server(self._accept, host, port, limit=CHUNK)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener and all connections."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for _ in range(3):  # what the listener has accepted just now becomes a task of ours
                await asyncio.sleep(0)
        for task, connection in self._tasks.items():
            task.cancel()
            connection.cut()  # a task that has not begun closes nothing
        if self._tasks:
            await asyncio.wait([*self._tasks])
            await asyncio.sleep(0)  # a connection that is cut is closed in the next round
        if server is not None:
            await server.wait_closed()

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted."""
        return self._server is not None and self._server.is_serving()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._tasks)

    def room(self) -> int:
        """Return how many messages a peer may have on their way: its window, or none."""
        backlog, most = self.inbox.backlog, self.settings
        full = backlog.messages >= most.most_backlog or backlog.bytes >= most.most_backlog_bytes
        return 0 if full else most.window

    def freed(self) -> None:
        """Tell peers that wait for room."""
        if self._hungry and self.room():
            for connection in [*self._hungry]:
                connection.tell_room()

    def is_hungry(self, connection: _Connection, hungry: bool) -> None:
        """Note whether a connection waits for room."""
        (self._hungry.add if hungry else self._hungry.discard)(connection)

    def replace(self, connection: _Connection) -> None:
        """Let a connection be the one of its sender; close the earlier one."""
        earlier = self._of.get(connection.sender)
        self._of[connection.sender] = connection
        if earlier is not None:
            earlier.cut()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        strangers = [its for its in self._tasks.values() if not its.sender]
        if len(strangers) >= self.settings.most_strangers:
            self.refused["strangers"] += 1
            strangers[0].cut()  # the oldest
        connection = _Connection(self, reader, writer)
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, connection: _Connection) -> None:
        try:
            await connection.serve()
        except (FrameError, RefusedError) as error:
            self.refused[error.reason] += 1
            self._told("refused", connection.sender, str(error))
        except (OSError, EOFError):
            pass  # the connection ended; its peer makes another one
        except (sqlite3.Error, InboxError) as error:
            self.refused["inbox"] += 1
            self._told("not_stored", connection.sender, str(error))
        except asyncio.CancelledError:
            connection.cut()
            raise
        finally:
            self._hungry.discard(connection)
            if self._of.get(connection.sender) is connection:
                del self._of[connection.sender]
            writer = connection.writer
            if not writer.is_closing():
                writer.close()  # not aborted: a refusal is to arrive
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()
            writer.transport.abort()
