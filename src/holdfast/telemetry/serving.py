"""Serves a registry of Prometheus: in threads of a server, in WSGI and in ASGI applications.

A scrape that fails is answered with status 500 and the reason in plain text. The next scrape is not
affected. The contents of a scrape are in ``prometheus``, its formats in prometheus_client.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading  # whose classes gevent replaces
from collections import deque
from socketserver import ThreadingMixIn
from threading import Lock
from time import sleep
from typing import TYPE_CHECKING
from weakref import WeakSet
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from holdfast.errors import ConfigError
from holdfast.forks import call_in_child

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any, Self
    from wsgiref.types import WSGIApplication

    from prometheus_client import CollectorRegistry

    #: A status, headers and the body.
    Answer = tuple[str, list[tuple[str, str]], bytes]
    Asgi = Callable[[Any, Callable[..., Any], Callable[..., Any]], Awaitable[None]]

__all__ = ["AsgiApp", "MetricsServer", "wsgi_app_of"]

IDLE_SECONDS = 60  # after which a connection that sends nothing is closed
PAUSE_SECONDS = 0.1  # while no descriptor is left for a connection
PLAIN = ("Content-Type", "text/plain; charset=utf-8")


# ---- one scrape ----


def _answer(inner: WSGIApplication, environ: Mapping[str, Any]) -> Answer:
    """Answer a request. A scrape that fails is an answer as well."""
    method = environ["REQUEST_METHOD"]
    given: list[Any] = []
    try:
        blocks = inner(
            {**environ, "REQUEST_METHOD": "GET" if method == "HEAD" else method},
            lambda *arguments: given.extend(arguments),  # type: ignore[arg-type]
        )
        body = b"".join(blocks)
        status, headers = given[:2]
    except Exception as error:  # noqa: BLE001 - the answer says what it was
        return _failed(error)
    return status, [*headers, ("Content-Length", str(len(body)))], b"" if method == "HEAD" else body


def _failed(error: BaseException) -> Answer:
    from logging import getLogger

    known = isinstance(error, (ConfigError, OSError))
    getLogger("holdfast").error("a scrape failed: %s", error, exc_info=None if known else error)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    body = f"the scrape failed: {reason}\n".encode()
    return "500 Internal Server Error", [PLAIN, ("Content-Length", str(len(body)))], body


def wsgi_app_of(registry: CollectorRegistry) -> WSGIApplication:
    """Return a WSGI application that answers any path with the metrics."""
    inner: WSGIApplication = make_wsgi_app(registry)

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        status, headers, body = _answer(inner, environ)
        start_response(status, headers)
        return [body]

    return app


# ---- a server ----


class _Handler(WSGIRequestHandler):
    timeout = IDLE_SECONDS

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per request, and a record of the sockets that a forked child has to close."""

    daemon_threads = True
    allow_reuse_port = False  # or two processes could listen on one port, and each get some scrapes

    def __init__(self, host: str, port: int) -> None:
        self.address_family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self._connections: set[socket.socket] = set()
        super().__init__((str(address[0]), port), _Handler)
        _servers.add(self)

    def get_request(self) -> Any:
        try:
            request, address = super().get_request()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
                sleep(PAUSE_SECONDS)  # the connection waits, and would wake this thread at once
            raise
        self._connections.add(request)
        return request, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: the client has closed the connection, or has sent nothing."""

    def leave(self) -> None:
        """In a forked child: close the sockets of the parent, which stay open in the parent."""
        for one in (self.socket, *self._connections):
            fd = one.detach()  # files that were made of the socket would keep it open
            if fd >= 0:
                os.close(fd)
        self._connections.clear()


_servers: WeakSet[_Server] = WeakSet()  # those that run: their threads have a reference


def _after_fork() -> None:
    for server in list(_servers):
        server.leave()
    _servers.clear()
    for one in list(_reading):
        one.begin()


call_in_child(_after_fork)


class MetricsServer:
    """Serves ``/metrics`` in its own threads until it is stopped; also a context manager.

    A forked child does not serve: its copies of the sockets are closed, and ``stop`` has no effect
    in it.

    Attributes:
        port: The port.
        url: The address of the metrics.

    Safe to share between threads.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        try:
            self._server = _Server(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise _taken(host, port, error) from error
        self._process = os.getpid()
        self._server.set_app(_at_metrics(wsgi_app_of(registry)))
        self.port: int = self._server.server_address[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/metrics"
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="holdfast-metrics", daemon=True
        )
        try:
            self._thread.start()
        except BaseException:
            self._server.server_close()
            raise

    def stop(self) -> None:
        """Stop the server and wait until the port is free. Repeated calls have no effect."""
        if self._process != os.getpid():
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _taken(host: str, port: int, error: OSError) -> OSError:
    return OSError(
        error.errno,
        f"{error.strerror}: another process listens on {host}:{port}. If it is another worker of "
        "this application: with HOLDFAST_DIR any one process returns the metrics of all workers. "
        "Call serve_metrics() in the master process or in one worker, or mount asgi_app() or "
        "wsgi_app() in the application, or use port=0",
    )


def _at_metrics(inner: WSGIApplication) -> WSGIApplication:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return inner(environ, start_response)
        start_response("404 Not Found", [PLAIN])
        return [b"the metrics are at /metrics\n"]

    return app


# ---- ASGI ----


class AsgiApp:
    """An ASGI application that answers any path with the metrics.

    An object and not a function: a route of Starlette calls it with the scope of the request.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._inner: WSGIApplication = make_wsgi_app(registry)
        self._readers = _ReadingThread()

    async def __call__(
        self, scope: Any, receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        """Answer a request, acknowledge the life of the server, or refuse a web socket."""
        if scope["type"] == "http":
            try:
                answer = await self._readers.run(lambda: _answer(self._inner, _environ(scope)))
            except RuntimeError as error:  # no thread can be started
                answer = _failed(error)
            await _send(send, answer)
        elif scope["type"] == "lifespan":  # served by itself, not mounted
            await _acknowledge(receive, send)
        elif scope["type"] == "websocket":  # the server answers with 403
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": "only HTTP"})
        else:
            raise ValueError(f"scope: got {scope['type']!r}, allowed http, lifespan or websocket")


class _ReadingThread:
    """Runs functions for event loops in one thread, one after the other.

    The default executor of the loop may be full of calls that wait. The thread ends when no call is
    left, so there is none between two scrapes. Safe to share between threads and loops.
    """

    def __init__(self) -> None:
        self.begin()
        _reading.add(self)

    def begin(self) -> None:
        """Begin without a thread: also in a forked child, to which the thread does not belong."""
        self._lock = Lock()
        self._runs = False
        self._due: deque[tuple[AbstractEventLoop, Future[Answer], Callable[[], Answer]]] = deque()

    async def run(self, function: Callable[[], Answer]) -> Answer:
        """Return what the function returns.

        Raises:
            RuntimeError: No thread can be started.
        """
        from asyncio import get_running_loop

        try:
            loop = get_running_loop()
        except RuntimeError:
            if "trio" not in sys.modules:
                raise
            found: Answer = await sys.modules["trio"].to_thread.run_sync(function)
            return found
        answer: Future[Answer] = loop.create_future()
        with self._lock:
            if not self._runs:
                threading.Thread(target=self._run, name="holdfast-scrape", daemon=True).start()
                self._runs = True
            self._due.append((loop, answer, function))
        return await answer

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._due:
                    self._runs = False
                    return
                loop, answer, function = self._due.popleft()
            if answer.cancelled():  # the client has gone
                continue
            try:
                found = function()
            except BaseException as error:  # noqa: BLE001 - the thread has to go on
                found = _failed(error)
            try:
                loop.call_soon_threadsafe(_settle, answer, found)
            except RuntimeError:  # the loop is closed
                continue


_reading: WeakSet[_ReadingThread] = WeakSet()


def _settle(answer: Future[Answer], found: Answer) -> None:
    if not answer.done():
        answer.set_result(found)


def _environ(scope: Any) -> dict[str, Any]:
    """Return what a WSGI application reads of a request."""

    def header(name: bytes) -> str:
        values = [value for key, value in scope["headers"] if key.lower() == name]
        return b",".join(values).decode("latin-1")

    return {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": "/",
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "HTTP_ACCEPT": header(b"accept"),
        "HTTP_ACCEPT_ENCODING": header(b"accept-encoding"),
    }


async def _send(send: Callable[..., Any], answer: Answer) -> None:
    status, headers, body = answer
    await send(
        {
            "type": "http.response.start",
            "status": int(status.split()[0]),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _acknowledge(receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    while (message := await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": message["type"] + ".complete"})
