"""A proxy between two processes that does harm to what it passes on.

Every link of the cluster goes through one, so that a scenario can cut it in the middle of a frame,
change a byte, slow it down or part the two sides. It knows nothing of what it passes on.

Not here: when harm is done, and what has to follow (``scenarios``).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

HOST = "127.0.0.1"
_CHUNK = 64 * 1024
_BUFFER = 128 * 1024  # of the kernel, a direction: a slow link must not look fast for megabytes
_RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Way(Enum):
    """A direction through the proxy, seen from the side that connects."""

    OUT = "to the target"
    BACK = "from the target"


@dataclass
class Harm:
    """What is done to one direction. It belongs to the proxy, not to one connection."""

    rate: float | None = None  # bytes a second; None: as fast as it goes
    corrupt: int = 0  # so many chunks to come have a changed byte
    cut: bool = False  # the next chunk loses its end, and the connection ends there


@dataclass
class Counts:
    """What the proxy has done so far."""

    connections: int = 0
    refused: int = 0
    cut: int = 0
    corrupted: int = 0
    bytes_out: int = 0
    bytes_back: int = 0


class FaultProxy:
    """Passes TCP connections on to a port of this machine.

    Args:
        target: The port it passes connections on to.
        name: For messages.
        port: The port it listens on; 0: any that is free.

    Used by one event loop.
    """

    def __init__(self, target: int, *, name: str = "link", port: int = 0) -> None:
        self.name = name
        self.target = target
        self.port = port
        self.counts = Counts()
        #: When it last cut a connection or changed a byte, on the monotonic clock.
        self.harmed_at = 0.0
        self._harm = {way: Harm() for way in Way}
        self._open = asyncio.Event()  # cleared while the two sides are parted
        self._open.set()
        self._refuses = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    # ---- its life ----

    async def start(self) -> None:
        """Listen."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            listener.bind((HOST, self.port))
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=_CHUNK)

    async def close(self) -> None:
        """End all connections, and listen no more."""
        if self._server is not None:
            self._server.close()
        self.reset()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> FaultProxy:
        """Listen."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all connections."""
        await self.close()

    # ---- harm ----

    @property
    def connections(self) -> int:
        """How many connections it passes on at this moment."""
        return len(self._tasks)

    def cut(self, way: Way = Way.OUT) -> None:
        """End the next connection that sends, shortly before the end of what it sends."""
        self._harm[way].cut = True

    def corrupt(self, chunks: int = 1, way: Way = Way.OUT) -> None:
        """Change one byte in each of the next chunks."""
        self._harm[way].corrupt += chunks

    def throttle(self, bytes_a_second: float | None, way: Way | None = None) -> None:
        """Pass on no more than this; None: as fast as it goes."""
        for each in Way if way is None else (way,):
            self._harm[each].rate = bytes_a_second

    def part(self, *, refuse: bool = False) -> None:
        """Pass nothing on until ``heal``.

        Connections stay as they are and say nothing, as if packets were lost. With ``refuse``
        they end, and new ones are refused, as if the other side had gone.
        """
        self._open.clear()
        self._refuses = refuse
        if refuse:
            self.reset()

    def reset(self) -> None:
        """End all connections at once."""
        for writer in list(self._writers):
            _reset(writer)

    def heal(self) -> None:
        """Do no more harm; what waited is passed on."""
        self._harm.update({way: Harm() for way in Way})
        self._refuses = False
        self._open.set()

    @property
    def is_parted(self) -> bool:
        """Whether nothing is passed on."""
        return not self._open.is_set()

    # ---- passing on ----

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with self._minding(writer):
                if self._refuses:
                    self.counts.refused += 1
                    _reset(writer)
                    return
                await self._pass_on(reader, writer)
        except asyncio.CancelledError:
            pass  # close(): the stream's own callback would report a cancelled task as an error
        finally:
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            there, back = await asyncio.open_connection(HOST, self.target, limit=_CHUNK)
        except OSError:
            self.counts.refused += 1
            _reset(writer)
            return
        with self._minding(back):
            self.counts.connections += 1
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, back, writer, Way.OUT))
                group.create_task(self._pump(there, writer, back, Way.BACK))

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        source: asyncio.StreamWriter,
        way: Way,
    ) -> None:
        """Pass one direction on until it ends; ``source`` is the other side of ``reader``."""
        paced = _Pace()
        try:
            while True:
                harm = self._harm[way]
                chunk = await reader.read(_Pace.chunk(harm.rate))
                await self._open.wait()
                if not chunk:
                    break
                await paced.take(len(chunk), self._harm[way])
                chunk, ends = self._harmed(chunk, way)
                writer.write(chunk)
                await writer.drain()
                self._count(way, len(chunk))
                if ends:
                    # The half that has arrived stays there to be read; the sender is reset.
                    writer.close()
                    _reset(source)
                    return
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            _reset(writer)
            _reset(source)

    def _harmed(self, chunk: bytes, way: Way) -> tuple[bytes, bool]:
        harm = self._harm[way]
        if harm.corrupt and len(chunk) > 1:
            harm.corrupt -= 1
            self.counts.corrupted += 1
            self.harmed_at = time.monotonic()
            spot = len(chunk) - 1 - len(chunk) // 4
            chunk = chunk[:spot] + bytes([chunk[spot] ^ 0x20]) + chunk[spot + 1 :]
        if harm.cut and len(chunk) > 1:
            harm.cut = False
            self.counts.cut += 1
            self.harmed_at = time.monotonic()
            return chunk[:-1], True
        return chunk, False

    def _count(self, way: Way, size: int) -> None:
        if way is Way.OUT:
            self.counts.bytes_out += size
        else:
            self.counts.bytes_back += size

    @contextlib.contextmanager
    def _minding(self, writer: asyncio.StreamWriter) -> Generator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.close()


class _Pace:
    """Spreads the bytes of one direction over time."""

    def __init__(self) -> None:
        self._free_at = 0.0

    @staticmethod
    def chunk(rate: float | None) -> int:
        """Return how much to read at once: 10 ms worth of a slow link."""
        return _CHUNK if rate is None else max(256, min(_CHUNK, int(rate / 100)))

    async def take(self, size: int, harm: Harm) -> None:
        """Wait until so many bytes may pass."""
        if harm.rate is None:
            return
        now = time.monotonic()
        # A timer that is late is made up for, by 50 ms at most.
        self._free_at = max(self._free_at, now - 0.05) + size / harm.rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


def _reset(writer: asyncio.StreamWriter) -> None:
    link = writer.get_extra_info("socket")
    if link is not None:
        with contextlib.suppress(OSError):  # it has ended already
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
    writer.transport.abort()
