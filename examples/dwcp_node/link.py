"""A link: the connection to one peer on which this node sends. It is made again when it is lost.

A message gets its number when it is first written. From then on it stays in line, in order, until
the peer has acknowledged it, over as many connections as that takes. When a connection begins, the
peer says which file it keeps its inbox in, and the last number stored in it. Three cases:

* The file is the known one, and the number is one between the last acknowledged and the last
  written: what is stored counts as acknowledged, and the rest is written again.
* The file is another one, or an acknowledged number is not in it: the peer lost its inbox. Whether
  the messages on their way had been delivered cannot be known. They fail with
  ``UnknownOutcomeError``, and the link goes on in a new epoch, with number 1.
* The peer has seen a later epoch of this node: another life of this node speaks. The transport
  ends.

Elsewhere: the other direction (``arrivals``), and what an acknowledgement promises (``inbox``).
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import holdfast as hf
from examples.dwcp_node.compression import known_codecs
from examples.dwcp_node.errors import (
    LinkFullError,
    NotSentError,
    RefusedError,
    TransportStoppedError,
    UnknownOutcomeError,
)
from examples.dwcp_node.frames import (
    LONGEST_HELLO,
    Decoder,
    Envelope,
    Frame,
    FrameError,
    Kind,
    decode_fields,
    encode,
    encode_envelope,
    encode_fields,
)
from holdfast.redaction import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from examples.dwcp_node.compression import Codec, Compression
    from examples.dwcp_node.inbox import Inbox
    from examples.dwcp_node.settings import Settings

    Address = tuple[str, int]

__all__ = ["Accepted", "Link", "PeerStatus", "Sample", "first_to_end", "read_frame"]

ROOM = struct.Struct(">I")
CHUNK = 256 * 1024
#: An epoch is a time in nanoseconds; one that is further in the future is not believed.
MOST_AHEAD_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Accepted:
    """The peer has stored a message: it survives the death of either side.

    Args:
        peer: Who has it.
        epoch: The sender's epoch.
        number: The message's number in it.
    """

    peer: str
    epoch: int
    number: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one acknowledgement shows about a link.

    Args:
        peer: The peer.
        bytes: Bytes acknowledged since the newest of these messages was written, frames and all; 0:
            the sample is the answer to a ping.
        seconds: How long that took. The receiver's time to store is part of it.
        rtt: The latest time of a ping on the idle link, in seconds; None: not yet measured.
        busy: Whether other messages were on their way during all of ``seconds``. Then ``bytes /
            seconds`` is the rate of the link. If not, ``seconds`` also has one ``rtt``.
    """

    peer: str
    bytes: int
    seconds: float
    rtt: float | None
    busy: bool


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """How the link to a peer is.

    Args:
        name: The peer.
        address: Host and port.
        state: "connecting", "connected", "unreachable" or "stopped".
        waiting: Messages that have not left.
        unacknowledged: Messages that have left.
        accepted: Messages that the peer has stored, since the start.
        connections: How often a connection was made, since the start.
        failures: Attempts that failed since the link last worked.
        rtt: The latest time of a ping on the idle link, in seconds.
        error: Why the last connection or attempt ended; "" if none did.
    """

    name: str
    address: tuple[str, int]
    state: str
    waiting: int
    unacknowledged: int
    accepted: int
    connections: int
    failures: int
    rtt: float | None
    error: str


class _Entry:
    """A message between ``send`` and its acknowledgement."""

    __slots__ = (
        "base",
        "busy",
        "future",
        "key",
        "kind",
        "mark",
        "number",
        "payload",
        "waiters",
        "wire",
    )

    def __init__(self, kind: str, key: str | None, payload: bytes) -> None:
        self.kind = kind
        self.key = key
        self.payload = payload
        self.future: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self.number: int | None = None
        self.waiters = 0
        self.mark = 0.0  # when the span of its sample began
        self.base = 0  # bytes acknowledged at that time
        self.busy = False
        self.wire = 0  # bytes of its frame

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # perhaps nobody waits any more


