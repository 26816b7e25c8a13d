"""What the tests of the face of pybreaker share."""

import contextlib
from types import SimpleNamespace

import pytest

from holdfast.compat.pybreaker import (
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerStorage,
)


class DownError(Exception):
    """What a dependency raises."""


def fail(*_):
    raise DownError("down")


async def afail(*_):
    raise DownError("down")


def fails(call, times=1, error=DownError):
    """Call what fails, and check what it raises."""
    for _ in range(times):
        with pytest.raises(error):
            call()


def quietly(call, times=1):
    for _ in range(times):
        with contextlib.suppress(DownError, CircuitBreakerError):
            call()


class Recorder(CircuitBreakerListener):
    """A listener that keeps what it hears, in a word each."""

    def __init__(self):
        self.heard = []
        self.counters = []

    def before_call(self, cb, func, *args, **kwargs):
        self.heard.append(("before", getattr(func, "__name__", "?"), args, kwargs))

    def failure(self, cb, exc):
        self.heard.append(f"failure {exc}")
        self.counters.append(cb.fail_counter)

    def success(self, cb):
        self.heard.append("success")

    def state_change(self, cb, old_state, new_state):
        self.heard.append(f"{old_state.name}->{new_state.name}")

    @property
    def words(self):
        return [one if isinstance(one, str) else one[0] for one in self.heard]


class Changes(CircuitBreakerListener):
    """A listener that hears of changes of state only."""

    def __init__(self):
        self.heard = []

    def state_change(self, cb, old_state, new_state):
        self.heard.append(f"{old_state.name}->{new_state.name}")


class DictStorage(CircuitBreakerStorage):
    """A storage of a user's: everything is in a dict."""

    def __init__(self, **kept):
        super().__init__("dict")
        self.kept = SimpleNamespace(
            **{"state": "closed", "counter": 0, "successes": 0, "opened_at": None, **kept}
        )

    @property
    def state(self):
        return self.kept.state

    @state.setter
    def state(self, state):
        self.kept.state = state

    def increment_counter(self):
        self.kept.counter += 1

    def reset_counter(self):
        self.kept.counter = 0

    def increment_success_counter(self):
        self.kept.successes += 1

    def reset_success_counter(self):
        self.kept.successes = 0

    @property
    def counter(self):
        return self.kept.counter

    @property
    def success_counter(self):
        return self.kept.successes

    @property
    def opened_at(self):
        return self.kept.opened_at

    @opened_at.setter
    def opened_at(self, datetime):
        self.kept.opened_at = datetime
