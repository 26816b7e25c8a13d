"""The calls of operations between two looks, from the native counts of operations and pipelines.

Every operation of a manager and every pipeline counts how its calls end and how long they take.
``record_operation`` adds to such counts as well, so no call is counted twice. Owns the differences
between two looks. Elsewhere: the counts (``stores.ledger``), and their shape (``report``).
"""

from __future__ import annotations

from heapq import nlargest
from operator import add
from typing import NamedTuple

from holdfast._native.histogram import Looks
from holdfast.pipeline.counted import counters_of
from holdfast.resources.report import ApplicationFigures, OperationFigures
from holdfast.stores.figures import CALLS, OPERATION
from holdfast.stores.ledger import ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast._native.histogram import Ends

__all__ = ["BOUNDS", "MOST_SHOWN", "Recorded", "Throughput", "percentile"]

MOST_SHOWN = 100  # operations of a report
#: The bounds of the buckets in seconds, as in metrics.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Counts(NamedTuple):
    """The calls of a look: how they ended, how many took at most each bound, and all their time."""

    ends: tuple[int, ...]
    buckets: tuple[int, ...]
    sum_ns: int

    def plus(self, other: _Counts) -> _Counts:
        return _Counts(
            tuple(map(add, self.ends, other.ends)),
            tuple(map(add, self.buckets, other.buckets)),
            self.sum_ns + other.sum_ns,
        )


class Recorded:
    """An operation that no policy guards, with the counts of an operation.

    Metrics show it as an operation.
    """

    __slots__ = ("__weakref__", "_scope", "ends", "name")

    kind = "operation"

    def __init__(self, scope: str, name: str) -> None:
        self._scope = scope
        self.name = name
        self.ends = counters_of(self, critical=False)


class Throughput:
    """The calls of all operations, from one look to the next. For one thread at a time.

    Args:
        manager: The name of the manager whose operations are meant; None: all operations and
            pipelines of this process.
    """

    __slots__ = ("_changes", "_has_twins", "_living", "_looks", "_prefix", "_rows")

    def __init__(self, manager: str | None) -> None:
        self._prefix = None if manager is None else f"{manager}/"
        self.forget()
        self._watch()
        self._looks.look()  # what came before is not shown

    def forget(self) -> None:
        """In a forked child, in which all counts are 0: what was seen was the parent's."""
        self._looks = Looks()
        self._rows: list[tuple[Ends, str]] = []  # counters and names, in the order of the looks
        self._has_twins = False  # whether several rows have one name
        self._living = 0  # so many of them, the first ones, are of policies that live
        self._changes = -1  # of the ledger, when the rows were made

    def look(self, seconds: float) -> ApplicationFigures:
        """Return the calls since the look before, which was so many seconds ago."""
        self._watch()
        ended = self._looks.look()
        total = _shown("", _Counts(*self._looks.total()), seconds)
        names = self._grouped(ended) if self._has_twins else ended
        shown = {}
        for _, _, first, *more in nlargest(MOST_SHOWN, names):
            name = self._rows[-first][1]
            counts = _Counts(*self._looks.came(-first))
            for row in more:
                counts = counts.plus(_Counts(*self._looks.came(-row)))
            shown[name] = _shown(name, counts, seconds)
        others = len(names) - len(shown)
        if self._living < len(self._rows):
            self._put(self._rows[: self._living])
        return ApplicationFigures(total, shown, others)

    def _grouped(self, ended: list[tuple[int, int, int]]) -> list[tuple[int, ...]]:
        """Return failures and calls of each name, and all rows that bear it."""
        names: dict[str, tuple[int, ...]] = {}
        for failures, calls, row in ended:
            name = self._rows[-row][1]
            more, also, *rows = names.get(name, (0, 0))
            names[name] = (failures + more, calls + also, *rows, row)
        return list(names.values())

    def _watch(self) -> None:
        """Have a row for the counters of each policy, and of those that were collected meanwhile.

        The latter are looked at once more.
        """
        changes = ledger.changes
        if changes == self._changes:
            return
        if self._prefix is None:
            living = ledger.callers(CALLS)
        else:
            living = ledger.callers((OPERATION,), self._prefix)
        rows = list(living.items())
        rows += [row for row in self._rows if row[0] not in living]
        self._put(rows)
        self._living = len(living)
        self._changes = changes

    def _put(self, rows: list[tuple[Ends, str]]) -> None:
        self._looks.watch([ends for ends, _ in rows])
        self._rows = rows
        self._has_twins = len({name for _, name in rows}) < len(rows)


def percentile(buckets: tuple[int, ...], share: float) -> float | None:
    """Return the seconds that a share of durations did not exceed; None without any.

    Within its bucket the durations are taken to be spread evenly, as ``histogram_quantile`` of
    Prometheus does. Beyond the last bound it is that bound.

    Args:
        buckets: How many durations were at most each bound, and how many there are.
        share: 0 to 1.

    >>> percentile((0, 0, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10), 0.5)
    0.0175
    """
    rank = share * buckets[-1]
    if not buckets[-1]:
        return None
    below, lower = 0, 0.0
    for bound, upto in zip(BOUNDS, buckets, strict=False):
        if upto >= rank and upto > below:
            return lower + (bound - lower) * (rank - below) / (upto - below)
        below, lower = upto, bound
    return BOUNDS[-1]


def _shown(name: str, counts: _Counts, seconds: float) -> OperationFigures:
    succeeded, failed, rejected, timeouts, cancelled = counts.ends
    calls = sum(counts.ends)
    timed = counts.buckets[-1]
    return OperationFigures(
        name=name,
        calls=calls,
        succeeded=succeeded,
        failed=failed,
        timeouts=timeouts,
        rejected=rejected,
        cancelled=cancelled,
        throughput=calls / seconds if seconds > 0 else None,
        mean=counts.sum_ns / timed / 1e9 if timed else None,
        p50=percentile(counts.buckets, 0.50),
        p95=percentile(counts.buckets, 0.95),
        p99=percentile(counts.buckets, 0.99),
    )
