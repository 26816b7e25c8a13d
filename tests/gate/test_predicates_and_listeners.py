"""What code of the user's, asked or told on the way, can do to a call: as little as may be."""

import asyncio
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from holdfast import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpenError,
    Event,
    ManualClock,
    RateLimitedError,
    State,
)
from tests.gate.parts import fates, pipe, places, tokens, tripping

Fails = Callable[[], Any]


def failing(error: BaseException) -> Fails:
    def fail() -> None:
        raise error

    return fail


def contexts(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None:
        assert error not in found, "exceptions in a circle"
        found.append(error)
        error = error.__context__
    return found


# ---- is_failure ----


def test_a_predicate_decides_what_a_result_means() -> None:
    breaker = CircuitBreaker("b", is_failure=lambda answer: answer == 503)
    assert breaker.call(lambda: 503) == 503
    assert breaker.call(lambda: 200) == 200
    assert fates(breaker) == {"failed": 1, "succeeded": 1}


def test_a_predicate_that_raises_on_a_result_is_the_calls_exception_and_no_verdict() -> None:
    breaker, bulkhead = tripping(is_failure=lambda answer: answer.status), places()
    with pytest.raises(AttributeError, match="status"):
        pipe(bulkhead, breaker).call(object)
    assert (bulkhead.in_flight, fates(breaker), breaker.state) == (0, {"ignored": 1}, State.CLOSED)


def test_a_predicate_that_raises_on_an_exception_has_it_as_its_context() -> None:
    own, predicates = OSError("down"), KeyError("predicate")
    breaker = tripping(is_failure=lambda error: failing(predicates)())
    with pytest.raises(KeyError) as caught:
        breaker.call(failing(own))
    assert caught.value is predicates
    assert contexts(predicates) == [predicates, own]
    assert fates(breaker) == {"ignored": 1}


def test_a_predicate_may_raise_what_it_was_shown() -> None:
    def again(error: BaseException) -> None:
        raise error

    def other(error: BaseException) -> None:
        raise ValueError from error

    def inside(error: BaseException) -> None:
        try:
            raise error
        except OSError:
            raise ValueError from None

    def context(error: BaseException) -> None:
        assert error.__context__ is not None
        raise error.__context__

    def two(error: BaseException) -> None:
        try:
            raise LookupError
        except LookupError:
            raise ValueError from None

    def call() -> None:
        try:
            raise TypeError
        except TypeError:
            raise OSError from None

    for predicate, kinds in (
        (again, [OSError, TypeError]),
        (other, [ValueError, OSError, TypeError]),
        (inside, [ValueError, OSError, TypeError]),
        (context, [TypeError]),
        (two, [ValueError, LookupError, OSError, TypeError]),
    ):
        with pytest.raises((OSError, ValueError, TypeError)) as caught:
            tripping(is_failure=predicate).call(call)
        assert [type(error) for error in contexts(caught.value)] == kinds, predicate


def test_a_predicate_is_shown_an_exception_within_the_callers_own_handling() -> None:
    """A context that caller and predicate share is no reason to lose the call's exception."""
    breaker = tripping(is_failure=lambda error: failing(KeyError())())
    try:
        raise RuntimeError
    except RuntimeError:
        with pytest.raises(KeyError) as caught:
            breaker.call(failing(OSError()))
    assert [type(e) for e in contexts(caught.value)] == [KeyError, OSError, RuntimeError]


def test_outer_policies_judge_what_a_predicate_raised() -> None:
    outer = CircuitBreaker("outer", on=KeyError)
    inner = CircuitBreaker("inner", is_failure=lambda result: failing(KeyError())())
    with pytest.raises(KeyError):
        pipe(outer, inner).call(int)
    assert (fates(outer), fates(inner)) == ({"failed": 1}, {"ignored": 1})


def test_a_predicate_whose_answer_has_no_truth_is_one_that_raises() -> None:
    class Neither:
        def __bool__(self) -> bool:
            raise ArithmeticError

    breaker = tripping(is_failure=lambda result: Neither())
    with pytest.raises(ArithmeticError):
        breaker.call(int)
    assert fates(breaker) == {"ignored": 1}


def test_a_predicate_that_raises_stop_iteration_returns_nothing_to_who_awaits() -> None:
    async def work() -> int:
        return 1

    breaker = tripping(is_failure=lambda result: failing(StopIteration("value"))())
    for call in (breaker(work), lambda: breaker.acall(work)):
        with pytest.raises(RuntimeError, match="coroutine raised StopIteration") as caught:
            asyncio.run(call())
        assert isinstance(caught.value.__cause__, StopIteration)


def test_a_predicate_may_call_its_own_breaker() -> None:
    def ask(result: object) -> bool:
        return result == 0 and breaker.call(lambda: 1) == 0

    breaker = CircuitBreaker("b", is_failure=ask)
    assert breaker.call(int) == 0
    assert fates(breaker) == {"succeeded": 2}


def test_a_predicate_is_not_asked_what_no_predicate_decides() -> None:
    asked: list[object] = []
    breaker = CircuitBreaker("b", on=OSError, ignore=BlockingIOError, is_failure=asked.append)
    for error in (KeyboardInterrupt(), BlockingIOError(), KeyError(), RateLimitedError()):
        with pytest.raises(type(error)):
            breaker.call(failing(error))
    assert asked == []
    assert fates(breaker) == {"ignored": 3, "succeeded": 1}


# ---- listeners ----


def test_a_listener_that_raises_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:  # trap 13
    breaker = tripping()
    breaker.on_event(lambda event: failing(ValueError("listener"))())
    with caplog.at_level(logging.CRITICAL), pytest.raises(OSError, match="down") as caught:
        breaker.call(failing(OSError("down")))
    assert contexts(caught.value) == [caught.value]
    with caplog.at_level(logging.CRITICAL), pytest.raises(CircuitOpenError):
        breaker.call(int)
    assert breaker._listeners.raised == 2
    assert fates(breaker) == {"failed": 1}


@pytest.mark.parametrize("moment", ["trip", "refusal", "half-open", "close", "limiter", "bulkhead"])
@pytest.mark.parametrize("how", ["call", "with", "acall", "permit", "try_call"])
def test_an_interrupt_in_a_listener_ends_the_call_and_leaves_nothing(moment: str, how: str) -> None:
    """Wherever it comes: entering, refused, leaving; what was taken is given back."""
    clock = ManualClock()
    breaker, bulkhead, limiter = tripping(clock), places(1), tokens(1, clock)
    pipeline = pipe(bulkhead, breaker, limiter, places(1))
    policies = pipeline.policies
    error = OSError("down") if moment == "trip" else None
    if moment in ("refusal", "half-open", "close"):
        breaker.trip()
    if moment in ("half-open", "close"):
        clock.advance(60)
    if moment == "limiter":
        limiter.acquire()
    if moment == "bulkhead":
        policies[3].enter()
    before = limiter.available

    def listen(event: Event) -> None:
        if moment != "close" or event.new is State.CLOSED:
            raise KeyboardInterrupt

    for policy in policies:
        policy.on_event(listen)
    with pytest.raises(KeyboardInterrupt) as caught:
        calling(pipeline, how, error)
    assert contexts(caught.value)[1:] == ([error] if error else [])
    if moment == "bulkhead":
        policies[3].leave()
    assert [policy.in_flight for policy in policies if policy is not limiter] == [0, 0, 0]
    assert breaker.snapshot().probes == 0
    ran = moment in ("trip", "close")
    assert before - limiter.available == ran
    assert breaker.snapshot().admitted == ran


def calling(policy: Any, how: str, error: BaseException | None) -> Any:
    fn = failing(error) if error else int

    async def work() -> Any:
        return fn()

    if how == "with":
        with policy:
            return fn()
    if how == "acall":
        return drive(policy.acall(work))
    if how == "permit":
        with policy.acquire():
            return fn()
    return getattr(policy, how)(fn)


def drive(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    pytest.fail("it waits")


def test_a_listener_may_use_the_policy_it_listens_to() -> None:  # trap 13, trap 10
    clock = ManualClock()
    breaker = tripping(clock)
    seen: list[object] = []

    def listen(event: Event) -> None:
        seen.append((event.kind, breaker.state, breaker.peek(), breaker.snapshot().in_flight))
        if event.new is State.OPEN:
            breaker.try_call(int)
            with pytest.raises(CircuitOpenError):
                breaker.call(int)

    breaker.on_event(listen)
    breaker.try_call(failing(OSError()))
    assert seen == [
        ("transition", State.OPEN, False, 0),
        ("rejection", State.OPEN, False, 0),
        ("rejection", State.OPEN, False, 0),
    ]


def test_a_listener_may_change_the_state_it_is_told_of() -> None:  # trap 13
    breaker = tripping()
    breaker.on_event(lambda event: breaker.reset() if event.new is State.OPEN else None)
    for _ in range(3):
        breaker.try_call(failing(OSError()))
        assert breaker.state is State.CLOSED
    assert fates(breaker) == {"failed": 3}


# ---- signals while a place changes hands ----


def test_an_interrupt_while_the_next_is_let_in_reaches_the_caller(monkeypatch) -> None:
    bulkhead = Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None)
    error = OSError("down")
    real = bulkhead._room

    class Room:
        def admit(self) -> None:
            real.admit()
            raise KeyboardInterrupt

    for fn, chained in ((int, []), (failing(error), [error])):
        bulkhead._kernel.enter_or_queue()
        bulkhead._kernel.leave()
        swap = partial(monkeypatch.setattr, Bulkhead, "_room", Room())
        with pytest.raises(KeyboardInterrupt) as caught:
            bulkhead.call(queue_one(bulkhead, swap, fn))
        assert contexts(caught.value)[1:] == chained
        assert (bulkhead.in_flight, bulkhead.waiting) == (0, 0)
    assert sys.exc_info() == (None, None, None)


def queue_one(bulkhead: Bulkhead, swap_room: Callable[[], object], fn: Fails) -> Fails:
    """What the kernel takes for a waiter comes while the call runs, so that its end lets it in."""

    def call() -> Any:
        swap_room()
        bulkhead._kernel.enter_or_queue()
        return fn()

    return call
