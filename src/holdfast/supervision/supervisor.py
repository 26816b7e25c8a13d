"""Supervisor: starts components in order, checks them, and has them come back by themselves.

Owns the public face. Elsewhere: what follows from what happens (``crew`` for all components,
``course`` for one), and the threads, tasks and checks of one time from start to stop (``run``).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, overload

from holdfast.clock import read_clock, system_clock
from holdfast.events import Listeners
from holdfast.forks import mind, settle
from holdfast.health.check import Check
from holdfast.health.result import CheckResult
from holdfast.life import Life
from holdfast.locks import RLock
from holdfast.supervision.component import Component, Exit, as_component
from holdfast.supervision.course import Course, Phase
from holdfast.supervision.crew import STRATEGIES, Crew
from holdfast.supervision.figures import Figures
from holdfast.supervision.intensity import Intensity
from holdfast.supervision.living import enlist
from holdfast.supervision.members import Member, needs_loop
from holdfast.supervision.news import log_supervisor
from holdfast.supervision.run import Run
from holdfast.supervision.settings import BACKOFF, DEFAULT, LEAST_NS, read_needs, read_rules
from holdfast.supervision.states import ComponentState
from holdfast.supervision.status import ComponentStatus, SupervisorSnapshot
from holdfast.validation import Problems, explains_names, nearest, shown, wait_to_ns
from holdfast.waiting.foreign import loop_here
from holdfast.waiting.parking import ThreadWaiter
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from typing import Any, Literal, TypeAlias

    from holdfast.clock import Clock
    from holdfast.degradation.manager import DegradationManager
    from holdfast.events import Listener
    from holdfast.policies.backoff import Backoff
    from holdfast.supervision.settings import Action, Restart

    Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one", "recreate"]

__all__ = ["Supervisor"]

_MOST_RESTARTS = 1_000_000


class Supervisor(Whole, Life, Component):
    """Starts components in order, checks them, and restarts those that fail or end.

    A component that fails is recovered: after a back-off it is stopped and started, and it has
    recovered when its check passes. There is one recovery of a component at a time. After
    ``attempts`` failed attempts it cools down, and its attempts begin again. If the old instance
    cannot be stopped, no other is started.

    Automatic restarts count towards ``max_restarts``. If there are more ``within`` some seconds, a
    supervisor that is a component of another stops all of its components and ends, and the other
    supervisor recovers it. Any other supervisor lets the component cool down, or gives up on all if
    there is no ``cool_down``.

    ``start`` runs plain components in threads. ``astart`` runs coroutine functions in tasks of the
    event loop, and plain functions in threads. On a ``ManualClock`` everything runs in the thread
    that starts the supervisor or advances the clock.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        strategy: The components that are restarted if one fails: "one_for_one": this component;
            "one_for_all": all; "rest_for_one": it and those that start after it; "recreate": this
            component, as a new object from its ``recreate``.
        max_restarts: How many automatic restarts are allowed in this time; None: any number.
        within: Seconds in which restarts are counted, at least 0.001.
        cool_down: Seconds of the first cool-down, doubled with each to at most 600; None: a
            component is given up when its attempts have failed.
        interval: Seconds from one check of a component to the next, at least 0.001.
        timeout: How many seconds one check may take, at least 0.001.
        degradation: Whose component of the same name is DEGRADED while one cools down, and
            SEVERELY_DEGRADED when it is given up, until it runs again.
        clock: The source of time; use a ``ManualClock`` in tests.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Listeners are called one after the other, in the order of the events, without any lock. A
    running supervisor is kept alive. In a forked child it is stopped, and the components are the
    parent's. Safe to share between threads and event loops.

    >>> from holdfast.supervision import CallableComponent
    >>> supervisor = Supervisor("shop")
    >>> supervisor.add(CallableComponent("cache", lambda: None))
    >>> with supervisor: supervisor.wait_until_running()
    True
    """

    kind = "supervisor"

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int | None = 3,
        within: float | timedelta = 60.0,
        cool_down: float | timedelta | None = 60.0,
        interval: float | timedelta = 10.0,
        timeout: float | timedelta = 5.0,
        degradation: DegradationManager | None = None,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("Supervisor", name)
        self._name = problems.name(name)
        self._strategy = problems.choice("strategy", strategy, STRATEGIES)
        most = problems.integer(
            "max_restarts", max_restarts, least=0, most=_MOST_RESTARTS, none=True
        )
        within_ns = problems.duration("within", within, least_ns=LEAST_NS)
        self._cool_down_ns = problems.duration("cool_down", cool_down, least_ns=LEAST_NS, none=True)
        self._interval = problems.duration("interval", interval, least_ns=LEAST_NS) / 1e9
        self._timeout = problems.duration("timeout", timeout, least_ns=LEAST_NS) / 1e9
        if degradation is not None:
            from holdfast.degradation.manager import DegradationManager

            allowed = "a DegradationManager or None"
            problems.instance("degradation", degradation, DegradationManager, allowed)
        self._degradation = degradation
        self._clock = read_clock(problems, clock)
        problems.done()
        # Guards the crew and the run, and is held for moments: nothing of a user's runs under it.
        # Re-entrant: for finalisers and signal handlers.
        self._lock = RLock()
        self._crew = Crew(strategy, Intensity(most, within_ns))
        self._members: dict[str, Member] = {}
        self._checks: dict[str, Member] = {}  # by the name of the check
        self._inbox: deque[tuple[Any, ...]] = deque()  # what the next tick takes
        self._run: Run | None = None
        self._is_wanted = False
        self._was_up = False  # since its start
        self._listeners = Listeners()
        self._ended: Callable[[Exit], object] | None = None
        mind(self)
        enlist(self)

    # ---- its components ----

    @property
    def name(self) -> str:  # type: ignore[override]  # of this class it is read-only
        """The name, for messages and metrics."""
        return self._name

    @explains_names
    def add(
        self,
        component: Any,
        *,
        check: Check | None = None,
        depends_on: Iterable[str] = (),
        restart: Restart = "permanent",
        backoff: Backoff | float | timedelta = BACKOFF,
        attempts: int = 3,
        first_delay: float | timedelta | None = None,
        on_exit: Mapping[Any, Action] | None = None,
        start_timeout: float | timedelta = 30.0,
        stop_timeout: float | timedelta = 10.0,
        healthy_after: float | timedelta = 60.0,
        cool_down: float | timedelta | None = DEFAULT,
        recreate: Callable[[], object] | None = None,
    ) -> None:
        """Supervise a component; if the supervisor runs, the component starts immediately.

        Args:
            component: A ``Component``, or any object with a ``name``, a ``start`` and a ``stop``.
            check: The health check; None: its ``check`` method, if it has one. Without a check it
                has recovered when it has started.
            depends_on: The names of the components that have to run before it starts, and are
                stopped after it. They may be added later, before the supervisor starts.
            restart: "permanent": it is restarted whenever it ends; "transient": only if it did not
                end as it was to; "temporary": never.
            backoff: The delays before the attempts to recover it.
            attempts: How many attempts there are before a cool-down, at least 1.
            first_delay: Seconds before the first attempt, instead of the first of ``backoff``; with
                0 there is no delay.
            on_exit: By exit code (int) or signal (``signal.Signals``) the reaction to an exit:
                "restart", "restart_now" (without a delay), "finish", "give_up" or "escalate" (as if
                restarts were too many).
            start_timeout: How many seconds a start may take until its check passes.
            stop_timeout: How many seconds a stop may take.
            healthy_after: After so many seconds without trouble, attempts, delays and cool-downs
                begin anew.
            cool_down: Seconds of its first cool-down, or None, in place of the supervisor's.
            recreate: Returns a new object for each start but the first.

        Raises:
            ConfigError: One or more arguments are invalid; the message lists all of them.
        """
        problems = Problems("Supervisor", self._name)
        one: Component | None = as_component(component, problems)
        if one is self:
            problems.refuse("component", component, "another one than this supervisor itself")
        if check is not None:
            check = problems.instance("check", check, Check, "a check of holdfast.health, or None")
        cool_down_ns = self._cool_down_ns
        if cool_down is not DEFAULT:
            cool_down_ns = problems.duration("cool_down", cool_down, least_ns=LEAST_NS, none=True)
        problems.callable("recreate", recreate)
        if recreate is None and self._strategy == "recreate":
            problems.refuse("recreate", recreate, "a callable, as the strategy is 'recreate'")
        needs = read_needs(problems, depends_on)
        rules = read_rules(
            problems,
            restart=restart,
            backoff=backoff,
            attempts=attempts,
            first_delay=first_delay,
            on_exit=on_exit,
            start_timeout=start_timeout,
            stop_timeout=stop_timeout,
            healthy_after=healthy_after,
            cool_down_ns=cool_down_ns,
            has_check=False,
        )
        problems.done()
        assert one is not None
        self._refuse_member(problems, one, check, needs)
        problems.done()
        settle()
        member = Member(one, check, recreate, Figures(self._name, one.name, self._clock))
        rules.has_check = member.has_check
        with self._lock:
            self._refuse_member(problems, one, check, needs)
            problems.done()
            self._members[member.name] = member
            self._checks[member.check_name] = member
            self._crew.add(member.name, rules, needs, self._clock.now_ns())
        self._wake()

    def _refuse_member(
        self, problems: Problems, one: Component, check: Check | None, needs: tuple[str, ...]
    ) -> None:
        """Refuse what does not go with the others."""
        name, crew = one.name, self._crew
        there = crew.courses.get(name)
        circle = crew.circle_with(name, needs) if there is None else ()
        is_there = name in self._members  # for a moment longer, until a removal was told
        if is_there:
            allowed = f"one with a name other than {name!r}, which it has already"
            if there is None or there.is_removed:
                allowed = f"one with another name while the removed {name!r} is being stopped"
            problems.refuse("component", one, allowed)
        elif circle:
            words = " needs ".join(map(repr, circle))
            problems.refuse("depends_on", list(needs), f"names without a circle: {words}")
        taken = self._checks.get(name if check is None else check.name)
        if taken is not None and not is_there:
            allowed = f"one with a name other than that of the check of {taken.name!r}"
            problems.refuse("check", check, allowed)
        if self._is_wanted:
            self._refuse_unknown(problems, [(name, need) for need in needs])
            run = self._run
            if run is not None and run.loop is None and needs_loop(one):
                problems.refuse("component", one, _PLAIN_ONLY)

    def _refuse_unknown(self, problems: Problems, missing: Iterable[tuple[str, str]]) -> None:
        for name, need in missing:
            there = self._crew.courses.get(need)
            if there is None or there.is_removed:
                known = tuple(one for one in self._crew.courses if one != name)
                allowed = "none, as there is no other component"
                if known:
                    allowed = "one of " + ", ".join(map(repr, known))
                hint = nearest(need, known)
                problems.refuse(f"depends_on of {name!r}", need, f"{allowed}{hint}")

    def remove(self, name: str, timeout: float | timedelta = 10.0) -> bool:
        """Stop a component and forget it; it waits as ``stop`` does.

        Returns:
            Whether it has been stopped and removed. If its stop takes longer than ``timeout``, it
            is removed later. If its stop fails, it is not removed.

        Raises:
            LookupError: There is no component of this name.
            ConfigError: Another component depends on it.
        """
        timeout_ns = wait_to_ns("timeout", timeout)
        settle()
        with self._lock:
            course = self._get(name)
            problems = Problems("Supervisor", self._name)
            if others := self._crew.needed_by(name):
                words = ", ".join(map(repr, others))
                problems.refuse("name", name, f"one that nothing depends on, unlike {words}")
            problems.done()
            run = self._live_run()
            if run is None:
                self._crew.forget(name)
                self._forget(name)
                return course.clean
            course.is_removed = True
            self._inbox.append(("remove", name))  # with the lock: before this run can be over
        self._wake()
        self._wait(lambda: not course.is_removed or name not in self._members, timeout_ns)
        return name not in self._members

    def restart(self, name: str, timeout: float | timedelta = 30.0) -> bool:
        """Stop a component and start it without a delay, in any state; wait until it runs.

        Its attempts and delays begin anew, and this restart counts towards no limit. It does not
        wait within a check, a listener, a ``start`` or a ``stop``, on a ``ManualClock``, and in the
        thread of the event loop that runs the supervisor.

        Args:
            name: The name of the component.
            timeout: How many seconds to wait at most; 0 never waits.

        Returns:
            Whether it runs.

        Raises:
            LookupError: There is no component of this name.
            RuntimeError: The supervisor does not run.
        """
        timeout_ns = wait_to_ns("timeout", timeout)
        return self._wait(self._ask_restart(name), timeout_ns)

    async def arestart(
        self,
        name: str,
        timeout: float | timedelta = 30.0,  # noqa: ASYNC109 - as in restart()
    ) -> bool:
        """Restart the component ``name`` as ``restart`` does; ``timeout`` is the same."""
        timeout_ns = wait_to_ns("timeout", timeout)
        return await self._await(self._ask_restart(name), timeout_ns)

    def _ask_restart(self, name: str) -> Callable[[], bool]:
        """Have a component restarted; return what tells whether it has been, and runs."""
        settle()
        with self._lock:
            course = self._get(name)
            if self._live_run() is None or not self._is_wanted:
                raise RuntimeError(f"supervisor {self._name!r} does not run: start() it first")
            before = course.generation
            self._inbox.append(("restart", name))  # with the lock: before any stop after this
        self._wake()
        return lambda: course.generation > before and course.phase is Phase.UP

    def _get(self, name: str) -> Course:
        course = self._crew.courses.get(name)
        if course is None or course.is_removed:
            known = tuple(one for one in self._crew.courses)
            hint = nearest(name, known)
            raise LookupError(f"supervisor {self._name!r} has no component {shown(name)}{hint}")
        return course

    # ---- its life ----

    @property
    def running(self) -> bool:
        """Whether it was started in this process and not stopped since."""
        settle()
        with self._lock:
            return self._is_wanted and self._live_run() is not None

    def start(self) -> None:
        """Begin to start the components, each when those it depends on run. It goes on if it runs.

        It does not wait for that; ``wait_until_running`` does.

        Raises:
            ConfigError: A component depends on one that there is not.
            TypeError: A component has a coroutine function as ``start`` or ``stop``; use
                ``astart``.
            RuntimeError: No thread can be started.
        """
        run = self._begin_run(None)
        if run is not None:
            try:
                run.start()
            except BaseException:
                self._break_off(run)
                raise

    async def astart(self) -> None:
        """Begin to start the components as ``start`` does, in this event loop."""
        run = self._begin_run(loop_here(self, "start()"))
        if run is not None:
            try:
                await run.astart()
            except BaseException:
                self._break_off(run)
                raise

    def _begin_run(self, loop: Any) -> Run | None:
        """Make the run of a start; None if one goes on already."""
        settle()
        with self._lock:
            problems = Problems("Supervisor", self._name)
            self._refuse_unknown(problems, self._crew.missing())
            problems.done()
            if loop is None:
                for member in self._members.values():
                    if needs_loop(member.component):
                        raise TypeError(
                            f"Supervisor {self._name!r}: {member.name!r} needs an event loop,"
                            " as its start() or stop() is a coroutine function: use 'await"
                            " astart()' or 'async with'"
                        )
            is_news, self._is_wanted = not self._is_wanted, True
            run = self._live_run()
            if is_news or run is None:
                self._was_up = False
                self._crew.is_nested = self._ended is not None
                self._inbox.append(("start",))
            made = None
            if run is None:
                made = self._run = Run(self, loop)
        if is_news:
            log_supervisor(self._name, "supervisor_started", self._clock)
        self._wake()
        return made

    def _break_off(self, run: Run) -> None:
        with self._lock:
            self._is_wanted = False
            self._inbox.clear()
        run.break_off()

    def _live_run(self) -> Run | None:
        """Return the run that goes on; the lock is held."""
        run = self._run
        if run is None or run.is_over:
            return None
        if run.has_begun and not run.is_alive:  # its event loop was closed
            run.break_off()
            self._run = None
            self._crew.abandon(self._clock.now_ns())
            return None
        return run

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """Stop the components in the reverse order of their starts, and wait for that.

        It may be called from anywhere, any number of times. It does not wait within a check, a
        listener, a ``start`` or a ``stop`` of its components, nor in the thread of the event loop
        that runs it: use ``astop`` there.

        Args:
            timeout: How many seconds to wait at most, on the system's clock; 0 never waits. After
                that the stop continues in the background.

        Returns:
            Whether all components have been stopped.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        timeout_ns = wait_to_ns("timeout", timeout)
        began_ns = system_clock.now_ns()
        run = self._ask_stop()
        if run is None:
            return self._is_clean()
        if not self._wait(lambda: run.is_over, timeout_ns, run):
            return False
        if run.may_wait(in_task=False):
            run.end(_seconds_left(timeout_ns, began_ns))
        return self._is_clean()

    async def astop(
        self,
        timeout: float | timedelta = 10.0,  # noqa: ASYNC109 - as in stop()
    ) -> bool:
        """Stop the components as ``stop`` does; ``timeout`` is the same."""
        timeout_ns = wait_to_ns("timeout", timeout)
        began_ns = system_clock.now_ns()
        run = self._ask_stop()
        if run is None:
            return self._is_clean()
        if not await self._await(lambda: run.is_over, timeout_ns, run):
            return False
        if run.may_wait(in_task=True):
            await run.aend(_seconds_left(timeout_ns, began_ns))
        return self._is_clean()

    def _ask_stop(self) -> Run | None:
        """Have all stopped; return what is to end, or None."""
        settle()
        with self._lock:
            run = self._live_run()
            self._is_wanted = False
            if run is None:
                return None
            self._inbox.append(("stop",))
        self._wake()
        return run

    def _is_clean(self) -> bool:
        with self._lock:
            return all(one.clean for one in self._crew.courses.values())

    def wait_until_running(self, timeout: float | timedelta = 30.0) -> bool:
        """Wait until every component is RUNNING or FINISHED.

        Args:
            timeout: How many seconds to wait at most, on the system's clock; 0 never waits.

        Returns:
            Whether all are.
        """
        return self._wait(self._is_up, wait_to_ns("timeout", timeout))

    async def await_until_running(
        self,
        timeout: float | timedelta = 30.0,  # noqa: ASYNC109 - as in wait_until_running()
    ) -> bool:
        """Wait as ``wait_until_running`` does; ``timeout`` is the same."""
        return await self._await(self._is_up, wait_to_ns("timeout", timeout))

    def _is_up(self) -> bool:
        with self._lock:
            if self._inbox or self._live_run() is None:
                return False
            return all(one.is_up for one in self._crew.courses.values())

    # ---- waiting ----

    def _wait(
        self, is_so: Callable[[], bool], timeout_ns: int | None, run: Run | None = None
    ) -> bool:
        """Wait until something is so; return whether it is."""
        run = run or self._run
        began_ns = system_clock.now_ns()
        while not is_so():
            left_ns = None if timeout_ns is None else timeout_ns + began_ns - system_clock.now_ns()
            if run is None or run.is_over or not run.may_wait(in_task=False):
                return is_so()
            if left_ns is not None and left_ns <= 0:
                return False
            waiter = ThreadWaiter()
            with run.woken(waiter):
                if not is_so() and not run.is_over:
                    waiter.park(system_clock, left_ns)
        return True

    async def _await(
        self, is_so: Callable[[], bool], timeout_ns: int | None, run: Run | None = None
    ) -> bool:
        """Wait as ``_wait`` does, in a task and on the clock of its loop."""
        from holdfast.waiting.aio import TaskWaiter, now_ns_of_loop

        loop_here(self, "the same without 'a'")
        run = run or self._run
        began_ns = now_ns_of_loop()
        while not is_so():
            left_ns = None if timeout_ns is None else timeout_ns + began_ns - now_ns_of_loop()
            if run is None or run.is_over or not run.may_wait(in_task=True):
                return is_so()
            if left_ns is not None and left_ns <= 0:
                return False
            waiter = TaskWaiter()
            with run.woken(waiter):
                if not is_so() and not run.is_over:
                    await waiter.park(system_clock, left_ns)
        return True

    # ---- as a component of another supervisor ----

    def watch(self, ended: Callable[[Exit], object]) -> None:
        """Be a component of another supervisor: ``ended`` is called if restarts are too many."""
        self._ended = ended

    def check(self) -> CheckResult:
        """Return whether its components work: degraded, if one does not at the moment."""
        with self._lock:
            if not self._is_wanted or self._live_run() is None:
                return CheckResult.failed(self._crew.escalated or "it does not run")
            down = [one for one in self._crew.courses.values() if not one.is_up]
            if not down and not self._inbox:
                self._was_up = True
                return CheckResult.passed()
            words = ", ".join(f"{one.name!r} is {one.state}" for one in down[:3])
            has_failed = any(one.state not in _COMING for one in down)
        if not self._was_up:
            # As long as its components only take their time, that shows nothing of them.
            return CheckResult.failed(words) if has_failed else CheckResult.unproven(words)
        return CheckResult.degraded(words)

    # ---- what others see ----

    if TYPE_CHECKING:

        @overload
        def status(self, name: None = None) -> dict[str, ComponentStatus]: ...
        @overload
        def status(self, name: str) -> ComponentStatus: ...

    def status(self, name: str | None = None) -> dict[str, ComponentStatus] | ComponentStatus:
        """Return the status of one component, or of all by their names, in the order of starts.

        Raises:
            LookupError: There is no component of this name.
        """
        settle()
        if name is not None:
            with self._lock:
                return self._statuses([self._get(name)])[name]
        found: dict[str, ComponentStatus] = {}
        with self._lock:
            names = list(self._crew.order())
        for at in range(0, len(names), _AT_ONCE):
            with self._lock:  # for some at a time: of many components it would be held for long
                courses = map(self._crew.courses.get, names[at : at + _AT_ONCE])
                found |= self._statuses([one for one in courses if one is not None])
        return found

    def component(self, name: str) -> Any:
        """Return the component of a name: the object that was started last.

        Raises:
            LookupError: There is no component of this name.
        """
        settle()
        with self._lock:
            self._get(name)
            component = self._members[name].component
        return getattr(component, "given", component)

    def snapshot(self) -> SupervisorSnapshot:
        """Return the figures and the status of every component."""
        components = self.status()
        now_ns = self._clock.now_ns()
        with self._lock:
            crew = self._crew
            return SupervisorSnapshot(
                name=self._name,
                running=self.running,
                strategy=self._strategy,
                healthy=all(one.is_up for one in crew.courses.values()),
                components=components,
                restarts_in_window=crew.intensity.count(now_ns),
                escalations=crew.escalations,
                given_up=crew.escalated,
                callback_failures=self._listeners.raised,
            )

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event)`` for each event of a component, whose name is the event's.

        The kinds of events: "started", "unhealthy", "exited", "recovering", "attempt_failed",
        "recovered", "cooling_down", "gave_up", "finished", "escalated", "stopped". An event has the
        old and the new state, the reason, the generation, and as ``retry_after`` the seconds until
        the next attempt. They come in the order in which they happened, without any lock held.
        Exceptions of a listener are logged and counted.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        return self._listeners.subscribe(listener)

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        count = len(self._crew.courses)
        noun = "component" if count == 1 else "components"
        return f"<Supervisor {self._name!r} of {count} {noun}, {state}>"

    def _statuses(self, courses: list[Course]) -> dict[str, ComponentStatus]:
        """Return the status of some components; the lock is held."""
        run, now_ns, crew = self._run, self._clock.now_ns(), self._crew
        names = {one.name: self._members[one.name].check_name for one in courses if one.watches}
        checks = {} if run is None else run.statuses_of(tuple(names.values()))
        return {
            one.name: status_of(
                one, crew.needs_of(one.name), checks.get(names.get(one.name, "")), now_ns
            )
            for one in courses
        }

    # ---- what the run calls ----

    def _forget(self, name: str) -> None:
        """Know no more of a component that was removed."""
        with self._lock:
            if (member := self._members.pop(name, None)) is not None:
                self._checks.pop(member.check_name, None)

    def _post(self, *happened: Any) -> None:
        """Have the next tick take what has happened; from any thread, with or without locks."""
        self._inbox.append(happened)
        self._wake()

    def _wake(self) -> None:
        run = self._run
        if run is not None and not run.is_over:
            run.wake()

    def _degrade(self, name: str, kind: str, reason: str) -> None:
        """Have the levels of a component follow what happened to it."""
        if self._degradation is None:
            return
        from holdfast.degradation.level import Level

        source = f"supervisor {self._name}"
        if kind in ("cooling_down", "gave_up"):
            level = Level.DEGRADED if kind == "cooling_down" else Level.SEVERELY_DEGRADED
            why = "".join(one for one in reason if one.isprintable())[:200]
            self._degradation.component(name).set(level, source=source, reason=why)
        elif kind in ("started", "recovered", "finished", "stopped"):
            self._degradation.component(name).recover(source)

    def _report_end(self, run: Run) -> None:
        """Take that nothing runs any more; tell the supervisor above if restarts were many."""
        with self._lock:
            if self._run is run and not self._inbox:
                self._is_wanted = False
            ended, why = self._ended, self._crew.escalated
        if ended is not None and why is not None:
            from holdfast.errors import HoldfastError

            ended(Exit(error=HoldfastError(why)))

    def _after_fork(self) -> None:
        """In a forked child: have a lock that nobody holds, and nothing that runs."""
        self._lock = RLock()
        self._inbox.clear()
        self._run = None
        self._is_wanted = self._was_up = False
        self._crew.forget_all()


