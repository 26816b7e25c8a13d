"""A loop on a clock of whole seconds, in plain Python: when its ticks run, and what is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Run:
    """One time from start to stop."""

    began: int
    due: int
    slot: int = 0  # the newest time of its grid that a tick has passed or waits for
    woken: bool = False


@dataclass
class PeriodicModel:
    """What a ``Periodic`` does on a manual clock.

    Attributes:
        act: What a tick does; it may call the methods here, and returns whether it fails.
        seen: Each tick: when it began, and how late.
    """

    interval: int
    act: Callable[[], bool]
    now: int = 0
    run: Run | None = None
    ticking: bool = False
    seen: list[tuple[int, int]] = field(default_factory=list)
    ticks: int = 0
    failures: int = 0
    missed: int = 0

    def advance(self, seconds: int) -> None:
        left = seconds
        while self.run and not self.ticking and self.run.due - self.now <= left:
            step = max(0, self.run.due - self.now)
            self.now += step
            left -= step
            self.tick()
        self.now += left

    def start(self) -> None:
        if self.run is None:
            self.run = Run(self.now, self.now)
            self.advance(0)

    def stop(self) -> None:
        self.run = None

    def wake(self) -> None:
        if self.run and not self.run.woken:
            self.run.woken = True
            self.run.due = self.now if self.ticking else min(self.run.due, self.now)
            self.advance(0)

    def tick(self) -> None:
        run = self.run
        assert run is not None
        self.seen.append((self.now, self.now - run.due))
        run.woken = False
        self.ticking = True
        self.failures += self.act()
        self.ticking = False
        self.ticks += 1
        if self.run is not run:
            return  # another run begins at the next look at the clock
        planned = self.planned(run)
        if not run.woken:
            run.due = planned

    def planned(self, run: Run) -> int:
        """Return the first time of the grid that is still to come; those between were missed."""
        if run.began + run.slot * self.interval <= self.now:
            run.slot += 1
            while run.began + run.slot * self.interval <= self.now:
                run.slot += 1
                self.missed += 1
        return run.began + run.slot * self.interval
