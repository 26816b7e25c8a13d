"""The life of the upstream's process: started, told, killed with SIGKILL, started again.

The child leaves when its stdin ends, and only this process holds the other end of that pipe,
so no child outlives its parent whatever ended it, SIGKILL included. (A parent-death signal
would not do: it is sent when the *thread* that started the child ends.)
"""

from __future__ import annotations

import errno
import selectors
import socket
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from holdfast.demo import upstream

if TYPE_CHECKING:
    from types import TracebackType
    from typing import IO

    from holdfast.demo.upstream import Behaviour

READY_WITHIN_SECONDS = 20.0
LEAVE_WITHIN_SECONDS = 2.0

#: Linux lets the upstream listen on a port that its parent has bound and does not listen on;
#: elsewhere the parent can only choose one.
CAN_HOLD_PORTS = sys.platform == "linux"


class UpstreamError(RuntimeError):
    """The upstream could not be started, told or reached."""


class PortError(UpstreamError):
    """The port that was asked for cannot be had."""


def hold_port(port: int | None) -> socket.socket:
    """Bind a loopback port without listening on it, to keep it for the upstream.

    Between a kill and the next start nobody else gets the port. That matters on the loopback:
    a client that connects to an unheld ephemeral port may be given the same port as its source
    and then talks to itself, and the upstream finds its port taken.

    Args:
        port: 1 to 65535, or None for any that is free.

    Raises:
        PortError: it is taken, or this user may not have it.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((upstream.HOST, port or 0))
    except OSError as error:
        held.close()
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise PortError(
            f"--port: {port} on {upstream.HOST} {why}; choose another port, "
            "or omit it for a free one"
        ) from error
    return held


class UpstreamProcess:
    """One upstream at a time on one port. Used by one thread at a time."""

    def __init__(self, port: int | None = None) -> None:
        self._held = hold_port(port)
        self.port: int = self._held.getsockname()[1]
        if not CAN_HOLD_PORTS:
            self._held.close()
        self._child: subprocess.Popen[str] | None = None
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as self

    def __enter__(self) -> UpstreamProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process there is, None while there is none."""
        return None if self._child is None else self._child.pid

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{upstream.HOST}:{self.port}/"

    def start(self, behaviour: Behaviour) -> None:
        """Start a process and return once it accepts connections and behaves so.

        Raises:
            UpstreamError: it did not get ready, with what it said.
        """
        if self._child is not None:
            raise UpstreamError(f"the upstream is running already, pid {self._child.pid}")
        # Isolated (-I): a directory the demo is started from cannot shadow the standard library.
        # A session of its own: the terminal's Ctrl-C is for the parent, which then closes stdin.
        self._child = subprocess.Popen(
            [sys.executable, "-I", upstream.__file__, str(self.port), *behaviour.line().split()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,
        )
        said = self._first_line()
        if said != "ready":
            self.kill()
            self._stderr.seek(0)
            detail = said or self._stderr.read().decode(errors="replace").strip()
            raise UpstreamError(f"the upstream did not start: {detail or 'no output'}")

    def behave(self, behaviour: Behaviour) -> None:
        """Have the running upstream behave differently from here on.

        Raises:
            UpstreamError: it is not running.
        """
        child = self._child
        if child is None or child.stdin is None:
            raise UpstreamError("the upstream is not running")
        try:
            child.stdin.write(behaviour.line())
            child.stdin.flush()
        except BrokenPipeError as error:
            raise UpstreamError(f"the upstream, pid {child.pid}, is gone") from error

    def kill(self) -> None:
        """End the process with SIGKILL; harmless when there is none."""
        if self._child is not None:
            self._child.kill()
            self._reap(self._child)

    def close(self) -> None:
        """Let the process go, killing it if it does not, and give the port back."""
        child = self._child
        if child is not None and child.stdin is not None:
            try:
                child.stdin.close()
                child.wait(LEAVE_WITHIN_SECONDS)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                child.kill()
            self._reap(child)
        self._held.close()
        self._stderr.close()

    def _reap(self, child: subprocess.Popen[str]) -> None:
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what stood in its buffer was meant for a process that is gone
        self._child = None

    def _first_line(self) -> str:
        assert self._child is not None
        assert self._child.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            if not selector.select(READY_WITHIN_SECONDS):
                return f"not ready within {READY_WITHIN_SECONDS:g} s"
        return self._child.stdout.readline().strip()
