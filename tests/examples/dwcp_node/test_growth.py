"""What a message costs with ten peers or a thousand, and what the samples say of a link's rate."""

import asyncio
import random
import statistics
import time

import pytest

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
from tests.examples.dwcp_node.faulty import Relay
from tests.examples.dwcp_node.nodes import QUICK, alive, node, nodes, take


class Peer:
    """A bare peer: it greets, and sends one message after the other."""

    def __init__(self, name, reader, writer):
        self.name, self.reader, self.writer = name, reader, writer
        self.decoder = Decoder(1024)
        self.number = 0

    async def greet(self):
        fields = {"network": "dwcp", "name": self.name, "to": "b", "epoch": 1}
        self.writer.write(encode(Frame(Kind.HELLO, body=encode_fields(fields))))
        assert (await read_frame(self.reader, self.decoder)).kind is Kind.HELLO

    async def send(self):
        self.number += 1
        body = encode_envelope(Envelope("message", None, 5, b"hello"))
        self.writer.write(encode(Frame(Kind.DATA, self.number, body)))
        assert (await read_frame(self.reader, self.decoder)).number == self.number


async def cost_of_a_message(folder, peers, messages):
    """Return the processor time of a message from one of so many connected peers."""
    names = [f"peer {number}" for number in range(peers)]
    settings = Settings(heartbeat=60, most_backlog=10**6, most_backoff=60, retry_backoff=60)
    b = node(folder, "b", settings=settings)
    await b.start()
    b._arrivals.known = names
    try:
        connected = []
        for name in names:
            peer = Peer(name, *await asyncio.open_connection("127.0.0.1", b.port))
            await peer.greet()
            connected.append(peer)
        receiving = asyncio.create_task(take(b, messages))
        began = time.process_time()
        for number in range(0, messages, 10):
            await asyncio.gather(
                *(connected[(number + other) % peers].send() for other in range(10))
            )
        await receiving
        spent = time.process_time() - began
        for peer in connected:
            peer.writer.transport.abort()
        return spent / messages
    finally:
        await b.stop()


@pytest.mark.slow
def test_a_message_costs_the_same_with_ten_peers_and_with_a_thousand(tmp_path):
    async def scene():
        costs = {
            peers: await cost_of_a_message(tmp_path / f"{peers}", peers, 2000)
            for peers in (10, 100, 1000)
        }
        print({peers: f"{cost * 1e6:.0f} µs" for peers, cost in costs.items()})
        assert costs[1000] < 3 * costs[10]

    alive(scene)


def test_a_long_backlog_makes_the_next_message_no_dearer(tmp_path):
    async def scene():
        settings = Settings(most_backlog=10**6, heartbeat=5)
        async with nodes(tmp_path, "a", "b", settings=settings) as (a, b):
            spans = []
            for _ in range(4):
                began = time.process_time()
                await asyncio.gather(*(a.send("b", b"hello") for _ in range(500)))
                spans.append(time.process_time() - began)
            assert b.statistics()["backlog"] == 2000
            assert min(spans[2:]) < 3 * min(spans[:2])
            assert len(await take(b, 2000)) == 2000

    alive(scene)


@pytest.mark.parametrize("rate", [1_000_000, 5_000_000])
def test_samples_show_the_rate_of_the_link(tmp_path, rate):
    async def scene():
        settings = Settings(heartbeat=0.5, silence=20)
        async with nodes(tmp_path, "a", "b", settings=settings) as (a, b), Relay(b.port) as relay:
            a.add_peer("b", ("127.0.0.1", relay.port))
            await a.connect("b")
            relay.rate = rate
            samples = []
            a.samples.append(samples.append)
            chance = random.Random(1)
            began = time.monotonic()
            passed = relay.passed
            await asyncio.gather(*(a.send("b", chance.randbytes(rate // 40)) for _ in range(16)))
            true_rate = (relay.passed - passed) / (time.monotonic() - began)
            trip = max((its.rtt or 0.0) for its in samples)
            rates = [
                its.bytes / (its.seconds - (0.0 if its.busy else trip))
                for its in samples
                if its.bytes
            ]
            assert len(rates) >= 10
            assert statistics.median(rates) == pytest.approx(true_rate, rel=0.2)
            assert len(await take(b, 16)) == 16

    alive(scene)


def test_a_sample_of_an_idle_link_is_its_round_trip(tmp_path):
    async def scene():
        async with nodes(tmp_path, "a", "b", settings=QUICK) as (a, _b):
            first = asyncio.get_running_loop().create_future()
            a.samples.append(lambda its: first.done() or first.set_result(its))
            sample = await first
            assert (sample.peer, sample.bytes, sample.busy) == ("b", 0, False)
            assert 0 < sample.seconds == sample.rtt < 5

    alive(scene)
