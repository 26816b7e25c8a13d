"""When the upstream behaves how: a pure function of the time since the start.

Owns the table of phases and the fitting of whole cycles into a run. Reads no clock and
touches no process; times are integer nanoseconds since the start, so a boundary belongs to
exactly one phase.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from holdfast.demo.upstream import STALL_SECONDS, WORKERS, Behaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

NS = 1_000_000_000

#: A run shorter than this has no room for every phase and a recovery.
SHORTEST_SECONDS = 10
LONGEST_SECONDS = 7 * 24 * 3600

#: The length of a cycle when nothing asks for another; a fitted run comes as near as it can.
USUAL_CYCLE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a cycle. ``behaviour`` None means that the upstream is not there."""

    name: str
    percent: int
    behaviour: Behaviour | None

    @property
    def description(self) -> str:
        """What a caller meets, in a few words."""
        if self.behaviour is None:
            return "connections refused"
        shortest, longest, failing, stalling = self.behaviour
        if 0 < failing < 1:
            return f"{failing:.0%} get 503, {stalling:.0%} hang"
        status = 503 if failing else 200
        return f"{status} after {shortest * 1000:g} to {longest * 1000:g} ms"

    @property
    def capacity(self) -> float:
        """How many calls a second the upstream's workers can answer, of each side."""
        if self.behaviour is None:
            return 0.0
        shortest, longest, _, stalling = self.behaviour
        usual = (shortest + longest) / 2
        return WORKERS / (stalling * STALL_SECONDS + (1 - stalling) * usual)


_WELL = Behaviour(shortest=0.004, longest=0.012)

#: One cycle. ``flaky`` is what retries are for: most requests are answered, and another attempt
#: at one of the others likely is. ``slow`` is a loss of capacity: the workers manage about half of
#: what is offered. ``failing`` and ``killed`` are the breaker's. In ``back``, no shorter than any
#: other, it has to find out and close.
PHASES = (
    Phase("healthy", 16, _WELL),
    Phase("flaky", 22, _WELL._replace(failing=0.2, stalling=0.01)),
    Phase("slow", 20, Behaviour(shortest=0.05, longest=0.06)),
    Phase("failing", 10, Behaviour(shortest=0.005, longest=0.015, failing=1)),
    Phase("killed", 10, None),
    Phase("back", 22, _WELL),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """One phase of one cycle, from ``starts_ns`` up to but not at ``ends_ns``."""

    cycle: int
    index: int
    starts_ns: int
    ends_ns: int

    @property
    def phase(self) -> Phase:
        """The phase this is an instance of."""
        return PHASES[self.index]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Cycles of ``cycle_ns``: ``cycles`` of them, or without end when that is None."""

    cycle_ns: int
    cycles: int | None

    @classmethod
    def fit(cls, seconds: float | None) -> Schedule:
        """Return whole cycles that fill ``seconds`` exactly; None repeats the usual one for ever.

        Raises:
            ValueError: ``seconds`` is not within 10 seconds to 7 days.
        """
        if seconds is None:
            return cls(USUAL_CYCLE_SECONDS * NS, None)
        if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:  # which no NaN is
            raise ValueError(
                f"got {seconds:g}, allowed: {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds"
            )
        cycles = max(1, round(seconds / USUAL_CYCLE_SECONDS))
        return cls(round(seconds * NS) // cycles, cycles)

    @property
    def length_ns(self) -> int | None:
        """How long the run lasts, or None when it has no end."""
        return None if self.cycles is None else self.cycle_ns * self.cycles

    @property
    def _bounds(self) -> list[int]:
        percents, bounds = 0, [0]
        for phase in PHASES:
            percents += phase.percent
            bounds.append(self.cycle_ns * percents // 100)
        return bounds

    def at(self, elapsed_ns: int) -> Moment:
        """Return the phase at a time; a time past the end belongs to the last phase."""
        length = self.length_ns
        if length is not None:
            elapsed_ns = min(elapsed_ns, length - 1)
        cycle, rest = divmod(max(0, elapsed_ns), self.cycle_ns)
        bounds = self._bounds
        index = bisect_right(bounds, rest) - 1
        base = cycle * self.cycle_ns
        return Moment(cycle, index, base + bounds[index], base + bounds[index + 1])

    def moments(self) -> Iterator[Moment]:
        """Yield every phase of every cycle, in order."""
        bounds = self._bounds
        for cycle in count() if self.cycles is None else range(self.cycles):
            base = cycle * self.cycle_ns
            for index in range(len(PHASES)):
                yield Moment(cycle, index, base + bounds[index], base + bounds[index + 1])

    def spent_ns(self, elapsed_ns: int) -> dict[str, int]:
        """Return how much of the first ``elapsed_ns`` each phase has had, by name."""
        length = self.length_ns
        if length is not None:
            elapsed_ns = min(elapsed_ns, length)
        cycles, rest = divmod(max(0, elapsed_ns), self.cycle_ns)
        bounds = self._bounds
        return {
            phase.name: cycles * (bounds[i + 1] - bounds[i])
            + min(max(0, rest - bounds[i]), bounds[i + 1] - bounds[i])
            for i, phase in enumerate(PHASES)
        }
