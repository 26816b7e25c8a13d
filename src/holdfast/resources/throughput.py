"""The calls of operations between two looks, from what policies count themselves.

Every operation of a manager and every pipeline counts natively how its calls end and how long they
take, and so does what ``record_operation`` is told: nothing is counted twice. Owns the differences
between two looks. Elsewhere: the counts (``stores.ledger``), and what is shown (``report``).
"""

from __future__ import annotations

from heapq import nlargest
from operator import add, sub
from typing import NamedTuple

from holdfast.pipeline.counted import counters_of
from holdfast.resources.report import ApplicationFigures, OperationFigures
from holdfast.stores.figures import OPERATION, PIPELINE
from holdfast.stores.ledger import ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["BOUNDS", "MOST_SHOWN", "Recorded", "Throughput", "percentile"]

MOST_SHOWN = 100  # operations of a report
#: The bounds of the buckets in seconds, as in metrics.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_ENDS = 5
_NO_ENDS = (0,) * _ENDS
_NO_BUCKETS = (0,) * (len(BOUNDS) + 1)


class _Counts(NamedTuple):
    """What was counted: how calls ended, how many took at most each bound, and all their time."""

    ends: tuple[int, ...]
    buckets: tuple[int, ...]
    sum_ns: int

    def since(self, old: _Counts) -> _Counts:
        """Return what came after an older look; all of it if the counts began anew."""
        ends = tuple(map(sub, self.ends, old.ends))
        buckets = tuple(map(sub, self.buckets, old.buckets))
        if min(ends) < 0 or min(buckets) < 0:
            return self
        return _Counts(ends, buckets, (self.sum_ns - old.sum_ns) % (1 << 64))

    def plus(self, other: _Counts) -> _Counts:
        return _Counts(
            tuple(map(add, self.ends, other.ends)),
            tuple(map(add, self.buckets, other.buckets)),
            self.sum_ns + other.sum_ns,
        )


_NONE = _Counts(_NO_ENDS, _NO_BUCKETS, 0)


class Recorded:
    """An operation that no policy guards, and that counts what it is told.

    Its counts are those of an operation, in metrics too. It has what the ledger asks for.
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

    __slots__ = ("_prefix", "_seen")

    def __init__(self, manager: str | None) -> None:
        self._prefix = None if manager is None else f"{manager}/"
        self._seen: dict[Any, tuple[str, _Counts]] = {}
        self.begin()

    def begin(self) -> None:
        """Have the next look show what comes from here on."""
        self._differences()

    def forget(self) -> None:
        """In a forked child, in which all counts are 0: what was seen was the parent's."""
        self._seen = {}

    def look(self, seconds: float) -> ApplicationFigures:
        """Return the calls since the look before, which was so many seconds ago."""
        by_name = self._differences()
        counts = list(by_name.values())
        total = _shown("", _sum_of(counts), seconds)
        most = nlargest(MOST_SHOWN, by_name.items(), key=_weight)
        return ApplicationFigures(
            total=total,
            operations={name: _shown(name, its, seconds) for name, its in most},
            others=len(by_name) - len(most),
        )

    def _differences(self) -> dict[str, _Counts]:
        """Return by name what came since the look before, and keep in mind what there is."""
        found: dict[str, _Counts] = {}
        before = self._seen.copy()  # whole again if Ctrl-C comes amid this
        seen: dict[Any, tuple[str, _Counts]] = {}
        for name, kernel in self._kernels():
            last = before.pop(kernel, None)
            old = _NONE if last is None else last[1]
            ends = kernel.counters()
            if ends == old.ends:
                seen[kernel] = (name, old) if last is None else last
                continue
            new = _Counts(ends, kernel.buckets(), kernel.sum_ns())
            seen[kernel] = name, new
            _add(found, name, new.since(old))
        for kernel, (name, old) in before.items():  # of policies that were collected meanwhile
            ends = kernel.counters()
            if ends != old.ends:
                _add(found, name, _Counts(ends, kernel.buckets(), kernel.sum_ns()).since(old))
        self._seen = seen
        return found

    def _kernels(self) -> Iterable[tuple[str, Any]]:
        if self._prefix is None:
            return ledger.kernels((OPERATION, PIPELINE))
        prefix, length = self._prefix, len(self._prefix)
        return [
            (name[length:], kernel)
            for name, kernel in ledger.kernels((OPERATION,))
            if name.startswith(prefix)
        ]


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


def _add(found: dict[str, _Counts], name: str, counts: _Counts) -> None:
    there = found.get(name)
    found[name] = counts if there is None else there.plus(counts)


def _sum_of(counts: list[_Counts]) -> _Counts:
    if not counts:
        return _NONE
    ends, buckets, sums = zip(*counts, strict=True)
    return _Counts(
        tuple(map(sum, zip(*ends, strict=True))),
        tuple(map(sum, zip(*buckets, strict=True))),
        sum(sums),
    )


def _weight(item: tuple[str, _Counts]) -> tuple[int, int]:
    _, failed, rejected, timeouts, _ = item[1].ends
    return failed + rejected + timeouts, sum(item[1].ends)


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
