"""Starts a server on ``application``, asks it for its paths, ends it. Not here: which server."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

HERE = Path(__file__).parent


def program(name: str) -> Path:
    """Where a program of a package in this venv is."""
    return Path(sys.executable).with_name(name)


class Server:
    """A running server that listens at a socket in the file system."""

    def __init__(self, process: subprocess.Popen[str], at: Path) -> None:
        self.process = process
        self._at = at

    def read_until(self, mark: str) -> str:
        """Return the first line of its log, from here on, that has ``mark`` in it."""
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if mark in line:
                return line
        raise AssertionError("".join(lines))

    def send(self, path: str) -> HTTPConnection:
        """Ask for a path; the answer is ``answer``'s."""
        connection = HTTPConnection("server", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        connection.sock.connect(str(self._at))
        connection.request("GET", f"/{path}")
        return connection

    def answer(self, connection: HTTPConnection) -> object:
        """Return what it answers."""
        response = connection.getresponse()
        body = response.read()
        connection.close()
        assert response.status == 200, body
        return json.loads(body)

    def ask(self, path: str) -> object:
        """Return what it answers for a path."""
        return self.answer(self.send(path))

    def end(self) -> int:
        """Ask it to end, as the system does; return how it did."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(command: list[object], at: Path, ready: str, **environment: str) -> Iterator[Server]:
    """Run a server in a session of its own, ready once it says so, and leave nothing of it."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=HERE,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    server = Server(process, at)
    try:
        server.read_until(ready)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()
