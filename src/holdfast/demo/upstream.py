"""The demo's dependency: an HTTP server on the loopback that behaves as it is told.

A program of its own, run by path in an isolated interpreter, so it uses the standard library
alone and imports nothing of holdfast. Each path has workers of its own and a queue in front of
them, so that callers of one path cannot get in the way of another's. ``process.py`` speaks its
protocol:

    arguments    PORT, of 127.0.0.1, and a behaviour: SHORTEST LONGEST FAILING STALLING
    stdout       "ready", once connections are accepted, or "error REASON"
    stdin        a line for each change of behaviour
    end of stdin the parent is gone, however it went: leave at once
"""

from __future__ import annotations

import random
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

HOST = "127.0.0.1"
WORKERS = 3  # of each path: requests that are answered at once; the others wait their turn
STALL_SECONDS = 0.4  # how long a request that stalls keeps its worker
POLL_SECONDS = 0.05  # how long the end of stdin may go unnoticed by the accepting thread


class Behaviour(NamedTuple):
    """How requests are answered: with 200 or 503, after a delay between two bounds in seconds.

    ``failing`` is the share of requests, 0 to 1, that get a 503, ``stalling`` of those that take
    ``STALL_SECONDS``.
    """

    shortest: float
    longest: float
    failing: float = 0.0
    stalling: float = 0.0

    @classmethod
    def parse(cls, line: str) -> Behaviour:
        """Read a line of the protocol; ValueError when it is not one."""
        shortest, longest, failing, stalling = map(float, line.split())
        return cls(shortest, longest, failing, stalling)

    def line(self) -> str:
        """Return the line of the protocol that asks for this."""
        return " ".join(f"{number:g}" for number in self) + "\n"

    def draw(self) -> tuple[int, float]:
        """Return the status and the delay of one request."""
        status = 503 if random.random() < self.failing else 200
        stalls = random.random() < self.stalling
        return status, STALL_SECONDS if stalls else random.uniform(self.shortest, self.longest)


class Handler(BaseHTTPRequestHandler):
    """Answers every GET as the server's behaviour of that moment says."""

    server: Server
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; Nagle's algorithm would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Wait for a worker, let it work, then answer.

        Nothing is read meanwhile: of a client that hung up, the answer is what finds out.
        """
        with self.server.workers(self.path):
            status, seconds = self.server.behaviour.draw()
            time.sleep(seconds)
        body = b"ok\n" if status < 400 else b"failing\n"
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the clients keep the tally."""


class Server(ThreadingHTTPServer):
    """Keeps connections open, a daemon thread each; change ``behaviour`` at any time."""

    request_queue_size = 128  # the default of 5 would drop a burst and cost it a second

    def __init__(self, port: int, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._workers: dict[str, threading.Semaphore] = {}
        super().__init__((HOST, port), Handler)

    def workers(self, path: str) -> threading.Semaphore:
        """Return the workers of a path, to be entered by whoever needs one."""
        return self._workers.setdefault(path, threading.Semaphore(WORKERS))

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the host's name, which may ask a name server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client that hung up go in silence; that is what impatient clients do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main(arguments: list[str]) -> int:
    """Serve until the end of stdin."""
    port, *behaviour = arguments
    try:
        server = Server(int(port), Behaviour.parse(" ".join(behaviour)))
    except OSError as error:
        print(f"error {error.strerror}", flush=True)
        return 1
    with server:
        threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
        print("ready", flush=True)
        for line in iter(sys.stdin.readline, ""):
            server.behaviour = Behaviour.parse(line)
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
