"""Every error that holdfast raises.

``HoldfastError`` and ``Rejected`` are native types, so that a rejection is made without a Python
frame. Each class has a ``code``, a stable word for machines, and a ``summary``, with which the
message of a user's own class begins. Elsewhere: who raises them, and when.
"""

from __future__ import annotations

from math import isnan, nan
from types import FunctionType

from holdfast._native.gate import HoldfastError, Rejected, _at_hand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from holdfast.trip import Trip

__all__ = [
    "BulkheadFullError",
    "BulkheadTimeoutError",
    "CircuitOpenError",
    "ConfigError",
    "DeadlineExceededError",
    "EmergencyModeError",
    "HoldfastError",
    "MissingExtraError",
    "OperationCancelledError",
    "PoolStoppedError",
    "RateLimitedError",
    "Rejected",
    "RetryExhaustedError",
    "ShedError",
]


HoldfastError.code, HoldfastError.summary = "HOLDFAST_ERROR", "holdfast error"
Rejected.code, Rejected.summary = "REJECTED", "call rejected"


# ---- how a rejection is made, shown and pickled ----


_ARGS = BaseException.__dict__["args"]
_NO_FIGURES = (0, 0, 0, 0)


def _given(error: BaseException) -> tuple[Any, ...]:
    """Return the arguments that an error was created with; the gate gives a rejection none."""
    return _ARGS.__get__(error)  # type: ignore[no-any-return]


def _split(args: tuple[Any, ...], known: set[str]) -> tuple[str, dict[str, Any]] | None:
    """Return the message and the figures if ``args`` are the ``args`` of another error."""
    if len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], dict):
        message, figures = args
        if figures and figures.keys() <= known:
            return message, figures
    return None


def _rebuilding(given: tuple[Any, ...], message: str, told: dict[str, Any]) -> tuple[Any, ...]:
    """Return arguments from which the class of an error makes an equal error."""
    if len(given) > 1 or (given and not isinstance(given[0], str)):
        return given
    return (given[0] if given else message, told) if told else given


def _init(
    self: Rejected,
    *args: object,
    policy: object = None,
    name: str | None = None,
    reason: str = "",
    retry_after: float | None = None,
    **details: Any,
) -> None:
    known = {"name", "reason", "retry_after", *self._details}
    again = _split(args, known)
    if again is not None:
        message, details = again[0], {**again[1], **details}
        name = details.pop("name", name)
        reason = details.pop("reason", reason)
        retry_after = details.pop("retry_after", retry_after)
        args = ()
    unknown = sorted(details.keys() - known)
    if unknown:
        raise TypeError(f"Rejected.__init__() got an unexpected keyword argument {unknown[0]!r}")
    if not isinstance(reason, str):
        raise TypeError(f"reason must be a str, not {type(reason).__name__}")
    self._seconds = nan if retry_after is None else retry_after
    self.policy, self.name, self.reason = policy, name, reason
    self._detail, self._waited, self._figures = None, nan, _NO_FIGURES
    self._take(**details)
    Exception.__init__(self, *args)
    if again is not None and message != self._said():
        Exception.__init__(self, message)  # the message was not the class's own


def _retry_after(error: Rejected) -> float | None:
    return None if isnan(error._seconds) else error._seconds


def _said(self: Rejected) -> str:
    """Return, for example, "load is shed: 'payments' (latency); retry in 12.300 s"."""
    text = self.summary
    if self.name is not None:
        text += f": {self.name!r}"
    if self.reason:
        text += f" ({self.reason})"
    wait = self.retry_after
    return text if wait is None else f"{text}; retry in {wait:.3f} s"


def _message(error: Rejected) -> str:
    return Exception.__str__(error) if _given(error) else error._said()


def _told(error: Rejected) -> dict[str, Any]:
    """Return what a copy needs, in values that JSON has."""
    fields = ("name", "reason", "retry_after", *error._details)
    told = {field: getattr(error, field) for field in fields}
    known = {field: value for field, value in told.items() if value not in (None, "")}
    if "trip" in known:
        known["trip"] = known["trip"].to_dict()
    return known


def _args(error: Rejected) -> tuple[Any, ...]:
    given = _given(error)
    # Code that sends an exception on as its class and arguments, as Celery does, keeps all of it.
    return _rebuilding(given, "" if given else _message(error), _told(error))


