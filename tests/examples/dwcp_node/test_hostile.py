"""Whoever connects may send anything: nothing of it is stored, and the node goes on."""

import asyncio
import contextlib
import json
import os
import random
import socket
import sqlite3
import time

import pytest

from examples.dwcp_node.compression import Compression
from examples.dwcp_node.frames import (
    Decoder,
    Envelope,
    Frame,
    Kind,
    encode,
    encode_envelope,
    encode_fields,
)
from examples.dwcp_node.link import read_frame
from examples.dwcp_node.settings import Settings
from tests.examples.dwcp_node.nodes import QUICK, alive, node, nodes, take, until

IMPATIENT = Settings(greeting_timeout=0.2, heartbeat=0.05, retry_backoff=0.02)


def hello(**others):
    fields = {"network": "dwcp", "name": "a", "to": "b", "epoch": 1, **others}
    return encode(Frame(Kind.HELLO, body=encode_fields(fields)))


def data(number, payload=b"x", **others):
    envelope = {"kind": "message", "key": None, "size": len(payload), "content": payload, **others}
    return encode(Frame(Kind.DATA, number, encode_envelope(Envelope(**envelope))))


@contextlib.asynccontextmanager
async def connected(transport, buffer=None):
    with socket.socket() as sock:
        sock.setblocking(False)
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", transport.port))
        reader, writer = await asyncio.open_connection(sock=sock.dup())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def victim(folder, settings=QUICK):
    """Start a node that knows a peer which is not there."""
    transport = node(folder, "b", {"a": ("127.0.0.1", 9)}, settings=settings)
    await transport.start()
    try:
        yield transport
        assert transport.statistics()["backlog"] == 0
        assert (await transport.check()).verdict in ("passed", "degraded")
    finally:
        await transport.stop()


async def ends(reader):
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass


async def refusal(transport, stream):
    """Send bytes as a first frame, and return the reason in the answer; "" if there is none."""
    async with connected(transport) as (reader, writer):
        writer.write(stream)
        try:
            answer = await read_frame(reader, Decoder(1024))
        except ConnectionError:
            return ""
        await ends(reader)
        return json.loads(answer.body)["refused"]


def test_strangers_and_strange_greetings_are_refused_with_the_reason(tmp_path):
    async def scene():
        async with victim(tmp_path) as b:
            for stream, reason in [
                (hello(name="stranger"), "unknown"),
                (hello(network="another"), "network"),
                (hello(to="c"), "name"),
                (hello(epoch=0), "epoch"),
                (hello(epoch=-1), "epoch"),
                (hello(epoch=2**63 - 1), "epoch"),
                (hello(epoch=10**300), "epoch"),
                (hello(epoch="1"), ""),
                (hello(name=["a"]), ""),
                (encode(Frame(Kind.HELLO, body=b"{}")), ""),
                (encode(Frame(Kind.HELLO, body=b"[" * 1024)), ""),
                (encode(Frame(Kind.HELLO, body=bytes(1025))), ""),
                (encode(Frame(Kind.PING)), ""),
                (data(1), ""),
                (b"GET / HTTP/1.1\r\nHost: b\r\n\r\n", ""),
                (b"\x16\x03\x01\x02\x00" + bytes(100), ""),
            ]:
                assert (stream, await refusal(b, stream)) == (stream, reason)
            assert sum(b.statistics()["refused"].values()) == 16

    alive(scene)


def test_a_greeting_in_an_epoch_that_is_over_is_refused_and_told_the_latest(tmp_path):
    async def scene():
        async with victim(tmp_path) as b, connected(b) as (reader, writer):
            writer.write(hello(epoch=7))
            assert json.loads((await read_frame(reader, Decoder(1024))).body)["last"] == 0
            assert await refusal(b, hello(epoch=6)) == "outlived"
            writer.write(encode(Frame(Kind.PING, 3)))  # the later life still has its connection
            assert (await read_frame(reader, Decoder(1024))).number == 3

    alive(scene)


def test_what_must_not_follow_a_greeting_ends_the_connection_and_stores_nothing(tmp_path):
    async def scene():
        compression = Compression()
        await compression.start()
        codec, bomb = compression.compress(bytes(100 << 20))
        bombs = [
            encode(Frame(Kind.DATA, 1, encode_envelope(Envelope("m", None, size, bomb)), codec))
            for size in (1000, QUICK.most_payload, QUICK.most_payload + 1, 2**32 - 1)
        ]
        async with victim(tmp_path) as b:
            for epoch, stream in enumerate(
                [
                    *bombs,
                    data(2),  # number 1 is missing
                    data(0) + data(3),
                    hello(),
                    encode(Frame(Kind.ACK, 1)),
                    encode(Frame(Kind.PONG, 1)),
                    encode(Frame(Kind.PING, 1, b"body")),
                    encode(Frame(Kind.DATA, 1, b"")),
                    encode(Frame(Kind.DATA, 1, b"\xff" * 10)),
                    encode(Frame(Kind.DATA, 1, encode_envelope(Envelope("m", None, 1, b"xx")))),
                    encode(Frame(Kind.DATA, 1, encode_envelope(Envelope("m", None, 1, b"x")), 77)),
                    data(1, kind="k" * 65),
                    bytes(30),
                ],
                start=1,
            ):
                async with connected(b) as (reader, writer):
                    writer.write(hello(epoch=epoch) + stream)
                    await ends(reader)
                assert b.statistics()["backlog"] == 0, stream[:100]

    alive(scene)


