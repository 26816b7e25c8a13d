"""The native breaker behind a circuit breaker of aiobreaker, in the words of its storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdfast._native.gate import Gate
from holdfast.compat._breaking import FaceBreaker, seconds, threshold
from holdfast.compat.aiobreaker.state import CircuitBreakerState
from holdfast.policies.breaker.state import STATES, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["AT_FIRST_RULE", "AT_TRIAL_RULE", "Native", "state_of", "utc_now"]

AT_FIRST_RULE, AT_TRIAL_RULE = "consecutive_failures", "probe_failed"
_STATES = {
    State.HALF_OPEN: CircuitBreakerState.HALF_OPEN,
    State.OPEN: CircuitBreakerState.OPEN,
    State.FORCED_OPEN: CircuitBreakerState.OPEN,
}
_ORDERS = {
    CircuitBreakerState.OPEN: State.OPEN,
    CircuitBreakerState.HALF_OPEN: State.HALF_OPEN,
    CircuitBreakerState.CLOSED: State.CLOSED,
}
_FAILURES, _SUCCESSES = 1, 2  # hf_tells
_TELLS: Any = Gate.__dict__["_tells"]


def utc_now() -> datetime:
    """Return the time in UTC, without a zone: that of storages."""
    return datetime.now(UTC).replace(tzinfo=None)


def state_of(state: State) -> CircuitBreakerState:
    """Return the state in the words of aiobreaker; one that admits all calls is CLOSED."""
    return _STATES.get(state, CircuitBreakerState.CLOSED)


class Native(FaceBreaker):
    """A native breaker that tells its face of changes and of ends, and keeps what a storage has."""

    __slots__ = ("_logged", "_opened_at", "_told")

    def __init__(self, name: object, **settings: Any) -> None:
        self._logged = self._told = 0
        self._opened_at: datetime | None = None
        super().__init__(name, **settings)

    # ---- what a storage has ----

    @property
    def native_state(self) -> CircuitBreakerState:
        """The state in the words of aiobreaker."""
        return state_of(self.state)

    def order(self, state: CircuitBreakerState) -> None:
        """Put it into a state, and tell of the change."""
        wanted = _ORDERS[state]
        if wanted is State.OPEN:
            self.trip()
        elif wanted is State.HALF_OPEN:
            self.half_open()
        else:
            self.failures = 0
            self.reset()

    @property
    def counter(self) -> int:
        """Failures in a row."""
        return self.consecutive_failures

    @counter.setter
    def counter(self, failures: int) -> None:
        if self.state is State.CLOSED:
            self._kernel.set_run(failures)
        else:
            self.failures = failures

    @property
    def opened_at(self) -> datetime | None:
        """When it was last opened, in UTC without a zone."""
        return self._opened_at

    @opened_at.setter
    def opened_at(self, moment: datetime | None) -> None:
        self._opened_at = moment
        if self.state is State.OPEN:
            self.open_as_of(moment)

    # ---- quietly ----

    def turn(self, state: CircuitBreakerState, opened_at: datetime | None = None) -> None:
        """Put it into a state, and tell nobody."""
        self._kernel.override(STATES.index(_ORDERS[state]), self._clock.now_ns())
        self._opened_at = opened_at
        if state is CircuitBreakerState.OPEN:
            self.open_as_of(opened_at)

    def open_as_of(self, moment: datetime | None) -> None:
        """Begin its opening anew, at a time of UTC; None: its time is over."""
        open_ns = int(seconds(self._setting("reset_timeout")) * 1e9)
        now_ns = self._clock.now_ns()
        past_ns = open_ns
        if moment is not None:
            if moment.tzinfo is not None:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
            past_ns = int((utc_now() - moment) / timedelta(microseconds=1)) * 1000
        self._kernel.override(STATES.index(State.OPEN), now_ns - past_ns)
        self.until_ns = now_ns - past_ns + open_ns

    def retune(self, fail_max: float | None, timeout: timedelta) -> None:
        """Put other settings into force, also for an opening; no ``fail_max`` opens nothing."""
        failures = 0 if fail_max is None else threshold(fail_max)
        open_time = seconds(timeout)
        opened_ns = self.until_ns - int(self._setting("reset_timeout") * 1e9)
        self._kernel.tune(failures, 1, int(open_time * 1e9))
        self._change(reset_timeout=open_time, failure_threshold=failures or None)
        self.until_ns = opened_ns + int(open_time * 1e9)
        if self.state is State.OPEN:
            self._kernel.override(STATES.index(State.OPEN), opened_ns)

    # ---- telling ----

    @property
    def _tells(self) -> int:
        return _TELLS.__get__(self)  # type: ignore[no-any-return]

    @_tells.setter
    def _tells(self, bits: int) -> None:  # what a log wants to hear of
        self._logged = bits
        _TELLS.__set__(self, bits | self._told)

    def tell_face(self, *, failures: bool, successes: bool) -> None:
        """Say of which calls the face is told the end."""
        self._told = _FAILURES * failures | _SUCCESSES * successes
        _TELLS.__set__(self, self._logged | self._told)

    def _ended(self, failed: bool, error: BaseException | None) -> None:
        if self._logged & (_FAILURES if failed else _SUCCESSES):
            super()._ended(failed, error)
        if self._told & (_FAILURES if failed else _SUCCESSES):
            self.face._ended(failed, error)

    def _changed(self, old: int, new: int, *how: Any, **why: Any) -> Any:
        if STATES[new] is State.OPEN:
            self._opened_at = utc_now()
        return super()._changed(old, new, *how, **why)
