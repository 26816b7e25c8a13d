"""How a node is told what to do, and asked how it is: one line of JSON each way, on the loopback.

A request is ``{"id": 1, "do": "status", …}``. The answer is ``{"id": 1, "result": …}``, or
``{"id": 1, "error": "what went wrong", "kind": "TimeoutError"}``. Requests of one connection
may be answered in another order.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Command = Callable[..., Awaitable[Any]]

HOST = "127.0.0.1"
LONGEST_LINE = 4 * 1024 * 1024
MOST_AT_ONCE = 256


class ControlError(Exception):
    """The node has answered that the command failed.

    Attributes:
        kind: The class of the error in the node.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class ControlServer:
    """Answers requests with what the commands of a node return.

    Args:
        commands: A coroutine function for each command; what a request names beside ``do``
            and ``id`` are its arguments.
        port: The port of the loopback to listen on; 0: any that is free.
    """

    def __init__(self, commands: Mapping[str, Command], port: int = 0) -> None:
        self.port = port
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(
            self._serve, HOST, self.port, limit=LONGEST_LINE, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more; requests that are not answered yet are cancelled."""
        if self._server is None:
            return
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        room = asyncio.Semaphore(MOST_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                while line := await reader.readline():
                    await room.acquire()
                    answering = group.create_task(self._answer(line, writer))
                    answering.add_done_callback(lambda _: room.release())
        except (asyncio.CancelledError, OSError, ValueError):
            pass  # close(); the other side has gone; a line without an end
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        answer = await self._do(line)
        if not writer.is_closing():
            writer.write(json.dumps(answer).encode() + b"\n")

    async def _do(self, line: bytes) -> dict[str, Any]:
        number: object = None
        try:
            request = json.loads(line)
            number = request.pop("id", None)
            name = request.pop("do", None)
            if name not in self._commands:
                known = ", ".join(sorted(self._commands))
                raise ValueError(f"do={name!r} is no command; there are: {known}")
            return {"id": number, "result": await self._commands[name](**request)}
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            return {"id": number, "error": str(error), "kind": type(error).__name__}


class Control:
    """A connection to a node's control port that is made when it is needed, for one event loop."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, do: str, *, within: float = 10.0, **arguments: object) -> Any:
        """Have a command done, and return its result.

        Args:
            do: The command.
            within: How many seconds it may take.
            arguments: Those of the command.

        Raises:
            ControlError: The command failed.
            OSError: The node cannot be reached, is gone, or has not answered in time
                (``TimeoutError``): then nobody knows whether the command was done.
        """
        async with asyncio.timeout(within):
            writer = await self._connected()
            number = next(self._numbers)
            future = self._waiting[number] = asyncio.get_running_loop().create_future()
            try:
                writer.write(json.dumps({"id": number, "do": do, **arguments}).encode() + b"\n")
                await writer.drain()
                return await future
            finally:
                self._waiting.pop(number, None)
                if not future.cancel() and not future.cancelled():
                    future.exception()  # nobody else asks, if writing has failed first

    async def close(self) -> None:
        """End the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection(
                    HOST, self.port, limit=LONGEST_LINE
                )
                self._reading = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = json.loads(line)
                future = self._waiting.get(answer["id"])
                if future is None or future.done():
                    continue  # nobody waits for it any longer
                if "error" in answer:
                    future.set_exception(ControlError(answer["kind"], answer["error"]))
                else:
                    future.set_result(answer["result"])
        except (OSError, ValueError):
            pass  # it is gone, perhaps in the middle of a line: those who wait are told below
        finally:
            self._writer = self._reading = None
            writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionResetError("the node has gone"))


def ask(port: int, do: str, *, within: float = 5.0, **arguments: object) -> Any:
    """Have one command done over a connection of its own, from a thread.

    Raises:
        ControlError: The command failed.
        OSError: The node cannot be reached, is gone, or has not answered in time.
    """
    with socket.create_connection((HOST, port), timeout=within) as link:
        link.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
        with link.makefile("rb") as lines:
            line = lines.readline()
    if not line.endswith(b"\n"):  # it has ended in the middle of it
        raise ConnectionResetError("the node has gone")
    answer = json.loads(line)
    if "error" in answer:
        raise ControlError(answer["kind"], answer["error"])
    return answer["result"]
