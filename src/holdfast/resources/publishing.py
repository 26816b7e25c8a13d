"""Publishes reports for readers outside of this process: in a file, or in Redis.

The keys ``performance:system`` and ``performance:application`` hold for five minutes, and
``worker_health:NAME`` for ten. Owns the values and the writing. Elsewhere: the times and the time
limit (``performance``, ``asking``).
"""

from __future__ import annotations

import json
import os
import stat
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import asdict
from typing import NamedTuple
from urllib.parse import urlsplit

from holdfast.errors import MissingExtraError
from holdfast.redaction import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from holdfast.resources.report import PerformanceReport
    from holdfast.validation import Problems

__all__ = ["Published", "Publisher", "publisher_of", "values_of"]

VERSION = 1
SECONDS = 300  # how long a report holds for its readers
WORKER_SECONDS = 600
_NETWORK_SECONDS = 2.0  # for each answer of Redis
_SCHEMES = ("redis://", "rediss://", "unix://")
_ALLOWED = "'file:PATH', or a URL of Redis such as 'redis://localhost:6379/0'"


class Published(NamedTuple):
    """One value with its key, and how many seconds it holds."""

    key: str
    seconds: int
    value: dict[str, Any]


def values_of(report: PerformanceReport) -> Iterator[Published]:
    """Yield what a report is for its readers: plain values, which JSON can hold."""
    common = {"name": report.name, "time": report.time, "seconds": report.seconds}
    system = asdict(report.system)
    yield Published(
        "performance:system",
        SECONDS,
        {**common, **system, "memory": report.system.memory},
    )
    application = report.application
    yield Published(
        "performance:application",
        SECONDS,
        {
            **common,
            "score": report.score,
            "reasons": report.reasons,
            "total": _with_rates(application.total, "success_rate", "failure_rate"),
            "operations": {
                name: _with_rates(one, "success_rate", "failure_rate")
                for name, one in application.operations.items()
            },
            "others": application.others,
            "caches": {
                name: _with_rates(one, "hit_rate", "miss_rate")
                for name, one in report.caches.items()
            },
            "active_workers": report.active_workers,
            "worker_errors": report.worker_errors,
            "resources": {kind: asdict(held) for kind, held in report.resources.items()},
        },
    )
    for worker in report.workers.values():
        left = WORKER_SECONDS - int(worker.age or 0)
        if left > 0:
            value = {**common, **asdict(worker)}
            yield Published(f"worker_health:{worker.name}", left, value)


def _with_rates(figures: Any, *rates: str) -> dict[str, Any]:
    return {**asdict(figures), **{rate: getattr(figures, rate) for rate in rates}}


class Publisher(ABC):
    """Writes values where others read them. For one thread at a time.

    Attributes:
        target: The place, without passwords.
    """

    def __init__(self, target: str) -> None:
        self.target = target

    @abstractmethod
    def publish(self, values: list[Published], now: float) -> None:
        """Replace what was published.

        Args:
            values: The values.
            now: Seconds since 1970.

        Raises:
            Exception: They cannot be written.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Close what is open; ``publish`` opens it again."""

    def forget(self) -> None:  # noqa: B027 - as above
        """In a forked child: drop what is the parent's, without closing it."""


class FilePublisher(Publisher):
    """A JSON file, which is replaced as a whole. Readers see the old one or the new one.

    It is for this user alone, and so are the folders that are made for it.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)  # wherever the process goes later
        super().__init__(f"file:{self._path}")

    def publish(self, values: list[Published], now: float) -> None:
        """Write the file and rename it.

        Raises:
            OSError: It cannot be written, belongs to another user, or is no plain file.
        """
        keys = {one.key: {"expires": now + one.seconds, "value": one.value} for one in values}
        text = json.dumps({"version": VERSION, "written": now, "keys": keys}, allow_nan=False)
        folder, name = os.path.split(self._path)
        _make_folders(folder)
        with suppress(FileNotFoundError):
            found = os.lstat(self._path)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise PermissionError(f"{self._path} is no plain file of this user")
        fresh = os.path.join(folder, f".{name}.{os.getpid()}-{os.urandom(4).hex()}")
        how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(fresh, how, 0o600)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(fresh, self._path)
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh)
            raise


def _make_folders(folder: str) -> None:
    """Make what is missing of a folder's path, for this user alone."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for one in reversed(missing):  # os.makedirs() has the mode for the last one only
        with suppress(FileExistsError):
            os.mkdir(one, mode=0o700)


class RedisPublisher(Publisher):
    """Keys of a Redis or Valkey, which expire. All are set in one transaction.

    An answer is waited for two seconds, and no write is repeated: the next report is newer.
    """

    def __init__(self, url: str) -> None:
        super().__init__(redact(url))
        self._url = url
        self._client: Any = None

    def publish(self, values: list[Published], now: float) -> None:  # noqa: ARG002 - Redis has its own
        """Set all keys.

        Raises:
            Exception: redis-py's; Redis cannot be reached, or refuses.
        """
        if self._client is None:
            self._client = self._connect()
        try:
            with self._client.pipeline(transaction=True) as pipeline:
                for one in values:
                    text = json.dumps(one.value, allow_nan=False)
                    pipeline.set(one.key, text, ex=one.seconds)
                pipeline.execute()
        except BaseException:
            self.close()  # what comes later on this connection may belong to this call
            raise

    def _connect(self) -> Any:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        client: Any = redis.Redis
        return client.from_url(
            self._url,
            socket_timeout=_NETWORK_SECONDS,
            socket_connect_timeout=_NETWORK_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=1,
        )

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # it is broken already
                client.close()

    def forget(self) -> None:
        """Drop the parent's connection: to close it might end the parent's session."""
        self._client = None


def publisher_of(problems: Problems, target: object) -> Publisher | None:
    """Check where a monitor is to publish; None: nowhere.

    Raises:
        MissingExtraError: It is Redis, and redis-py is not installed.
    """
    if target is None:
        return None
    if isinstance(target, str):
        kind, _, path = target.partition(":")
        if kind == "file" and path.removeprefix("//").strip("/") and "\0" not in path:
            return FilePublisher(path.removeprefix("//"))
        if target.startswith(_SCHEMES) and _is_url(target):
            return RedisPublisher(target)
    problems.refuse("publish", redact(target) if isinstance(target, str) else target, _ALLOWED)
    return None


def _is_url(url: str) -> bool:
    """Return whether redis-py understands a URL, and all of it.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        from redis import connection
    except ModuleNotFoundError as missing:
        if missing.name != "redis":  # something else is missing, in its own code
            raise
        raise MissingExtraError("redis", "publishing to Redis") from None
    parse: Any = connection.parse_url  # has no types
    try:
        parse(url)
    except ValueError:
        return False
    # A database that is no number would be left out: the keys would be in database 0.
    path = urlsplit(url).path.strip("/")
    return url.startswith("unix:") or not path or path.isdecimal()
