"""What a look of a performance monitor costs, by the number of operations.

    python -m benchmarks.performance

Each operation of a manager has a breaker, and is called once between two looks. CPU time of this
process, the best of several looks, as a share of a processor at the default interval of 30 seconds.
"""

import time

import holdfast as hf

SIZES = (10, 1_000, 20_000)
ROUNDS = 7
INTERVAL = 30.0


def look(operations: int, rounds: int = ROUNDS) -> tuple[float, int]:
    """Return the CPU seconds of a look at so many operations, and the calls that it showed."""
    rm = hf.ResilienceManager("benchmark")
    called = []
    for at in range(operations):
        rm.register_circuit_breaker(f"operation {at}")
        called.append(rm.operation(f"operation {at}"))
    monitor = hf.PerformanceMonitor("benchmark", manager=rm)
    best, calls = float("inf"), 0
    for _ in range(rounds):
        for operation in called:
            operation.call(int)
        began = time.process_time()
        report = monitor.collect()
        best = min(best, time.process_time() - began)
        calls = report.application.total.calls
    return best, calls


def main() -> None:
    """Print a line for each size."""
    print("| operations, each called since the last look | a look | share |")
    print("|---:|---:|---:|")
    for size in SIZES:
        seconds, _ = look(size)
        print(f"| {size:,} | {1e3 * seconds:.1f} ms | {100 * seconds / INTERVAL:.3f} % |")


if __name__ == "__main__":
    main()
