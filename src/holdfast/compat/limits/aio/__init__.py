"""Strategies and storages for asyncio."""

from __future__ import annotations

import holdfast.compat.limits.aio.storage as storage
import holdfast.compat.limits.aio.strategies as strategies

__all__ = ["storage", "strategies"]
