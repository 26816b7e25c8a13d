"""What a look of a performance monitor costs, by the number of operations.

    python -m benchmarks.performance

Each operation of a manager has a breaker, and is called once between two looks. CPU time of this
process, the best of several looks, as a share of a processor at the default interval of 30 seconds.
The last two columns are those of looks before each of which one operation has come.
"""

import gc
import time

import holdfast as hf

SIZES = (10, 1_000, 20_000)
ROUNDS = 7
INTERVAL = 30.0


def look(operations: int, rounds: int = ROUNDS, come: int = 0) -> tuple[float, int]:
    """Return the CPU seconds of a look at so many operations, and the calls that it showed.

    Args:
        operations: How many there are before the first look.
        rounds: How many looks.
        come: How many come before each look.
    """
    gc.collect()  # the operations of the size before
    rm = hf.ResilienceManager("benchmark")
    called = []

    def add(n: int) -> None:
        for at in range(len(called), len(called) + n):
            rm.register_circuit_breaker(f"operation {at}")
            called.append(rm.operation(f"operation {at}"))

    add(operations)
    monitor = hf.PerformanceMonitor("benchmark", manager=rm)
    best, calls = float("inf"), 0
    for _ in range(rounds):
        add(come)
        for operation in called:
            operation.call(int)
        began = time.process_time()
        report = monitor.collect()
        best = min(best, time.process_time() - began)
        calls = report.application.total.calls
    return best, calls


def main() -> None:
    """Print a line for each size."""
    print("| operations, each called since the last look | a look | share | one has come | share |")
    print("|---:|---:|---:|---:|---:|")
    for size in SIZES:
        found = [look(size)[0], look(size, come=1)[0]]
        cells = [f"{1e3 * one:.1f} ms | {100 * one / INTERVAL:.3f} %" for one in found]
        print(f"| {size:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
