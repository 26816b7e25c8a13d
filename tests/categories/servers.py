"""Servers on this machine that fail as they are told to, one way for each connection."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Behaviour = Callable[[socket.socket], object]


class Server:
    """Accepts connections in a thread; each is handled before the next one is accepted.

    The last behaviour is repeated. A connection stays open until its behaviour closes it, or
    until the server stops.
    """

    def __init__(self, *behaviours: Behaviour, certificate: Path | None = None) -> None:
        self.connections = 0
        self.scheme = "https" if certificate else "http"
        self._behaviours = behaviours
        self._open: list[socket.socket] = []
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._tls:
            self._tls.load_cert_chain(certificate)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"{self.scheme}://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *raised):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        for connection in self._open:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.settimeout(5)
            behaviour = self._behaviours[min(self.connections, len(self._behaviours) - 1)]
            self.connections += 1
            # A client that breaks off is what some of these are about.
            with contextlib.suppress(OSError, EOFError):
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                behaviour(connection)
            self._open.append(connection)


@contextlib.contextmanager
def refused_port() -> Iterator[int]:
    """A port on which nothing listens, and which no other process gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := connection.recv(size - len(data))):
            raise EOFError
        data += more
    return data


# ---- any protocol ----


def close(connection: socket.socket) -> None:
    """Read what has been sent, and close in an orderly way."""
    connection.recv(65536)
    connection.close()


def reset(connection: socket.socket) -> None:
    """Read what has been sent, and reset the connection."""
    connection.recv(65536)
    drop(connection)


def drop(connection: socket.socket) -> None:
    """Reset the connection before anything is said."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def silence(connection: socket.socket) -> None:
    """Say nothing until the server stops."""


# ---- HTTP ----


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer the request with a status and close."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    def reply(connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65536)):
                raise EOFError
            data += more
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        connection.close()

    return reply


def break_off(connection: socket.socket) -> None:
    """Send a part of the body that was announced, and close."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome of it")
    connection.close()


def nonsense(connection: socket.socket) -> None:
    """Send something that is not HTTP."""
    connection.recv(65536)
    connection.sendall(b"220 mail.example ESMTP\r\n")
    connection.close()
