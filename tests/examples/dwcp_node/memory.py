"""Transports in memory: what sync needs of the real one, with partitions and virtual time."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from examples.dwcp_node.store import Store
from examples.dwcp_node.sync import Sync


@dataclass
class Message:
    sender: str
    kind: str
    payload: bytes


class Network:
    """Knows the transports of all nodes, and what lies between them."""

    def __init__(self, delay=0.001):
        self.transports = {}
        self.delay = delay
        self.parted = set()
        self.healed = asyncio.Event()
        self.bytes = 0
        self.messages = 0

    def part(self, *names):
        """Part each of these nodes from all others."""
        for name in names:
            self.parted |= {frozenset((name, other)) for other in self.transports if other != name}

    def cut(self, a, b):
        self.parted.add(frozenset((a, b)))

    def heal(self):
        self.parted.clear()
        self.healed.set()
        self.healed = asyncio.Event()


class MemoryTransport:
    """Delivers in order and once, however long it takes: also what nobody waits for any more."""

    def __init__(self, network, name):
        self.network = network
        self.name = name
        self.handlers = {}
        self.is_deaf = False  # stores what comes, and hands nothing over
        self._last = {}
        network.transports[name] = self

    def handle(self, kind, handler):
        self.handlers[kind] = handler

    async def send(self, peer, payload, *, kind="message"):
        # As of a message that has left: whoever gives up waiting does not call it back.
        carried = asyncio.ensure_future(self._carry(peer, payload, kind))
        await asyncio.shield(carried)

    async def _carry(self, peer, payload, kind):
        network = self.network
        before, done = self._last.get(peer), asyncio.Event()
        self._last[peer] = done
        if before is not None:
            await before.wait()
        try:
            delay = network.delay
            await asyncio.sleep(delay() if callable(delay) else delay)
            while frozenset((self.name, peer)) in network.parted:
                await network.healed.wait()
            target = network.transports[peer]  # as of now: it may be another one
            network.bytes += len(payload)
            network.messages += 1
        finally:
            done.set()
        if not target.is_deaf and kind in target.handlers:
            await target.handlers[kind](Message(self.name, kind, payload))


async def direct(function, *arguments):
    """Call a function of the store in the loop: virtual time does not wait for threads."""
    return function(*arguments)


class Node:
    """A store and its sync."""

    def __init__(self, network, folder, name, names, **settings):
        self.network = network
        self.name = name
        self.transport = MemoryTransport(network, name)
        self.store = Store(Path(folder) / name / "state.db", name)
        loop = asyncio.get_running_loop()
        self.sync = Sync(
            self.store,
            lambda: self.transport,
            [other for other in names if other != name],
            aside=direct,
            now=loop.time,
            **settings,
        )


@contextlib.asynccontextmanager
async def cluster(folder, names="abc", delay=0.001, **settings):
    """Run nodes on a network in memory, and stop them."""
    network = Network(delay)
    nodes = [Node(network, folder, name, names, **settings) for name in names]
    for node in nodes:
        await node.sync.start()
    try:
        yield network, nodes
    finally:
        network.heal()
        for node in nodes:
            await node.sync.stop()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:  # messages that are still on their way
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def until(condition, within=10.0):
    """Wait until something is true, in the loop's time; return how many seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() - began < within, "it takes too long"
        await asyncio.sleep(0.01)
    return loop.time() - began


def are_equal(nodes):
    return len({node.store.digest() for node in nodes}) == 1
