"""Every error that holdfast raises.

``HoldfastError`` and ``Rejected`` are native types, so that a rejection is made without a Python
frame. Each class has a ``code``, a stable word for machines, and a ``summary``, the words a
rejection's message begins with. Elsewhere: who raises them, and when.
"""

from __future__ import annotations

from math import isnan, nan
from types import FunctionType

from holdfast._native.gate import HoldfastError, Rejected, _at_hand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = [
    "BulkheadFullError",
    "BulkheadTimeoutError",
    "CircuitOpenError",
    "ConfigError",
    "DeadlineExceededError",
    "EmergencyModeError",
    "HoldfastError",
    "MissingExtraError",
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


def _given(error: Rejected) -> tuple[Any, ...]:
    """Return the arguments that a rejection was created with; the gate gives it none."""
    return _ARGS.__get__(error)  # type: ignore[no-any-return]


def _init(
    self: Rejected,
    *args: object,
    policy: object = None,
    name: str | None = None,
    reason: str = "",
    retry_after: float | None = None,
) -> None:
    if not isinstance(reason, str):
        raise TypeError(f"reason must be a str, not {type(reason).__name__}")
    self._seconds = nan if retry_after is None else retry_after
    self.policy, self.name, self.reason = policy, name, reason
    Exception.__init__(self, *args)


def _retry_after(error: Rejected) -> float | None:
    return None if isnan(error._seconds) else error._seconds


def _message(error: Rejected) -> str:
    """Return, for example, "circuit breaker is open: 'payments' (open), retry in 12.300 s"."""
    if _given(error):
        return Exception.__str__(error)
    text = f"{error.summary}: {error.name!r} ({error.reason})"
    wait = error.retry_after
    return text if wait is None else f"{text}, retry in {wait:.3f} s"


def _args(error: Rejected) -> tuple[Any, ...]:
    # Code that sends an exception on as its class and arguments, as Celery does, keeps the message.
    return _given(error) or ((_message(error),) if error.reason else ())


def _restored(cls: type[Rejected], args: tuple[Any, ...], figures: dict[str, Any]) -> Rejected:
    error = cls.__new__(cls, *args)
    Rejected.__init__(error, *args, **figures)
    return error


def _reduce(error: Rejected) -> tuple[Any, ...]:
    # Policies stay in their process: an unpickled rejection has a name and figures, no policy.
    figures = {"name": error.name, "reason": error.reason, "retry_after": error.retry_after}
    known = {key: value for key, value in figures.items() if value is not None}
    state: Any = object.__getstate__(error)
    if isinstance(state, tuple):  # a class of the user's with slots
        state = {**(state[0] or {}), **state[1]}
    return _restored, (type(error), _given(error), known), state


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
        "The arguments of the exception; by default, its message.",
    ),
}.items():
    if isinstance(_value, FunctionType):  # errors and help() name the method
        _value.__name__, _value.__qualname__ = _name, f"Rejected.{_name}"
    setattr(Rejected, _name, _value)


# ---- the classes of rejections, which add nothing to an instance ----


@_at_hand
class CircuitOpenError(Rejected):
    """The circuit breaker admits no call, or no further probe."""

    __slots__ = ()
    code = "CIRCUIT_OPEN"
    summary = "circuit breaker is open"


@_at_hand
class RateLimitedError(Rejected):
    """The rate limiter has no tokens, or not soon enough."""

    __slots__ = ()
    code = "RATE_LIMITED"
    summary = "rate limit exceeded"


@_at_hand
class BulkheadFullError(Rejected):
    """All slots of the bulkhead and all places in its queue are taken."""

    __slots__ = ()
    code = "BULKHEAD_FULL"
    summary = "bulkhead is full"


@_at_hand
class BulkheadTimeoutError(Rejected):
    """No slot of the bulkhead became free in time."""

    __slots__ = ()
    code = "BULKHEAD_TIMEOUT"
    summary = "bulkhead wait timeout"


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


class DeadlineExceededError(HoldfastError, TimeoutError):
    """The call did not finish before its deadline."""

    code = "DEADLINE_EXCEEDED"
    summary = "operation timeout"


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
        super().__init__(f"{feature} needs the extra {extra!r}: pip install 'holdfast[{extra}]'")
        self.extra = extra
        self.feature = feature

    def __reduce__(self) -> tuple[Any, ...]:
        # ImportError would hand the message to a constructor that takes the words it is made of.
        return type(self), (self.extra, self.feature)


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
