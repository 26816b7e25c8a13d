"""One to N threads through one policy, and through one each: what a guard costs when it is shared.

Run from the project's root: ``python -m benchmarks.contention``. Prints a table, and with
``--json`` the figures. With the GIL the best to be had is one thread's rate, however many there
are; without it, that of a thread times their number. Lost counts are an error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from statistics import median
from threading import Barrier, Thread
from time import perf_counter

import holdfast as hf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 200_000
ROUNDS = 15


def bare() -> None:
    """The function under guard."""


def rate(functions: list[Callable[[], None]], calls: int = CALLS) -> float:
    """Return calls a second of threads that each call their function, all at once."""
    barrier = Barrier(len(functions) + 1)

    def work(function: Callable[[], None]) -> None:
        barrier.wait()
        for _ in range(calls):
            function()
        barrier.wait()

    threads = [Thread(target=work, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = perf_counter()
    barrier.wait()
    took = perf_counter() - began
    for thread in threads:
        thread.join()
    return calls * len(functions) / took


def bare_rate(threads: int, calls: int) -> float:
    return rate([bare] * threads, calls)


def shared_rate(threads: int, calls: int) -> float:
    """All threads through one breaker; every call is counted."""
    breaker = hf.CircuitBreaker("shared")
    found = rate([breaker(bare)] * threads, calls)
    if breaker.snapshot().succeeded != threads * calls:
        sys.exit(f"lost counts: {breaker.snapshot().succeeded} of {threads * calls}")
    return found


def separate_rate(threads: int, calls: int) -> float:
    return rate([hf.CircuitBreaker(f"own {n}")(bare) for n in range(threads)], calls)


KINDS = {"bare": bare_rate, "shared": shared_rate, "separate": separate_rate}


def measure(most: int, calls: int = CALLS) -> list[dict[str, float]]:
    """Return calls a second for 1 to ``most`` threads: unguarded, one breaker, one breaker each.

    The median of rounds in which all take turns: the best round would be one in which threads
    hardly met.
    """
    rates: dict[tuple[int, str], list[float]] = {}
    for _ in range(ROUNDS):
        for threads in range(1, most + 1):
            for kind, run in KINDS.items():
                rates.setdefault((threads, kind), []).append(run(threads, calls))
    return [
        {"threads": threads} | {kind: median(rates[threads, kind]) for kind in KINDS}
        for threads in range(1, most + 1)
    ]


def gain(rows: list[dict[str, float]], kind: str, threads: int = 2) -> float:
    """What so many threads do together, over what one does alone."""
    return rows[threads - 1][kind] / rows[0][kind]


def scaling(rows: list[dict[str, float]], threads: int = 2) -> float:
    """What so many threads make of one breaker, over what they make of the bare function.

    Each compared with one thread, so that 1.0 means that sharing the breaker costs nothing.
    """
    return gain(rows, "shared", threads) / gain(rows, "bare", threads)


def main() -> None:
    parser = argparse.ArgumentParser(description="Threads through one breaker, and one each.")
    parser.add_argument("--threads", type=int, default=max(4, os.cpu_count() or 1))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.threads)
    if arguments.json:
        print(json.dumps(rows))
        return
    print("threads   bare M/s   shared M/s   separate M/s   scaling")
    for row in rows:
        print(
            f"{row['threads']:7.0f} {row['bare'] / 1e6:10.1f} {row['shared'] / 1e6:12.1f}"
            f" {row['separate'] / 1e6:14.1f} {scaling(rows, int(row['threads'])):9.2f}"
        )


if __name__ == "__main__":
    main()
