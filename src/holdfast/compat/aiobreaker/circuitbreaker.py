"""The circuit breaker of aiobreaker: settings, states, listeners, and how a function is guarded."""

from __future__ import annotations

from datetime import timedelta
from functools import wraps

from holdfast._native.gate import _callable_kind
from holdfast.compat._breaking import place_of
from holdfast.compat.aiobreaker.courses import Courses
from holdfast.compat.aiobreaker.native import utc_now
from holdfast.compat.aiobreaker.state import CircuitBreakerState
from holdfast.compat.aiobreaker.storage.memory import CircuitMemoryStorage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable
    from typing import Any, ParamSpec, TypeAlias, TypeVar, overload

    from holdfast.compat.aiobreaker.listener import CircuitBreakerListener
    from holdfast.compat.aiobreaker.state import CircuitBreakerBaseState
    from holdfast.compat.aiobreaker.storage.base import CircuitBreakerStorage

    P = ParamSpec("P")
    T = TypeVar("T")
    F = TypeVar("F", bound=Callable[..., Any])
    Exclusion: TypeAlias = type[Exception] | Callable[[Any], Any]

__all__ = ["CircuitBreaker"]

_COROUTINE, _GENERATOR = 1, 2  # hf_callable


class CircuitBreaker(Courses):
    """Rejects calls to what fails repeatedly, until a trial call succeeds.

    Args:
        fail_max: Failures in a row that open the circuit.
        timeout_duration: How long it stays open; None is a minute.
        exclude: Exceptions that are no failures: classes, and predicates of the exception.
        listeners: Who is told of calls and changes.
        state_storage: Where the state is kept; None is the memory of this process.
        name: For messages and metrics; else module and name of the first decorated function.

    Attributes:
        policy: The breaker of holdfast that decides, refuses and counts.

    Safe to share between threads and event loops.
    """

    def __init__(
        self,
        fail_max: float = 5,
        timeout_duration: timedelta | None = None,
        exclude: Iterable[Exclusion] | None = None,
        listeners: Iterable[CircuitBreakerListener] | None = None,
        state_storage: CircuitBreakerStorage | None = None,
        name: str | None = None,
    ) -> None:
        self._state_storage = state_storage or CircuitMemoryStorage(CircuitBreakerState.CLOSED)
        self._fail_max = fail_max
        self._timeout_duration = timeout_duration or timedelta(seconds=60)
        self._excluded_exceptions = list(exclude or [])
        self._listeners = list(listeners or [])
        self._name = name
        self._prepare(CircuitBreaker)
        self._state = self._create_new_state(self.current_state)
        if name is not None:
            self._make(name)

    # ---- settings ----

    @property
    def fail_counter(self) -> int:
        """The number of failures in a row."""
        counter: int = self._state_storage.counter
        return counter

    @property
    def fail_max(self) -> float:
        """Failures in a row that open the circuit; may be set."""
        return self._fail_max

    @fail_max.setter
    def fail_max(self, number: float) -> None:
        self._fail_max = number
        self._retune()

    @property
    def timeout_duration(self) -> timedelta:
        """How long the circuit stays open; may be set, also while it is open."""
        return self._timeout_duration

    @timeout_duration.setter
    def timeout_duration(self, timeout: timedelta) -> None:
        self._timeout_duration = timeout
        self._retune()

    @property
    def name(self) -> str | None:
        """The name that was given; may be set. Metrics keep the first one."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    # ---- times ----

    async def sleep_until_open(self) -> None:
        """Wait until the circuit admits a trial call."""
        from asyncio import sleep

        left = self.time_until_open
        await sleep(0 if left is None else left.total_seconds())

    # ---- states ----

    def _create_new_state(
        self,
        new_state: Any,
        prev_state: CircuitBreakerBaseState | None = None,
        notify: bool = False,
    ) -> CircuitBreakerBaseState:
        if not isinstance(new_state, CircuitBreakerState):
            allowed = ", ".join(state.name for state in CircuitBreakerState)
            raise ValueError(f"Unknown state {new_state!r}, valid states: {allowed}")
        made: CircuitBreakerBaseState = new_state.value(self, prev_state=prev_state, notify=notify)
        return made

    @property
    def state(self) -> CircuitBreakerBaseState:
        """The state, as the storage has it; its ``state`` says which. May be set."""
        now = self.current_state
        if now != self._state.state:
            if self._policy is not None and not self._stored:
                return self._create_new_state(now)  # another thread will tell of it
            self._take_state(now)  # it was changed elsewhere
        there: CircuitBreakerBaseState = self._state
        return there

    @state.setter
    def state(self, state: CircuitBreakerState) -> None:
        if self._stored or not isinstance(state, CircuitBreakerState):
            self._take_state(state)
        else:
            self._go(state)

    @property
    def current_state(self) -> CircuitBreakerState:
        """Which state the storage has."""
        state: CircuitBreakerState = self._state_storage.state
        return state

    def open(self) -> None:
        """Open the circuit: calls are refused until the timeout has elapsed."""
        self._go(CircuitBreakerState.OPEN)

    def half_open(self) -> None:
        """Half-open the circuit: the next call decides."""
        self._go(CircuitBreakerState.HALF_OPEN)

    def close(self) -> None:
        """Close the circuit, and forget the failures."""
        self._go(CircuitBreakerState.CLOSED)

    def _go(self, state: CircuitBreakerState) -> None:
        made = self.policy
        if not self._stored:
            made.order(state)
            if state is CircuitBreakerState.OPEN:
                made._opened_at = utc_now()
            return
        with self._lock:
            if state is CircuitBreakerState.OPEN:
                self._state_storage.opened_at = utc_now()
            self._state_storage.state = state
        self._put_policy(state)
        self._take_state(state)

    # ---- what is a failure ----

    @property
    def excluded_exceptions(self) -> tuple[Exclusion, ...]:
        """Exceptions that are no failures: classes, and predicates of the exception."""
        return tuple(self._excluded_exceptions)

    def add_excluded_exception(self, exception: Exclusion) -> None:
        """Take an exception for no failure from now on."""
        self._excluded_exceptions.append(exception)

    def add_excluded_exceptions(self, *exceptions: Exclusion) -> None:
        """Take several for no failures."""
        for exception in exceptions:
            self.add_excluded_exception(exception)

    def remove_excluded_exception(self, exception: Exclusion) -> None:
        """Take an exception for a failure again.

        Raises:
            ValueError: It was not excluded.
        """
        self._excluded_exceptions.remove(exception)

    def is_system_error(self, exception: BaseException) -> bool:
        """Return whether an exception is a failure: no class and no predicate excludes it."""
        for exclusion in tuple(self._excluded_exceptions):
            if isinstance(exclusion, type):
                if isinstance(exception, exclusion):
                    return False
            elif exclusion(exception):
                return False
        return True

    def _inc_counter(self) -> None:
        self._state_storage.increment_counter()

    # ---- calls ----

    def call(self, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``func``. A coroutine function or a generator function settles when it ends.

        Raises:
            CircuitBreakerError: The circuit is open, or has opened by this call.
        """
        if getattr(func, "_ignore_on_call", False):
            return func(*args, **kwargs)
        made: T
        if self._is_fast:
            made = self._native_call(func, *args, **kwargs)
        else:
            made = self._run(func, args, kwargs)
        return made

    async def call_async(
        self, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Await ``func``.

        Raises:
            CircuitBreakerError: The circuit is open, or has opened by this call.
        """
        if getattr(func, "_ignore_on_call", False):
            return await func(*args, **kwargs)
        made: T
        if self._is_fast:
            made = await self._native_acall(func, *args, **kwargs)
        else:
            made = await self._arun(func, args, kwargs)
        return made

    if TYPE_CHECKING:

        @overload
        def __call__(self, func: F, /) -> F: ...
        @overload
        def __call__(self, *, ignore_on_call: bool = ...) -> Callable[[F], F]: ...
        def __call__(self, *call_args: Any, ignore_on_call: bool = True) -> Any:
            """Guard a function: ``@breaker``, or ``@breaker(ignore_on_call=False)``."""

    else:

        def __call__(self, *call_args, ignore_on_call=True):
            """Guard a function: ``@breaker``, or ``@breaker(ignore_on_call=False)``.

            Args:
                call_args: The function, or nothing.
                ignore_on_call: Whether ``call`` of the guarded function counts it only once.

            Raises:
                TypeError: It is given anything but a function.
            """
            if not call_args:
                return lambda func: self._guard(func, ignore_on_call)
            if len(call_args) > 1 or not callable(call_args[0]):
                raise TypeError("Decorator does not accept positional arguments.")
            return self._guard(call_args[0], ignore_on_call)

    def _guard(self, func: Callable[..., Any], ignore_on_call: bool) -> Any:
        guard: Any = self._make(place_of(func))._guard(func)

        @wraps(func)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            return guard(*args, **kwargs) if self._is_fast else self.call(func, *args, **kwargs)

        @wraps(func)
        async def aguarded(*args: Any, **kwargs: Any) -> Any:
            if self._is_fast:
                return await guard(*args, **kwargs)
            return await self.call_async(func, *args, **kwargs)

        @wraps(func)
        def gguarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from self.call(func, *args, **kwargs))

        kind = _callable_kind(func)
        made: Any = {_COROUTINE: aguarded, _GENERATOR: gguarded}.get(kind, guarded)
        made._ignore_on_call = ignore_on_call
        return made

    # ---- listeners ----

    @property
    def listeners(self) -> tuple[CircuitBreakerListener, ...]:
        """Who is told of calls and changes."""
        return tuple(self._listeners)

    def add_listener(self, listener: CircuitBreakerListener) -> None:
        """Tell a listener of calls and changes from now on."""
        with self._lock:
            self._listeners.append(listener)
            self._set_ways()

    def add_listeners(self, *listeners: CircuitBreakerListener) -> None:
        """Tell several."""
        for listener in listeners:
            self.add_listener(listener)

    def remove_listener(self, listener: CircuitBreakerListener) -> None:
        """Tell a listener no longer.

        Raises:
            ValueError: It is not a listener of this breaker.
        """
        with self._lock:
            self._listeners.remove(listener)
            self._set_ways()
