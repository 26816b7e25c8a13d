"""Every error that holdfast raises.

``HoldfastError``, ``Rejected`` and the classes of rejections are native types, so that a rejection
costs no Python frame; here is what else can be wrong. Each class has a ``code``, a stable word for
machines, and a ``summary``, the words a rejection's message begins with. Not here: who raises
them, and when.
"""

from __future__ import annotations

from holdfast._native.gate import (
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitOpenError,
    EmergencyModeError,
    HoldfastError,
    RateLimitedError,
    Rejected,
    ShedError,
)

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


class RetryExhaustedError(HoldfastError):
    """A call with ``Retry(wrap=True)`` failed and is not tried again; the last error is its cause.

    Attributes:
        name: The retry policy's name.
        attempts: Attempts made.
        elapsed: Seconds from the first to the last.
        result: What the last attempt returned, where a result was the reason to retry; else None.
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
