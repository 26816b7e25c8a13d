"""A check of a monitor, its turns, and the runs that a turn is made of.

A turn ends with one result of the check. It has one run, or one for each member of a composite.
Elsewhere: who runs the runs (``rounds``), and what becomes of the results (``monitor``).
"""

from __future__ import annotations

from collections import Counter, deque
from functools import partial

from holdfast.health.breakers import NOTHING
from holdfast.health.pulse import RunningTime
from holdfast.health.schedule import phase_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.health.breakers import BreakerLink
    from holdfast.health.check import Check
    from holdfast.health.figures import Figures
    from holdfast.health.outlook import Outlook
    from holdfast.health.pulse import Mark, Pulse
    from holdfast.health.result import CheckResult
    from holdfast.health.states import HealthState
    from holdfast.policies.timeout import Timeout

    Rounds = Any  # holdfast.health.rounds.Rounds, which stands above

__all__ = ["Countdown", "Run", "Turn", "Unit", "Watched"]

_MOST_GRACE_NS = 100_000_000


class Unit:
    """What runs: a check, or a member of a composite.

    Attributes:
        limit: What makes the time that is left known inside of a run.
        call: Runs the check in this thread; ``acall`` in this task.
        grace_ns: How long after its timeout a run is given up, as one that heeds its timeout ends
            about then.
        is_quick: Whether its last run took no time to speak of.
        is_suspect: Whether its last run was given up.
    """

    __slots__ = (
        "acall",
        "call",
        "check",
        "grace_ns",
        "is_quick",
        "is_suspect",
        "limit",
        "timeout_ns",
    )

    def __init__(self, check: Check, timeout_ns: int, limit: Timeout) -> None:
        self.check = check
        self.timeout_ns = timeout_ns
        self.grace_ns = min(_MOST_GRACE_NS, timeout_ns // 4)
        self.limit = limit
        # On a manual clock; else ``rounds`` calls the check with the time for which it may run.
        self.call: Callable[[], CheckResult] = partial(check.run, timeout_ns / 1e9)
        self.acall = partial(check.arun, timeout_ns / 1e9)
        self.is_quick = False
        self.is_suspect = False


class Watched:
    """A check of a monitor, and all that is known of it. Guarded by the monitor's lock.

    Attributes:
        units: What has to run for a result: the check itself, or the members of a composite.
        link: To the breaker that it closes; None: to none.
        figures: What metrics show of it, None once it is removed; ``kernel``, of these, decides
            the state.
        base_ns: The interval while it is healthy; ``interval_ns`` the one at the moment.
        slot_ns: The time of the next turn by its interval, without jitter; ``due_ns`` with it.
        serial: Of the entry in the plan that counts; 0: none.
        turn: The turn that goes on.
        hears: Told of each result, without any lock: the result, when its run began, the state.
        is_excused: Whether failures before its first pass are no news.
        is_removed: Whether it is no longer of the monitor.
        outlook: Its outlook, if there is one.
    """

    __slots__ = (
        "base_ns",
        "check",
        "due_ns",
        "durations_ns",
        "ended",
        "error",
        "figures",
        "hears",
        "history",
        "interval_ns",
        "is_composite",
        "is_excused",
        "is_first",
        "is_removed",
        "jitter",
        "kernel",
        "last_duration_ns",
        "last_ns",
        "last_result",
        "link",
        "name",
        "ordinal",
        "outlook",
        "serial",
        "slot_ns",
        "state",
        "turn",
        "units",
    )

    def __init__(
        self,
        check: Check,
        units: tuple[Unit, ...],
        *,
        is_composite: bool,
        figures: Figures,
        link: BreakerLink | None,
        base_ns: int,
        jitter: float,
        ordinal: int,
        history: int,
        state: HealthState,
        is_excused: bool,
    ) -> None:
        self.check = check
        self.name = check.name
        self.is_excused = is_excused
        self.units = units
        self.is_composite = is_composite
        self.figures: Figures | None = figures
        self.link = link
        self.kernel = figures.state
        self.state = state
        self.base_ns = self.interval_ns = base_ns
        self.jitter = jitter
        self.ordinal = ordinal
        self.slot_ns = self.due_ns = 0
        self.serial = 0
        self.is_first = True
        self.is_removed = False
        self.turn: Turn | None = None
        self.hears: tuple[Callable[[CheckResult, int, HealthState], object], ...] = ()
        self.history: deque[tuple[int, int, CheckResult, HealthState]] = deque(maxlen=history)
        self.outlook: Outlook | None = None
        self.last_result: CheckResult | None = None
        self.last_ns: int | None = None
        self.last_duration_ns: int | None = None
        self.durations_ns = 0  # the sum, of those in ``ended``
        self.ended = 0
        self.error: str | None = None

    def begin_anew(self, now_ns: int) -> None:
        """Forget what is planned: the next turn is the first, and it is due now."""
        self.interval_ns = self.base_ns
        self.slot_ns = self.due_ns = now_ns
        self.is_first = True
        self.turn = None

    def forget(self, state: HealthState) -> None:
        """Forget all results and what is planned, as if the check had just been added."""
        self.state = state
        self.turn = None
        self.serial = 0
        self.history.clear()
        self.last_result = self.last_ns = self.last_duration_ns = self.error = None
        self.durations_ns = self.ended = 0

    def first_interval_ns(self, turn: float) -> int:
        """Return how long it is from the first turn to the second.

        Args:
            turn: By which share of its interval the rounds shift this; not without jitter.
        """
        return phase_ns(self.ordinal, self.interval_ns, turn if self.jitter else 0.0)


class Turn:
    """What is to end with one result of a check.

    Attributes:
        period: What the result is evidence of for the breaker that the check closes.
        results: Of a composite: what its members have shown so far.
        counts: How many of the results have each verdict.
        waiting: Those who wait for its end.
        is_over: Whether it has ended.
    """

    __slots__ = (
        "began_ns",
        "counts",
        "deadline_ns",
        "is_over",
        "period",
        "results",
        "rounds",
        "timeout_ns",
        "waiting",
        "watched",
    )

    def __init__(self, watched: Watched, rounds: Rounds, now_ns: int, timeout_ns: int) -> None:
        self.watched = watched
        self.rounds = rounds
        self.began_ns = now_ns
        self.timeout_ns = timeout_ns
        self.deadline_ns = now_ns + timeout_ns
        self.is_over = False
        self.period = NOTHING if watched.link is None else watched.link.begin()
        self.waiting: list[Countdown] = []
        self.results: list[CheckResult | None] | None = None
        self.counts: Counter[str] = Counter()
        if watched.is_composite:
            self.results = [None] * len(watched.units)

    def end(self, *, is_lost: bool = False) -> None:
        """Have it over, for all who wait; the monitor's lock is held.

        Args:
            is_lost: Whether it ends without a result, and those who wait are to ask again.
        """
        self.is_over = True
        if self.watched.turn is self:
            self.watched.turn = None
        for one in self.waiting:
            one.is_lost |= is_lost
            one.down()
        self.waiting.clear()


class Run:
    """One run of a check or of a member.

    Attributes:
        takers: The turns that its result is for, each with the number of the member.
        late_ns: How long after its time it was planned, since the loop of the monitor was late.
        later: The turns after a restart that wait for it to end, to have a run of their own.
        thread: The thread that it runs in; None before it begins, and in a task.
        mark: When it began, for its ``pulse``, which knows for how long this process did not run.
        is_closed: Whether it began for a check that was removed, so that no turn takes its result.
        is_given_up: Whether nobody waits for its end any more.
        is_suspect: Whether it is counted among those that were given up last time.
        has_left: Whether another thread may take the place of its own.
    """

    __slots__ = (
        "began_ns",
        "deadline_ns",
        "has_left",
        "is_closed",
        "is_given_up",
        "is_suspect",
        "late_ns",
        "later",
        "mark",
        "pulse",
        "queued_ns",
        "rounds",
        "takers",
        "task",
        "thread",
        "unit",
    )

    def __init__(self, unit: Unit, rounds: Rounds, now_ns: int) -> None:
        self.unit = unit
        self.rounds = rounds
        self.queued_ns = now_ns
        self.late_ns = 0
        self.takers: list[tuple[Turn, int]] = []
        self.later: list[tuple[Turn, int]] = []
        self.began_ns: int | None = None
        self.deadline_ns = 0
        self.thread: int | None = None
        self.pulse: Pulse | None = None
        self.mark: Mark | None = None
        self.task: asyncio.Task[Any] | None = None
        self.is_closed = False
        self.is_given_up = False
        self.has_left = False
        self.is_suspect = False

    def begin(self, now_ns: int) -> None:
        """Note that it runs from here on."""
        self.began_ns = now_ns
        self.deadline_ns = now_ns + self.unit.timeout_ns

    def begin_here(self, pulse: Pulse, clock: Clock) -> RunningTime:
        """Note that it begins in this thread; return how long it may run."""
        mark = pulse.begin()
        self.begin(clock.now_ns())  # whoever stopped this thread before has not stopped the check
        self.pulse, self.mark = pulse, mark
        return RunningTime(pulse, mark, self.unit.timeout_ns)

    def leave(self) -> None:
        """Note that it has ended, or that nobody waits for its end any more."""
        if self.mark is not None and self.pulse is not None:
            self.pulse.end(self.mark)

    def stalled_ns(self) -> int:
        """Return for how long this process did not run since the run began."""
        if self.mark is None or self.pulse is None:
            return 0
        return self.pulse.stalled_ns(self.mark)

    def more_ns(self) -> int:
        """Return how long it may go on although its time is up; 0: no longer."""
        limit_ns = self.unit.timeout_ns + self.unit.grace_ns
        if self.mark is None or self.pulse is None:
            return limit_ns  # it was stopped before it has begun
        return self.pulse.more_ns(self.mark, limit_ns)


class Countdown:
    """Wakes somebody once several turns are over. Guarded by the monitor's lock.

    Attributes:
        is_lost: Whether one of them has no result, though it might have had one.
    """

    __slots__ = ("_left", "is_lost", "waiter")

    def __init__(self, waiter: Any) -> None:
        self.waiter = waiter
        self.is_lost = False
        self._left = 1  # for whoever counts

    def has_ended(self) -> bool:
        """Return whether all are over, whichever waiter was woken."""
        return self._left == 0

    def up(self) -> None:
        """Count one more turn."""
        self._left += 1

    def down(self) -> None:
        """Count one less."""
        self._left -= 1
        if self._left == 0:
            self.waiter.wake()
