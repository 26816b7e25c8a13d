"""HealthMonitor: the checks of a service, what their results say, and who is told.

Owns the states, the level, and the order in which changes are told. Elsewhere: when and where
checks run (``rounds``), how a state follows from results (``hf_check.h``), and when a check is due
(``schedule``).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, overload

from holdfast._native.random import Random
from holdfast.clock import read_clock
from holdfast.events import Event, Listeners
from holdfast.forks import mind, settle
from holdfast.health.breakers import NOTHING, BreakerLink
from holdfast.health.check import Check, is_interrupt, read_returned
from holdfast.health.composite import CompositeCheck
from holdfast.health.figures import Figures
from holdfast.health.pulse import Pulse, judge
from holdfast.health.result import VERDICTS, CheckResult, failed_by
from holdfast.health.rounds import Rounds
from holdfast.health.schedule import interval_ns
from holdfast.health.states import STATES, HealthLevel, HealthState
from holdfast.health.status import CheckRecord, CheckStatus, MonitorSnapshot
from holdfast.health.turns import Countdown, Run, Turn, Unit, Watched
from holdfast.life import Life
from holdfast.locks import RLock
from holdfast.policies.breaker import CircuitBreaker
from holdfast.policies.telling import Telling
from holdfast.policies.timeout import Timeout
from holdfast.records import note, takes
from holdfast.redaction import one_line
from holdfast.seeds import fresh_seed
from holdfast.validation import Problems, explains_names, nearest, shown, wait_to_ns
from holdfast.waiting.foreign import loop_here
from holdfast.waiting.parking import ThreadWaiter
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.events import Listener
    from holdfast.health.outlook import Outlook
    from holdfast.policies.breaker import CircuitBreaker

__all__ = ["HealthMonitor"]

_LEAST_NS = 1_000_000
_MOST_WORKERS = 1_000
_MOST_HISTORY = 100_000
_AT_ONCE = 200  # so many are looked at with the lock held once
_FEW = 16  # so many breakers are asked after each result
_LOOK_NS = 50_000_000  # more of them no more often
_CODES = {verdict: code for code, verdict in enumerate(VERDICTS)}
_UNHEALTHY, _UNKNOWN = HealthState.UNHEALTHY, HealthState.UNKNOWN
_DEGRADED, _HEALTHY = HealthState.DEGRADED, HealthState.HEALTHY


class HealthMonitor(Whole, Life):
    """Runs checks, each in its interval, and says how healthy a service is.

    All checks run when the monitor starts, and then spread over their intervals. They run at the
    same time, plain ones in at most ``workers`` threads. A run that takes longer than the timeout
    of its check is given up, which counts as a failure: its thread is replaced,
    and the check does not run again before the run has ended. A check is UNKNOWN until its first
    result. A failure while this process itself did not run proves nothing.

    The interval follows the state: a quarter of it while a check is unhealthy or its last results
    contradict its state, half of it while it is degraded, and back to all of it in steps.

    A critical check that is unhealthy makes the level CRITICAL, and FAILED if all critical checks
    are. One that is unknown makes it UNKNOWN. Any other trouble makes it DEGRADED. The service is
    ready if the level is HEALTHY or DEGRADED. It is live unless a check made with
    ``liveness=True`` is unhealthy.

    On a ``ManualClock`` there are no threads: checks run in the thread that starts the monitor or
    advances the clock. In a forked child all checks are UNKNOWN, and none runs until the child
    starts the monitor itself.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        interval: Seconds from one run of a check to the next, at least 0.001.
        timeout: How many seconds one run may take, at least 0.001.
        jitter: The share of the interval, 0 to 1, by which a run may be delayed at random.
        workers: How many threads run checks at one time, 1 to 1,000. Runs that were given up come
            on top, up to four times as many.
        history: How many results of each check are kept, 1 to 100,000; one takes about 150 bytes.
        adaptive: Whether the interval follows the state.
        on_healthy: Called with the name of a check that has become healthy.
        on_unhealthy: Called with the name and the error message of one that has become unhealthy.
        clock: The source of time; use a ``ManualClock`` in tests.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Callbacks and listeners are called one after the other, in the order of the changes, by the
    thread or task that has found one. Their exceptions are logged and counted. A running monitor is
    kept alive. Safe to share between threads and event loops.

    >>> import holdfast as hf
    >>> monitor = HealthMonitor("shop", clock=hf.ManualClock())
    >>> monitor.add(hf.PingCheck("database", lambda: True))
    >>> with monitor: print(monitor.level, monitor.is_ready)
    healthy True
    """

    kind = "health_monitor"

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        interval: float | timedelta = 10.0,
        timeout: float | timedelta = 5.0,
        jitter: float = 0.1,
        workers: int = 16,
        history: int = 100,
        adaptive: bool = True,
        on_healthy: Callable[[str], object] | None = None,
        on_unhealthy: Callable[[str, str], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("HealthMonitor", name)
        self._name = problems.name(name)
        self._interval_ns = problems.duration("interval", interval, least_ns=_LEAST_NS)
        self._timeout_ns = problems.duration("timeout", timeout, least_ns=_LEAST_NS)
        self._jitter = problems.fraction("jitter", jitter)
        self._workers = problems.integer("workers", workers, least=1, most=_MOST_WORKERS)
        self._history = problems.integer("history", history, least=1, most=_MOST_HISTORY)
        self._adaptive = problems.flag("adaptive", adaptive)
        self._on_healthy = problems.asked("on_healthy", on_healthy)
        self._on_unhealthy = problems.callable("on_unhealthy", on_unhealthy)
        if (
            on_unhealthy is not None
            and self._on_unhealthy is not None
            and not _takes_two(on_unhealthy)
        ):
            problems.refuse(
                "on_unhealthy", on_unhealthy, "a callable that takes a name and an error"
            )
        self._clock = read_clock(problems, clock)
        problems.done()
        self._random = Random(fresh_seed(), seeded=False)
        # Guards all that follows, and is held for moments: nothing of a user's runs under it, and
        # no other lock is taken. Re-entrant: for finalisers and signal handlers.
        self._lock = RLock()
        self._checks: dict[str, Watched] = {}
        self._links: dict[str, BreakerLink] = {}  # of checks that close a breaker
        self._looked_ns = 0  # when all breakers were last asked
        self._ordinal = 0
        self._limits: dict[int, Timeout] = {}  # by timeout: what makes the time left known
        self._busy: dict[int, Run] = {}  # by check: what runs, or is about to
        self._rounds: Rounds | None = None
        self._ending: list[Rounds] = []  # that were stopped, and may still run something
        self._critical = dict.fromkeys(STATES, 0)  # how many checks are in each state
        self._others = dict.fromkeys(STATES, 0)
        self._level = HealthLevel.HEALTHY  # as it was last told
        self._listeners = Listeners()
        self._telling = Telling()
        self._callback_failures = 0
        self._raised: dict[str, type] = {}  # by callback: the class of what it last raised
        # What is to be done without the lock. `_has_news`: whether anything is.
        self._has_news = False
        self._changes: list[tuple[Any, ...]] = []
        self._to_judge: list[Turn] = []
        self._to_settle: list[BreakerLink] = []
        self._to_log: list[tuple[str, str, CheckResult, int]] = []
        self._to_hear: list[tuple[Watched, CheckResult, int, HealthState]] = []
        self._must_wake = False
        self._to_go: list[Rounds] = []
        mind(self)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            if name.startswith("_"):  # what tools look for: raises the plain error
                return object.__getattribute__(self, name)
            from holdfast.hints import missing_attribute

            raise missing_attribute(self, type(self), name)

    # ---- its checks ----

    @explains_names
    def add(
        self, *checks: Check, closes: CircuitBreaker | None = None, opens: bool = False
    ) -> None:
        """Watch checks, all or none of them; if the monitor runs, they run at once.

        With ``closes`` the check, and not the traffic of users, finds out that a dependency is
        back: ``check.successes`` passes in a row that began after the breaker opened close it, if
        it is open or half-open. If it then opens again soon, or before any call has succeeded, the
        next closing takes twice as many passes. Passes do not close it while another check of the
        same breaker is unhealthy. A breaker that is forced open, disabled or in metrics-only is
        not moved. While it is open, the level is DEGRADED at best.

        Args:
            checks: One check or several. All checks of a monitor have different names.
            closes: The breaker of the dependency that the one check checks.
            opens: Whether the check opens this breaker when it becomes unhealthy.

        Raises:
            ConfigError: One is no check, or its name is there already, or another argument is
                invalid.
        """
        problems = Problems("HealthMonitor", self._name)
        if not checks:
            problems.refuse("checks", checks, "at least one check")
        for at, check in enumerate(checks):
            field = "check" if len(checks) == 1 else f"checks[{at}]"
            problems.instance(field, check, Check, "a check of holdfast.health")
        problems.done()
        self._refuse_names(problems, checks)
        self._refuse_link(problems, checks, closes, opens=opens)
        problems.done()
        settle()
        with self._lock:
            self._refuse_names(problems, checks)
            problems.done()
            for check in checks:
                self._add(self._watch(check, closes, opens))
            self._look_at_level()
        for check in checks:
            self._note("registered", check.name, "health monitor %r: check %r is registered")
        self._tell()

    def _put(
        self,
        check: Check,
        closes: CircuitBreaker | None,
        *,
        opens: bool,
        instead_of: Check | None = None,
    ) -> None:
        """Watch a check in place of the one of its name, in one step; see ``add``.

        With ``instead_of``, nothing happens unless that one is watched at this moment, and closes
        another breaker.
        """
        problems = Problems("HealthMonitor", self._name)
        self._refuse_link(problems, (check,), closes, opens=opens)
        problems.done()
        settle()
        with self._lock:
            there = self._checks.get(check.name)
            if instead_of is not None and (
                there is None
                or there.check is not instead_of
                or (there.link is not None and there.link.breaker is closes)
            ):
                return
            if there is not None:
                self._take_out(check.name)
            self._add(self._watch(check, closes, opens))
            self._look_at_level()
        done = "registered" if there is None else "registered anew"
        self._note("registered", check.name, f"health monitor %r: check %r is {done}")
        self._tell()

    # For a supervisor, each start of whose components has a life of its own.

    def _follow(
        self, wanted: Iterable[tuple[Check, Callable[[CheckResult, int, HealthState], object], int]]
    ) -> list[Exception | None]:
        """Watch checks as ``add`` does, and tell ``hear`` of each result, from the first on.

        Args:
            wanted: Checks, each with ``hear``, which is called without any lock: with the result,
                when its run began, and the state; and with for how many nanoseconds failures before
                the first pass are no evidence, and no news.

        Returns:
            For each of them why it cannot be watched; None: it is.
        """
        settle()
        errors: list[Exception | None] = []
        with self._lock:
            for check, hear, excused_ns in wanted:
                try:
                    watched = self._watch(check, None, False, excused_ns=excused_ns)
                    watched.hears = (hear,)
                    for unit in watched.units:  # of many, the first runs would take all threads
                        unit.is_quick = True
                    self._add(watched)
                except Exception as error:  # noqa: BLE001 - of a user's check
                    errors.append(error)
                else:
                    errors.append(None)
            self._look_at_level()
        self._tell()
        return errors

    def _unfollow(self, name: str) -> None:
        """Watch a check no more, as ``remove`` does, if it is watched."""
        settle()
        with self._lock:
            if name in self._checks:
                self._take_out(name)
                self._look_at_level()
        self._tell()

    def _ran_ns(self, name: str) -> int | None:
        """Return for how long the run of a check has gone on; None: none runs.

        Without the time for which this process did not run. Of a composite, its longest.
        """
        with self._lock:
            watched = self._checks.get(name)
            runs = (
                () if watched is None else map(self._busy.get, (id(u.check) for u in watched.units))
            )
            now_ns = self._clock.now_ns()
            return max(
                (
                    now_ns - run.began_ns - run.stalled_ns()
                    for run in runs
                    if run is not None and run.began_ns is not None
                ),
                default=None,
            )

    def _ask_in(self, name: str, ahead_ns: int) -> None:
        """Have a check run in so many nanoseconds, if it is not due earlier.

        The next run after that is planned as the second one after a start, so that checks which
        were asked at the same moment are spread again.
        """
        with self._lock:
            watched = self._checks.get(name)
            rounds = self._rounds
            at_ns = self._clock.now_ns() + ahead_ns
            if watched is None or rounds is None or not watched.serial or at_ns >= watched.due_ns:
                return
            watched.slot_ns = watched.due_ns = at_ns
            watched.is_first = True
            if rounds.plan(watched):
                self._must_wake = self._has_news = True

    @staticmethod
    def _refuse_link(
        problems: Problems, checks: tuple[Check, ...], closes: object, *, opens: bool
    ) -> None:
        if closes is not None:
            problems.instance("closes", closes, CircuitBreaker, "a CircuitBreaker or None")
            if len(checks) > 1:
                problems.refuse(
                    "closes", closes, "one check, such as a CompositeCheck of these checks"
                )
        if problems.flag("opens", opens) and closes is None:
            problems.refuse("opens", opens, "False without closes, which names the breaker")

    def _refuse_names(self, problems: Problems, checks: Iterable[Check]) -> None:
        names = set(self._checks)
        for check in checks:
            if check.name in names:
                problems.refuse("check", check, f"one with a name other than {check.name!r}")
            names.add(check.name)

    def _add(self, watched: Watched) -> None:
        name = watched.check.name
        self._checks[name] = watched
        if watched.link is not None:
            self._links[name] = watched.link
        self._tally(watched)[watched.state] += 1
        now_ns = self._clock.now_ns()
        watched.kernel.start(now_ns)
        watched.begin_anew(now_ns)
        rounds = self._rounds
        if rounds is not None and rounds.plan(watched):
            self._must_wake = self._has_news = True

    def remove(self, name: str) -> None:
        """Watch a check no more; the result of a run that goes on is dropped.

        If it has had a result, the last event of the check says that it is UNKNOWN.

        Raises:
            LookupError: There is no check of this name.
        """
        settle()
        with self._lock:
            self._take_out(name)
            self._look_at_level()
        self._note("unregistered", name, "health monitor %r: check %r is removed")
        self._tell()

    def _take_out(self, name: str) -> None:
        watched = self._get(name)
        del self._checks[name]
        self._links.pop(name, None)
        watched.is_removed = True
        watched.figures = None  # its series end now, and not when the last plan is gone
        watched.serial = 0
        self._tally(watched)[watched.state] -= 1
        if watched.turn is not None:
            watched.turn.end()
        for unit in watched.units:
            if (run := self._busy.get(id(unit.check))) is not None:
                run.is_closed = True
        if watched.last_ns is not None:
            why, now_ns = "the check was removed", self._clock.now_ns()
            self._changes.append((name, watched.state, _UNKNOWN, why, now_ns))
            self._has_news = True

    def _watch(
        self, check: Check, closes: CircuitBreaker | None, opens: bool, *, excused_ns: int = 0
    ) -> Watched:
        members = check.members if isinstance(check, CompositeCheck) else (check,)
        ordinal, self._ordinal = self._ordinal, self._ordinal + 1
        own_ns, jitter = check._interval_ns, check.jitter
        link = None
        if closes is not None:
            link = BreakerLink(closes, check.name, successes=check.successes, opens=opens)
        return Watched(
            check,
            tuple(map(self._unit, members)),
            is_composite=isinstance(check, CompositeCheck),
            figures=Figures(
                self._name,
                check.name,
                failures=check.failures,
                successes=check.successes,
                start_period_ns=max(check._start_period_ns, excused_ns),
            ),
            link=link,
            base_ns=self._interval_ns if own_ns is None else own_ns,
            jitter=self._jitter if jitter is None else jitter,
            ordinal=ordinal,
            history=self._history,
            state=_UNKNOWN,
            is_excused=excused_ns > 0,
        )

    def _unit(self, check: Check) -> Unit:
        timeout_ns = self._timeout_ns_of(check)
        limit = self._limits.get(timeout_ns)
        if limit is None:
            limit = Timeout(timeout_ns / 1e9, clock=self._clock, mode="enforce")
            self._limits[timeout_ns] = limit
        return Unit(check, timeout_ns, limit)

    def _timeout_ns_of(self, check: Check) -> int:
        return self._timeout_ns if check._timeout_ns is None else check._timeout_ns

    def _get(self, name: str) -> Watched:
        watched = self._checks.get(name)
        if watched is None:
            hint = nearest(name, tuple(self._checks))
            raise LookupError(f"health monitor {self._name!r} has no check {shown(name)}{hint}")
        return watched

    # ---- its life ----

    @property
    def name(self) -> str:
        """The name, for messages and metrics."""
        return self._name

    @property
    def running(self) -> bool:
        """Whether it was started in this process and not stopped since."""
        settle()
        rounds = self._rounds
        return rounds is not None and rounds.running

    def start(self) -> None:
        """Run all checks at once, and then each in its interval. One that runs already goes on.

        All states are UNKNOWN again: earlier results may no longer be true.

        Raises:
            RuntimeError: No thread can be started.
        """
        rounds = self._begin_rounds(None)
        if rounds is not None:
            try:
                rounds.start()
            except BaseException:
                self._end_rounds(rounds)
                rounds.stop(0)
                raise
            self._note("monitoring_started", None, "health monitor %r is started")

    async def astart(self) -> None:
        """Start with this event loop: asynchronous checks are tasks of it, others use threads."""
        rounds = self._begin_rounds(loop_here(self, "start()"))
        if rounds is not None:
            try:
                await rounds.astart()
            except BaseException:
                self._end_rounds(rounds)
                rounds.stop(0)
                raise
            self._note("monitoring_started", None, "health monitor %r is started")

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """Run nothing more, and wait until the checks that run have ended or are out of time.

        Their results are dropped. It may be called from anywhere, any number of times, also by a
        check or a callback: it does not wait for these. In the thread of an event loop that runs
        checks, use ``astop``.

        Args:
            timeout: How many seconds to wait at most; 0 never waits.

        Returns:
            Whether nothing runs any more, except what calls this. A check that ignores its timeout
            may still run.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        timeout_ns = wait_to_ns("timeout", timeout)
        taken = self._take_rounds()
        try:
            ended = [rounds.stop(timeout_ns) for rounds in taken]
        except BaseException:  # nobody waits any more, but nothing may go on
            for rounds in taken:
                rounds.stop(0)
            raise
        return self._report_left(all(ended))

    async def astop(
        self,
        timeout: float | timedelta = 10.0,  # noqa: ASYNC109 - as in stop()
    ) -> bool:
        """Stop as ``stop`` does, and cancel tasks; ``timeout`` is that of ``stop``."""
        timeout_ns = wait_to_ns("timeout", timeout)
        loop_here(self, "stop()")
        taken = self._take_rounds()
        try:
            ended = [await rounds.astop(timeout_ns) for rounds in taken]
        except BaseException:  # as above
            for rounds in taken:
                rounds.stop(0)
            raise
        return self._report_left(all(ended))

    def _begin_rounds(self, loop: Any) -> Rounds | None:
        """Make the rounds of a start; None if they run already."""
        settle()
        with self._lock:
            before = self._rounds
            if before is not None:
                if before.is_starting_or_runs():
                    return None
                self._end_rounds(before)  # its event loop was closed
            self._forget_ended()
            rounds = self._rounds = Rounds(self, loop)
            now_ns = self._clock.now_ns()
            for watched in self._checks.values():
                if watched.turn is not None:  # of a check_now() that goes on
                    watched.turn.end(is_lost=True)
                watched.kernel.start(now_ns)
                watched.begin_anew(now_ns)
                if watched.link is not None:
                    watched.link.forget()
                self._move(watched, _UNKNOWN, "the monitor was started", now_ns)
                rounds.plan(watched)
            self._look_at_level()
        self._tell()
        return rounds

    def _end_rounds(self, rounds: Rounds, *, is_asked_again: bool = False) -> None:
        """Have rounds begin nothing more.

        Args:
            rounds: Those of a start, or of one look.
            is_asked_again: Whether others who wait for its turns are to ask once more.
        """
        with self._lock:
            is_planned = self._rounds is rounds
            if is_planned:
                self._rounds = None
            if rounds.is_over:
                return
            rounds.end()
            self._ending.append(rounds)
            for watched in self._checks.values():
                if is_planned:
                    watched.serial = 0
                if watched.turn is not None and watched.turn.rounds is rounds:
                    watched.turn.end(is_lost=is_asked_again)
        self._set_going()

    def _take_rounds(self) -> list[Rounds]:
        """Have the rounds that go on end; return all of which something may still run."""
        settle()
        with self._lock:
            had_begun = self._rounds is not None
            if self._rounds is not None:
                self._end_rounds(self._rounds)
            ending = list(self._ending)
        if had_begun:
            self._note("monitoring_stopped", None, "health monitor %r is stopped")
        self._tell()
        return ending

    def _forget_ended(self) -> None:
        with self._lock:
            self._ending = [rounds for rounds in self._ending if not rounds.is_done]

    def _report_left(self, is_done: bool) -> bool:
        self._forget_ended()
        if not is_done:
            from holdfast.events import warn

            text = "health monitor %r was stopped, but a check or callback of it still runs"
            warn(text, self._name)
        return is_done

    def _after_fork(self) -> None:
        """In a forked child: have a lock that nobody holds, and nothing that runs."""
        self._lock = RLock()
        self._rounds = None
        self._ending = []
        self._busy = {}
        self._changes.clear()
        self._to_judge.clear()
        self._to_settle.clear()
        self._to_hear.clear()
        self._to_log.clear()
        self._to_go.clear()
        self._has_news = self._must_wake = False
        self._critical = dict.fromkeys(STATES, 0)
        self._others = dict.fromkeys(STATES, 0)
        for watched in self._checks.values():
            # What the parent has found out is old from here on, and nothing will renew it.
            watched.forget(_UNKNOWN)
            watched.kernel.start(self._clock.now_ns())
            self._tally(watched)[_UNKNOWN] += 1

    # ---- looking now ----

    if TYPE_CHECKING:

        @overload
        def check_now(self, name: None = None) -> dict[str, CheckStatus]: ...
        @overload
        def check_now(self, name: str) -> CheckStatus: ...

    def check_now(self, name: str | None = None) -> dict[str, CheckStatus] | CheckStatus:
        """Run one check, or all, and wait for the results; a run that goes on already counts.

        It works whether the monitor runs or not. A check that takes longer than its timeout is not
        waited for. What a check calls does not wait for itself.

        Args:
            name: The name of a check; None: all of them.

        Returns:
            The status of the check, or of all by their names.

        Raises:
            LookupError: There is no check of this name.
            RuntimeError: Checks run in the event loop of this thread: use ``await acheck_now()``.
                Or in one that does not run.
        """
        while True:
            rounds, is_own = self._rounds_for_now(None)
            try:
                if rounds.blocks_loop():
                    raise RuntimeError(
                        f"health monitor {self._name!r} runs checks in the event loop of this"
                        " thread: use 'await acheck_now()'"
                    )
                countdown = self._ask(rounds, name, ThreadWaiter())
                while (left_ns := self._wait_ns(rounds, countdown, is_own)) != 0:
                    if not countdown.waiter.park(self._clock, left_ns):
                        with self._lock:
                            countdown.waiter = ThreadWaiter()
            finally:
                if is_own:
                    self._end_rounds(rounds, is_asked_again=True)
                    rounds.stop(0)
                    self._forget_ended()
            if not countdown.is_lost:
                return self.status(name)

    if TYPE_CHECKING:

        @overload
        async def acheck_now(self, name: None = None) -> dict[str, CheckStatus]: ...
        @overload
        async def acheck_now(self, name: str) -> CheckStatus: ...

    async def acheck_now(self, name: str | None = None) -> dict[str, CheckStatus] | CheckStatus:
        """Run the check ``name`` or all, as ``check_now`` does, without blocking the event loop."""
        loop = loop_here(self, "check_now()")
        from holdfast.waiting.aio import TaskWaiter

        while True:
            rounds, is_own = self._rounds_for_now(loop)
            try:
                countdown = self._ask(rounds, name, TaskWaiter())
                while (left_ns := self._wait_ns(rounds, countdown, is_own)) != 0:
                    if not await countdown.waiter.park(self._clock, left_ns):
                        with self._lock:
                            countdown.waiter = TaskWaiter()
            finally:
                if is_own:
                    self._end_rounds(rounds, is_asked_again=True)
                    await rounds.astop(0)
                    self._forget_ended()
            if not countdown.is_lost:
                return self.status(name)

    def _rounds_for_now(self, loop: Any) -> tuple[Rounds, bool]:
        """Return the rounds that go on, or some for one look."""
        settle()
        with self._lock:
            rounds = self._rounds
            if rounds is not None:
                if rounds.is_starting_or_runs():
                    return rounds, False
                self._end_rounds(rounds)  # its event loop was closed
        return Rounds(self, loop), True

    def _ask(self, rounds: Rounds, name: str | None, waiter: Any) -> Countdown:
        countdown = Countdown(waiter)
        with self._lock:
            checks = list(self._checks.values()) if name is None else [self._get(name)]
            rounds.ask(checks, countdown)
        rounds.set_going()
        self._tell()
        with self._lock:
            countdown.down()
        return countdown

    def _wait_ns(self, rounds: Rounds, countdown: Countdown, is_own: bool) -> int | None:
        """Return how long to wait for the results; 0: they are there."""
        if countdown.has_ended():
            return 0
        if not is_own:
            if rounds.stands_still:
                raise RuntimeError(
                    f"health monitor {self._name!r} was started in an event loop that does not run"
                )
            rounds.wake()  # a tick looks whether they are in time
            return rounds.look_again_ns
        next_ns = rounds.tick()
        if countdown.has_ended():
            return 0
        return None if next_ns is None else max(1, next_ns - self._clock.now_ns())

    # ---- what others see ----

    if TYPE_CHECKING:

        @overload
        def status(self, name: None = None) -> dict[str, CheckStatus]: ...
        @overload
        def status(self, name: str) -> CheckStatus: ...

    def status(self, name: str | None = None) -> dict[str, CheckStatus] | CheckStatus:
        """Return the status of one check, or of all by their names, without running any.

        Raises:
            LookupError: There is no check of this name.
        """
        settle()
        if name is not None:
            with self._lock:
                return self._status(self._get(name))
        return self._statuses(tuple(self._checks.copy()))

    def _statuses(self, names: Sequence[str]) -> dict[str, CheckStatus]:
        """Return the status of those of some checks that there are."""
        found = {}
        for at in range(0, len(names), _AT_ONCE):
            with self._lock:  # for some at a time: of many checks it would be held for long
                for name in names[at : at + _AT_ONCE]:
                    if (watched := self._checks.get(name)) is not None:
                        found[name] = self._status(watched)
        return found

    @property
    def level(self) -> HealthLevel:
        """The health of everything that is checked."""
        settle()
        with self._lock:
            return self._level_now()

    @property
    def is_healthy(self) -> bool:
        """Whether every check is healthy; unknown is not."""
        settle()
        with self._lock:
            return self._critical[_HEALTHY] + self._others[_HEALTHY] == len(self._checks)

    @property
    def is_ready(self) -> bool:
        """Whether the service can take traffic: the level is HEALTHY or DEGRADED."""
        return self.level.is_ready

    @property
    def is_live(self) -> bool:
        """Whether no check with ``liveness=True`` is unhealthy."""
        settle()
        with self._lock:
            return self._is_live()

    def history(self, name: str) -> list[CheckRecord]:
        """Return the last results of a check, the oldest first.

        Raises:
            LookupError: There is no check of this name.
        """
        settle()
        with self._lock:
            entries = list(self._get(name).history)
        return [
            CheckRecord(at_ns / 1e9, took_ns / 1e9, result, state)
            for at_ns, took_ns, result, state in entries
        ]

    def snapshot(self) -> MonitorSnapshot:
        """Return the level, the figures and the status of every check."""
        settle()
        checks = self.status()
        with self._lock:
            outlooks = {name: one.outlook for name, one in self._checks.items() if one.outlook}
        forecasts = {name: outlook.forecast for name, outlook in outlooks.items()}
        with self._lock:
            rounds = self._rounds
            every = [rounds, *self._ending] if rounds is not None else self._ending
            passes = sum(one.pass_count for one in checks.values())
            unproven = sum(one.unproven_count for one in checks.values())
            runs = sum(one.check_count for one in checks.values())
            return MonitorSnapshot(
                name=self._name,
                running=self.running,
                level=self._level_now(),
                healthy=self.is_healthy,
                ready=self.is_ready,
                live=self._is_live(),
                total_checks=len(checks),
                healthy_checks=self._critical[_HEALTHY] + self._others[_HEALTHY],
                unhealthy_checks=self._critical[_UNHEALTHY] + self._others[_UNHEALTHY],
                total_check_runs=runs,
                total_failures=sum(one.fail_count for one in checks.values()),
                overall_success_rate=_share(passes, runs - unproven),
                abandoned=sum(one.given_up for one in every),
                waiting=0 if rounds is None else rounds.waiting,
                callback_failures=self._callback_failures + self._listeners.raised,
                checks=checks,
                outlooks=forecasts,
            )

    def outlook(
        self, name: str, given: Outlook | None = None, *, breaker: CircuitBreaker | None = None
    ) -> Outlook:
        """Return the outlook of a check; the first call makes it.

        From then on each result of the check is a sample, unless it is unproven. A change of the
        outlook's level is also an event of this monitor. It changes no state and no level.

        Args:
            name: The name of the check.
            given: The outlook to use; None for one with the default settings.
            breaker: A breaker around calls of the same dependency: the calls that it counts between
                two results are part of the sample.

        Raises:
            LookupError: There is no check of this name.
            ConfigError: An argument is invalid, or the check already has an outlook.
        """
        from holdfast.health.outlook import Outlook
        from holdfast.policies.breaker import CircuitBreaker

        problems = Problems("HealthMonitor", self._name)
        if given is not None:
            problems.instance("given", given, Outlook, "an Outlook or None")
        if breaker is not None:
            problems.instance("breaker", breaker, CircuitBreaker, "a CircuitBreaker or None")
        problems.done()
        settle()
        with self._lock:
            watched = self._get(name)
            there = watched.outlook
        if there is None:
            made = Outlook(name, clock=self._clock) if given is None else given

            def hear(result: CheckResult, _began_ns: int, _state: HealthState) -> None:
                if result.verdict != "unproven":
                    seconds = (watched.last_duration_ns or 0) / 1e9
                    made._take_result(result.verdict != "failed", seconds, breaker)

            with self._lock:
                there = watched.outlook
                if there is None:
                    watched.outlook = made
                    watched.hears += (hear,)
            if there is None:
                made.on_event(self._listeners.emit)
                return made
        if (given is not None and given is not there) or breaker is not None:
            problems.refuse("name", name, "a check without an outlook, to give it another one")
            problems.done()
        return there

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event)`` for each change of a check's state or of the level.

        Events of the kind "health" have the name of the check and its states, those of the kind
        "health_level" the name of the monitor and its levels. They come in the order of the
        changes, without any lock held. Exceptions of a listener are logged and counted.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        return self._listeners.subscribe(listener)

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<HealthMonitor {self._name!r} {self.level.value}, {state}>"

    def _status(self, watched: Watched) -> CheckStatus:
        now_ns = self._clock.now_ns()
        kernel, check, last = watched.kernel, watched.check, watched.last_result
        run = self._busy.get(id(check))
        proved = kernel.checks - kernel.unproven
        return CheckStatus(
            name=watched.name,
            state=watched.state,
            healthy=watched.state is _HEALTHY,
            critical=check.critical,
            liveness=check.liveness,
            message="" if last is None else last.message,
            error=watched.error,
            details={} if last is None else last.details,
            age=None if watched.last_ns is None else max(0, now_ns - watched.last_ns) / 1e9,
            last_check=_seconds(watched.last_ns),
            last_success=_seconds(kernel.last_pass_ns),
            last_failure=_seconds(kernel.last_failure_ns),
            check_count=kernel.checks,
            pass_count=kernel.passes,
            fail_count=kernel.failed,
            unproven_count=kernel.unproven,
            abandoned_count=kernel.abandoned,
            success_rate=_share(kernel.passes, proved),
            duration=_seconds(watched.last_duration_ns),
            average_duration=_seconds(watched.durations_ns / watched.ended)
            if watched.ended
            else None,
            failures_in_a_row=kernel.failures_in_a_row,
            pending=kernel.pending,
            running=watched.turn is not None or (run is not None and run.began_ns is not None),
            interval=watched.interval_ns / 1e9,
            next_due=watched.due_ns / 1e9 if watched.serial else None,
            breaker=None if watched.link is None else watched.link.breaker.state,
        )

    # ---- states and levels; the lock is held ----

    def _tally(self, watched: Watched) -> dict[HealthState, int]:
        return self._critical if watched.check.critical else self._others

    def _level_now(self) -> HealthLevel:
        critical, others = self._critical, self._others
        if down := critical[_UNHEALTHY]:
            everything = sum(critical.values())
            return HealthLevel.FAILED if down == everything else HealthLevel.CRITICAL
        if critical[_UNKNOWN]:
            return HealthLevel.UNKNOWN
        if critical[_DEGRADED] or others[_DEGRADED] or others[_UNHEALTHY]:
            return HealthLevel.DEGRADED
        if self._links and any(link.is_shut for link in self._links.values()):
            return HealthLevel.DEGRADED
        return HealthLevel.HEALTHY

    def _is_live(self) -> bool:
        return not any(
            one.state is _UNHEALTHY for one in self._checks.values() if one.check.liveness
        )

    def _move(self, watched: Watched, new: HealthState, message: str, now_ns: int) -> None:
        """Change the state of a check, and have that told."""
        old = watched.state
        if new is old:
            return
        tally = self._tally(watched)
        tally[old] -= 1
        tally[new] += 1
        watched.state = new
        self._changes.append((watched.name, old, new, message, now_ns))
        self._has_news = True

    def _look_at_level(self) -> None:
        """Have a change of the level told."""
        old, new = self._level, self._level_now()
        if new is not old:
            self._level = new
            now_ns = self._clock.now_ns()
            self._changes.append((None, old, new, "", now_ns))
            self._has_news = True

    # ---- what the rounds call; the lock is held ----

    def _free(self, run: Run) -> None:
        """Have the check of a run be free to run again."""
        if self._busy.get(id(run.unit.check)) is run:
            del self._busy[id(run.unit.check)]

    def _weigh(self, run: Run, result: CheckResult, began_ns: int, ended_ns: int) -> CheckResult:
        """Return what a result proves.

        A pass that comes late is a failure, and a failure proves nothing if this process did not
        run meanwhile, unless the check is about this process.
        """
        timeout_ns, took_ns = run.unit.timeout_ns, ended_ns - began_ns
        is_late = took_ns > timeout_ns
        if result.verdict == "passed" and not is_late:
            return result
        stalled_ns = 0 if run.unit.check.measures_self else run.stalled_ns()
        if result.verdict in ("passed", "degraded") and took_ns - stalled_ns > timeout_ns:
            words = f"took {took_ns / 1e9:g} s, longer than {timeout_ns / 1e9:g} s"
            result = CheckResult("failed", words, result.details)
        whose = Pulse.whose if run.pulse is None else run.pulse.whose
        return judge(
            result,
            stalled_ns=stalled_ns,
            duration_ns=took_ns,
            timeout_ns=timeout_ns,
            whose=whose,
        )

    def _go_on_with(self, rounds: Rounds) -> None:
        """Have rounds see to what waits in their queues."""
        self._to_go.append(rounds)
        self._has_news = True

    def _set_going(self) -> None:
        """See to what the end of other rounds has put into the queues of some; without the lock."""
        with self._lock:
            to_go, self._to_go = self._to_go, []
        for rounds in to_go:
            rounds.set_going()
            rounds.wake()

    def _judge_later(self, turn: Turn) -> None:
        """Have a composite asked, without the lock, what its results show."""
        self._to_judge.append(turn)
        self._has_news = True

    def _record(
        self, watched: Watched, result: CheckResult, began_ns: int, took_ns: int, now_ns: int
    ) -> None:
        """Take a result into account."""
        kernel = watched.kernel
        change = kernel.record(_CODES[result.verdict], began_ns, took_ns)
        watched.last_result, watched.last_ns = result, now_ns
        watched.last_duration_ns = took_ns
        watched.durations_ns += took_ns
        watched.ended += 1
        if result.verdict == "passed":
            watched.error = None
        elif result.verdict != "unproven":
            watched.error = result.message
        if change is not None:
            self._move(watched, STATES[change[1]], result.message, now_ns)
        if change is not None or (self._links and self._must_look(now_ns)):
            self._look_at_level()
        if watched.link is not None:
            self._prove(watched, watched.link, result)
        watched.history.append((now_ns, took_ns, result, watched.state))
        is_news = result.verdict == "failed" and not (
            watched.is_excused and watched.state is _UNKNOWN
        )
        record = "check_failed" if is_news else "check_passed"
        if takes(record, self.kind):
            self._to_log.append((record, watched.check.name, result, took_ns))
            self._has_news = True
        if watched.hears:
            self._to_hear.append((watched, result, began_ns, watched.state))
            self._has_news = True
        if self._adaptive:
            self._adapt(watched, now_ns)

    def _must_look(self, now_ns: int) -> bool:
        """Return whether to ask all breakers: they move without telling, and are perhaps many."""
        if len(self._links) > _FEW and 0 <= now_ns - self._looked_ns < _LOOK_NS:
            return False
        self._looked_ns = now_ns
        return True

    def _prove(self, watched: Watched, link: BreakerLink, result: CheckResult) -> None:
        """Have a result move the breaker of its check, without the lock."""
        verdict = result.verdict
        if verdict == "passed" and self._is_held_open(link):
            verdict = "degraded"
        link.put(
            NOTHING if watched.turn is None else watched.turn.period,
            _CODES[verdict],
            unhealthy=watched.state is _UNHEALTHY,
            failures=watched.kernel.failures_in_a_row,
            why=result.message,
        )
        self._to_settle.append(link)
        self._has_news = True

    def _is_held_open(self, link: BreakerLink) -> bool:
        """Return whether another check of the same breaker is unhealthy: passes do not close it."""
        if not link.is_shut:  # there is nothing to close
            return False
        return any(
            other is not link
            and other.breaker is link.breaker
            and self._checks[name].state is _UNHEALTHY
            for name, other in self._links.items()
        )

    def _adapt(self, watched: Watched, now_ns: int) -> None:
        """Have the interval of a check follow its state."""
        before_ns = watched.interval_ns
        pending = watched.kernel.pending or (watched.link is not None and watched.link.is_closing)
        if watched.last_result is not None and watched.last_result.verdict == "unproven":
            pending = True  # what it was to prove is as open as before
        if not pending and watched.state is _HEALTHY and before_ns == watched.base_ns:
            return
        watched.interval_ns = interval_ns(watched.base_ns, watched.state, pending, before_ns)
        sooner_ns = now_ns + watched.interval_ns
        if watched.interval_ns < before_ns and watched.serial and sooner_ns < watched.due_ns:
            watched.slot_ns = watched.due_ns = sooner_ns
            rounds = self._rounds
            if rounds is not None and rounds.plan(watched):
                self._must_wake = self._has_news = True

    # ---- telling; no lock is held ----

    def _tell(self) -> None:
        """Do what was found to be done: ask composites, tell of results and of changes."""
        while self._has_news:
            self._see_to_news()
            self._tell_users()

    def _see_to_news(self) -> None:
        """Ask composites, and have run what is to run; what is then left is to be told."""
        while True:
            with self._lock:
                turns, self._to_judge = self._to_judge, []
                must_wake, self._must_wake = self._must_wake, False
                to_go, self._to_go = self._to_go, []
                rounds = self._rounds
                if not (turns or must_wake or to_go):
                    self._has_news = bool(
                        self._to_settle or self._to_hear or self._to_log or self._changes
                    )
                    return
            for one in to_go:
                one.set_going()
                one.wake()
            if must_wake and rounds is not None:
                rounds.wake()
            interruption = None
            for turn in turns:
                error = _interruption_of(self._judge, turn)
                interruption = self._one_of("a composite", interruption, error)
            if interruption is not None:
                raise interruption

    def _tell_users(self) -> None:
        """Move breakers, and tell of results and of changes."""
        with self._lock:
            links, self._to_settle = self._to_settle, []
            heard, self._to_hear = self._to_hear, []
            logged, self._to_log = self._to_log, []
        for record, name, result, took_ns in logged:
            self._log_result(record, name, result, took_ns)
        interruption = None
        has_moved = False
        for link in links:
            was_shut = link.is_shut
            error = _interruption_of(link.settle)
            interruption = self._one_of("a breaker", interruption, error)
            has_moved |= link.is_shut is not was_shut
        if has_moved:
            with self._lock:
                self._look_at_level()
        interruption = self._one_of("a callback", interruption, self._tell_heard(heard))
        goes_on = bool(self._changes)
        while goes_on:
            change = partial(self._telling.change, self._take_changes, self._tell_of)
            error = _interruption_of(change)
            interruption = self._one_of("a callback", interruption, error)
            goes_on = error is not None  # what comes after it is still to be told
        if interruption is not None:
            raise interruption

    def _judge(self, turn: Turn) -> None:
        with self._lock:
            if turn.is_over or turn.results is None:
                return
            results = tuple(turn.results)
        check = turn.watched.check
        assert isinstance(check, CompositeCheck)
        interruption = None
        try:
            result = check.judge(results)
            if result is not None:
                result = read_returned(result)
            elif None not in results:
                result = CheckResult("failed", "judge() gave None, though no result is missing")
        except BaseException as error:  # noqa: BLE001 - of a subclass
            if is_interrupt(error):
                interruption = error
                result = CheckResult("unproven", f"interrupted by {type(error).__name__}")
            else:
                result = failed_by(error)
        if result is not None:
            with self._lock:
                turn.rounds.settle(turn, result)
        if interruption is not None:
            raise interruption

    def _take_heard(self) -> list[tuple[Any, ...]] | None:
        """Return results to be told of, if nothing else is to be done; the lock is held."""
        if (
            self._to_judge
            or self._must_wake
            or self._to_go
            or self._to_settle
            or self._to_log
            or self._changes
        ):
            return None
        heard, self._to_hear = self._to_hear, []
        self._has_news = False
        return heard

    def _tell_heard_in_thread(self, heard: list[tuple[Any, ...]]) -> None:
        """Tell of results where an interrupt is nobody's: it is logged."""
        if (error := self._tell_heard(heard)) is not None:
            self._report_raised("a callback", error)

    def _tell_heard(self, heard: list[tuple[Any, ...]]) -> BaseException | None:
        """Tell of results; return what has interrupted that."""
        interruption = None
        for watched, *told in heard:
            for hear in watched.hears:
                what = "a listener to results"
                error = _interruption_of(self._call, what, hear, *told)
                interruption = self._one_of(what, interruption, error)
        return interruption

    def _take_changes(self) -> list[tuple[Any, ...]]:
        with self._lock:
            changes, self._changes = self._changes, []
        return changes

    def _tell_of(self, name: str | None, old: Any, new: Any, message: str, now_ns: int) -> None:
        """Tell of a change: of the check of this name, or of the level."""
        at = now_ns / 1e9
        if name is None:
            self._listeners.emit(Event("health_level", self, self._name, old=old, new=new, at=at))
            return
        event = Event("health", self, name, old=old, new=new, reason=message, at=at)
        interruption = _interruption_of(self._listeners.emit, event)
        text = "health monitor %r: check %r is %s, and was %s"
        self._note("check_state", name, text, new, old)
        what, error = "a callback", None
        if new is _HEALTHY and self._on_healthy is not None:
            what = "on_healthy"
            error = _interruption_of(self._call, what, self._on_healthy, name)
        elif new is _UNHEALTHY and self._on_unhealthy is not None:
            what = "on_unhealthy"
            error = _interruption_of(self._call, what, self._on_unhealthy, name, message)
        interruption = self._one_of(what, interruption, error)
        if interruption is not None:
            raise interruption

    def _log_result(self, record: str, name: str, result: CheckResult, took_ns: int) -> None:
        text = "health monitor %r: check %r %s in %.3f s"
        said = (result.verdict, took_ns / 1e9)
        if result.message:
            self._note(record, name, f"{text}: %s", *said, one_line(result.message))
        else:
            self._note(record, name, text, *said)

    def _note(self, record: str, name: str | None, text: str, *args: object) -> None:
        """Log what is told of this monitor, or of one of its checks."""
        who = (self._name,) if name is None else (self._name, name)
        note(record, self.kind, name or self._name, text, *who, *args, clock=self._clock)

    def _call(self, what: str, callback: Callable[..., object], *args: object) -> None:
        """Call what is a user's: what it raises is counted, and logged if it is news."""
        try:
            callback(*args)
        except Exception as error:  # noqa: BLE001 - it is logged
            self._report_raised(what, error)

    def _one_of(
        self, what: str, first: BaseException | None, then: BaseException | None
    ) -> BaseException | None:
        """Return the interrupt to be raised, which is one: the other is logged and counted."""
        if first is None or then is None:
            return then if first is None else first
        self._report_raised(what, then)
        return first

    def _report_raised(self, what: str, error: BaseException) -> None:
        with self._lock:
            self._callback_failures += 1
            is_news = self._raised.get(what) is not type(error)
            self._raised[what] = type(error)
        if is_news:
            from logging import getLogger

            text = "%s of health monitor %r raised"
            getLogger("holdfast.health").error(text, what, self._name, exc_info=error)

    def _tell_in_thread(self) -> None:
        """Do what ``_tell`` does where an interrupt is nobody's: it is logged."""
        while (error := _interruption_of(self._tell)) is not None:
            self._report_raised("a callback", error)

    def _see_to_news_in_thread(self) -> None:
        """Do what ``_see_to_news`` does where an interrupt is nobody's: it is logged."""
        while (error := _interruption_of(self._see_to_news)) is not None:
            self._report_raised("a composite", error)


def _takes_two(fn: Callable[..., object]) -> bool:
    """Return whether a call with two arguments fits; True if that is not known."""
    from inspect import signature

    try:
        signature(fn).bind("", "")
    except TypeError:
        return False
    except Exception:  # noqa: BLE001 - the caller's object, or a builtin function without one
        return True
    return True


def _interruption_of(function: Callable[..., object], *args: object) -> BaseException | None:
    """Call a function; return what it raises, to be raised once everything is told."""
    try:
        function(*args)
    except BaseException as error:  # noqa: BLE001 - it is raised later
        return error
    return None


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9
