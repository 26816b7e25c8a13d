"""What a supervisor on a manual clock may do and owes, in plain Python, from its promises alone.

The model is told what is done to a supervisor (``add``, ``exits`` …) before it is done, and what
the supervisor does (``on_start``, ``on_stop``, ``on_event``) when it does it. It refuses what a
promise forbids, and ``owes_nothing`` refuses what is late. Where the promises leave room, as
between two ways of counting a delay, so does the model: a start has an earliest and a latest time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

NEVER = float("inf")
SLACK = 1e-6  # of sums of seconds
NOTICED = 3.5  # a failing check is noticed within so many intervals: three, and a spread
VERIFIED = 2.5  # a passing check of a fresh start is noticed within so many

#: A component may start if those that it depends on are in these states.
SERVES = {"running", "finished"}

#: Strategies by which others are restarted together with one that fails.
GROUPS = ("one_for_all", "rest_for_one")

#: By what the model knows of a component: the states that it may show.
SHOWN = {
    "stopped": {"stopped"},
    "starting": {"starting"},
    "verifying": {"starting", "recovering"},
    "running": {"running"},
    "unhealthy": {"unhealthy"},
    "recovering": {"recovering", "unhealthy"},
    "cooling_down": {"cooling_down"},
    "given_up": {"given_up"},
    "finished": {"finished"},
    "over": {"given_up", "finished", "unhealthy"},
    "stopping": {"stopping"},
}


@dataclass(frozen=True)
class Spec:
    """How one component is added.

    Attributes:
        checked: Whether it has a check.
    """

    name: str
    depends_on: tuple[str, ...] = ()
    restart: str = "permanent"
    attempts: int = 3
    first_delay: float | None = None
    healthy_after: float = 60.0
    cool_down: float | None = 60.0
    start_timeout: float = 30.0
    on_exit: tuple[tuple[int, str], ...] = ()
    checked: bool = False


@dataclass
class Part:
    """One component: what the test makes of it, and what is known of it.

    Attributes:
        fails: Whether its start raises.
        passes: What its check says.
        changed: When that changed last.
        works: Whether what the last start began goes on.
        doubted: Whether its check has said last that it does not work.
        begun: Whether it was started and not stopped since: then it must not be started.
        joined: Whether it was started early, with another one: whether that was one of its attempts
            is left open.
        earliest: When it may be started, in the states that a start follows.
        latest: When it has to be started, if what it depends on runs.
        tries: Attempts since the counts began anew.
        cools: Cool-downs since then.
    """

    spec: Spec
    fails: bool = False
    passes: bool = True
    changed: float = 0.0
    works: bool = False
    doubted: bool = False
    begun: bool = False
    joined: bool = False
    state: str = "stopped"
    earliest: float = 0.0
    latest: float = 0.0
    is_attempt: bool = False
    tries: int = 0
    cools: int = 0
    since: float = 0.0
    until: float = NEVER
    starts: int = 0


@dataclass
class SupervisorModel:
    """A supervisor: its components in the order in which they were added."""

    max_restarts: int | None = None
    within: float = 60.0
    interval: float = 10.0
    strategy: str = "one_for_one"
    now: float = 0.0
    running: bool = False
    parts: dict[str, Part] = field(default_factory=dict)
    restarts: list[float] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)

    # ---- what is done to it ----

    def add(self, spec: Spec) -> None:
        part = self.parts[spec.name] = Part(spec)
        if self.running:
            self._is_to_start(part)

    def remove(self, name: str) -> None:
        self.parts[name].state = "stopping"

    def removed(self, name: str) -> None:
        part = self.parts.pop(name)
        assert not part.begun, f"{name} was removed, and not stopped"

    def start(self) -> None:
        if self.running:
            return
        self.running = True
        self.restarts = []
        for part in self.parts.values():
            self._is_to_start(part)

    def stop(self) -> None:
        self.running = False
        self.stops = []
        for part in self.parts.values():
            part.state = "stopping"

    def stopped(self) -> None:
        """After a stop: nothing is left, and who needs another was stopped before it."""
        for name, part in self.parts.items():
            assert not part.begun, f"{name} was left behind by stop()"
            part.state = "stopped"
        for name in self.stops:
            for other in self.parts[name].spec.depends_on:
                if other in self.stops:
                    assert self.stops.index(name) < self.stops.index(other), (name, other)

    def restart(self, name: str) -> None:
        self._is_to_start(self.parts[name])

    def exits(self, name: str, code: int) -> None:
        """The work of a component ends by itself."""
        part = self.parts[name]
        part.works = False
        rule = action = dict(part.spec.on_exit).get(code)
        if action is None:
            is_over = part.spec.restart == "temporary" or (
                part.spec.restart == "transient" and code == 0
            )
            action = "finish" if is_over else "restart"
        self._rest(part)
        if action == "finish":
            part.state = "finished"
        elif action == "give_up":
            part.state = "given_up"
        elif action == "escalate":
            self._cool(part)
        else:
            self._fail(part, at_once=action == "restart_now", rule=rule)

    def says(self, name: str, *, passes: bool) -> None:
        part = self.parts[name]
        if passes != part.passes:
            part.passes = passes
            part.changed = self.now

    # ---- what it does ----

    def on_start(self, name: str) -> bool:
        """Note a start; return whether it succeeds."""
        part = self.parts[name]
        said = (name, part, self.now)
        assert self.running, said
        assert not part.begun, ("two instances", *said)
        assert part.state in ("starting", "recovering", "cooling_down"), said
        for other in part.spec.depends_on:
            assert self.parts[other].state in SERVES, (other, *said)
        if part.state == "starting":
            pass
        elif part.earliest - SLACK <= self.now:
            self._count(part)
        else:
            assert self._restarts_all(), ("too early", *said)
            part.joined = True
        part.begun = True
        part.doubted = False
        part.starts += 1
        if part.fails:
            self._fail(part)
            return False
        part.works = True
        if part.spec.checked:
            part.state = "verifying"
            part.since = self.now
            part.until = self.now + part.spec.start_timeout
        else:
            self._is_up(part)
        return True

    def on_check(self, name: str) -> bool:
        """Note a run of a check, and return what it says; events of it may come later."""
        part = self.parts.get(name)
        if part is None:
            return False
        passes = part.works and part.passes
        if passes and part.state in ("verifying", "over"):
            self._is_up(part)
        part.doubted = not passes
        return passes

    def on_stop(self, name: str) -> None:
        part = self.parts[name]
        self._believe(part)
        needs_reason = part.state in ("running", "verifying") and self.strategy in GROUPS
        if needs_reason and not self._restarts_all():
            for other in self.parts.values():
                self._believe(other)
        if part.state in ("running", "verifying"):
            if self._restarts_all():
                self._rest(part)
                part.state, part.earliest, part.latest = "starting", self.now, self.now
                if part.spec.restart == "temporary":  # it is stopped, and not restarted
                    part.state = "finished"
            elif self._may_give_up():
                self._give_up()
            else:
                assert part.state == "verifying", ("stopped for no reason", name, self.now)
        elif part.state == "over" and part.works and self._restarts_all():
            part.state = "finished"
        part.begun = part.works = False
        self.stops.append(name)

    def on_event(self, kind: str, name: str) -> None:
        part = self.parts.get(name)
        if part is None:
            return
        said = (kind, name, part, self.now)
        if kind in ("started", "recovered"):
            if part.state == "starting" and self.strategy in GROUPS:
                pass  # it was up, and is started again with another one
            elif part.state != "running":  # its check has told
                assert all((part.spec.checked, part.works, part.passes)), said
                assert part.state in ("verifying", "unhealthy", "recovering", "over"), said
                self._is_up(part)
        elif kind == "unhealthy":
            if part.state == "running":
                assert part.doubted, said
                self._is_unhealthy(part)
        elif kind == "cooling_down":
            if part.state != "cooling_down" or self._has_cooled_down(part):
                assert self._is_spent() or part.joined, said
                self._cool(part)
        elif kind == "gave_up" and part.state not in ("given_up", "over"):
            if part.joined and not self._is_spent():
                assert part.spec.cool_down is None, said
                part.state = "given_up"
            else:
                assert self._may_give_up(), said
                self._give_up()

    def reach(self, now: float, but: str | None = None) -> None:
        """Let the time be ``now``: starts that were not verified in time have failed."""
        self.now = now
        for name, part in self.parts.items():
            if part.state == "verifying" and part.until <= now + SLACK and name != but:
                self.now = part.until
                self._fail(part)
                self.now = now

    # ---- what it owes ----

    def owes_nothing(self) -> None:
        if not self.running:
            return
        for name, part in self.parts.items():
            said = (name, part, self.now)
            if part.state in ("starting", "recovering", "cooling_down") and self._is_possible(part):
                up = max((self.parts[one].since for one in part.spec.depends_on), default=0.0)
                late = max(part.latest, up + 4.0) if part.spec.depends_on else part.latest
                assert self.now <= late + SLACK, ("too late", *said)
            elif part.state == "verifying" and part.passes:
                begun = part.until - part.spec.start_timeout
                assert self.now <= max(begun, part.changed) + VERIFIED, ("not verified", *said)
            elif part.state == "running" and part.spec.checked and not part.passes:
                late = max(part.changed, part.since) + NOTICED * self.interval
                assert self.now <= late, ("its failing check is not noticed", *said)

    def shown(self) -> dict[str, set[str]]:
        shown = {}
        for name, part in self.parts.items():
            shown[name] = SHOWN["recovering" if self._has_cooled_down(part) else part.state]
            if self.strategy in GROUPS and part.state == "starting":  # again, with another one
                shown[name] = SHOWN["verifying"]
        return shown

    # ---- what follows from what ----

    def _is_to_start(self, part: Part) -> None:
        part.joined = False
        part.state = "starting"
        part.tries = part.cools = 0
        part.earliest = part.latest = self.now

    def _is_up(self, part: Part) -> None:
        part.state = "running"
        part.since = self.now
        part.doubted = False

    def _believe(self, part: Part) -> None:
        """Take what the check has said last: the event of it comes later."""
        if part.state == "running" and part.doubted:
            self._is_unhealthy(part)

    def _is_unhealthy(self, part: Part) -> None:
        self._rest(part)
        self._fail(part)

    def _rest(self, part: Part) -> None:
        """The counts begin anew after a time in health, and not before."""
        if part.state == "running" and self.now - part.since >= part.spec.healthy_after:
            part.tries = part.cools = 0
            part.joined = False

    def _fail(self, part: Part, *, at_once: bool = False, rule: str | None = None) -> None:
        spec = part.spec
        if spec.restart == "temporary" and rule is None:
            part.state = "over"
        elif part.tries >= spec.attempts:
            self._cool(part)
        else:
            part.state = "recovering"
            least, most = self._delay(part)
            part.earliest = self.now + (0 if at_once else least)
            part.latest = self.now + (0 if at_once else most)

    def _delay(self, part: Part) -> tuple[float, float]:
        """Return the least and the most seconds before the next attempt."""
        plain = min(4.0, 2.0**part.tries)
        first = part.spec.first_delay
        if first is None:
            return plain, plain
        # The delay after the first one is the back-off's first or second: both are sensible.
        return (first, first) if part.tries == 0 else (min(4.0, 2.0 ** (part.tries - 1)), plain)

    def _cool(self, part: Part) -> None:
        if part.spec.cool_down is None:
            part.state = "given_up"
            return
        part.state = "cooling_down"
        wait = min(600.0, part.spec.cool_down * 2.0**part.cools)
        part.cools += 1
        part.tries = 0
        part.earliest = self.now + wait
        part.latest = part.earliest + self._delay(part)[1]

    def _count(self, part: Part) -> None:
        """Count an attempt, of which there may be so many within a time."""
        part.tries += 1
        assert part.tries <= part.spec.attempts, ("more attempts than allowed", part)
        self.restarts.append(self.now)
        if self.max_restarts is not None:
            assert len(self._recent()) <= self.max_restarts, ("too many restarts", self.restarts)

    def _recent(self) -> list[float]:
        return [at for at in self.restarts if at > self.now - self.within]

    def _is_spent(self) -> bool:
        return self.max_restarts is not None and len(self._recent()) >= self.max_restarts

    def _has_cooled_down(self, part: Part) -> bool:
        """Whether its next attempts begin, the first perhaps after another delay."""
        return part.state == "cooling_down" and part.earliest <= self.now

    def _is_possible(self, part: Part) -> bool:
        others: Iterable[Part] = (self.parts[one] for one in part.spec.depends_on)
        if self.strategy in GROUPS:  # it may have to wait for any other one
            others = (other for other in self.parts.values() if other is not part)
        return all(other.state in SERVES for other in others)

    def _restarts_all(self) -> bool:
        """Whether a strategy has others restarted now, because one of them is due."""
        if self.strategy not in GROUPS:
            return False
        return self.now in self.restarts[-1:] or any(
            part.state in ("recovering", "cooling_down") and part.earliest <= self.now + SLACK
            for part in self.parts.values()
        )

    def _may_give_up(self) -> bool:
        """Whether restarts are too many, and one that fails has no cool-down."""
        return self._is_spent() and any(
            part.spec.cool_down is None and part.state not in ("running", "finished")
            for part in self.parts.values()
        )

    def _give_up(self) -> None:
        for part in self.parts.values():
            part.state = "given_up"
