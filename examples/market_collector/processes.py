"""Processes that listen on a port of the loopback, and come back to it after they have ended.

Owns the port, and when such a process counts as started. Elsewhere: its life
(``holdfast.supervision``).
"""

from __future__ import annotations

import signal
import socket
import time
from typing import TYPE_CHECKING
from weakref import finalize

import holdfast as hf
from holdfast.supervision import ProcessComponent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from holdfast.supervision import Supervisor

__all__ = ["HOST", "Handle", "ListeningProcess", "hold_port"]

HOST = "127.0.0.1"
_STARTS_WITHIN = 25.0  # less than the supervisor waits
# What is killed for a demonstration comes back at once, each time.
_OFTEN_KILLED: dict[str, Any] = {
    "backoff": hf.Exponential(0.2, factor=2, max=2.0),
    "first_delay": 0,
    "attempts": 10,
    "healthy_after": 1.0,
}


def hold_port() -> socket.socket:
    """Return a socket that keeps its port for a server until it is closed.

    It is bound and does not listen: connections are refused until a server listens there, which
    Linux allows if that sets SO_REUSEADDR as well. Nobody else is given the port.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, 0))
    return held


class ListeningProcess(ProcessComponent):
    """A process that has started when it accepts connections.

    Args:
        name: Its name.
        command: The program and its arguments.
        port: Where it listens.
        env: Its environment; None: that of this process.
        cwd: The folder in which it runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        port: int,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        super().__init__(name, command, env=env, cwd=cwd, kill_after=2.0)
        self.port = port

    def start(self) -> None:
        """Start it, and return once it accepts connections.

        Raises:
            OSError: It cannot be started, has ended, or listens nowhere after 25 seconds.
        """
        super().start()
        until = time.monotonic() + _STARTS_WITHIN
        while not _accepts(self.port):
            if not self.running or time.monotonic() > until:
                said = " / ".join(self.last_lines)
                self.stop()
                raise OSError(f"{self.name} does not listen on port {self.port}: {said}")
            time.sleep(0.02)


def _accepts(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as link:
        link.settimeout(1.0)
        return link.connect_ex((HOST, port)) == 0


class Handle:
    """What is done to such a process, which a supervisor runs.

    The supervisor has no check of it: nobody repairs what the world outside does.

    Args:
        supervisor: The supervisor, which need not run yet.
        process: The process.
        held: What holds its port; it is given back by ``close``, or with this handle.

    Safe to share between threads.
    """

    def __init__(
        self, supervisor: Supervisor, process: ListeningProcess, held: socket.socket
    ) -> None:
        self.name = process.name
        self._supervisor = supervisor
        self._process = process
        self._give_back = finalize(self, held.close)
        self.start()

    @property
    def pid(self) -> int | None:
        """The process; None while it does not run."""
        return self._process.pid

    def start(self, timeout: float = 30.0) -> None:
        """Start it again after ``stop``. If the supervisor runs, wait until it accepts connections.

        Raises:
            TimeoutError: It does not run in time.
        """
        self._supervisor.add(self._process, **_OFTEN_KILLED)
        if self._supervisor.running:
            self.wait_until_up(timeout)

    def stop(self) -> None:
        """End it until ``start``: connections are refused.

        Raises:
            TimeoutError: It still runs after 30 seconds.
        """
        self.thaw()
        if not self._supervisor.remove(self.name, 30.0):
            raise TimeoutError(f"{self.name} does not end")

    def close(self) -> None:
        """Give back its port; it is not to be started again. Twice is harmless."""
        self._give_back()

    def kill(self) -> int | None:
        """Kill it with SIGKILL, and return which process it was; the supervisor starts another."""
        pid = self._process.pid
        self._process.signal(signal.SIGKILL)
        return pid

    def freeze(self) -> None:
        """Stop it with SIGSTOP: the kernel accepts connections, and nothing is answered."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after ``freeze``; harmless if it is not frozen."""
        self._process.signal(signal.SIGCONT)

    def wait_until_up(self, timeout: float = 30.0, *, other_than: int | None = None) -> None:
        """Wait until it accepts connections.

        Args:
            timeout: How many seconds to wait.
            other_than: A process that was killed, whose successor is waited for.

        Raises:
            TimeoutError: It does not in time.
        """
        until = time.monotonic() + timeout
        while self.pid in (None, other_than) or not _accepts(self._process.port):
            if time.monotonic() > until:
                raise TimeoutError(f"{self.name} does not run after {timeout:g} s")
            time.sleep(0.02)
