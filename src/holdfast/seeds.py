"""Seeds for random numbers."""

from __future__ import annotations

import os

from holdfast._native.random import Random

__all__ = ["fresh_seed"]

# Of 5,000 policies each wants some seeds: the system is asked once.
_seeds = Random(int.from_bytes(os.urandom(8), "little"), seeded=False)


def fresh_seed() -> int:
    """Return a seed that no other process has, a forked child of this one included."""
    return _seeds.next()
