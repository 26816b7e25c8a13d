"""What policies weigh, and what importing them costs."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import tracemalloc
from itertools import count, repeat

import holdfast as hf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SIZES", "WHOLE", "cpu_seconds", "import_ratio", "native_bytes", "whole_bytes"]

_NUMBERS = count()

# Label, how to make one, and the most its native state may weigh, in bytes.
SIZES: tuple[tuple[str, Callable[[], hf.Policy], int], ...] = (
    (
        "breaker with a 10-slice window",
        lambda: hf.CircuitBreaker("b", failure_rate=0.5, window=hf.TimeWindow(10.0)),
        1024,
    ),
    ("rate limiter", lambda: hf.RateLimiter("l", rate=10), 256),
    ("bulkhead", lambda: hf.Bulkhead("h"), 256),
    (
        "standard pipeline without calls",
        lambda: hf.Pipeline.standard(f"p{next(_NUMBERS)}", rate=10),
        2048,
    ),
)
# The most it may weigh with all that Python keeps of it.
WHOLE = {"standard pipeline without calls": 8192}


def native_bytes(policy: hf.Policy) -> int:
    """Return what a policy's kernels weigh, or those of a pipeline's policies."""
    if isinstance(policy, hf.Pipeline):
        return sum(map(native_bytes, policy.policies))
    return sum(kernel.nbytes() for kernel in policy._kernels)


def whole_bytes(make: Callable[[], hf.Policy], count: int = 500) -> float:
    """Return what a policy weighs with all that Python keeps of it."""
    make()  # what is imported or cached once is nobody's
    gc.collect()
    tracemalloc.start()
    kept = [make() for _ in repeat(None, count)]
    gc.collect()
    weight = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (weight - sys.getsizeof(kept)) / count


def import_ratio(rounds: int = 15) -> float:
    """Return the CPU time of ``import holdfast`` as a share of ``import asyncio``'s."""
    spent = {
        code: min(cpu_seconds(code) for _ in range(rounds))
        for code in ("pass", "import holdfast", "import asyncio")
    }
    return (spent["import holdfast"] - spent["pass"]) / (spent["import asyncio"] - spent["pass"])


def cpu_seconds(code: str) -> float:
    """Return the CPU time of a fresh interpreter; byte code is kept, as wherever imports matter."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
