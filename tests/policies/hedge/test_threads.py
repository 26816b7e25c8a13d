"""A hedged call in threads: the caller goes on with the first answer."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import pytest

import holdfast as hf
from holdfast._native import gate
from holdfast.waiting import hedged_threads
from tests.policies.hedge.hedges import DownError, Threads, counted
from tests.waiting.left_behind import house
from tests.waiting.parties import Party, until

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")


@pytest.fixture
def clock() -> hf.ManualClock:
    """A clock that no wait moves."""
    return hf.ManualClock(auto=False)


def hedge_on(clock: hf.Clock, **settings: Any) -> hf.Hedge:
    return hf.Hedge("h", **{"delay": 1, "clock": clock, **settings})


def begin(policy: Any, f: Threads, calls: int = 1) -> Party:
    party = Party(policy.call, f)
    until(lambda: len(f.begun) == calls)
    return party


def pass_delay(clock: hf.ManualClock) -> None:
    until(lambda: clock._callbacks)
    clock.advance(1)


def advance(clock: hf.ManualClock, f: Threads, calls: int) -> None:
    """Let the delay pass once the caller waits for it; return when so many calls have begun."""
    pass_delay(clock)
    until(lambda: len(f.begun) >= calls)


def test_an_answer_before_the_delay_needs_no_further_attempt(clock):
    hedge, f = hedge_on(clock), Threads()
    party = begin(hedge, f)
    f.let(1)
    assert party.result().number == 1
    assert counted(hedge, "calls", "hedged", "abandoned") == (1, 0, 0)


def test_a_slow_attempt_is_overtaken_and_its_result_is_closed_at_its_end(clock):  # trap 53
    hedge, f = hedge_on(clock), Threads()
    party = begin(hedge, f)
    advance(clock, f, 2)
    f.let(2)
    assert party.result().number == 2
    assert counted(hedge, "attempts", "won", "cancelled", "running") == (1, 1, 1, 1)
    f.let(1)
    until(lambda: f.responses.get(1) is not None and f.responses[1].closed == 1)
    until(lambda: counted(hedge, "running") == (0,))
    assert f.responses[2].closed == 0


def test_an_attempt_that_fails_starts_the_next_at_once(clock):
    hedge, f = hedge_on(clock), Threads()
    party = begin(hedge, f)
    f.let(1, DownError("first"))
    until(lambda: len(f.begun) == 2)
    f.let(2)
    assert party.result().number == 2


def test_the_last_error_is_raised_with_a_note_about_the_others(clock):
    hedge, f = hedge_on(clock), Threads()
    party = begin(hedge, f)
    advance(clock, f, 2)
    f.let(2, DownError("second"))
    until(lambda: not hedge._worker_threads.active - 1)
    f.let(1, DownError("first"))
    with pytest.raises(DownError) as caught:
        party.result()
    assert "2 attempts failed; the others with DownError" in caught.value.__notes__[0]
    assert counted(hedge, "calls", "failed") == (1, 1)


def test_an_error_that_on_does_not_name_is_the_answer(clock):
    hedge, f = hedge_on(clock, on=OSError), Threads()
    party = begin(hedge, f)
    f.let(1, DownError("not found"))
    with pytest.raises(DownError, match="not found"):
        party.result()
    assert (f.begun, counted(hedge, "failed")) == ([1], (0,))


def test_a_deadline_of_the_caller_ends_the_call_and_counts_no_failure(clock):
    hedge, f = hedge_on(clock), Threads(look=lambda: gate._deadline_here()[1])
    pipe = hf.Pipeline("p", hf.Timeout(5, clock=clock), hedge)
    party = begin(pipe, f)
    advance(clock, f, 2)
    assert f.seen == [5e9, 5e9]
    clock.advance(5)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()
    assert counted(hedge, "calls", "failed", "cancelled", "running") == (1, 0, 2, 2)
    f.let(1)
    f.let(2)
    until(lambda: counted(hedge, "running") == (0,))
    assert all(response.closed == 1 for response in f.responses.values())


def test_slots_around_are_held_until_attempts_that_lost_have_stopped(clock):  # trap 52
    hedge, f, bulkhead = hedge_on(clock), Threads(), house(places=1, clock=clock)
    party = begin(hf.Pipeline("p", bulkhead, hedge), f)
    advance(clock, f, 2)
    f.let(2)
    party.result()
    assert bulkhead.in_flight == 1
    f.let(1)
    until(lambda: bulkhead.in_flight == 0)


def test_each_attempt_passes_the_policies_inside(clock):
    hedge, f = hedge_on(clock), Threads()
    breaker = hf.CircuitBreaker("b", clock=clock)
    party = begin(hf.Pipeline("p", hedge, breaker, house(places=5)), f)
    f.let(1, DownError("first"))
    until(lambda: len(f.begun) == 2)
    f.let(2)
    party.result()
    assert (breaker.snapshot().failed, breaker.snapshot().succeeded) == (1, 1)


def test_a_rejection_inside_is_the_answer_of_a_first_attempt_and_none_of_a_further(clock):
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=1, clock=clock)
    hedge, f, bulkhead = hedge_on(clock, budget=budget), Threads(), house(places=1)
    pipe = hf.Pipeline("p", hedge, bulkhead)
    party = begin(pipe, f)
    outcome = pipe.try_call(f)
    assert isinstance(outcome.rejection, hf.BulkheadFullError)

    pass_delay(clock)
    until(lambda: budget.snapshot().given_back == 1)
    f.let(1)
    assert (party.result().number, budget.balance, f.begun) == (1, 1.0, [1])


def test_in_an_outage_the_extra_load_is_the_budget_to_the_unit(clock):
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=3, clock=clock)
    hedge, calls = hedge_on(clock, budget=budget), []

    def outage():
        calls.append(1)
        raise DownError("outage")

    for _ in range(20):
        assert not hedge.try_call(outage)
    assert (len(calls), counted(hedge, "attempts", "refused")) == (23, (3, 17))


def test_context_variables_of_the_caller_arrive_and_those_of_attempts_do_not_leak(clock):
    seen = []

    def attempt():
        seen.append(var.get())
        var.set("of an attempt")
        raise DownError("again")

    token = var.set("of the caller")
    hedge_on(clock, max=2).try_call(attempt)
    assert (seen, var.get()) == (["of the caller"] * 3, "of the caller")
    var.reset(token)


def test_a_result_that_on_result_names_is_a_failure(clock):
    hedge = hedge_on(clock, on_result=lambda number: number < 3)
    numbers = iter([1, 2, 5])
    assert hedge.call(lambda: next(numbers)) == 2
    assert counted(hedge, "calls", "failed", "attempts") == (1, 1, 1)
    assert hedge.call(lambda: next(numbers)) == 5


def test_observe_mode_calls_in_the_thread_of_the_caller(clock):
    hedge = hedge_on(clock, mode="observe")
    hedge.try_call(lambda: 1 / 0)
    assert hedge.call(lambda: clock.advance(2)) is None
    assert counted(hedge, "calls", "observed", "attempts") == (2, 2, 0)
    assert hedge._worker_threads is None


def test_a_plain_function_that_returns_an_awaitable_is_hedged_where_it_is_awaited():
    import asyncio

    hedge, begun = hf.Hedge("h", delay=60), []

    async def work() -> int:
        begun.append(1)
        if len(begun) == 1:
            raise DownError("first")
        return len(begun)

    @hedge
    def plain():
        return work()

    async def main() -> int:
        return await plain()

    assert asyncio.run(main()) == 2
    assert hedge._worker_threads is None


def test_a_hedge_inside_a_timeout_in_threads_and_one_around_it_both_hedge(clock):
    hedge, f = hedge_on(clock), Threads()
    pipe = hf.Pipeline("p", hf.Timeout(99, thread=True, clock=clock), hedge)
    party = begin(pipe, f)
    advance(clock, f, 2)
    f.let(2)
    assert party.result().number == 2
    f.let(1)
    other, g = hedge_on(clock), Threads()
    party = begin(hf.Pipeline("q", other, hf.Timeout(99, thread=True, clock=clock)), g)
    advance(clock, g, 2)
    g.let(2)
    assert party.result().number == 2
    g.let(1)


def test_an_interrupted_caller_leaves_its_attempts_behind_and_no_open_result(clock, monkeypatch):
    hedge, f = hedge_on(clock), Threads()
    park = hedged_threads.ThreadWaiter.park_until

    def interrupted(waiter: Any, *args: Any) -> bool:
        until(lambda: f.begun == [1])
        raise KeyboardInterrupt

    monkeypatch.setattr(hedged_threads.ThreadWaiter, "park_until", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hf.Pipeline("p", hf.Timeout(60, clock=clock), hedge).call(f)
    monkeypatch.setattr(hedged_threads.ThreadWaiter, "park_until", park)
    assert counted(hedge, "calls", "failed", "running") == (1, 0, 1)
    f.let(1)
    until(lambda: counted(hedge, "running") == (0,))
    until(lambda: f.responses[1].closed == 1)


def test_a_retry_around_makes_each_attempt_a_hedged_one(clock):
    hedge, calls = hedge_on(clock), []
    retry = hf.Retry("r", attempts=2, on=DownError, backoff=0, budget=None, clock=clock)

    def attempt() -> int:
        calls.append(1)
        if len(calls) < 4:
            raise DownError("down")
        return len(calls)

    assert hf.Pipeline("p", retry, hedge).call(attempt) == 4
    assert counted(hedge, "calls", "failed", "attempts") == (2, 1, 2)


def test_an_attempt_without_a_free_thread_gives_its_token_back(clock):
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=1, clock=clock)
    hedge, f = hedge_on(clock, workers=1, budget=budget), Threads()
    party = begin(hf.Pipeline("p", hf.Timeout(99, clock=clock), hedge), f)

    pass_delay(clock)
    until(lambda: hedge._worker_threads.queued == 1)
    clock.advance(99)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()
    assert (f.begun, budget.balance, counted(hedge, "attempts", "running")) == ([1], 1.0, (0, 1))
    f.let(1)


def test_rejections_and_failed_first_attempts_are_no_samples_of_a_quantile(clock):
    hedge = hedge_on(clock, delay=hf.Quantile(0.95, initial=1))
    breaker = hf.CircuitBreaker("b", clock=clock)
    breaker.force_open()
    assert not hf.Pipeline("p", hedge, breaker).try_call(len, "ok").ok
    f = Threads()
    f.let(1, DownError())
    f.let(2)
    assert hedge.call(f).number == 2
    assert hedge.snapshot().samples == 0


def test_a_first_attempt_that_is_rejected_does_not_end_the_others(clock):
    hedge, f = hedge_on(clock), Threads()
    retry = hf.Retry("r", backoff=0, on=DownError, clock=clock)
    breaker = hf.CircuitBreaker("b", failure_threshold=1, clock=clock)
    party = begin(hf.Pipeline("p", hedge, retry, breaker), f)
    advance(clock, f, 2)
    f.let(1, DownError())
    until(lambda: breaker.snapshot().rejected)
    f.let(2)
    assert party.result().number == 2


def test_an_attempt_that_is_rejected_after_the_answer_gives_its_token_back(clock):
    budget = hf.RetryBudget(clock=clock)
    hedge, f = hedge_on(clock, budget=budget), Threads()
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=2, max_wait=5, clock=clock)
    party = begin(hf.Pipeline("p", hedge, bulkhead), f)
    next_one = Party(bulkhead.enter)
    until(lambda: bulkhead.waiting == 1 and len(clock._callbacks) == 2)
    clock.advance(1)
    until(lambda: bulkhead.waiting == 2)
    f.let(1)
    assert party.result().number == 1
    assert budget.snapshot().given_back == 0
    permit = next_one.result()
    clock.advance(5)
    until(lambda: hedge.snapshot().running == 0)
    del permit
    until(lambda: budget.snapshot().given_back == 1)
    assert f.begun == [1]


@pytest.mark.parametrize("inside", [[], [hf.Timeout(60)]])
def test_a_call_through_the_hedge_in_one_of_its_threads_needs_no_other_thread(clock, inside):
    hedge = hedge_on(clock, workers=1)
    pipe = hf.Pipeline("p", hedge, *inside)
    party = Party(pipe.call, lambda: pipe.call(lambda: pipe.call(len, "ok")))
    assert party.result() == 2
    assert counted(hedge, "calls", "hedged", "failed") == (3, 0, 0)


def test_a_failure_within_a_call_in_a_thread_of_the_hedge_is_counted_once_a_call(clock):
    hedge = hedge_on(clock, workers=1, max=1)
    with pytest.raises(DownError):
        Party(hedge.call, lambda: hedge.call(raise_down)).result()
    assert counted(hedge, "calls", "failed") == (3, 3)  # the outer one was made twice


def raise_down() -> None:
    raise DownError


def test_an_attempt_that_waits_inside_when_it_loses_never_calls_the_function(clock):  # trap 53
    budget = hf.RetryBudget(clock=clock)
    hedge, f = hedge_on(clock, budget=budget), Threads()
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=2, max_wait=5, clock=clock)
    breaker = hf.CircuitBreaker("c", failure_threshold=1, clock=clock)
    party = begin(hf.Pipeline("p", hedge, breaker, bulkhead), f)
    next_one = Party(bulkhead.enter)
    until(lambda: bulkhead.waiting == 1 and len(clock._callbacks) == 2)
    clock.advance(1)
    until(lambda: bulkhead.waiting == 2)
    f.let(1)
    assert party.result().number == 1
    next_one.result()
    bulkhead.leave()
    until(lambda: hedge.snapshot().running == 0)
    until(lambda: budget.snapshot().given_back == 1)
    assert (f.begun, counted(hedge, "attempts", "won")) == ([1], (0, 0))
    shown = breaker.snapshot()
    assert (shown.failed, shown.in_flight, bulkhead.snapshot().active) == (0, 0, 0)


def test_a_retry_inside_an_attempt_that_has_lost_tries_no_more(clock):  # trap 53
    hedge, f = hedge_on(clock), Threads()
    asked, may_go_on = threading.Event(), threading.Event()
    hold = lambda error: asked.set() or may_go_on.wait(60)  # noqa: E731
    retry = hf.Retry("r", backoff=0, on=hold, clock=clock)
    party = begin(hf.Pipeline("p", hedge, retry), f)
    advance(clock, f, 2)
    f.let(2, DownError())
    assert asked.wait(60)
    f.let(1)
    assert party.result().number == 1
    may_go_on.set()
    until(lambda: hedge.snapshot().running == 0)
    assert f.begun == [1, 2]
