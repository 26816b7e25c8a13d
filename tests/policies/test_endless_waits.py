"""`math.inf` is as long as it takes, wherever somebody says how long to wait."""

import asyncio
import math
import threading

import pytest

import holdfast as hf
from tests.waiting.parties import auntil, until


def waits(bulkhead: hf.Bulkhead) -> int:
    return bulkhead.snapshot().queued


def test_a_call_waits_for_its_tokens_as_long_as_it_takes(clock):
    limiter = hf.RateLimiter("l", rate=1, per=86_400, max_wait=1, clock=clock)
    for _ in range(10):
        limiter.acquire(timeout=math.inf)
    asyncio.run(asyncio.wait_for(hf.RateLimiter("m", rate=1).aacquire(timeout=math.inf), 5))
    assert clock.now() == 9 * 86_400
    with pytest.raises(hf.RateLimitedError):
        limiter.acquire(timeout=None)  # the policy's own, which is a second


def test_a_sliding_window_is_waited_for_as_long_as_it_takes(clock):
    limiter = hf.RateLimiter("l", rate=1, per=86_400, window="sliding", clock=clock)
    for _ in range(3):
        limiter.acquire(timeout=math.inf)
    assert 2 * 86_400 <= clock.now() <= 2.3 * 86_400


def test_a_call_waits_for_a_place_as_long_as_it_takes():
    still_clock = hf.ManualClock(auto=False)
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=1, clock=still_clock)
    bulkhead.enter()
    thread = threading.Thread(target=bulkhead.enter, args=(math.inf,))
    thread.start()
    until(lambda: waits(bulkhead) == 1)
    still_clock.advance(100 * 365 * 86_400)
    assert thread.is_alive()
    bulkhead.leave()
    thread.join(30)
    assert (bulkhead.in_flight, thread.is_alive()) == (1, False)


async def test_a_task_waits_for_a_place_as_long_as_it_takes():
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1)
    bulkhead.enter()
    task = asyncio.create_task(bulkhead.aenter(math.inf))
    await auntil(lambda: waits(bulkhead) == 1)
    bulkhead.leave()
    await task
    assert bulkhead.in_flight == 1


@pytest.mark.parametrize("forever", [None, math.inf])
def test_a_policy_may_wait_as_long_as_it_takes(clock, forever):
    limiter = hf.RateLimiter("l", rate=1, per=86_400, max_wait=forever, clock=clock)
    assert [limiter.call(clock.now) for _ in range(3)] == [0, 86_400, 2 * 86_400]
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=forever)
    assert bulkhead.call(int) == 0
    pool = hf.PoolBulkhead("p", workers=1, max_wait=forever)
    assert pool.submit(int).result() == 0
    assert pool.stop(timeout=forever)


@pytest.mark.parametrize("forever", [None, math.inf])
def test_a_pipeline_may_take_as_long_as_it_takes(forever):
    pipeline = hf.Pipeline.standard("p", total_timeout=forever, attempt_timeout=forever)
    assert not any(isinstance(policy, hf.Timeout) for policy in pipeline.policies)
    bounded = hf.Pipeline.standard("q", total_timeout=5, attempt_timeout=1)
    unbounded = bounded.with_options(total_timeout=forever, attempt_timeout=forever)
    assert not any(isinstance(policy, hf.Timeout) for policy in unbounded.policies)


def test_a_deadline_around_it_ends_a_wait_all_the_same(clock):
    limiter = hf.RateLimiter("l", rate=1, per=86_400, clock=clock)
    limiter.acquire()
    with pytest.raises((hf.DeadlineExceededError, hf.RateLimitedError)):
        hf.Timeout(1, clock=clock).call(limiter.acquire, timeout=math.inf)
    assert clock.now() <= 1


@pytest.mark.parametrize("wrong", [-1, -math.inf, math.nan, True, "1", 1e300, 10**400])
def test_other_numbers_that_are_no_durations_are_refused_by_name(wrong):
    limiter = hf.RateLimiter("l", rate=1)
    with pytest.raises(hf.ConfigError, match="timeout: got"):
        limiter.acquire(timeout=wrong)
    with pytest.raises(hf.ConfigError, match="max_wait: got"):
        hf.RateLimiter("m", rate=1, max_wait=wrong)
    with pytest.raises(hf.ConfigError, match="timeout: got"):
        hf.PoolBulkhead("p").stop(timeout=wrong)
