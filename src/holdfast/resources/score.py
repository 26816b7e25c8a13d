"""The score of health: its deductions, each with a sentence.

Elsewhere: the figures (``report``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.resources.report import OperationFigures, SystemFigures

__all__ = ["health_score"]

MEMORY_FREE, MEMORY_COST = 80.0, 2.0  # percent without a deduction, and points for each above
CONCURRENCY_FREE, CONCURRENCY_COST = 1000, 0.01
FAILURES_FREE, FAILURES_COST = 5.0, 2.0


def health_score(system: SystemFigures, calls: OperationFigures) -> tuple[float, tuple[str, ...]]:
    """Return how well a process is, and why not better.

    100, less 2 for each percent of memory above 80, 0.01 for each thread or task above 1,000, and
    2 for each percent of calls above 5 that gave no result. An unknown figure deducts no points.

    Args:
        system: The figures of the machine.
        calls: The sum of all operations.

    Returns:
        The score, 0 to 100, and a sentence for each deduction, the largest first.
    """
    found: list[tuple[float, str]] = []
    memory = system.memory
    if memory is not None:
        points = _points(100.0 * memory, MEMORY_FREE, MEMORY_COST)
        of = f"{_bytes(system.memory_limit)} ({system.memory_source})"
        found.append((points, f"memory is {100 * memory:.1f} % of {of}, above 80 %"))
    points = _points(system.concurrency, CONCURRENCY_FREE, CONCURRENCY_COST)
    found.append((points, f"{system.concurrency} threads and tasks, above 1000"))
    rate = calls.failure_rate
    if rate is not None:
        points = _points(100.0 * rate, FAILURES_FREE, FAILURES_COST)
        asked = calls.succeeded + calls.failures
        of = f"{calls.failures} of {asked} calls"
        found.append((points, f"{100 * rate:.1f} % failures ({of}), above 5 %"))
    taken = sorted((one for one in found if one[0] > 0), key=lambda one: -one[0])
    score = max(0.0, 100.0 - sum(points for points, _ in taken))
    return score, tuple(f"{text}: -{points:.4g}" for points, text in taken)


def _points(value: float, free: float, cost: float) -> float:
    return max(0.0, value - free) * cost


def _bytes(number: int | None) -> str:
    value, unit = float(number or 0), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.3g} {unit}"
