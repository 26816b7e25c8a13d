"""Where the state of a circuit breaker is kept."""

from __future__ import annotations

from holdfast.compat.aiobreaker.storage.memory import CircuitMemoryStorage
from holdfast.compat.aiobreaker.storage.redis import CircuitRedisStorage

__all__ = ["CircuitMemoryStorage", "CircuitRedisStorage"]
