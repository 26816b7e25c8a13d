"""What the tests of effects share: one effect of each class, and a wait for another thread."""

import time
from collections.abc import Callable

from holdfast.chaos.cpu import CpuEffect
from holdfast.chaos.partition import PartitionEffect
from holdfast.chaos.space import DiskEffect, MemoryEffect

SECOND = 10**9
HOUR = 3600 * SECOND
MIB = 1 << 20


def effects(folder, clock):
    return {
        "cpu": CpuEffect(1, 0.1, clock),
        "disk": DiskEffect(str(folder), 3 * MIB, 0.5, clock),
        "memory": MemoryEffect(3 * MIB, 0.5, clock),
        "partition": PartitionEffect(None, None, clock),
    }


def is_idle(effect):
    return not effect.is_on and getattr(effect, "held", 0) == 0


def soon(is_so: Callable[[], bool]) -> bool:
    """Wait until something is so that another thread does, for half a minute at most."""
    ends = time.monotonic() + 30
    while not is_so() and time.monotonic() < ends:
        time.sleep(0.001)
    return is_so()
