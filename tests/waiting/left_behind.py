"""Calls in threads that a test holds up, and leaves behind at the deadline."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from tests.waiting.parties import LIMIT, Party, until


class Held:
    """A function that runs until the test lets it go; it counts who came in and who came out."""

    def __init__(self, result: Any = "done", error: BaseException | None = None) -> None:
        self.go = threading.Event()
        self.begun: list[str] = []  # names of the threads
        self.ended = 0
        self._result, self._error = result, error

    def __call__(self, *_: Any) -> Any:
        self.begun.append(threading.current_thread().name)
        assert self.go.wait(LIMIT)
        self.ended += 1
        if self._error is not None:
            raise self._error
        return self._result


def threaded(clock: hf.Clock, duration: float = 1, **settings: Any) -> hf.Timeout:
    """Return a timeout whose calls run in threads."""
    return hf.Timeout(duration, thread=True, clock=clock, **settings)


def house(name: str = "b", places: int = 9, **settings: Any) -> hf.Bulkhead:
    """Return a bulkhead with places enough."""
    return hf.Bulkhead(name, max_concurrent=places, **settings)


def begin(policy: hf.Policy, held: Held, call: Callable[..., Any] | None = None) -> Party:
    """Have a thread call it through a policy; return once it runs."""
    before = len(held.begun)
    party = Party(call or policy.call, held)
    until(lambda: len(held.begun) > before)
    return party


def leave_behind(policy: hf.Policy, held: Held, clock: hf.ManualClock, seconds: float = 1) -> None:
    """Make a call whose time is over while it runs."""
    party = begin(policy, held)
    clock.advance(seconds)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()


def worker_threads(name: str = "") -> list[threading.Thread]:
    """Return the living threads of timeouts."""
    return [t for t in threading.enumerate() if t.name.startswith(f"holdfast-{name}")]
