"""Storages for asyncio: in memory holdfast's own, of other processes those of limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.compat.limits._elsewhere import attribute_of
from holdfast.compat.limits.aio.storage.base import (
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    Storage,
)
from holdfast.compat.limits.aio.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from holdfast.compat.limits.aio.storage.memcached import MemcachedStorage
    from holdfast.compat.limits.aio.storage.mongodb import MongoDBStorage
    from holdfast.compat.limits.aio.storage.redis import (
        RedisClusterStorage,
        RedisSentinelStorage,
        RedisStorage,
    )

__all__ = [
    "MemcachedStorage",
    "MemoryStorage",
    "MongoDBStorage",
    "MovingWindowSupport",
    "RedisClusterStorage",
    "RedisSentinelStorage",
    "RedisStorage",
    "SlidingWindowCounterSupport",
    "Storage",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return attribute_of(__name__, name, "limits.aio.storage")
