"""Pipelines and guarded callables with other policies: ``with_options``."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

import holdfast as hf


@pytest.fixture
def pipe(clock: hf.ManualClock) -> hf.Pipeline:
    return hf.Pipeline.standard("p", clock=clock)


@pytest.fixture
def retry(clock: hf.ManualClock) -> hf.Retry:
    return hf.Retry("other", attempts=2, backoff=hf.Constant(0), clock=clock)


def kinds(pipe: hf.Pipeline) -> list[str]:
    return [policy.kind for policy in pipe.policies]


def refused(pipe: hf.Pipeline, **options: object) -> tuple[str, ...]:
    with pytest.raises(hf.ConfigError) as caught:
        pipe.with_options(**options)
    return caught.value.problems


# ---- replacing and removing ----


def test_a_policy_is_replaced_and_the_others_are_shared(pipe, retry):
    other = pipe.with_options(retry=retry)
    assert other.name == "p"
    assert other is not pipe
    assert other.policies == (pipe.policies[0], retry, *pipe.policies[2:])
    other.policies[2].trip()
    with pytest.raises(hf.CircuitOpenError):
        pipe.call(lambda: 1)


@pytest.mark.parametrize(
    ("option", "made"),
    [
        ("breaker", lambda: hf.CircuitBreaker("o")),
        ("circuit_breaker", lambda: hf.CircuitBreaker("o")),
        ("limiter", lambda: hf.RateLimiter("o", rate=1)),
        ("rate_limiter", lambda: hf.RateLimiter("o", rate=1)),
        ("bulkhead", lambda: hf.Bulkhead("o")),
        ("fallback", lambda: hf.Fallback(1)),
        ("total_timeout", lambda: hf.Timeout(5)),
        ("attempt_timeout", lambda: hf.Timeout(5)),
    ],
)
def test_each_kind_by_its_names(option, made):
    full = hf.Pipeline.standard("p", rate=5, fallback=0)
    policy = made()
    other = full.with_options(**{option: policy})
    assert kinds(other) == kinds(full)
    changed = [new for new, old in zip(other.policies, full.policies, strict=True) if new != old]
    assert changed == [policy]
    without = full.with_options(**{option: None})
    assert len(without.policies) == 6
    assert set(full.policies) - set(without.policies) == set(full.policies) - set(other.policies)


def test_timeouts_are_told_apart_by_the_retry_between_them(pipe):
    other = pipe.with_options(total_timeout=20, attempt_timeout=timedelta(seconds=3))
    total, *_, attempt = other.policies
    assert (total.duration, attempt.duration) == (20.0, 3.0)
    assert kinds(pipe.with_options(total_timeout=None))[0] == "retry"
    assert kinds(pipe.with_options(attempt_timeout=None))[-1] == "bulkhead"


def test_without_a_retry_a_breaker_limiter_or_bulkhead_is_between_them(pipe):
    once = pipe.with_options(retry=None)
    assert kinds(once) == ["timeout", "circuit_breaker", "bulkhead", "timeout"]
    other = once.with_options(total_timeout=7, attempt_timeout=2)
    assert (other.policies[0].duration, other.policies[-1].duration) == (7.0, 2.0)


def test_a_number_changes_a_timeouts_duration_and_nothing_else(clock):
    old = hf.Timeout(5, name="slow", thread=True, workers=3, clock=clock, mode="observe")
    (new,) = hf.Pipeline("p", old).with_options(timeout=2).policies
    assert new.duration == 2.0
    assert new.name == "slow"
    assert new._settings[1:] == old._settings[1:]
    assert old.duration == 5.0


def test_the_only_timeout_goes_by_that_name(clock, retry):
    inner = hf.Pipeline("p", retry, hf.Timeout(3, clock=clock))
    assert inner.with_options(timeout=2).policies[1].duration == 2.0
    assert inner.with_options(timeout=None).policies == (retry,)
    bare = hf.Pipeline("p", retry).with_options(timeout=4)
    assert kinds(bare) == ["timeout", "retry"]
    assert bare.policies[0]._clock is clock


def test_policies_of_pipelines_within_are_found_and_those_pipelines_made_anew(clock, retry):
    breaker, bulkhead = hf.CircuitBreaker("b", clock=clock), hf.Bulkhead("h", clock=clock)
    inner = hf.Pipeline("inner", breaker, bulkhead)
    outer = hf.Pipeline("outer", retry, inner)
    larger = hf.Bulkhead("h", max_concurrent=200, clock=clock)
    other = outer.with_options(bulkhead=larger)
    assert other.policies[0] is retry
    assert other.policies[1].name == "inner"
    assert other.policies[1].policies == (breaker, larger)
    assert inner.policies == (breaker, bulkhead)
    assert outer.with_options(breaker=None, bulkhead=None).policies == (retry,)
    assert outer.with_options(retry=None).policies == (inner,)


# ---- putting in ----


def test_what_is_not_there_goes_where_the_standard_pipeline_has_it(pipe, retry, clock):
    fallback, limiter = hf.Fallback(1), hf.RateLimiter("l", rate=1)
    assert kinds(pipe.with_options(limiter=limiter, fallback=fallback)) == kinds(
        hf.Pipeline.standard("p", rate=1, fallback=1)
    )
    only = hf.Pipeline("p", hf.CircuitBreaker("b", clock=clock))
    built = only.with_options(
        attempt_timeout=1,
        bulkhead=hf.Bulkhead("h"),
        limiter=limiter,
        retry=retry,
        total_timeout=9,
        fallback=fallback,
    )
    assert kinds(built) == kinds(hf.Pipeline.standard("p", rate=1, fallback=1))
    assert [built.policies[at].duration for at in (1, -1)] == [9.0, 1.0]
    assert built.policies[1].name == "p"


def test_in_another_order_it_goes_inside_of_what_is_to_be_outside(clock, retry):
    bulkhead, fallback = hf.Bulkhead("h", clock=clock), hf.Fallback(1, clock=clock)
    breaker = hf.CircuitBreaker("b", clock=clock)
    assert kinds(hf.Pipeline("p", bulkhead, retry).with_options(breaker=breaker)) == [
        "bulkhead",
        "retry",
        "circuit_breaker",
    ]
    # A total timeout inside of the retry would be none.
    assert kinds(hf.Pipeline("p", retry, fallback).with_options(total_timeout=1)) == [
        "timeout",
        "retry",
        "fallback",
    ]
    # One timeout inside of a breaker times an attempt: the retry goes outside of both.
    assert kinds(hf.Pipeline("p", breaker, hf.Timeout(1)).with_options(retry=retry)) == [
        "retry",
        "circuit_breaker",
        "timeout",
    ]
    nested = hf.Pipeline("p", hf.Pipeline("q", retry, breaker))
    assert kinds(nested.with_options(bulkhead=bulkhead)) == ["pipeline", "bulkhead"]


# ---- bad input ----


def test_an_unknown_option_is_told_what_there_is(pipe):
    (problem,) = refused(pipe, retries=3)
    assert problem == (
        "retries: got 3, allowed an option of a pipeline: did you mean 'attempts'?; it takes "
        "error_budget, latency_budget, fallback, total_timeout, retry, hedge, circuit_breaker, "
        "rate_limiter, bulkhead, attempt_timeout, chaos, breaker, limiter, timeout, attempts, "
        "backoff, on, ignore, on_result, max_time, budget, retry_after, max_retry_after, "
        "before_sleep, on_exhausted, wrap"
    )
    for option in ("clock", "mode"):
        (problem,) = refused(pipe, **{option: None})
        assert problem.startswith(f"{option}: got None, allowed an option of a pipeline")


@pytest.mark.parametrize(
    ("option", "value", "instead"),
    [
        ("max_concurrent", 5, "bulkhead=Bulkhead('p', max_concurrent=5)"),
        ("max_wait", 2, "bulkhead=Bulkhead('p', max_wait=2)"),
        ("rate", 5, "limiter=RateLimiter('p', rate=5)"),
        ("reset_timeout", 9, "breaker=CircuitBreaker('p', reset_timeout=9)"),
    ],
)
def test_a_setting_of_a_policy_with_state_is_that_of_a_new_policy(pipe, option, value, instead):
    (problem,) = refused(pipe, **{option: value})
    assert problem == (
        f"{option}: got {value}, allowed a new policy, since the other pipeline shares the "
        f"existing ones: {instead}"
    )


# ---- settings of the retry ----


def test_settings_of_the_retry_change_and_all_else_is_shared(pipe, clock):
    other = pipe.with_options(attempts=6, backoff=0, on=LookupError)
    total, retry, *rest = other.policies
    assert (total, *rest) == (pipe.policies[0], *pipe.policies[2:])
    assert retry.budget is pipe.policies[1].budget
    assert retry._clock is clock
    with pytest.raises(KeyError):
        other.call({}.__getitem__, 1)
    assert (retry.snapshot().attempts, pipe.policies[1].snapshot().attempts) == (6, 0)


def test_settings_of_the_retry_are_checked_and_need_one_retry(pipe, retry):
    (problem,) = refused(pipe, attempts=0)
    assert problem == "attempts: got 0, allowed an integer from 1 to 1000000"
    (problem,) = refused(pipe, attempts=5, retry=retry)
    assert problem == "attempts: got 5, allowed a setting of the retry that is given as retry="
    (problem,) = refused(pipe.with_options(retry=None), attempts=5)
    assert problem.endswith("a pipeline with one retry; it has none: give retry=Retry(…)")
    (problem,) = refused(hf.Pipeline("p", retry, hf.Retry("inner")), attempts=5)
    assert problem.endswith("one retry; it has <Retry 'other'>, <Retry 'inner'>")


def test_a_retry_with_other_settings_shares_its_budget_and_nothing_else(retry, clock):
    other = retry.with_options(attempts=5)
    assert (other.name, other.budget, other.backoff) == ("other", retry.budget, hf.Constant(0))
    assert retry.with_options(budget=None).budget is None
    assert retry.with_options(budget="own").budget is not retry.budget
    assert other.try_call(lambda: {}[1]).error is not None
    assert (other.snapshot().attempts, retry.snapshot().attempts) == (1, 0)
    with pytest.raises(TypeError, match=r"attemps.*did you mean 'attempts'"):
        retry.with_options(attemps=5)  # type: ignore[call-arg]
    with pytest.raises(hf.ConfigError, match="attempts: got 0"):
        retry.with_options(attempts=0)


def test_what_a_retry_guards_alone_has_its_options(retry):
    charge = retry(lambda: 1)
    assert charge.with_options(attempts=7).policy.snapshot().max_retries == 6


def test_what_means_two_policies_is_told_which(pipe, clock, retry):
    (problem,) = refused(pipe, timeout=3)
    assert problem == (
        "timeout: got 3, allowed a pipeline with one timeout; it has <Timeout 'p'>, <Timeout 'p'>: "
        "use total_timeout or attempt_timeout"
    )
    twice = hf.Pipeline("p", retry, hf.Pipeline("q", hf.Retry("inner", clock=clock)))
    for value in (retry, None):
        (problem,) = refused(twice, retry=value)
        assert problem.endswith(
            "a pipeline with one such policy; it has <Retry 'other'>, <Retry 'inner'>"
        )


def test_one_policy_is_not_given_under_two_names(pipe, clock):
    breaker = hf.CircuitBreaker("b", clock=clock)
    (problem,) = refused(pipe, breaker=breaker, circuit_breaker=None)
    assert problem == (
        "circuit_breaker: got None, allowed one option; two are for the circuit breaker"
    )


def test_values_are_of_their_kind_and_all_problems_are_named(pipe, retry):
    problems = refused(
        pipe, retry=3, breaker=retry, fallback="cached", total_timeout=-1, attempt_timeout=retry
    )
    assert [problem.split(", allowed ")[0] for problem in problems] == [
        "retry: got 3",
        "breaker: got <Retry 'other' 2 attempts>",
        "fallback: got 'cached'",
        "total_timeout: got -1",
        "attempt_timeout: got <Retry 'other' 2 attempts>",
    ]
    assert "a Fallback, or None for none" in problems[2]
    assert "a Timeout, seconds, or None for none" in problems[4]


def test_nothing_is_left_of_a_pipeline_whose_last_policy_goes(retry):
    (problem,) = refused(hf.Pipeline("p", hf.Pipeline("q", retry)), retry=None)
    assert "at least one policy" in problem


# ---- guarded callables ----


def failing(times: int) -> Iterator[None]:
    for _ in range(times):
        yield None


def test_a_guarded_function_is_guarded_anew(pipe, retry, clock):
    left = failing(3)

    @pipe
    def charge(card: str, amount: int = 1) -> str:
        """Charge it."""
        for _ in left:
            raise ConnectionError
        return f"{card} {amount}"

    once = charge.with_options(retry=None)
    with pytest.raises(ConnectionError):
        once("c")
    assert charge("c", amount=2) == "c 2"
    assert once.policy.policies == (pipe.policies[0], *pipe.policies[2:])
    assert charge.policy is pipe
    assert once.__wrapped__ is charge.__wrapped__
    assert (once.__name__, once.__doc__) == ("charge", "Charge it.")
    assert inspect.signature(once) == inspect.signature(charge)
    again = once.with_options(retry=retry)
    assert again.policy.policies[1] is retry


def test_so_are_coroutine_functions_and_generators(pipe):
    @pipe
    async def fetch() -> str:
        return "a"

    @pipe
    def count() -> Iterator[int]:
        yield 1

    @pipe
    async def ticks() -> AsyncIterator[int]:
        yield 2

    async def main() -> list[object]:
        return [
            await fetch.with_options(retry=None)(),
            *count.with_options(retry=None)(),
            *[tick async for tick in ticks.with_options(retry=None)()],
        ]

    assert asyncio.run(main()) == ["a", 1, 2]


def test_of_a_method_it_is_one_that_is_not_bound(pipe):
    class Shop:
        @pipe
        def sell(self, item: str) -> tuple[object, str]:
            return self, item

        brief = sell.with_options(total_timeout=2)

    shop = Shop()
    assert shop.brief("tea") == (shop, "tea")
    for unbound in (Shop.sell.with_options(retry=None), shop.sell.with_options(retry=None)):
        assert unbound(shop, "tea") == (shop, "tea")
        assert unbound.__get__(shop)("tea") == (shop, "tea")


def test_what_guards_alone_has_no_policies_to_exchange(clock):
    @hf.CircuitBreaker("b", clock=clock)
    def charge() -> None: ...

    with pytest.raises(
        TypeError, match="<CircuitBreaker 'b'>: only a pipeline or a retry has options"
    ):
        charge.with_options(retry=None)


def test_what_a_guarded_function_cannot_have_is_refused_as_by_its_pipeline(pipe):
    charge = pipe(lambda: 1)
    with pytest.raises(hf.ConfigError, match="retries: got 3"):
        charge.with_options(retries=3)
    with pytest.raises(TypeError):
        charge.with_options(3)
    assert charge() == 1


def test_a_subclass_that_answers_with_something_else_is_refused(clock):
    class Odd(hf.Pipeline):
        __slots__ = ()

        def with_options(self, **options: object) -> object:  # type: ignore[override]
            return "nothing"

    charge = Odd("odd", hf.Bulkhead("b", clock=clock))(lambda: 1)
    with pytest.raises(TypeError, match=r"with_options\(\) of <Odd 'odd'> returned no pipeline"):
        charge.with_options()


def test_guards_made_anew_go_away_with_their_pipelines(pipe, retry):
    charge = pipe(lambda: 1)
    charge()
    hf.registry.all()
    gc.collect()
    before = len(hf.registry.all("pipeline"))
    for _ in range(100):
        assert charge.with_options(retry=retry)() == 1
    gc.collect()
    assert len(hf.registry.all("pipeline")) == before