_AT_ONCE = 200  # so many components are looked at with the lock held once
_COMING = (ComponentState.STOPPED, ComponentState.STARTING, ComponentState.RUNNING)
_PLAIN_ONLY = (
    "one whose start() and stop() are plain functions, as the supervisor was started by start()"
    " and not by astart()"
)


def _seconds_left(timeout_ns: int | None, began_ns: int) -> float:
    if timeout_ns is None:
        return 10.0
    return max(0.1, (timeout_ns - (system_clock.now_ns() - began_ns)) / 1e9)


def status_of(course: Course, needs: tuple[str, ...], check: Any, now_ns: int) -> ComponentStatus:
    """Return what a course shows of its component."""
    is_up = course.phase is Phase.UP
    has_calmed = is_up and now_ns - course.up_ns >= course.rules.healthy_after_ns
    waits = course.phase in (Phase.WAITING, Phase.COOLING) and not course.in_attempt
    recoveries, last_ns = course.recovered_total, course.last_recovery_ns
    return ComponentStatus(
        name=course.name,
        state=course.state,
        healthy=course.state is ComponentState.RUNNING,
        recovering=course.state is ComponentState.RECOVERING,
        generation=course.generation,
        depends_on=needs,
        attempt=0 if has_calmed else course.attempt,
        attempts=course.rules.attempts,
        next_in=max(0, course.due_ns - now_ns) / 1e9 if waits else None,
        uptime=max(0, now_ns - course.up_ns) / 1e9 if is_up else None,
        downtime=course.downtime_ns(now_ns) / 1e9,
        restarts=course.restarts_total,
        recovery_attempts=course.attempts_total,
        recoveries=recoveries,
        failed_recoveries=course.failed_total,
        average_recovery_time=course.recovery_ns / recoveries / 1e9 if recoveries else None,
        last_recovery=None if last_ns is None else last_ns / 1e9,
        last_recovery_succeeded=course.was_recovered,
        last_exit=course.last_exit,
        error=course.last_error,
        left_behind=not course.clean and course.phase is Phase.OFF,
        check=check,
    )
