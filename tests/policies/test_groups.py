"""Groups of exceptions: judged by what is in them, and raised as they are."""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from tests.policies.breaker.verdicts import verdict_on
from tests.policies.calls import OutageError, breaker_of, raising
from tests.policies.retry.retries import BusyError, Flaky, both_ways, by_acall, retry_of, why
from tests.policies.timeout.adaptive_timeouts import adaptive

REFUSED = hf.CircuitOpenError(name="inner", reason="open")


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("several", list(errors))


def nested(error: Exception, depth: int) -> Exception:
    for _ in range(depth):
        error = group(error)
    return error


# --- breakers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "counted"),
    [
        ([REFUSED, REFUSED], "ignored"),
        ([LookupError()], "ignored"),
        ([REFUSED, KeyError(), group(REFUSED)], "ignored"),
        ([ConnectionResetError()], "failed"),
        ([ConnectionResetError(), ValueError()], "failed"),
        ([REFUSED, group(ValueError(), group(ConnectionResetError()))], "failed"),
        ([ValueError()], "succeeded"),
        ([ValueError(), REFUSED], "succeeded"),
    ],
)
def test_a_breaker_judges_a_group_by_what_is_in_it(clock, errors, counted):
    breaker = breaker_of(clock, failure_threshold=1000, on=ConnectionError, ignore=LookupError)
    assert verdict_on(breaker, group(*errors)) == counted


def test_a_group_counts_once_whatever_is_in_it(clock):
    breaker = breaker_of(clock, failure_threshold=2)
    with pytest.raises(ExceptionGroup):
        breaker.call(raising(group(OutageError(), OutageError(), OutageError())))
    assert (breaker.snapshot().failed, breaker.state) == (1, hf.State.CLOSED)


def test_a_group_can_be_named_as_such(clock):
    class OwnGroup(ExceptionGroup[Exception]):
        pass

    own = OwnGroup("own", [ValueError()])
    assert verdict_on(breaker_of(clock, on=ValueError, ignore=OwnGroup), own) == "ignored"
    assert verdict_on(breaker_of(clock, on=ValueError, ignore=OwnGroup), group(own)) == "ignored"
    named = breaker_of(clock, failure_threshold=1000, on=ExceptionGroup)
    assert verdict_on(named, group(REFUSED)) == "failed"
    assert verdict_on(named, own) == "failed"
    assert verdict_on(named, ValueError()) == "succeeded"


def test_rejections_in_a_group_count_where_on_names_them(clock):  # trap 55
    breaker = breaker_of(clock, failure_threshold=1000, on=(OutageError, hf.CircuitOpenError))
    assert verdict_on(breaker, group(REFUSED)) == "failed"
    assert verdict_on(breaker, group(hf.RateLimitedError())) == "ignored"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interruption_in_a_group_proves_nothing(clock, interruption):  # D-CB-8
    mixed = BaseExceptionGroup("", [OutageError(), interruption()])
    assert verdict_on(breaker_of(clock, failure_threshold=1), mixed) == "ignored"


def test_a_predicate_is_shown_the_group_itself(clock):
    shown: list[object] = []
    error = group(OutageError(), REFUSED)
    breaker = breaker_of(clock, is_failure=shown.append)
    with pytest.raises(ExceptionGroup) as caught:
        breaker.call(raising(error))
    assert caught.value is error
    assert (shown, breaker.snapshot().succeeded) == ([error], 1)


@pytest.mark.parametrize("depth", [1, 15, 100, 5000])
def test_groups_may_be_within_groups(clock, depth):
    breaker = breaker_of(clock, failure_threshold=1000)
    many = group(*(nested(REFUSED, 2) for _ in range(100)), nested(OutageError(), depth))
    with pytest.raises(ExceptionGroup):
        breaker.call(raising(many))
    assert breaker.snapshot().failed == 1
    with pytest.raises(ExceptionGroup):
        breaker.call(raising(nested(REFUSED, depth)))
    assert breaker.snapshot().ignored == 1


def test_a_task_group_of_refused_calls_leaves_the_breaker_outside_closed():  # trap 55
    inner, outer = hf.CircuitBreaker("inner"), hf.CircuitBreaker("outer", failure_threshold=1)
    inner.trip()

    @inner
    async def leaf() -> None:
        raise AssertionError("ran")

    @outer
    async def several() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(leaf())
            tasks.create_task(leaf())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(several())
    assert caught.value.split(hf.CircuitOpenError)[1] is None
    assert (outer.state, outer.snapshot().ignored) == (hf.State.CLOSED, 1)


