"""A real Redis on the loopback with a limit of memory, where ``redis-server`` is installed.

It keeps nothing on the disk, and evicts nothing: when it is full, it refuses what is to be written.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import OutOfMemoryError

from examples.market_collector.processes import HOST, Handle, ListeningProcess, hold_port
from holdfast.validation import Problems

if TYPE_CHECKING:
    import socket

    from holdfast.supervision import Supervisor

__all__ = ["RedisHandle", "installed", "start_redis"]

_Redis: Any = redis.Redis
_FILLER = "filler"
_PART = 64 << 10  # bytes of a value that fills it
_LEAST_PART = 16
_CONNECTIONS = 512 << 10  # bytes of memory that connections give back
_SECONDS = 10.0  # for one command


def installed() -> str | None:
    """Return the path of the Redis program, or None: Debian has it as ``redis-server``."""
    return shutil.which("redis-server")


class RedisHandle(Handle):
    """A Redis, which a supervisor runs; ``start_redis`` makes one.

    Attributes:
        name: The name of the component.
        url: Where it answers; the same after a restart.
        memory: Bytes that it may use.

    ``stop`` takes it down until ``start``; ``kill`` ends its process, and the supervisor starts
    another one, which is empty; ``freeze`` and ``thaw`` stop it and let it go on.

    Safe to share between threads.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        process: ListeningProcess,
        held: socket.socket,
        *,
        memory: int,
    ) -> None:
        self.memory = memory
        self.url = f"redis://{HOST}:{process.port}/0"
        super().__init__(supervisor, process, held)

    def connect(self) -> Any:
        """Return a client of it, for a ``with`` block."""
        return _Redis.from_url(self.url, socket_timeout=_SECONDS)

    def fill(self) -> int:
        """Fill its memory until it refuses the smallest value; return how many were written.

        Its limit is lowered to below what it uses, so that it stays full when connections end.

        Raises:
            redis.RedisError: It does not answer.
        """
        written = 0
        size = _PART
        with self.connect() as client:
            while size >= _LEAST_PART:
                try:
                    client.set(f"{_FILLER}:{written}", b"x" * size)
                    written += 1
                except OutOfMemoryError:
                    size //= 2
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory", used - _CONNECTIONS)
        return written

    def clear(self) -> int:
        """Delete what ``fill`` has written, and have the limit as before; return how much it was.

        Raises:
            redis.RedisError: It does not answer.
        """
        deleted = 0
        with self.connect() as client:
            for key in client.scan_iter(f"{_FILLER}:*", count=1000):
                deleted += int(client.delete(key))
            client.config_set("maxmemory", self.memory)
        return deleted


def start_redis(
    supervisor: Supervisor, name: str = "redis", *, memory: int = 8 << 20
) -> RedisHandle:
    """Have a supervisor run a Redis; if it runs already, wait until the Redis answers.

    Args:
        supervisor: The supervisor. It stops the Redis when it stops.
        name: The name of the component.
        memory: Bytes that it may use, 4 MiB to 1 GiB: an empty one needs more than one MiB.

    Raises:
        ConfigError: An argument is invalid, or the supervisor has a component of this name.
        FileNotFoundError: Redis is not installed.
        TimeoutError: The Redis does not run.
    """
    problems = Problems("start_redis", name)
    problems.name(name)
    problems.integer("memory", memory, least=4 << 20, most=1 << 30)
    problems.done()
    program = installed()
    if program is None:
        raise FileNotFoundError("no Redis on this machine: apt-get install redis-server")
    held = hold_port()
    port = held.getsockname()[1]
    options = {
        "port": str(port),
        "bind": HOST,
        "protected-mode": "yes",
        "save": "",
        "appendonly": "no",
        "maxmemory": str(memory),
        "maxmemory-policy": "noeviction",
        "databases": "1",
        "loglevel": "warning",
    }
    words = [word for option, value in options.items() for word in (f"--{option}", value)]
    # It writes no file, so any folder will do; this one is there.
    process = ListeningProcess(name, [program, *words], port=port, cwd=Path("/"))
    try:
        return RedisHandle(supervisor, process, held, memory=memory)
    except BaseException:
        held.close()
        raise
