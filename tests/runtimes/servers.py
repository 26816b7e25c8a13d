"""Starts a server on ``application``, asks it for its paths, ends it. Not here: which server."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def program(name: str) -> Path:
    """Where a program of a package in this venv is."""
    return Path(sys.executable).with_name(name)


# Python may be where only root can read, such as below /root: a mount of it that every user can
# read, in a namespace that ends with the command.
READABLE = """
set -e
umask 022
kept=$(mktemp -d)
mount --bind "$2" "$kept"
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir -p "$2"
mount --bind "$kept" "$2"
umount "$kept"
rmdir "$kept"
shift 2
exec "$@"
"""


def for_all_users() -> list[object]:
    """Return what to put before a command, so that other users than root can run Python in it."""
    prefix = Path(sys.base_prefix).resolve()
    closed = [path for path in (prefix, *prefix.parents) if path.stat().st_mode & 0o005 != 0o005]
    if not closed:
        return []
    alone = ["unshare", "--mount", "--propagation", "private"]
    return [*alone, "sh", "-c", READABLE, "sh", closed[-1], prefix]


class Server:
    """A running server that listens at a socket in the file system."""

    def __init__(self, process: subprocess.Popen[str], at: Path) -> None:
        self.process = process
        self.lines: list[str] = []  # of its log, as far as they were read
        self._at = at

    def read_until(self, mark: str) -> str:
        """Return the first line of its log, from here on, that has ``mark`` in it."""
        for line in self.process.stdout:
            self.lines.append(line)
            if mark in line:
                return line
        raise AssertionError("".join(self.lines))

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

    def ask_until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """Return the first answer for which ``holds``, or the last of many."""
        for _ in range(1_000):
            found = self.ask(path)
            if holds(found):
                break
        return found

    def status_of(self, path: str) -> tuple[int, str]:
        """Return the status and the text that it answers for a path."""
        connection = self.send(path)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def _looks(self) -> list[str]:
        """Return what the system says of its threads: two that are alike, and nothing has run."""
        found = []
        for thread in sorted(Path(f"/proc/{self.process.pid}/task").iterdir()):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                found.append((thread / "status").read_text())
        return found

    def end(self) -> int:
        """Ask it to end, as the system does, once it has nothing to do; return how it did.

        uWSGI without a master ends in its signal handler, wherever the signal has interrupted it:
        if that is in malloc(), it waits for itself for ever.
        """
        before: list[str] = []
        while (now := self._looks()) != before or not all("State:\tS" in one for one in now):
            before = now
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
