"""How many workers fit a machine: a proposal, and the reasons for each of its numbers. Pure.

Elsewhere: when a proposal is made, and who follows it (``optimiser``).
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.resources.report import PerformanceReport

__all__ = ["FIELDS", "NEWEST", "Proposal", "propose", "triggers"]

#: The numbers of a proposal that something can follow.
FIELDS = ("workers", "backfill", "writes", "breaker_calls")
#: So many of the newest reports are averaged.
NEWEST = 5

GIB = 1 << 30
LEAST_WORKERS, MOST_WORKERS = 2, 20
MOST_BACKFILL, MOST_WRITES = 10, 15
UTILISATION = 0.8


@dataclass(frozen=True, slots=True)
class Proposal:
    """How many of each kind of worker there should be.

    Attributes:
        workers: Workers that collect, 2 to 20.
        backfill: Workers that fill gaps, at most 10.
        writes: Writers at a time, at most 15.
        breaker_calls: Calls at a time behind the breakers.
        utilisation: The share of the workers that should be busy, at most; the rest is for peaks.
        reasons: A sentence for each number and factor.

    >>> propose(4, cpu=0.2, used=0.5).reasons[0]
    '8 workers: two for each of 4 processors, 2 to 20'
    """

    workers: int
    backfill: int
    writes: int
    breaker_calls: int
    utilisation: float
    reasons: tuple[str, ...]

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """The four numbers, in the order of ``FIELDS``."""
        return self.workers, self.backfill, self.writes, self.breaker_calls


def propose(
    processors: float, memory: int | None = None, *, cpu: float | None, used: float | None
) -> Proposal:
    """Propose numbers for a machine as it is now.

    Args:
        processors: How many processors may be used, also a fraction.
        memory: How many bytes of memory may be used; None if that is not known.
        cpu: The used share of the processors; None if it is not known.
        used: The used share of the memory; None if it is not known.

    >>> propose(4, 16 * 2**30, cpu=0.85, used=0.5).workers
    5
    """
    base = min(max(2 * processors, LEAST_WORKERS), MOST_WORKERS)
    limits = f"{LEAST_WORKERS} to {MOST_WORKERS}"
    reasons = [f"{base:g} workers: two for each of {processors:g} processors, {limits}"]
    share = 1.0
    if memory is not None and memory < 8 * GIB:
        factor, below = (0.5, 4) if memory < 4 * GIB else (0.75, 8)
        share *= factor
        reasons.append(f"times {factor}: {memory / GIB:.1f} GiB of memory are below {below} GiB")
    for value, limit, factor, what in (
        (cpu, 0.8, 0.7, "the processors"),
        (used, 0.85, 0.8, "the memory"),
    ):
        if value is not None and value > limit:
            share *= factor
            reasons.append(f"times {factor}: {value:.1%} of {what} are used, above {limit:.0%}")
    workers = max(int(base * share + 1e-9), LEAST_WORKERS)
    if base * share < LEAST_WORKERS:
        reasons.append(f"at least {LEAST_WORKERS} workers: {base * share:.2f} are too few")
    backfill = max(1, min(workers // 2, MOST_BACKFILL))
    writes = max(1, min(workers // 3, MOST_WRITES))
    reasons += (
        f"{backfill} for backfill: half of {workers} workers, 1 to {MOST_BACKFILL}",
        f"{writes} writes: a third of {workers} workers, 1 to {MOST_WRITES}",
        f"{2 * workers} calls behind breakers: two for each of {workers} workers",
    )
    return Proposal(workers, backfill, writes, 2 * workers, UTILISATION, tuple(reasons))


def average(values: Iterable[float | None]) -> float | None:
    """Return the average of those values that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def triggers(reports: Sequence[PerformanceReport]) -> tuple[str, ...]:
    """Return why the newest five reports ask for another proposal; fewer never do.

    Calls are averaged over calls, not over reports: one call that fails in a quiet half minute is
    not half of all.
    """
    newest = reports[-NEWEST:]
    if len(newest) < NEWEST:
        return ()
    totals = [report.application.total for report in newest]
    asked = sum(total.succeeded + total.failures for total in totals)
    # A mean is that of calls that ran.
    ran = [(total.mean, total.calls - total.rejected) for total in totals if total.mean is not None]
    timed = sum(calls for _, calls in ran)
    found = (
        (average(report.system.cpu for report in newest), 0.85, "{:.1%} of the processors"),
        (average(report.system.memory for report in newest), 0.9, "{:.1%} of the memory"),
        (
            sum(total.failures for total in totals) / asked if asked else None,
            0.05,
            "{:.1%} of the calls without a result",
        ),
        (
            sum(mean * calls for mean, calls in ran) / timed if timed else None,
            5.0,
            "{:.2f} s a call",
        ),
        (
            average(float(report.system.concurrency) for report in newest),
            1000.0,
            "{:g} threads and tasks",
        ),
    )
    return tuple(
        f"{text.format(value)} on average of {NEWEST} reports"
        for value, limit, text in found
        if value is not None and value > limit
    )
