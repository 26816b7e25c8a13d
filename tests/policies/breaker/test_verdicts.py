"""What the end of a call proves: failures, successes, and what proves nothing."""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from holdfast import State
from tests.policies.breaker.verdicts import verdict, verdict_on
from tests.policies.calls import OutageError, breaker_of, fine, raising


@pytest.mark.parametrize(
    "error", [OutageError(), ValueError(), TimeoutError(), TypeError(), hf.DeadlineExceededError()]
)
def test_every_exception_is_a_failure_unless_told_otherwise(clock, error):  # CB-27
    assert verdict_on(breaker_of(clock, failure_threshold=1000), error) == "failed"


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(),
        GeneratorExit(),
        BaseException(),
        BaseExceptionGroup("", [KeyboardInterrupt()]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_interruption_proves_nothing_about_the_dependency(clock, error):  # D-CB-8, trap 5
    breaker = breaker_of(clock, failure_threshold=1, is_failure=lambda _: True)
    assert verdict_on(breaker, error) == "ignored"
    assert breaker.state is State.CLOSED


def test_only_exceptions_that_on_names_are_failures(clock):  # D-CB-8
    breaker = breaker_of(clock, failure_threshold=1000, on=(ConnectionError, TimeoutError))
    assert verdict_on(breaker, ConnectionResetError()) == "failed"
    assert verdict_on(breaker, TimeoutError()) == "failed"
    assert verdict_on(breaker, ValueError("the dependency answered")) == "succeeded"


def test_ignore_is_stronger_than_on(clock):
    breaker = breaker_of(clock, failure_threshold=1000, on=OSError, ignore=ConnectionError)
    assert verdict_on(breaker, OSError()) == "failed"
    assert verdict_on(breaker, ConnectionResetError()) == "ignored"
    assert verdict_on(breaker, ValueError()) == "succeeded"


@pytest.mark.parametrize(
    "classes", [OutageError, (OutageError,), [OutageError], {OutageError}, frozenset({OutageError})]
)
def test_exceptions_are_named_by_a_class_or_by_several(clock, classes):
    breaker = breaker_of(clock, failure_threshold=1000, on=classes)
    assert verdict_on(breaker, OutageError()) == "failed"
    assert verdict_on(breaker, ValueError()) == "succeeded"


def test_with_nothing_in_on_no_exception_is_a_failure(clock):
    breaker = breaker_of(clock, failure_threshold=1, on=())
    assert verdict_on(breaker, OutageError()) == "succeeded"


def test_a_rejection_by_another_policy_is_no_failure_unless_on_names_it(clock):  # trap 55
    refused = hf.BulkheadFullError(name="connections", reason="full")
    for on in (Exception, (Exception, ValueError), hf.HoldfastError):
        breaker = breaker_of(clock, failure_threshold=1, on=on)
        assert verdict_on(breaker, refused) == "ignored"
        assert breaker.state is State.CLOSED
    for on in (hf.Rejected, (Exception, hf.BulkheadFullError)):
        assert verdict_on(breaker_of(clock, failure_threshold=1000, on=on), refused) == "failed"
    other = breaker_of(clock, failure_threshold=1, on=(Exception, hf.RateLimitedError))
    assert verdict_on(other, refused) == "ignored"


def test_a_result_can_be_a_failure(clock):  # CB-27
    breaker = breaker_of(clock, failure_threshold=2, is_failure=lambda status: status == 500)

    async def answer() -> int:
        return 500

    assert breaker.call(lambda: 200) == 200
    assert breaker.call(lambda: 500) == 500
    assert breaker.snapshot().consecutive_failures == 1
    with pytest.raises(StopIteration) as stop:
        breaker.acall(answer).send(None)
    assert stop.value.value == 500
    assert breaker.state is State.OPEN


def test_the_predicate_may_acquit_an_exception_that_on_names_and_no_other_is_shown_to_it(clock):
    asked: list[BaseException] = []

    def is_failure(error: Any) -> bool:
        asked.append(error)
        return bool(error.errno != 2)

    breaker = breaker_of(
        clock, failure_threshold=1000, on=OSError, ignore=ConnectionError, is_failure=is_failure
    )
    missing, broken = OSError(2, "missing"), OSError(5, "broken")
    assert verdict(breaker, lambda: breaker.call(raising(missing))) == "succeeded"
    assert verdict(breaker, lambda: breaker.call(raising(broken))) == "failed"
    assert verdict(breaker, lambda: breaker.call(raising(ValueError()))) == "succeeded"
    assert verdict(breaker, lambda: breaker.call(raising(ConnectionError()))) == "ignored"
    assert asked == [missing, broken]


@pytest.mark.parametrize("answer", [1, "yes", [0], object()])
def test_the_predicate_may_answer_with_anything_that_is_true(clock, answer):
    breaker = breaker_of(clock, failure_threshold=1, is_failure=lambda _: answer)
    breaker.call(fine)
    assert breaker.state is State.OPEN


class Undecided:
    def __bool__(self) -> bool:
        raise LookupError("neither")


@pytest.mark.parametrize("is_failure", [raising(LookupError()), lambda _: Undecided()])
def test_a_predicate_that_raises_is_heard_by_the_caller_and_proves_nothing(clock, is_failure):
    predicate = (lambda _: is_failure()) if is_failure.__name__ == "call" else is_failure
    breaker = breaker_of(clock, failure_threshold=1, is_failure=predicate)
    with pytest.raises(LookupError):
        breaker.call(fine)
    with pytest.raises(LookupError) as caught:
        breaker.call(raising(OutageError()))
    assert isinstance(caught.value.__context__, OutageError)
    s = breaker.snapshot()
    assert (s.ignored, s.failed, s.succeeded, s.in_flight) == (2, 0, 0, 0)
    assert breaker.state is State.CLOSED


def test_admission_and_outcome_can_be_told_apart_from_the_call(clock):  # CB-17, CB-18
    breaker = breaker_of(clock, failure_threshold=2, success_threshold=1, reset_timeout=60)
    breaker.acquire().failure()
    breaker.acquire().success()
    breaker.acquire().failure()
    assert breaker.state is State.CLOSED
    breaker.acquire().failure(OutageError())
    assert breaker.state is State.OPEN
    with pytest.raises(hf.CircuitOpenError):
        breaker.acquire()
    clock.advance(60)
    with breaker.acquire() as probe:
        assert breaker.state is State.HALF_OPEN
        assert not probe.settled
    assert probe.settled
    assert breaker.state is State.CLOSED


def test_a_failure_named_by_hand_is_one_whatever_on_says_but_an_exception_is_judged(clock):  # CB-17
    breaker = breaker_of(clock, failure_threshold=1000, on=OSError, ignore=OutageError)
    assert verdict(breaker, lambda: breaker.acquire().failure()) == "failed"
    assert verdict(breaker, lambda: breaker.acquire().failure(OSError())) == "failed"
    assert verdict(breaker, lambda: breaker.acquire().failure(OutageError())) == "ignored"
    assert verdict(breaker, lambda: breaker.acquire().failure(ValueError())) == "succeeded"


def test_what_is_no_exception_is_refused_and_the_permit_stays_open(clock):  # CB-17
    breaker = breaker_of(clock)
    permit = breaker.acquire()
    for wrong in (OutageError, "outage", 1):
        with pytest.raises(TypeError, match="exception instance"):
            permit.failure(wrong)  # type: ignore[arg-type]
    assert not permit.settled
    assert permit.success()


def test_an_outcome_named_inside_the_block_stands(clock):  # CB-17
    breaker = breaker_of(clock)
    with breaker.acquire() as permit:
        permit.failure()

    def succeed_and_raise() -> None:
        with breaker.acquire() as permit:
            permit.success()
            raise OutageError

    with pytest.raises(OutageError):
        succeed_and_raise()
    s = breaker.snapshot()
    assert (s.failed, s.succeeded, s.settled_twice) == (1, 1, 0)
