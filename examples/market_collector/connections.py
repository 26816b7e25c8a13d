"""Connections to an exchange, for httpx: each wait ends at the deadline, and closing ends them all.

The timeout of httpx is for each read alone. A server that sends a byte now and then would hold a
call for ever; here a read waits for what is left of the call's own deadline.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

import holdfast as hf

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Iterable, Iterator

__all__ = ["Connections"]

_CLOSING_SECONDS = 5.0  # for calls whose connections were just cut


class Connections(httpx.BaseTransport):
    """Connections to one server, each for one request at a time.

    The pool of httpcore is not used: while several threads use that, it may close a connection
    that it has just given to one of them.

    Args:
        url: The server.
        most: How many connections there may be.

    Safe to share between threads.
    """

    def __init__(self, url: str, most: int) -> None:
        read = httpcore.URL(url)
        self._origin = read.origin
        self._most = most
        self._state = threading.Condition()
        self._idle: list[httpcore.HTTPConnection] = []
        self._active = 0
        self._streams: set[_Stream] = set()
        self._closed = False

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._streams)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the beginning of its response."""
        connection = self._take(request.extensions.get("timeout", {}).get("pool"))
        try:
            with _errors_of_httpx():
                response = connection.handle_request(
                    httpcore.Request(
                        request.method,
                        str(request.url),
                        headers=request.headers.raw,
                        content=request.read(),
                        extensions=request.extensions,
                    )
                )
        except BaseException:
            self.give_back(connection)
            raise
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(self, connection, response)
        )

    def close(self) -> None:
        """Cut all connections: calls that wait for an answer fail. No other call is made."""
        with self._state:
            self._closed = True
            idle, self._idle = self._idle, []
            for stream in self._streams:
                stream.cut()
            self._state.notify_all()
        for connection in idle:
            connection.close()
        with self._state:  # who uses one closes it
            self._state.wait_for(lambda: not self._active, _CLOSING_SECONDS)

    # ---- connections come and go ----

    def _take(self, timeout: float | None) -> httpcore.HTTPConnection:
        """Return a connection that nobody else uses; it may not be open yet."""
        stale: list[httpcore.HTTPConnection] = []
        with self._state:
            left = _left(timeout, httpx.PoolTimeout)
            if not self._state.wait_for(lambda: self._closed or self._active < self._most, left):
                raise httpx.PoolTimeout(f"all {self._most} connections are in use")
            if self._closed:
                raise RuntimeError("the connections are closed")
            self._active += 1
            connection = None
            while self._idle and connection is None:
                last = self._idle.pop()  # the one that was used last: the others may go
                if last.is_closed() or last.has_expired():
                    stale.append(last)
                else:
                    connection = last
        for last in stale:
            last.close()
        return connection or httpcore.HTTPConnection(self._origin, network_backend=_Backend(self))

    def give_back(self, connection: httpcore.HTTPConnection) -> None:
        """Take back a connection, and keep it if it can be used again."""
        with self._state:
            is_whole = connection.is_idle() and not connection.is_closed()
            is_kept = is_whole and not self._closed
            if is_kept:
                self._idle.append(connection)
                self._leave()
        if not is_kept:
            try:
                connection.close()
            finally:
                with self._state:
                    self._leave()

    def _leave(self) -> None:
        """Note that a request has ended. The lock is held."""
        self._active -= 1
        self._state.notify_all()

    def enter_stream(self, stream: _Stream) -> None:
        """Note a connection that was opened."""
        with self._state:
            self._streams.add(stream)
            if self._closed:
                stream.cut()

    def forget_stream(self, stream: _Stream) -> None:
        """Note that a connection will be closed: from here on nobody cuts it."""
        with self._state:
            self._streams.discard(stream)


class _Body(httpx.SyncByteStream):
    """The rest of a response."""

    def __init__(
        self,
        connections: Connections,
        connection: httpcore.HTTPConnection,
        response: httpcore.Response,
    ) -> None:
        self._connections = connections
        self._connection: httpcore.HTTPConnection | None = connection
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx():
            yield from self._response.iter_stream()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                with _errors_of_httpx():
                    self._response.close()
            finally:
                self._connections.give_back(connection)


class _Backend(httpcore.NetworkBackend):
    """Opens a connection."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        inner = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        stream = _Stream(inner, self._connections)
        self._connections.enter_stream(stream)
        return stream


class _Stream(httpcore.NetworkStream):
    """One connection."""

    def __init__(self, inner: httpcore.NetworkStream, connections: Connections) -> None:
        self._inner = inner
        self._connections = connections

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._connections.forget_stream(self)
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        self._inner = self._inner.start_tls(ssl_context, server_hostname, left)
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def cut(self) -> None:
        """Have the thread that reads from it, if there is one, read its end."""
        with suppress(OSError):  # it has just been closed by the other side
            self._inner.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    """Return how long a wait may take: what httpx says, and what is left of the call's time."""
    left = hf.deadline()
    if left is None:
        return timeout
    if left <= 0:
        raise error("the time of the call is over")
    return left if timeout is None else min(timeout, left)


@contextmanager
def _errors_of_httpx() -> Generator[None]:
    """Raise errors of httpcore as those of the same name that httpx has."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error)) from error
