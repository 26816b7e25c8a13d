"""The benchmarks of the original system under their names, with what each allocates.

Run from the project's root: ``python -m benchmarks.original``. A figure is the whole statement, as
the original measured it. What a call allocates is the most memory that is in use during one, over
that of the bare function, in bytes: whatever it allocated and gave back is in it.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tracemalloc
from itertools import repeat
from pathlib import Path

from holdfast.bench.cases import CASES, ORIGINAL, bare_call
from holdfast.bench.timing import loop_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.bench.cases import Case

ROOT = Path(__file__).resolve().parent.parent
WARM = 2_000

#: Nanoseconds that the original has published.
CLAIMED = {
    "CircuitBreakerClosed": 5_800,
    "RateLimiterAllowed": 655,
    "RateLimiterRejected": 50,
    "Bulkhead": 429,
    "ResilienceManagerFullStack": 67_000,
}


def peak(loop: Callable[[object], int]) -> int:
    """Return the most bytes that one turn of a warm loop has in use."""
    loop(repeat(None, WARM))
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(3):  # the first has what tracemalloc and the loop itself keep
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            loop(repeat(None, 100))
            most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return most


def allocated(make: Callable[[], Case]) -> int:
    """Return the bytes that a call allocates, over those of the bare function's loop."""
    return max(0, peak(loop_of(make())) - peak(loop_of(bare_call())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    least: dict[str, float] = {}
    for _ in range(arguments.processes):
        done = subprocess.run(
            [sys.executable, "-m", "holdfast.bench.measure", "--rounds", str(arguments.rounds)],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        for case, ns in json.loads(done.stdout).items():
            least[case] = min(ns, least.get(case, ns))
    print("| benchmark | ns | the original | bytes allocated |\n|---|---:|---:|---:|")
    for name, make in ORIGINAL.items():
        ns = least[make.__name__] - least["empty"]
        assert CASES[make.__name__] is make
        print(f"| {name} | {ns:.0f} | {CLAIMED[name]:,} | {allocated(make)} |")


if __name__ == "__main__":
    main()
