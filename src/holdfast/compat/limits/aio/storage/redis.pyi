from typing import Any, Literal

from holdfast.compat.limits.aio.storage.base import (
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    Storage,
)

class RedisStorage(Storage, MovingWindowSupport, SlidingWindowCounterSupport):
    STORAGE_SCHEME: list[str] | None
    def __init__(
        self,
        uri: str,
        wrap_exceptions: bool = False,
        implementation: Literal["redispy", "coredis", "valkey"] = "coredis",
        key_prefix: str = "LIMITS",
        **options: Any,
    ) -> None: ...
    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]: ...
    async def incr(self, key: str, expiry: int, amount: int = 1) -> int: ...
    async def get(self, key: str) -> int: ...
    async def get_expiry(self, key: str) -> float: ...
    async def check(self) -> bool: ...
    async def reset(self) -> int | None: ...
    async def clear(self, key: str) -> None: ...
    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool: ...
    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]: ...
    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool: ...
    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]: ...
    async def clear_sliding_window(self, key: str, expiry: int) -> None: ...

class RedisClusterStorage(RedisStorage):
    STORAGE_SCHEME: list[str] | None
    def __init__(
        self,
        uri: str,
        wrap_exceptions: bool = False,
        implementation: Literal["redispy", "coredis", "valkey"] = "coredis",
        key_prefix: str = "LIMITS",
        **options: Any,
    ) -> None: ...

class RedisSentinelStorage(RedisStorage):
    STORAGE_SCHEME: list[str] | None
    def __init__(
        self,
        uri: str,
        wrap_exceptions: bool = False,
        implementation: Literal["redispy", "coredis", "valkey"] = "coredis",
        key_prefix: str = "LIMITS",
        service_name: str | None = None,
        use_replicas: bool = True,
        sentinel_kwargs: dict[str, float | str | bool] | None = None,
        **options: Any,
    ) -> None: ...
