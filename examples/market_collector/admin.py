"""The collector's answers over HTTP: its health for everybody, its breakers for operators.

Owns the paths, who may use them, and what they answer. Elsewhere: the token (``token_file``), how
long and how much a client may send (``bounded``), and whether the collector is healthy
(``health``).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from examples.market_collector.bounded import MOST_HEADER, BoundedProtocol
from examples.market_collector.token_file import read_token
from holdfast.redaction import one_line
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Protocol, Self

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from holdfast import CircuitBreaker, ResilienceManager
    from holdfast.clock import Clock

    class Health(Protocol):
        """How a collector is."""

        @property
        def healthy(self) -> bool: ...
        @property
        def running(self) -> int: ...
        @property
        def total(self) -> int: ...

    class Collector(Protocol):
        """What the server answers for."""

        @property
        def rm(self) -> ResilienceManager: ...
        @property
        def running(self) -> bool: ...
        def health(self) -> Health: ...


__all__ = ["AdminServer"]

HOST = "127.0.0.1"
ADMIN = "/api/v1/admin"
BREAKERS = f"{ADMIN}/circuit-breakers"
SEND_BUFFER = 64 * 1024  # bytes
MOST_BODY = 1024  # no request needs one
START_SECONDS = 10.0
HEALTH_SECONDS = 3.0
STOP_SECONDS = 1.0  # for answers that are on their way

_log = logging.getLogger("examples.market_collector.admin")


class Answer(Response):
    """An answer in JSON, which nobody stores."""

    def __init__(
        self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        common = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        super().__init__(
            json.dumps(content).encode() + b"\n",
            status,
            {**common, **(headers or {})},
            "application/json",
        )


# ---- what is answered ----


class _Answers:
    """The paths of one collector, for one event loop. Only its health is waited for."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._looking: asyncio.Future[Health] | None = None

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.health, methods=["GET"]),  # and HEAD
            Route("/ready", self.ready, methods=["GET"]),
            Route("/live", self.live, methods=["GET"]),
            Route(BREAKERS, self.breakers, methods=["GET"]),
            Route(f"{BREAKERS}/reset-all", self.reset_all, methods=["POST"]),
            Route(BREAKERS + "/{name:path}/reset", self.reset, methods=["POST"]),
        ]

    async def health(self, _: Request) -> Answer:
        health = await self._health()
        if health is None:
            return Answer({"status": "unknown"}, 503)
        return Answer(
            {
                "status": "healthy" if health.healthy else "unhealthy",
                "workers": {"running": health.running, "total": health.total},
            },
            200 if health.healthy else 503,
        )

    async def ready(self, _: Request) -> Answer:
        health = await self._health() if self._collector.running else None
        is_ready = health is not None and health.healthy
        return Answer({"ready": is_ready}, 200 if is_ready else 503)

    async def _health(self) -> Health | None:
        """Look in a thread, as that may take a while; None: it takes too long.

        Requests that come meanwhile get the same answer: many of them cost one thread.
        """
        looking = self._looking
        if looking is None or looking.done():
            looking = asyncio.ensure_future(asyncio.to_thread(self._collector.health))
            self._looking = looking
        done, _ = await asyncio.wait([looking], timeout=HEALTH_SECONDS)
        return looking.result() if done else None

    async def live(self, _: Request) -> Answer:
        return Answer({"live": True})

    async def breakers(self, _: Request) -> Answer:
        clock = self._collector.rm.clock
        shown = {name: _shown(breaker, clock) for name, breaker in self._breakers()}
        return Answer({"circuit_breakers": shown})

    async def reset(self, request: Request) -> Answer:
        name = request.path_params["name"]
        breaker = dict(self._breakers()).get(name)
        if breaker is None:
            raise HTTPException(404, f"no breaker is named {name[:100]!r}; GET {BREAKERS} has all")
        breaker.reset()
        return Answer({"name": name, "state": breaker.state.value})

    async def reset_all(self, _: Request) -> Answer:
        names: list[str] = []
        for name, breaker in self._breakers():
            breaker.reset()
            names.append(name)
        return Answer({"reset": names})

    def _breakers(self) -> Iterator[tuple[str, CircuitBreaker]]:
        """Return all breakers by name; that of a key has the name of its operation before it."""
        rm = self._collector.rm
        found: dict[str, Any] = {**rm.policies().get("circuit_breaker", {})}
        yield from found.items()
        for operation in rm.snapshot().keys:
            keys = rm.keys(operation)
            for key in keys:
                name = f"{operation}/{key}"
                keyed = keys.get(key)
                if keyed is not None and name not in found:
                    with suppress(LookupError):  # its operation has no breaker
                        yield name, keyed.circuit_breaker


