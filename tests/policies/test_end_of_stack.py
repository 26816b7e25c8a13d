"""Judging at the end of the stack, where no Python can run: classes are told apart all the same."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import holdfast as hf

DEEP = 20_000  # deeper than any of the stacks that CPython has


def at_the_end(policy: hf.Policy) -> Callable[[], Any]:
    """Return a function that calls itself through the policy until there is no room for more."""
    call: Callable[[], Any] = int
    for _ in range(DEEP):
        call = policy(call)
    return call


@pytest.mark.parametrize(
    ("settings", "counted"),
    [
        ({"ignore": (RecursionError, LookupError)}, "ignored"),
        ({"ignore": RuntimeError}, "ignored"),
        ({"on": (LookupError, RecursionError)}, "failed"),
        ({"on": LookupError}, "succeeded"),
    ],
)
def test_an_error_for_want_of_stack_is_what_it_is_named_to_be(settings, counted):
    breaker = hf.CircuitBreaker("b", failure_threshold=DEEP, **settings)
    with pytest.raises(RecursionError):
        at_the_end(breaker)()
    snapshot = breaker.snapshot()
    assert snapshot.admitted > 100
    assert getattr(snapshot, counted) == snapshot.admitted


def test_a_retry_judges_an_error_for_want_of_stack():
    retry = hf.Retry("r", attempts=2, backoff=hf.Constant(0), on=LookupError, ignore=RecursionError)
    with pytest.raises(RecursionError):
        at_the_end(retry)()
    assert retry.snapshot().attempts == sum(retry.snapshot().gave_up.values()) > 100


@pytest.mark.parametrize("above", range(4))
def test_a_fallback_stands_in_once_wherever_the_stack_ends(above):
    fallback = hf.Fallback(7, on=(LookupError, RecursionError))
    call = at_the_end(fallback)
    for _ in range(above):
        call = partial(call)  # takes less of the stack than a guard
    assert call() == 7
    assert fallback.snapshot().used == 1


def test_an_error_for_want_of_memory_is_judged_without_any():
    breaker = hf.CircuitBreaker("b", failure_threshold=1, ignore=MemoryError)

    def starve() -> None:
        raise MemoryError

    for error in (MemoryError, MemoryError):
        with pytest.raises(error):
            breaker.call(starve)
    assert (breaker.state, breaker.snapshot().ignored) == (hf.State.CLOSED, 2)
