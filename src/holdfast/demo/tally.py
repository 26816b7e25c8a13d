"""What came of the calls: counts and latencies, by lane, by side and by phase.

Pure bookkeeping: no clock, no traffic; every time is handed in, in nanoseconds since the
start. Memory does not grow with the number of calls (latencies go into histograms whose
quantiles are within 2 %).
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from holdfast._native.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.demo.schedule import Schedule


class Side(StrEnum):
    """Whether a pipeline stands in front of the calls."""

    UNGUARDED = "unguarded"
    GUARDED = "guarded"


class Face(StrEnum):
    """How the calls are made."""

    THREADS = "threads"
    ASYNCIO = "asyncio"


class Verdict(StrEnum):
    """How a call ended; ``failed`` and ``timed out`` ones were sent and wasted."""

    GOOD = "good"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    REJECTED = "rejected"


class Lane(NamedTuple):
    """One stream of calls."""

    side: Side
    face: Face


LANES = tuple(Lane(side, face) for side in Side for face in Face)


@dataclass(slots=True)
class Trip:
    """What a call does while it is under way: it counts the requests it sends."""

    requests: int = 0


if TYPE_CHECKING:
    ThreadCall = Callable[[Trip], None]
    TaskCall = Callable[[Trip], Awaitable[None]]


class Call(NamedTuple):
    """One finished call. It is due when the arrivals say so, and sent when a worker is free.

    ``requests`` are those it sent: none when it was rejected, more than one when tried again.
    """

    due_ns: int
    sent_ns: int
    done_ns: int
    verdict: Verdict
    reason: str = ""
    requests: int = 1


@dataclass(frozen=True, slots=True)
class Figures:
    """The standing of a lane, a side or a phase at one moment; latencies None without calls.

    Latency runs from when a call was due to its end, however it ended, so time spent behind
    stuck callers counts. ``recovered`` calls are good ones that took more than one request.
    """

    calls: int
    good: int
    failed: int
    timed_out: int
    rejected: int
    requests: int
    recovered: int
    p50_ns: float | None
    p99_ns: float | None
    wasted_ns: int

    @property
    def wasted(self) -> int:
        """Calls that were sent and came to nothing."""
        return self.failed + self.timed_out


class _Ledger:
    """Counts of one lane, side or phase; the tally's lock is held around every method."""

    __slots__ = ("counts", "latencies", "recovered", "requests", "wasted_ns")

    def __init__(self) -> None:
        self.counts: Counter[Verdict] = Counter()
        self.latencies = Histogram()
        self.requests = 0
        self.recovered = 0
        self.wasted_ns = 0

    def add(self, call: Call) -> None:
        self.counts[call.verdict] += 1
        self.latencies.record(call.done_ns - call.due_ns)
        self.requests += call.requests
        self.recovered += call.verdict is Verdict.GOOD and call.requests > 1
        if call.verdict in (Verdict.FAILED, Verdict.TIMED_OUT):
            self.wasted_ns += call.done_ns - call.sent_ns

    def figures(self) -> Figures:
        return Figures(
            calls=self.counts.total(),
            good=self.counts[Verdict.GOOD],
            failed=self.counts[Verdict.FAILED],
            timed_out=self.counts[Verdict.TIMED_OUT],
            rejected=self.counts[Verdict.REJECTED],
            requests=self.requests,
            recovered=self.recovered,
            p50_ns=self.latencies.quantile(0.50),
            p99_ns=self.latencies.quantile(0.99),
            wasted_ns=self.wasted_ns,
        )


class Tally:
    """The books of a run. Any thread may record and read."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._lock = threading.Lock()
        self._lanes: defaultdict[Lane, _Ledger] = defaultdict(_Ledger)
        self._sides: defaultdict[Side, _Ledger] = defaultdict(_Ledger)
        self._phases: defaultdict[tuple[Side, str], _Ledger] = defaultdict(_Ledger)
        self._reasons: Counter[str] = Counter()
        self._back_ns: int | None = None
        self._recoveries: dict[Side, int] = {}
        self._waiting: set[Side] = set()

    def record(self, lane: Lane, call: Call) -> None:
        """Enter a finished call. It belongs to the phase in which it was due."""
        phase = self._schedule.at(call.due_ns).phase.name
        with self._lock:
            self._lanes[lane].add(call)
            self._sides[lane.side].add(call)
            self._phases[lane.side, phase].add(call)
            if call.verdict is Verdict.REJECTED:
                self._reasons[call.reason] += 1
            elif call.verdict is Verdict.GOOD:
                self._note_recovery(lane.side, call)

    def upstream_is_back(self, at_ns: int) -> None:
        """Note when a killed upstream accepts connections again: recoveries count from here."""
        with self._lock:
            self._back_ns = at_ns
            self._waiting = set(Side)

    def lane(self, lane: Lane) -> Figures:
        """Return the standing of one lane."""
        with self._lock:
            return self._lanes[lane].figures()

    def side(self, side: Side) -> Figures:
        """Return the standing of both lanes of a side."""
        with self._lock:
            return self._sides[side].figures()

    def phase(self, side: Side, phase: str) -> Figures:
        """Return the standing of a side in one phase, over all cycles."""
        with self._lock:
            return self._phases[side, phase].figures()

    def reasons(self) -> Counter[str]:
        """Return why calls were rejected, most frequent first."""
        with self._lock:
            return Counter(dict(self._reasons.most_common()))

    def recovery_ns(self, side: Side) -> int | None:
        """Return the longest time from the upstream's return to a side's next good answer."""
        with self._lock:
            return self._recoveries.get(side)

    def _note_recovery(self, side: Side, call: Call) -> None:
        if self._back_ns is not None and side in self._waiting and call.sent_ns >= self._back_ns:
            self._waiting.discard(side)
            took_ns = call.done_ns - self._back_ns
            self._recoveries[side] = max(took_ns, self._recoveries.get(side, 0))
