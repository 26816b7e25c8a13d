"""ResilientClient: what a program does with the transport, under the protection of one manager.

Each peer has its own circuit breaker, limiter and bulkhead: a dead peer does not bar the others. A
message has a key, so that a retry never delivers it twice.

Elsewhere: the transport's own promises (``transport``), and the numbers of the preset
(``holdfast.manager.presets``).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import holdfast as hf
from examples.dwcp_node.errors import UnknownPeerError
from holdfast.manager import presets

if TYPE_CHECKING:
    from examples.dwcp_node.transport import Accepted, Message, PeerStatus, Transport

__all__ = ["ClientConfig", "ResilientClient"]

#: An acceptance that takes longer, in seconds, counts against the budget "slo-latency".
SLOW_SECONDS = 0.1
#: How long a peer may take to answer before it counts as not found.
DISCOVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The settings of a client; durations in seconds. The defaults are those of the preset "dwcp".

    Args:
        max_failures: Failures in a row after which a peer's breaker opens.
        circuit_timeout: How long one attempt may take.
        circuit_reset_time: How long a breaker stays open.
        max_retries: How often a failed attempt is repeated.
        initial_retry_delay: The pause before the first repetition.
        max_retry_delay: The longest pause.
        retry_multiplier: The growth of the pause.
        health_check_interval: The time between two checks.
        health_check_timeout: How long a check may take.
        requests_per_second: How many messages a peer is sent in a second.
        burst_size: How many at once.
        max_concurrent: How many may be on their way to a peer.
        max_queue_size: How many may wait for that.
        max_wait_time: How long they wait.
    """

    max_failures: int = 5
    circuit_timeout: float = 30.0
    circuit_reset_time: float = 60.0
    max_retries: int = 3
    initial_retry_delay: float = 0.1
    max_retry_delay: float = 10.0
    retry_multiplier: float = 2.0
    health_check_interval: float = 10.0
    health_check_timeout: float = 5.0
    requests_per_second: float = 1000
    burst_size: int = 100
    max_concurrent: int = 100
    max_queue_size: int = 50
    max_wait_time: float = 5.0

    def preset(self, transport: Transport) -> presets.Preset:
        """Return the preset "dwcp" with these settings, and the transport's own check."""
        breaker: dict[str, Any] = {
            "max_failures": self.max_failures,
            "timeout": self.circuit_timeout,
            "reset_timeout": self.circuit_reset_time,
        }
        network: dict[str, Any] = {
            "max_retries": self.max_retries,
            "initial_delay": self.initial_retry_delay,
            "max_delay": self.max_retry_delay,
            "multiplier": self.retry_multiplier,
            "on": (ConnectionError, TimeoutError),
        }
        check = {
            "check": "ping",
            "fn": transport.check,
            "interval": self.health_check_interval,
            "timeout": self.health_check_timeout,
        }
        return presets.get("dwcp").but(
            circuit_breakers={
                "network": breaker,
                "peer-discovery": {**breaker, "max_failures": max(1, self.max_failures // 2)},
                "receive": breaker,
            },
            retry_policies={"network": network},
            rate_limiters={
                "outbound-messages": {"rate": self.requests_per_second, "burst": self.burst_size}
            },
            bulkheads={
                "connections": {
                    "max_concurrent": self.max_concurrent,
                    "max_waiting": self.max_queue_size,
                    "max_wait": self.max_wait_time,
                }
            },
            operations={
                "peer-discovery": {"retry": "network"},
                "connection": {"circuit_breaker": "network", "bulkhead": "connections"},
            },
            checks={"transport": check},
            monitoring=False,  # start() starts it, in the event loop of the transport
        )


class ResilientClient:
    """Sends messages to peers and receives theirs, over a transport, under protection.

    Args:
        transport: The transport. If it does not run yet, ``start`` starts it, and then ``shutdown``
            stops it.
        config: Settings; None: the defaults.

    Attributes:
        manager: The manager with the preset "dwcp".

    Use it in the transport's event loop. ``async with`` starts it and shuts it down.
    """

    def __init__(self, transport: Transport, config: ClientConfig | None = None) -> None:
        self.config = config or ClientConfig()
        self.transport = transport
        self.manager = hf.ResilienceManager(
            f"client of {transport.name}", presets=self.config.preset(transport)
        )
        self._owns_transport = False

    async def start(self) -> None:
        """Start the health checks, and the transport if it does not run."""
        if not self.transport.running:
            await self.transport.start()
            self._owns_transport = True
        try:
            await self.manager.astart()
        except BaseException:
            await self.shutdown()
            raise

    async def shutdown(self) -> None:
        """Stop what ``start`` started. Twice is harmless."""
        await self.manager.astop()
        owned, self._owns_transport = self._owns_transport, False
        if owned:
            await self.transport.stop()

    async def __aenter__(self) -> ResilientClient:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()

    async def send_message(self, peer: str, payload: bytes, *, key: str | None = None) -> Accepted:
        """Send a message, and return when the peer has stored it.

        Args:
            peer: The name of the peer.
            payload: The content.
            key: What makes a repeated message the same message; None: a new key.

        Raises:
            UnknownPeerError: No such peer is configured.
            ConfigError: The payload or the key is invalid.
            holdfast.Rejected: It was not sent: the peer's breaker is open, its limit is reached …
            ConnectionError: What the last attempt ended with. It may be delivered, once, or not: an
                earlier attempt may have left. Send it again with the same key.
        """
        self._check_peer(peer)
        self.transport.check_message(payload, key=key)
        began = time.monotonic()
        accepted: Accepted = await self.manager.keyed("message", peer).acall(
            self._transmit, peer, payload, key or uuid.uuid4().hex
        )
        elapsed = time.monotonic() - began
        self.manager.record_request("slo-latency", ok=elapsed <= SLOW_SECONDS)
        return accepted

    async def receive_message(self, kind: str = "message") -> Message:
        """Return the next message, as soon as there is one. Confirm it when it is dealt with.

        The wait for a message is no part of the protected call: an idle network is no failure.

        Raises:
            TransportStoppedError: The transport does not run.
            holdfast.Rejected: Too many messages were taken in too short a time, or the breaker of
                "receive" is open. Nothing is lost: the message is received later.
        """
        while True:
            await self.transport.ready(kind)
            message: Message | None = await self.manager.aexecute("receive", self._take, kind)
            if message is not None:
                return message

    async def discover_peers(self) -> list[str]:
        """Return the names of the peers that are connected, after a try of all.

        Raises:
            ConnectionError: None can be reached.
            holdfast.Rejected: That was so too often; it is tried again later.
        """
        found: list[str] = await self.manager.aexecute("peer-discovery", self._look_around)
        return found

    async def establish_connection(self, peer: str) -> PeerStatus:
        """Return how the link to a peer is, once it is connected.

        Raises:
            UnknownPeerError: No such peer is configured.
            NotSentError: It cannot be reached.
            holdfast.Rejected: The peer's breaker is open.
        """
        self._check_peer(peer)
        status: PeerStatus = await self.manager.keyed("connection", peer).acall(
            self.transport.connect, peer
        )
        return status

    async def health_status(self) -> dict[str, str]:
        """Ask all health checks, and return the state of each."""
        checks = await self.manager.health.acheck_now()
        return {name: str(check.state) for name, check in checks.items()}

    def metrics(self) -> dict[str, Any]:
        """Return some counts. A ``Collector`` gives all of them to Prometheus."""
        budget = self.manager.error_budget("slo-availability").snapshot()
        keys = self.manager.keys("message").snapshot().keys
        states = {
            str(peer): str(its.circuit_breaker.state)
            for peer, its in keys.items()
            if its.circuit_breaker is not None
        }
        return {
            "requests": budget.total_requests,
            "failed": budget.failed_requests,
            "breakers": states,
            "transport": self.transport.statistics(),
        }

    def _check_peer(self, peer: str) -> None:
        known = self.transport.peers()
        if peer not in known:
            raise UnknownPeerError(f"no peer {peer!r}; known: {', '.join(sorted(known)) or 'none'}")

    async def _transmit(self, peer: str, payload: bytes, key: str) -> Accepted:
        return await self.transport.send(peer, payload, key=key, timeout=None)

    async def _take(self, kind: str) -> Message | None:
        return self.transport.receive_nowait(kind)

    async def _look_around(self) -> list[str]:
        peers = [*self.transport.peers()]
        reached = await asyncio.gather(*(self._reaches(peer) for peer in peers))
        found = [peer for peer, is_there in zip(peers, reached, strict=True) if is_there]
        if not found:
            raise ConnectionError("no peer can be reached")
        return found

    async def _reaches(self, peer: str) -> bool:
        try:
            async with asyncio.timeout(DISCOVERY_SECONDS):
                await self.transport.connect(peer)
        except (ConnectionError, TimeoutError):
            return False
        return True
