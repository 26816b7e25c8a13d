"""The face of ``circuitbreaker`` 2.1.3: its names, deciding by the breaker of holdfast.

>>> from holdfast.compat.circuitbreaker import circuit
>>> @circuit(failure_threshold=3, recovery_timeout=10, name="payments")
... def charge(card: str) -> str:
...     return f"charged {card}"
>>> charge("4242")
'charged 4242'

A decorated function is guarded natively. A subclass that overrides what a call consists of
(``call``, ``opened``, ``__exit__`` …) is asked for each of it, as in the original.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil, floor
from types import MethodType

from holdfast._native.gate import _at_hand
from holdfast.compat._breaking import FaceBreaker, maker, place_of
from holdfast.errors import CircuitOpenError, Rejected
from holdfast.policies.base import enter, unentered
from holdfast.policies.breaker.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Iterator,
    )
    from types import TracebackType
    from typing import Any, Literal, ParamSpec, Self, TypeAlias, TypeVar, overload

    _P = ParamSpec("_P")
    _R = TypeVar("_R")
    _Y = TypeVar("_Y")
    _S = TypeVar("_S")
    _F = TypeVar("_F", bound=Callable[..., Any])

    FailurePredicate: TypeAlias = Callable[[type[Any], Any], Any]
    ExpectedException: TypeAlias = (
        type[BaseException] | Iterable[type[BaseException]] | FailurePredicate
    )

STRING_TYPES = (bytes, str)
STATE_CLOSED = "closed"
STATE_OPEN = "open"
STATE_HALF_OPEN = "half_open"


def in_exception_list(*exc_types: type[BaseException]) -> FailurePredicate:
    """Return a failure predicate: whether an exception is of one of these classes."""

    def matches_types(thrown_type: type[BaseException], _: object) -> bool:
        return issubclass(thrown_type, exc_types)

    return matches_types


def build_failure_predicate(expected_exception: Any) -> FailurePredicate:
    """Return a predicate that gets the class of an exception and the exception.

    Args:
        expected_exception: A class, an iterable of classes, or such a predicate.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(expected_exception, type) and issubclass(expected_exception, Exception):
        return in_exception_list(expected_exception)
    try:
        iter(expected_exception)
    except TypeError:
        if not callable(expected_exception) or isinstance(expected_exception, type):
            raise ValueError("expected_exception does not look like a predicate") from None
        predicate: FailurePredicate = expected_exception
        return predicate
    if isinstance(expected_exception, STRING_TYPES):
        raise ValueError("expected_exception cannot be a string. Did you mean name?")
    return in_exception_list(*expected_exception)


class _Judge:
    """What is a failure, and the last one, until a call succeeds."""

    __slots__ = ("_error", "_mark", "is_failure", "kernel")

    def __init__(self, is_failure: FailurePredicate) -> None:
        self.is_failure = is_failure
        self.kernel: Any = None  # of the policy, once there is one
        self._error: BaseException | None = None
        self._mark = 0

    def wants(self, error: BaseException) -> bool:
        if not self.is_failure(type(error), error):
            return False
        self.keep(error)
        return True

    def keep(self, error: BaseException | None) -> None:
        self._mark = self._successes()
        self._error = error

    def last(self) -> BaseException | None:
        """Return the last failure; None if a call has succeeded since."""
        kernel = self.kernel
        if kernel is None or kernel.state() != 0 or kernel.consecutive() != 0:
            return self._error
        if self._successes() != self._mark:
            self._error = None
        return self._error

    def _successes(self) -> int:
        return 0 if self.kernel is None else self.kernel.counters()[1]


