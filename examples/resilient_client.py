"""A client of a network of peers, with everything it does under the protection of one manager.

Run ``python examples/resilient_client.py``. Two small TCP servers are the peers. The client
discovers them, sends and receives; then a peer goes away and comes back. The manager has the preset
"dwcp", with shorter times, so that the example takes two seconds.
"""

import socket
import socketserver
import threading
import time
from dataclasses import dataclass
from typing import Any

import holdfast as hf
from holdfast.manager import presets

Address = tuple[str, int]


class Peer(socketserver.StreamRequestHandler):
    """In place of a peer: it answers each line with the same line in capitals."""

    def handle(self) -> None:
        """Answer."""
        for line in self.rfile:
            self.wfile.write(line.upper())


class Server(socketserver.ThreadingTCPServer):
    """Serves a peer."""

    allow_reuse_address = True
    daemon_threads = True

    @property
    def address(self) -> Address:
        """Host and port."""
        return "127.0.0.1", int(self.server_address[1])


def serve(port: int = 0) -> Server:
    server = Server(("127.0.0.1", port), Peer)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@dataclass(frozen=True)
class Config:
    """The settings of a client; durations in seconds."""

    max_failures: int = 5
    circuit_timeout: float = 30.0
    circuit_reset_time: float = 60.0
    max_retries: int = 3
    initial_retry_delay: float = 0.1
    max_retry_delay: float = 10.0
    retry_multiplier: float = 2.0
    requests_per_second: float = 1000
    burst_size: int = 100
    max_concurrent: int = 100
    max_queue_size: int = 50
    max_wait_time: float = 5.0

    def preset(self) -> presets.Preset:
        """Return the preset "dwcp" with these settings."""
        breaker: dict[str, Any] = {
            "max_failures": self.max_failures,
            "timeout": self.circuit_timeout,
            "reset_timeout": self.circuit_reset_time,
        }
        return presets.get("dwcp").but(
            circuit_breakers={
                "network": breaker,
                "peer-discovery": {**breaker, "max_failures": max(1, self.max_failures // 2)},
            },
            retry_policies={
                "network": {
                    "max_retries": self.max_retries,
                    "initial_delay": self.initial_retry_delay,
                    "max_delay": self.max_retry_delay,
                    "multiplier": self.retry_multiplier,
                }
            },
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
            operations={"peer-discovery": {"retry": "network"}},
        )


class Client:
    """Sends messages to peers and receives their answers."""

    def __init__(self, config: Config, known: list[Address]) -> None:
        self._known = known
        self._peers: list[Address] = []
        self.manager = hf.ResilienceManager("client", presets=config.preset())
        # Sending is a whole exchange: it takes and gives back its connection.
        self._send = self.manager.operation("message")(self._exchange)
        self._discover = self.manager.operation("peer-discovery")(self._look_around)

    def discover_peers(self) -> list[Address]:
        """Return the peers that can be reached."""
        self._peers = self._discover()
        return self._peers

    def establish_connection(self, peer: Address) -> socket.socket:
        """Return a connection to a peer; it takes no longer than the call may still take."""
        return socket.create_connection(peer, timeout=hf.deadline(5.0))

    def send_message(self, peer: Address, message: str) -> str:
        """Send a message, and return the answer.

        Raises:
            OSError: The peer cannot be reached.
            holdfast.Rejected: The message was not sent, to spare the peer or ourselves.
        """
        began = time.monotonic()
        answer: str = self._send(peer, message)
        self.manager.record_request("slo-latency", ok=time.monotonic() - began <= 0.1)
        return answer

    def receive_message(self, connection: socket.socket) -> str:
        """Return the next line of a peer."""
        with connection.makefile("r", encoding="utf-8") as lines:
            return lines.readline().rstrip("\n")

    def get_health_status(self) -> dict[str, str]:
        """Return the state of each health check."""
        self.manager.health.check_now()
        checks = self.manager.health.snapshot().checks
        return {name: str(check.state) for name, check in checks.items()}

    def get_metrics(self) -> dict[str, float]:
        """Return some counts; a ``Collector`` gives all of them to Prometheus."""
        breaker = self.manager.circuit_breaker("network").snapshot()
        budget = self.manager.error_budget("slo-availability").snapshot()
        return {
            "attempts": breaker.admitted,
            "rejected": breaker.rejected,
            "requests": budget.total_requests,
            "failed": budget.failed_requests,
        }

    def shutdown(self) -> None:
        """Stop what runs in the background."""
        self.manager.stop()

    def _exchange(self, peer: Address, message: str) -> str:
        with self.establish_connection(peer) as connection:
            connection.sendall(f"{message}\n".encode())
            return self.receive_message(connection)

    def _look_around(self) -> list[Address]:
        found: list[Address] = []
        for peer in self._known:
            try:
                self.establish_connection(peer).close()
            except OSError:
                continue
            found.append(peer)
        if not found:
            raise ConnectionError("no peer can be reached")
        return found


def attempt(client: Client, peer: Address, message: str) -> str:
    try:
        return client.send_message(peer, message)
    except hf.CircuitOpenError:
        return "not sent: the circuit breaker is open"
    except OSError as error:
        return f"failed: {type(error).__name__}"


def main() -> None:
    one, other = serve(), serve()
    config = Config(
        max_failures=4, circuit_reset_time=0.3, initial_retry_delay=0.01, max_retry_delay=0.05
    )
    client = Client(config, [one.address, other.address])
    peers = client.discover_peers()
    print("peers:   ", len(peers))
    print("answer:  ", attempt(client, peers[0], "hello"))

    _, port = one.address
    one.shutdown()
    one.server_close()
    print("peer gone:", attempt(client, peers[0], "are you there?"))
    print("again:   ", attempt(client, peers[0], "are you there?"))

    one = serve(port)
    time.sleep(0.35)  # the breaker lets a probe through after 0.3 seconds
    answers = [attempt(client, peers[0], "hello again") for _ in range(3)]
    print("back:    ", answers[-1])
    print("breaker: ", client.manager.circuit_breaker("network").state)
    print("health:  ", client.get_health_status())
    print("metrics: ", client.get_metrics())
    print(client.manager.operation("message").describe())
    client.shutdown()
    for server in (one, other):
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
