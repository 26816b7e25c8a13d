"""All components of a supervisor: which may start or stop at this moment, and who with whom.

Pure: no lock, no clock, and nothing of a user's runs here. Takes what has happened, and puts what
is to be done into ``out``. Elsewhere: what follows for one component (``course``), and who does it
(``run``).
"""

from __future__ import annotations

from collections import ChainMap
from heapq import heappop, heappush

from holdfast.supervision.course import Course, Phase
from holdfast.supervision.graph import find_circle, start_order
from holdfast.supervision.states import ComponentState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from holdfast.supervision.component import Exit
    from holdfast.supervision.course import Rules
    from holdfast.supervision.intensity import Intensity

__all__ = ["STRATEGIES", "Crew"]

STRATEGIES = ("one_for_one", "one_for_all", "rest_for_one", "recreate")
_IN_ORDER = ("one_for_all", "rest_for_one")


class Crew:
    """The components of one supervisor.

    Attributes:
        courses: The course of each, by name, in the order in which they were added.
        out: What is to be done: tuples, the first item of which says what.
        is_wanted: Whether the supervisor is to run.
        is_nested: Whether another supervisor restarts this one.
        escalated: Why it has given up on all of them; None: it has not.
    """

    def __init__(self, strategy: str, intensity: Intensity) -> None:
        self.strategy = strategy
        self.intensity = intensity
        self.courses: dict[str, Course] = {}
        self.out: list[tuple[Any, ...]] = []
        self.is_wanted = self.is_nested = False
        self.escalated: str | None = None
        self.escalations = 0
        self._needs: dict[str, tuple[str, ...]] = {}  # as declared
        self._before: dict[str, list[str]] = {}  # what has to be up first
        self._after: dict[str, list[str]] = {}  # the other way round
        self._order: list[str] | None = None
        self._due: list[tuple[int, int, Course]] = []
        self._serial = 0
        self._changed: dict[str, None] = {}  # those to be looked at
        self._verifying: set[str] = set()  # those whose checks have so much time to pass
        self._lost_ns = 0  # for how long this process did not run, as far as that was noticed

    # ---- who there is ----

    def add(self, name: str, rules: Rules, needs: Iterable[str], now_ns: int) -> Course:
        """Take another component; it starts at once if the supervisor runs."""
        course = self.courses[name] = Course(name, rules, self.out)
        self._needs[name] = tuple(dict.fromkeys(needs))
        if self._order is not None and all(one in self.courses for one in self._needs[name]):
            self._append(name)  # else, with many of them, each would cost as much as all before
        else:
            self._order = None
        if self.is_wanted:
            course.want(now_ns)
            self._touch(course)
        return course

    def needs_of(self, name: str) -> tuple[str, ...]:
        """Return what a component depends on, as it was declared."""
        return self._needs[name]

    def needed_by(self, name: str) -> list[str]:
        """Return the components that depend on one, as it was declared."""
        return [other for other, needs in self._needs.items() if name in needs]

    def missing(self) -> list[tuple[str, str]]:
        """Return components with a dependency that there is not, each with its name."""
        return [
            (name, need)
            for name, needs in self._needs.items()
            for need in needs
            if need not in self.courses
        ]

    def circle_with(self, name: str, needs: Iterable[str]) -> tuple[str, ...]:
        """Return the circle that a component would close, or ()."""
        known: ChainMap[str, tuple[str, ...]] = ChainMap({name: tuple(needs)}, self._needs)
        return find_circle(known, name)

    def order(self) -> list[str]:
        """Return the names in the order in which they start."""
        if self._order is None:
            self._order, self._before, self._after = [], {}, {}
            for name in start_order(self._needs):
                self._append(name)
        return self._order

    def _append(self, name: str) -> None:
        """Have one start after all others."""
        order = self._order
        assert order is not None
        before = list(self._needs[name])
        if order and self.strategy in _IN_ORDER and order[-1] not in before:
            before.append(order[-1])
        order.append(name)
        self._before[name] = before
        for other in before:
            self._after.setdefault(other, []).append(name)

    # ---- what others want ----

    def start(self, now_ns: int) -> None:
        """Have all of them run."""
        self.is_wanted = True
        self.escalated = None
        self.intensity.clear()
        for course in [self.courses[name] for name in self.order()]:
            if not course.is_removed:
                course.want(now_ns)
                self._touch(course)

    def stop(self, now_ns: int) -> None:
        """Have all of them stopped."""
        self.is_wanted = False
        self._end_all(now_ns, ComponentState.STOPPED)

    def restart(self, name: str, now_ns: int) -> None:
        """Have one stopped and started at once, as somebody asks for it."""
        course = self.courses.get(name)
        if course is not None and not course.is_removed and self.is_wanted:
            course.restart(now_ns)
            self._touch(course)

    def remove(self, name: str, now_ns: int) -> None:
        """Have one stopped, and forget it then, unless its stop fails."""
        course = self.courses.get(name)
        if course is not None:
            course.is_removed = True
            course.unwant(now_ns)
            self._touch(course)

    # ---- what has happened ----

    def started(self, name: str, generation: int, error: str | None, now_ns: int) -> None:
        """Take the end of a start."""
        if (course := self._of(name, generation)) is not None:
            if course.started(error, now_ns):
                self.escalate(course, str(course.last_exit), now_ns)
            course.lost_ns = self._lost_ns
            self._touch(course)

    def stopped(self, name: str, generation: int, error: str | None, now_ns: int) -> None:
        """Take the end of a stop."""
        if (course := self._of(name, generation)) is not None:
            course.stopped(error, now_ns)
            self._touch(course)

    def overdue(self, name: str, generation: int, verb: str, now_ns: int) -> None:
        """Take that a start or a stop has not ended in time."""
        course = self._of(name, generation)
        if course is None:
            return
        if verb == "start" and course.start_runs:
            course.start_overdue(now_ns)
        elif verb == "stop" and course.stop_runs:
            course.stop_overdue(now_ns)
        self._touch(course)

    def exited(self, name: str, generation: int, end: Exit, now_ns: int) -> None:
        """Take that the work of one has ended by itself."""
        if (course := self._of(name, generation)) is not None:
            if course.exited(end, now_ns):
                self.escalate(course, str(end), now_ns)
            self._touch(course)

    def proved(
        self, name: str, generation: int, good: bool, why: str, began_ns: int, now_ns: int
    ) -> None:
        """Take what a check has shown: whether it is healthy or degraded, or unhealthy."""
        course = self._of(name, generation)
        if course is None or not course.watches:
            return
        if good:
            course.verified(now_ns)
        else:
            needs = [self.courses[one] for one in self._needs[name] if one in self.courses]
            # What was asked before they were up again shows nothing of it alone.
            may_recover = all(one.is_up and one.up_ns <= began_ns for one in needs)
            course.unhealthy(why, now_ns, may_recover=may_recover)
        self._touch(course)

    def answered(
        self, name: str, generation: int, why: str, again_ns: int | None, now_ns: int
    ) -> None:
        """Take that the check of a start does not pass; None: its answer proves nothing.

        Args:
            name: The name of the component.
            generation: The number of its start.
            why: What the check says.
            again_ns: When the check is to be asked again.
            now_ns: The time.
        """
        if (course := self._of(name, generation)) is not None:
            course.answered(why, again_ns, now_ns)
            self._touch(course)

    def hangs(self, name: str, generation: int, now_ns: int) -> None:
        """Take that the check of a start runs, and has had all the time that there was to pass."""
        if (course := self._of(name, generation)) is not None:
            course.hangs(now_ns)
            self._touch(course)

    def unprovable(self, name: str, generation: int, why: str, now_ns: int) -> None:
        """Take that a start cannot be verified: its check cannot be made."""
        course = self._of(name, generation)
        if course is not None and course.phase is Phase.VERIFYING:
            course.fail_attempt(why, now_ns)
            self._touch(course)

    def _of(self, name: str, generation: int) -> Course | None:
        """Return the course of this generation: what an old one has to say is nothing."""
        course = self.courses.get(name)
        return course if course is not None and course.generation == generation else None

    # ---- what follows ----

    def look(self, now_ns: int, late_ns: int = 0) -> int | None:
        """Have all begin what they may; return when to look again, None: when something happens.

        Args:
            now_ns: The time.
            late_ns: For how long this process did not run: checks have so much more time to pass.
        """
        self._lost_ns += late_ns
        while True:
            while self._due and self._due[0][0] <= now_ns:
                course = heappop(self._due)[2]
                course.planned_ns = None
                self._changed[course.name] = None
            if not self._changed:
                break
            self.order()
            name = next(iter(self._changed))
            del self._changed[name]
            if (found := self.courses.get(name)) is not None:
                self._see_to(found, now_ns)
        return self._due[0][0] if self._due else None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to run, and nothing of it is being done."""
        return not self.is_wanted and all(one.is_settled for one in self.courses.values())

    def _see_to(self, course: Course, now_ns: int) -> None:
        before = _shape(course)
        if course.is_removed and course.is_settled:
            if course.clean:
                self._forget(course)
                return
            course.is_removed = False  # it may be removed again
        if course.must_stop:
            self._see_to_stop(course)
        if course.phase is Phase.WAITING and course.wanted:
            self._see_to_start(course, now_ns)
        elif course.phase is Phase.COOLING and course.due_ns <= now_ns:
            course.new_round(now_ns)
        elif course.phase is Phase.VERIFYING and course.due_ns <= now_ns:
            self._see_whether_overdue(course, now_ns)
        if self.strategy in _IN_ORDER:
            self._see_whether_stuck(course)
        if course.phase is Phase.VERIFYING:
            self._verifying.add(course.name)
        else:
            self._verifying.discard(course.name)
        since_ns = course.down_since_ns
        if (shown := (course.state, since_ns)) != course.shown:
            course.shown = shown
            self.out.append(("show", course, *shown, now_ns))
        if _shape(course) != before:
            self._touch(course)
        elif course.phase in _TIMED and now_ns < course.due_ns != course.planned_ns:
            course.planned_ns = course.due_ns
            self._serial += 1
            heappush(self._due, (course.due_ns, self._serial, course))

    @property
    def is_verifying(self) -> bool:
        """Whether the check of a start has so much time to pass."""
        return bool(self._verifying)

    def _see_whether_overdue(self, course: Course, now_ns: int) -> None:
        """Judge a start whose time is over, or give it what this process has lost of that."""
        more_ns, course.lost_ns = self._lost_ns - course.lost_ns, self._lost_ns
        if more_ns:
            course.due_ns = now_ns + min(more_ns, course.rules.start_timeout_ns)
        else:
            course.see_whether_overdue(now_ns)

    def _see_to_stop(self, course: Course) -> None:
        if course.stop_runs:
            return
        if course.start_runs and not course.start_late:
            self.out.append(("hasten", course))
        elif not self._waits_for_stops(course):
            course.begin_stop()

    def _see_to_start(self, course: Course, now_ns: int) -> None:
        if not course.in_attempt:
            if course.due_ns > now_ns or not self._may_start(course):
                return
            if course.is_recovery and not self._admit(course, now_ns):
                return
            course.begin_attempt(now_ns)
        elif course.stop_late or course.start_late:
            if course.due_ns > now_ns:
                return
            what = "stop" if course.stop_late else "start"
            course.fail_attempt(f"its last {what} has not ended", now_ns, cleans_up=False)
        elif not course.clean:
            # The stop that was given up has ended, and has failed.
            course.must_stop = course.must_stop or not (course.stop_runs or course.start_runs)
        elif not self._waits_for_stops(course) and self._may_start(course):
            course.begin_start(now_ns)

    def _waits_for_stops(self, course: Course) -> bool:
        """Return whether something is being stopped that goes before its own stop and start."""
        after = self._after.get(course.name, ())
        return any(one in self.courses and self.courses[one].is_stopping for one in after)

    def _may_start(self, course: Course) -> bool:
        """Return whether all that has to be up first is, as far as that can be expected."""
        declared = self._needs[course.name]
        for name in self._before[course.name]:
            other = self.courses.get(name)
            if other is None or other.is_up:
                continue
            if name in declared or other.is_stopping or (other.wanted and not other.is_stuck):
                return False
        return True

    def _see_whether_stuck(self, course: Course) -> None:
        """Have those that start after it go on if it cannot start: what it needs does not come."""
        needs = [self.courses.get(name) for name in self._needs[course.name]]
        is_stuck = course.phase is Phase.WAITING and any(
            other is None or (not other.is_up and (not other.wanted or other.is_stuck))
            for other in needs
        )
        if is_stuck is not course.is_stuck:
            course.is_stuck = is_stuck
            self._touch(course)

    def _admit(self, course: Course, now_ns: int) -> bool:
        """Count a restart, and have those restarted with it; False: it would be one too many."""
        if not self.intensity.admit(now_ns):
            most, seconds = self.intensity.most, self.intensity.within_ns / 1e9
            noun = "restart" if most == 1 else "restarts"
            self.escalate(course, f"more than {most} {noun} within {seconds:g} s", now_ns)
            return False
        for name in reversed(self._restarted_with(course.name)):
            other = self.courses[name]
            other.join_restart(now_ns, course.name)
            self._touch(other)
        return True

    def _restarted_with(self, name: str) -> list[str]:
        order = self.order()
        if self.strategy == "one_for_all":
            return [other for other in order if other != name]
        return order[order.index(name) + 1 :] if self.strategy == "rest_for_one" else []

    def escalate(self, course: Course, why: str, now_ns: int) -> None:
        """Do more than to restart a component: it restarts too often, or has asked for it."""
        self.escalations += 1
        why = f"component {course.name!r}: {why}"
        self.out.append(("escalated", course, why))
        if not self.is_nested and course.rules.cool_down_ns is not None:
            course.cool(now_ns, why)
            self._touch(course)
            return
        self.escalated = why
        if self.is_nested:
            self.is_wanted = False
        resting = ComponentState.STOPPED if self.is_nested else ComponentState.GIVEN_UP
        self._end_all(now_ns, resting, why)

    def _end_all(self, now_ns: int, resting: ComponentState, why: str = "") -> None:
        for name in reversed(self.order()):
            course = self.courses[name]
            course.unwant(now_ns, resting, why)
            self._touch(course)

    def _touch(self, course: Course) -> None:
        """Have it looked at, and those that may wait for it."""
        self._changed[course.name] = None
        if self._order is None:
            self.order()
        for names in (self._before.get(course.name, ()), self._after.get(course.name, ())):
            for name in names:
                self._changed[name] = None

    def _forget(self, course: Course) -> None:
        self._touch(course)  # those that wait for it
        self.forget(course.name)
        self.out.append(("removed", course))

    def forget(self, name: str) -> None:
        """Know no more of a component that does not run."""
        del self.courses[name], self._needs[name]
        self._verifying.discard(name)
        self._order = None

    def abandon(self, now_ns: int) -> None:
        """Take that nobody will tell of starts and stops that run: their event loop was closed."""
        for course in self.courses.values():
            course.abandon(now_ns)

    def forget_all(self) -> None:
        """In a forked child: nothing of the parent's components is here."""
        self.out.clear()
        self._due.clear()
        self._changed.clear()
        self._verifying.clear()
        self.is_wanted = self.is_nested = False
        self.escalated = None
        self.intensity.clear()
        for course in self.courses.values():
            course.forget_life()


def _shape(course: Course) -> tuple[object, ...]:
    """Return what others look at: as long as it stays the same, nothing follows for them."""
    return (
        course.phase,
        course.due_ns,
        course.clean,
        course.must_stop,
        course.stop_runs,
        course.start_runs,
        course.in_attempt,
        course.wanted,
    )


_TIMED = frozenset({Phase.WAITING, Phase.COOLING, Phase.VERIFYING})
