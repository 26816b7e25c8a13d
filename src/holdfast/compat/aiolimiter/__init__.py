"""The face of aiolimiter: a leaky bucket for asyncio, decided by the token bucket of holdfast."""

from holdfast.compat.aiolimiter.leakybucket import AsyncLimiter

__all__ = ["AsyncLimiter"]

__version__ = "1.3.0"
