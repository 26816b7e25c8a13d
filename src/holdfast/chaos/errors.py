"""What faults raise by default, and why chaos could not be enabled."""

from __future__ import annotations

from holdfast.errors import HoldfastError

__all__ = [
    "ChaosRefusedError",
    "InjectedError",
    "InjectedPanicError",
    "InjectedPartitionError",
    "InjectedTimeoutError",
]


class ChaosRefusedError(HoldfastError, RuntimeError):
    """Chaos was to be enabled in production."""

    code = "CHAOS_REFUSED"
    summary = "chaos refused"


class _InjectedBaseError(HoldfastError):
    """Has its summary as its message, unless it is given one."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(args or (self.summary,)))


class InjectedError(_InjectedBaseError, ConnectionError):
    """What ``chaos.Error`` raises by default: a ConnectionError, which counts as transient."""

    code = "INJECTED_ERROR"
    summary = "chaos monkey injected error"


class InjectedTimeoutError(_InjectedBaseError, TimeoutError):
    """What ``chaos.Timeout`` raises."""

    code = "INJECTED_TIMEOUT"
    summary = "operation timed out due to chaos injection"


class InjectedPanicError(_InjectedBaseError, RuntimeError):
    """What ``chaos.Raise`` raises by default: an error that no policy expects."""

    code = "INJECTED_PANIC"
    summary = "chaos injected an unexpected error"


class InjectedPartitionError(_InjectedBaseError, ConnectionError):
    """What ``chaos.Partition`` raises: a ConnectionError, which counts as transient."""

    code = "INJECTED_PARTITION"
    summary = "network partition due to chaos injection"
