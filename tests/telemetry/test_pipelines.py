"""Calls of pipelines by how they end, and what tells two timeouts of one pipeline apart."""

import asyncio
import gc
import threading
from contextlib import suppress
from functools import partial

import pytest

import holdfast as hf
from tests.telemetry.scraped import Scrape

OUTCOMES = ("success", "failure", "rejected", "timeout", "cancelled")


def fail():
    raise ConnectionError


def interrupt():
    raise KeyboardInterrupt


def give_up():
    raise asyncio.CancelledError


async def as_coroutine(fn, *args):
    await asyncio.sleep(0)
    return fn(*args)


def as_stream(pipe):
    @pipe
    def stream():
        yield 0

    return lambda: list(stream())


def as_async_stream(pipe):
    @pipe
    async def stream():
        yield 0

    async def consume():
        return [item async for item in stream()]

    return lambda: asyncio.run(consume())


def outcomes(pipe, seen=None):
    """Return how many calls ended in each way, without those in which none did."""
    seen = seen or Scrape(pipe)
    counts = {
        outcome: seen("pipeline_calls_total", pipeline=pipe.name, outcome=outcome)
        for outcome in OUTCOMES
    }
    return {outcome: count for outcome, count in counts.items() if count}


def plain(clock, *more):
    """Return a pipeline that no step of controls a call of."""
    return hf.Pipeline("p", hf.CircuitBreaker("b", clock=clock), hf.Bulkhead("h"), *more)


def controlled(clock, *more):
    return hf.Pipeline("p", hf.Timeout(10, clock=clock), plain(clock, *more))


@pytest.fixture(params=[plain, controlled])
def pipe(request, clock):
    return request.param(clock)


@pytest.fixture(params=[plain, controlled])
def shut(request, clock):
    """A pipeline that refuses every call."""
    breaker = hf.CircuitBreaker("shut", clock=clock)
    breaker.force_open()
    return request.param(clock, breaker)


ENDS = [(int, "success"), (fail, "failure"), (interrupt, "cancelled"), (give_up, "cancelled")]


def by_guard(pipe, fn):
    pipe(fn)()


def by_call(pipe, fn):
    pipe.call(fn)


def by_try_call(pipe, fn):
    pipe.try_call(fn)


def by_block(pipe, fn):
    with pipe:
        fn()


def by_permit(pipe, fn):
    with pipe.acquire():
        fn()


def by_generator(pipe, fn):
    def generate():
        yield 1
        fn()

    list(pipe(generate)())


def by_coroutine(pipe, fn):
    asyncio.run(pipe.acall(as_coroutine, fn))


def by_async_block(pipe, fn):
    async def main():
        async with pipe:
            fn()

    asyncio.run(main())


WAYS = [
    by_guard, by_call, by_try_call, by_block, by_permit, by_generator, by_coroutine, by_async_block,
]  # fmt: skip


