"""Caches with hit rates: in Redis, in the memory of this process, or in both while Redis fails.

Keys are texts and values are what JSON can say; each lives for some seconds. A cache never fails:
at worst it has nothing.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError
from redis.retry import Retry

import holdfast as hf
from examples.market_collector.policies import REDIS_ATTEMPT
from holdfast.resources.report import CacheFigures
from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_BYTES", "Cache", "MemoryCache", "RedisCache", "open_cache"]

log = logging.getLogger("market_collector.cache")

#: Bytes of the largest value, as JSON.
MOST_BYTES = 256 << 10
#: Seconds that a value lives.
SECONDS = 60.0
#: Values that the memory of this process keeps.
ENTRIES = 1000

_MOST_SECONDS = 86_400.0
_PREFIX = "market:"
_CONNECTIONS = 32
_MISSING = object()
_Redis: Any = redis.Redis  # with types for tasks as well, which do not fit


class Cache(ABC):
    """What keeps values for some time.

    Args:
        seconds: How long a value lives if nothing else is said, 0.001 to 86400.

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        problems = Problems(type(self).__name__)
        self._seconds = problems.number("seconds", seconds, least=0.001, most=_MOST_SECONDS)
        problems.done()
        self._lock = Lock()
        self._hits = self._misses = 0

    def get(self, key: str) -> Any:
        """Return the value of a key, a new copy; None if there is none."""
        text = self._get(key)
        value = _MISSING if text is None else _read(text)
        with self._lock:
            if value is _MISSING:
                self._misses += 1
                return None
            self._hits += 1
        return value

    def put(self, key: str, value: Any, seconds: float | None = None) -> None:
        """Keep a value, instead of an earlier one of its key.

        Args:
            key: The key.
            value: What JSON can say, but not None.
            seconds: How long it lives, 0.001 to 86400; None: as the cache says.

        Raises:
            ConfigError: The value is None or longer than 262144 bytes, or the time is out of range.
            TypeError: JSON cannot say it.
        """
        text = json.dumps(value, separators=(",", ":"))
        problems = Problems("put", key)
        lives = self._seconds
        if seconds is not None:
            lives = problems.number("seconds", seconds, least=0.001, most=_MOST_SECONDS)
        if value is None:
            problems.refuse("value", value, "anything else: None means that there is nothing")
        if len(text) > MOST_BYTES:
            problems.refuse("value", f"{len(text)} bytes", f"at most {MOST_BYTES}")
        problems.done()
        self._put(key, text, lives)

    @abstractmethod
    def figures(self) -> CacheFigures:
        """Return how it is used."""

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds. Twice is harmless."""

    @abstractmethod
    def _get(self, key: str) -> str | bytes | None: ...

    @abstractmethod
    def _put(self, key: str, text: str, seconds: float) -> None: ...


class MemoryCache(Cache):
    """A cache in this process; the value that was not used for longest is evicted.

    Args:
        entries: How many values it keeps, 1 to 1000000.
        seconds: How long a value lives, 0.001 to 86400.
        clock: The source of time; use a ``ManualClock`` in tests.

    Raises:
        ConfigError: An argument is invalid.

    Safe to share between threads.
    """

    def __init__(
        self, entries: int = ENTRIES, *, seconds: float = SECONDS, clock: hf.Clock | None = None
    ) -> None:
        super().__init__(seconds)
        problems = Problems("MemoryCache")
        self._most = problems.integer("entries", entries, least=1, most=1_000_000)
        problems.done()
        self._clock = hf.SystemClock() if clock is None else clock
        self._entries: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._evictions = 0

    def figures(self) -> CacheFigures:
        """Return how it is used."""
        size = len(self)
        with self._lock:
            return CacheFigures(self._hits, self._misses, self._evictions, size)

    def __len__(self) -> int:
        """Return how many values it has that live."""
        with self._lock:
            now = self._clock.now()
            for key in [key for key, (_, until) in self._entries.items() if until <= now]:
                del self._entries[key]
            return len(self._entries)

    def close(self) -> None:
        """Forget all values."""
        with self._lock:
            self._entries.clear()

    def forget(self, key: str) -> None:
        """Forget the value of a key, if there is one."""
        with self._lock:
            self._entries.pop(key, None)

    def read(self, key: str) -> str | None:
        """Return the JSON of a value; this question counts for nothing."""
        with self._lock:
            if key not in self._entries:
                return None
            text, until = self._entries[key]
            if until <= self._clock.now():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return text

    def write(self, key: str, text: str, seconds: float) -> None:
        """Keep the JSON of a value."""
        with self._lock:
            self._entries[key] = (text, self._clock.now() + seconds)
            self._entries.move_to_end(key)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
                self._evictions += 1

    def _get(self, key: str) -> str | None:
        return self.read(key)

    def _put(self, key: str, text: str, seconds: float) -> None:
        self.write(key, text, seconds)


class RedisCache(Cache):
    """A cache in Redis, each command under the policies of "redis_operation".

    While Redis fails, values are kept in memory. A value that Redis did not take is read from
    there, until Redis takes a later one of its key or the value has had its time: so nobody in
    this process sees an older value after a newer one, unless the memory had to evict it, or a
    frozen Redis has carried out a command late that was given up.

    Args:
        rm: The manager, with the preset "collector", best as ``policies.adapted`` has it.
        url: Where Redis is, such as "redis://127.0.0.1:6379/0".
        seconds: How long a value lives, 0.001 to 86400.
        entries: How many values are kept in memory while Redis fails, 1 to 1000000.
        attempt: Seconds that one attempt may wait for Redis, above 0 to 3600.
        failed: Called with each error of Redis that the cache has overcome.

    Raises:
        ConfigError: An argument is invalid.
        UnprotectedError: The manager has no "redis_operation".

    Safe to share between threads.
    """

    def __init__(
        self,
        rm: hf.ResilienceManager,
        url: str,
        *,
        seconds: float = SECONDS,
        entries: int = ENTRIES,
        attempt: float = REDIS_ATTEMPT,
        failed: Callable[[Exception], object] | None = None,
    ) -> None:
        super().__init__(seconds)
        self._guarded = rm.operation("redis_operation")
        self._memory = MemoryCache(entries, seconds=seconds, clock=rm.clock)
        self._failed = failed
        self._works = {"reading": True, "writing": True}
        self._evicted = self._evicted_before = self._size = 0
        problems = Problems("RedisCache")
        within = problems.number("attempt", attempt, above=0.0, most=3600.0)
        try:
            self._redis: Any = _Redis.from_url(
                url,
                socket_timeout=within,
                socket_connect_timeout=within,
                max_connections=_CONNECTIONS,
                retry=Retry(NoBackoff(), 0),  # the policies repeat
                protocol=2,
            )
        except (ValueError, TypeError, AttributeError):
            problems.refuse("url", url, "such as 'redis://127.0.0.1:6379/0'")
        problems.done()

    @property
    def works(self) -> bool:
        """Whether the last reading and the last writing of Redis have succeeded."""
        return all(self._works.values())

    def figures(self) -> CacheFigures:
        """Return how it is used. Redis is asked; if it does not answer, its last figures hold.

        The size and the evictions are those of Redis, whoever uses it, and of the memory.
        """
        try:
            stats, size = self._guarded.call(self._ask_figures)
        except _FAILURES as error:
            self._tell(error)
        else:
            with self._lock:
                evicted = int(stats.get("evicted_keys", 0))
                # A Redis that was restarted begins to count again.
                self._evicted += evicted - (
                    self._evicted_before if evicted >= self._evicted_before else 0
                )
                self._evicted_before, self._size = evicted, size
        memory, size = self._memory.figures(), len(self._memory)
        with self._lock:
            return CacheFigures(
                self._hits,
                self._misses,
                self._evicted + memory.evictions,
                self._size + size,
            )

    def close(self) -> None:
        """Close the connections to Redis; its values stay there until their time is over."""
        self._memory.close()
        self._redis.close()

    def _get(self, key: str) -> str | bytes | None:
        newer = self._memory.read(key)
        if newer is not None:
            return newer
        try:
            text: bytes | None = self._guarded.call(self._redis.get, _PREFIX + key)
        except _FAILURES as error:
            self._note("reading", error)
            return None
        self._note("reading")
        return text

    def _put(self, key: str, text: str, seconds: float) -> None:
        name = _PREFIX + key
        try:
            self._guarded.call(self._redis.set, name, text, px=max(1, round(seconds * 1000)))
        except _FAILURES as error:
            self._memory.write(key, text, seconds)
            self._note("writing", error)
            if isinstance(error, OutOfMemoryError):
                self._drop(name)
            return
        self._memory.forget(key)
        self._note("writing")

    def _drop(self, name: str) -> None:
        """Have a full Redis forget an older value."""
        try:
            self._guarded.call(self._redis.unlink, name)
        except _FAILURES as error:
            self._tell(error)

    def _ask_figures(self) -> tuple[dict[str, Any], int]:
        stats, size = self._redis.pipeline(transaction=False).info("stats").dbsize().execute()
        return stats, size

    def _note(self, doing: str, error: Exception | None = None) -> None:
        """Log a change from working to failing and back, and tell of an error."""
        with self._lock:
            was, self._works[doing] = self._works[doing], error is None
        if error is not None:
            if was:
                log.warning("%s the cache in Redis fails, memory is used: %s", doing, error)
            self._tell(error)
        elif not was:
            log.info("%s the cache in Redis works again", doing)

    def _tell(self, error: Exception) -> None:
        if self._failed is not None:
            self._failed(error)


# What Redis and the policies raise: at each of these the memory takes over.
_FAILURES = (RedisError, OSError, hf.Rejected, hf.DeadlineExceededError)


def open_cache(
    rm: hf.ResilienceManager,
    url: str | None,
    *,
    seconds: float = SECONDS,
    failed: Callable[[Exception], object] | None = None,
) -> Cache:
    """Return a cache: in Redis if there is a URL, else in memory.

    Args:
        rm: The manager.
        url: Where Redis is; None: there is none.
        seconds: How long a value lives, 0.001 to 86400.
        failed: Called with each error of Redis that the cache has overcome.

    Raises:
        ConfigError: An argument is invalid.
    """
    if url is None:
        return MemoryCache(seconds=seconds, clock=rm.clock)
    return RedisCache(rm, url, seconds=seconds, failed=failed)


def _read(text: str | bytes) -> Any:
    """Return a value; what somebody else has written there may be none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _MISSING
    return _MISSING if value is None else value