def test_the_check_of_a_node_cannot_be_misused_to_send(tmp_path):
    async def scene():
        async with victim(tmp_path) as b, connected(b) as (reader, writer):
            writer.write(hello(name="b") + data(1))
            await ends(reader)
            assert b.statistics()["refused"] == {"order": 1}

    alive(scene)


def test_whoever_says_nothing_is_sent_away(tmp_path):
    async def scene():
        async with victim(tmp_path, IMPATIENT) as b:
            for stream in (b"", hello()[:10], hello(epoch=5)):
                async with connected(b) as (reader, writer):
                    writer.write(stream)
                    await ends(reader)
            assert b.statistics()["refused"] == {"silent": 3}

    alive(scene)


def test_many_strangers_do_not_keep_a_peer_out(tmp_path):
    async def scene():
        settings = Settings(most_strangers=8, greeting_timeout=30)
        async with nodes(tmp_path, "a", "b", settings=settings) as (a, b):
            strangers = [await asyncio.open_connection("127.0.0.1", b.port) for _ in range(60)]
            a.cut("b")
            await a.send("b", b"1")
            assert await take(b, 1) == [b"1"]
            assert b.statistics()["connections"] <= 10
            for _, writer in strangers:
                writer.transport.abort()

    alive(scene)


def test_a_peer_that_does_not_read_is_cut(tmp_path):
    async def scene():
        async with victim(tmp_path, IMPATIENT) as b, connected(b, 4096) as (_reader, writer):
            writer.transport.pause_reading()
            writer.write(hello())
            ping = encode(Frame(Kind.PING, 1)) * 1000
            with contextlib.suppress(ConnectionError):
                while not writer.is_closing():
                    writer.write(ping)
                    await writer.drain()
            await until(lambda: b.statistics()["connections"] == 0)

    alive(scene)


@pytest.mark.fuzz
def test_no_stream_of_mutated_frames_harms_a_node(tmp_path, fuzz_seconds):
    async def scene():
        chance = random.Random(os.environ.get("FUZZ_SEED", "1"))
        epoch = 0
        good = [encode(Frame(Kind.PING, 1)), data(1), data(2, b"y" * 300), data(3, key="k")]
        async with nodes(tmp_path, "c", "b") as (c, b):
            b.add_peer("a", ("127.0.0.1", 9))
            end = time.monotonic() + min(fuzz_seconds, 40)
            while time.monotonic() < end:
                epoch += 1
                stream = bytearray(hello(epoch=epoch) if chance.random() < 0.8 else b"")
                for _ in range(chance.randrange(6)):
                    stream += chance.choice([*good, chance.randbytes(chance.randrange(60))])
                for _ in range(chance.choice([0, 0, 1, 5])):
                    if stream:
                        stream[chance.randrange(len(stream))] = chance.randrange(256)
                async with connected(b) as (reader, writer):
                    writer.write(stream[: chance.randrange(len(stream) + 1)])
                    if writer.can_write_eof():
                        writer.write_eof()
                    await ends(reader)
            await c.send("b", b"still here")
            payloads = await take(b, b.statistics()["backlog"])
            assert set(payloads) <= {b"x", b"y" * 300, b"still here"}
            assert b"still here" in payloads
            assert (await b.check()).verdict in ("passed", "degraded")

    alive(scene)


def test_other_users_cannot_read_an_inbox(tmp_path):
    async def scene():
        umask = os.umask(0)
        try:
            async with nodes(tmp_path, "a", "b") as (a, b):
                await a.send("b", b"1")
                assert oct((tmp_path / "b").stat().st_mode & 0o777) == "0o700"
                for file in (tmp_path / "b").iterdir():
                    assert (file.name, oct(file.stat().st_mode & 0o777)) == (file.name, "0o600")
                await take(b, 1)
        finally:
            os.umask(umask)

    alive(scene)


def test_an_inbox_file_of_another_kind_or_version_is_refused(tmp_path):
    async def scene():
        (tmp_path / "b").mkdir()
        with contextlib.closing(sqlite3.connect(tmp_path / "b" / "inbox.db")) as its:
            its.execute("CREATE TABLE other (a)")
        with pytest.raises(RuntimeError, match="is no inbox of version 1"):
            await node(tmp_path, "b").start()

    alive(scene)
