"""The proxy between the nodes does what harm it is told to, and no other."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine

import pytest

from examples.dwcp_node.proxy import HOST, FaultProxy, Way

FRAME = bytes(range(256)) * 40


class Target:
    """Answers with what it reads, and keeps it."""

    def __init__(self) -> None:
        self.got = b""
        self.ends = asyncio.Queue[bytes]()  # what each connection had sent when it ended
        self.port = 0

    async def __aenter__(self) -> "Target":
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here = b""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                here += data
                self.got += data
                writer.write(data)
        self.ends.put_nowait(here)
        writer.close()


def run(test: Coroutine[object, object, None]) -> None:
    async def within() -> None:
        async with asyncio.timeout(30):
            await test

    asyncio.run(within())


@contextlib.asynccontextmanager
async def linked():
    async with Target() as target, FaultProxy(target.port) as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        try:
            yield target, proxy, reader, writer
        finally:
            writer.close()


def test_without_harm_both_directions_arrive_as_they_were_sent():
    async def test() -> None:
        async with linked() as (target, proxy, reader, writer):
            writer.write(FRAME)
            assert await reader.readexactly(len(FRAME)) == FRAME
            writer.write_eof()
            assert await reader.read() == b""
            assert (target.got, await target.ends.get()) == (FRAME, FRAME)
            assert (proxy.counts.connections, proxy.counts.bytes_out) == (1, len(FRAME))

    run(test())


def test_a_cut_loses_the_end_of_what_is_sent_and_ends_both_sides():
    async def test() -> None:
        async with linked() as (target, proxy, reader, writer):
            proxy.cut()
            writer.write(FRAME)
            arrived = await target.ends.get()
            assert FRAME.startswith(arrived)
            assert 0 < len(arrived) < len(FRAME)
            with contextlib.suppress(ConnectionResetError):
                while await reader.read(65536):
                    pass  # what had come back before; then the end, one way or the other
            again, out = await asyncio.open_connection(HOST, proxy.port)
            out.write(b"whole")  # one cut is one cut
            assert await again.readexactly(5) == b"whole"
            out.close()
            assert proxy.counts.cut == 1

    run(test())


def test_one_byte_of_a_chunk_is_changed_and_the_next_chunk_is_whole():
    async def test() -> None:
        async with linked() as (_, proxy, reader, writer):
            proxy.corrupt()
            writer.write(b"a" * 100)
            got = await reader.readexactly(100)
            assert sum(byte != ord("a") for byte in got) == 1
            writer.write(b"b" * 100)
            assert await reader.readexactly(100) == b"b" * 100

    run(test())


@pytest.mark.parametrize("rate", [100_000, 1_000_000])
def test_a_slow_link_passes_its_rate_within_a_tenth(rate: int):
    async def test() -> None:
        async with linked() as (_, proxy, reader, writer):
            proxy.throttle(rate, Way.OUT)
            size = rate // 2
            began = time.monotonic()
            writer.write(bytes(size))
            await reader.readexactly(size)
            # Half a second's worth; the machine may be late, but the link is never fast.
            assert time.monotonic() - began > 0.45

    run(test())


def test_parted_sides_hear_nothing_until_the_link_heals_and_then_everything():
    async def test() -> None:
        async with linked() as (target, proxy, reader, writer):
            proxy.part()
            writer.write(b"late")
            newer, out = await asyncio.open_connection(HOST, proxy.port)
            out.write(b"too")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)
            assert (proxy.is_parted, target.got) == (True, b"")
            proxy.heal()
            assert await reader.readexactly(4) == b"late"
            assert await newer.readexactly(3) == b"too"
            out.close()

    run(test())


def test_a_link_that_refuses_ends_what_is_open_and_lets_nobody_in():
    async def test() -> None:
        async with linked() as (_, proxy, reader, writer):
            writer.write(b"x")
            await reader.readexactly(1)
            proxy.part(refuse=True)
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            newer, out = await asyncio.open_connection(HOST, proxy.port)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await newer.readexactly(1)
            out.close()
            proxy.heal()
            newer, out = await asyncio.open_connection(HOST, proxy.port)
            out.write(b"y")
            assert await newer.readexactly(1) == b"y"
            out.close()

    run(test())


def test_a_target_that_is_not_there_is_a_refused_connection():
    async def test() -> None:
        async with Target() as target:
            port = target.port
        async with FaultProxy(port) as proxy:
            reader, writer = await asyncio.open_connection(HOST, proxy.port)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            assert proxy.counts.refused == 1

    run(test())


def test_a_closed_proxy_leaves_no_task_and_no_connection():
    async def test() -> None:
        before = asyncio.all_tasks()
        async with Target() as target:
            proxy = FaultProxy(target.port)
            await proxy.start()
            reader, writer = await asyncio.open_connection(HOST, proxy.port)
            writer.write(b"x")
            await reader.readexactly(1)
            proxy.part()  # also while it holds something back
            await proxy.close()
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            await target.ends.get()
            assert proxy.connections == 0
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    run(test())
