"""A hedged call in asyncio: the first answer wins, and nothing of the other attempts is left."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from contextlib import suppress
from typing import Any

import pytest

import holdfast as hf
from tests.policies.hedge.hedges import Attempts, DownError, Response, counted, settle

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")


def hedge_on(loop: Any, **settings: Any) -> hf.Hedge:
    return hf.Hedge("h", **{"delay": 1, "clock": loop.clock, **settings})


def others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_an_answer_before_the_delay_needs_no_further_attempt(loop):
    hedge, f = hedge_on(loop), Attempts((0.9, None))
    assert (await hedge.acall(f)).number == 1
    assert (f.begun, loop.pending) == ([1], 1)  # one timer a loop, not a call
    assert counted(hedge, "calls", "hedged", "attempts") == (1, 0, 0)


async def test_a_slow_first_attempt_is_overtaken_cancelled_and_not_waited_for(loop):  # trap 54
    hedge, f = hedge_on(loop), Attempts((60, None), (0.5, None))
    assert (await hedge.acall(f)).number == 2
    assert loop.time() == pytest.approx(1.5)
    assert (f.begun, f.cancelled, f.ended) == ([1, 2], [1], [2])
    assert asyncio.current_task().cancelling() == 0
    assert counted(hedge, "calls", "hedged", "attempts", "won", "cancelled") == (1, 1, 1, 1, 1)


async def test_a_first_attempt_that_answers_late_still_wins_and_the_other_is_cancelled(loop):
    hedge, f = hedge_on(loop), Attempts((1.2, None), (60, None))
    assert (await hedge.acall(f)).number == 1
    await settle()
    assert (f.cancelled, others()) == ([2], set())
    assert counted(hedge, "won", "cancelled") == (0, 1)


async def test_as_many_further_attempts_begin_as_max_each_a_delay_after_the_last(loop):
    hedge = hedge_on(loop, max=3)
    f = Attempts((60, None), look=loop.time)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await hedge.acall(f)
    await settle()
    assert f.seen == pytest.approx([0, 1, 2, 3])
    assert (sorted(f.cancelled), others()) == ([1, 2, 3, 4], set())


async def test_an_attempt_that_fails_before_the_delay_starts_the_next_at_once(loop):
    hedge, f = hedge_on(loop), Attempts((0.1, DownError("first")), (0.1, None))
    assert (await hedge.acall(f)).number == 2
    assert loop.time() == pytest.approx(0.2)
    assert counted(hedge, "failed", "won", "cancelled") == (0, 1, 0)


async def test_the_last_error_is_raised_with_a_note_about_the_others(loop):
    hedge = hedge_on(loop, max=2)
    f = Attempts((2.5, DownError("one")), (0.1, DownError("two")), (0.1, DownError("three")))
    with pytest.raises(DownError, match="one") as caught:
        await hedge.acall(f)
    assert caught.value.__notes__ == [
        "3 attempts failed; the others with DownError: two, DownError: three; hedge 'h'"
    ]
    assert counted(hedge, "calls", "failed", "won", "cancelled") == (1, 1, 0, 0)


async def test_an_error_that_on_does_not_name_is_the_answer(loop):
    hedge = hedge_on(loop, on=ConnectionError)
    f = Attempts((60, None), (0.1, DownError("not found")))
    with pytest.raises(DownError, match="not found"):
        await hedge.acall(f)
    assert (f.cancelled, counted(hedge, "failed", "won")) == ([1], (0, 1))


async def test_a_result_that_on_result_names_is_a_failure_and_is_closed(loop):
    hedge = hedge_on(loop, on_result=lambda response: response.number == 1)
    f = Attempts((0.1, None), (0.1, None))
    assert (await hedge.acall(f)).number == 2
    await settle()
    assert f.open == [2]


async def test_the_last_bad_result_is_returned_if_all_are_bad(loop):
    breaker = hf.CircuitBreaker("b", clock=loop.clock)
    hedge = hedge_on(loop, on_result=lambda response: True)
    pipe = hf.Pipeline("p", breaker, hedge)
    f = Attempts((0.1, None), (0.1, None))
    assert (await pipe.acall(f)).number == 2
    assert (f.open, counted(hedge, "calls", "failed")) == ([2], (1, 1))


async def test_results_that_come_too_late_are_closed_once(loop):  # trap 53
    class Stubborn(Attempts):
        async def __call__(self, *args: Any) -> Response:
            try:
                return await super().__call__()
            except asyncio.CancelledError:
                return await super().__call__()

    hedge = hedge_on(loop, max=2)
    f = Stubborn((60, None), (60, None), (0.1, None), (0.1, None), (0.1, None))
    assert (await hedge.acall(f)).number == 3
    await asyncio.sleep(1)
    assert (f.open, sorted(f.responses)) == ([3], [3, 4, 5])
    assert all(response.closed <= 1 for response in f.responses.values())


@pytest.mark.parametrize("how", ["aclose", "close", "awaited close", "close="])
async def test_a_result_is_closed_by_what_it_has_or_by_what_the_hedge_was_given(loop, how):
    closed = []

    class Result:
        pass

    async def aclose(*_: Any) -> None:
        await asyncio.sleep(0)
        closed.append(how)

    def close(*_: Any) -> None:
        closed.append(how)

    if how == "aclose":
        Result.aclose, Result.close = aclose, lambda _: closed.append("the wrong one")
    elif how != "close=":
        Result.close = close if how == "close" else aclose

    async def attempt() -> Result:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(2)
        return Result()

    hedge = hedge_on(loop, close=aclose if how == "close=" else None)
    await hedge.acall(attempt)
    await settle()
    assert (closed, others()) == ([how], set())


async def test_an_object_that_two_attempts_return_is_not_closed(loop):
    shared = Response(0)

    async def attempt() -> Response:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(2)
        return shared

    assert await hedge_on(loop).acall(attempt) is shared
    await settle()
    assert shared.closed == 0


async def test_what_closing_raises_is_logged_and_changes_nothing(loop, caplog):
    def close(_: object) -> None:
        raise DownError("cannot close")

    hedge = hedge_on(loop, close=close, on_result=lambda response: response.number == 1)
    assert (await hedge.acall(Attempts((0, None), (0, None)))).number == 2
    assert "cannot close" in caplog.text


@pytest.mark.parametrize(("first", "second"), [(60, 0.1), (1.2, 60)])
async def test_errors_of_attempts_that_lost_are_observed(loop, first, second):  # trap 53
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    seconds = iter([first, second])

    async def attempt() -> str:
        try:
            await asyncio.sleep(next(seconds))
        except asyncio.CancelledError:
            raise DownError("in its clean-up") from None
        return "answer"

    assert await hedge_on(loop).acall(attempt) == "answer"
    await settle()
    gc.collect()
    assert (told, others()) == ([], set())


# ---- whose cancellation ----


async def test_a_further_attempt_that_is_cancelled_by_itself_is_no_answer(loop):
    begun = []

    async def attempt() -> str:
        begun.append(1)
        await asyncio.sleep(5 if len(begun) == 1 else 0.1)
        if len(begun) > 1 and loop.time() < 5:
            raise asyncio.CancelledError
        return "answer"

    hedge = hedge_on(loop)
    assert await hedge.acall(attempt) == "answer"
    assert (len(begun), counted(hedge, "won", "failed", "cancelled")) == (2, (0, 0, 0))


async def test_a_cancellation_of_the_caller_ends_all_attempts_and_stays_one(loop):  # trap 51
    hedge, f = hedge_on(loop), Attempts((60, None))
    task = asyncio.ensure_future(hedge.acall(f))
    await asyncio.sleep(1.5)
    task.cancel("by the caller")
    with pytest.raises(asyncio.CancelledError, match="by the caller"):
        await task
    await settle()
    assert (sorted(f.cancelled), others()) == ([1, 2], set())
    assert counted(hedge, "calls", "failed", "cancelled") == (1, 0, 1)


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("first", [(0.1, DownError("first")), (60, None)])
async def test_a_caller_that_gives_up_as_the_answer_comes_is_cancelled_and_it_is_closed(
    loop, first, steps
):  # trap 51
    hedge, f = hedge_on(loop), Attempts(first, (0.5, None))
    task = asyncio.ensure_future(hedge.acall(f))

    def give_up(steps: int) -> None:
        if not f.responses:
            loop.call_later(0.1, give_up, steps)
        elif steps > 0:
            loop.call_soon(give_up, steps - 1)
        else:
            task.cancel()

    give_up(steps)
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    await settle()
    if isinstance(outcome, Response):  # it was done before
        assert (f.open, task.cancelling()) == ([2], 0)
    else:
        assert isinstance(outcome, asyncio.CancelledError)
        assert f.open == []
    assert others() == set()


async def test_a_caller_that_gives_up_while_the_lost_attempt_lingers_is_cancelled(loop):  # trap 51
    begun = []

    async def attempt() -> str:
        begun.append(loop.time())
        if len(begun) > 1:
            return "answer"
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(60)
        return "never"

    task = asyncio.create_task(hedge_on(loop).acall(attempt))
    await asyncio.sleep(10)
    assert (len(begun), task.done()) == (2, False)
    task.cancel("by the caller")
    with pytest.raises(asyncio.CancelledError, match="by the caller"):
        await task


async def test_a_timeout_around_cuts_all_attempts(loop):
    hedge, f = hedge_on(loop), Attempts((60, None))
    pipe = hf.Pipeline("p", hf.Timeout(5, clock=loop.clock), hedge)
    with pytest.raises(hf.DeadlineExceededError):
        await pipe.acall(f)
    await settle()
    assert (loop.time(), sorted(f.cancelled), others()) == (pytest.approx(5), [1, 2], set())
    assert asyncio.current_task().cancelling() == 0


async def test_a_timeout_inside_cuts_one_attempt_and_the_next_begins(loop):  # trap 51
    hedge, f = hedge_on(loop, delay=9), Attempts((60, None), (0.1, None))
    inside = hf.Timeout(2, clock=loop.clock)
    assert (await hf.Pipeline("p", hedge, inside).acall(f)).number == 2
    assert loop.time() == pytest.approx(2.1)
    assert (inside.snapshot().expired, inside.snapshot().in_time) == (1, 1)


async def test_an_attempt_that_lost_is_no_timeout_of_the_timeout_inside(loop):  # trap 51
    hedge, f = hedge_on(loop), Attempts((60, None), (0.1, None))
    inside, breaker = hf.Timeout(30, clock=loop.clock), hf.CircuitBreaker("b", clock=loop.clock)
    assert (await hf.Pipeline("p", hedge, breaker, inside).acall(f)).number == 2
    assert inside.snapshot().expired == 0
    assert (breaker.snapshot().failed, breaker.snapshot().ignored) == (0, 1)


# ---- what further attempts have of the caller ----


async def test_further_attempts_have_the_deadline_of_the_caller(loop):
    hedge, f = hedge_on(loop), Attempts((60, None), look=hf.deadline)
    inside = hf.Timeout(50, clock=loop.clock)
    pipe = hf.Pipeline("p", hf.Timeout(5, clock=loop.clock), hedge, inside)
    with pytest.raises(hf.DeadlineExceededError):
        await pipe.acall(f)
    assert f.seen == pytest.approx([5, 4])


async def test_context_variables_of_the_caller_arrive_and_those_of_attempts_do_not_leak(loop):
    def look() -> str:
        seen = var.get()
        var.set("of an attempt")
        return seen

    hedge, f = hedge_on(loop), Attempts((60, None), (60, None), (0.1, None), look=look)
    var.set("of the caller")
    await hedge.with_options(max=2).acall(f)
    assert f.seen == ["of the caller"] * 3  # trap 53


async def test_arguments_arrive_at_all_attempts(loop):
    seen = []

    @hedge_on(loop)
    async def attempt(*args: Any, **kwargs: Any) -> int:
        seen.append((args, kwargs))
        await asyncio.sleep(60 if len(seen) == 1 else 0)
        return len(seen)

    assert await attempt(1, a=2) == 2
    assert seen == [((1,), {"a": 2})] * 2


# ---- budget ----


async def test_in_an_outage_the_extra_load_is_the_budget_to_the_unit(loop):
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=7, clock=loop.clock)
    hedge, f = hedge_on(loop, max=2, budget=budget), Attempts((5, DownError("outage")))
    calls = [asyncio.ensure_future(hedge.try_acall(f)) for _ in range(50)]
    await asyncio.gather(*calls)
    assert len(f.begun) == 50 + 7
    assert counted(hedge, "attempts", "refused", "failed") == (7, 93, 50)


async def test_an_exhausted_budget_leaves_attempts_alone_that_run(loop):  # trap 45
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=1, clock=loop.clock)
    hedge = hedge_on(loop, max=3, budget=budget)
    assert (await hedge.acall(Attempts((9, None), (60, None)))).number == 1
    assert counted(hedge, "attempts", "refused", "cancelled") == (1, 2, 1)


async def test_an_attempt_that_never_ran_gives_its_token_back(loop):  # trap 54
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=1, clock=loop.clock)
    bulkhead = hf.Bulkhead("b", max_concurrent=1)
    pipe = hf.Pipeline("p", hedge_on(loop, budget=budget), bulkhead)
    f = Attempts((2, None))
    assert (await pipe.acall(f)).number == 1  # the rejection of the second changes nothing
    assert (f.begun, budget.balance, budget.snapshot().given_back) == ([1], 1.0, 1)


async def test_a_retry_and_a_hedge_that_share_a_budget_deposit_once_for_a_call(loop):
    budget = hf.RetryBudget(ratio=0.5, min_per_second=0, burst=9, clock=loop.clock)
    hedge = hedge_on(loop, budget=budget)
    retry = hf.Retry("r", budget=budget, clock=loop.clock)
    await hf.Pipeline("p", retry, hedge).acall(Attempts((0, None)))
    assert budget.snapshot().successes == 1
    await hedge.acall(Attempts((0, None)))
    assert budget.snapshot().successes == 2


# ---- modes, events, drivers ----


async def test_observe_mode_makes_one_attempt_and_counts_calls_that_would_be_hedged(loop):
    hedge = hedge_on(loop, mode="observe")
    slow, failing = Attempts((2, None)), Attempts((0, DownError("down")))
    await hedge.acall(slow)
    await hedge.acall(Attempts((0.5, None)))
    assert not await hedge.try_acall(failing)
    assert (slow.begun, failing.begun) == ([1], [1])
    assert counted(hedge, "calls", "observed", "attempts") == (3, 2, 0)


async def test_a_call_in_observe_mode_warms_a_quantile_up(loop):
    hedge = hedge_on(loop, mode="observe", delay=hf.Quantile(0.9, warmup=1))
    await hedge.acall(Attempts((0.5, None)))
    assert hedge.delay == 0.5
    await hedge.acall(Attempts((2, None)))
    assert counted(hedge, "observed", "attempts") == (1, 0)


async def test_events_tell_of_attempts_winners_and_refusals(loop):
    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=1, clock=loop.clock)
    hedge, told = hedge_on(loop, budget=budget), []
    hedge.on_event(lambda event: told.append((event.kind, event.old, event.new, event.reason)))
    await hedge.acall(Attempts((60, None), (0.1, None)))
    await hedge.try_acall(Attempts((0.1, DownError("down"))))
    assert told == [
        ("hedge", 1, 2, "delay"),
        ("hedge_won", 2, None, ""),
        ("hedge_refused", None, None, "no_budget"),
    ]


async def test_every_asynchronous_driver_is_hedged(loop):
    hedge = hedge_on(loop)
    script = (60, None), (0, None)
    assert (await hedge.try_acall(Attempts(*script))).value.number == 2
    outcome, stats = await hedge.acall_with_stats(Attempts(*script))
    assert (outcome.value.number, stats.duration) == (2, pytest.approx(1))
    f = Attempts(*script)

    class Client:
        @hedge
        async def get(self) -> Any:
            return await f()

    assert (await Client().get()).number == 2
    assert counted(hedge, "won") == (3,)


async def test_a_call_that_is_dropped_half_way_leaves_no_attempt(loop):
    hedge, f = hedge_on(loop), Attempts((60, None))
    call = hedge.acall(f)
    steps = call.__await__()
    task = asyncio.ensure_future(_drive(steps))
    await asyncio.sleep(1.5)
    assert f.begun == [1, 2]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()
    assert others() == set()


async def _drive(steps: Any) -> Any:
    class Awaitable:
        def __await__(self) -> Any:
            return steps

    return await Awaitable()


async def test_a_retry_around_makes_each_attempt_a_hedged_one(loop):
    hedge = hedge_on(loop)
    retry = hf.Retry("r", attempts=2, on=DownError, backoff=0, budget=None, clock=loop.clock)
    f = Attempts((0, DownError("1")), (0, DownError("2")), (0, DownError("3")), (0, None))
    assert (await hf.Pipeline("p", retry, hedge).acall(f)).number == 4
    assert counted(hedge, "calls", "failed", "attempts") == (2, 1, 2)


async def test_a_first_attempt_that_is_rejected_does_not_end_the_others(loop):
    hedge = hedge_on(loop)
    retry = hf.Retry("r", backoff=0, on=DownError, clock=loop.clock)
    breaker = hf.CircuitBreaker("b", failure_threshold=1, clock=loop.clock)
    pipe = hf.Pipeline("p", hedge, retry, breaker)
    f = Attempts((2, DownError()), (3, None))
    assert (await pipe.acall(f)).number == 2
    assert counted(hedge, "won", "cancelled") == (1, 0)


async def test_a_rejection_is_raised_if_no_attempt_answers_or_fails(loop):
    hedge = hedge_on(loop)
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=2, max_wait=5, clock=loop.clock)
    pipe = hf.Pipeline("p", hedge, bulkhead)
    async with bulkhead:
        with pytest.raises(hf.BulkheadTimeoutError):
            await pipe.acall(Attempts((1, None)))
    assert loop.time() == pytest.approx(6)
    assert counted(hedge, "failed", "won") == (0, 0)


async def test_a_call_ends_though_no_task_can_be_created(loop):
    hedge = hedge_on(loop, max=3)
    f = Attempts((0.1, DownError()))
    made = []

    def create(loop, steps, **settings):
        made.append(steps)
        if len(made) == 2:
            raise MemoryError
        return asyncio.Task(steps, loop=loop, **settings)

    loop.set_task_factory(create)
    with pytest.raises(DownError):
        await hedge.acall(f)
    loop.set_task_factory(None)
    assert (len(made), f.begun, others()) == (2, [1, 2], set())


async def test_a_first_attempt_that_ends_the_program_does_so_although_it_lost(loop):
    async def f() -> str:
        begun.append(1)
        if len(begun) == 2:
            return "answer"
        try:
            await asyncio.sleep(60)
        finally:
            raise SystemExit(3)

    begun: list[int] = []
    with pytest.raises(SystemExit):
        await hedge_on(loop).acall(f)
    await settle()


class Lingering(Attempts):
    """Attempts that take a minute to end once they are cancelled."""

    async def __call__(self, *args: Any) -> Response:
        try:
            return await super().__call__()
        finally:
            await asyncio.sleep(60)


@pytest.mark.parametrize("after", [0.5, 1.5])
async def test_no_attempt_starts_after_the_caller_was_cancelled(loop, after):
    hedge, f = hedge_on(loop, max=3), Lingering((600, None))
    task = asyncio.create_task(hedge.acall(f))
    await asyncio.sleep(after)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(f.begun) == (1 if after < 1 else 2)


@pytest.mark.parametrize("around", ["pipeline", "call", "asyncio"])
async def test_no_attempt_starts_after_a_timeout_around_the_hedge(loop, around):
    hedge, f = hedge_on(loop, max=3), Lingering((600, None))
    timeout = hf.Timeout(1.5, clock=loop.clock)
    with suppress(TimeoutError):
        if around == "pipeline":
            await hf.Pipeline("p", timeout, hedge).acall(f)
        elif around == "call":
            await timeout.acall(lambda: hedge.acall(f))
        else:
            async with asyncio.timeout(1.5):
                await hedge.acall(f)
    assert f.begun == [1, 2]
