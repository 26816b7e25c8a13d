from typing import Any

from holdfast.compat.limits.storage.redis import RedisStorage

class RedisSentinelStorage(RedisStorage):
    STORAGE_SCHEME: list[str] | None
    def __init__(
        self,
        uri: str,
        service_name: str | None = None,
        use_replicas: bool = True,
        sentinel_kwargs: dict[str, float | str | bool] | None = None,
        key_prefix: str = "LIMITS",
        wrap_exceptions: bool = False,
        **options: Any,
    ) -> None: ...
