"""The state of a pybreaker breaker in Redis, in the same keys and values as pybreaker has there.

So services that share a circuit may change their import one after another.
"""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime
from importlib.util import find_spec

from holdfast.compat.pybreaker.storage import STATE_CLOSED, CircuitBreakerStorage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger
    from typing import Any, TypeVar

    from redis import Redis

    T = TypeVar("T")

__all__ = ["CircuitRedisStorage"]


class _LoggerOnDemand:
    """The logger of pybreaker; logging is imported with the first record."""

    def __get__(self, storage: object, cls: type) -> Logger:
        from logging import getLogger

        return getLogger("pybreaker")


class CircuitRedisStorage(CircuitBreakerStorage):
    """State in Redis, shared by all processes that use the same keys.

    While Redis fails, the state is ``fallback_circuit_state`` and nothing is counted; each error
    goes to the logger "pybreaker".

    Args:
        state: The state to begin with, if there is none in Redis.
        redis_object: A client like ``redis.Redis``; it may decode responses.
        namespace: What the names of the keys begin with.
        fallback_circuit_state: The state while Redis cannot be asked, or has none.
        cluster_mode: Whether to do without transactions, which a cluster does not have.

    Raises:
        ImportError: redis is not installed.

    Safe to share between threads and processes. A breaker reads Redis at each call.
    """

    BASE_NAMESPACE = "pybreaker"

    if TYPE_CHECKING:
        logger: Logger
    else:
        logger = _LoggerOnDemand()

    def __init__(
        self,
        state: str,
        redis_object: Redis,
        namespace: str | None = None,
        fallback_circuit_state: str = STATE_CLOSED,
        cluster_mode: bool = False,
    ) -> None:
        if find_spec("redis") is None:
            raise ImportError("CircuitRedisStorage can only be used if redis is installed")
        super().__init__("redis")
        self._redis: Any = redis_object
        self._namespace_name = namespace
        self._fallback_circuit_state = fallback_circuit_state
        self._initial_state = str(state)
        self._cluster_mode = cluster_mode
        self._initialize_redis_state(self._initial_state)

    def _initialize_redis_state(self, state: str) -> None:
        self._redis.setnx(self._namespace("fail_counter"), 0)
        self._redis.setnx(self._namespace("success_counter"), 0)
        self._redis.setnx(self._namespace("state"), state)

    @property
    def state(self) -> str:
        """The state in Redis. If it is missing, it begins anew with the fallback."""
        fallback = self._fallback_circuit_state
        missing = object()
        found = self._try(lambda: self._redis.get(self._namespace("state")), missing)
        if found is missing:
            return fallback
        if found is None:
            self._try(lambda: self._initialize_redis_state(fallback), None)
            return fallback
        return found.decode("utf-8") if isinstance(found, bytes) else str(found)

    @state.setter
    def state(self, state: str) -> None:
        self._try(lambda: self._redis.set(self._namespace("state"), str(state)), None)

    def increment_counter(self) -> None:
        """Count a failure."""
        self._try(lambda: self._redis.incr(self._namespace("fail_counter")), None)

    def reset_counter(self) -> None:
        """Set the number of failures to zero."""
        self._try(lambda: self._redis.set(self._namespace("fail_counter"), 0), None)

    def increment_success_counter(self) -> None:
        """Count a success while half-open."""
        self._try(lambda: self._redis.incr(self._namespace("success_counter")), None)

    def reset_success_counter(self) -> None:
        """Set the number of successes while half-open to zero."""
        self._try(lambda: self._redis.set(self._namespace("success_counter"), 0), None)

    @property
    def counter(self) -> int:
        """The number of failures in a row; 0 while Redis fails."""
        return int(self._try(lambda: self._redis.get(self._namespace("fail_counter")), 0) or 0)

    @property
    def success_counter(self) -> int:
        """The number of successes in a row while half-open; 0 while Redis fails."""
        return int(self._try(lambda: self._redis.get(self._namespace("success_counter")), 0) or 0)

    @property
    def opened_at(self) -> datetime | None:
        """When the circuit was last opened, in UTC and whole seconds; None if it never was."""
        found = self._try(lambda: self._redis.get(self._namespace("opened_at")), None)
        return datetime.fromtimestamp(int(found), UTC) if found else None

    @opened_at.setter
    def opened_at(self, now: datetime) -> None:
        key = self._namespace("opened_at")
        opened = int(timegm(now.timetuple()))

        def set_later(pipe: Any) -> None:
            there = pipe.get(key)
            if hasattr(pipe, "multi"):
                pipe.multi()
            if not there or opened > int(there):
                pipe.set(key, opened)

        if self._cluster_mode:
            self._try(lambda: set_later(_Plain(self._redis)), None)
        else:
            self._try(lambda: self._redis.transaction(set_later, key), None)

    def _namespace(self, key: str) -> str:
        name = f"{self.BASE_NAMESPACE}:{key}"
        return f"{self._namespace_name}:{name}" if self._namespace_name else name

    def _try(self, ask: Callable[[], T], otherwise: T) -> T:
        from redis.exceptions import RedisError

        try:
            return ask()
        except RedisError:
            self.logger.exception("Redis cannot be asked for the state of a circuit")
            return otherwise


class _Plain:
    """A client without transactions."""

    def __init__(self, redis: Any) -> None:
        self.get, self.set = redis.get, redis.set
