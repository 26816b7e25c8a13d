"""Calls that end as a test wants them to, and breakers in the state it starts from."""

from typing import Any

import pytest

import holdfast as hf

SECOND = 10**9


class OutageError(Exception):
    """What a dependency raises when it fails."""


def outage() -> None:
    raise OutageError


def fine() -> str:
    return "fine"


def raising(error: BaseException) -> Any:
    """Return a function that raises ``error``."""

    def call() -> None:
        raise error

    return call


def succeed(policy: hf.Policy, times: int = 1) -> None:
    """Make calls that are admitted and return."""
    for _ in range(times):
        assert policy.call(fine) == "fine"


def fail(policy: hf.Policy, times: int = 1) -> None:
    """Make calls that are admitted and raise."""
    for _ in range(times):
        with pytest.raises(OutageError):
            policy.call(outage)


def rejection(policy: hf.Policy) -> hf.Rejected | None:
    """Make a call; return what refused it, or None when it ran."""
    return policy.try_call(fine).rejection


def breaker_of(clock: hf.ManualClock, **settings: Any) -> hf.CircuitBreaker:
    """Return a breaker on a test's clock."""
    return hf.CircuitBreaker("payments", clock=clock, **settings)


def half_open_breaker(clock: hf.ManualClock, **settings: Any) -> hf.CircuitBreaker:
    """Return a breaker whose open time is over, half-open by a probe that proved nothing."""
    breaker = breaker_of(clock, **settings)
    breaker.trip()
    clock.advance(breaker.retry_after or 0)
    breaker.acquire().ignore()
    assert breaker.state is hf.State.HALF_OPEN
    return breaker


def changes(breaker: hf.CircuitBreaker) -> dict[tuple[hf.State, hf.State], int]:
    """Return the transitions that happened, and how often."""
    counted = breaker.snapshot().state_changes.items()
    return {_from_and_to(change): n for change, n in counted if n}


def _from_and_to(change: str) -> tuple[hf.State, hf.State]:
    old, new = change.split("->")
    return hf.State(old), hf.State(new)