def _restored(cls: type[Any], init: Any, args: tuple[Any, ...], figures: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    init(error, *args, **figures)
    return error


def _restored_rejection(cls: Any, args: tuple[Any, ...], figures: dict[str, Any]) -> Any:
    return _restored(cls, Rejected.__init__, args, figures)


def _state(error: BaseException) -> Any:
    state: Any = object.__getstate__(error)
    if isinstance(state, tuple):  # a class of the user's with slots
        state = {**(state[0] or {}), **state[1]}
    return state


def _reduce(error: Rejected) -> tuple[Any, ...]:
    # Policies stay in their process: an unpickled rejection has a name and figures, no policy.
    return _restored_rejection, (type(error), _given(error), _told(error)), _state(error)


def _take(self: Rejected, *args: Any, **details: Any) -> None:
    """Keep what a class of rejections knows besides name, reason and retry_after: nothing."""


for _name, _value in {
    "__init__": _init,
    "__str__": _message,
    "__repr__": lambda error: f"<{type(error).__name__}: {error}>",
    "__reduce__": _reduce,
    "retry_after": property(
        _retry_after, doc="Seconds until a call may be admitted again; None when unknown."
    ),
    "args": property(
        _args,
        _ARGS.__set__,
        _ARGS.__delete__,
        "The message and a dict of the figures: the class makes an equal error of them.",
    ),
    "_details": (),
    "_said": _said,
    "_take": _take,
}.items():
    if isinstance(_value, FunctionType):  # errors and help() name the method
        _value.__name__, _value.__qualname__ = _name, f"Rejected.{_name}"
    setattr(Rejected, _name, _value)


# ---- the classes of rejections, which add nothing to an instance ----


def _named(what: str, name: str | None) -> str:
    return what if name is None else f"{what} {name!r}"


_OPEN = {
    "open": "is open",
    "forced-open": "is forced open",
    "half-open": "is half-open and all its probes are running",
}


@_at_hand
class CircuitOpenError(Rejected):
    """The circuit breaker admits no call, or no further probe."""

    __slots__ = ()
    code = "CIRCUIT_OPEN"
    summary = "circuit breaker is open"
    _details = ("trip",)

    @property
    def trip(self) -> Trip | None:
        """Why the breaker opened; None if that is not known."""
        return self._detail  # type: ignore[no-any-return]

    def _take(self, trip: Trip | dict[str, Any] | None = None) -> None:
        if isinstance(trip, dict):
            from holdfast.trip import Trip

            trip = Trip.from_dict(trip)
        self._detail = trip

    def _said(self) -> str:
        if self.summary != CircuitOpenError.summary:  # a subclass has its own
            return _said(self)
        wait = self.retry_after
        text = f"{_named('circuit breaker', self.name)} {_OPEN.get(self.reason, 'is open')}"
        if self.trip is not None:
            text += f": {self.trip}"
        return f"{text}; retry in {wait:.3f} s" if wait else text


@_at_hand
class RateLimitedError(Rejected):
    """The rate limiter has no tokens, or not soon enough."""

    __slots__ = ()
    code = "RATE_LIMITED"
    summary = "rate limit exceeded"
    _details = ("limit",)

    @property
    def limit(self) -> str | None:
        """The limit that refused the call, such as "10/second"; None if that is not known."""
        if self._detail is None and self._figures[0] and self.policy is not None:
            self._detail = self.policy._limit_text(self._figures[0])
        return self._detail  # type: ignore[no-any-return]

    def _take(self, limit: str | None = None) -> None:
        self._detail = limit

    def _said(self) -> str:
        if self.summary != RateLimitedError.summary:
            return _said(self)
        name, limit, wait = self.name, self.limit, self.retry_after
        text = self.summary
        if name is not None:
            text += f": {name!r}" if limit is None else f": {name!r} allows {limit}"
        return text if wait is None else f"{text}; retry in {wait:.3f} s"


def _place(index: int, doc: str) -> Any:
    def get(error: Rejected) -> int | None:
        figures = error._figures
        return figures[index] if figures[1] else None

    return property(get, doc=doc)


_INSIDE = _place(0, "The number of running calls; None if that is not known.")
_LIMIT = _place(1, "The number of calls that may run; None if that is not known.")
_WAITING = _place(2, "The number of waiting calls; None if that is not known.")
_MAX_WAITING = _place(3, "The number of calls that may wait; None if that is not known.")


def _take_places(
    error: Rejected,
    inside: int | None = None,
    limit: int | None = None,
    waiting: int | None = None,
    max_waiting: int | None = None,
    waited: float | None = None,
) -> None:
    if limit is not None:
        error._figures = (inside or 0, limit, waiting or 0, max_waiting or 0)
    error._waited = nan if waited is None else waited


def _occupation(error: Rejected) -> str:
    """Return, for example, ": 8 of 8 inside, 40 of 40 waiting"."""
    inside, limit, waiting, max_waiting = error._figures
    text = f": {inside} of {limit} inside" if limit else ""
    return f"{text}, {waiting} of {max_waiting} waiting" if text and max_waiting else text


@_at_hand
class BulkheadFullError(Rejected):
    """All slots of the bulkhead and all places in its queue are taken."""

    __slots__ = ()
    code = "BULKHEAD_FULL"
    summary = "bulkhead is full"
    _details = ("inside", "limit", "waiting", "max_waiting")
    inside: Any = _INSIDE
    limit: Any = _LIMIT
    waiting: Any = _WAITING
    max_waiting: Any = _MAX_WAITING

    _take = _take_places

    def _said(self) -> str:
        if self.summary != BulkheadFullError.summary:
            return _said(self)
        return f"{_named('bulkhead', self.name)} is full{_occupation(self)}"


@_at_hand
class BulkheadTimeoutError(Rejected):
    """No slot of the bulkhead became free in time."""

    __slots__ = ()
    code = "BULKHEAD_TIMEOUT"
    summary = "bulkhead wait timeout"
    _details = ("inside", "limit", "waiting", "max_waiting", "waited")
    inside: Any = _INSIDE
    limit: Any = _LIMIT
    waiting: Any = _WAITING
    max_waiting: Any = _MAX_WAITING

    @property
    def waited(self) -> float | None:
        """Seconds that the call has waited; None if that is not known."""
        return None if isnan(self._waited) else self._waited

    _take = _take_places

    def _said(self) -> str:
        if self.summary != BulkheadTimeoutError.summary:
            return _said(self)
        waited = "in time" if self.waited is None else f"in {self.waited:.3f} s"
        return f"{_named('bulkhead', self.name)} had no free slot {waited}{_occupation(self)}"


@_at_hand
class ShedError(Rejected):
    """The call was shed to keep the latency of the others."""

    __slots__ = ()
    code = "SHED"
    summary = "load is shed"


@_at_hand
class EmergencyModeError(Rejected):
    """The system is in emergency mode, and this call is not essential."""

    __slots__ = ()
    code = "EMERGENCY_MODE"
    summary = "system in emergency mode"


# ---- the other errors ----


_DEADLINE = ("name", "role", "limit", "elapsed", "cooperative")


class DeadlineExceededError(HoldfastError, TimeoutError):
    """The call did not finish before its deadline.

    Attributes:
        name: The name of the timeout; None if it has no name.
        role: "total" or "attempt" for a timeout of ``Pipeline.standard``; else None.
        limit: Seconds that the timeout allows.
        elapsed: Seconds from the start of the call until this error.
        cooperative: Whether the call ran beyond its deadline until a check or its end. False if
            it was cut short. None if that is not known, as all of these may be.
    """

    code = "DEADLINE_EXCEEDED"
    summary = "operation timeout"
    name: str | None
    role: str | None
    limit: float | None
    elapsed: float | None
    cooperative: bool | None

    def __init__(
        self,
        *args: object,
        name: str | None = None,
        role: str | None = None,
        limit: float | None = None,
        elapsed: float | None = None,
        cooperative: bool | None = None,
    ) -> None:
        given = dict(zip(_DEADLINE, (name, role, limit, elapsed, cooperative), strict=True))
        again = _split(args, set(given))
        if again is not None:
            given |= again[1]
            args = ()
        super().__init__(*args)
        self.__dict__.update(given)
        if again is not None and again[0] != str(self):
            super().__init__(again[0])

    def __str__(self) -> str:
        if _given(self):
            return super().__str__()
        if self.limit is None:
            return self.summary
        text = f"timed out after {self.limit:g} s"
        if self.name is not None:
            text += f", {self.role} timeout" if self.role is not None else ", timeout"
            text += f" {self.name!r}"
        if self.cooperative and self.elapsed is not None and self.elapsed > 1.01 * self.limit:
            text += f", noticed after {self.elapsed:.3g} s"
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def _told(self) -> dict[str, Any]:
        known = {field: getattr(self, field) for field in _DEADLINE}
        return {field: value for field, value in known.items() if value is not None}

    @property
    def args(self) -> tuple[Any, ...]:
        """The message and a dict of the figures: the class makes an equal error of them."""
        given = _given(self)
        return _rebuilding(given, "" if given else str(self), self._told())

    @args.setter
    def args(self, value: tuple[Any, ...]) -> None:
        _ARGS.__set__(self, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored_deadline, (type(self), _given(self), self._told()), _state(self)


def _restored_deadline(cls: Any, args: tuple[Any, ...], figures: dict[str, Any]) -> Any:
    return _restored(cls, DeadlineExceededError.__init__, args, figures)


class OperationCancelledError(HoldfastError):
    """An operation of a ``TimeoutManager`` was cancelled by its identifier, or with all others.

    Attributes:
        operation: The type of the operation, such as "api_call"; None if it is not known.
        operation_id: Its identifier; None if it is not known.
        elapsed: Seconds from its begin to its end; None if that is not known.
    """

    code = "OPERATION_CANCELLED"
    summary = "operation cancelled"
    operation: str | None
    operation_id: str | None
    elapsed: float | None

    def __init__(
        self,
        operation: str | None = None,
        operation_id: str | None = None,
        elapsed: float | None = None,
    ) -> None:
        super().__init__(operation, operation_id, elapsed)
        self.operation = operation
        self.operation_id = operation_id
        self.elapsed = elapsed

    def __str__(self) -> str:
        text = self.summary
        if self.operation is not None:
            text = f"operation {self.operation!r} was cancelled"
        if self.operation_id is not None:
            text += f": {self.operation_id!r}"
        return text if self.elapsed is None else f"{text} after {self.elapsed:.3g} s"


class PoolStoppedError(HoldfastError, RuntimeError):
    """A task was submitted to a stopped pool."""

    code = "POOL_STOPPED"
    summary = "pool is stopped"


class ConfigError(HoldfastError, ValueError):
    """Invalid settings. The message names all of them.

    Attributes:
        problems: One line per setting: ``"field: got VALUE, allowed …"``.

    >>> ConfigError("Thing: size: got 0", ["size: got 0"]).code
    'INVALID_CONFIG'
    """

    code = "INVALID_CONFIG"
    summary = "invalid configuration"
    problems: tuple[str, ...]

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class MissingExtraError(HoldfastError, ImportError):
    """A feature needs packages from an extra of holdfast.

    Attributes:
        extra: The extra that installs them.
        feature: The requested feature.
    """

    code = "MISSING_EXTRA"
    summary = "missing extra"
    extra: str
    feature: str

    def __init__(self, extra: str, feature: str) -> None:
        super().__init__(extra, feature)  # what makes a copy
        self.msg = f"{feature} needs the extra {extra!r}: pip install 'holdfast[{extra}]'"
        self.extra = extra
        self.feature = feature


class RetryExhaustedError(HoldfastError):
    """A call with ``Retry(wrap=True)`` has failed and is not retried. Its cause is the last error.

    Attributes:
        name: The name of the retry policy.
        attempts: The number of attempts made.
        elapsed: Seconds from the start of the first attempt to the end of the last.
        result: The last result, if results were the reason to retry; else None.
    """

    code = "RETRY_EXHAUSTED"
    summary = "max retries exceeded"
    name: str | None
    attempts: int
    elapsed: float
    result: Any

    def __init__(
        self, name: str | None, attempts: int, elapsed: float, why: str, result: Any = None
    ) -> None:
        super().__init__(name, attempts, elapsed, why, result)
        self.name = name
        self.attempts = attempts
        self.elapsed = elapsed
        self.result = result

    def __str__(self) -> str:
        return f"{self.summary}: {self.args[3]}"
