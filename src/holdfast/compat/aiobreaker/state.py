"""The states of a circuit breaker, and what its callers catch.

A state names itself, and decides where a storage keeps the circuit. With the memory of this process
the native breaker decides, and makes a state for each change. Elsewhere: the courses of a call
(``circuitbreaker``).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from holdfast._native.gate import _at_hand
from holdfast.errors import CircuitOpenError, HoldfastError
from holdfast.mode import Mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = [
    "CircuitBreakerBaseState",
    "CircuitBreakerError",
    "CircuitBreakerOpenError",
    "CircuitBreakerState",
    "CircuitClosedState",
    "CircuitHalfOpenState",
    "CircuitOpenState",
]

STILL_OPEN = "Timeout not elapsed yet, circuit breaker still open"
STILL_PROBING = "Trial call still running, circuit breaker half-open"
AT_FIRST = "Failures threshold reached, circuit breaker opened."
AT_TRIAL = "Trial call failed, circuit breaker opened."


class CircuitBreakerError(HoldfastError):
    """The circuit is open: the call was refused, or it has failed and opened the circuit.

    A refused call raises the subclass ``CircuitBreakerOpenError``.

    Attributes:
        message: Why.
        reopen_time: When the circuit admits a trial call, in local time without a zone; None if
            that is not known.
    """

    __slots__ = ()
    code = "CIRCUIT_OPEN"
    summary = "circuit breaker is open"

    message: str
    reopen_time: datetime | None

    def __init__(self, message: str, reopen_time: datetime | None) -> None:
        self.message = message
        self.reopen_time = reopen_time

    @property
    def time_remaining(self) -> timedelta:
        """How long until the circuit admits a trial call; negative since then."""
        there = self.reopen_time
        return timedelta(0) if there is None else there - datetime.now()

    async def sleep_until_open(self) -> None:
        """Wait until the circuit admits a trial call."""
        from asyncio import sleep

        await sleep(max(0.0, self.time_remaining.total_seconds()))


@_at_hand
class CircuitBreakerOpenError(CircuitBreakerError, CircuitOpenError):
    """The call was refused; the function did not run.

    It is a ``holdfast.CircuitOpenError`` too, with ``name``, ``reason``, ``retry_after``, ``trip``.
    """

    __slots__ = ()

    if not TYPE_CHECKING:
        # Made without a call of __init__(): what is asked for is found out then.

        @property
        def message(self):
            """Why."""
            text = STILL_PROBING if self.reason == "half-open" else STILL_OPEN
            return self.__dict__.get("message", text)

        @message.setter
        def message(self, message):
            self.__dict__["message"] = message

        @property
        def reopen_time(self):
            """When the circuit admits a trial call, in local time."""
            there = self.__dict__
            if "reopen_time" not in there:
                there["reopen_time"] = _time_in(self._left())
            return there["reopen_time"]

        @reopen_time.setter
        def reopen_time(self, reopen_time):
            self.__dict__["reopen_time"] = reopen_time

        @property
        def args(self):
            """The message and the time, as they are given to the class."""
            return self.message, self.reopen_time

    def _left(self) -> float | None:
        if self.policy is None:
            return self.retry_after
        left_ns: int = self.policy.left_ns
        return left_ns / 1e9

    def _said(self) -> str:
        return str(self.args)


def _time_in(seconds: float | None) -> datetime | None:
    """Return the local time in so many seconds."""
    return None if seconds is None else datetime.now() + timedelta(seconds=seconds)


class CircuitBreakerBaseState:
    """A state of a circuit breaker.

    Args:
        breaker: Whose.
        state: Which.
    """

    def __init__(self, breaker: Any, state: CircuitBreakerState) -> None:
        self._breaker = breaker
        self._state = state

    @property
    def state(self) -> CircuitBreakerState:
        """Which state it is."""
        return self._state

    def _tell_change(self, previous: CircuitBreakerBaseState | None) -> None:
        self._breaker._tell("state_change", previous, self)

    def _handle_error(self, _func: Callable[..., Any] | None, exception: Exception) -> None:
        """Count an exception, and decide by it; raise what the caller gets instead, if any."""
        breaker = self._breaker
        if not breaker.is_system_error(exception):
            self._handle_success()
            return
        if breaker._state is not self:  # it comes too late to decide (trap 2)
            return
        breaker._inc_counter()
        breaker._tell("failure", exception)
        self.on_failure(exception)

    def _handle_success(self) -> None:
        breaker = self._breaker
        if breaker._state is self:
            breaker._state_storage.reset_counter()
            self.on_success()
        breaker._tell("success")

    def call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call ``func`` through the breaker."""
        made: T = self._breaker.call(func, *args, **kwargs)
        return made

    async def call_async(self, func: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Await ``func`` through the breaker."""
        made: T = await self._breaker.call_async(func, *args, **kwargs)
        return made

    def generator_call(self, wrapped_generator: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Yield what a generator yields; its end is that of a call."""
        try:
            result = yield from wrapped_generator
        except Exception as error:
            self._handle_error(None, error)
            raise
        self._handle_success()
        return result

    def before_call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Override it to hear of calls that this state admits."""

    def on_success(self) -> None:
        """Override it to hear of successes."""

    def on_failure(self, exception: Exception) -> None:
        """Override it to hear of failures."""

    def _open(self, exception: Exception, message: str) -> None:
        self._breaker.open()
        if self._breaker.policy.mode is Mode.ENFORCE:
            raise CircuitBreakerError(message, self._breaker.opens_at) from exception


class CircuitClosedState(CircuitBreakerBaseState):
    """All calls pass; failures in a row open the circuit."""

    def __init__(
        self,
        breaker: Any,
        prev_state: CircuitBreakerBaseState | None = None,
        notify: bool = False,
    ) -> None:
        super().__init__(breaker, CircuitBreakerState.CLOSED)
        if notify:
            breaker._state_storage.reset_counter()
            self._tell_change(prev_state)

    def on_failure(self, exception: Exception) -> None:
        """Open the circuit if these were failures enough."""
        breaker = self._breaker
        if breaker._state_storage.counter >= breaker.fail_max:
            self._open(exception, AT_FIRST)


class CircuitOpenState(CircuitBreakerBaseState):
    """All calls are refused until the timeout has elapsed."""

    def __init__(
        self,
        breaker: Any,
        prev_state: CircuitBreakerBaseState | None = None,
        notify: bool = False,
    ) -> None:
        super().__init__(breaker, CircuitBreakerState.OPEN)
        if notify:
            self._tell_change(prev_state)

    def before_call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Refuse a call unless the timeout has elapsed.

        Raises:
            CircuitBreakerError: It has not.
        """
        left = self._breaker.time_until_open
        if left is not None:
            raise CircuitBreakerError(STILL_OPEN, self._breaker.opens_at)
        super().before_call(func, *args, **kwargs)


class CircuitHalfOpenState(CircuitBreakerBaseState):
    """One trial call passes: its success closes the circuit, its failure opens it."""

    def __init__(
        self,
        breaker: Any,
        prev_state: CircuitBreakerBaseState | None = None,
        notify: bool = False,
    ) -> None:
        super().__init__(breaker, CircuitBreakerState.HALF_OPEN)
        if notify:
            self._tell_change(prev_state)

    def on_failure(self, exception: Exception) -> None:
        """Open the circuit."""
        self._open(exception, AT_TRIAL)

    def on_success(self) -> None:
        """Close the circuit."""
        self._breaker.close()


class CircuitBreakerState(Enum):
    """The states; the value of each is its class."""

    OPEN = CircuitOpenState
    CLOSED = CircuitClosedState
    HALF_OPEN = CircuitHalfOpenState
