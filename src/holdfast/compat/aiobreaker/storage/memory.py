"""State in the memory of this process: that of the native breaker that it belongs to."""

from __future__ import annotations

from holdfast.compat.aiobreaker.storage.base import CircuitBreakerStorage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from holdfast.compat.aiobreaker.state import CircuitBreakerState

__all__ = ["CircuitMemoryStorage"]


class CircuitMemoryStorage(CircuitBreakerStorage):
    """The memory of this process.

    Args:
        state: The state to begin with.

    Safe to share between threads. Breakers that share one share their state.
    """

    def __init__(self, state: CircuitBreakerState) -> None:
        super().__init__("memory")
        self._live: Any = None  # the breaker whose policy has it all; None: it is here
        self._fail_counter = 0
        self._opened_at: datetime | None = None
        self._state = state

    @property
    def state(self) -> CircuitBreakerState:
        """The state of the circuit."""
        return self._state if self._live is None else self._live.native_state

    @state.setter
    def state(self, state: CircuitBreakerState) -> None:
        if self._live is None:
            self._state = state
        else:
            self._live.order(state)

    def increment_counter(self) -> None:
        """Count a failure."""
        if self._live is None:
            self._fail_counter += 1
        else:
            self._live.counter += 1

    def reset_counter(self) -> None:
        """Set the number of failures to zero."""
        if self._live is None:
            self._fail_counter = 0
        elif self._live.counter:
            self._live.counter = 0

    @property
    def counter(self) -> int:
        """The number of failures in a row."""
        return self._fail_counter if self._live is None else self._live.counter

    @property
    def opened_at(self) -> datetime | None:
        """When the circuit was last opened, in UTC without a zone; None if it never was."""
        return self._opened_at if self._live is None else self._live.opened_at

    @opened_at.setter
    def opened_at(self, date_time: datetime | None) -> None:
        if self._live is None:
            self._opened_at = date_time
        else:
            self._live.opened_at = date_time
