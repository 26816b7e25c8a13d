"""The holdfast breaker behind a pybreaker breaker.

Decisions and counts are the breaker's. What pybreaker has beside them, its face is told here: a
change of state, and the end of a call where a listener wants to hear of it.
"""

from __future__ import annotations

from weakref import ref

from holdfast._native.gate import Gate
from holdfast.compat.pybreaker.errors import CircuitBreakerOpenError
from holdfast.errors import Rejected
from holdfast.policies.breaker.breaker import CircuitBreaker, load_what_openings_need
from holdfast.policies.breaker.state import STATES, State
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["NEVER", "BreakerPolicy", "name_of", "need_number", "reset_ns_of", "thresholds"]

NEVER = (0, 0xFFFFF)  # thresholds of a breaker whose storage decides
_MOST = 1_000_000
_FAILURES, _SUCCESSES = 1, 2  # hf_tells
_TELLS: Any = Gate.__dict__["_tells"]

load_what_openings_need()  # the policy of a breaker may be made by its first call

_NAMES = {
    State.HALF_OPEN: "half-open",
    State.OPEN: "open",
    State.FORCED_OPEN: "open",
}


def name_of(state: State) -> str:
    """Return what pybreaker calls a state; one that admits all calls is "closed"."""
    return _NAMES.get(state, "closed")


def need_number(field: str, value: Any) -> None:
    """Refuse what cannot be compared with numbers.

    Raises:
        ConfigError: It is no number.
    """
    try:
        is_number = (value > 0) in (True, False) and value == value  # NaN is not
    except TypeError:
        is_number = False
    if not is_number:
        problems = Problems("CircuitBreaker")
        problems.refuse(field, value, "a number")
        problems.done()


def thresholds(fail_max: float, success_threshold: float) -> tuple[int, int]:
    """Return how many failures open and how many successes close, as the kernel takes them.

    What pybreaker compares with at each call may be any number: below 1 the first call decides,
    and what no run reaches (``float("inf")``) never does.
    """
    failures = 0 if fail_max > _MOST else max(1, -int(-fail_max // 1))
    return failures, int(min(_MOST, max(1, -(-success_threshold // 1))))


class BreakerPolicy(CircuitBreaker):
    """A circuit breaker of which a face is told. Made by the face only."""

    __slots__ = ("_face", "_logged", "_told")

    _face: ref[Any]

    def __init__(self, face: Any, name: str, **settings: Any) -> None:
        self._face = ref(face)
        self._logged = self._told = 0
        super().__init__(name, half_open_max_calls=1, on=face._is_failure, **settings)

    def _bind(  # type: ignore[override]
        self, kind: str, kernels: Any, clock: Any, name: str, mode: int, _: Any, **how: Any
    ) -> None:
        # A refusal of an inner breaker is a failure of what is called, as any exception is.
        how |= {"on": (*how["on"], Rejected), "calls_coroutines": True}
        super()._bind(kind, kernels, clock, name, mode, CircuitBreakerOpenError, **how)

    def _changed(
        self, old: int, new: int, generation: int, rule: int, *how: Any, **more: Any
    ) -> Any:
        super()._changed(old, new, generation, rule, *how, **more)
        face = self._face()
        if face is None:
            return None
        count, error = how[0], how[2] if len(how) > 2 else None
        return face._moved(STATES[old], STATES[new], rule, count, error)

    def _ended(self, failed: bool, error: BaseException | None) -> None:
        if self._logged & (_FAILURES if failed else _SUCCESSES):
            super()._ended(failed, error)
        face = self._face()
        if face is not None and self._told:
            face._ended(failed, error)

    # A log sets what it wants to hear of, and the face what its listeners do.

    @property
    def _tells(self) -> int:
        return _TELLS.__get__(self)  # type: ignore[no-any-return]

    @_tells.setter
    def _tells(self, bits: int) -> None:
        self._logged = bits
        _TELLS.__set__(self, bits | self._told)

    def _tell_face(self, failures: bool, successes: bool) -> None:
        """Say of which calls the face is told the end."""
        self._told = _FAILURES * failures | _SUCCESSES * successes
        _TELLS.__set__(self, self._logged | self._told)

    def _tune(self, fail_max: float, success_threshold: float, reset_timeout: float) -> None:
        """Put other rules into force. An opening keeps its deadline."""
        failures, successes = thresholds(fail_max, success_threshold)
        self._kernel.tune(failures, successes, reset_ns_of(reset_timeout))
        self._change(
            failure_threshold=failures or None,
            success_threshold=successes,
            reset_timeout=reset_timeout,
        )

    @property
    def tells_failures(self) -> bool:
        """Whether the face is told of each call that fails."""
        return self._told & _FAILURES != 0

    def _turn(self, state: State, at_ns: int) -> None:
        """Put it into a state, as of a time that may have passed, without telling anybody."""
        self._kernel.override(STATES.index(state), at_ns)


def reset_ns_of(seconds: float) -> int:
    """Return an open time for the kernel: none if it is below zero, and at most 285 years."""
    return int(min(max(0.0, seconds * 1e9), 9e18))