class Link:
    """The link to one peer.

    Args:
        name: This node.
        peer: The peer.
        address: Its host and port.
        settings: Times and limits.
        inbox: Where new epochs come from.
        compression: What compresses payloads; None: nothing.
        told: Called with the kind of an event and a reason.
        sampled: Called with each sample.
        broken: Called if the link cannot go on: the peer has seen a later epoch of this node, or
            the inbox fails.
    """

    def __init__(
        self,
        name: str,
        peer: str,
        address: Address,
        settings: Settings,
        inbox: Inbox,
        compression: Compression | None,
        *,
        told: Callable[[str, str, str], object],
        sampled: Callable[[Sample], object],
        broken: Callable[[Exception], object],
    ) -> None:
        self.name = name
        self.peer = peer
        self.address = address
        self._settings = settings
        self._inbox = inbox
        self._compression = compression
        self._told = told
        self._sampled = sampled
        self._broken = broken
        self._task: asyncio.Task[None] | None = None
        self._backoff = hf.Exponential(
            settings.retry_backoff, factor=2, max=settings.most_backoff, jitter=0.1
        )
        self._forget()

    def _forget(self) -> None:
        self._epoch = 0
        self._inbox_id: str | None = None
        self._next = 1
        self._acked = 0
        self._line: deque[_Entry] = deque()  # numbered, not acknowledged
        self._waiting: deque[_Entry] = deque()  # not numbered
        self._waiting_count = 0
        self._waiting_bytes = 0
        self._keyed: dict[str, _Entry] = {}
        self._unwritten: deque[_Entry] = deque()  # of the line, not yet on this connection
        self._room = 0
        self._longest = 0
        self._codecs: tuple[int, ...] = ()
        self._writer: asyncio.StreamWriter | None = None
        self._work = asyncio.Event()
        self._wake = asyncio.Event()
        self._up = asyncio.Event()
        self._waiters: set[asyncio.Future[None]] = set()
        self._quiet = 0
        self._ping: tuple[int, float, bool] = (0, 0.0, False)
        self._rtt: float | None = None
        self._failures = 0
        self._connections = 0
        self._accepted = 0
        self._acked_bytes = 0
        self._since = 0.0  # the last acknowledgement, or the first message after a silence
        self._since_ack = False
        self._error = ""

    def start(self, epoch: int) -> None:
        """Connect, and keep connected, until ``stop``."""
        self._forget()
        self._epoch = epoch
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"link {self.peer}")

    async def stop(self) -> None:
        """Close the connection. What was not acknowledged fails."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        for entry in self._line:
            entry.fail(UnknownOutcomeError(f"the transport stopped before {self.peer} answered"))
        self._fail_waiting(TransportStoppedError("the transport stopped"))
        self._line.clear()
        self._keyed.clear()

    def move(self, address: Address) -> None:
        """Use another address from now on."""
        if address != self.address:
            self.address = address
            self._failures = 0
            self.cut()
            self._wake.set()

    def cut(self) -> None:
        """Close the present connection at once; another one is made."""
        if self._writer is not None:
            self._up.clear()
            self._writer.transport.abort()

    @property
    def is_working(self) -> bool:
        """Whether the task of the link runs."""
        return self._task is not None and not self._task.done()

    def status(self) -> PeerStatus:
        """Return how the link is."""
        if self._task is None:
            state = "stopped"
        elif self._up.is_set():
            state = "connected"
        else:
            state = "connecting" if self._failures < self._settings.retries else "unreachable"
        return PeerStatus(
            self.peer, self.address, state, self._waiting_count, len(self._line), self._accepted,
            self._connections, self._failures, self._rtt, self._error,
        )  # fmt: skip

    async def connected(self) -> None:
        """Wait until the peer is connected, however long that takes."""
        self._wake.set()
        await self._up.wait()

    async def connect(self) -> None:
        """Wait until the peer is connected.

        Raises:
            NotSentError: It cannot be reached.
        """
        if not self.is_working:
            raise TransportStoppedError("the transport does not run")
        if not self._up.is_set():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            self._wake.set()
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def send(
        self, kind: str, key: str | None, payload: bytes, seconds: float | None
    ) -> Accepted:
        """Send a message, and return when the peer has stored it. It may be cancelled at any time.

        Raises:
            NotSentError: It has not left this node, and will not.
            UnknownOutcomeError: It has left, and was not acknowledged in time.
        """
        if not self.is_working:
            raise TransportStoppedError("the transport does not run")
        entry = self._keyed.get(key) if key is not None else None
        if entry is None:
            entry = self._queue(kind, key, payload)
        entry.waiters += 1
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(entry.future)
        except TimeoutError:
            late = f"{self.peer} has not acknowledged it within {seconds} s"
            raise (NotSentError if entry.number is None else UnknownOutcomeError)(late) from None
        finally:
            entry.waiters -= 1
            if not entry.waiters and entry.number is None and not entry.future.done():
                entry.future.cancel()
                self._left(entry)

    def _queue(self, kind: str, key: str | None, payload: bytes) -> _Entry:
        most = self._settings
        if (
            self._waiting_count >= most.most_waiting
            or self._waiting_bytes + len(payload) > most.most_waiting_bytes
        ):
            raise LinkFullError(
                f"{self._waiting_count} messages ({self._waiting_bytes} bytes) wait for {self.peer}"
            )
        entry = _Entry(kind, key, payload)
        if key is not None:
            self._keyed[key] = entry
        self._waiting.append(entry)
        self._waiting_count += 1
        self._waiting_bytes += len(payload)
        self._work.set()
        self._wake.set()
        return entry

    def _left(self, entry: _Entry) -> None:
        """Note that an entry no longer waits: it is numbered, withdrawn or failed."""
        self._waiting_count -= 1
        self._waiting_bytes -= len(entry.payload)
        if entry.number is None and entry.key is not None:
            del self._keyed[entry.key]

    def _fail_waiting(self, error: Exception) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        while self._waiting:
            entry = self._waiting.popleft()
            if not entry.future.done():
                entry.fail(error)
                self._left(entry)

    async def _run(self) -> None:
        try:
            while True:
                connections = self._connections
                try:
                    await self._connect()
                except (OSError, EOFError) as error:
                    self._lost(error, was_up=self._connections > connections)
                await self._pause()
        except Exception as error:  # noqa: BLE001 - the owner learns that this link works no more
            self._error = f"{type(error).__name__}: {error}"
            self._broken(error)

    async def _pause(self) -> None:
        """Wait before the next attempt: a moment if messages wait, longer if none does."""
        least = self._settings.retry_backoff
        pause = self._backoff.delay(self._failures - 1) if self._failures else 0.0
        await asyncio.sleep(min(pause, least))
        self._wake.clear()
        if not self._waiting_count and not self._waiters:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause - least):
                    await self._wake.wait()

    def _lost(self, error: Exception, was_up: bool) -> None:
        self._error = str(error) or type(error).__name__
        self._failures += 1
        if was_up:
            self._told("link_lost", self.peer, self._error)
        if isinstance(error, RefusedError) and error.reason == "outlived":
            self._broken(error)
        if self._failures >= self._settings.retries:
            if self._failures == self._settings.retries:
                self._told("unreachable", self.peer, self._error)
            self._fail_waiting(NotSentError(f"{self.peer} cannot be reached: {self._error}"))

    async def _connect(self) -> None:
        address = self.address
        reader, writer = await self._open()
        self._writer = writer
        try:
            if self.address != address:
                raise ConnectionError(f"{self.peer} has moved")
            decoder = Decoder(LONGEST_HELLO)
            try:
                async with asyncio.timeout(self._settings.greeting_timeout):
                    await self._greet(reader, writer, decoder)
            except TimeoutError:
                raise TimeoutError(f"{self.peer} did not greet in time") from None
            self._connections += 1
            self._quiet = 0
            self._told("link_up", self.peer, "")
            self._up.set()
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            await first_to_end(self._read(reader, decoder), self._write(writer), self._beat(writer))
        finally:
            self._up.clear()
            self._writer = None
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        seconds = self._settings.connect_timeout
        try:  # not wait_for: before Python 3.12 it may swallow a cancellation
            async with asyncio.timeout(seconds):
                return await asyncio.open_connection(*self.address)
        except TimeoutError:
            raise TimeoutError(f"no connection to {self.peer} within {seconds} s") from None

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: Decoder
    ) -> None:
        writer.write(encode(Frame(Kind.HELLO, body=encode_fields({
            "network": self._settings.network, "name": self.name, "to": self.peer,
            "epoch": self._epoch,
        }))))  # fmt: skip
        answer = await read_frame(reader, decoder)
        if answer.kind is not Kind.HELLO:
            raise FrameError("order", f"{self.peer} began with {answer.kind.name}, not with HELLO")
        fields = decode_fields(answer.body)
        if "refused" in fields:
            await self._refused(decode_fields(answer.body, refused=str, message=str))
        fields = decode_fields(
            answer.body, name=str, inbox=str, last=int, room=int, longest=int, codecs=list
        )
        if fields["name"] != self.peer:
            other = one_line(fields["name"])
            raise RefusedError("name", f"{other} answers in place of {self.peer}")
        self._longest = fields["longest"]
        self._codecs = tuple(codec for codec in fields["codecs"] if codec in known_codecs())
        await self._resume(fields["inbox"], fields["last"])
        self._room = fields["room"]
        decoder.longest = ROOM.size

    async def _refused(self, fields: dict[str, Any]) -> None:
        latest = fields.get("epoch")
        if fields["refused"] == "outlived" and isinstance(latest, int):
            await self._inbox.note_epoch(min(latest, time.time_ns() + MOST_AHEAD_NS))
        raise RefusedError(fields["refused"], one_line(f"{self.peer} refuses: {fields['message']}"))

    async def _resume(self, inbox: str, last: int) -> None:
        known = self._inbox_id in (None, inbox)
        if known and self._acked <= last < self._next:
            self._inbox_id = inbox
            self._acknowledge(last, is_answer=False)
            self._unwritten = deque(self._line)
            return
        what = (
            "lost its inbox" if self._acked or self._line else "knows messages of an earlier life"
        )
        for entry in self._line:
            if entry.key is not None:
                del self._keyed[entry.key]
            entry.fail(UnknownOutcomeError(f"{self.peer} {what}"))
        self._line.clear()
        self._epoch = await self._inbox.next_epoch()
        self._inbox_id, self._next, self._acked = None, 1, 0
        self._told("inbox_lost", self.peer, what)
        raise ConnectionError(f"{self.peer} {what}; the link goes on in a new epoch")

    async def _read(self, reader: asyncio.StreamReader, decoder: Decoder) -> None:
        frames = decoder.feed(b"")
        while True:
            for frame in frames:
                self._take(frame)
            data = await reader.read(CHUNK)
            if not data:
                raise ConnectionResetError(f"{self.peer} closed the connection")
            self._quiet = 0
            frames = decoder.feed(data)

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.ACK and len(frame.body) == ROOM.size:
            if not self._acked <= frame.number < self._next:
                raise FrameError("order", f"{self.peer} acknowledged {frame.number}, never sent")
            self._acknowledge(frame.number, is_answer=True)
            (self._room,) = ROOM.unpack(frame.body)
            self._work.set()
        elif frame.kind is Kind.PONG:
            number, at, was_idle = self._ping
            if frame.number == number and was_idle:
                self._rtt = time.monotonic() - at
                self._sampled(Sample(self.peer, 0, self._rtt, self._rtt, busy=False))
        else:
            raise FrameError("order", f"{self.peer} sent a {frame.kind.name} that must not come")
        self._failures = 0

    def _acknowledge(self, number: int, *, is_answer: bool) -> None:
        newest: _Entry | None = None
        while self._line and (its := self._line[0].number) is not None and its <= number:
            newest = self._line.popleft()
            self._acked_bytes += newest.wire
            self._accepted += 1
            if newest.key is not None:
                del self._keyed[newest.key]
            if not newest.future.done():
                newest.future.set_result(Accepted(self.peer, self._epoch, its))
        self._acked = number
        while self._unwritten and (self._unwritten[0].number or 0) <= number:
            self._unwritten.popleft()
        if newest is not None and is_answer:
            self._since, self._since_ack = time.monotonic(), True
            size = self._acked_bytes - newest.base
            seconds = self._since - newest.mark
            self._sampled(Sample(self.peer, size, seconds, self._rtt, newest.busy))

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        while True:
            entry = None if writer.transport.is_closing() else self._next_entry()
            if entry is None:
                self._work.clear()
                await self._work.wait()
                continue
            codec, content = await self._compress(entry.payload)
            body = encode_envelope(Envelope(entry.kind, entry.key, len(entry.payload), content))
            frame = encode(Frame(Kind.DATA, entry.number or 0, body, codec))
            self._mark(entry, len(frame))
            writer.write(frame)
            await writer.drain()

    def _next_entry(self) -> _Entry | None:
        """Return what to write next, with a number; None: nothing, or the peer has no room."""
        if len(self._line) - len(self._unwritten) >= self._room:
            return None
        if self._unwritten:
            return self._unwritten.popleft()
        while self._waiting:
            entry = self._waiting.popleft()
            if entry.future.done():
                continue  # withdrawn
            if len(entry.payload) > self._longest:
                entry.fail(NotSentError(f"{self.peer} takes at most {self._longest} bytes"))
                self._left(entry)
                continue
            entry.number = self._next
            self._next += 1
            self._left(entry)
            self._line.append(entry)
            return entry
        return None

    async def _compress(self, payload: bytes) -> tuple[Codec | int, bytes]:
        if self._compression is None:
            return 0, payload
        return await self._compression.acompress(payload, self._codecs)

    def _mark(self, entry: _Entry, size: int) -> None:
        if len(self._line) - len(self._unwritten) == 1:
            self._since, self._since_ack = time.monotonic(), False
        entry.mark, entry.busy = self._since, self._since_ack
        entry.base = self._acked_bytes
        entry.wire = size

    async def _beat(self, writer: asyncio.StreamWriter) -> None:
        """Ask the peer whether it is there. Only our own beats count, however late they come."""
        settings = self._settings
        while True:
            is_idle = len(self._line) == len(self._unwritten)
            self._ping = (self._ping[0] + 1, time.monotonic(), is_idle)
            writer.write(encode(Frame(Kind.PING, self._ping[0])))
            await asyncio.sleep(settings.heartbeat)
            self._quiet += 1
            if self._quiet > settings.silence:
                raise ConnectionError(f"{self.peer} has been silent for {settings.silence} beats")


async def read_frame(reader: asyncio.StreamReader, decoder: Decoder) -> Frame:
    """Return the next frame; what follows it stays in the decoder.

    Raises:
        FrameError: It is none.
        ConnectionResetError: The connection was closed before.
    """
    while True:
        frames = decoder.feed(b"", most=1)
        if not frames:
            data = await reader.read(CHUNK)
            if not data:
                raise ConnectionResetError("the connection was closed")
            frames = decoder.feed(data, most=1)
        if frames:
            return frames[0]


async def first_to_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until one ends, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
