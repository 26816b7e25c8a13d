"""Storages for tests of the face of aiobreaker: in a dictionary, and in a real Redis."""

import shutil
import subprocess
import time
from contextlib import contextmanager

from holdfast.compat.aiobreaker.state import CircuitBreakerState
from holdfast.compat.aiobreaker.storage.base import CircuitBreakerStorage
from tests.ports import held_port


class OutageError(Exception):
    pass


class DictStorage(CircuitBreakerStorage):
    """What a user may have written: state that breakers share, and that others may change."""

    def __init__(self, kept):
        super().__init__("dict")
        self.kept = kept
        kept.setdefault("state", "CLOSED")
        kept.setdefault("counter", 0)

    @property
    def state(self):
        return CircuitBreakerState[self.kept["state"]]

    @state.setter
    def state(self, state):
        self.kept["state"] = state.name

    def increment_counter(self):
        self.kept["counter"] += 1

    def reset_counter(self):
        self.kept["counter"] = 0

    @property
    def counter(self):
        return self.kept["counter"]

    @property
    def opened_at(self):
        return self.kept.get("opened_at")

    @opened_at.setter
    def opened_at(self, date_time):
        self.kept["opened_at"] = date_time


@contextmanager
def redis_server(folder):
    """Run a Redis on a port of loopback; give a client."""
    from redis import Redis
    from redis.exceptions import RedisError

    with held_port() as port:
        command = [shutil.which("redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
        server = subprocess.Popen(
            [*command, "--save", "", "--dir", str(folder)], stdout=subprocess.DEVNULL
        )
        client = Redis(port=port, retry=None)
        try:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                try:
                    client.ping()
                    break
                except RedisError:
                    time.sleep(0.02)
            yield client
        finally:
            client.close()
            server.kill()
            server.wait()
