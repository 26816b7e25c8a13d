"""Turns that controlled calls may take, each of which the model has found to be taken wrong."""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, outage
from tests.waiting.clock_loop import asleep_ns, run

MS = 10**6


def retry_on(clock: hf.ManualClock, *on: type[Exception], **settings: Any) -> hf.Retry:
    return hf.Retry(
        "again", on=on, backoff=hf.Constant(0.002), budget=None, clock=clock, **settings
    )


def test_an_alarm_that_rings_amid_work_cuts_nothing_of_the_attempts_to_come(clock):  # TO-01
    pipe = hf.Pipeline(
        "pipe", retry_on(clock, OutageError), hf.Timeout(0.010, name="each", clock=clock)
    )
    attempts: list[int] = []

    async def work() -> str:
        attempts.append(clock.now_ns())
        await asleep_ns(clock, MS)
        if len(attempts) == 1:
            clock.advance_ns(20 * MS)
            raise OutageError
        return "fine"

    assert run(clock, pipe.acall(work)) == "fine"
    assert attempts == [0, 23 * MS]


@pytest.mark.parametrize("control", ["retry", "fallback"])
def test_what_was_entered_for_an_attempt_that_did_not_run_is_given_back(clock, control):  # trap 6
    breaker = hf.CircuitBreaker("breaker", failure_threshold=9, on=hf.RateLimitedError, clock=clock)
    limiter = hf.RateLimiter("limiter", rate=1, per=3600, clock=clock)
    between: hf.Policy = (
        hf.Retry("none", attempts=1, clock=clock)
        if control == "retry"
        else hf.Fallback(0, on=KeyError, clock=clock)
    )
    retry = retry_on(clock, OutageError)
    pipe = hf.Pipeline("pipe", retry, breaker, between, limiter)
    with pytest.raises(hf.RateLimitedError):
        pipe.call(outage)
    seen = breaker.snapshot()
    assert (seen.admitted, seen.succeeded, seen.failed) == (1, 1, 0)


@pytest.mark.parametrize("how", ["with", "permit", "async with"])
def test_a_block_does_not_wait_for_what_comes_after_its_timeout(clock, how):  # trap 42
    limiter = hf.RateLimiter("limiter", rate=1, per=5, max_wait=10, clock=clock)
    assert limiter.try_acquire()
    pipe = hf.Pipeline("pipe", hf.Timeout(1, clock=clock), limiter)

    def block() -> None:
        with pipe:
            pass

    async def async_block() -> None:
        async with pipe:
            pass

    ways: dict[str, Any] = {
        "with": block,
        "permit": pipe.acquire,
        "async with": lambda: run(clock, async_block()),
    }
    with pytest.raises(hf.RateLimitedError):
        ways[how]()
    assert clock.now() == 0
    assert hf.deadline() is None


def test_an_asynchronous_fallback_has_no_more_time_than_the_call(clock):  # TO-05
    async def work() -> None:
        await asleep_ns(clock, 100 * MS)

    async def stand_in(error: Exception) -> str:
        await asleep_ns(clock, 100 * MS)
        return "late"

    pipe = hf.Pipeline(
        "pipe",
        hf.Timeout(0.010, name="total", clock=clock),
        hf.Fallback(stand_in, clock=clock),
        hf.Timeout(0.020, name="each", clock=clock),
    )
    with pytest.raises(hf.DeadlineExceededError, match="'total'") as raised:
        run(clock, pipe.acall(work))
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert clock.now_ns() == 10 * MS


def test_what_cut_an_earlier_attempt_is_not_blamed_for_a_cancellation_in_a_later_one(clock):
    # trap 51
    retry = retry_on(clock, hf.DeadlineExceededError)
    timeout = hf.Timeout(0.010, name="each", clock=clock)
    pipe = hf.Pipeline("pipe", retry, timeout)
    attempts: list[int] = []

    async def work() -> None:
        attempts.append(clock.now_ns())
        if len(attempts) == 1:
            await asleep_ns(clock, 3600 * 10**9)
        await asleep_ns(clock, MS)
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()  # by whoever was to give the result, and not by the caller of this
        await gone

    with pytest.raises(asyncio.CancelledError):
        run(clock, pipe.acall(work))
    assert attempts == [0, 12 * MS]
    assert (timeout.snapshot().expired, timeout.snapshot().in_time) == (1, 1)
    assert retry.snapshot().gave_up["cancelled"] == 1
