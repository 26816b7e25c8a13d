"""What a circuit breaker means: one state, one generation, and rules read from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

from tests.models.windows import FAILURE, IGNORED, SUCCESS, CountWindow, Tally, TimeWindow

INT64_MAX = 2**63 - 1
PPB = 10**9
LEASE_TICK_NS = 2**16  # deadlines of probes are kept in these

Change = tuple[int, int, int, int, int, int]  # from, to, generation; rule, count, calls


class Rule(IntEnum):
    NONE = 0
    FAILURES = 1
    FAILURE_RATE = 2
    SLOW_RATE = 3
    PROBE_FAILED = 4
    PROBE_SLOW = 5
    BY_HAND = 6
    HEALTH = 7


Cause = tuple[Rule, int, int]
TIME: Cause = (Rule.NONE, 0, 0)
HAND: Cause = (Rule.BY_HAND, 0, 0)
HEALTH: Cause = (Rule.HEALTH, 0, 0)


class State(IntEnum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2
    FORCED_OPEN = 3
    DISABLED = 4
    METRICS_ONLY = 5


@dataclass(frozen=True)
class Config:
    failure_threshold: int = 0
    success_threshold: int = 1
    half_open_max: int = 1
    min_calls: int = 1
    failure_rate_ppb: int = 0
    slow_rate_ppb: int = 0
    slow_ns: int = 0
    reset_ns: int = 10**6
    reset_max_ns: int = 0
    probe_ns: int = -1
    failure_reset_ns: int = 0
    reset_factor: float = 1.0
    reset_jitter: float = 0.0
    window_kind: int = 0
    window_n: int = 0
    slice_ns: int = 0

    def open_ns(self, reopens: int, jitter: float) -> int:
        most = self.reset_max_ns or INT64_MAX
        return int(min(self.reset_ns * self.reset_factor**reopens * (1 + jitter), most))


@dataclass(eq=False)
class Lease:
    """A probe's slot, until it is given back or its deadline has passed."""

    deadline: int | None

    def is_past(self, now_ns: int) -> bool:
        return self.deadline is not None and now_ns // LEASE_TICK_NS >= self.deadline


@dataclass(eq=False)
class Permit:
    generation: int
    lease: Lease | None = None
    is_observed: bool = False
    is_silent: bool = False
    is_inside: bool = False


def latest(known_ns: int | None, now_ns: int) -> int:
    """Times of several threads come out of order."""
    return now_ns if known_ns is None else max(known_ns, now_ns)


@dataclass
class Counters:
    admitted: int = 0
    succeeded: int = 0
    failed: int = 0
    ignored: int = 0
    abandoned: int = 0
    rejected: int = 0
    observed: int = 0
    late: int = 0
    slow: int = 0