@pytest.mark.parametrize(("fn", "outcome"), ENDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_call_counts_once_by_how_it_ends_whichever_way_it_is_made(way, fn, outcome, pipe):
    with suppress(ConnectionError, KeyboardInterrupt, asyncio.CancelledError):
        way(pipe, fn)
    assert outcomes(pipe) == {outcome: 1}
    assert Scrape(pipe)("pipeline_call_duration_seconds_count", pipeline="p") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_refused_call_counts_as_rejected_and_has_no_duration(way, shut):
    with suppress(hf.Rejected):
        way(shut, int)
    assert outcomes(shut) == {"rejected": 1}
    assert not Scrape(shut).series("pipeline_call_duration_seconds_count")


@pytest.mark.parametrize("way", [by_guard, by_call, by_try_call, by_block, by_coroutine])
def test_a_call_whose_time_is_over_counts_as_a_timeout(way, clock):
    pipe = controlled(clock)
    with suppress(hf.DeadlineExceededError, asyncio.CancelledError):
        if way is by_coroutine:

            async def main():
                task = asyncio.create_task(pipe.acall(asyncio.sleep, 3600))
                await asyncio.sleep(0)
                clock.advance(11)
                await task

            asyncio.run(main())
        else:
            way(pipe, lambda: clock.advance(11))
    assert outcomes(pipe) == {"timeout": 1}


def test_retries_and_fallbacks_are_part_of_the_call_that_they_are_made_for(clock):
    answers = iter([fail, fail, int])
    pipe = hf.Pipeline.standard("p", backoff=hf.Constant(1), clock=clock)
    pipe.call(lambda: next(answers)())
    seen = Scrape(pipe)
    assert outcomes(pipe, seen) == {"success": 1}
    assert seen("pipeline_call_duration_seconds_sum", pipeline="p") == 2  # with the pauses
    saved = hf.Pipeline.standard("saved", attempts=1, fallback=0, clock=clock)
    saved.call(fail)
    assert outcomes(saved) == {"success": 1}


@pytest.mark.parametrize("make", [as_stream, as_async_stream])
def test_a_stream_that_a_fallback_gives_counts_once_when_it_ends(make, clock):
    breaker = hf.CircuitBreaker("b", clock=clock)
    breaker.force_open()
    given = iter([[1, 2], [], (n / (1 - n) for n in range(2))])
    pipe = hf.Pipeline("p", hf.Fallback(lambda error: next(given)), breaker)
    consume = make(pipe)
    assert (consume(), consume()) == ([1, 2], [])
    assert outcomes(pipe) == {"success": 2}
    with pytest.raises(ZeroDivisionError):
        consume()
    assert outcomes(pipe) == {"success": 2, "failure": 1}


@pytest.mark.parametrize("judge", [hf.CircuitBreaker, hf.Retry])
@pytest.mark.parametrize("make", [as_coroutine, None], ids=["task", "thread"])
def test_a_result_that_a_step_judges_a_failure_counts_as_one(judge, make, clock):
    retries = judge is hf.Retry
    settings = {"backoff": hf.Constant(0), "attempts": 2} if retries else {}
    step = judge("judge", on_result=lambda status: status == 503, clock=clock, **settings)
    pipe = hf.Pipeline("p", step, hf.Bulkhead("h"))
    answers = iter([200, 503, 503, 503, 200])

    def call():
        if make is None:
            return pipe.call(next, answers)
        return asyncio.run(pipe.acall(make, next, answers))

    assert [call() for _ in range(3)] == [200, 503, 200 if retries else 503]
    assert outcomes(pipe) == {"success": 1 + retries, "failure": 2 - retries}


def test_a_result_that_a_step_judges_in_a_thread_counts_as_it_was_judged():
    for judge in (hf.CircuitBreaker, partial(hf.Retry, attempts=2, backoff=0)):
        step = judge("judge", on_result=lambda status: status == 503)
        pipe = hf.Pipeline("p", hf.Timeout(60, thread=True), step)
        assert [pipe.call(int, status) for status in (200, 503, 200)] == [200, 503, 200]
        assert outcomes(pipe) == {"success": 2, "failure": 1}


def test_what_a_fallback_gives_is_judged_by_what_is_outside_of_it(clock):
    retry = hf.Retry("r", attempts=2, backoff=0, on_result=lambda status: status == 503)
    judges = hf.CircuitBreaker("b", on_result=lambda status: status == 503)
    given = iter([503, 503, 503, 200, 200])
    pipe = hf.Pipeline("p", retry, hf.Fallback(lambda error: next(given)), judges)
    assert [pipe.call(fail) for _ in range(3)] == [503, 200, 200]
    assert outcomes(pipe) == {"success": 2, "failure": 1}


def test_durations_are_those_that_the_steps_have_measured(clock):
    pipe = hf.Pipeline.standard("p", clock=clock)
    for seconds in (0, 0.005, 0.006, 9):
        pipe.call(clock.advance, seconds)
    with suppress(hf.DeadlineExceededError):
        pipe.call(clock.advance, 31)
    seen = Scrape(pipe)
    found = {
        dict(labels)["le"]: seen.samples["holdfast_pipeline_call_duration_seconds_bucket", labels]
        for labels in seen.series("pipeline_call_duration_seconds_bucket")
    }
    assert (found["0.005"], found["0.01"], found["5.0"]) == (2, 3, 3)
    assert (found["10.0"], found["+Inf"]) == (4, 5)
    untimed = hf.Pipeline("untimed", hf.Bulkhead("h"))
    untimed.call(int)
    seen = Scrape(untimed)
    assert outcomes(untimed, seen) == {"success": 1}
    assert not seen.series("pipeline_call_duration_seconds_count")


def test_a_call_that_is_dropped_counts_as_cancelled(clock):
    async def main(pipe):
        call = pipe.acall(asyncio.sleep, 3600)
        call.send(None)
        call.close()

    for pipe in (plain(clock), controlled(clock)):
        asyncio.run(main(pipe))
        assert outcomes(pipe) == {"cancelled": 1}


def test_a_call_that_is_dropped_while_it_waits_counts_as_cancelled(clock):
    async def begin(pipe):
        call = pipe.acall(asyncio.sleep, 3600)
        call.send(None)
        return call

    async def main(pipe):
        with bulkhead:
            (await begin(pipe)).close()
            await begin(pipe)  # it dies here
            gc.collect()

    for control in ((), (hf.Timeout(10, clock=clock),)):
        bulkhead = hf.Bulkhead("h", max_concurrent=1, max_waiting=9, max_wait=9, clock=clock)
        pipe = hf.Pipeline("p", *control, bulkhead)
        asyncio.run(main(pipe))
        assert outcomes(pipe) == {"cancelled": 2}


def test_a_permit_counts_as_it_is_settled_and_once(clock):
    pipe = plain(clock)
    for settle in ("success", "failure", "ignore"):
        permit = pipe.acquire()
        getattr(permit, settle)()
        getattr(permit, settle)()
    pipe.acquire()  # nobody settles it
    gc.collect()
    assert outcomes(pipe) == {"success": 1, "failure": 1, "cancelled": 2}


def test_a_wait_in_vain_counts_as_rejected(clock):
    bulkhead = hf.Bulkhead("h", max_concurrent=1, max_waiting=1, max_wait=1, clock=clock)
    pipe = hf.Pipeline("p", bulkhead)
    with bulkhead:
        pipe.try_call(int)
        with suppress(hf.Rejected):
            pipe.call(int)

        async def main():
            waits = asyncio.create_task(pipe.try_acall(as_coroutine, int))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            clock.advance(1)
            await waits

        asyncio.run(main())
    assert outcomes(pipe) == {"rejected": 3}


def test_what_runs_later_counts_when_it_has_run():
    pipe = hf.Pipeline("p", hf.CircuitBreaker("b"))

    def make():
        return as_coroutine(int)

    made = pipe(make)()
    assert outcomes(pipe) == {}
    asyncio.run(made)
    assert outcomes(pipe) == {"success": 1}


def test_a_call_in_a_thread_of_its_own_counts_once():
    pipe = hf.Pipeline("p", hf.Timeout(60, thread=True), hf.CircuitBreaker("b"))
    pipe.call(int)
    with suppress(ConnectionError):
        pipe.call(fail)
    assert outcomes(pipe) == {"success": 1, "failure": 1}


def test_a_pipeline_within_another_counts_only_its_own_calls(clock):
    inner = plain(clock)
    outer = hf.Pipeline("outer", hf.Timeout(1, clock=clock), inner)
    outer.call(int)
    inner.call(int)
    seen = Scrape(outer)
    assert (outcomes(outer, seen), outcomes(inner, seen)) == ({"success": 1}, {"success": 1})


def test_the_snapshots_of_the_steps_agree_with_the_calls(clock):
    pipe = hf.Pipeline.standard("p", backoff=hf.Constant(0), rate=1e6, clock=clock)
    answers = [int, fail, int, interrupt, fail, int, lambda: clock.advance(31)] * 20
    threads = [threading.Thread(target=pipe.try_call, args=(int,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for fn in answers:
        with suppress(KeyboardInterrupt):
            pipe.try_call(fn)
    for thread in threads:
        thread.join()
    total, retry, *_ = (part.snapshot() for part in pipe.policies)
    seen = Scrape(pipe)
    found = outcomes(pipe, seen)
    assert sum(found.values()) == retry.succeeded + retry.failed == 148
    assert found["success"] + found["timeout"] >= retry.succeeded
    assert found["timeout"] == total.expired
    assert found["cancelled"] == 20
    count = seen("pipeline_call_duration_seconds_count", pipeline="p")
    assert count == 148 - found.get("rejected", 0)


def test_no_count_falls_while_a_pipeline_of_the_name_lives(clock):
    first, idle = plain(clock), plain(clock)
    first.call(int)
    assert outcomes(idle, Scrape()) == {"success": 1}
    del first
    gc.collect()
    assert outcomes(idle, Scrape()) == {"success": 1}
    idle.call(int)
    assert outcomes(idle, Scrape()) == {"success": 2}
    del idle
    gc.collect()
    assert not Scrape().series("pipeline_calls_total")
    assert outcomes(plain(clock), Scrape()) == {}


def test_an_idle_pipeline_whose_namesake_had_calls_leaves_no_count_behind(clock, ledger):
    first, idle = plain(clock), plain(clock)
    first.call(int)
    del first
    gc.collect()
    Scrape()
    del idle
    gc.collect()
    Scrape()
    assert ledger.figures() == {}


def test_total_and_attempt_timeouts_are_told_apart(clock):
    pipe = hf.Pipeline.standard("p", attempts=1, clock=clock)
    with suppress(hf.DeadlineExceededError):
        pipe.call(clock.advance, 11)
    with suppress(hf.DeadlineExceededError):
        pipe.with_options(attempt_timeout=None, total_timeout=5).call(clock.advance, 6)
    seen = Scrape()

    def expired(scope):
        return seen("timeout_calls_total", timeout="p", scope=scope, result="expired")

    assert (expired("attempt"), expired("total")) == (1, 1)
    assert {dict(labels).get("scope") for labels in seen.series("timeout_calls_total")} == {
        "attempt",
        "total",
    }


def test_a_timeout_keeps_its_series_in_whatever_pipeline_it_is(clock):
    timeout = hf.Timeout(1, name="t", clock=clock)
    timeout.call(int)
    pipe = hf.Pipeline("p", timeout, hf.Retry("r", clock=clock))
    pipe.call(int)
    other = pipe.with_options(total_timeout=2)
    other.call(int)
    seen = Scrape()
    assert seen("timeout_calls_total", timeout="t", result="in_time") == 3
    assert len(seen.series("timeout_calls_total")) == 3


def test_scopes_of_one_name_have_series_of_their_own_in_observe_mode(clock):
    pipe = hf.Pipeline.standard("p", attempts=1, mode="observe", clock=clock)
    pipe.call(clock.advance, 11)
    seen = Scrape()
    labels = {"name": "p", "kind": "timeout"}
    assert seen("observed_total", **labels, scope="attempt") == 1
    assert seen("observed_total", **labels, scope="total") == 0
    assert seen("policy_mode", **labels, scope="total") == 1


def test_calls_left_behind_in_threads_are_counted_and_shown_while_they_run():
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    timeout = hf.Timeout(0.001, name="t", thread=True)
    late = hf.Timeout(1, name="late", clock=hf.ManualClock())
    assert Scrape()("timeout_threads_abandoned_total", timeout="t") == 0
    assert Scrape()("timeout_threads_running", timeout="t") == 0

    def work():
        begun.set()
        go_on.wait(60)
        done.set()

    while not begun.is_set():  # a call that gets no thread in time is not run
        with suppress(hf.DeadlineExceededError):
            timeout.call(work)
    seen = Scrape()
    assert seen("timeout_threads_abandoned_total", timeout="t") == 1
    assert seen("timeout_threads_running", timeout="t") == 1
    go_on.set()
    assert done.wait(60)
    while timeout.snapshot().running:
        done.wait(0)
    assert Scrape()("timeout_threads_running", timeout="t") == 0
    assert not Scrape(late).series("timeout_late_results_total")
    with suppress(hf.DeadlineExceededError):
        late.call(late._clock.advance, 2)
    assert Scrape(late)("timeout_late_results_total", timeout="late") == 1


def test_results_of_a_state_that_is_over_are_counted(clock):
    breaker = hf.CircuitBreaker("b", clock=clock)
    permit = breaker.acquire()
    assert not Scrape(breaker).series("circuit_breaker_late_results_total")
    breaker.trip()
    permit.success()
    assert Scrape(breaker)("circuit_breaker_late_results_total", name="b") == 1


def test_an_open_breaker_shows_without_traffic_that_its_time_is_over(clock):
    breaker = hf.CircuitBreaker("b", reset_timeout=5, clock=clock)

    def shown():
        seen = Scrape(breaker)
        state = seen("circuit_breaker_state", name="b")
        return state, seen("circuit_breaker_accepting", name="b")

    assert shown() == (0, 1)
    breaker.trip()
    assert shown() == (2, 0)
    clock.advance(4.999)
    assert shown() == (2, 0)
    clock.advance(0.001)
    assert shown() == (2, 1)
    breaker.force_open()
    clock.advance(3600)
    assert shown() == (2, 0)
    breaker.disable()
    assert shown() == (0, 1)


@pytest.mark.parametrize(("mode", "accepting"), [("enforce", 0), ("observe", 1), ("off", 1)])
def test_an_open_breaker_that_rejects_no_call_is_shown_as_accepting(clock, mode, accepting):
    breaker = hf.CircuitBreaker("b", mode=mode, clock=clock)
    breaker.trip()
    seen = Scrape(breaker)
    assert seen("circuit_breaker_state", name="b") == 2
    assert seen("circuit_breaker_accepting", name="b") == accepting


def test_of_several_breakers_of_a_name_the_one_that_admits_nobody_is_shown(clock):
    kept = [hf.CircuitBreaker("b", reset_timeout=5, clock=clock) for _ in range(2)]
    kept[1].trip()
    assert Scrape()("circuit_breaker_accepting", name="b") == 0
    clock.advance(5)
    assert Scrape()("circuit_breaker_accepting", name="b") == 1
