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
    assert retry._setting("on") == "transient"
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
    assert problem == "attempt_timeout: got 6, allowed at most total_timeout, 5 s"
    assert hf.Pipeline.standard("p", total_timeout=6, attempt_timeout=6)


def attempt_seconds(**settings):
    return hf.Pipeline.standard("p", **settings).policies[-1].duration


def test_the_time_for_an_attempt_that_nobody_gave_fits_into_that_for_all():
    assert attempt_seconds() == 10
    assert attempt_seconds(total_timeout=5) == 2.5
    assert attempt_seconds(total_timeout=5, backoff=1) == 2
    assert attempt_seconds(total_timeout=5, attempts=1) == 5
    assert attempt_seconds(total_timeout=timedelta(milliseconds=1)) == 0.0005
    assert attempt_seconds(total_timeout=1e-6) == 1e-6
    assert attempt_seconds(total_timeout=300) == 10
    assert attempt_seconds(total_timeout=None) == 10
    for seconds in (5, 0.1, 300):
        assert hf.Pipeline.standard("p", total_timeout=seconds).lint() == []
    (problem,) = refused(total_timeout=-1)
    assert problem.startswith("total_timeout: got -1, ")


def test_the_time_for_all_attempts_that_nobody_gave_has_room_for_two_of_them():
    def total_seconds(**settings):
        return hf.Pipeline.standard("p", **settings).policies[0].duration

    assert total_seconds(attempt_timeout=15) == 30
    assert total_seconds(attempt_timeout=40) == 80
    assert total_seconds(attempt_timeout=40, attempts=1) == 40
    assert total_seconds(attempt_timeout=40, backoff=5) == 85
    assert total_seconds(backoff=hf.Constant(30)) == 50
    assert total_seconds(attempt_timeout=None) == 30
    assert total_seconds(attempt_timeout=60 * 365 * 86_400) == 100 * 365 * 86_400


def breaker_of(**settings):
    return hf.Pipeline.standard("p", **settings).policies[2]


def test_a_window_that_nobody_gave_holds_two_attempts():
    assert breaker_of()._setting("window") == hf.TimeWindow(30)
    assert breaker_of(attempt_timeout=20)._setting("window") == hf.TimeWindow(40)
    assert breaker_of(attempt_timeout=40)._setting("probe_timeout") == 40
    assert breaker_of(attempt_timeout=86_400 * 60)._setting("window") == hf.TimeWindow(86_400 * 30)
    assert hf.Pipeline.standard("p", attempt_timeout=40).lint() == []


def test_a_window_that_was_given_holds_two_attempts_of_a_time_that_was_not():
    short = hf.CircuitBreaker("b", slow_call_duration=1, slow_call_rate=1, window=hf.TimeWindow(5))
    assert attempt_seconds(breaker=short) == 2.5
    assert attempt_seconds(breaker={"window": hf.TimeWindow(5)}) == 2.5
    assert attempt_seconds(breaker={"window": hf.CountWindow(5)}) == 10
    in_a_row = {"window": hf.TimeWindow(5), "failure_rate": None, "failure_threshold": 3}
    assert attempt_seconds(breaker=in_a_row) == 10


def test_a_window_and_a_time_that_were_both_given_must_fit():
    short = hf.CircuitBreaker("b", slow_call_duration=1, slow_call_rate=1, window=hf.TimeWindow(5))
    (problem,) = refused(breaker=short, attempt_timeout=10)
    assert problem == (
        "breaker: got <CircuitBreaker 'b' closed>, allowed a window of at least 20 s, twice "
        "attempt_timeout, where it has TimeWindow(5.0); or an attempt_timeout of at most 2.5 s"
    )
    (problem,) = refused(breaker={"window": hf.TimeWindow(5)}, attempt_timeout=10)
    assert problem == (
        "breaker['window']: got TimeWindow(5.0), allowed a window of at least 20 s, twice "
        "attempt_timeout; or an attempt_timeout of at most 2.5 s"
    )
    assert hf.Pipeline.standard("p", breaker=short, attempt_timeout=2.5)
    assert hf.Pipeline.standard("p", breaker=short, attempt_timeout=None)


def test_pauses_that_nobody_gave_fit_into_a_short_total():
    def first_pause(**settings):
        steps = hf.Pipeline.standard("p", **settings).policies
        return next(step for step in steps if step.kind == "retry").backoff

    assert first_pause(total_timeout=1) == hf.Exponential(0.1, max=10, jitter_mode="full")
    assert first_pause(total_timeout=2) is first_pause() is first_pause(total_timeout=None)


