"""Where the state of a pybreaker breaker is kept: the interface, and the memory of this process.

The figures of a memory storage are those of the native breaker that it belongs to. Elsewhere:
Redis (``redis_storage``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdfast.compat.pybreaker.policy import name_of
from holdfast.policies.breaker.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.compat.pybreaker.policy import BreakerPolicy

__all__ = [
    "STATE_CLOSED",
    "STATE_HALF_OPEN",
    "STATE_OPEN",
    "CircuitBreakerStorage",
    "CircuitMemoryStorage",
    "Live",
    "age_of",
]

STATE_OPEN = "open"
STATE_CLOSED = "closed"
STATE_HALF_OPEN = "half-open"
STATE_OF = {
    STATE_OPEN: State.OPEN,
    STATE_CLOSED: State.CLOSED,
    STATE_HALF_OPEN: State.HALF_OPEN,
}
_PROBE_FAILED = 4  # hf_rule
_AGES_NS = 1 << 62  # 146 years


def age_of(opened_at: datetime) -> timedelta:
    """Return how long ago a circuit was opened; a time without a zone is UTC."""
    if opened_at.tzinfo is None:
        opened_at = opened_at.replace(tzinfo=UTC)
    return datetime.now(UTC) - opened_at


class CircuitBreakerStorage:
    """The base class of storages: a subclass keeps state, counters and the time of the opening.

    The breaker reads and writes them at each call, and decides by what it reads.

    Args:
        name: What kind of storage it is, such as "memory".

    How it may be shared is for the subclass to say.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """What kind of storage it is."""
        return self._name

    @property
    def state(self) -> str:
        """The state: "closed", "open" or "half-open"."""
        raise NotImplementedError(f"{type(self).__name__} does not define 'state'")

    @state.setter
    def state(self, state: str) -> None:
        pass

    def increment_counter(self) -> None:
        """Count a failure."""

    def reset_counter(self) -> None:
        """Set the number of failures to zero."""

    def increment_success_counter(self) -> None:
        """Count a success while half-open."""

    def reset_success_counter(self) -> None:
        """Set the number of successes while half-open to zero."""

    @property
    def counter(self) -> int:
        """The number of failures in a row."""
        raise NotImplementedError(f"{type(self).__name__} does not define 'counter'")

    @property
    def success_counter(self) -> int:
        """The number of successes in a row while half-open."""
        raise NotImplementedError(f"{type(self).__name__} does not define 'success_counter'")

    @property
    def opened_at(self) -> datetime | None:
        """When the circuit was last opened, in UTC; None if it never was."""
        raise NotImplementedError(f"{type(self).__name__} does not define 'opened_at'")

    @opened_at.setter
    def opened_at(self, datetime: datetime) -> None:
        pass


class Live:
    """What a native breaker says in the words of a storage, and what it does not remember itself.

    A native breaker forgets its run of failures when it opens. pybreaker shows it until a success.
    """

    __slots__ = ("face", "fails", "opened_at", "opened_ns", "policy", "shown", "succeeded")

    def __init__(self, face: Any, policy: BreakerPolicy) -> None:
        self.face = face  # weakly
        self.policy = policy
        self.fails = 0
        self.opened_at: datetime | None = None
        self.opened_ns = 0
        self.shown: str | None = None  # a state that is still shown
        self.succeeded = 0  # in all, when it last became half-open

    @property
    def state(self) -> str:
        """The state."""
        return self.shown or name_of(self.policy.state)

    @property
    def counter(self) -> int:
        """The number of failures in a row."""
        state = self.policy.state
        run: int = self.policy._kernel.consecutive()
        if state in (State.CLOSED, State.METRICS_ONLY):
            return run
        return 0 if state is State.HALF_OPEN and run else self.fails

    @property
    def success_counter(self) -> int:
        """The number of successes while half-open."""
        is_half_open = self.policy.state is State.HALF_OPEN
        return self.policy._kernel.consecutive() if is_half_open else 0

    def set_counter(self, failures: int) -> None:
        """Say how many failures in a row there are."""
        if self.policy.state in (State.CLOSED, State.METRICS_ONLY):
            self.policy._kernel.set_run(failures)
        else:
            self.fails = failures

    def set_success_counter(self, successes: int) -> None:
        """Say how many successes there are while half-open."""
        if self.policy.state is State.HALF_OPEN:
            self.policy._kernel.set_run(successes)

    def open_as_of(self, opened_at: datetime | None) -> None:
        """Begin the opening anew, at that time."""
        self.opened_at = opened_at
        age = timedelta.max if opened_at is None else age_of(opened_at)  # unknown: it is over
        age_ns = age // timedelta(microseconds=1) * 1000
        self.opened_ns = self.policy._clock.now_ns() - max(-_AGES_NS, min(age_ns, _AGES_NS))
        self.again_open()

    def open_as_of_now(self) -> None:
        """Note an opening that begins at this moment."""
        self.opened_at, self.opened_ns = datetime.now(UTC), self.policy._clock.now_ns()

    def again_open(self) -> None:
        """Give an opening the deadline that the open time in force gives it."""
        if self.policy.state is State.OPEN:
            self.policy._turn(State.OPEN, self.opened_ns)

    def moved(self, new: State, rule: int, count: int) -> None:
        """Be told of a change of state."""
        succeeded = self.policy._kernel.counters()[1]
        if new is State.OPEN:
            self.open_as_of_now()
            if rule == _PROBE_FAILED:
                self.fails = 1 if succeeded > self.succeeded else self.fails + 1
            elif count:
                self.fails = count
        elif new is State.HALF_OPEN:
            self.succeeded = succeeded
        else:
            self.fails = 0

    def take(self, state: str, failures: int, successes: int, opened_at: datetime | None) -> None:
        """Put the breaker where a storage says that it is, and tell nobody."""
        policy = self.policy
        now_ns = policy._clock.now_ns()
        self.fails, self.opened_at = failures, opened_at
        self.succeeded = policy._kernel.counters()[1]
        if state == STATE_OPEN:
            policy._turn(State.OPEN, now_ns)
            self.open_as_of(opened_at)
        elif state == STATE_HALF_OPEN:
            policy._turn(State.HALF_OPEN, now_ns)
            self.set_success_counter(successes)
        else:
            if policy.state is not State.CLOSED:
                policy._turn(State.CLOSED, now_ns)
            self.set_counter(failures)


