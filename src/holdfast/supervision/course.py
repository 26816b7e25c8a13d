"""The course of one component: what follows from its state, what happens and the time.

Pure: no lock, no clock, and nothing of a user's runs here. What is to be done is put into ``out``.
Owns the states, the attempts and their delays, cool-downs, and what an exit means. Elsewhere: when
a component may start or stop because of others (``crew``), and who does it (``supervisor``).

    OFF ──want──> WAITING ──attempt──> STARTING ──> VERIFYING ──pass──> UP
                     ^  ^                  └──── failed ────┘            │ exit, unhealthy
                     │  └─────────── next attempt, back-off ─────────────┤
                  COOLING <──────── attempts spent ──────────────────────┘

A start needs ``clean``: nothing of the one before is left. Else ``must_stop`` is set first. So
there are never two.
"""

from __future__ import annotations

from enum import Enum

from holdfast.supervision.states import ComponentState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from holdfast.supervision.component import Exit

__all__ = ["ACTIONS", "RESTARTS", "Course", "Phase", "Rules"]

RESTARTS = ("permanent", "transient", "temporary")
ACTIONS = ("restart", "restart_now", "finish", "give_up", "escalate")
MOST_COOL_DOWN_NS = 600 * 10**9
_LATE_NS = 250_000_000  # a check that is asked so much later waits for its turn
_LOOK_NS = 500_000_000  # how often to see whether a check hangs


class Phase(Enum):
    """Where a component is, more exactly than its state says."""

    OFF = "off"
    WAITING = "waiting"
    STARTING = "starting"
    VERIFYING = "verifying"
    UP = "up"
    FAILING = "failing"
    COOLING = "cooling"
    STOPPING = "stopping"


class Rules:
    """The settings of one component, checked and in nanoseconds.

    Attributes:
        delay_ns: How long to wait before the attempt of this number, from 1, and after which delay.
        has_check: Whether a start has to be verified.
        on_exit: What follows from an exit, by whether it was by a signal and that or the code.
        cool_down_ns: The first cool-down; None: there is none, and it is given up.
    """

    __slots__ = (
        "attempts",
        "cool_down_ns",
        "delay_ns",
        "has_check",
        "healthy_after_ns",
        "on_exit",
        "restart",
        "start_timeout_ns",
        "stop_timeout_ns",
    )

    def __init__(
        self,
        *,
        restart: str,
        delay_ns: Callable[[int, int], int],
        attempts: int,
        on_exit: Mapping[tuple[bool, int | None], str],
        start_timeout_ns: int,
        stop_timeout_ns: int,
        healthy_after_ns: int,
        cool_down_ns: int | None,
        has_check: bool,
    ) -> None:
        self.restart = restart
        self.delay_ns = delay_ns
        self.attempts = attempts
        self.on_exit = on_exit
        self.start_timeout_ns = start_timeout_ns
        self.stop_timeout_ns = stop_timeout_ns
        self.healthy_after_ns = healthy_after_ns
        self.cool_down_ns = cool_down_ns
        self.has_check = has_check

    def action_for(self, end: Exit) -> str:
        """Return what follows from an exit: one of ``ACTIONS``."""
        is_signal = end.signal is not None
        rule = self.on_exit.get((is_signal, end.signal if is_signal else end.code))
        if rule is not None:
            return rule
        if self.restart == "permanent" or (self.restart == "transient" and not end.is_clean):
            return "restart"
        return "finish"