def test_what_was_chosen_is_described():
    shown = hf.Pipeline.standard("p", attempt_timeout=20).describe()
    assert "duration=40.0" in shown
    assert "window=TimeWindow(40.0)" in shown


# ---- settings of the breaker ----


def test_settings_of_the_breaker_are_given_one_by_one_and_the_rest_stays_as_it_is():
    breaker = breaker_of(breaker={"reset_timeout": 30, "failure_threshold": 5})
    fields = ("failure_rate", "min_calls", "window", "reset_timeout", "failure_threshold")
    assert [breaker._setting(field) for field in fields] == [0.1, 100, hf.TimeWindow(30), 30, 5]
    assert breaker_of(breaker={"window": hf.CountWindow(20)})._setting("min_calls") == 20


def test_settings_that_the_breaker_does_not_have_are_refused_with_the_one_that_was_meant():
    unknown, wrong = refused(breaker={"reset_timout": 30, "failure_rate": 2})
    assert unknown.startswith(
        "breaker['reset_timout']: got 30, allowed a setting of CircuitBreaker: did you mean "
        "'reset_timeout'?; it takes failure_threshold, failure_rate, "
    )
    assert wrong == "failure_rate: got 2, allowed a number above 0, up to 1, or None"
    (problem,) = refused(breaker={7: 1})
    assert problem.startswith("breaker[7]: got 1, ")


# ---- one word for the retry and the breaker ----


def failed(error, **settings):
    """Return how many attempts a call makes that raises, and how the breaker counts them."""
    pipe = hf.Pipeline.standard("p", backoff=0, clock=hf.ManualClock(), **settings)
    outcome = pipe.try_call(raises, error)
    assert type(outcome.error) is type(error)
    shown = pipe.policies[2].snapshot()
    return shown.admitted, (shown.succeeded, shown.failed, shown.ignored)


def raises(error):
    raise error


def test_errors_that_are_retried_are_failures_of_the_breaker_and_others_are_not():
    assert failed(ConnectionError()) == (4, (0, 4, 0))
    assert failed(KeyError()) == (1, (1, 0, 0))
    assert failed(KeyError(), on=LookupError) == (4, (0, 4, 0))
    assert failed(ConnectionError(), on=LookupError) == (1, (1, 0, 0))


def test_ignored_errors_are_not_retried_and_are_nothing_to_the_breaker():
    assert failed(KeyError(), on=LookupError, ignore=KeyError) == (1, (0, 0, 1))


def test_attempts_that_take_too_long_are_failures_whatever_else_is():
    late = hf.DeadlineExceededError("late")
    assert failed(late) == (4, (0, 4, 0))
    assert failed(late, on=LookupError) == (1, (0, 1, 0))
    assert failed(late, on=lambda error: isinstance(error, KeyError)) == (1, (0, 1, 0))
    assert failed(late, on=LookupError, ignore=TimeoutError) == (1, (0, 0, 1))
    assert failed(late, on=LookupError, attempt_timeout=None) == (1, (1, 0, 0))


def test_results_that_are_retried_are_failures_of_the_breaker():
    class Response:
        status_code = 503

    for on_result in ("http", lambda result: result.status_code == 503):
        pipe = hf.Pipeline.standard("p", on_result=on_result, backoff=0, clock=hf.ManualClock())
        assert pipe.call(Response).status_code == 503
        shown = pipe.policies[2].snapshot()
        assert (shown.admitted, shown.failed) == (4, 4)
    own = {"is_failure": lambda result: False}
    pipe = hf.Pipeline.standard("p", on_result="http", backoff=0, breaker=own)
    pipe.call(Response)
    assert pipe.policies[2].snapshot().succeeded == 4


def test_categories_and_predicates_are_one_word_for_both():
    assert failed(KeyError(), on=("transient", KeyError)) == (4, (0, 4, 0))
    assert failed(KeyError(), on=lambda error: isinstance(error, KeyError)) == (4, (0, 4, 0))
    (problem,) = refused(on="transiet")
    assert problem.startswith("on: got 'transiet', ")


def test_rejections_that_are_tried_again_are_no_failures_of_the_breaker():
    clock = hf.ManualClock()
    pipe = hf.Pipeline.standard(
        "p", on={hf.Rejected, OSError}, rate="1/minute", total_timeout=90, clock=clock
    )
    pipe.call(int)
    pipe.call(int)
    assert clock.now() == 60.0
    assert pipe.policies[1].snapshot().recovered == 1
    assert pipe.policies[2].snapshot().failed == 0


