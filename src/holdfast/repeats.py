"""Limits how often the same is logged: records beyond are counted, and told of together.

Owns the counts, and when their time is over, on any clock. Elsewhere: what is written
(``records``).
"""

from __future__ import annotations

import atexit
from weakref import WeakSet

from holdfast.clock import ManualClock, SystemClock, system_clock
from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.periodic import Periodic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    from holdfast.clock import Clock

__all__ = ["Repeats", "Run"]

WINDOW_NS = 10_000_000_000
MOST_KEYS = 1000  # on one clock; the records beyond share one count for each event and kind
MOST_CLOCKS = 32
_SWEEP_NS = 1_000_000_000

_all: WeakSet[Repeats] = WeakSet()


class Run:
    """The records of one event of one policy within ten seconds.

    Attributes:
        count: How many there were.
        kept: What the first one was made of; None until it is written.
    """

    __slots__ = ("_began_ns", "count", "kept")

    def __init__(self, now_ns: int) -> None:
        self._began_ns = now_ns
        self.count = 0
        self.kept: Any = None

    @property
    def ends_ns(self) -> int:
        """When its time is over."""
        return self._began_ns + WINDOW_NS

    def seconds(self, now_ns: int) -> float:
        """Return how long it has lasted, ten seconds at most."""
        return min(WINDOW_NS, max(0, now_ns - self._began_ns)) / 1e9


class Repeats:
    """Counts records by what they tell of, and lets through the first few in ten seconds.

    Args:
        most: How many; None for all.
        tell: Called with a run that is over, how many of its records were not let through, and its
            seconds. It runs without a lock.

    Safe to share between threads and event loops. A forked child begins without counts.
    """

    __slots__ = ("__weakref__", "_lock", "_tables", "_tell", "most")

    def __init__(self, most: int | None, tell: Callable[[Run, int, float], None]) -> None:
        self.most = most
        self._tell = tell
        # Re-entrant: a finaliser may log while this thread holds the lock.
        self._lock = RLock()
        self._tables: dict[Clock, _Table] = {}
        mind(self)
        _all.add(self)

    def see(self, clock: Clock, key: tuple[Hashable, ...]) -> Run | None:
        """Count a record; return its run if it is to be written, and None otherwise.

        Args:
            clock: Whose ten seconds they are.
            key: What is counted together. Its first two parts are what is left of it when there
                are too many keys.
        """
        if self.most is None:
            return Run(0)
        if not isinstance(clock, (SystemClock, ManualClock)):
            clock = system_clock  # it is of a copy of these modules, imported before
        now_ns = clock.now_ns()
        dropped = None
        settle()
        with self._lock:
            table = self._tables.get(clock)
            if table is None:
                if len(self._tables) >= MOST_CLOCKS:
                    oldest = next(iter(self._tables))
                    dropped = oldest, self._tables.pop(oldest)
                table = self._tables[clock] = _Table(self, clock)
            run, ended = table.run_of(key, now_ns, self.most)
            run.count += 1
            beyond = run.count - self.most
        if dropped is not None:
            self._end(*dropped)
        if ended is not None:
            self._report(ended, now_ns)
        if beyond <= 0:
            return run
        if beyond == 1:
            table.see_to_end()
        return None

    def flush(self) -> None:
        """Tell now of what was not let through, and count afresh."""
        settle()
        with self._lock:
            tables, self._tables = self._tables, {}
        for clock, table in tables.items():
            self._end(clock, table)

    def _end(self, clock: Clock, table: _Table) -> None:
        table.periodic.stop(0)
        for run in list(table.runs.values()):
            self._report(run, clock.now_ns())

    def _report(self, run: Run, now_ns: int) -> None:
        if self.most is not None and run.count > self.most:
            self._tell(run, run.count - self.most, run.seconds(now_ns))

    def _tick(self, table: _Table, now_ns: int) -> int | None:
        """Tell of what is over; return when the next is, and end without any."""
        most = self.most or 0
        with self._lock:
            runs = [(key, run) for key, run in table.runs.items() if run.count > most]
            over = [(key, run) for key, run in runs if run.ends_ns <= now_ns]
            for key, _ in over:
                del table.runs[key]
            next_ns = min((run.ends_ns for _, run in runs if run.ends_ns > now_ns), default=None)
            if next_ns is None:  # who counts another one meanwhile starts it again
                table.periodic.stop(0)
        for _, run in over:
            self._report(run, now_ns)
        return next_ns

    def _after_fork(self) -> None:
        """In a forked child: what the parent has counted, the parent tells of."""
        self._lock = RLock()
        self._tables = {}


class _Table:
    """The runs on one clock."""

    __slots__ = ("_swept_ns", "periodic", "runs")

    def __init__(self, owner: Repeats, clock: Clock) -> None:
        self.runs: dict[tuple[Hashable, ...], Run] = {}
        self._swept_ns: int | None = None

        def tick() -> int | None:
            return owner._tick(self, clock.now_ns())

        self.periodic = Periodic(tick, None, name="repeated records", clock=clock)

    def run_of(self, key: tuple[Hashable, ...], now_ns: int, most: int) -> tuple[Run, Run | None]:
        """Return the run of a key, and the one before it if that has just ended."""
        run = self.runs.get(key)
        if run is None and len(self.runs) >= MOST_KEYS:
            self._sweep(now_ns, most)
            if len(self.runs) >= MOST_KEYS:
                key = key[:2]
                run = self.runs.get(key)
        ended = None
        if run is not None and run.ends_ns <= now_ns:
            ended, run = run, None
        if run is None:
            run = self.runs[key] = Run(now_ns)
        return run, ended

    def see_to_end(self) -> None:
        """Have the end of a run seen."""
        try:
            if self.periodic.running:
                self.periodic.wake()
            else:
                self.periodic.start()
        except RuntimeError:  # the process ends: what is left is told then
            return

    def _sweep(self, now_ns: int, most: int) -> None:
        """Forget runs that are over and have nothing to tell; not more than once a second."""
        if self._swept_ns is not None and 0 <= now_ns - self._swept_ns < _SWEEP_NS:
            return
        self._swept_ns = now_ns
        for key, run in list(self.runs.items()):
            if run.ends_ns <= now_ns and run.count <= most:
                self.runs.pop(key, None)


def _at_exit() -> None:
    for repeats in list(_all):
        repeats.flush()


atexit.register(_at_exit)