# --- retries -------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("errors", "attempts", "reason"),
    [
        ([OutageError()], 3, "exhausted"),
        ([OutageError(), group(OutageError())], 3, "exhausted"),
        ([OutageError(), ValueError()], 1, "not_retryable"),
        ([OutageError(), REFUSED], 1, "not_retryable"),
        ([OutageError(), LookupError()], 1, "not_retryable"),
        ([REFUSED, group(REFUSED)], 1, "rejected"),
    ],
)
def test_a_group_is_tried_again_if_all_that_is_in_it_may_be(clock, make, errors, attempts, reason):
    retry = retry_of(clock, on=(OutageError, LookupError), ignore=LookupError)
    flaky = Flaky(clock, error=group(*errors))
    with pytest.raises(ExceptionGroup):
        make(retry, clock, flaky)
    assert (len(flaky.made), why(retry)) == (attempts, {reason: 1})


def test_a_group_with_an_interruption_is_not_tried_again(clock):
    flaky = Flaky(clock, error=BaseExceptionGroup("", [OutageError(), KeyboardInterrupt()]))
    with pytest.raises(BaseExceptionGroup):
        retry_of(clock).call(flaky)
    assert len(flaky.made) == 1


def test_the_predicate_of_a_retry_is_shown_groups_without_rejections(clock):
    shown: list[object] = []
    retry = retry_of(clock, on=lambda error: bool(shown.append(error)))
    for error in (group(OutageError()), group(OutageError(), REFUSED), group(REFUSED)):
        with pytest.raises(ExceptionGroup):
            retry.call(raising(error))
    assert [str(error) for error in shown] == ["several (1 sub-exception)"]


def test_a_deadline_that_passed_in_a_task_is_tried_again(clock):
    retry = retry_of(clock, on=(ConnectionError, TimeoutError))
    flaky = Flaky(clock, failures=1, error=group(hf.DeadlineExceededError("late")))
    assert by_acall(retry, clock, flaky) == "fine"


def test_the_longest_wish_in_a_group_is_granted(clock):
    error = group(BusyError(2), group(BusyError(5), OutageError()), BusyError(None))
    retry = retry_of(clock, on=(BusyError, OutageError), attempts=2)
    flaky = Flaky(clock, failures=1, error=error)
    assert retry.call(flaky) == "fine"
    assert flaky.made == [0, 5]


def test_a_groups_own_wish_comes_first(clock):
    error = group(BusyError(5))
    error.retry_after = 3  # type: ignore[attr-defined]
    flaky = Flaky(clock, failures=1, error=error)
    retry_of(clock, on=BusyError, attempts=2).call(flaky)
    assert flaky.made == [0, 3]


# --- fallbacks and timeouts ----------------------------------------------------------------------


@both_ways
def test_a_fallback_takes_a_group_if_it_takes_all_that_is_in_it(clock, make):
    def answer(fallback: hf.Fallback, *errors: Exception) -> Any:
        try:
            return make(fallback, clock, raising(group(*errors)))
        except ExceptionGroup:
            return "raised"

    outage = hf.Fallback("cached", on=(OutageError, hf.Rejected))
    assert answer(outage, OutageError(), group(REFUSED)) == "cached"
    assert answer(outage, OutageError(), ValueError()) == "raised"
    assert answer(hf.Fallback("cached"), OutageError(), group(REFUSED, ValueError())) == "cached"
    assert answer(hf.Fallback("cached", on=ExceptionGroup), ValueError()) == "cached"


def test_a_fallback_lets_an_interruption_in_a_group_pass():
    with pytest.raises(BaseExceptionGroup):
        hf.Fallback("cached").call(raising(BaseExceptionGroup("", [KeyboardInterrupt()])))


@pytest.mark.parametrize(("error", "samples"), [(OutageError(), 1), (REFUSED, 0)])
def test_a_group_of_rejections_is_no_sample_of_latency(clock, error, samples):
    timeout = adaptive(clock)
    with pytest.raises(ExceptionGroup):
        timeout.call(raising(group(error)))
    assert timeout.snapshot().samples == samples
