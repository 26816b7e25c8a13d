"""Which calls a timeout that follows them learns from, and its place among other policies."""

from __future__ import annotations

import asyncio
import gc

import pytest

import holdfast as hf
from tests.policies.calls import OutageError
from tests.policies.timeout.adaptive_timeouts import adaptive, fails, learnt, thrice


@pytest.mark.parametrize(
    ("error", "samples"),
    [
        (OutageError(), 1),
        (hf.DeadlineExceededError("of another"), 1),
        (hf.RateLimitedError("no"), 0),
        (KeyboardInterrupt(), 0),
        (SystemExit(), 0),
        (asyncio.CancelledError(), 0),
        (GeneratorExit(), 0),
    ],
)
def test_failures_are_samples_and_what_was_refused_or_interrupted_is_none(clock, error, samples):
    timeout = adaptive(clock)
    with pytest.raises(type(error)):
        timeout.call(fails, clock, 0.25, error)
    shown = timeout.snapshot()
    assert shown.samples == samples
    assert shown.average_latency == (0.25 if samples else None)
    assert shown.in_time == 1


def test_a_failure_that_comes_late_is_a_sample_of_what_it_took(clock):
    timeout = adaptive(clock)
    with pytest.raises(OutageError):
        timeout.call(fails, clock, 3.0, OutageError())
    shown = timeout.snapshot()
    assert (shown.samples, shown.average_latency, shown.expired, shown.late) == (1, 3.0, 1, 0)


def test_a_call_refused_further_in_is_no_sample(clock):
    timeout = adaptive(clock)
    pipe = hf.Pipeline("p", timeout, hf.Bulkhead("b", max_concurrent=1, clock=clock))
    with pytest.raises(hf.BulkheadFullError):
        pipe.call(pipe.call, len, "ok")
    assert learnt(timeout) == 0


def test_what_a_timeout_around_it_has_ended_is_no_sample(clock):  # it would pull it down
    timeout = adaptive(clock)
    outer = hf.Timeout(0.1, clock=clock)
    pipe = hf.Pipeline("p", outer, timeout)

    def gives_up() -> None:
        clock.advance(0.2)
        hf.check_deadline()

    with pytest.raises(hf.DeadlineExceededError):
        pipe.call(gives_up)
    assert learnt(timeout) == 0
    with pytest.raises(hf.DeadlineExceededError):
        pipe.call(clock.advance, 0.2)  # its value is dropped, and yet it shows what a call takes
    assert timeout.snapshot().average_latency == 0.2


async def test_in_a_task_what_others_have_ended_is_none_either():
    clock = hf.ManualClock()
    timeout = adaptive(clock)
    pipe = hf.Pipeline("p", hf.Timeout(0.1, clock=clock), timeout)
    task = asyncio.ensure_future(timeout.acall(asyncio.sleep, 1000))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    dropped = timeout.acall(asyncio.sleep, 1000)
    dropped.send(None)
    del dropped
    gc.collect()
    task = asyncio.ensure_future(pipe.acall(asyncio.sleep, 1000))
    await asyncio.sleep(0)
    clock.advance(0.2)
    with pytest.raises(hf.DeadlineExceededError):
        await task
    assert learnt(timeout) == 0
    assert timeout.snapshot().expired == 0


def test_blocks_and_permits_are_samples_if_they_ended(clock):
    timeout = adaptive(clock)
    with timeout:
        clock.advance(0.5)
    assert timeout.snapshot().average_latency == 0.5
    with pytest.raises(OutageError), timeout:
        fails(clock, 0.5, OutageError())
    with pytest.raises(KeyboardInterrupt), timeout:
        fails(clock, 0.5, KeyboardInterrupt())
    with pytest.raises(hf.DeadlineExceededError), timeout:
        clock.advance(1.5)
    assert learnt(timeout) == 3
    pipe = hf.Pipeline("p", timeout)
    pipe.acquire().success()
    pipe.acquire().failure(OutageError())
    assert learnt(timeout) == 5
    pipe.acquire().ignore()
    pipe.acquire().failure(hf.RateLimitedError("no"))
    pipe.acquire()  # dropped
    gc.collect()
    assert learnt(timeout) == 5


def test_of_a_stream_the_first_item_is_what_it_times(clock):
    timeout = adaptive(clock)

    @timeout
    def items():
        clock.advance(0.25)
        yield 1
        clock.advance(100)
        yield 2

    assert list(items()) == [1, 2]
    shown = timeout.snapshot()
    assert (shown.samples, shown.average_latency) == (1, 0.25)


def test_within_a_retry_each_attempt_is_a_sample_with_a_timeout_of_its_own(clock):
    timeout = adaptive(clock)
    pipe = hf.Pipeline("p", thrice(clock), timeout)
    given = []

    def call() -> str:
        given.append(hf.deadline())
        clock.advance(0.25)
        if len(given) < 3:
            raise OutageError
        return "ok"

    assert pipe.call(call) == "ok"
    assert given == [1.0, 1.0, 1.0]
    assert timeout.snapshot().average_latency == 0.25
    assert learnt(timeout) == 3


def test_around_a_retry_it_follows_the_whole_call(clock):
    timeout = adaptive(clock, 60.0)
    pipe = hf.Pipeline("p", timeout, thrice(clock))
    with pytest.raises(OutageError):
        pipe.call(fails, clock, 1.0, OutageError())
    assert timeout.snapshot().average_latency == 23.0