def test_a_breaker_may_have_a_judgement_of_its_own():
    assert failed(KeyError(), breaker={"on": LookupError}) == (1, (0, 1, 0))
    own = hf.CircuitBreaker("own", clock=hf.ManualClock())
    assert failed(ConnectionError(), on=KeyError, breaker=own) == (1, (0, 1, 0))


def test_none_leaves_out_whatever_may_be_missing():
    bare = dict.fromkeys(("total_timeout", "attempt_timeout", "max_concurrent", "breaker"))
    assert kinds(hf.Pipeline.standard("p", **bare)) == ["retry"]


def test_a_text_is_the_limits_of_the_rate():
    limiter = hf.Pipeline.standard("p", rate="10/second;100/minute").policies[3]
    assert limiter._setting("limits") == "10/second;100/minute"


def test_a_breaker_without_a_window_of_time_has_none_to_be_too_short():
    by_count = hf.CircuitBreaker("b", failure_rate=0.5, window=hf.CountWindow(10))
    in_a_row = hf.CircuitBreaker("b", failure_threshold=3, window=hf.TimeWindow(1))
    for breaker in (by_count, in_a_row):
        assert hf.Pipeline.standard("p", breaker=breaker, total_timeout=900, attempt_timeout=300)


def test_a_first_pause_as_long_as_the_total_leaves_nothing_to_retry_in():
    (problem,) = refused(backoff=hf.Constant(30), total_timeout=30)
    assert problem == (
        "backoff: got Constant(30), allowed a first delay shorter than total_timeout, 30 s, "
        "or attempts=1"
    )
    assert hf.Pipeline.standard("p", backoff=29, total_timeout=30)
    assert hf.Pipeline.standard("p", backoff=30, total_timeout=30, attempts=1)
    assert hf.Pipeline.standard("p", backoff=30, total_timeout=None)


def test_attempts_without_number_end_at_the_total_timeout(clock):
    pipe = hf.Pipeline.standard("p", attempts=None, total_timeout=5, backoff=1, clock=clock)
    with pytest.raises(ConnectionError):
        pipe.call(raises, ConnectionError())
    assert pipe.policies[1].snapshot().attempts == 5
    (problem,) = refused(attempts=None, total_timeout=None)
    assert problem == (
        "attempts: got None, allowed an integer from 1 to 1000000, or None with a total_timeout"
    )


def test_every_problem_is_named_at_once():
    wrong = {
        "total_timeout": -1, "attempts": 0, "attempt_timeout": float("nan"), "max_concurrent": 0,
        "rate": 0, "on": 3, "backoff": "exponential", "budget": 5, "breaker": "b",
        "fallback": hf.Bulkhead("b"), "clock": 7, "mode": "maybe",
    }  # fmt: skip
    problems = refused(**wrong)
    assert sorted(problem.split(":")[0] for problem in problems) == sorted(wrong)
    assert "got -1, allowed seconds or a timedelta from 1e-06 to 3153600000, or None" in problems[0]


def test_arguments_of_its_policies_are_told_where_they_belong():
    for setting, where in {
        "reset_timeout": 'breaker={"reset_timeout": 30}',
        "before_sleep": "with_options() of the pipeline",
        "limits": 'rate="100/minute"',
        "max_waiting": "with_options(bulkhead=Bulkhead(…)) of the pipeline",
        "slo": 'error_budget={"slo": 0.999}',
        "target_latency": 'latency_budget={"target": 0.1}',
    }.items():
        with pytest.raises(TypeError) as caught:
            hf.Pipeline.standard("p", **{setting: 1})
        assert where in str(caught.value)


def test_other_policies_and_classes_are_no_rate_and_no_fallback():
    for rate in ("many", hf.Bulkhead("b")):
        (problem,) = refused(rate=rate)
        assert problem.startswith("rate: got ")
        assert (
            'limits like "10/second;100/minute", a RateLimiter, or an AdaptiveRateLimiter'
            in problem
        )
    for fallback in (hf.Timeout(1), hf.Timeout):
        (problem,) = refused(fallback=fallback)
        assert "allowed a value, a function of the exception, or a Fallback" in problem


def test_a_bad_name_is_named_once():
    with pytest.raises(hf.ConfigError) as caught:
        hf.Pipeline.standard("", rate=5, fallback=1)
    assert len(caught.value.problems) == 1
    assert "name: got ''" in caught.value.problems[0]


def test_what_is_refused_leaves_no_policy_behind():
    refused(max_concurrent=0)
    gc.collect()
    assert hf.registry.all() == []
