"""The interface of storages."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from holdfast.compat.aiobreaker.state import CircuitBreakerState

__all__ = ["CircuitBreakerStorage"]


class CircuitBreakerStorage(ABC):
    """The base class of storages: a subclass keeps state, counter and the time of the opening.

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
    @abstractmethod
    def state(self) -> CircuitBreakerState:
        """The state of the circuit."""

    @state.setter
    @abstractmethod
    def state(self, state: CircuitBreakerState) -> None: ...

    @abstractmethod
    def increment_counter(self) -> None:
        """Count a failure."""

    @abstractmethod
    def reset_counter(self) -> None:
        """Set the number of failures to zero."""

    @property
    @abstractmethod
    def counter(self) -> int:
        """The number of failures in a row."""

    @property
    @abstractmethod
    def opened_at(self) -> datetime | None:
        """When the circuit was last opened, in UTC without a zone; None if it never was."""

    @opened_at.setter
    @abstractmethod
    def opened_at(self, date_time: datetime) -> None: ...
