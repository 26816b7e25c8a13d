"""What ``lint`` finds in pipelines, and what it lets pass: of each rule both."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast import chaos


def retry(name: str = "r", **settings: Any) -> hf.Retry:
    return hf.Retry(name, **settings)


def breaker(**settings: Any) -> hf.CircuitBreaker:
    return hf.CircuitBreaker("b", **settings)


def bulkhead(**settings: Any) -> hf.Bulkhead:
    return hf.Bulkhead("h", **settings)


def limiter(**settings: Any) -> hf.RateLimiter:
    return hf.RateLimiter("l", rate=5, **settings)


def thread(seconds: float) -> hf.Timeout:
    return hf.Timeout(seconds, thread=True)


def found(*policies: hf.Policy) -> list[str]:
    return [finding.code for finding in hf.Pipeline("p", *policies).lint()]


# ---- what is as it should be ----


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rate": 100, "fallback": None},
        {"attempts": 1},
        {"total_timeout": None},
        {"attempt_timeout": None},
        {"total_timeout": 5, "attempt_timeout": 1, "on": Exception},
        {"mode": "observe"},
    ],
)
def test_the_standard_pipeline_has_no_findings(settings):
    assert hf.Pipeline.standard("p", **settings).lint() == []


@pytest.mark.parametrize(
    "policies",
    [
        lambda: [breaker()],
        lambda: [limiter(max_wait=2), breaker(), bulkhead()],
        lambda: [hf.Fallback(1), hf.Timeout(5), breaker(), hf.Timeout(2)],
        lambda: [retry(), breaker(), bulkhead(max_concurrent=9), thread(2)],
        lambda: [hf.Timeout(30), hf.Pipeline("in", retry(), breaker(), hf.Timeout(5))],
    ],
)
def test_nor_have_other_sensible_ones(policies):
    assert found(*policies()) == []


# ---- findings ----


def test_a_finding_is_a_frozen_value_that_reads_well():
    one, two = retry("one"), retry("two", attempts=3)
    (finding,) = hf.Pipeline("p", one, two).lint()
    assert str(finding) == (
        "nested_retries: attempts multiply: 4 × 3 = 12 for one call of retry 'two' inside of "
        "retry 'one'; keep one of them"
    )
    assert finding.policies == (one, two)
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.code = "other"


def test_policies_of_pipelines_within_are_seen():
    inner = hf.Pipeline("inner", breaker(), hf.Pipeline("innermost", retry()))
    assert found(retry("o"), inner) == ["breaker_outside_retry", "nested_retries"]


# ---- timeouts ----


def test_an_attempt_that_may_take_as_long_as_all_of_them():
    assert found(hf.Timeout(5), retry(), hf.Timeout(5)) == ["no_time_for_a_retry"]
    assert found(hf.Timeout(4), retry(), hf.Timeout(5)) == ["no_time_for_a_retry"]
    assert found(hf.Timeout(5), retry(), hf.Timeout(4.9)) == []


def test_a_timeout_that_another_one_around_it_forestalls():
    assert found(hf.Timeout(4), breaker(), hf.Timeout(5)) == ["timeout_never_ends_a_call"]
    assert found(hf.Timeout(4), retry(attempts=1), hf.Timeout(4)) == ["timeout_never_ends_a_call"]
    assert found(hf.Timeout(5), breaker(), hf.Timeout(4)) == []


def test_a_thread_inside_of_a_thread():
    assert found(thread(5), thread(4)) == ["thread_within_thread"]
    assert found(hf.Timeout(5), thread(4)) == []
    assert found(thread(5), hf.Timeout(4)) == []


def test_work_that_nothing_can_interrupt_beside_the_next_attempt():
    assert found(retry(), thread(2)) == ["abandoned_work_piles_up"]
    assert found(retry(), bulkhead(max_concurrent=9), thread(2)) == []
    assert found(retry(), thread(2), bulkhead()) == []
    assert found(retry(attempts=1), thread(2)) == []
    assert found(thread(2), retry()) == []


def test_a_wait_that_cannot_end_before_the_deadline():
    for waits in (limiter(max_wait=3), bulkhead(max_waiting=1, max_wait=3)):
        assert found(hf.Timeout(9), hf.Timeout(2), waits) == ["wait_beyond_timeout"]
        assert found(hf.Timeout(3), waits) == []
        assert found(waits, hf.Timeout(2)) == []
    assert found(hf.Timeout(1), limiter(max_wait=None)) == []  # until the deadline


# ---- retries ----


def test_a_place_that_is_kept_through_the_pauses():
    assert found(bulkhead(), retry()) == ["bulkhead_outside_retry"]
    assert found(bulkhead(), retry(attempts=1)) == []
    assert found(retry(), bulkhead()) == []


def test_a_token_that_pays_for_all_attempts():
    assert found(limiter(), retry()) == ["limiter_outside_retry"]
    assert found(retry(), limiter()) == []


def test_a_breaker_that_sees_one_call_of_many_attempts():
    assert found(breaker(), retry()) == ["breaker_outside_retry"]
    assert found(breaker(), retry(attempts=1)) == []
    assert found(retry(), breaker()) == []


def test_attempts_that_multiply():  # D-RT-4
    assert found(retry("a"), breaker(), hf.Pipeline("q", retry("c"))) == [
        "breaker_outside_retry",
        "nested_retries",
    ]
    assert found(retry("a"), retry("c", attempts=1)) == []
    endless = retry("c", attempts=None, max_time=9)
    (finding,) = hf.Pipeline("p", retry("a"), endless).lint()
    assert "attempts multiply: 4 × no limit = no limit for one call" in finding.message


def test_a_retry_that_does_not_try_timeouts_again():
    assert found(retry(on=ConnectionError), hf.Timeout(2)) == ["timeouts_not_retried"]
    for on in (TimeoutError, hf.DeadlineExceededError, OSError, Exception, lambda error: True):
        assert found(retry(on=on), hf.Timeout(2)) == []
    assert found(hf.Timeout(20), retry(on=ConnectionError)) == []
    assert found(retry(on=ConnectionError, attempts=1), hf.Timeout(2)) == []


def test_pauses_for_which_there_is_no_time():
    pauses = {"backoff": hf.Linear(1, 1, jitter=False), "attempts": 4}  # 1 + 2 + 3 seconds
    assert found(hf.Timeout(6), retry(**pauses)) == ["pauses_beyond_deadline"]
    assert found(retry(max_time=6, **pauses)) == ["pauses_beyond_deadline"]
    assert found(hf.Timeout(6.1), retry(max_time=7, **pauses)) == []
    assert found(retry(**pauses)) == []
    (finding,) = hf.Pipeline("p", hf.Timeout(9), hf.Timeout(3), retry(**pauses)).lint()
    assert "for the pauses of 2 of its 4 attempts at most, within 3 s" in finding.message


@pytest.mark.parametrize(
    ("backoff", "least"),
    [
        (hf.Constant(2), 2.0),
        (hf.Exponential(2, factor=3, max=60, jitter=0.5), 2.0),
        (hf.Exponential(2, jitter=0.25, jitter_mode="around"), 1.5),
        (hf.Exponential(2, jitter_mode="equal"), 1.0),
        (hf.Exponential(2, jitter_mode="full"), 0.0),
        (hf.Fibonacci(2), 2.0),
        (hf.Decorrelated(2), 2.0),
        (hf.Constant(2) + hf.Decorrelated(1), 3.0),
        (hf.chain(hf.Constant(2), hf.Constant(9)), 2.0),
        (hf.AdaptiveBackoff(hf.Constant(2)), 2.0),
        (hf.AdaptiveBackoff(hf.Constant(2), max=1), 1.0),
    ],
)
def test_chance_is_given_its_best_for_the_first_pause(backoff, least):
    once = retry(backoff=backoff, attempts=2)
    assert backoff._least_ns(0) == least * 1e9
    if least:
        assert found(hf.Timeout(least), once) == ["pauses_beyond_deadline"]
    assert found(hf.Timeout(least + 1e-3), once) == []
    assert min(backoff.delay(0) for _ in range(50)) >= least * 0.999


def test_later_pauses_count_as_the_back_off_has_them():
    chain = hf.chain(hf.Constant(1), hf.Linear(2, 2, jitter=False))
    assert [chain._least_ns(n) / 1e9 for n in range(4)] == [1.0, 2.0, 4.0, 6.0]
    assert hf.Exponential(1, jitter=0.5, seed=1)._least_ns(5) == 32e9


class Mine(hf.Backoff):
    """A back-off that only its maker knows."""

    def delay(self, attempt: int, previous: Any = None) -> float:
        return 1000.0


class Longer(hf.Constant):
    """A formula that has been changed."""

    __slots__ = ()

    def delay(self, attempt: int, previous: Any = None) -> float:
        return super().delay(attempt, previous) * 2


class Chancy(hf.Decorrelated):
    """Another."""

    __slots__ = ()


@pytest.mark.parametrize("backoff", [Mine(), Longer(1000), Chancy(1000, max=1000)])
def test_of_a_back_off_of_ones_own_nothing_is_supposed(backoff):
    assert found(hf.Timeout(1), retry(backoff=backoff)) == []


def test_a_retry_with_a_million_attempts_is_looked_at_in_no_time():
    assert found(hf.Timeout(1), retry(attempts=1_000_000, backoff=hf.Constant(0))) == []
    ones = retry(attempts=1_000_000, backoff=hf.Constant(1))
    (finding,) = hf.Pipeline("p", hf.Timeout(3), ones).lint()
    assert "of 3 of its 1000000 attempts" in finding.message


def test_a_retry_without_a_budget():  # D-RT-4
    assert found(retry(budget=None)) == ["retry_without_budget"]
    assert found(retry(budget=None, attempts=1)) == []
    assert found(retry(budget=None, attempts=None, max_time=9)) == ["retry_without_budget"]
    assert found(retry(budget=hf.RetryBudget())) == []


# ---- fallbacks and breakers ----


def test_a_fallback_that_hides_failures_from_a_retry():
    assert found(retry(), hf.Fallback(1)) == ["fallback_inside_retry"]
    assert found(retry(), hf.Fallback(1, on=OSError)) == ["fallback_inside_retry"]
    assert found(retry(on=lambda error: True), hf.Fallback(1, on=KeyError)) == [
        "fallback_inside_retry"
    ]
    assert found(retry(), hf.Fallback(1, on=KeyError)) == []
    assert found(retry(attempts=1), hf.Fallback(1)) == []
    assert found(hf.Fallback(1), retry()) == []


def test_a_fallback_that_hides_failures_from_a_breaker():
    assert found(breaker(), hf.Fallback(1)) == ["fallback_inside_breaker"]
    assert found(breaker(on=OSError), hf.Fallback(1, on=KeyError)) == []
    assert found(hf.Fallback(1), breaker()) == []
    # Rejections are no failures unless they are named.
    assert found(breaker(), hf.Fallback(1, on=hf.Rejected)) == []
    assert found(breaker(on=hf.Rejected), hf.Fallback(1, on=hf.RateLimitedError)) == [
        "fallback_inside_breaker"
    ]


def test_a_window_that_calls_leave_before_there_are_enough_of_them():
    short = {"failure_rate": 0.5, "window": hf.TimeWindow(10)}
    assert found(breaker(**short), hf.Timeout(6)) == ["window_too_short"]
    assert found(breaker(**short), hf.Timeout(5)) == []
    assert found(breaker(**short), hf.Timeout(6), hf.Timeout(5)) == []
    assert found(hf.Timeout(6), breaker(**short)) == []
    assert found(breaker(failure_rate=0.5, window=hf.CountWindow(10)), hf.Timeout(6)) == []
    assert found(breaker(window=hf.TimeWindow(10)), hf.Timeout(6)) == []  # no rate, no window


def test_a_probe_that_goes_on_when_its_place_is_free_again():
    assert found(breaker(probe_timeout=4), hf.Timeout(5)) == ["probe_outlives_its_place"]
    assert found(breaker(probe_timeout=5), hf.Timeout(5)) == []
    assert found(breaker(probe_timeout=None), hf.Timeout(5)) == []


def test_room_to_wait_in_which_nobody_ever_waits():
    for places in 1, 100:
        bulkhead = hf.Bulkhead("b", max_waiting=places)
        (finding,) = hf.Pipeline("p", bulkhead).lint()
        assert (finding.code, finding.policies) == ("nobody_waits", (bulkhead,))
        assert f"room for {places} to wait" in finding.message
    assert "max_wait" in finding.message


def test_the_same_policy_twice():
    one = bulkhead()
    assert found(one, hf.Pipeline("q", breaker(), one)) == ["same_policy_twice"]
    again = retry()
    assert found(again, again) == ["same_policy_twice"]
    assert found(bulkhead(), bulkhead()) == []


# ---- bulkheads and settings ----


def test_a_limiter_whose_tokens_are_taken_before_a_wait():
    waits = {"max_waiting": 5, "max_wait": 1}
    assert found(limiter(), bulkhead(**waits)) == ["limiter_outside_waiting_bulkhead"]
    assert found(bulkhead(**waits), limiter()) == []
    assert found(limiter(), bulkhead()) == []


def test_fewer_threads_than_places():
    (finding,) = hf.Pipeline("p", bulkhead(max_concurrent=40), thread(5)).lint()
    assert str(finding) == (
        "threads_fewer_than_places: bulkhead 'h' has 40 places, but the timeout of 5 s inside of "
        "it has 32 threads: a call that finds no thread waits for one while its time runs; raise "
        "workers, or lower max_concurrent"
    )
    assert found(bulkhead(max_concurrent=32), thread(5)) == []
    assert found(bulkhead(max_concurrent=40), hf.Timeout(5)) == []
    assert found(thread(5), bulkhead(max_concurrent=40)) == []


def test_policies_to_which_nothing_is_a_failure():
    for policy in (
        retry(on=()),
        breaker(on=()),
        retry(on=ConnectionError, ignore=OSError),
        breaker(on=("transient", KeyError), ignore=("transient", LookupError)),
    ):
        assert found(policy) == ["nothing_is_a_failure"]
    (finding,) = hf.Pipeline("p", retry(on=()), hf.Timeout(2)).lint()
    assert finding.message == (
        "retry 'r' never tries a call again, because on is empty; name the exceptions that count"
    )
    for policy in (
        retry(on=(), attempts=1),
        retry(on=(), on_result="http"),
        breaker(on=(), is_failure=lambda result: not result),
        breaker(on=(), slow_call_rate=0.5, slow_call_duration=1),
        retry(on=(ConnectionError, KeyError), ignore=OSError),
        retry(on=OSError, ignore=lambda error: error.errno == 2),
    ):
        assert found(policy) == []


def test_durations_that_are_probably_milliseconds():
    (finding,) = hf.Pipeline("p", breaker(reset_timeout=30_000)).lint()
    assert str(finding) == (
        "milliseconds: reset_timeout of circuit breaker 'b' is 30000 seconds, which is 8.33 hours; "
        "if milliseconds are meant, write 30"
    )
    for policy in (hf.Timeout(1500.0), retry(max_time=60_000), limiter(max_wait=2000)):
        assert found(policy) == ["milliseconds"]
    for seconds in (900, 1800, 3600, 18_000, 86_400, 1234, timedelta(seconds=30_000)):
        assert found(hf.Timeout(seconds)) == []


# ---- budgets, hedges, faults ----


def test_a_budget_inside_of_something_that_is_no_budget():
    errors, latency = hf.ErrorBudget("e"), hf.LatencyBudget("l")
    assert found(errors, latency, retry(), breaker()) == found(latency, errors, retry()) == []
    assert found(retry(), errors) == ["budget_not_outermost"]
    assert found(errors, hf.Timeout(9), latency, breaker()) == ["budget_not_outermost"]
    (finding,) = hf.Pipeline("p", hf.Fallback(1), errors).lint()
    assert str(finding).startswith(
        "budget_not_outermost: error budget 'e' is inside of the fallback,"
    )


def test_a_fallback_for_shed_calls_alone_may_be_around_the_budget():
    errors = hf.ErrorBudget("e", on_exhausted="shed")
    assert found(hf.Fallback(1, on=hf.ShedError), errors) == []
    for on in (hf.Rejected, (hf.ShedError, OSError), callable):
        assert found(hf.Fallback(1, on=on), errors) == ["budget_not_outermost"]


def test_a_target_that_a_timeout_keeps_every_call_below():
    slow = hf.LatencyBudget("l", target=5)
    assert found(slow, hf.Timeout(5)) == ["target_beyond_timeout"]
    assert found(slow, hf.Timeout(6)) == found(slow, retry(), hf.Timeout(1)) == []
    assert found(slow, retry(attempts=1), hf.Timeout(1)) == ["target_beyond_timeout"]
    adaptive = hf.AdaptiveRateLimiter("a", rate=5, target_latency=timedelta(seconds=1))
    assert found(adaptive, hf.Timeout(1.2)) == ["target_beyond_timeout"]
    assert found(adaptive, hf.Timeout(1.3)) == []


def hedge(**settings: Any) -> hf.Hedge:
    return hf.Hedge("s", **{"budget": hf.RetryBudget(), **settings})


def test_a_hedge_that_begins_after_the_timeout():
    assert found(hf.Timeout(1), hedge(delay=1)) == ["hedge_beyond_timeout"]
    assert found(hedge(delay=1), hf.Timeout(0.5)) == ["hedge_beyond_timeout"]
    assert found(hf.Timeout(2), hedge(delay=0.5), hf.Timeout(1)) == []
    assert found(hf.Timeout(0.1), hedge(delay=hf.Quantile(0.95))) == []


def test_a_hedge_and_a_retry_that_no_budget_limits_together():
    shared = hf.RetryBudget()
    assert found(retry(), hedge()) == found(hedge(), retry()) == ["hedge_multiplies_retries"]
    assert found(retry(budget=shared), hedge(budget=shared)) == []
    assert found(retry(attempts=1), hedge()) == []
    (finding,) = hf.Pipeline("p", retry(attempts=3), hedge(max=2)).lint()
    assert "make up to 9 attempts" in finding.message


def test_a_hedge_without_a_budget():
    assert found(hedge(budget=None)) == ["hedge_without_budget"]
    assert found(hedge(budget="own")) == []


def test_a_guard_that_counts_one_call_for_several_attempts_of_a_hedge():
    for guard in (breaker(), bulkhead(), limiter(), hf.AdaptiveRateLimiter("a", rate=1)):
        assert found(guard, hedge()) == ["guard_outside_hedge"]
        assert found(hedge(), guard) == []


def test_a_fallback_whose_value_is_the_good_answer_of_a_hedge():
    assert found(hedge(), hf.Fallback(1)) == ["fallback_inside_hedge"]
    assert found(hf.Fallback(1), hedge()) == []


def test_a_hedge_moves_a_call_to_a_thread_of_its_own():
    assert found(hedge(), thread(2)) == ["thread_within_thread"]


def test_an_adaptive_limiter_has_the_findings_of_a_limiter_and_of_what_it_measures():
    adaptive = hf.AdaptiveRateLimiter("a", rate=5)
    (finding,) = hf.Pipeline("p", adaptive, retry()).lint()
    assert finding.code == "limiter_outside_retry"
    assert "its rate adapts to durations with pauses" in finding.message


def test_a_fault_that_other_policies_do_not_see():
    one, two = chaos.Error(), chaos.Latency(0.1, 0.2)
    assert found(breaker(), one, two) == []
    assert found(one, breaker()) == ["fault_not_innermost"]
    assert found(one, breaker(), two) == ["fault_not_innermost"]