class _Call:
    """The method ``call``: of an object without overrides that of its policy, in native code."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, breaker: CircuitBreaker | None, cls: type) -> Any:
        if breaker is None:
            return self._function
        native = breaker.policy.call  # found in the object from here on
        return native if _is_plain(breaker) else MethodType(self._function, breaker)


class CircuitBreaker:
    """Rejects calls to what fails repeatedly, until one test call succeeds.

    Args:
        failure_threshold: Consecutive failures that open the circuit; else ``FAILURE_THRESHOLD``.
        recovery_timeout: Seconds that it stays open; else ``RECOVERY_TIMEOUT``.
        expected_exception: What is a failure: a class, an iterable of classes, or a predicate of
            class and exception; else ``EXPECTED_EXCEPTION`` of the very class, else ``Exception``.
        name: For messages, metrics and the monitor; else that of the first decorated function, in
            metrics with its module.
        fallback_function: Called with the arguments of a call that the open circuit rejects; of
            the same kind as the decorated function.

    Attributes:
        is_failure: The predicate of class and exception that tells a failure.
        policy: The breaker of holdfast that decides and counts.

    Raises:
        ValueError: ``expected_exception`` is a string, or no such thing.

    Safe to share between threads and event loops.
    """

    FAILURE_THRESHOLD: Any = 5
    RECOVERY_TIMEOUT: Any = 30
    EXPECTED_EXCEPTION: Any = Exception
    FALLBACK_FUNCTION: Any = None

    def __init__(
        self,
        failure_threshold: float | None = None,
        recovery_timeout: float | None = None,
        expected_exception: ExpectedException | None = None,
        name: str | None = None,
        fallback_function: Callable[..., Any] | None = None,
    ) -> None:
        self._failure_threshold = failure_threshold or self.FAILURE_THRESHOLD
        self._recovery_timeout = recovery_timeout or self.RECOVERY_TIMEOUT
        if not expected_exception:
            # From the dict of the class: a function would be bound to this object.
            own = vars(type(self)).get("EXPECTED_EXCEPTION", CircuitBreaker.EXPECTED_EXCEPTION)
            expected_exception = own
        self._judge = _Judge(build_failure_predicate(expected_exception))
        self._fallback_function = fallback_function or self.FALLBACK_FUNCTION
        self._name = name
        self._label: str = maker() if name is None else name
        if name is not None:
            self._make()

    # ---- the native breaker ----

    @property
    def policy(self) -> FaceBreaker:
        """The breaker of holdfast that decides and counts."""
        there: FaceBreaker | None = self.__dict__.get("_made")
        return there or self._make()

    def _make(self) -> FaceBreaker:
        made = unentered(
            None,
            FaceBreaker,
            self._label,
            failure_threshold=self._failure_threshold,
            reset_timeout=self._recovery_timeout,
            rejection=CircuitBreakerError,
            wanted=self._judge.wants,
            face=self,
        )
        there: FaceBreaker = self.__dict__.setdefault("_made", made)  # of many threads one
        if there is not made:
            return there
        self._judge.kernel = made._kernel
        if _is_plain(self):
            self.__dict__["call"] = made.call  # without a frame of Python
        enter(made)
        return made

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object, /) -> Self:
        return self

    # ---- guarding ----

    def __call__(self, wrapped: _F) -> _F:
        """Return the function guarded by this circuit breaker."""
        return self.decorate(wrapped)

    def __enter__(self) -> None:
        """Admit a call: the block.

        Raises:
            CircuitBreakerError: The circuit is open.
        """
        self.policy.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> Literal[False]:
        """Settle the call, and let what it raised pass."""
        policy = self.policy
        policy.__exit__(exc_type, exc_value, _traceback)
        if not _has(self, "reset") and policy.state is State.CLOSED and not self.failure_count:
            self.reset()  # a subclass is told of successes by it
        return False

    def decorate(self, function: _F) -> _F:
        """Return the function guarded by this circuit breaker, and register it for the monitor."""
        if self._name is None:
            self._name = _name_of(function)
            self._label = place_of(function)
        CircuitBreakerMonitor.register(self)
        guarded: Any
        if not _is_plain(self):
            from holdfast.compat._circuit_courses import by_methods

            guarded = by_methods(self, function, CircuitBreakerError)
        elif self.fallback_function:
            from holdfast.compat._circuit_courses import with_fallback

            guarded = with_fallback(self, function)
        else:
            guarded = self.policy(function)
        made: _F = guarded
        return made

    def call(self, func: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call ``func``. What it returns to be awaited or iterated over is guarded itself.

        Raises:
            CircuitBreakerError: The circuit is open.
        """
        with self:
            return func(*args, **kwargs)

    if not TYPE_CHECKING:
        call = _Call(call)

    def call_generator(
        self, func: Callable[_P, Generator[_Y, _S, _R]], *args: _P.args, **kwargs: _P.kwargs
    ) -> Generator[_Y, _S, _R]:
        """Yield what the generator of ``func`` yields; its end settles the call.

        Raises:
            CircuitBreakerError: The circuit is open.
        """
        if _is_plain(self):
            return (yield from self.policy(func)(*args, **kwargs))
        with self:
            return (yield from func(*args, **kwargs))

    async def call_async(
        self, func: Callable[_P, Awaitable[_R]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        """Await what ``func`` returns.

        Raises:
            CircuitBreakerError: The circuit is open.
        """
        if _is_plain(self):
            return await self.policy.acall(func, *args, **kwargs)
        with self:
            return await func(*args, **kwargs)

    async def call_async_generator(
        self, func: Callable[_P, AsyncGenerator[_Y, Any]], *args: _P.args, **kwargs: _P.kwargs
    ) -> AsyncGenerator[_Y, None]:
        """Yield what the asynchronous generator of ``func`` yields; its end settles the call.

        Raises:
            CircuitBreakerError: The circuit is open.
        """
        from holdfast.compat._circuit_courses import closing

        if _is_plain(self):
            async for item in closing(self.policy(func)(*args, **kwargs)):
                yield item
            return
        with self:
            async for item in closing(func(*args, **kwargs)):
                yield item

    def reset(self) -> None:
        """Close the circuit and forget the failures."""
        policy = self.policy
        self._judge.keep(None)
        if policy.state is not State.CLOSED or policy.consecutive_failures:
            policy.reset()

    # ---- what it shows ----

    @property
    def state(self) -> str:
        """``STATE_CLOSED``, ``STATE_OPEN`` or ``STATE_HALF_OPEN``: the next call is a test."""
        policy = self.policy
        state = policy.state
        if state is State.HALF_OPEN or (state is State.OPEN and policy.is_due):
            return STATE_HALF_OPEN
        return STATE_OPEN if state in {State.OPEN, State.FORCED_OPEN} else STATE_CLOSED

    @property
    def open_until(self) -> datetime:
        """About when the circuit will try to recover, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.open_remaining)

    @property
    def open_remaining(self) -> int:
        """Whole seconds until the circuit will try to recover; negative since then."""
        left = self.policy.left_ns / 1e9
        return ceil(left) if left > 0 else floor(left)

    @property
    def failure_count(self) -> int:
        """Failures in a row; it is kept while the circuit is open."""
        return self.policy.consecutive_failures

    @property
    def closed(self) -> bool:
        """Whether the circuit is closed."""
        return self.state == STATE_CLOSED

    @property
    def opened(self) -> bool:
        """Whether the circuit is open and rejects calls."""
        return self.state == STATE_OPEN

    @property
    def name(self) -> str | None:
        """The name that was given, else that of the first decorated function."""
        return self._name

    @property
    def last_failure(self) -> BaseException | None:
        """The last failure; None if there was none, or a call has succeeded since."""
        return self._judge.last()

    @property
    def fallback_function(self) -> Callable[..., Any] | None:
        """What is called in place of a rejected call."""
        return self._fallback_function

    @property
    def is_failure(self) -> FailurePredicate:
        """The predicate of class and exception that tells a failure."""
        return self._judge.is_failure

    @is_failure.setter
    def is_failure(self, predicate: FailurePredicate) -> None:
        self._judge.is_failure = predicate

    def __str__(self) -> str:
        return self.name or "unnamed_CircuitBreaker"

    # ---- what tests of users reach for ----

    @property
    def _last_failure(self) -> BaseException | None:
        return self._judge.last()

    @_last_failure.setter
    def _last_failure(self, error: BaseException | None) -> None:
        self._judge.keep(error)

    @property
    def _failure_count(self) -> int:
        return self.policy.consecutive_failures

    @property
    def _state(self) -> str:
        return self.state

    @_state.setter
    def _state(self, state: str) -> None:
        orders = {STATE_OPEN: "trip", STATE_HALF_OPEN: "half_open", STATE_CLOSED: "reset"}
        getattr(self.policy, orders[state])()


@_at_hand
class CircuitBreakerError(CircuitOpenError):
    """The circuit is open and rejects the call; also a ``holdfast.CircuitOpenError``."""

    __slots__ = ()

    def __init__(self, circuit_breaker: Any = None, *args: object, **kwargs: Any) -> None:
        policy = getattr(circuit_breaker, "policy", None)
        if policy is not None:
            kwargs.setdefault("name", policy.name)
            kwargs.setdefault("retry_after", policy.retry_after)
            kwargs.setdefault("reason", "open")
        elif circuit_breaker is not None:  # made anew of its arguments, by Celery say
            args = (circuit_breaker, *args)
        Rejected.__init__(self, *args, policy=policy, **kwargs)

    @property
    def _circuit_breaker(self) -> Any:
        return getattr(self.policy, "face", None)

    def _said(self) -> str:
        breaker = self._circuit_breaker
        if breaker is None:  # unpickled, in another process
            return super()._said()
        return (
            f'Circuit "{breaker.name}" OPEN until {breaker.open_until} '
            f"({breaker.failure_count} failures, {round(breaker.open_remaining)} sec remaining) "
            f"(last_failure: {breaker.last_failure!r})"
        )


class CircuitBreakerMonitor:
    """All circuit breakers that guard a function, by name; of two of one name the later."""

    circuit_breakers: dict[str | None, CircuitBreaker] = {}  # noqa: RUF012 - as the original

    @classmethod
    def register(cls, circuit_breaker: CircuitBreaker) -> None:
        """Enter a circuit breaker under its name."""
        cls.circuit_breakers[circuit_breaker.name] = circuit_breaker

    @classmethod
    def all_closed(cls) -> bool:
        """Return whether none is open."""
        return not any(cls.get_open())

    @classmethod
    def get_circuits(cls) -> Iterable[CircuitBreaker]:
        """Return all of them."""
        return list(cls.circuit_breakers.values())

    @classmethod
    def get(cls, name: str) -> CircuitBreaker | None:
        """Return the one of that name, or None."""
        return cls.circuit_breakers.get(name)

    @classmethod
    def get_open(cls) -> Iterator[CircuitBreaker]:
        """Yield those that are open."""
        return (one for one in cls.get_circuits() if one.opened)

    @classmethod
    def get_closed(cls) -> Iterator[CircuitBreaker]:
        """Yield those that are closed."""
        return (one for one in cls.get_circuits() if one.closed)


if TYPE_CHECKING:

    @overload
    def circuit(failure_threshold: _F) -> _F: ...
    @overload
    def circuit(
        failure_threshold: float | None = None,
        recovery_timeout: float | None = None,
        expected_exception: ExpectedException | None = None,
        name: str | None = None,
        fallback_function: Callable[..., Any] | None = None,
        cls: type[CircuitBreaker] = CircuitBreaker,
    ) -> CircuitBreaker: ...
    def circuit(*args: Any, **kwargs: Any) -> Any:
        """Guard a function: ``@circuit``, or ``@circuit(…)``."""

else:

    def circuit(
        failure_threshold=None,
        recovery_timeout=None,
        expected_exception=None,
        name=None,
        fallback_function=None,
        cls=CircuitBreaker,
    ):
        """Guard a function: ``@circuit``, or ``@circuit(…)`` with what ``CircuitBreaker`` takes."""
        if callable(failure_threshold):
            return cls().decorate(failure_threshold)
        return cls(
            failure_threshold=failure_threshold,
            recovery_timeout=recovery_timeout,
            expected_exception=expected_exception,
            name=name,
            fallback_function=fallback_function,
        )


# ---- which course a call takes ----

_OWN = {
    name: vars(CircuitBreaker)[name]
    for name in (
        *("__enter__", "__exit__", "call", "call_async", "call_generator", "call_async_generator"),
        *("opened", "closed", "state", "open_remaining", "fallback_function", "reset"),
    )
}


def _has(breaker: CircuitBreaker, name: str) -> bool:
    """Return whether a method is that of ours, and not a subclass's or a test's."""
    for cls in type(breaker).__mro__:
        if name in vars(cls):
            return vars(cls)[name] is _OWN[name]
    return False


def _is_plain(breaker: CircuitBreaker) -> bool:
    """Return whether nothing that a call consists of is overridden."""
    return all(_has(breaker, name) for name in _OWN)


def _name_of(function: Any) -> str:
    name: str = getattr(function, "__qualname__", None) or function.__name__
    return name
