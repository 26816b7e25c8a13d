"""The states of a circuit breaker: their names and the values of the state gauge."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["STATES", "State"]


class State(StrEnum):
    """The states of a circuit breaker. Each is a string, its value: ``f"{State.OPEN}"`` is "open".

    Safe to share between threads and event loops.

    >>> State("half_open").metric
    1
    """

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"
    FORCED_OPEN = "forced-open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics-only"

    @property
    def metric(self) -> int:
        """The value of the state gauge: 0 closed, 1 half-open, 2 open, also for overrides."""
        return _METRICS[self]

    @classmethod
    def _missing_(cls, value: object) -> State | None:
        """Take "half_open" for "half-open", as some systems spell it."""
        return _SPELLINGS.get(value.replace("_", "-")) if isinstance(value, str) else None


STATES = tuple(State)  # in the order of enum hf_state
_SPELLINGS = {state.value: state for state in State}
_METRICS = {
    State.CLOSED: 0,
    State.HALF_OPEN: 1,
    State.OPEN: 2,
    State.FORCED_OPEN: 2,
    State.DISABLED: 0,
    State.METRICS_ONLY: 0,
}
