"""One time from the start of a supervisor to its stop: what runs, where, and who is told.

Owns the loop that decides (one ``Periodic``), the inbox of what has happened, and the monitor that
runs the checks. Nothing of a user's runs with the lock held. Elsewhere: what follows from what
(``crew``, ``course``), and starts and stops with time limits (``jobs``).
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from functools import partial

from holdfast.clock import ManualClock
from holdfast.events import Event
from holdfast.health.monitor import HealthMonitor
from holdfast.health.rounds import is_within
from holdfast.health.states import HealthState
from holdfast.periodic import Periodic
from holdfast.supervision.component import Exit
from holdfast.supervision.course import Phase
from holdfast.supervision.jobs import Job, Jobs, words_of
from holdfast.supervision.news import (
    log_attempt,
    log_check_failed,
    log_event,
    log_left,
    log_raised,
    log_spent,
    log_supervisor,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator, Sequence
    from typing import Any, ClassVar, Protocol

    from holdfast.clock import Clock
    from holdfast.events import Listeners
    from holdfast.health.check import Check
    from holdfast.health.result import CheckResult
    from holdfast.health.status import CheckStatus
    from holdfast.supervision.course import Course
    from holdfast.supervision.crew import Crew
    from holdfast.supervision.figures import Figures
    from holdfast.supervision.members import Member
    from holdfast.supervision.states import ComponentState
    from holdfast.waiting.aio import TaskWaiter
    from holdfast.waiting.parking import ThreadWaiter

    class Owner(Protocol):
        """The supervisor, as far as it is of use here."""

        _name: str
        _clock: Clock
        _lock: Any
        _crew: Crew
        _members: dict[str, Member]
        _inbox: deque[tuple[Any, ...]]
        _listeners: Listeners
        _interval: float
        _timeout: float

        def _forget(self, name: str) -> None: ...
        def _post(self, *happened: Any) -> None: ...
        def _degrade(self, name: str, kind: str, reason: str) -> None: ...
        def _report_end(self, run: Run) -> None: ...


__all__ = ["Run"]

_AT_ONCE = 200  # so many checks begin with the lock of their monitor held once
_LATE_NS = 250_000_000  # a tick that is later shows that this process did not run
_MOST_AHEAD_NS = 1_000_000_000  # how often to see whether it did not run, while a time counts
_FIRST_PACE_NS = 50_000_000
_MOST_PACE_NS = 1_000_000_000
_GOOD = (HealthState.HEALTHY, HealthState.DEGRADED)


class Run:
    """What runs of a supervisor.

    Attributes:
        has_begun: Whether ``start`` or ``astart`` has returned.
        is_over: Whether nothing runs any more, and nothing will.
    """

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop | None) -> None:
        self._owner = owner
        self._clock = owner._clock
        self._is_manual = isinstance(self._clock, ManualClock)
        self.loop = loop
        name = owner._name
        self.jobs = Jobs(name, self._clock, loop, self._take_job)
        self.monitor = HealthMonitor(
            name, interval=owner._interval, timeout=owner._timeout, clock=self._clock
        )
        self._periodic = Periodic(self.tick, None, name=name, clock=self._clock)
        self._news: deque[tuple[Event, int | None]] = deque()
        self._to_watch: list[tuple[Course, int, Check, Callable[..., object]]] = []
        self._is_telling = False
        self._watchers: list[ThreadWaiter | TaskWaiter] = []
        self.has_begun = False
        self.is_over = False

    # ---- its life ----

    def start(self) -> None:
        """Run in threads."""
        self.monitor.start()
        self._periodic.start()
        self.has_begun = True

    async def astart(self) -> None:
        """Run in this event loop, and in threads."""
        await self.monitor.astart()
        await self._periodic.astart()
        self.has_begun = True

    def statuses_of(self, checks: Sequence[str]) -> dict[str, CheckStatus]:
        """Return the figures of those of some checks that run."""
        return self.monitor._statuses(checks)

    @property
    def is_alive(self) -> bool:
        """Whether it decides: in this process, in an event loop that was not closed."""
        return self._periodic.running

    def wake(self) -> None:
        """Have it look at what has happened."""
        self._periodic.wake()

    def may_wait(self, *, in_task: bool) -> bool:
        """Return whether its end can be awaited here: not by what it waits for itself."""
        if self.jobs.is_here() or self._owner._lock.is_owned():
            return False
        rounds = self.monitor._rounds
        if rounds is not None and is_within(rounds):  # a check: a stop may wait for its end
            return False
        if self.loop is not None:
            return in_task or _running_loop() is not self.loop
        return not self._is_manual

    def end(self, seconds: float) -> bool:
        """Wait for threads that are at their last instructions, once it is over."""
        done = self._periodic.stop(seconds)
        done = self.monitor.stop(seconds) and done
        return self.jobs.join(seconds) and done

    async def aend(self, seconds: float) -> bool:
        """Wait as ``end`` does; the event loop goes on meanwhile."""
        done = await self._periodic.astop(seconds)
        done = await self.monitor.astop(seconds) and done
        return self.jobs.join(0.1) and done

    def break_off(self) -> None:
        """Have nothing of it go on, as it could not start, or its event loop was closed."""
        self.is_over = True
        self._periodic.stop(0)
        self.monitor.stop(0)
        self.jobs.forget()
        self.jobs.close()

    @contextmanager
    def woken(self, waiter: ThreadWaiter | TaskWaiter) -> Generator[None]:
        """Have somebody woken at the next change, while he waits for it."""
        with self._owner._lock:
            self._watchers.append(waiter)
        try:
            yield
        finally:
            with self._owner._lock, suppress(ValueError):  # it was woken
                self._watchers.remove(waiter)

    # ---- deciding ----

    def tick(self) -> int | None:
        """Take what has happened, decide, and have done what follows; return when to look again."""
        late_ns = int(self._periodic.lateness * 1e9)
        late_ns = late_ns if late_ns > _LATE_NS else 0
        owner, crew = self._owner, self._owner._crew
        while True:
            with owner._lock:
                if self.is_over:
                    return None
                self._take_inbox()
                now_ns = self._clock.now_ns()
                for job in self.jobs.overdue(now_ns, late_ns):
                    crew.overdue(job.name, job.generation, job.verb, now_ns)
                due_ns = crew.look(now_ns, late_ns)
                actions = crew.out.copy()
                crew.out.clear()
                late_ns = 0
                is_over = not actions and not owner._inbox and crew.is_settled
                self.is_over = is_over
            for what, *how in actions:
                if self._to_watch and what != "watch":
                    self._begin_to_watch()
                self._do[what](self, *how)
            self._begin_to_watch()
            self._see_to_news()
            if is_over:
                self._end()
                return None
            if not actions and not owner._inbox:
                break
        self._wake_watchers()
        jobs_ns = self.jobs.next_ns()
        times = [one for one in (due_ns, jobs_ns) if one is not None]
        if (jobs_ns is not None or crew.is_verifying) and not self._is_manual:
            # Else what is lost of a long time would not be seen: a tick would be in time after it.
            times.append(self._clock.now_ns() + _MOST_AHEAD_NS)
        return min(times, default=None)

    def _take_inbox(self) -> None:
        inbox, crew = self._owner._inbox, self._owner._crew
        while inbox:
            what, *how = inbox.popleft()
            getattr(crew, what)(*how, now_ns=self._clock.now_ns())

    def _end(self) -> None:
        """Let go of everything: nothing of the components is left."""
        self.monitor.stop(0)
        self._periodic.stop(0)
        log_supervisor(self._owner._name, "supervisor_stopped", self._clock)
        self._owner._report_end(self)
        self.jobs.close()
        self._wake_watchers()

    def _wake_watchers(self) -> None:
        if self._watchers:
            with self._owner._lock:
                watchers, self._watchers = self._watchers, []
            for one in watchers:
                one.wake()

    # ---- doing ----

    def _start(self, course: Course, generation: int) -> None:
        name = course.name
        member = self._owner._members[name]
        in_task = self.loop is not None and member.runs_in_task("start")
        has_ended = False

        def ended(end: Exit | None = None) -> None:
            """Say that the work of this start has ended by itself."""
            nonlocal has_ended
            end = Exit() if end is None else end
            if not isinstance(end, Exit):
                raise TypeError(f"ended() takes an Exit, not {end!r}")
            if not has_ended:
                has_ended = True
                self._owner._post("exited", name, generation, end)

        call = partial(member.start, ended, in_task=in_task)
        job = Job(name, generation, "start", call, course.rules.start_timeout_ns)
        self.jobs.begin(job, in_task=in_task)

    def _stop(self, course: Course) -> None:
        member = self._owner._members[course.name]
        in_task = self.loop is not None and member.runs_in_task("stop")
        call = partial(member.stop, in_task=in_task)
        job = Job(course.name, course.generation, "stop", call, course.rules.stop_timeout_ns)
        self.jobs.begin(job, in_task=in_task)

    def _hasten(self, course: Course) -> None:
        self.jobs.hasten(course.name, course.rules.stop_timeout_ns // 2)

    def _take_job(self, job: Job, error: str | None) -> None:
        verb = "started" if job.verb == "start" else "stopped"
        self._owner._post(verb, job.name, job.generation, error)

    def _watch(self, course: Course, generation: int) -> None:
        member = self._owner._members[course.name]
        member.pace_ns = _FIRST_PACE_NS
        try:
            check = member.check_for(course.name)
            hear = partial(self._hear, course, generation, check.name)
            self._to_watch.append((course, generation, check, hear))
        except Exception as error:  # noqa: BLE001 - of a user's component: its start has failed
            self._owner._post("unprovable", course.name, generation, words_of(error))

    def _begin_to_watch(self) -> None:
        """Have checks run, many at one time: each would wait for the threads that run others."""
        wanted, self._to_watch = self._to_watch, []
        for at in range(0, len(wanted), _AT_ONCE):
            some = wanted[at : at + _AT_ONCE]
            # Until it has passed, a failure says that the component still starts, and no more.
            errors = self.monitor._follow(
                (check, hear, course.rules.start_timeout_ns) for course, _, check, hear in some
            )
            for (course, generation, *_), error in zip(some, errors, strict=True):
                if error is not None:
                    self._owner._post("unprovable", course.name, generation, words_of(error))

    def _await(self, course: Course, generation: int) -> None:
        """See whether the check of a start, whose time is over, hangs; else it is to answer."""
        check = self._owner._members[course.name].check_name
        ran_ns = self.monitor._ran_ns(check)
        if ran_ns is not None and ran_ns >= course.verify_ns:
            self._owner._post("hangs", course.name, generation)

    def _unwatch(self, course: Course) -> None:
        self.monitor._unfollow(self._owner._members[course.name].check_name)

    def _hear(
        self,
        course: Course,
        generation: int,
        check: str,
        result: CheckResult,
        began_ns: int,
        state: HealthState,
    ) -> None:
        """Take a result of a check: most of a component that works change nothing."""
        phase = course.phase
        if course.generation != generation:
            return
        name, why = course.name, result.message
        if result.verdict == "failed" and phase is not Phase.VERIFYING:
            log_check_failed(self._owner._name, name, why, self._clock)
        if phase is Phase.VERIFYING:
            if result and state in _GOOD:
                self._owner._post("proved", name, generation, True, why, began_ns)
            else:
                member = self._owner._members[name]
                self.monitor._ask_in(check, member.pace_ns)
                again_ns = self._clock.now_ns() + member.pace_ns if not result else None
                if result.verdict == "unproven":
                    again_ns = None
                member.pace_ns = min(2 * member.pace_ns, _MOST_PACE_NS)
                self._owner._post("answered", name, generation, why, again_ns)
        elif state is HealthState.UNHEALTHY:
            self._owner._post("proved", name, generation, False, why, began_ns)
        elif phase is Phase.FAILING and result and state in _GOOD:
            self._owner._post("proved", name, generation, True, why, began_ns)

    # ---- telling ----

    def _say(
        self,
        course: Course,
        kind: str,
        old: object,
        new: object,
        reason: str,
        wait_ns: int | None,
        generation: int,
    ) -> None:
        owner = self._owner
        log_event(owner._name, kind, course.name, reason, wait_ns, self._clock)
        event = Event(
            kind,
            owner,
            course.name,
            old=old,
            new=new,
            reason=reason,
            retry_after=None if wait_ns is None else wait_ns / 1e9,
            at=self._clock.now_ns() / 1e9,
            generation=generation,
        )
        self._news.append((event, wait_ns))

    def _escalated(self, course: Course, why: str) -> None:
        state = course.state
        self._figures(course).escalated()
        self._say(course, "escalated", state, state, why, None, course.generation)

    def _figures(self, course: Course) -> Figures:
        return self._owner._members[course.name].figures

    def _show(
        self, course: Course, state: ComponentState, down_since_ns: int | None, now_ns: int
    ) -> None:
        is_down = down_since_ns is not None
        since_ns = now_ns if down_since_ns is None else down_since_ns
        self._figures(course).show(state, since_ns, is_down=is_down)

    def _recovered(self, course: Course) -> None:
        self._figures(course).recovered()

    def _restarted(self, course: Course) -> None:
        self._figures(course).restarted()

    def _attempt(self, course: Course) -> None:
        self._figures(course).attempt()
        log_attempt(
            self._owner._name,
            course.name,
            course.attempt,
            course.rules.attempts,
            course.last_error or "",
            self._clock,
        )

    def _spent(self, course: Course) -> None:
        self._figures(course).failed()
        log_spent(self._owner._name, course.name, course.last_error or "", self._clock)

    def _left(self, course: Course, why: str) -> None:
        log_left(self._owner._name, course.name, why, self._clock)

    def _removed(self, course: Course) -> None:
        self._owner._forget(course.name)

    def _see_to_news(self) -> None:
        """Have listeners told: in a thread of its own, as one may hang, or here in a task."""
        if not self._news:
            return
        if self._is_manual or self.loop is not None:
            self._tell()
            return
        with self._owner._lock:
            if self._is_telling:
                return
            self._is_telling = True
        self.jobs.tell(self._tell)

    def _tell(self) -> None:
        owner = self._owner
        while True:
            while self._news:
                event, _ = self._news.popleft()
                try:
                    owner._degrade(event.name or "", event.kind, event.reason)
                    owner._listeners.emit(event)
                except BaseException as error:
                    if self._is_manual:  # as Ctrl-C: of whoever advances the clock
                        raise
                    log_raised(owner._name, error)
            with owner._lock:
                if not self._news:
                    self._is_telling = False
                    return

    _do: ClassVar[dict[str, Callable[..., None]]] = {
        "start": _start,
        "stop": _stop,
        "hasten": _hasten,
        "watch": _watch,
        "await": _await,
        "unwatch": _unwatch,
        "say": _say,
        "escalated": _escalated,
        "attempt": _attempt,
        "spent": _spent,
        "show": _show,
        "recovered": _recovered,
        "restarted": _restarted,
        "left": _left,
        "removed": _removed,
    }


def _running_loop() -> object:
    import sys

    module: Any = sys.modules.get("asyncio")
    return module and module._get_running_loop()
