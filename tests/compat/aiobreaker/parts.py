"""Functions, a listener and ways to wait, which several files of tests use."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.compat.aiobreaker import (
    CircuitBreakerListener,
    CircuitBreakerState,
)
from holdfast.compat.aiobreaker.storage.memory import CircuitMemoryStorage
from tests.compat.aiobreaker.storages import OutageError

CLOSED, OPEN, HALF_OPEN = (
    CircuitBreakerState.CLOSED,
    CircuitBreakerState.OPEN,
    CircuitBreakerState.HALF_OPEN,
)
SHORT = timedelta(seconds=5)


def elapse(breaker, clock):
    """Let the timeout of an open circuit elapse: of a storage, by its own time."""
    if isinstance(breaker._state_storage, CircuitMemoryStorage):
        clock.advance(breaker.timeout_duration.total_seconds())
    else:
        past = datetime.now(UTC).replace(tzinfo=None) - breaker.timeout_duration
        breaker._state_storage.opened_at = past


def succeed(*args):
    return args


def fail(*_args):
    raise OutageError


async def asucceed(*args):
    return args


async def afail(*_args):
    raise OutageError


def fails(breaker, times=1, error=OutageError):
    for _ in range(times):
        with pytest.raises(error) as raised:
            breaker.call(fail)
    return raised.value


class Told(CircuitBreakerListener):
    """A listener that keeps what it hears."""

    def __init__(self):
        self.heard = []

    def before_call(self, breaker, func, *args, **kwargs):
        self.heard.append(("call", args, kwargs))

    def success(self, breaker):
        self.heard.append("success")

    def failure(self, breaker, exception):
        self.heard.append(type(exception).__name__)

    def state_change(self, breaker, old, new):
        self.heard.append((old.state.name, new.state.name))
