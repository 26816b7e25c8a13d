"""The names of types that limits exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
)

__all__ = [
    "TYPE_CHECKING",
    "Any",
    "AsyncRedisClient",
    "Awaitable",
    "Callable",
    "ClassVar",
    "Counter",
    "Iterable",
    "Literal",
    "MemcachedClientP",
    "MongoClient",
    "MongoCollection",
    "MongoDatabase",
    "NamedTuple",
    "P",
    "ParamSpec",
    "Protocol",
    "R",
    "R_co",
    "RedisClient",
    "Serializable",
    "TypeAlias",
    "TypeVar",
    "cast",
]

Serializable = int | str | float

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
P = ParamSpec("P")


class MemcachedClientP(Protocol):
    """What a storage needs of a client of memcached."""

    def add(
        self,
        key: str,
        value: Serializable,
        expire: int | None = 0,
        noreply: bool | None = None,
        flags: int | None = None,
    ) -> bool:
        """Store a value, unless the key has one."""
        ...

    def get(self, key: str, default: str | None = None) -> bytes:
        """Return the value of a key."""
        ...

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of keys."""
        ...

    def incr(self, key: str, value: int, noreply: bool | None = False) -> int | None:
        """Add to a value."""
        ...

    def decr(self, key: str, value: int, noreply: bool | None = False) -> int | None:
        """Take from a value."""
        ...

    def delete(self, key: str, noreply: bool | None = None) -> bool | None:
        """Remove a key."""
        ...

    def set(
        self,
        key: str,
        value: Serializable,
        expire: int = 0,
        noreply: bool | None = None,
        flags: int | None = None,
    ) -> bool:
        """Store a value."""
        ...

    def touch(self, key: str, expire: int | None = 0, noreply: bool | None = None) -> bool:
        """Change when a key expires."""
        ...


class RedisClientP(Protocol):
    """What a storage needs of a client of Redis."""

    def incrby(self, key: str, amount: int) -> int:
        """Add to a value."""
        ...

    def get(self, key: str) -> bytes | None:
        """Return the value of a key."""
        ...

    def delete(self, key: str) -> int:
        """Remove a key."""
        ...

    def ttl(self, key: str) -> int:
        """Return the seconds until a key expires."""
        ...

    def expire(self, key: str, seconds: int) -> bool:
        """Change when a key expires."""
        ...

    def ping(self) -> bool:
        """Return whether the server answers."""
        ...

    def register_script(self, script: bytes) -> Any:
        """Return a script that can be called."""
        ...


class AsyncRedisClientP(Protocol):
    """What a storage needs of a client of Redis for asyncio."""

    async def incrby(self, key: str, amount: int) -> int:
        """Add to a value."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Return the value of a key."""
        ...

    async def delete(self, key: str) -> int:
        """Remove a key."""
        ...

    async def ttl(self, key: str) -> int:
        """Return the seconds until a key expires."""
        ...

    async def expire(self, key: str, seconds: int) -> bool:
        """Change when a key expires."""
        ...

    async def ping(self) -> bool:
        """Return whether the server answers."""
        ...

    def register_script(self, script: bytes) -> Any:
        """Return a script that can be called."""
        ...


RedisClient: TypeAlias = RedisClientP
AsyncRedisClient: TypeAlias = AsyncRedisClientP
# Their classes belong to clients that need not be there.
AsyncCoRedisClient: TypeAlias = Any
MongoClient: TypeAlias = Any
MongoDatabase: TypeAlias = Any
MongoCollection: TypeAlias = Any
