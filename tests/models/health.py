"""A monitor on a manual clock, in plain Python: when checks run, and what is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.models.check import DEGRADED, FAILED, HEALTHY, UNHEALTHY, UNKNOWN, Check

SHARED = 100_000_000  # checks that are due within so many nanoseconds run together
WORDS = ("unknown", "healthy", "degraded", "unhealthy")


@dataclass
class Watched:
    """One check: its state, when it is due, and what it says if it is asked."""

    state: Check
    interval: int
    critical: bool
    due: int = 0
    serial: int = 0  # which of those that are due at one time runs first
    is_first: bool = True
    says: int = FAILED
    runs: int = 0


@dataclass
class MonitorModel:
    """What a ``HealthMonitor`` does with intervals that do not follow the state, and no jitter.

    Attributes:
        told: Each change: the name of the check and its new state, or the new level.
    """

    phase: dict[str, int]
    now: int = 0
    running: bool = False
    serial: int = 0
    checks: dict[str, Watched] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    level: str = "healthy"

    def add(self, name: str, check: Watched) -> None:
        self.checks[name] = check
        check.state.start(self.now)
        self.plan(check, self.now)
        self.tell_level()
        self.work()

    def remove(self, name: str) -> None:
        if self.checks.pop(name).runs:
            self.told.append((name, "unknown"))
        self.tell_level()

    def start(self) -> None:
        if self.running:
            return
        self.running = True
        for name, check in self.checks.items():
            if check.state.start(self.now) is not None:
                self.told.append((name, "unknown"))
            check.is_first = True
            self.plan(check, self.now)
        self.tell_level()
        self.work()

    def stop(self) -> None:
        self.running = False

    def plan(self, check: Watched, due: int) -> None:
        self.serial += 1
        check.due, check.serial = due, self.serial

    def next_due(self) -> int | None:
        return min((one.due for one in self.checks.values()), default=None)

    def work(self) -> None:
        """Run what is due, in the order of the plan."""
        if not self.running:
            return
        first = self.next_due()
        if first is None or first > self.now:
            return
        until = self.now + SHARED
        due = sorted(
            (one.due, one.serial, name) for name, one in self.checks.items() if one.due <= until
        )
        for _, _, name in due:
            check = self.checks[name]
            if check.is_first:
                self.plan(check, self.now + self.phase[name])
            else:
                following = check.due + check.interval
                while following <= self.now:
                    following += check.interval
                self.plan(check, following)
            check.is_first = False
        for _, _, name in due:
            self.run(name)

    def run(self, name: str) -> None:
        check = self.checks[name]
        check.runs += 1
        change = check.state.record(check.says, self.now)
        if change is not None:
            self.told.append((name, WORDS[change[1]]))
            self.tell_level()

    def tell_level(self) -> None:
        level = self.level_now()
        if level != self.level:
            self.level = level
            self.told.append(("shop", level))

    def level_now(self) -> str:
        critical = [one.state.state for one in self.checks.values() if one.critical]
        others = [one.state.state for one in self.checks.values() if not one.critical]
        if UNHEALTHY in critical:
            return "failed" if set(critical) == {UNHEALTHY} else "critical"
        if UNKNOWN in critical:
            return "unknown"
        if DEGRADED in critical or {DEGRADED, UNHEALTHY} & set(others):
            return "degraded"
        return "healthy"

    def healthy(self) -> bool:
        return all(one.state.state == HEALTHY for one in self.checks.values())
