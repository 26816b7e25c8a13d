"""The face of pybreaker 1.4.1: change the import, keep the code.

``from holdfast.compat import pybreaker`` has its breaker, states, storages, listeners and errors.
Behind each breaker stands a ``holdfast.CircuitBreaker``, its ``policy``: that decides and counts
where the storage is the memory of this process. Another storage decides by what is in it, as do
methods that a subclass changes; the policy then follows, refuses and counts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import wraps
from importlib.util import find_spec

from holdfast._native.gate import _callable_kind, _own_methods
from holdfast.compat.pybreaker.courses import TRIP_TEXTS, Block, Courses
from holdfast.compat.pybreaker.errors import CircuitBreakerError, CircuitBreakerOpenError
from holdfast.compat.pybreaker.policy import need_number
from holdfast.compat.pybreaker.redis_storage import CircuitRedisStorage
from holdfast.compat.pybreaker.storage import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_OF,
    STATE_OPEN,
    CircuitBreakerStorage,
    CircuitMemoryStorage,
    age_of,
)
from holdfast.guards import decorate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
    from typing import Any, NoReturn, TypeAlias, TypeVar, overload

    T = TypeVar("T")
    F = TypeVar("F", bound=Callable[..., Any])
    Exclusion: TypeAlias = type[BaseException] | Callable[[Any], bool]
    CBListenerType = TypeVar("CBListenerType", bound="CircuitBreakerListener")

__all__ = (
    "STATE_CLOSED",
    "STATE_HALF_OPEN",
    "STATE_OPEN",
    "CircuitBreaker",
    "CircuitBreakerError",
    "CircuitBreakerListener",
    "CircuitMemoryStorage",
    "CircuitRedisStorage",
)

HAS_TORNADO_SUPPORT = find_spec("tornado") is not None
HAS_REDIS_SUPPORT = find_spec("redis") is not None

_PLAIN, _GENERATOR, _ASYNC_GENERATOR = 0, 2, 3  # hf_callable
_AT_FIRST, _AT_TRIAL = TRIP_TEXTS.values()


class CircuitBreaker(Courses):
    """A circuit breaker with the face of pybreaker's.

    Closed: calls pass; ``fail_max`` failures in a row open it. Open: calls are refused for
    ``reset_timeout`` seconds. Half-open: one call at a time passes; ``success_threshold`` successes
    close it, one failure opens it. A trial call that is lost gives its slot up after 30 seconds.

    Cancellations and interrupts (exceptions that are no ``Exception``) count as nothing.

    Args:
        fail_max: Failures in a row that open the circuit. Below 1, the first one does.
        reset_timeout: Seconds that the circuit stays open.
        success_threshold: Successful trial calls that close the circuit.
        exclude: What is no failure, but a success: exception classes, and functions that are called
            with an exception and answer whether it is excluded.
        listeners: Who is told of calls and changes. One thread tells them at a time.
        state_storage: Where the state is kept; a ``CircuitMemoryStorage`` by default.
        name: Shown in metrics. By default that of the first function which is decorated, or the
            module that makes the breaker.
        throw_new_error_on_trip: Whether the call whose failure opens the circuit raises
            ``CircuitBreakerError`` in place of its own exception.

    Safe to share between threads and event loops. Calls do not wait for each other.

    >>> breaker = CircuitBreaker(fail_max=3, name="payments")
    >>> breaker.call(len, "ok"), breaker.current_state
    (2, 'closed')
    """

    def __init__(
        self,
        fail_max: int = 5,
        reset_timeout: float = 60,
        success_threshold: int = 1,
        exclude: Iterable[Exclusion] | None = None,
        listeners: Sequence[CBListenerType] | None = None,
        state_storage: CircuitBreakerStorage | None = None,
        name: str | None = None,
        throw_new_error_on_trip: bool = True,
    ) -> None:
        need_number("fail_max", fail_max)
        need_number("reset_timeout", reset_timeout)
        need_number("success_threshold", success_threshold)
        self._state_storage = state_storage or CircuitMemoryStorage(STATE_CLOSED)
        self._name = name
        self._fail_max = fail_max
        self._reset_timeout = reset_timeout
        self._success_threshold = success_threshold
        self._excluded_exceptions = list(exclude or [])
        self._listeners = list(listeners or [])
        self._throw_new_error_on_trip = throw_new_error_on_trip
        self._prepare(CircuitBreaker)
        self._state = self._create_new_state(self.current_state)
        if name:
            self._make(name)

    # ---- settings and counters ----

    @property
    def fail_counter(self) -> int:
        """The number of failures in a row."""
        return self._state_storage.counter  # type: ignore[no-any-return]

    @property
    def success_counter(self) -> int:
        """The number of successful trial calls while half-open."""
        return self._state_storage.success_counter  # type: ignore[no-any-return]

    @property
    def fail_max(self) -> int:
        """How many failures in a row open the circuit."""
        return self._fail_max  # type: ignore[return-value]

    @fail_max.setter
    def fail_max(self, number: int) -> None:
        self._retune(fail_max=number)

    @property
    def reset_timeout(self) -> float:
        """For how many seconds the circuit stays open; a change holds for the present opening."""
        return self._reset_timeout

    @reset_timeout.setter
    def reset_timeout(self, timeout: float) -> None:
        self._retune(reset_timeout=timeout)

    @property
    def success_threshold(self) -> int:
        """How many successful trial calls close the circuit."""
        return self._success_threshold  # type: ignore[return-value]

    @success_threshold.setter
    def success_threshold(self, threshold: int) -> None:
        self._retune(success_threshold=threshold)

    @property
    def name(self) -> str | None:
        """The name, if it was given one. Metrics know the breaker by its latest."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name
        there = self._policy
        if there is not None:
            self._adopt(self._new_policy(self._module), there)

    # ---- states ----

    def _create_new_state(
        self, new_state: str, prev_state: CircuitBreakerState | None = None, notify: bool = False
    ) -> CBStateType:
        classes: dict[str, type[CBStateType]] = {
            STATE_CLOSED: CircuitClosedState,
            STATE_OPEN: CircuitOpenState,
            STATE_HALF_OPEN: CircuitHalfOpenState,
        }
        if new_state not in classes:
            raise ValueError(f"Unknown state {new_state!r}, valid states: {', '.join(classes)}")
        return classes[new_state](self, prev_state=prev_state, notify=notify)

    @property
    def state(self) -> CBStateType:
        """The state as an object with a ``name``. Assign a name to put the circuit into a state."""
        name = self.current_state
        if name == self._state.name:
            return self._state  # type: ignore[no-any-return]
        if not self._stored:  # amid a change, of which another thread will tell
            return self._create_new_state(name)
        with self._lock:
            self._notices = True  # the counters are those of who has changed the state
            try:
                self.state = name
            finally:
                self._notices = False
        return self._state  # type: ignore[no-any-return]

    @state.setter
    def state(self, state_str: str) -> None:
        if state_str not in STATE_OF:
            self._create_new_state(state_str)  # raises
        if not self._stored:
            self.policy._order(STATE_OF[state_str])
            return
        with self._lock:
            self._state = self._create_new_state(state_str, prev_state=self._state, notify=True)
            self._put_policy(STATE_OF[state_str])

    @property
    def current_state(self) -> str:
        """The state that the storage has: "closed", "open" or "half-open"."""
        return self._state_storage.state  # type: ignore[no-any-return]

    def open(self) -> bool:
        """Open the circuit: calls are refused for ``reset_timeout`` seconds from now.

        Returns:
            ``throw_new_error_on_trip``.
        """
        with self._lock:
            if self._stored:
                self._state_storage.opened_at = datetime.now(UTC)
                self._state_storage.state = STATE_OPEN
                self.state = STATE_OPEN
            else:
                policy = self.policy
                live = self._state_storage._live
                live.fails = live.counter
                policy.trip()
                live.open_as_of_now()
        return self._throw_new_error_on_trip

    def half_open(self) -> None:
        """Half-open the circuit: the next call decides whether it closes or opens."""
        with self._lock:
            if self._stored:
                self._state_storage.state = STATE_HALF_OPEN
                self.state = STATE_HALF_OPEN
            else:
                policy = self.policy
                live = self._state_storage._live
                live.fails = live.counter
                policy.half_open()
                live.succeeded = policy._kernel.counters()[1]

    def close(self) -> None:
        """Close the circuit, and forget all failures."""
        with self._lock:
            if self._stored:
                self._state_storage.reset_success_counter()
                self._state_storage.state = STATE_CLOSED
                self.state = STATE_CLOSED
            else:
                self.policy.reset()

    # ---- failures ----

    @property
    def excluded_exceptions(self) -> tuple[Exclusion, ...]:
        """What is no failure: classes, and functions that are asked."""
        return tuple(self._excluded_exceptions)

    def add_excluded_exception(self, exception: Exclusion) -> None:
        """Exclude exceptions of a class, or those for which a function says so."""
        with self._lock:
            self._excluded_exceptions.append(exception)

    def add_excluded_exceptions(self, *exceptions: Exclusion) -> None:
        """Exclude several."""
        for exception in exceptions:
            self.add_excluded_exception(exception)

    def remove_excluded_exception(self, exception: Exclusion) -> None:
        """Exclude it no longer.

        Raises:
            ValueError: It was not excluded.
        """
        with self._lock:
            self._excluded_exceptions.remove(exception)

    def _inc_counter(self) -> None:
        self._state_storage.increment_counter()

    def is_system_error(self, exception: BaseException) -> bool:
        """Return whether an exception is a failure: nothing excludes it."""
        for exclusion in tuple(self._excluded_exceptions):
            if isinstance(exclusion, type):
                if isinstance(exception, exclusion):
                    return False
            elif callable(exclusion) and exclusion(exception):
                return False
        return True

    # ---- calls ----

    if TYPE_CHECKING:  # a native method of Handle

        def call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
            """Call ``func`` if the circuit admits a call, and count how it ends.

            What it returns to be run later (a coroutine, a generator, the result of
            ``@contextmanager``, a future) is guarded itself: admitted when it starts.

            Raises:
                CircuitBreakerError: The circuit is open, or this failure has opened it.
            """

    async def acall(self, func: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Call ``func`` and await what it returns, as one call.

        Raises:
            CircuitBreakerError: The circuit is open, or this failure has opened it.
            TypeError: ``func`` is a generator function.
        """
        kind = _callable_kind(func)
        if kind in (_GENERATOR, _ASYNC_GENERATOR):
            what = "async generators" if kind == _ASYNC_GENERATOR else "generators"
            raise TypeError(f"acall does not support {what}; use call")
        policy = self.policy
        guards = self._guards
        if not guards:
            return await policy.acall(func, *args, **kwargs)
        if self._stored:
            return await self._arun_stored(guards[1], func, args, kwargs)  # type: ignore[no-any-return]
        return await guards[1](func, args, kwargs)  # type: ignore[no-any-return]

    def call_async(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a coroutine function of tornado or asyncio; return a future of its result."""
        from tornado import gen

        @wraps(func)
        async def run(*args: Any, **kwargs: Any) -> Any:
            return await gen.convert_yielded(func(*args, **kwargs))

        @gen.coroutine
        def guarded() -> Generator[Any, Any, Any]:
            return (yield self.acall(run, *args, **kwargs))

        return guarded()

    def calling(self) -> Block:
        """Guard a ``with`` block as one call; or, as a decorator, each call of a function.

        Raises:
            CircuitBreakerError: The circuit is open, or this failure has opened it.
        """
        return Block(self)

    if TYPE_CHECKING:

        @overload
        def __call__(self, func: F, /, **call_kwargs: bool) -> F: ...
        @overload
        def __call__(self, **call_kwargs: bool) -> Callable[[F], F]: ...

    def __call__(self, *call_args: Any, **call_kwargs: Any) -> Any:  # type: ignore[misc]
        """Return a function guarded by this breaker, or a decorator.

        Args:
            *call_args: The function: a ``def``, an ``async def``, a generator, a method.
            **call_kwargs: ``__pybreaker_call_async=True`` calls it by ``call_async``.

        Raises:
            ImportError: ``__pybreaker_call_async`` is set, and tornado is not installed.
        """
        is_async = call_kwargs.pop("__pybreaker_call_async", False)
        if is_async and not HAS_TORNADO_SUPPORT:
            raise ImportError("No module named tornado")
        guard = self._guard_async if is_async else self._guard_sync
        return guard(*call_args) if call_args else guard

    def _guard_sync(self, func: Any) -> Any:
        if self._policy is None:
            inner = getattr(func, "__func__", func)
            named = getattr(inner, "__qualname__", None) or type(inner).__qualname__
            self._make(f"{getattr(inner, '__module__', None) or self._module}.{named}")
        handle: Any = self
        return decorate(handle, func)

    def _guard_async(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(func)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            return self.call_async(func, *args, **kwargs)

        return guarded

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

    def __repr__(self) -> str:
        name = "" if self._name is None else f" {self._name!r}"
        return f"<{type(self).__name__}{name} {self.current_state}>"


_own_methods(CircuitBreaker)  # type: ignore[arg-type]


def _silent(hear: F) -> F:
    """Mark what a listener has that does nothing, so that no call stops to tell it."""
    hear._is_silent = True  # type: ignore[attr-defined]
    return hear


class CircuitBreakerListener:
    """The base class of listeners: override what you want to hear.

    A listener is called in the thread of the call, by one thread at a time for each breaker. What
    it raises is logged by "pybreaker" and changes no outcome.
    """

    @_silent
    def before_call(
        self, cb: CircuitBreaker, func: Callable[..., T], *args: Any, **kwargs: Any
    ) -> None:
        """Hear of a call that is admitted, before it runs."""

    @_silent
    def failure(self, cb: CircuitBreaker, exc: BaseException) -> None:
        """Hear of a failure, when it is counted."""

    @_silent
    def success(self, cb: CircuitBreaker) -> None:
        """Hear of a success, when it is counted."""

    def state_change(
        self,
        cb: CircuitBreaker,
        old_state: CircuitBreakerState | None,
        new_state: CircuitBreakerState,
    ) -> None:
        """Hear of a change of state, when it has happened."""


class CircuitBreakerState:
    """A state of a breaker: what has a ``name``, and is asked where a storage decides.

    Args:
        cb: The breaker.
        name: "closed", "open" or "half-open".
    """

    def __init__(self, cb: CircuitBreaker, name: str) -> None:
        self._breaker = cb
        self._name = name

    @property
    def name(self) -> str:
        """Its name: "closed", "open" or "half-open"."""
        return self._name

    def _tell_change(self, previous: CircuitBreakerState | None) -> None:
        self._breaker._tell("state_change", previous, self)

    def _handle_error(self, exc: BaseException) -> None:
        breaker = self._breaker
        with breaker._lock:
            if not breaker.is_system_error(exc):
                self._handle_success()
            elif breaker._state is self:  # else it comes too late to decide (trap 2)
                breaker._inc_counter()
                breaker._tell("failure", exc)
                self.on_failure(exc)

    def _handle_success(self) -> None:
        breaker = self._breaker
        with breaker._lock:
            if breaker._state is self:
                breaker._state_storage.reset_counter()
                self.on_success()
            breaker._tell("success")

    def call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call ``func`` through the breaker."""
        return self._breaker.call(func, *args, **kwargs)

    def call_async(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a coroutine function of tornado or asyncio through the breaker."""
        return self._breaker.call_async(func, *args, **kwargs)

    def before_call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Override it to hear of calls that this state admits."""

    def on_success(self) -> None:
        """Override it to hear of successes."""

    def on_failure(self, exc: BaseException) -> None:
        """Override it to hear of failures."""

    def _open(self, exc: BaseException, text: str) -> NoReturn:
        if self._breaker.open():
            raise CircuitBreakerError(text).with_traceback(exc.__traceback__)
        raise exc


class CircuitClosedState(CircuitBreakerState):
    """All calls pass; failures in a row open the circuit."""

    def __init__(
        self,
        cb: CircuitBreaker,
        prev_state: CircuitBreakerState | None = None,
        notify: bool = False,
    ) -> None:
        super().__init__(cb, STATE_CLOSED)
        if notify:
            if cb._stored and not cb._notices:
                cb._state_storage.reset_counter()
            self._tell_change(prev_state)

    def on_failure(self, exc: BaseException) -> None:
        """Open the circuit if these were failures enough."""
        if self._breaker._state_storage.counter >= self._breaker.fail_max:
            self._open(exc, _AT_FIRST)


class CircuitOpenState(CircuitBreakerState):
    """All calls are refused until the open time is over."""

    def __init__(
        self,
        cb: CircuitBreaker,
        prev_state: CircuitBreakerState | None = None,
        notify: bool = False,
    ) -> None:
        super().__init__(cb, STATE_OPEN)
        if notify:
            if cb._stored and not cb._notices:
                cb._state_storage.reset_success_counter()
            self._tell_change(prev_state)

    def before_call(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Refuse a call, or make it as a trial when the open time is over.

        Raises:
            CircuitBreakerError: The open time is not over.
        """
        breaker = self._breaker
        opened_at = breaker._state_storage.opened_at
        left = timedelta(seconds=breaker.reset_timeout)
        left -= left if opened_at is None else age_of(opened_at)
        if left > timedelta(0):
            raise CircuitBreakerOpenError(
                name=breaker.policy.name, reason="open", retry_after=left.total_seconds()
            )
        breaker.half_open()
        return breaker.call(func, *args, **kwargs)


class CircuitHalfOpenState(CircuitBreakerState):
    """One call at a time passes: successes close the circuit, one failure opens it."""

    def __init__(
        self, cb: CircuitBreaker, prev_state: CircuitBreakerState | None, notify: bool = False
    ) -> None:
        super().__init__(cb, STATE_HALF_OPEN)
        if notify:
            if cb._stored and not cb._notices:
                cb._state_storage.reset_success_counter()
            self._tell_change(prev_state)

    def on_failure(self, exc: BaseException) -> NoReturn:
        """Open the circuit."""
        self._open(exc, _AT_TRIAL)

    def on_success(self) -> None:
        """Close the circuit if these were successes enough."""
        breaker = self._breaker
        breaker._state_storage.increment_success_counter()
        if breaker._state_storage.success_counter >= breaker.success_threshold:
            breaker.close()


CBStateType: TypeAlias = CircuitClosedState | CircuitHalfOpenState | CircuitOpenState


def __getattr__(name: str) -> Any:
    """Return a type variable of pybreaker's; typing is imported with the first."""
    bounds = {"CBListenerType": CircuitBreakerListener, "ExceptionType": BaseException, "T": None}
    if name not in bounds:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from typing import TypeVar

    globals()[name] = TypeVar(name, bound=bounds[name])
    return globals()[name]