class CircuitMemoryStorage(CircuitBreakerStorage):
    """The memory of this process.

    Args:
        state: The state to begin with.

    Safe to share between threads. Breakers that share one share their state.
    """

    def __init__(self, state: str) -> None:
        super().__init__("memory")
        self._live: Live | None = None
        self._own_failures = 0
        self._own_successes = 0
        self._own_opened_at: datetime | None = None
        self._own_state = state

    @property
    def state(self) -> str:
        """The state: "closed", "open" or "half-open"."""
        live = self._live
        return self._own_state if live is None else live.state

    @state.setter
    def state(self, state: str) -> None:
        live = self._live
        if live is None:
            self._own_state = state
        else:
            if state not in STATE_OF:
                raise ValueError(f"Unknown state {state!r}, valid states: {', '.join(STATE_OF)}")
            live.policy._order(STATE_OF[state])

    def increment_counter(self) -> None:
        """Count a failure."""
        self._fail_counter += 1

    def reset_counter(self) -> None:
        """Set the number of failures to zero."""
        if self._fail_counter:
            self._fail_counter = 0

    def increment_success_counter(self) -> None:
        """Count a success while half-open."""
        self._success_counter += 1

    def reset_success_counter(self) -> None:
        """Set the number of successes while half-open to zero."""
        if self._success_counter:
            self._success_counter = 0

    @property
    def counter(self) -> int:
        """The number of failures in a row."""
        return self._fail_counter

    @property
    def success_counter(self) -> int:
        """The number of successes in a row while half-open."""
        return self._success_counter

    @property
    def opened_at(self) -> datetime | None:
        """When the circuit was last opened, in UTC; None if it never was."""
        live = self._live
        return self._own_opened_at if live is None else live.opened_at

    @opened_at.setter
    def opened_at(self, datetime: datetime) -> None:
        live = self._live
        if live is None:
            self._own_opened_at = datetime
        else:
            live.open_as_of(datetime)

    @property
    def _fail_counter(self) -> int:
        live = self._live
        return self._own_failures if live is None else live.counter

    @_fail_counter.setter
    def _fail_counter(self, failures: int) -> None:
        live = self._live
        if live is None:
            self._own_failures = failures
        else:
            live.set_counter(failures)

    @property
    def _success_counter(self) -> int:
        live = self._live
        return self._own_successes if live is None else live.success_counter

    @_success_counter.setter
    def _success_counter(self, successes: int) -> None:
        live = self._live
        if live is None:
            self._own_successes = successes
        else:
            live.set_success_counter(successes)

    def _bind(self, live: Live) -> None:
        """Give what is kept here to a native breaker, which keeps it from now on."""
        live.take(self._own_state, self._own_failures, self._own_successes, self._own_opened_at)
        self._live = live

    def _unbind(self) -> None:
        """Take back what a native breaker keeps."""
        live = self._live
        if live is not None:
            self._own_state = live.state
            self._own_failures, self._own_successes = live.counter, live.success_counter
            self._own_opened_at = live.opened_at
            self._live = None
