"""One node: its five components, the manager that brings them back, and what it does for others.

Not here: what a component does (a file each), and the cluster (``cluster``).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

import holdfast as hf
from examples.dwcp_node import journal
from examples.dwcp_node.client import ClientConfig, ResilientClient
from examples.dwcp_node.compression import Compression
from examples.dwcp_node.consensus import Consensus, NotFenced
from examples.dwcp_node.control import ControlServer
from examples.dwcp_node.effects import RememberingStore
from examples.dwcp_node.errors import LinkFullError, TransportStoppedError
from examples.dwcp_node.happenings import Diary
from examples.dwcp_node.inbox import InboxError
from examples.dwcp_node.prediction import Prediction, Source
from examples.dwcp_node.sabotage import FILLING, sabotage
from examples.dwcp_node.store import Fenced, Refused, StoreError
from examples.dwcp_node.sync import NotAccepted, Sync
from examples.dwcp_node.transport import Settings, Transport
from holdfast.supervision import ComponentManager

if TYPE_CHECKING:
    from examples.dwcp_node.config import NodeConfig
    from examples.dwcp_node.consensus import Change
    from examples.dwcp_node.deliveries import Message
    from holdfast.events import Event

HOST = "127.0.0.1"
#: Short enough for a scenario: a peer that says nothing for 1.5 s is lost.
_TIMES = Settings(
    connect_timeout=2.0,
    greeting_timeout=2.0,
    retry_backoff=0.05,
    most_backoff=0.5,
    heartbeat=0.5,
    window=16,
    most_waiting=50,
)
#: As the preset "dwcp", but for the breaker of a peer: it lets a message through after a second.
_PROTECTION = ClientConfig(circuit_reset_time=1.0, max_retry_delay=1.0)
_LINK_EVENTS = {
    "link_up": ("link to", "up"),
    "link_lost": ("link to", "lost"),
    "unreachable": ("link to", "unreachable"),
    "inbox_lost": ("link to", "inbox lost"),
    "refused": ("link from", "refused"),
    "not_stored": ("link from", "not stored"),
}
_KEYS = 400  # of random writes: some keys are written by several nodes


class Node:
    """A node. Made and run in one event loop.

    Args:
        config: Its settings.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        folder = Path(config.folder)
        name = config.name
        self.diary = Diary(name)
        self.store = RememberingStore(folder / "store.db", name)
        self.compression = Compression()
        self.transport = Transport(
            name,
            {peer: (HOST, port) for peer, port in config.peers.items()},
            folder / "inbox.db",
            port=config.listen,
            compression=self.compression,
            settings=_TIMES,
        )
        self.prediction = Prediction(lambda: cast("Source", self.transport))
        self.consensus = Consensus(
            name,
            endpoints=config.etcd,
            writer=config.writer,
            lease=config.lease,
            floor=lambda: max(0, self.store.highest),
            fence=self._fence,
        )
        self.sync = Sync(
            self.store,
            lambda: self.transport,
            list(config.peers),
            revision=lambda: self.consensus.revision,
        )
        self.client = ResilientClient(self.transport, _PROTECTION)
        self.manager = ComponentManager(
            f"node {name}",
            transport=self.transport,
            compression=self.compression,
            prediction=self.prediction,
            sync=self.sync,
            consensus=self.consensus,
            resilience=self.client.manager,
            interval=config.interval,
            first_delay=0,
            backoff=hf.Exponential(0.5, factor=2, max=4.0),
            cool_down=2.0,
        )
        self.transport.handle(FILLING, _drop)
        self.transport.on_event(self._heard_link)
        self.consensus.on_change(self._heard_consensus)
        self.manager.on_event(self._heard_manager)
        self._numbers = itertools.count(1)
        self._is_ready = False
        self._control = ControlServer(
            {
                "delivered": self._delivered,
                "digest": self._digest,
                "effect": self._effect,
                "effects": self._effects,
                "events": self.diary.read,
                "forget": self._forget,
                "healthy": self._healthy,
                "sabotage": self._sabotage,
                "send": self._send,
                "stale_effect": self._stale_effect,
                "status": self._status,
                "stream": self._stream,
                "write": self._write,
            },
            config.control,
        )

    async def run(self, ends: asyncio.Event) -> None:
        """Work until ``ends`` is set."""
        await self._control.start()
        try:
            async with self.manager:
                await self._declare_writer()
                tasks = [asyncio.create_task(each()) for each in (self._deliver, self._watch_sync)]
                await ends.wait()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self._control.close()
            self.store.close()

    def _fence(self, revision: int, leader: str) -> None:
        """Have the store refuse the effects of earlier leaders.

        Raises:
            NotFenced: The store is closed, as while its component is recovered.
        """
        try:
            self.store.fence(revision, leader)
        except StoreError as error:
            raise NotFenced(f"the store cannot be fenced: {error}") from error

    async def _declare_writer(self) -> None:
        """Where there is no etcd: let the store take the effects of the one writer."""
        writer = self._config.writer
        if writer is None:
            return
        try:
            await asyncio.to_thread(self.store.declare, writer)
        except Fenced as error:  # there was an election before: only leaders make effects
            self.diary.note("consensus", "refused", f"{error}")

    # ---- messages ----

    async def _send(
        self, peer: str, payload: str, key: str | None = None, limit: float = 10.0
    ) -> int:
        """Send a message; returns when the peer has stored it."""
        try:
            async with asyncio.timeout(limit):
                accepted = await self.client.send_message(peer, payload.encode(), key=key)
        except (LinkFullError, hf.Rejected) as error:
            self.diary.note(f"link to {peer}", "full", f"{error}")
            raise
        except TimeoutError:
            self.diary.note(f"link to {peer}", "slow", f"a message was not stored in {limit:g} s")
            raise
        return int(accepted.number)

    async def _stream(self, peer: str, seconds: float, size: int) -> float | None:
        """Fill the link to a peer for so long; return how fast it is predicted to be."""
        until = time.monotonic() + seconds

        async def fill() -> None:
            while time.monotonic() < until:
                await self.transport.send(peer, os.urandom(size), kind=FILLING)

        await asyncio.gather(*(fill() for _ in range(4)))
        return self.prediction.bandwidth(peer)

    async def _deliver(self) -> None:
        """Be the application: write each message into the journal, once."""
        while True:
            try:
                await journal.prepare(self.transport.inbox)
                while True:
                    message = await self.client.receive_message()
                    await message.confirm(journal.entry(message.payload.decode()))
            except (TransportStoppedError, InboxError, sqlite3.Error, hf.Rejected):
                await asyncio.sleep(0.05)  # its manager brings the transport back

    async def _delivered(self, prefix: str) -> list[str]:
        return await journal.read(self.transport.inbox, prefix)

    async def _forget(self, prefix: str) -> int:
        return await journal.forget(self.transport.inbox, prefix)

    # ---- the shared state ----

    async def _write(self, count: int, seed: float) -> int:
        """Write random values to random keys, which other nodes write as well."""
        random = Random(seed)
        for number in range(count):
            key = f"key-{random.randrange(_KEYS)}"
            await asyncio.to_thread(self.store.put, key, f"{self._config.name}-{number}")
        return count

    async def _digest(self) -> str:
        return await asyncio.to_thread(self.store.digest)

    # ---- effects ----

    async def _effect(self) -> int:
        """Make an effect as the leader, and return the revision that it carries."""
        effect = self.consensus.effect("effect", next(self._numbers))
        await self.sync.effect(effect)
        return int(str(effect["revision"]))

    async def _stale_effect(self, revision: int) -> dict[str, Any]:
        """Make an effect with an earlier revision, as a leader that has slept may try to."""
        effect = {
            "revision": revision,
            "writer": self._config.name,
            "key": "effect",
            "value": f"stale {next(self._numbers)}",
        }
        try:
            await self.sync.effect(effect)
        except (Refused, NotAccepted, StoreError) as error:
            return {"accepted": False, "why": f"{type(error).__name__}: {error}"}
        return {"accepted": True, "why": ""}

    async def _effects(self) -> list[tuple[int, str]]:
        return list(self.store.accepted)

    # ---- how it is ----

    async def _healthy(self) -> bool:
        """Return whether all components have started; what fails later, the manager mends."""
        self._is_ready = self._is_ready or self.manager.is_healthy()
        return self._is_ready

    async def _status(self) -> dict[str, Any]:
        components = self.manager.status()
        return {
            "unlinked": [
                peer for peer, one in self.transport.peers().items() if one.state != "connected"
            ],
            "unhealthy": [name for name, each in components.items() if not each.healthy],
            "leader": self.consensus.leader,
            "revision": self.consensus.revision,
            "client": self.client.metrics(),
        }

    async def _sabotage(self, component: str) -> str:
        return await sabotage(self, component)

    def _heard_link(self, event: Event) -> None:
        """Write down what happens to the links, in the words of the reports."""
        who, kind = _LINK_EVENTS.get(event.kind, ("link to", event.kind))
        self.diary.note(f"{who} {event.name}", kind, event.reason or "")

    def _heard_consensus(self, change: Change) -> None:
        revision = "" if change.revision is None else f"with revision {change.revision}"
        self.diary.note("consensus", change.kind, revision or f"{change.leader or 'nobody'} leads")

    def _heard_manager(self, event: Event) -> None:
        self.diary.note(event.name or "", event.kind, event.reason or "", teller="manager")

    async def _watch_sync(self) -> None:
        """Write down when the store becomes equal to that of a peer, and when it no longer is."""
        told: dict[str, str] = {}
        while True:
            for each in self.sync.status():
                if told.get(each.peer, "new") != each.state:
                    self.diary.note("sync", each.state, f"with node {each.peer}")
                told[each.peer] = each.state
            await asyncio.sleep(0.1)


async def _drop(_: Message) -> None:
    """Take a message that was only there to fill a link."""
