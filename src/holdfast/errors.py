"""Every error that holdfast raises.

``HoldfastError`` and ``Rejected`` are native types, so that a rejection costs no Python frame;
here are the classes that say which policy refused and what else can be wrong. Each has a
``code``, a stable word for machines, and the rejections a ``summary``, the words their message
begins with. Not here: who raises them, and when.
"""

from __future__ import annotations

from holdfast._native.gate import HoldfastError, Rejected

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
    "ShedError",
]


class CircuitOpenError(Rejected):
    """The circuit breaker admits no call, or no further probe."""

    __slots__ = ()
    code = "CIRCUIT_OPEN"
    summary = "circuit breaker is open"


class RateLimitedError(Rejected):
    """The rate limiter has no tokens left, or none in time."""

    __slots__ = ()
    code = "RATE_LIMITED"
    summary = "rate limit exceeded"


class BulkheadFullError(Rejected):
    """Every place of the bulkhead is taken, and every place to wait for one."""

    __slots__ = ()
    code = "BULKHEAD_FULL"
    summary = "bulkhead is full"


class BulkheadTimeoutError(Rejected):
    """No place of the bulkhead came free within the longest wait."""

    __slots__ = ()
    code = "BULKHEAD_TIMEOUT"
    summary = "bulkhead wait timeout"


class ShedError(Rejected):
    """The call was shed to keep the latency of the others."""

    __slots__ = ()
    code = "SHED"
    summary = "load is shed"


class EmergencyModeError(Rejected):
    """The system runs in emergency mode, which this call is no part of."""

    __slots__ = ()
    code = "EMERGENCY_MODE"
    summary = "system in emergency mode"


class DeadlineExceededError(HoldfastError, TimeoutError):
    """The time allowed for the call is over."""

    code = "DEADLINE_EXCEEDED"
    summary = "operation timeout"


class PoolStoppedError(HoldfastError, RuntimeError):
    """A task was given to a pool that takes no more."""

    code = "POOL_STOPPED"
    summary = "pool is stopped"


class ConfigError(HoldfastError, ValueError):
    """Settings that cannot be, every one of them named.

    Attributes:
        problems: One line per setting: ``"field: got VALUE, allowed …"``.
    """

    code = "INVALID_CONFIG"
    summary = "invalid configuration"
    problems: tuple[str, ...]

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class MissingExtraError(HoldfastError, ImportError):
    """A feature needs packages that come with an extra of holdfast.

    Attributes:
        extra: The extra that brings them.
        feature: What was asked for.
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
