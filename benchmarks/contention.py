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
ROUNDS = 25


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


class Rates:
    """Calls a second in each of many rounds, by number of threads and kind.

    Whatever is asked of them is the median over the rounds of what each round says: the best round
    would be one in which threads hardly met.
    """

    def __init__(self, rounds: list[list[dict[str, float]]]) -> None:
        self.rounds = rounds

    def of(self, kind: str, threads: int) -> float:
        """Calls a second."""
        return median(rows[threads - 1][kind] for rows in self.rounds)

    def gain(self, kind: str, threads: int = 2) -> float:
        """What so many threads do together, over what one does alone."""
        return median(_gain(rows, kind, threads) for rows in self.rounds)

    def scaling(self, threads: int = 2) -> float:
        """What so many threads make of one breaker, over what they make of the bare function.

        Each compared with one thread, so that 1.0 means that sharing the breaker costs nothing.
        """
        return median(
            _gain(rows, "shared", threads) / _gain(rows, "bare", threads) for rows in self.rounds
        )


def _gain(rows: list[dict[str, float]], kind: str, threads: int) -> float:
    return rows[threads - 1][kind] / rows[0][kind]


def measure(most: int, calls: int = CALLS, rounds: int = ROUNDS) -> Rates:
    """Run 1 to ``most`` threads of every kind in turn, round after round."""
    return Rates(
        [
            [
                {kind: run(threads, calls) for kind, run in KINDS.items()}
                for threads in range(1, most + 1)
            ]
            for _ in range(rounds)
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Threads through one breaker, and one each.")
    parser.add_argument("--threads", type=int, default=max(4, os.cpu_count() or 1))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rates = measure(arguments.threads)
    if arguments.json:
        print(json.dumps(rates.rounds))
        return
    print("threads   bare M/s   shared M/s   separate M/s   scaling")
    for threads in range(1, arguments.threads + 1):
        bare, shared, separate = (rates.of(kind, threads) / 1e6 for kind in KINDS)
        print(
            f"{threads:7d} {bare:10.1f} {shared:12.1f} {separate:14.1f}"
            f" {rates.scaling(threads):9.2f}"
        )


if __name__ == "__main__":
    main()
