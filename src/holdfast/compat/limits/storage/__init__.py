"""Storages, for threads and, by their scheme, for asyncio.

Storages in memory are holdfast's own. Those of other processes are the ones of limits, where it is
installed: ``RedisStorage``, ``RedisClusterStorage``, ``RedisSentinelStorage``, ``MemcachedStorage``
and ``MongoDBStorage``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast
from urllib.parse import urlparse

import holdfast.compat.limits.aio.storage.base as aio_base
import holdfast.compat.limits.aio.storage.memory  # noqa: F401 - enters its scheme
from holdfast.compat.limits._elsewhere import attribute_of, class_for
from holdfast.compat.limits._storage_scheme import SCHEMES
from holdfast.compat.limits.errors import ConfigurationError
from holdfast.compat.limits.storage.base import (
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    Storage,
)
from holdfast.compat.limits.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from holdfast.compat.limits.storage.memcached import MemcachedStorage
    from holdfast.compat.limits.storage.mongodb import MongoDBStorage, MongoDBStorageBase
    from holdfast.compat.limits.storage.redis import RedisStorage
    from holdfast.compat.limits.storage.redis_cluster import RedisClusterStorage
    from holdfast.compat.limits.storage.redis_sentinel import RedisSentinelStorage

__all__ = [
    "MemcachedStorage",
    "MemoryStorage",
    "MongoDBStorage",
    "MongoDBStorageBase",
    "MovingWindowSupport",
    "RedisClusterStorage",
    "RedisSentinelStorage",
    "RedisStorage",
    "SlidingWindowCounterSupport",
    "Storage",
    "storage_from_string",
]

StorageTypes: TypeAlias = Storage | aio_base.Storage


def storage_from_string(storage_string: str, **options: float | str | bool) -> StorageTypes:
    """Return a new storage.

    Args:
        storage_string: A URI: ``memory://``, ``redis://localhost:6379``. A scheme that begins with
            ``async+`` means a storage for asyncio.
        options: Arguments of the storage.

    Raises:
        ConfigurationError: No storage has the scheme, or the storage cannot be made.

    >>> storage_from_string("memory://").check()
    True
    """
    scheme = urlparse(storage_string).scheme
    cls = SCHEMES.get(scheme) or class_for(scheme)
    if cls is None:
        raise ConfigurationError(f"unknown storage scheme : {storage_string}")
    return cast("StorageTypes", cls(storage_string, **options))


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return attribute_of(__name__, name, "limits.storage")
