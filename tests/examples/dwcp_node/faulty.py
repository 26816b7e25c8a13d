"""A relay between two transports that cuts, corrupts, holds back and slows down what passes."""

import asyncio
import contextlib
from collections.abc import Callable

CHUNK = 4096


class Relay:
    """Passes bytes on to a port, each connection as the harm of the moment says.

    Args:
        port: Where to pass bytes on to.

    Attributes:
        harm: Called with the direction ("there" or "back"), how many bytes passed before on this
            connection, and the next ones. It returns what to pass on instead; None cuts the
            connection in both directions.
        held: While it is set, nothing passes.
        rate: Bytes a second, together; None: as fast as it goes.
        connections: How many were made.
        passed: Bytes that were passed on, in both directions.
    """

    def __init__(self, port: int) -> None:
        self.to = port
        self.port = 0
        self.harm: Callable[[str, int, bytes], bytes | None] = lambda way, before, data: data
        self.held = False
        self.rate: float | None = None
        self.connections = 0
        self.passed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, reader, writer):
        task = asyncio.create_task(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader, writer):
        self.connections += 1
        try:
            await self._both_ways(reader, writer)
        finally:
            writer.transport.abort()

    async def _both_ways(self, reader, writer):
        with contextlib.suppress(OSError):
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.to)
            ways = [
                asyncio.create_task(self._pass("there", reader, other_writer)),
                asyncio.create_task(self._pass("back", other_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.wait(ways)
                other_writer.transport.abort()

    async def _pass(self, way, reader, writer):
        passed = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                while self.held:  # noqa: ASYNC110 - the test says when
                    await asyncio.sleep(0.005)
                if self.rate is not None and way == "there":
                    await asyncio.sleep(len(data) / self.rate)
                harmed = self.harm(way, passed, data)
                passed += len(data)
                if harmed is None:
                    return
                self.passed += len(harmed)
                writer.write(harmed)
                await writer.drain()
