"""Transport: messages to peers, over connections that break.

What is promised:

* ``await transport.send(peer, payload)`` returns when the peer has *stored* the message in its
  inbox: it is **accepted**. From then on neither ``kill -9`` of either side nor a broken connection
  loses it.
* Each accepted message is **delivered** once: its confirmation in the inbox is one transaction, and
  an effect that is written in that transaction happens exactly once.
* If ``send`` raises ``NotSentError``, the message will not be delivered. If it raises
  ``UnknownOutcomeError``, is cancelled, or the sender dies: the message is delivered once, or not.
  Sent again with the same ``key`` it is delivered once at most, also by a restarted sender.
* Messages to one peer are stored in the order in which they were sent.

Three events and what they mean:

* The sender restarts: it begins a new epoch, with number 1. The receiver stores nothing of the old
  epoch any more.
* The receiver restarts: it finds its inbox as it was. The sender's link learns the last number
  stored, and sends what is missing.
* The receiver's inbox file is lost, or an old copy is put back: accepted messages that were not
  delivered are lost with it. The senders notice, report it ("inbox_lost"), and go on in a new
  epoch. An inbox that is damaged is not replaced: the start fails.

Elsewhere: ``frames``, ``compression``, ``inbox``, ``link``, ``arrivals``, ``deliveries``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from examples.dwcp_node.arrivals import Arrivals
from examples.dwcp_node.deliveries import Deliveries, Message
from examples.dwcp_node.errors import TransportStoppedError, UnknownPeerError
from examples.dwcp_node.frames import (
    LONGEST_HELLO,
    LONGEST_KEY,
    LONGEST_KIND,
    Decoder,
    Frame,
    Kind,
    encode,
    encode_fields,
)
from examples.dwcp_node.inbox import Inbox
from examples.dwcp_node.link import Accepted, Link, PeerStatus, Sample, read_frame
from examples.dwcp_node.settings import Settings
from holdfast.events import Event
from holdfast.health import CheckResult
from holdfast.supervision.component import Component, Exit
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from examples.dwcp_node.compression import Compression
    from examples.dwcp_node.deliveries import Handler
    from examples.dwcp_node.link import Address

__all__ = ["Accepted", "Message", "PeerStatus", "Sample", "Settings", "Transport"]

logger = logging.getLogger("dwcp_node.transport")

#: How long the transport's check may take to reach its own listener, in seconds.
CHECK_SECONDS = 3.0


class Transport(Component):
    """The transport of a node; a component: ``start``, ``stop``, ``check``, ``watch``.

    Args:
        name: The node's name, by which its peers know it.
        peers: Host and port of each peer, by name.
        inbox: The file in which the node keeps what others have sent.
        host: Where to listen.
        port: Where to listen; 0: the port is chosen by the system, and kept over restarts.
        compression: What compresses payloads; None: nothing does.
        settings: Times and limits.
        is_synced: Whether accepted messages are to survive a loss of power too.

    Attributes:
        port: Where it listens, once it has started.
        samples: Functions that are called with each ``Sample``. Append yours.

    Raises:
        ConfigError: An argument is invalid; the message names all of them.

    Start, use and stop it in one event loop.
    """

    def __init__(
        self,
        name: str,
        peers: Mapping[str, Address],
        inbox: str | Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        compression: Compression | None = None,
        settings: Settings | None = None,
        is_synced: bool = True,
    ) -> None:
        super().__init__(name)
        problems = Problems(type(self).__name__, name)
        if name in peers:
            problems.refuse("peers", name, "names other than the node's own")
        for peer, address in peers.items():
            problems.name(peer, "peers")
            _check_address(problems, f"peers[{peer!r}]", address)
        _check_address(problems, "host, port", (host, port or 1))
        problems.done()
        self.settings = settings or Settings()
        self.host = host
        self.port = port
        self.samples: list[Callable[[Sample], object]] = []
        self.inbox = Inbox(Path(inbox), is_synced=is_synced)
        self._compression = compression
        self._listeners: list[Callable[[Event], object]] = []
        self._links: dict[str, Link] = {}
        self._arrivals = Arrivals(
            name, self._links.keys(), self.settings, self.inbox,
            stored=self._stored, told=self._tell,
        )  # fmt: skip
        self._deliveries = Deliveries(
            self.inbox, self.settings, freed=self._arrivals.freed, broken=self._fail
        )
        self._runs = False
        self._epoch = 0
        self._logged_refusal = 0.0
        self._broken: BaseException | None = None
        self._ended: Callable[[Exit], object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        for peer, address in peers.items():
            self._links[peer] = self._link(peer, address)

    # Life

    def watch(self, ended: Callable[[Exit], object]) -> None:
        """Take what to call if the transport ends by itself."""
        self._ended = ended

    async def start(self) -> None:
        """Open the inbox, listen, and begin to connect to the peers.

        Raises:
            InboxError: The inbox is damaged, or another process has it.
            OSError: The port cannot be listened at.
        """
        if self._runs:
            return
        self._broken = None
        self._loop = asyncio.get_running_loop()
        try:
            await self.inbox.open(ended=self._inbox_ended)
            self._epoch = await self.inbox.next_epoch()
            self.port = await self._arrivals.start(self.host, self.port)
        except BaseException:
            await self.stop()
            raise
        self._runs = True
        self._deliveries.start()
        for link in self._links.values():
            link.start(self._epoch)

    async def stop(self) -> None:
        """Close everything. What waits to be sent fails; what waits in the inbox stays there."""
        self._runs = False
        self._ended = None
        await asyncio.gather(*(link.stop() for link in self._links.values()))
        await self._arrivals.stop()
        await self._deliveries.stop()
        await self.inbox.close()

    async def close(self) -> None:
        """As ``stop``."""
        await self.stop()

    @property
    def running(self) -> bool:
        """Whether it has started and not stopped."""
        return self._runs

    async def check(self) -> CheckResult:
        """Write to the inbox, talk to the own listener, and look at the links.

        A peer that cannot be reached degrades the result: that is no fault of this transport.
        """
        if not self._runs:
            return CheckResult.failed("the transport does not run")
        if self._broken is not None:
            return CheckResult.failed(f"the transport is broken: {self._broken}")
        dead = [peer for peer, link in self._links.items() if not link.is_working]
        dead += self._deliveries.failed_tasks()
        if dead:
            return CheckResult.failed(f"tasks have ended: {', '.join(dead)}")
        await self.inbox.run(lambda its: its.execute("UPDATE self SET epoch = epoch").rowcount)
        await self._ask_itself()
        peers = self.peers()
        lost = sorted(name for name, peer in peers.items() if peer.state == "unreachable")
        details = {"connected": sum(peer.state == "connected" for peer in peers.values())}
        if lost:
            return CheckResult.degraded(f"unreachable: {', '.join(lost)}", **details)
        return CheckResult.passed(**details)

    async def _ask_itself(self) -> None:
        async with asyncio.timeout(CHECK_SECONDS):
            reader, writer = await asyncio.open_connection(self.host, self.port)
            try:
                for frame in (self._own_hello(), Frame(Kind.PING, 1)):
                    writer.write(encode(frame))
                decoder = Decoder(LONGEST_HELLO)
                hello, pong = [await read_frame(reader, decoder) for _ in range(2)]
            finally:
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        if (hello.kind, pong.kind) != (Kind.HELLO, Kind.PONG):
            raise ConnectionError("the own listener does not answer as it should")

    def _own_hello(self) -> Frame:
        fields = {
            "network": self.settings.network, "name": self.name, "to": self.name,
            "epoch": self._epoch,
        }  # fmt: skip
        return Frame(Kind.HELLO, body=encode_fields(fields))

    # Messages

    async def send(
        self,
        peer: str,
        payload: bytes,
        *,
        kind: str = "message",
        key: str | None = None,
        timeout: float | None = 30.0,  # noqa: ASYNC109 - the error says whether it has left
    ) -> Accepted:
        """Send a message, and return when the peer has stored it.

        Args:
            peer: The name of the peer.
            payload: The content.
            kind: The kind of message: who gets it at the peer.
            key: What makes a repeated message the same message; the peer stores it once.
            timeout: How long to wait, in seconds; None: without limit.

        Raises:
            NotSentError: The message will not be delivered: the peer cannot be reached, too much
                waits for it, or the transport does not run.
            UnknownOutcomeError: The message has left, but no acknowledgement came in time.
            UnknownPeerError: No such peer is configured.
            ConfigError: The kind, the key or the payload is invalid.
        """
        if not self._runs:
            raise TransportStoppedError("the transport does not run")
        self.check_message(payload, kind, key)
        return await self._of(peer).send(kind, key, bytes(payload), timeout)

    async def receive(self, kind: str = "message") -> Message:
        """Return the next message of a kind. Confirm it, or it comes again after a restart.

        Raises:
            UnconfirmedError: A thousand messages were received and not confirmed.
            TransportStoppedError: The transport does not run, or has stopped.
            ValueError: The kind has a handler.
        """
        return await self._deliveries.receive(kind)

    async def ready(self, kind: str = "message") -> None:
        """Wait until ``receive_nowait`` has something to return or to raise."""
        await self._deliveries.ready(kind)

    def receive_nowait(self, kind: str = "message") -> Message | None:
        """As ``receive``; None if no message is there."""
        return self._deliveries.take(kind)

    def handle(self, kind: str, handler: Handler) -> Callable[[], None]:
        """Call a function with each message of a kind, one after the other.

        Args:
            kind: The kind of message.
            handler: A coroutine function. When it returns, the message is confirmed. If it returns
                a function, that is the effect of the confirmation: see ``Message.confirm``. If it
                raises, it is called again, up to five times; then the message stays in the
                inbox until the next start.

        Returns:
            What ends this. Handlers stay over a stop and a start.
        """
        return self._deliveries.handle(kind, handler)

    async def connected(self, peer: str) -> None:
        """Wait until a peer is connected. Bound it with ``asyncio.timeout``."""
        await self._of(peer).connected()

    async def connect(self, peer: str) -> PeerStatus:
        """Wait until a peer is connected or found unreachable.

        Raises:
            NotSentError: It cannot be reached, or the transport does not run.
            UnknownPeerError: No such peer is configured.
        """
        link = self._of(peer)
        await link.connect()
        return link.status()

    # Peers

    def peers(self) -> dict[str, PeerStatus]:
        """Return how the link to each peer is."""
        return {peer: link.status() for peer, link in self._links.items()}

    def add_peer(self, name: str, address: Address) -> None:
        """Add a peer, or change its address.

        Raises:
            ConfigError: The name or the address is invalid.
        """
        problems = Problems("Transport", self.name)
        problems.name(name, "peer")
        if name == self.name:
            problems.refuse("peer", name, "a name other than the node's own")
        _check_address(problems, "address", address)
        problems.done()
        if name in self._links:
            self._links[name].move(address)
            return
        link = self._links[name] = self._link(name, address)
        if self._runs:
            link.start(self._epoch)

    def cut(self, peer: str) -> None:
        """Close the connection to a peer at once; another one is made."""
        self._of(peer).cut()

    def on_event(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Call a function with each event, and return what ends this.

        Kinds: "link_up", "link_lost", "unreachable", "inbox_lost" (name: the peer), "refused" and
        "not_stored" (name: who connected, or ""), "broken" (name: the node).
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def statistics(self) -> dict[str, Any]:
        """Return counts, as plain values."""
        backlog = self.inbox.backlog
        return {
            "epoch": self._epoch,
            "accepted": {peer: link.status().accepted for peer, link in self._links.items()},
            "delivered": self._deliveries.delivered,
            "given_up": self._deliveries.given_up,
            "backlog": backlog.messages,
            "backlog_bytes": backlog.bytes,
            "connections": self._arrivals.connections,
            "refused": dict(self._arrivals.refused),
        }

    # Within

    def _link(self, peer: str, address: Address) -> Link:
        return Link(
            self.name, peer, address, self.settings, self.inbox, self._compression,
            told=self._tell, sampled=self._sample, broken=self._fail,
        )  # fmt: skip

    def _of(self, peer: str) -> Link:
        link = self._links.get(peer)
        if link is None:
            known = ", ".join(sorted(self._links)) or "none"
            raise UnknownPeerError(f"no peer {peer!r}; known: {known}")
        return link

    def check_message(self, payload: Any, kind: Any = "message", key: Any = None) -> None:
        """Raise a ``ConfigError`` that names all that ``send`` would refuse about a message."""
        problems = Problems("message")
        most = self.settings.most_payload
        if not isinstance(payload, (bytes, bytearray, memoryview)):
            problems.refuse("payload", payload, "bytes")
        elif (size := memoryview(cast("bytes", payload)).nbytes) > most:
            problems.refuse("payload", f"{size} bytes", f"at most {most} bytes")
        if not isinstance(kind, str) or not 1 <= len(kind.encode()) <= LONGEST_KIND:
            problems.refuse("kind", kind, f"a string of 1 to {LONGEST_KIND} bytes")
        if key is not None and (
            not isinstance(key, str) or not 1 <= len(key.encode()) <= LONGEST_KEY
        ):
            problems.refuse("key", key, f"a string of 1 to {LONGEST_KEY} bytes, or None")
        problems.done()

    def _stored(self, kinds: Any) -> None:
        self._deliveries.arrived(kinds)

    def _sample(self, sample: Sample) -> None:
        for listener in [*self.samples]:
            try:
                listener(sample)
            except Exception:
                logger.exception("A listener of samples failed")

    def _tell(self, kind: str, name: str, reason: str) -> None:
        now = time.monotonic()
        if kind != "refused" or now - self._logged_refusal >= 1.0:  # anyone can cause refusals
            level = logging.INFO if kind == "link_up" else logging.WARNING
            logger.log(level, "%s: %s %s %s", self.name, kind, name, reason)
            self._logged_refusal = now if kind == "refused" else self._logged_refusal
        event = Event(kind, None, name, reason=reason, at=now)
        for listener in [*self._listeners]:
            try:
                listener(event)
            except Exception:
                logger.exception("A listener of events failed")

    def _inbox_ended(self, error: BaseException) -> None:
        """Pass on, from the inbox's thread, that the inbox works no more."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        """Note that the transport works no more, and say so once."""
        if not self._runs or self._broken is not None:
            return
        self._broken = error
        self._tell("broken", self.name, str(error))
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(Exit(error=error))


def _check_address(problems: Problems, field: str, address: Any) -> None:
    try:
        host, port = address
        is_one = isinstance(host, str) and isinstance(port, int) and 1 <= port <= 65535
    except (TypeError, ValueError):
        is_one = False
    if not is_one:
        problems.refuse(field, address, "a host and a port from 1 to 65535")
