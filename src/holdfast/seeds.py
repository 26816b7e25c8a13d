"""Seeds for random numbers."""

from __future__ import annotations

import os

__all__ = ["fresh_seed"]


def fresh_seed() -> int:
    """Return a seed that no other process has, a forked child of this one included."""
    return int.from_bytes(os.urandom(8), "little")
