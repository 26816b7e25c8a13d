"""Everything a display shows of one moment, and the pace of the second before it.

A scene is plain values: displays need no lock and no access to what made it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.demo.schedule import NS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.demo.chronicle import Entry
    from holdfast.demo.guard import Standing
    from holdfast.demo.schedule import Moment, Schedule
    from holdfast.demo.tally import Figures, Lane, Side


@dataclass(frozen=True, slots=True)
class Recent:
    """What a lane did over the last ``span_ns``, about a second."""

    span_ns: int
    good: int
    wasted: int
    rejected: int
    requests: int

    def __add__(self, other: Recent) -> Recent:
        return Recent(
            self.span_ns,
            self.good + other.good,
            self.wasted + other.wasted,
            self.rejected + other.rejected,
            self.requests + other.requests,
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment of a run."""

    elapsed_ns: int
    schedule: Schedule
    moment: Moment
    url: str
    pid: int | None
    lanes: Mapping[Lane, Figures]
    sides: Mapping[Side, Figures]
    recent: Mapping[Lane, Recent]
    guard: Standing
    reasons: Mapping[str, int]
    entries: tuple[Entry, ...]

    def recent_of(self, side: Side) -> Recent:
        """Return what both lanes of a side did over the last second."""
        first, *others = (recent for lane, recent in self.recent.items() if lane.side is side)
        return sum(others, first)


class Trail:
    """Remembers the figures of about a second, to tell what happened in it."""

    def __init__(self, span_ns: int = NS) -> None:
        self._span_ns = span_ns
        self._marks: deque[tuple[int, Mapping[Lane, Figures]]] = deque()

    def add(self, elapsed_ns: int, lanes: Mapping[Lane, Figures]) -> dict[Lane, Recent]:
        """Enter the figures of a moment and return the difference to those of a second before."""
        self._marks.append((elapsed_ns, lanes))
        while len(self._marks) > 2 and self._marks[1][0] <= elapsed_ns - self._span_ns:
            self._marks.popleft()
        then_ns, before = self._marks[0]
        return {
            lane: Recent(
                elapsed_ns - then_ns,
                now.good - before[lane].good,
                now.wasted - before[lane].wasted,
                now.rejected - before[lane].rejected,
                now.requests - before[lane].requests,
            )
            for lane, now in lanes.items()
        }
