"""Fallback: what stands in for a call that failed or was refused, and what does not."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

import pytest

import holdfast as hf
from tests.policies.fallback.fallbacks import Store, counts, fail, in_task, in_thread, later


@pytest.mark.parametrize("value", ["cached", None, 0, (), [1], NotImplemented])
def test_a_value_stands_in_as_it_is(call, value):
    assert call(hf.Fallback(value), fail) is value


def test_a_call_that_succeeds_passes_and_so_does_its_none(call):
    fallback = hf.Fallback("cached")
    assert call(fallback, lambda: "own") == "own"
    assert call(fallback, lambda: None) is None
    assert counts(fallback) == (2, 0, 0, 0)


def test_a_function_is_asked_with_the_exception(call):
    error = ConnectionError("down")
    seen: list[Exception] = []

    def stand_in(given: Exception) -> str:
        seen.append(given)
        return f"for {given}"

    assert call(hf.Fallback(stand_in), partial(fail, error)) == "for down"
    assert seen == [error]


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (Store(), "object"),
        (Store().method, "method"),
        (Store.of_class, "class"),
        (partial(lambda first, error: first, "partial"), "partial"),
        (lambda *errors: len(errors), 1),
        (lambda error, more=2: more, 2),
        (str, "down"),
        (hf.Bulkhead("b")(lambda error: "guarded"), "guarded"),
    ],
)
def test_whatever_can_be_called_is_a_function(call, value, given):
    assert call(hf.Fallback(value), partial(fail, ConnectionError("down"))) == given


def test_a_value_that_is_a_function_is_returned_by_one(call):
    assert call(hf.Fallback(lambda error: len), fail) is len


def test_an_asynchronous_function_is_awaited_in_an_asynchronous_call():
    fallback = hf.Fallback(later)
    assert in_task(fallback, fail) == "later ConnectionError"
    assert counts(fallback) == (0, 1, 0, 0)

    @fallback
    async def fetch() -> str:
        return fail(KeyError)

    assert asyncio.run(fetch()) == "later KeyError"


def test_in_a_synchronous_call_it_is_an_error_and_nothing_is_left_unawaited(recwarn):
    fallback = hf.Fallback(later)
    error = ConnectionError()
    with pytest.raises(TypeError, match="only an asynchronous call can await it") as caught:
        fallback.call(fail, error)
    assert caught.value.__cause__ is error
    assert counts(fallback) == (0, 0, 1, 0)
    gc.collect()
    assert not recwarn.list


def test_a_future_is_awaited_too():
    async def main() -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.set_result("future")

        async def afail() -> None:
            raise ConnectionError

        return await hf.Fallback(lambda error: future).acall(afail)

    assert asyncio.run(main()) == "future"


async def test_a_call_that_is_cancelled_while_it_awaits_what_stands_in_is_cancelled():
    async def forever(error: Exception) -> None:
        await asyncio.sleep(3600)

    async def afail() -> None:
        raise ConnectionError

    fallback = hf.Fallback(forever)
    outer = hf.Fallback("outer")
    task = asyncio.ensure_future(hf.Pipeline("p", outer, fallback).acall(afail))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts(fallback) == (0, 0, 1, 0)
    assert counts(outer) == (1, 0, 0, 0)


def test_only_chosen_exceptions_are_stood_in_for(call):
    fallback = hf.Fallback("cached", on=(KeyError, OSError))
    assert call(fallback, partial(fail, KeyError)) == "cached"
    assert call(fallback, partial(fail, ConnectionError)) == "cached"  # a subclass
    with pytest.raises(ValueError, match="other"):
        call(fallback, partial(fail, ValueError("other")))
    assert counts(fallback) == (1, 2, 0, 0)


def test_rejections_are_exceptions_like_any_other(call, clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, clock=clock)
    with bulkhead:
        assert call(hf.Pipeline("p", hf.Fallback("full"), bulkhead), fail) == "full"
        chosen = hf.Pipeline("p", hf.Fallback("full", on=hf.Rejected), bulkhead)
        assert call(chosen, fail) == "full"
        other = hf.Pipeline("p", hf.Fallback("full", on=hf.CircuitOpenError), bulkhead)
        with pytest.raises(hf.BulkheadFullError):
            call(other, fail)
    with pytest.raises(ConnectionError):
        call(chosen, fail)


def test_an_open_circuit_has_its_reason_told_to_the_function(call, clock):  # D-C-3
    breaker = hf.CircuitBreaker("b", reset_timeout=30, clock=clock)
    breaker.trip()
    fallback = hf.Fallback(lambda error: (error.name, error.retry_after), on=hf.CircuitOpenError)
    assert call(hf.Pipeline("p", fallback, breaker), pytest.fail) == ("b", 30.0)


def test_a_call_that_took_too_long_is_stood_in_for(clock):  # TO-05
    timeout = hf.Timeout(1, clock=clock)
    pipe = hf.Pipeline("p", hf.Fallback("late"), timeout)
    assert pipe.call(clock.advance, 0.9) is timeout.call(clock.advance, 0.9) is None
    assert pipe.call(clock.advance, 2) == "late"
    with pytest.raises(hf.DeadlineExceededError):
        timeout.call(clock.advance, 2)

    async def main() -> str:
        own = hf.ManualClock(auto=False)
        pipe = hf.Pipeline("p", hf.Fallback("late"), hf.Timeout(1, clock=own))
        task = asyncio.ensure_future(pipe.acall(asyncio.sleep, 3600))
        await asyncio.sleep(0)
        own.advance(1)
        return await task

    assert asyncio.run(main()) == "late"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_pass(error):
    fallback = hf.Fallback("cached")
    with pytest.raises(error):
        fallback.call(fail, error)
    assert counts(fallback) == (1, 0, 0, 0)


async def test_cancellation_passes():  # GEN-04
    fallback = hf.Fallback("cached")
    task = asyncio.ensure_future(fallback.acall(asyncio.sleep, 3600))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts(fallback) == (1, 0, 0, 0)


def test_the_next_outer_one_is_asked_where_one_raises(call):
    first, second = ConnectionError("first"), KeyError("second")

    def broken(error: Exception) -> None:
        raise second

    seen: list[BaseException | None] = []

    def last(error: Exception) -> str:
        seen.extend((error, error.__cause__))
        return "last"

    pipe = hf.Pipeline("p", hf.Fallback(last), hf.Fallback(broken))
    assert call(pipe, partial(fail, first)) == "last"
    assert seen == [second, first]


def test_what_a_failing_one_raises_has_the_first_error_as_its_cause(call):  # GEN-06
    first = ConnectionError("first")
    fallback = hf.Fallback(lambda error: {}["second"])
    with pytest.raises(KeyError) as caught:
        call(fallback, partial(fail, first))
    assert caught.value.__cause__ is first
    assert counts(fallback) == (0, 0, 1, 0)


def test_a_cause_of_its_own_is_kept(call):
    first, own = ConnectionError("first"), OSError("own")

    def broken(error: Exception) -> None:
        raise KeyError from own

    with pytest.raises(KeyError) as caught:
        call(hf.Fallback(broken), partial(fail, first))
    assert caught.value.__cause__ is own
    assert caught.value.__context__ is first


def test_one_that_raises_the_error_again_changes_nothing_about_it(call):
    first = ConnectionError("first")
    with pytest.raises(ConnectionError) as caught:
        call(hf.Fallback(lambda error: fail(error)), partial(fail, first))
    assert caught.value is first
    assert first.__cause__ is None
    assert first.__context__ is None


def test_one_that_is_interrupted_is_interrupted(call):
    outer = hf.Fallback("outer")
    with pytest.raises(KeyboardInterrupt):
        in_thread(hf.Pipeline("p", outer, hf.Fallback(lambda error: fail(KeyboardInterrupt))), fail)
    assert counts(outer) == (1, 0, 0, 0)


def test_it_comes_after_all_attempts_when_it_is_outside_of_a_retry(call, clock):
    retry = hf.Retry("r", attempts=3, backoff=hf.Constant(0), clock=clock)
    assert call(hf.Pipeline("p", hf.Fallback("cached"), retry), fail) == "cached"
    assert retry.snapshot().gave_up["exhausted"] == 1


def test_steps_outside_of_it_see_a_success_and_those_inside_the_failure(call, clock):
    outside = hf.CircuitBreaker("outside", clock=clock)
    inside = hf.CircuitBreaker("inside", clock=clock)
    assert call(hf.Pipeline("p", outside, hf.Fallback(1), inside), fail) == 1
    assert (outside.snapshot().succeeded, outside.snapshot().failed) == (1, 0)
    assert (inside.snapshot().succeeded, inside.snapshot().failed) == (0, 1)


def test_what_was_held_inside_is_given_back_before_it_is_asked(call, clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, clock=clock)
    fallback = hf.Fallback(lambda error: bulkhead.in_flight)
    assert call(hf.Pipeline("p", fallback, bulkhead), fail) == 0
    assert call(hf.Pipeline("p", bulkhead, fallback), fail) == 1
    assert bulkhead.in_flight == 0


def test_an_outcome_of_it_is_a_value(clock):
    breaker = hf.CircuitBreaker("b", clock=clock)
    pipe = hf.Pipeline("p", hf.Fallback("cached"), breaker)
    assert pipe.try_call(fail).unwrap() == "cached"
    breaker.trip()
    assert pipe.try_call(fail).unwrap() == "cached"

    async def afail() -> None:
        raise ConnectionError

    assert asyncio.run(pipe.try_acall(afail)).unwrap() == "cached"
    broken = hf.Pipeline("p", hf.Fallback(lambda error: {}["a"]), breaker)
    outcome = broken.try_call(fail)  # what it raised about a rejection is no rejection
    assert isinstance(outcome.error, KeyError)
    assert outcome.rejection is None


def test_a_block_cannot_be_stood_in_for():
    with pytest.raises(TypeError, match="cannot run a block again"), hf.Fallback(1):
        pytest.fail("entered")
