"""The standard pipeline: what it consists of, and which settings do not go together."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta

import pytest

import holdfast as hf


def kinds(pipe: hf.Pipeline) -> list[str]:
    return [policy.kind for policy in pipe.policies]


def refused(**settings: object) -> tuple[str, ...]:
    """Return the problems that the standard pipeline has with these settings."""
    with pytest.raises(hf.ConfigError) as caught:
        hf.Pipeline.standard("p", **settings)
    return caught.value.problems


# ---- what it consists of ----


def test_it_has_its_policies_in_order_under_one_name():
    pipe = hf.Pipeline.standard("payments", rate=50, fallback="cached")
    assert kinds(pipe) == [
        "fallback",
        "timeout",
        "retry",
        "circuit_breaker",
        "rate_limiter",
        "bulkhead",
        "timeout",
    ]
    assert {policy.name for policy in (pipe, *pipe.policies)} == {"payments"}


def test_without_being_asked_it_limits_no_rate_and_stands_in_for_nothing():  # CB-10
    pipe = hf.Pipeline.standard("payments")
    assert kinds(pipe) == ["timeout", "retry", "circuit_breaker", "bulkhead", "timeout"]
    total, retry, breaker, bulkhead, attempt = pipe.policies
    assert (total.duration, attempt.duration) == (30.0, 10.0)
    assert retry._setting("attempts") == 4
    assert retry._setting("on") == (ConnectionError, TimeoutError)
    assert retry.backoff == hf.Exponential(0.2, max=10, jitter_mode="full")
    assert retry.budget is not None
    assert [breaker._setting(field) for field in ("failure_rate", "window", "min_calls")] == [
        0.1,
        hf.TimeWindow(30),
        100,
    ]
    assert breaker._setting("reset_timeout") == 5.0
    assert breaker._setting("failure_threshold") is None
    assert bulkhead._setting("max_concurrent") == 1000


def test_what_is_given_is_what_is_in_it(clock):
    breaker = hf.CircuitBreaker("own", clock=clock)
    limiter = hf.RateLimiter("own", rate=5, clock=clock)
    fallback = hf.Fallback("cached", on=hf.Rejected)
    budget = hf.RetryBudget(clock=clock)
    pipe = hf.Pipeline.standard(
        "p",
        total_timeout=timedelta(seconds=9),
        attempts=2,
        attempt_timeout=3,
        max_concurrent=7,
        rate=limiter,
        fallback=fallback,
        on=OSError,
        backoff=hf.Constant(1),
        budget=budget,
        breaker=breaker,
        clock=clock,
    )
    assert pipe.policies[0] is fallback
    assert pipe.policies[3] is breaker
    assert pipe.policies[4] is limiter
    total, retry, bulkhead, attempt = (pipe.policies[at] for at in (1, 2, 5, 6))
    assert (total.duration, attempt.duration) == (9.0, 3.0)
    assert retry._setting("attempts") == 2
    assert retry._setting("on") == (OSError,)
    assert (retry.backoff, retry.budget) == (hf.Constant(1), budget)
    assert bulkhead._setting("max_concurrent") == 7
    assert all(policy._clock is clock for policy in (total, retry, bulkhead, attempt))


def test_none_is_a_fallback_value_like_any_other(clock):
    pipe = hf.Pipeline.standard("p", fallback=None, attempts=1, clock=clock)
    assert pipe.call(lambda: 1 / 0) is None
    with pytest.raises(ZeroDivisionError):
        hf.Pipeline.standard("p", attempts=1, clock=clock).call(lambda: 1 / 0)


def test_a_fallback_function_is_asked_with_the_exception(clock):
    pipe = hf.Pipeline.standard("p", fallback=lambda error: type(error).__name__, clock=clock)
    assert pipe.call(lambda: 1 / 0) == "ZeroDivisionError"


def test_its_mode_is_that_of_every_policy_made_here(clock):
    own = hf.CircuitBreaker("own", clock=clock)
    pipe = hf.Pipeline.standard("p", mode="observe", breaker=own, rate=1, fallback=1, clock=clock)
    modes = {policy.mode for policy in pipe.policies if policy is not own}
    assert modes == {hf.Mode.OBSERVE}
    assert own.mode is hf.Mode.ENFORCE
    assert [pipe.call(lambda: 2) for _ in range(3)] == [2, 2, 2]  # more than the rate


def test_a_class_derived_from_pipeline_has_its_own():
    class Mine(hf.Pipeline):
        __slots__ = ()

    assert type(Mine.standard("p")) is Mine


# ---- how it behaves ----


def test_it_tries_again_and_recovers_in_a_thread_and_in_a_task(clock):
    pipe = hf.Pipeline.standard("p", clock=clock, backoff=hf.Constant(0))
    answers = iter([ConnectionError(), TimeoutError(), "a", ConnectionError(), "b"])

    def answer() -> str:
        it = next(answers)
        if isinstance(it, Exception):
            raise it
        return it

    async def aanswer() -> str:
        return answer()

    assert pipe.call(answer) == "a"
    assert asyncio.run(pipe.acall(aanswer)) == "b"
    shown = pipe.snapshot().policies[1]
    assert (shown.succeeded, shown.recovered, sum(shown.retries)) == (2, 2, 3)


def test_late_attempts_are_failures_of_the_breaker_and_tried_again_within_the_total(clock):
    pipe = hf.Pipeline.standard(
        "p", total_timeout=5, attempt_timeout=2, backoff=hf.Constant(0), clock=clock
    )
    with pytest.raises(hf.DeadlineExceededError):
        pipe.call(clock.advance, 2)
    assert clock.now() <= 6.0  # three attempts, the last of which ran into the total
    assert pipe.policies[2].snapshot().failed == 3


def test_an_open_circuit_is_not_tried_again(clock):  # D-C-3, trap 55
    pipe = hf.Pipeline.standard("p", clock=clock)
    pipe.policies[2].trip()
    with pytest.raises(hf.CircuitOpenError):
        pipe.call(lambda: None)
    assert clock.now() == 0.0


def test_cancellation_reaches_whatever_it_is_at_and_leaves_nothing_held():  # GEN-04, trap 50
    clock = hf.ManualClock(auto=False)
    limiter = hf.RateLimiter("l", rate=1, burst=1, max_wait=5, clock=clock)
    pipe = hf.Pipeline.standard("p", rate=limiter, clock=clock, backoff=hf.Constant(2))
    _, retry, breaker, _, bulkhead, _ = pipe.policies
    calls: list[int] = []

    async def fn(*, fails: bool) -> None:
        calls.append(1)
        if fails:
            raise ConnectionError
        await asyncio.sleep(3600)

    async def cancelled(*, fails: bool) -> None:
        task = asyncio.ensure_future(pipe.acall(fn, fails=fails))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (bulkhead.in_flight, breaker.in_flight) == (0, 0)

    async def main() -> None:
        await cancelled(fails=False)  # in the call
        await cancelled(fails=False)  # where it waits for a token
        assert len(calls) == 1
        clock.advance(1)
        await cancelled(fails=True)  # in the pause before a retry
        assert len(calls) == 2

    asyncio.run(main())
    shown = retry.snapshot()
    assert (shown.failed, shown.gave_up["cancelled"], sum(shown.retries)) == (3, 3, 0)
    assert retry.budget.balance == 100.0


def test_nothing_is_begun_once_the_deadline_around_it_has_passed(clock):  # GEN-04
    pipe = hf.Pipeline.standard("p", clock=clock)

    def late() -> None:
        clock.advance(5)
        pipe.call(pytest.fail)

    with pytest.raises(hf.DeadlineExceededError):
        hf.Timeout(5, clock=clock).call(late)
    assert pipe.policies[2].snapshot().admitted == 0


# ---- bad input ----


def test_an_attempt_must_not_take_longer_than_all_of_them():
    (problem,) = refused(total_timeout=5, attempt_timeout=6)
    assert problem == "attempt_timeout: got 6, allowed at most total_timeout, 5 s, or None"
    assert hf.Pipeline.standard("p", total_timeout=6, attempt_timeout=6)


def attempt_seconds(**settings):
    return hf.Pipeline.standard("p", **settings).policies[-1].duration


def test_the_time_for_an_attempt_that_nobody_gave_fits_into_that_for_all():
    assert attempt_seconds() == 10
    assert attempt_seconds(total_timeout=5) == 5
    assert attempt_seconds(total_timeout=timedelta(milliseconds=1)) == 0.001
    assert attempt_seconds(total_timeout=300) == 10
    assert attempt_seconds(total_timeout=None) == 10
    (problem,) = refused(total_timeout=-1)
    assert problem.startswith("total_timeout: got -1, ")


def test_the_breakers_window_must_hold_two_attempts():
    (problem,) = refused(total_timeout=60, attempt_timeout=20)
    assert problem == (
        "attempt_timeout: got 20, allowed at most 15 s, half of the breaker's TimeWindow(30.0); "
        "for longer attempts give breaker= with a window of at least 40 s"
    )
    assert hf.Pipeline.standard("p", attempt_timeout=15)
    longer = hf.CircuitBreaker("b", failure_rate=0.1, window=hf.TimeWindow(40))
    assert hf.Pipeline.standard("p", breaker=longer, total_timeout=60, attempt_timeout=20)


def test_so_must_the_window_of_a_breaker_that_is_given():
    short = hf.CircuitBreaker("b", slow_call_duration=1, slow_call_rate=1, window=hf.TimeWindow(5))
    (problem,) = refused(breaker=short)
    assert problem == (
        "breaker: got <CircuitBreaker 'b'>, allowed a window of at least 20 s, twice "
        "attempt_timeout, where it has TimeWindow(5.0); or an attempt_timeout of at most 2.5 s"
    )
    assert hf.Pipeline.standard("p", breaker=short, attempt_timeout=2.5)
    assert hf.Pipeline.standard("p", breaker=short, attempt_timeout=None)


def test_a_breaker_without_a_window_of_time_has_none_to_be_too_short():
    by_count = hf.CircuitBreaker("b", failure_rate=0.5, window=hf.CountWindow(10))
    in_a_row = hf.CircuitBreaker("b", failure_threshold=3, window=hf.TimeWindow(1))
    for breaker in (by_count, in_a_row):
        assert hf.Pipeline.standard("p", breaker=breaker, total_timeout=900, attempt_timeout=300)


def test_a_first_pause_as_long_as_the_total_leaves_nothing_to_retry_in():
    (problem,) = refused(backoff=hf.Constant(30))
    assert problem == (
        "backoff: got Constant(30), allowed a first delay shorter than total_timeout, 30 s, "
        "or attempts=1"
    )
    assert hf.Pipeline.standard("p", backoff=hf.Constant(29))
    assert hf.Pipeline.standard("p", backoff=hf.Constant(30), attempts=1)
    assert hf.Pipeline.standard("p", backoff=hf.Constant(30), total_timeout=None)


def test_every_problem_is_named_at_once():
    wrong = {
        "total_timeout": -1, "attempts": 0, "attempt_timeout": float("nan"), "max_concurrent": 0,
        "rate": 0, "on": 3, "backoff": 1.0, "budget": 5, "breaker": "b",
        "fallback": hf.Bulkhead("b"), "clock": 7, "mode": "maybe",
    }  # fmt: skip
    problems = refused(**wrong)
    assert sorted(problem.split(":")[0] for problem in problems) == sorted(wrong)
    assert "got -1, allowed seconds or a timedelta from 1e-06 to 3153600000, or None" in problems[0]


def test_a_bad_name_is_named_once():
    with pytest.raises(hf.ConfigError) as caught:
        hf.Pipeline.standard("", rate=5, fallback=1)
    assert len(caught.value.problems) == 1
    assert "name: got ''" in caught.value.problems[0]


def test_what_is_refused_leaves_no_policy_behind():
    refused(max_concurrent=0)
    gc.collect()
    assert hf.registry.all() == []