def _shown(breaker: CircuitBreaker, clock: Clock) -> dict[str, Any]:
    seen = breaker.snapshot()
    now = clock.now()

    def ago(at: float | None) -> float | None:  # a time on our clock says nothing to a reader
        return None if at is None else round(max(0.0, now - at), 3)

    return {
        "state": seen.state.value,
        "total_requests": seen.requests,
        "successful_requests": seen.succeeded,
        "failed_requests": seen.failed,
        "rejected_requests": seen.rejected,
        "state_changes": sum(seen.state_changes.values()),
        "seconds_since_failure": ago(seen.last_failure),
        "seconds_since_success": ago(seen.last_success),
        "retry_after": seen.retry_after,
        "opened_because": None if seen.trip is None else str(seen.trip),
    }


async def _refused(_: Request, error: Exception) -> Answer:
    assert isinstance(error, HTTPException)
    return Answer({"error": error.detail}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Answer:
    _log.error("%s", one_line(f"{request.method} {request.url.path}: {error!r}"))
    return Answer({"error": "internal error"}, 500)


# ---- who may ask ----


class _Guarded:
    """Refuses requests before anything of them is looked at or done.

    Args:
        app: What answers the others.
        token: What operators show, for all paths below ``ADMIN``, known or not.
        hosts: The names of this server: those of others are of pages that a browser was sent to.
    """

    def __init__(self, app: ASGIApp, token: bytes, hosts: frozenset[str]) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._refusal(scope)
        if answer is None and scope["method"] not in {"GET", "HEAD"}:
            answer = await _refusal_of_body(receive)
        if answer is not None:
            await answer(scope, receive, send)
            return
        with suppress(Exception):  # which is answered and logged: uvicorn would log its secrets
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Answer | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            values.setdefault(name, []).append(value)
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if size + len(scope["raw_path"]) + len(scope["query_string"]) > MOST_HEADER:
            return Answer({"error": "header too large"}, 431, {"Connection": "close"})
        if scope["http_version"] not in {"1.0", "1.1"}:
            return Answer({"error": "another HTTP"}, 505, {"Connection": "close"})
        if b"transfer-encoding" in values and b"content-length" in values:
            return Answer({"error": "two lengths"}, 400, {"Connection": "close"})
        if any(host.decode("latin-1") not in self._hosts for host in values.get(b"host", [])):
            return Answer({"error": "not a name of this server"}, 421)
        if any(_host_of(origin) not in self._hosts for origin in values.get(b"origin", [])):
            return Answer({"error": "from a page of another server"}, 403)
        path = scope["path"]
        if (path + "/").startswith(ADMIN + "/") and not self._knows(values):
            return Answer({"error": "unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})
        return None

    def _knows(self, values: Mapping[bytes, list[bytes]]) -> bool:
        """Return whether a request shows the token, in a time that does not say how much of it."""
        given = values.get(b"authorization", [])
        if len(given) != 1:
            return False
        scheme, _, token = given[0].partition(b" ")
        return hmac.compare_digest(token.strip(b" "), self._token) and scheme.lower() == b"bearer"


def _host_of(origin: bytes) -> str:
    return origin.decode("latin-1").removeprefix("http://")


async def _refusal_of_body(receive: Receive) -> Answer | None:
    """Read a body to its end, as nothing is done for a request that breaks off."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] != "http.request":  # the client has gone
            return Answer({"error": "incomplete"}, 400)
        if size > MOST_BODY:
            return Answer({"error": "body too large"}, 413, {"Connection": "close"})
        if not message.get("more_body", False):
            return None


# ---- the server ----


class _Uvicorn(uvicorn.Server):
    """Says when it listens, ends when it is to, and leaves no connection behind."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_tried = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()

    def end(self) -> None:
        """Have it end; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._end.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.has_tried.set()

    async def main_loop(self) -> None:  # that of uvicorn looks ten times a second
        if not self.should_exit:
            await self._end.wait()

    async def shutdown(
        self,
        sockets: list[socket.socket] | None = None,  # noqa: ARG002 - the servers close them
    ) -> None:
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=STOP_SECONDS)
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are closed


class AdminServer:
    """Answers for a collector on the loopback interface, in a thread.

    ``GET /health``, ``/ready`` and ``/live`` are for everybody and say little. All below
    ``/api/v1/admin`` needs the header ``Authorization: Bearer TOKEN``: ``GET circuit-breakers``
    lists them, ``POST circuit-breakers/NAME/reset`` and ``POST circuit-breakers/reset-all`` close
    them. The breaker of one exchange has a name such as ``exchange/binance``.

    Args:
        collector: The collector.
        token_file: A file with the token, mode 0600. If it does not exist, it is made.
        port: The port; 0 for any that is free.

    Raises:
        ConfigError: The port is invalid, or others can read the file.

    Any thread may start and stop it.
    """

    def __init__(self, collector: Collector, token_file: str | Path, port: int = 0) -> None:
        problems = Problems("AdminServer")
        self._port = problems.integer("port", port, least=0, most=65_535)
        problems.done()
        self._token = read_token(Path(token_file))
        self._collector = collector
        self._lock = threading.Lock()
        self._running: tuple[_Uvicorn, threading.Thread, str] | None = None

    @property
    def running(self) -> bool:
        """Whether it answers."""
        running = self._running
        return running is not None and running[1].is_alive()

    @property
    def url(self) -> str:
        """Where it answers, such as "http://127.0.0.1:8080".

        Raises:
            RuntimeError: It does not run.
        """
        running = self._running
        if running is None:
            raise RuntimeError("the admin server does not run: call start()")
        return running[2]

    def start(self) -> None:
        """Answer from now on; nothing if it does already.

        Raises:
            OSError: The port is taken.
        """
        with self._lock:
            if self.running:
                return
            listener = socket.create_server((HOST, self._port), backlog=64)
            try:
                # Connections inherit it: so little waits for a client that does not read.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
                self._running = self._started(listener)
            except BaseException:
                listener.close()
                raise

    def _started(self, listener: socket.socket) -> tuple[_Uvicorn, threading.Thread, str]:
        port = listener.getsockname()[1]
        server = _Uvicorn(
            uvicorn.Config(
                self._app(port),
                http=BoundedProtocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                backlog=64,
                timeout_keep_alive=5,
                h11_max_incomplete_event_size=MOST_HEADER,
            )
        )

        def serve() -> None:
            try:
                server.run([listener])
            finally:
                listener.close()
                server.has_tried.set()

        thread = threading.Thread(target=serve, name="admin", daemon=True)
        try:
            thread.start()
            if not server.has_tried.wait(START_SECONDS) or not server.started:
                raise RuntimeError(f"the admin server did not start within {START_SECONDS:g} s")
        except BaseException:  # such as Ctrl-C
            server.end()
            raise
        return server, thread, f"http://{HOST}:{port}"

    def _app(self, port: int) -> ASGIApp:
        app = Starlette(
            routes=_Answers(self._collector).routes(),
            exception_handlers={HTTPException: _refused, Exception: _failed},
        )
        app.router.redirect_slashes = False  # or a Location would repeat what the client has sent
        names = (HOST, "localhost")
        hosts = frozenset({*names, *(f"{name}:{port}" for name in names)})
        return _Guarded(app, self._token, hosts)

    def stop(self, timeout: float = 10.0) -> bool:
        """Answer no more; return whether its thread has ended.

        Args:
            timeout: How many seconds to wait for that.
        """
        with self._lock:
            running = self._running
            if running is None:
                return True
            server, thread, _ = running
            server.end()
            thread.join(timeout)
            if thread.is_alive():
                return False
            self._running = None
            return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