class Course:
    """One component: its phase, its counts, and what is still to be done.

    Attributes:
        wanted: Whether it is to run.
        resting: Its state while nothing of it runs and nothing follows.
        generation: How often it was started.
        attempt: The number of the last attempt of this round; 0: none since it was healthy.
        rounds: How many cool-downs there were since it was healthy.
        due_ns: When its next step is due, in the phases that wait for a time.
        clean: Whether nothing of it is left, so that it may be started.
        must_stop: Whether its stop is to be called; ``stop_runs``: whether it runs. ``stop_late``,
            ``start_late``: whether it was given up and still runs.
        in_attempt: Whether the back-off is over, and it is being stopped and started.
        is_recovery: Whether the start that is due, or was last, is a recovery; ``is_restart``:
            whether it is one or was asked for.
        is_stuck: Whether it waits for one that does not come, where all start one after another.
        watches: Whether its check runs.
        verify_ns: How much time its check has to pass, once it has started.
        answer_due_ns: Until when its check, whose last answer was that it fails, is to have been
            asked again; None: its last answer was another one, or there is none.
        is_overdue: Whether that time is over, and only the answer of its check is awaited.
        lost_ns: What its supervisor had lost of the time when its start was last given more.
        down_since_ns: Since when it does not work although it is to; None: it does, or is not to.
    """

    __slots__ = (
        "answer_due_ns",
        "attempt",
        "attempts_total",
        "began_ns",
        "clean",
        "delay_ns",
        "down_ns",
        "down_since_ns",
        "due_ns",
        "early_exit",
        "failed_total",
        "generation",
        "in_attempt",
        "is_overdue",
        "is_recovery",
        "is_removed",
        "is_restart",
        "is_stuck",
        "last_error",
        "last_exit",
        "last_recovery_ns",
        "lost_ns",
        "must_stop",
        "name",
        "out",
        "phase",
        "planned_ns",
        "recovered_total",
        "recovery_began_ns",
        "recovery_ns",
        "restarts_total",
        "resting",
        "rounds",
        "rules",
        "shown",
        "start_late",
        "start_runs",
        "stop_late",
        "stop_runs",
        "told",
        "up_ns",
        "verify_ns",
        "wanted",
        "was_recovered",
        "watches",
    )

    def __init__(self, name: str, rules: Rules, out: list[tuple[Any, ...]]) -> None:
        self.name = name
        self.rules = rules
        self.out = out
        self.phase = Phase.OFF
        self.resting = self.told = ComponentState.STOPPED
        self.wanted = self.is_removed = False
        self.generation = self.attempt = self.rounds = 0
        self.due_ns = self.began_ns = self.up_ns = 0
        self.delay_ns = 0  # before the last attempt
        self.planned_ns: int | None = None  # for when the crew has planned to look at it
        self.clean = True
        self.must_stop = self.stop_runs = self.stop_late = False
        self.start_runs = self.start_late = False
        self.in_attempt = self.is_recovery = self.is_restart = self.watches = False
        self.is_stuck = False
        self.verify_ns = self.lost_ns = 0
        self.answer_due_ns: int | None = None
        self.is_overdue = False
        self.early_exit: Exit | None = None
        self.last_exit: Exit | None = None
        self.last_error: str | None = None
        # What has happened so far.
        self.attempts_total = self.recovered_total = self.failed_total = self.restarts_total = 0
        self.recovery_began_ns: int | None = None
        self.recovery_ns = 0  # the sum, of those that have succeeded
        self.last_recovery_ns: int | None = None  # when the last one ended
        self.was_recovered: bool | None = None  # whether that one succeeded
        self.down_ns = 0
        self.down_since_ns: int | None = None
        self.shown: tuple[ComponentState, int | None] = (self.state, None)  # in metrics

    @property
    def state(self) -> ComponentState:
        """Its state, as others see it."""
        phase = self.phase
        if phase in _BEGINNING:
            return ComponentState.RECOVERING if self.is_recovery else ComponentState.STARTING
        return self.resting if phase is Phase.OFF else _STATES[phase]

    @property
    def is_up(self) -> bool:
        """Whether what depends on it may start: it works, or has done its work."""
        if self.phase is Phase.UP:
            return True
        return self.phase is Phase.OFF and self.resting is ComponentState.FINISHED

    @property
    def is_stopping(self) -> bool:
        """Whether it is still to be stopped, or is being stopped, and there is hope for its end."""
        return self.must_stop or (self.stop_runs and not self.stop_late)

    @property
    def is_settled(self) -> bool:
        """Whether it is not to run, and nothing of it is being done."""
        return not (self.wanted or self.must_stop or self.stop_runs or self.start_runs)

    def downtime_ns(self, now_ns: int) -> int:
        """Return for how long it did not work although it was to, this moment included."""
        since_ns = self.down_since_ns
        return self.down_ns + (0 if since_ns is None else max(0, now_ns - since_ns))

    # ---- what others want of it ----

    def want(self, now_ns: int) -> None:
        """Have it run, with all counts at their beginning."""
        self.wanted = True
        self._forget_trouble()
        self.is_recovery = self.is_restart = False
        self._wait_until(now_ns)

    def restart(self, now_ns: int) -> None:
        """Have it stopped and started at once, as somebody asks for it."""
        self._end_watch()
        self.must_stop = not self.clean and not self.stop_runs
        if self.phase in _RUNS:
            self._be_down(now_ns)
        self.want(now_ns)
        self.is_restart = True

    def unwant(
        self, now_ns: int, resting: ComponentState = ComponentState.STOPPED, why: str = ""
    ) -> None:
        """Have it stopped for good; ``resting`` is its state afterwards."""
        self._end_watch()
        self.wanted = self.in_attempt = False
        if resting is ComponentState.GIVEN_UP:
            self._be_down(now_ns)
        else:
            self._end_downtime(now_ns)
        self.resting = resting
        if self.phase is Phase.OFF and self.clean:
            self.told = resting
        elif self.clean or self.stop_late:
            self.phase = Phase.OFF
            self.must_stop = False
            self._say(_LAST_WORD[resting], "its stop still runs" if self.stop_late else why)
        else:
            self.phase = Phase.STOPPING
            self.must_stop = not self.stop_runs
            self.told = ComponentState.STOPPING

    def join_restart(self, now_ns: int, because_of: str) -> None:
        """Be restarted together with another component, if it runs or is to."""
        if self.phase in _RUNS:
            self._end_watch()
            self.must_stop = True
            if self.rules.restart == "temporary":
                self._rest(ComponentState.FINISHED)
                self._say("finished", f"stopped with {because_of!r}, and not restarted")
                return
            self._begin_recovery(now_ns, f"restarted with {because_of!r}")
        elif self.phase is not Phase.WAITING:
            return
        self._wait_until(now_ns + self.rules.stop_timeout_ns)
        self.in_attempt = True

    def abandon(self, now_ns: int) -> None:
        """Take that nobody will tell of a start or a stop that runs."""
        why = "its event loop was closed"
        if self.stop_runs:
            self.stopped(why, now_ns)
        if self.start_runs:
            self.started(why, now_ns)
        self.unwant(now_ns)
        self.must_stop = False
        self.phase = Phase.OFF
        self.last_error = why
        self.out.clear()

    def forget_life(self) -> None:
        """In a forked child: it does not run, and never did."""
        name, rules, out = self.name, self.rules, self.out
        self.__init__(name, rules, out)  # type: ignore[misc]  # all of it, as if it were new

    # ---- starting ----

    def begin_attempt(self, now_ns: int) -> None:
        """Note that its back-off is over, and that it is stopped and started from here on."""
        # A start or stop that was given up has so long to end, before this attempt has failed.
        self._wait_until(now_ns + self.rules.stop_timeout_ns)
        self.in_attempt = True
        if self.is_recovery:
            self.attempts_total += 1
            self.out.append(("attempt", self))
        if not self.clean and not self.stop_runs:
            self.must_stop = True

    def begin_start(self, now_ns: int) -> None:
        """Have it started: nothing of the one before is left."""
        self.generation += 1
        self.phase = Phase.STARTING
        self.told = self.state
        self.clean = self.start_late = False
        self.start_runs = True
        self.began_ns = now_ns
        self.early_exit = None
        if self.is_restart and self.generation > 1:
            self.restarts_total += 1
            if self.is_recovery:
                self.out.append(("restarted", self))
        self.out.append(("start", self, self.generation))

    def started(self, error: str | None, now_ns: int) -> bool:
        """Take the end of its start: None, or why it failed; return as ``exited`` does."""
        self.start_runs = False
        if self.start_late or self.phase is not Phase.STARTING:
            self.start_late = False
            self.must_stop = True  # it may have begun something after the stop
            return False
        if error is not None:
            self.fail_attempt(f"its start failed: {error}", now_ns)
            return False
        self.phase = Phase.VERIFYING
        limit_ns = self.rules.start_timeout_ns
        # A start that took nearly all of the time leaves some for the check.
        self.due_ns = max(self.began_ns + limit_ns, now_ns + limit_ns // 4)
        self.verify_ns = self.due_ns - now_ns
        self.answer_due_ns = None
        self.is_overdue = False
        if self.early_exit is not None:
            return self.exited(self.early_exit, now_ns)
        if self.rules.has_check:
            self.watches = True
            self.out.append(("watch", self, self.generation))
        else:
            self.verified(now_ns)
        return False

    def verified(self, now_ns: int) -> None:
        """Take that it works: its check has passed."""
        if self.phase is Phase.FAILING:
            self.phase = Phase.UP
            self.up_ns = now_ns
            self._end_downtime(now_ns)
            self._say("recovered", "its check passes again")
            return
        if self.phase is not Phase.VERIFYING:
            return
        self.phase = Phase.UP
        self.in_attempt = False
        self.up_ns = now_ns
        self.last_error = None
        self._end_downtime(now_ns)
        if self.is_recovery:
            self.recovered_total += 1
            if self.recovery_began_ns is not None:
                self.recovery_ns += now_ns - self.recovery_began_ns
            self._end_recovery(now_ns, succeeded=True)
            self.out.append(("recovered", self))
        self._say("recovered" if self.is_recovery else "started")

    def start_overdue(self, now_ns: int) -> None:
        """Take that its start has not ended in time; it still runs."""
        self.start_late = True
        self.must_stop = True
        if self.phase is Phase.STARTING:
            seconds = self.rules.start_timeout_ns / 1e9
            self.fail_attempt(f"its start took longer than {seconds:g} s", now_ns)

    def answered(self, why: str, answer_due_ns: int | None, now_ns: int) -> None:
        """Take that its check fails, and is asked again soon; None: the answer proves nothing."""
        if self.phase is Phase.VERIFYING:
            self.last_error = why or None
            self.answer_due_ns = answer_due_ns
            if self.is_overdue and answer_due_ns is not None:
                self.due_ns = now_ns

    def see_whether_overdue(self, now_ns: int) -> None:
        """Judge its start, whose time is over, or await an answer of its check.

        Only an answer counts, and only if its check has been asked since whenever it was to be:
        that it had no turn is the fault of this process.
        """
        due_ns = self.answer_due_ns
        if due_ns is not None and now_ns <= due_ns + _LATE_NS:
            self.verify_overdue(now_ns)
            return
        self.is_overdue = True
        self.due_ns = now_ns + _LOOK_NS
        self.out.append(("await", self, self.generation))

    def hangs(self, now_ns: int) -> None:
        """Take that its check has run for as long as it had time to pass, and has not ended."""
        if self.phase is Phase.VERIFYING and self.is_overdue:
            self.last_error = "its check has not ended"
            self.verify_overdue(now_ns)

    def verify_overdue(self, now_ns: int) -> None:
        """Take that its check has not passed in time."""
        seconds = self.rules.start_timeout_ns / 1e9
        why = f": {self.last_error}" if self.last_error else ""
        self.fail_attempt(f"its check did not pass within {seconds:g} s{why}", now_ns)

    # ---- stopping ----

    def begin_stop(self) -> None:
        """Have it stopped."""
        self.must_stop = False
        self.stop_runs = True
        self.stop_late = False
        self.out.append(("stop", self))

    def stopped(self, error: str | None, now_ns: int) -> None:
        """Take the end of its stop: None, or why it failed."""
        was_late = self.stop_late
        self.stop_runs = self.stop_late = False
        if error is None and not self.start_runs and not self.must_stop:
            self.clean = True
        if not was_late:
            self._see_stopped(error and f"its stop failed: {error}", now_ns)

    def stop_overdue(self, now_ns: int) -> None:
        """Take that its stop has not ended in time; it still runs."""
        self.stop_late = True
        seconds = self.rules.stop_timeout_ns / 1e9
        self._see_stopped(f"its stop took longer than {seconds:g} s", now_ns)

    def _see_stopped(self, error: str | None, now_ns: int) -> None:
        if error is not None:
            self.last_error = error
            self.out.append(("left", self, error))
        if self.phase is Phase.STOPPING:
            if self.must_stop:  # once more, as a start has ended meanwhile
                return
            self.phase = Phase.OFF
            self._say(_LAST_WORD[self.resting], error or "")
        elif self.in_attempt and error is not None and self.phase is Phase.WAITING:
            self.fail_attempt(error, now_ns, cleans_up=False)

    # ---- what it does by itself ----

    def exited(self, end: Exit, now_ns: int) -> bool:
        """Take that its work has ended by itself; return whether that is for others to decide."""
        phase = self.phase
        if phase is Phase.STARTING:
            self.early_exit = end
            return False
        if phase is Phase.WAITING and not self.clean:  # it was unhealthy, and is to be stopped
            self.last_exit = end
            self._say("exited", str(end))
            return False
        if phase not in _RUNS:
            return False
        self.last_exit = end
        self.last_error = None if end.is_clean else str(end)
        self._end_watch()
        self.must_stop = True  # what it may have left: children, files, a port
        self._say("exited", str(end))
        action = self.rules.action_for(end)
        if action == "finish":
            self._rest(ComponentState.FINISHED)
            self._end_downtime(now_ns)
            self._say("finished", str(end))
        elif action == "give_up":
            self._give_up(now_ns, str(end))
        elif action == "escalate":
            self._be_down(now_ns)
            return True
        elif phase is Phase.VERIFYING:
            self.fail_attempt(str(end), now_ns, at_once=action == "restart_now")
        else:
            self._begin_recovery(now_ns, str(end))
            self._schedule(now_ns, at_once=action == "restart_now")
        return False

    def unhealthy(self, why: str, now_ns: int, *, may_recover: bool) -> None:
        """Take that its check fails; ``may_recover``: nothing that it depends on is down."""
        if self.phase is Phase.UP:
            self._look_back(now_ns)
            self._be_down(now_ns)
            self.phase = Phase.FAILING
            self._say("unhealthy", why)
        self.last_error = why
        if self.phase is Phase.FAILING and may_recover and self.rules.restart != "temporary":
            self._end_watch()
            self._begin_recovery(now_ns, why)
            self._schedule(now_ns)

    # ---- attempts ----

    def fail_attempt(
        self, why: str, now_ns: int, *, at_once: bool = False, cleans_up: bool = True
    ) -> None:
        """Take that this attempt to start it has failed."""
        self._end_watch()
        self.in_attempt = False
        self.last_error = why
        self._be_down(now_ns)
        if cleans_up and not self.clean and not self.stop_runs:
            self.must_stop = True
        if self.rules.restart == "temporary":
            self._say("attempt_failed", why)
            self._give_up(now_ns, why)
            return
        was_recovery = self.is_recovery
        if not was_recovery:
            self.is_recovery = self.is_restart = True
            self.recovery_began_ns = now_ns
        is_last = self.attempt >= self.rules.attempts
        delay_ns = None if is_last else self._delay_ns(self.attempt + 1, at_once)
        self.phase = Phase.WAITING
        self._say("attempt_failed", why, delay_ns)
        if not was_recovery:
            self._say("recovering", why, delay_ns)
        self._schedule(now_ns, delay_ns=delay_ns)

    def cool(self, now_ns: int, why: str) -> None:
        """Have it left alone for a while, or for good."""
        self._be_down(now_ns)
        self.in_attempt = False
        first_ns = self.rules.cool_down_ns
        if first_ns is None:
            self._give_up(now_ns, why)
            return
        wait_ns = min(first_ns << min(self.rounds, 32), max(first_ns, MOST_COOL_DOWN_NS))
        self.rounds += 1
        self.phase = Phase.COOLING
        self.due_ns = now_ns + wait_ns
        if not self.clean and not self.stop_runs:
            self.must_stop = True
        self._say("cooling_down", why, wait_ns)

    def new_round(self, now_ns: int) -> None:
        """Begin the attempts anew, after a cool-down."""
        self.attempt = 0
        self.is_recovery = self.is_restart = True
        self.recovery_began_ns = now_ns
        self.phase = Phase.WAITING
        self._say("recovering", "its cool-down is over")
        self._schedule(now_ns)

    def _begin_recovery(self, now_ns: int, why: str) -> None:
        if self.phase is Phase.UP:
            self._look_back(now_ns)
        self._be_down(now_ns)
        self.is_recovery = self.is_restart = True
        self.recovery_began_ns = now_ns
        self.phase = Phase.WAITING
        self.last_error = why
        self._say("recovering", why)

    def _schedule(self, now_ns: int, *, at_once: bool = False, delay_ns: int | None = None) -> None:
        if self.attempt >= self.rules.attempts:
            self.failed_total += 1
            self._end_recovery(now_ns, succeeded=False)
            self.out.append(("spent", self))
            self.cool(now_ns, self.last_error or "")
            return
        self.attempt += 1
        if delay_ns is None:
            delay_ns = self._delay_ns(self.attempt, at_once)
        self._wait_until(now_ns + delay_ns)

    def _delay_ns(self, attempt: int, at_once: bool) -> int:
        if at_once:
            return 0
        self.delay_ns = self.rules.delay_ns(attempt, self.delay_ns)
        return self.delay_ns

    def _wait_until(self, due_ns: int) -> None:
        self.phase = Phase.WAITING
        self.due_ns = due_ns
        self.in_attempt = False

    def _give_up(self, now_ns: int, why: str) -> None:
        self._be_down(now_ns)
        self._rest(ComponentState.GIVEN_UP)
        self._say("gave_up", why)

    def _rest(self, resting: ComponentState) -> None:
        self.phase = Phase.OFF
        self.resting = resting
        self.wanted = self.in_attempt = False

    # ---- its records ----

    def _look_back(self, now_ns: int) -> None:
        """Forget earlier trouble if it has worked for long enough since."""
        if now_ns - self.up_ns >= self.rules.healthy_after_ns:
            self._forget_trouble()

    def _forget_trouble(self) -> None:
        self.attempt = self.rounds = 0
        self.last_error = None

    def _end_watch(self) -> None:
        if self.watches:
            self.watches = False
            self.out.append(("unwatch", self))

    def _end_recovery(self, now_ns: int, *, succeeded: bool) -> None:
        self.recovery_began_ns = None
        self.last_recovery_ns = now_ns
        self.was_recovered = succeeded

    def _be_down(self, now_ns: int) -> None:
        if self.down_since_ns is None:
            self.down_since_ns = now_ns

    def _end_downtime(self, now_ns: int) -> None:
        self.down_ns = self.downtime_ns(now_ns)
        self.down_since_ns = None

    def _say(self, kind: str, reason: str = "", wait_ns: int | None = None) -> None:
        old, self.told = self.told, self.state
        self.out.append(("say", self, kind, old, self.told, reason, wait_ns, self.generation))


_BEGINNING = frozenset({Phase.WAITING, Phase.STARTING, Phase.VERIFYING})
_RUNS = frozenset({Phase.STARTING, Phase.VERIFYING, Phase.UP, Phase.FAILING})
_LAST_WORD = {
    ComponentState.STOPPED: "stopped",
    ComponentState.FINISHED: "finished",
    ComponentState.GIVEN_UP: "gave_up",
}
_STATES = {
    Phase.UP: ComponentState.RUNNING,
    Phase.FAILING: ComponentState.UNHEALTHY,
    Phase.COOLING: ComponentState.COOLING_DOWN,
    Phase.STOPPING: ComponentState.STOPPING,
}
