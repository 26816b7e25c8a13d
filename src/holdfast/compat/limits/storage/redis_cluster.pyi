from typing import Any

from holdfast.compat.limits.storage.redis import RedisStorage

class RedisClusterStorage(RedisStorage):
    STORAGE_SCHEME: list[str] | None
    def __init__(
        self,
        uri: str,
        key_prefix: str = "LIMITS",
        wrap_exceptions: bool = False,
        **options: Any,
    ) -> None: ...