@dataclass
class Breaker:
    config: Config
    state: State = State.CLOSED
    generation: int = 0
    run: int = 0  # failures in a row when closed, successes when half-open
    reopens: int = 0
    until_ns: int = 0
    oldest: int = 0  # permits of earlier generations are another process's
    last_failure_ns: int | None = None
    last_success_ns: int | None = None
    slots: list[Lease | None] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    changes: list[int] = field(default_factory=lambda: [0] * 36)
    window: CountWindow | TimeWindow | None = None

    def __post_init__(self) -> None:
        self.slots = [None] * self.config.half_open_max
        if self.config.window_kind == 1:
            self.window = CountWindow(self.config.window_n)
        elif self.config.window_kind == 2:
            self.window = TimeWindow(self.config.window_n, self.config.slice_ns)

    # --- moves -------------------------------------------------------------------------------

    def _move(self, to: State, reopens: int = 0, cause: Cause = TIME) -> Change | None:
        """Begin a generation: whoever was admitted before it is late."""
        origin = self.state
        self.state, self.generation, self.run, self.reopens = to, self.generation + 1, 0, reopens
        self.slots = [None] * self.config.half_open_max
        if origin == to:
            return None
        self.changes[6 * origin + to] += 1
        return origin, to, self.generation, *cause

    def _open(self, now_ns: int, cause: Cause, reopens: int = 0) -> Change | None:
        """The jitter is the kernel's secret: whoever compares tells us when the opening ends."""
        self.until_ns = now_ns + self.config.open_ns(min(reopens, 63), 0.0)
        return self._move(State.OPEN, min(reopens, 63), cause)

    def override(self, to: State, now_ns: int) -> Change | None:
        if to == State.OPEN:
            return self._open(now_ns, HAND)
        return self._move(to, self.reopens if to == State.HALF_OPEN else 0, HAND)

    def tune(self, failures: int, successes: int, reset_ns: int) -> None:
        self.config = replace(
            self.config,
            failure_threshold=failures,
            success_threshold=successes,
            reset_ns=reset_ns,
        )

    def set_run(self, run: int) -> bool:
        has_run = self.state in (State.CLOSED, State.METRICS_ONLY, State.HALF_OPEN)
        if has_run:
            self.run = run
        return has_run

    # --- by a health check ----

    def period(self) -> tuple[int, int | None]:
        """The generation, and the opening that it is, or follows as a half-open period."""
        if self.state == State.OPEN:
            return self.generation, self.generation
        half_open = self.state == State.HALF_OPEN
        return self.generation, self.generation - 1 if half_open else None

    def close_opening(self, opening: int) -> Change | None:
        if self.period()[1] != opening:
            return None
        return self._move(State.CLOSED, 0, HEALTH)

    def open_generation(self, generation: int, failures: int, now_ns: int) -> Change | None:
        if generation != self.generation or self.state not in (State.CLOSED, State.HALF_OPEN):
            return None
        reopens = self.reopens + 1 if self.state == State.HALF_OPEN else 0
        return self._open(now_ns, (HEALTH[0], failures, 0), reopens)

    # --- admission ---------------------------------------------------------------------------

    def admit(self, now_ns: int) -> tuple[Permit | None, Change | None]:
        change = None
        if self.state == State.DISABLED:
            return Permit(self.generation, is_silent=True), None
        if self.state == State.OPEN and self.until_ns <= now_ns:
            change = self._move(State.HALF_OPEN, self.reopens)
        permit = None
        if self.state in (State.CLOSED, State.METRICS_ONLY):
            permit = Permit(self.generation)
        elif self.state == State.HALF_OPEN:
            permit = self._lease(now_ns)
        self.counters.admitted += permit is not None
        self.counters.rejected += permit is None
        return permit, change

    def _lease(self, now_ns: int) -> Permit | None:
        """The first slot that is free, or whose probe is past its deadline."""
        for i, held in enumerate(self.slots):
            if held is None or held.is_past(now_ns):
                self.slots[i] = lease = Lease(self._deadline(now_ns))
                return Permit(self.generation, lease)
        return None

    def _deadline(self, now_ns: int) -> int | None:
        """Rounded down to a tick, but never to the present one."""
        if self.config.probe_ns < 0:
            return None
        return max((now_ns + self.config.probe_ns) // LEASE_TICK_NS, now_ns // LEASE_TICK_NS + 1)

    def holds(self, probe: Permit, now_ns: int) -> bool:
        """Whether a probe has its slot."""
        return any(
            slot is not None and slot is probe.lease and not slot.is_past(now_ns)
            for slot in self.slots
        )

    def admit_inside(self, probe: Permit, now_ns: int) -> Permit | None:
        """A call made inside of a probe that has its slot: with one of its own if one is free."""
        if not self.holds(probe, now_ns):
            return None
        permit = self._lease(now_ns) or Permit(self.generation)
        permit.is_inside = True
        self.counters.admitted += 1
        return permit

    def admit_observed(self) -> Permit:
        self.counters.observed += 1
        self.counters.admitted += 1
        return Permit(self.generation, is_observed=True)

    # --- ends of a permit --------------------------------------------------------------------

    def _is_foreign(self, permit: Permit) -> bool:
        return permit.is_silent or permit.generation < self.oldest

    def _release(self, permit: Permit) -> None:
        self.slots = [None if held is permit.lease else held for held in self.slots]

    def settle_fast(self, permit: Permit) -> bool:
        """A success that changes nothing but a count: there is nothing to time or to judge."""
        plain = not self.window and not self.config.slow_ns
        current = permit.generation == self.generation
        if not plain or not current or self.state != State.CLOSED or self.run:
            return False
        self.counters.succeeded += 1
        return True

    def settle(self, permit: Permit, outcome: int, duration_ns: int, now_ns: int) -> Change | None:
        if self._is_foreign(permit):
            return None
        slow = outcome != IGNORED and 0 < self.config.slow_ns <= duration_ns
        self.counters.succeeded += outcome == SUCCESS
        self.counters.failed += outcome == FAILURE
        self.counters.ignored += outcome == IGNORED
        self.counters.slow += slow
        if permit.is_observed:
            return None
        if permit.generation != self.generation:
            self.counters.late += 1
            return None
        self._release(permit)
        change = None
        if self.state == State.HALF_OPEN:
            change = self._end_probe(permit, outcome, slow, now_ns)
        else:
            change = self._end_call(outcome, slow, now_ns)
        if outcome == FAILURE:
            self.last_failure_ns = latest(self.last_failure_ns, now_ns)
        if outcome == SUCCESS:
            self.last_success_ns = latest(self.last_success_ns, now_ns)
        return change

    def abandon(self, permit: Permit) -> None:
        if not self._is_foreign(permit):
            self.counters.abandoned += 1
            self._release(permit)

    def undo(self, permit: Permit) -> None:
        if not self._is_foreign(permit):
            self.counters.admitted -= 1
            self.counters.observed -= permit.is_observed
            self._release(permit)

    # --- verdicts ----------------------------------------------------------------------------

    def _end_probe(self, permit: Permit, outcome: int, slow: bool, now_ns: int) -> Change | None:
        if outcome == IGNORED:
            return None
        if outcome == FAILURE or (slow and self.config.slow_rate_ppb):
            rule = Rule.PROBE_FAILED if outcome == FAILURE else Rule.PROBE_SLOW
            return self._open(now_ns, (rule, 1, 0), self.reopens + 1)
        if permit.is_inside:
            return None
        self.run += 1
        return self._move(State.CLOSED) if self.run >= self.config.success_threshold else None

    def _end_call(self, outcome: int, slow: bool, now_ns: int) -> Change | None:
        if isinstance(self.window, CountWindow):
            self.window.record(self.generation, outcome, slow)
        elif isinstance(self.window, TimeWindow):
            self.window.record(self.generation, now_ns, outcome, slow)
        if outcome == SUCCESS:
            self.run = 0
        elif outcome == FAILURE:
            self.run = 1 if self._has_paused(now_ns) else self.run + 1
        if outcome == IGNORED or self.state != State.CLOSED:
            return None
        cause = self._broken_rule(now_ns)
        return None if cause is None else self._open(now_ns, cause)

    def _has_paused(self, now_ns: int) -> bool:
        if not self.config.failure_reset_ns or self.last_failure_ns is None:
            return False
        return now_ns - self.last_failure_ns >= self.config.failure_reset_ns

    def _broken_rule(self, now_ns: int) -> Cause | None:
        if 0 < self.config.failure_threshold <= self.run:
            return Rule.FAILURES, self.run, 0
        calls, failures, slow, _ = self.tally(now_ns)
        if not calls or calls < self.config.min_calls:
            return None
        rates = (
            (Rule.FAILURE_RATE, failures, self.config.failure_rate_ppb),
            (Rule.SLOW_RATE, slow, self.config.slow_rate_ppb),
        )
        broken = ((rule, n, calls) for rule, n, ppb in rates if ppb and n * PPB >= ppb * calls)
        return next(broken, None)

    # --- questions ---------------------------------------------------------------------------

    def tally(self, now_ns: int) -> Tally:
        if isinstance(self.window, CountWindow):
            return self.window.read(self.generation)
        if isinstance(self.window, TimeWindow):
            return self.window.read(self.generation, now_ns)
        return Tally()

    def left_ns(self, now_ns: int) -> int:
        return self.until_ns - now_ns

    def retry_after_ns(self, now_ns: int) -> int:
        if self.state == State.FORCED_OPEN:
            return -1
        return max(0, self.left_ns(now_ns)) if self.state == State.OPEN else 0

    def probes(self, now_ns: int) -> int:
        return sum(held is not None and not held.is_past(now_ns) for held in self.slots)

    def peek(self, now_ns: int) -> bool:
        if self.state == State.OPEN:
            return self.left_ns(now_ns) <= 0
        if self.state == State.HALF_OPEN:
            return self.probes(now_ns) < self.config.half_open_max
        return self.state != State.FORCED_OPEN

    def failures_in_a_row(self, now_ns: int) -> int:
        counts_them = self.state in (State.CLOSED, State.METRICS_ONLY)
        return self.run if counts_them and not self._has_paused(now_ns) else 0

    @property
    def in_flight(self) -> int:
        c = self.counters
        return c.admitted - c.succeeded - c.failed - c.ignored - c.abandoned

    def forget(self) -> None:
        """State and run stay; counts start at zero; no permit of before counts any more.

        Then the window starts empty too: only calls with a permit were in it.
        """
        if self.counters.admitted:
            self.generation += 1
            self.oldest = self.generation
        self.counters, self.changes = Counters(), [0] * len(self.changes)
        self.slots = [None] * self.config.half_open_max
