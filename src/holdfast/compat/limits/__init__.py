"""The face of limits: rate limits by key, in this process or in a store of many.

``from holdfast.compat.limits import parse, storage, strategies`` has the names, arguments and
exceptions of limits 5.8. In memory, native kernels count; the hits of each item are those of a
rate limiter of the registry, named after it: ``LIMITER/10/1/minute``.
"""

from __future__ import annotations

import holdfast.compat.limits.aio as aio
import holdfast.compat.limits.storage as storage
import holdfast.compat.limits.strategies as strategies
from holdfast.compat.limits._version import __version__ as __version__
from holdfast.compat.limits.limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    RateLimitItemPerMonth,
    RateLimitItemPerSecond,
    RateLimitItemPerYear,
)
from holdfast.compat.limits.util import WindowStats, parse, parse_many

__all__ = [
    "RateLimitItem",
    "RateLimitItemPerDay",
    "RateLimitItemPerHour",
    "RateLimitItemPerMinute",
    "RateLimitItemPerMonth",
    "RateLimitItemPerSecond",
    "RateLimitItemPerYear",
    "WindowStats",
    "aio",
    "parse",
    "parse_many",
    "storage",
    "strategies",
]
