"""State in Redis, in the same keys and values as aiobreaker has there.

So services that share a circuit may change their import one after another.
"""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime
from importlib.util import find_spec
from logging import getLogger

from holdfast.compat.aiobreaker.state import CircuitBreakerState
from holdfast.compat.aiobreaker.storage.base import CircuitBreakerStorage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["CircuitRedisStorage"]

HAS_REDIS_SUPPORT = find_spec("redis") is not None


class CircuitRedisStorage(CircuitBreakerStorage):
    """State in Redis, shared by all processes that use the same keys.

    While Redis fails, the state is ``fallback_circuit_state`` and nothing is counted; each error
    goes to the logger "aiobreaker.storage.redis".

    Args:
        state: The state to begin with, if there is none in Redis.
        redis_object: A client like ``redis.Redis``, which may decode responses. It is asked in the
            thread of the call, also of an asynchronous one.
        namespace: What the names of the keys begin with.
        fallback_circuit_state: The state while Redis cannot be asked, or has none.

    Raises:
        ImportError: redis is not installed.

    Safe to share between threads and processes. A breaker reads Redis at each call.
    """

    BASE_NAMESPACE = "aiobreaker"

    logger = getLogger("aiobreaker.storage.redis")

    def __init__(
        self,
        state: CircuitBreakerState,
        redis_object: Any,
        namespace: str | None = None,
        fallback_circuit_state: CircuitBreakerState = CircuitBreakerState.CLOSED,
    ) -> None:
        if not HAS_REDIS_SUPPORT:
            raise ImportError("CircuitRedisStorage can only be used if redis is installed")
        from redis.exceptions import RedisError

        super().__init__("redis")
        self.RedisError = RedisError
        self._redis = redis_object
        self._namespace_name = namespace
        self._fallback_circuit_state = fallback_circuit_state
        self._initial_state = state
        self._initialize_redis_state(self._initial_state)

    def _initialize_redis_state(self, state: CircuitBreakerState) -> None:
        self._redis.setnx(self._namespace("fail_counter"), 0)
        self._redis.setnx(self._namespace("state"), state.name)

    @property
    def state(self) -> CircuitBreakerState:
        """The state in Redis. If it is missing, it begins anew with the fallback."""
        fallback = self._fallback_circuit_state
        failed = object()
        found = self._try(lambda: self._redis.get(self._namespace("state")), failed)
        if found is failed:
            return fallback
        if found is None:
            self._try(lambda: self._initialize_redis_state(fallback), None)
            return fallback
        word = found.decode("utf-8") if isinstance(found, bytes) else str(found)
        return CircuitBreakerState[word]

    @state.setter
    def state(self, state: CircuitBreakerState) -> None:
        self._try(lambda: self._redis.set(self._namespace("state"), state.name), None)

    def increment_counter(self) -> None:
        """Count a failure."""
        self._try(lambda: self._redis.incr(self._namespace("fail_counter")), None)

    def reset_counter(self) -> None:
        """Set the number of failures to zero."""
        self._try(lambda: self._redis.set(self._namespace("fail_counter"), 0), None)

    @property
    def counter(self) -> int:
        """The number of failures in a row; 0 while Redis fails."""
        return int(self._try(lambda: self._redis.get(self._namespace("fail_counter")), 0) or 0)

    @property
    def opened_at(self) -> datetime | None:
        """When the circuit was last opened, in UTC without a zone, and in whole seconds."""
        found = self._try(lambda: self._redis.get(self._namespace("opened_at")), None)
        return datetime.fromtimestamp(int(found), UTC).replace(tzinfo=None) if found else None

    @opened_at.setter
    def opened_at(self, now: datetime) -> None:
        key = self._namespace("opened_at")
        opened = timegm(now.utctimetuple())

        def set_later(pipe: Any) -> None:
            there = pipe.get(key)
            pipe.multi()
            if not there or opened > int(there):
                pipe.set(key, opened)

        self._try(lambda: self._redis.transaction(set_later, key), None)

    def _namespace(self, key: str) -> str:
        name = f"{self.BASE_NAMESPACE}:{key}"
        return f"{self._namespace_name}:{name}" if self._namespace_name else name

    def _try(self, ask: Callable[[], Any], otherwise: T) -> Any | T:
        try:
            return ask()
        except self.RedisError:
            self.logger.exception("Redis cannot be asked for the state of a circuit")
            return otherwise
