"""A storage in Redis behind Sentinel: that of limits, where it is installed."""

from __future__ import annotations

from holdfast.compat.limits._elsewhere import attribute_of

__all__ = ["RedisSentinelStorage"]  # noqa: F822 - by __getattr__


def __getattr__(name: str) -> object:
    return attribute_of(__name__, name, "limits.storage.redis_sentinel")
