"""A rate limiter whose rate follows what its calls take: which calls it learns from."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, NamedTuple

import pytest

import holdfast as hf
from tests.policies.calls import OutageError

SLOW, FAST = 0.2, 0.01


def adaptive(clock: hf.ManualClock, **settings: Any) -> hf.AdaptiveRateLimiter:
    return hf.AdaptiveRateLimiter(
        "send", **{"rate": 1000, "window": 10, "max_age": 1000, "clock": clock, **settings}
    )


def learnt(limiter: hf.AdaptiveRateLimiter) -> int:
    return limiter.snapshot().samples


def fails(clock: hf.ManualClock, seconds: float, error: BaseException) -> None:
    clock.advance(seconds)
    raise error


def follow(limiter: hf.AdaptiveRateLimiter, clock: hf.ManualClock, seconds: float) -> float:
    """Make a window of calls that take so long; return the rate after it."""
    for _ in range(10):
        limiter.call(clock.advance, seconds)
    return limiter.rate


def test_the_rate_follows_the_latency_of_calls_between_its_bounds(clock):  # RL-02, RL-03
    limiter = adaptive(clock, rate=20, min_rate=10, max_rate=22, burst=1, max_wait=None)
    assert [follow(limiter, clock, SLOW) for _ in range(8)][:2] == [18, 16.2]
    assert limiter.rate == 10
    assert [follow(limiter, clock, FAST) for _ in range(20)][-1] == 22


def test_a_snapshot_has_the_rate_its_bounds_latencies_and_adjustments(clock):  # RL-07
    limiter = adaptive(clock, rate=20, max_wait=None)
    follow(limiter, clock, SLOW)
    shown = limiter.snapshot()
    assert (shown.rate, shown.min_rate, shown.max_rate, shown.target_latency) == (18, 2, 200, 0.1)
    assert (shown.average_latency, shown.p95_latency, shown.samples) == (SLOW, SLOW, 10)
    assert (shown.adjustments, shown.raised, shown.slowed, shown.throttled) == (1, 0, 1, 0)
    assert (shown.allowed, shown.rejected) == (10, 0)


@pytest.mark.parametrize(
    ("error", "seconds", "samples"),
    [
        (OutageError(), FAST, 0),  # quickly failed is not quickly done
        (OutageError(), SLOW, 1),
        (hf.DeadlineExceededError("of another"), SLOW, 1),
        (asyncio.CancelledError(), SLOW, 1),
        (asyncio.CancelledError(), FAST, 0),
        (KeyboardInterrupt(), FAST, 0),
        (hf.CircuitOpenError("open"), SLOW, 0),
        (ExceptionGroup("both", [hf.CircuitOpenError("open")]), SLOW, 0),
    ],
)
def test_failures_count_if_they_were_slow_and_rejections_never(clock, error, seconds, samples):
    limiter = adaptive(clock)
    with pytest.raises(type(error)):
        limiter.call(fails, clock, seconds, error)
    assert learnt(limiter) == samples


def test_a_call_refused_further_in_is_no_sample_and_gives_its_token_back(clock):  # RL-03
    limiter = adaptive(clock)
    breaker = hf.CircuitBreaker("b", clock=clock)
    breaker.trip()
    for _ in range(100):
        assert hf.Pipeline("p", limiter, breaker).try_call(len, "ok").rejection is not None
    assert (learnt(limiter), limiter.rate, limiter.available) == (0, 1000, 1000)


def test_waits_inside_of_it_are_not_the_time_of_the_call(clock):
    limiter = adaptive(clock)
    slow = hf.RateLimiter("slow", rate=1, max_wait=None, clock=clock)
    pipe = hf.Pipeline("p", limiter, slow)
    for _ in range(5):
        pipe.call(clock.advance, FAST)
    assert limiter.snapshot().p95_latency == FAST


def test_around_a_retry_only_the_last_attempt_counts_and_no_pause(clock):
    limiter = adaptive(clock, window=10)
    retry = hf.Retry("r", attempts=3, on=OutageError, backoff=hf.Constant(10), clock=clock)
    results = iter([OutageError, OutageError, None])

    def call() -> None:
        clock.advance(FAST)
        if (error := next(results)) is not None:
            raise error

    hf.Pipeline("p", limiter, retry).call(call)
    assert (learnt(limiter), limiter.snapshot().p95_latency) == (1, FAST)


def test_in_a_retry_each_attempt_is_judged_by_itself(clock):
    limiter = adaptive(clock)
    retry = hf.Retry("r", attempts=3, on=OutageError, backoff=hf.Constant(10), clock=clock)
    with pytest.raises(OutageError):
        hf.Pipeline("p", retry, limiter).call(fails, clock, SLOW, OutageError())
    assert (learnt(limiter), limiter.snapshot().allowed) == (3, 3)


def test_of_a_stream_the_first_item_is_the_sample_alone_and_in_a_pipeline(clock):
    for around in ((), (hf.Timeout(1000, clock=clock),)):
        limiter = adaptive(clock)

        @hf.Pipeline("p", *around, limiter)
        def items():
            clock.advance(FAST)
            yield 1
            clock.advance(100)
            yield 2

        assert list(items()) == [1, 2]
        assert (learnt(limiter), limiter.snapshot().p95_latency) == (1, FAST)


async def test_a_stream_of_a_task_is_timed_to_its_first_item_as_well():
    clock = hf.ManualClock()
    limiter = adaptive(clock)

    @limiter
    async def items():
        clock.advance(FAST)
        yield 1
        clock.advance(100)
        yield 2

    assert [item async for item in items()] == [1, 2]
    assert (learnt(limiter), limiter.snapshot().p95_latency) == (1, FAST)


def test_blocks_and_permits_are_samples_by_how_they_end(clock):
    limiter = adaptive(clock)
    pipe = hf.Pipeline("p", limiter)
    with limiter:
        clock.advance(FAST)
    permit = pipe.acquire()
    clock.advance(FAST)
    permit.success()
    assert (learnt(limiter), limiter.snapshot().p95_latency) == (2, FAST)
    pipe.acquire().failure(OutageError())
    pipe.acquire().ignore()
    pipe.acquire()  # dropped
    gc.collect()
    assert learnt(limiter) == 2


class ThrottledError(Exception):
    retry_after = 3.0


class Response:
    def __init__(self, status: int | None, **headers: str) -> None:
        if status is not None:
            self.status_code = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Delayed:
    retry_after = 2


class Pair(NamedTuple):  # a result is one, whatever it is made of
    status_code: int
    headers: dict[str, str]


@pytest.mark.parametrize(
    ("answer", "throttles"),
    [
        (ThrottledError(), True),
        (OutageError(), False),
        (ValueError(), False),
        (hf.RateLimitedError("of another", retry_after=3.0), False),  # it did not run
        (Response(429, Retry_After="3"), True),
        (Response(503, Retry_After="3"), True),
        (Pair(503, {"Retry-After": "3"}), True),
        (Response(429), False),
        (Response(202, Retry_After="3"), False),
        (Delayed(), True),
        ({"Retry-After": "3"}, False),  # data
        (None, False),
        ("ok", False),
    ],
)
def test_an_answer_throttles_if_it_requests_a_delay(clock, answer, throttles):
    limiter = adaptive(clock)

    def call() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    limiter.try_call(call)
    limiter.try_call(call)
    assert limiter.rate == (700 if throttles else 1000)
    assert limiter.snapshot().throttled == throttles


def test_a_predicate_replaces_the_test_for_throttling(clock):
    asked = []

    def says(answer: object) -> bool:
        asked.append(answer)
        return answer == "busy"

    limiter = adaptive(clock, on_throttle=says)
    error = ThrottledError()
    with pytest.raises(ThrottledError):
        limiter.call(fails, clock, FAST, error)
    assert (limiter.rate, asked) == (1000, [error])
    assert limiter.call(str, "busy") == "busy"
    assert limiter.rate == 700


def test_what_a_predicate_raises_is_raised_instead_of_the_outcome(clock):
    def says(answer: object) -> bool:
        raise LookupError(answer)

    limiter = adaptive(clock, on_throttle=says)
    with pytest.raises(LookupError):
        limiter.call(str, "ok")
    with pytest.raises(LookupError) as caught:
        limiter.call(fails, clock, FAST, OutageError())
    assert isinstance(caught.value.__context__, OutageError)


def test_listeners_are_told_of_each_adjustment(clock):
    limiter = adaptive(clock)
    told: list[hf.Event] = []
    limiter.on_event(told.append)
    follow(limiter, clock, SLOW)
    with pytest.raises(ThrottledError):
        limiter.call(fails, clock, FAST, ThrottledError())
    assert [(one.kind, one.old, one.new, one.reason) for one in told] == [
        ("adjustment", 1000, 900, "slowed"),
        ("adjustment", 900, 630, "throttled"),
    ]


def test_a_listener_that_interrupts_ends_the_call(clock):
    limiter = adaptive(clock)

    def interrupt(_: hf.Event) -> None:
        raise KeyboardInterrupt

    limiter.on_event(interrupt)
    with pytest.raises(KeyboardInterrupt):
        follow(limiter, clock, SLOW)
    assert limiter.rate == 900


async def test_who_waits_is_served_at_the_rate_that_is_in_force():
    clock = hf.ManualClock(auto=False)
    limiter = adaptive(clock, rate=1, min_rate=0.5, burst=1, max_wait=None, max_age=1000)
    assert limiter.try_acquire()
    waiting = [asyncio.ensure_future(limiter.aacquire()) for _ in range(3)]
    await asyncio.sleep(0)
    for _ in range(11):
        limiter.record(0, throttled=True)
    assert limiter.rate == 0.5
    done = []
    for _ in range(7):
        clock.advance(1)
        for _ in range(5):
            await asyncio.sleep(0)
        done.append(sum(task.done() for task in waiting))
    assert done == [0, 1, 1, 2, 2, 3, 3]


def test_calls_by_hand_are_recorded_by_hand(clock):
    limiter = adaptive(clock)
    for _ in range(10):
        assert limiter.try_acquire()
        clock.advance(SLOW)
        limiter.record(SLOW)
    assert limiter.rate == 900
    clock.advance(FAST)
    limiter.record(FAST, throttled=True)
    assert (limiter.rate, learnt(limiter)) == (630, 10)


def test_resized_it_keeps_within_the_new_bounds_and_reset_returns_to_the_rate(clock):
    limiter = adaptive(clock)
    follow(limiter, clock, SLOW)
    limiter.resize(max_rate=800)
    assert (limiter.rate, limiter.snapshot().max_rate) == (800, 800)
    limiter.resize(rate=500, burst=7)
    assert (limiter.rate, limiter.snapshot().burst) == (500, 7)
    follow(limiter, clock, SLOW)
    limiter.reset()
    assert (limiter.rate, limiter.available) == (500, 7)
    for bad in ({"rate": 801}, {"min_rate": 900}, {"burst": 0}, {"rate": "fast"}):
        with pytest.raises(hf.ConfigError):
            limiter.resize(**bad)
    assert (limiter.rate, limiter.snapshot().min_rate) == (500, 100)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_rate": 20, "max_rate": 10}, "min_rate: got 20.0, allowed at most max_rate, 10"),
        ({"rate": 5, "min_rate": 10}, "rate: got 5.0, allowed a number from min_rate, 10"),
        ({"rate": 0}, "rate: got 0, allowed a number from 0.001"),
        ({"window": 0}, "window: got 0, allowed an integer from 10 to 1000"),
        ({"target_latency": 0}, "target_latency: got 0, allowed seconds"),
        ({"max_age": 0}, "max_age: got 0, allowed seconds"),
        ({"burst": 2**27, "min_rate": 0.001, "rate": 1}, "burst: got 134217728, allowed at most"),
        ({"on_throttle": 3}, "on_throttle: got 3, allowed a callable"),
    ],
)
def test_bad_settings_are_named_with_their_value_and_range(clock, settings, message):
    with pytest.raises(hf.ConfigError) as caught:
        adaptive(clock, **settings)
    assert message in str(caught.value)


def test_a_call_that_only_observes_adapts_without_a_rejection(clock):
    limiter = adaptive(clock, rate=10, burst=1, mode="observe")
    for _ in range(30):
        assert limiter.call(str, "ok") == "ok"
    assert limiter.snapshot().observed == 29
    follow(limiter, clock, SLOW)
    assert limiter.rate < 10


def test_it_keeps_no_samples(clock):  # D-RL-2
    limiter = adaptive(clock, window=1000)
    size = limiter._adaptive.nbytes()
    for _ in range(5000):
        limiter.record(FAST)
    assert limiter._adaptive.nbytes() == size <= 256
