"""A real server dies and comes back: what drives a level, the level, and which function runs."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.degradation import Component, DegradationManager, Level
from holdfast.health import HealthMonitor, TcpCheck
from tests.waiting.parties import LIMIT

STABLE = 0.3  # seconds


class Server:
    """A TCP server that answers each connection with one line, until it dies."""

    def __init__(self) -> None:
        self.port = 0
        self.revive()

    def revive(self) -> None:
        """Listen, on the same port as before."""
        self._socket = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, args=(self._socket,), daemon=True)
        self._thread.start()

    def die(self) -> None:
        """Accept nothing more."""
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._socket.close()
        self._thread.join(LIMIT)

    def fetch(self) -> str:
        """Ask it, as an application does."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT) as connection:
            return connection.makefile().readline().strip()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
                with connection:
                    connection.sendall(b"fresh\n")
            except OSError:
                if listening.fileno() < 0 or not _listens(listening):
                    return


def _listens(listening: socket.socket) -> bool:
    try:
        return bool(listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.die()


class Told:
    """The levels of a component as they are told, each with the time."""

    def __init__(self, component: Component) -> None:
        self._told: queue.Queue[tuple[Level, float]] = queue.Queue()
        component.on_event(lambda event: self._told.put((event.new, time.monotonic())))

    def next(self) -> tuple[Level, float]:
        return self._told.get(timeout=LIMIT)


def make() -> tuple[Component, Told]:
    component = DegradationManager("shop", stable_time=STABLE).component("search")
    return component, Told(component)


def cached() -> str:
    return "cached"


@pytest.mark.parametrize("check", ["backend", None])
def test_a_dead_server_is_found_by_its_check_and_calls_run_degraded_until_it_is_back(server, check):
    component, told = make()
    found: queue.Queue[tuple[str, float]] = queue.Queue()
    monitor = HealthMonitor("backends", interval=0.05, timeout=LIMIT)
    monitor.add(TcpCheck("backend", "127.0.0.1", server.port, failures=2))
    monitor.on_event(lambda event: found.put((event.new.value, time.monotonic())))
    component.follow(monitor, check=check)
    with monitor:
        while found.get(timeout=LIMIT)[0] != "healthy":
            pass
        assert component.execute(server.fetch, cached) == "fresh"
        server.die()
        level, _ = told.next()
        assert level is (Level.SEVERELY_DEGRADED if check else Level.EMERGENCY)
        assert component.execute(server.fetch, cached, cached) == "cached"
        while not found.empty():
            found.get()
        server.revive()
        while (back := found.get(timeout=LIMIT))[0] != "healthy":
            pass
        level, at = told.next()
        assert level is Level.NORMAL
        assert at - back[1] >= STABLE * 0.99  # the clock of events is read a moment later
        assert component.execute(server.fetch, cached) == "fresh"


def ask(component: Component, policy: Any, server: Server) -> str:
    """Make one call, guarded and with a substitute; a failure of the server is raised."""
    answer: str = component.execute(lambda: policy.call(server.fetch), cached)
    return answer


def test_an_exhausted_error_budget_runs_calls_degraded_until_its_window_is_clean(server):
    component, told = make()
    budget = hf.ErrorBudget("send", slo=0.5, window=1, min_requests=2)
    component.follow(budget)
    assert ask(component, budget, server) == "fresh"
    server.die()
    for _ in range(2):
        with pytest.raises(OSError):  # noqa: PT011 - refused, or reset
            ask(component, budget, server)
    assert told.next()[0] is Level.DEGRADED
    assert ask(component, budget, server) == "cached"
    server.revive()
    assert told.next()[0] is Level.NORMAL
    assert ask(component, budget, server) == "fresh"


def test_an_open_breaker_runs_calls_degraded_until_a_call_shows_the_recovery(server):
    component, told = make()
    breaker = hf.CircuitBreaker(
        "backend", failure_threshold=2, reset_timeout=0.2, success_threshold=1
    )
    component.follow(breaker)
    assert ask(component, breaker, server) == "fresh"
    server.die()
    for _ in range(2):
        with pytest.raises(OSError):  # noqa: PT011 - refused, or reset
            ask(component, breaker, server)
    assert told.next()[0] is Level.DEGRADED
    assert ask(component, breaker, server) == "cached"
    assert told.next()[0] is Level.NORMAL  # to find out
    with pytest.raises(OSError):  # noqa: PT011 - refused, or reset
        ask(component, breaker, server)
    assert told.next()[0] is Level.DEGRADED
    server.revive()
    assert told.next()[0] is Level.NORMAL
    assert ask(component, breaker, server) == "fresh"
    assert breaker.state is hf.State.CLOSED
