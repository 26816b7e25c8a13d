"""A plain function may give a future: admitted, for it runs already, it settles when it is done."""

import asyncio
import concurrent.futures
from concurrent.futures import Future
from typing import Any

import pytest

import holdfast as hf
from tests.gate.late import TASKS, Kind, LostError, Work, awaited
from tests.gate.parts import fates, pipe, places, tripping

each = pytest.mark.parametrize("kind", TASKS.values(), ids=TASKS)


def again(attempts: int) -> hf.Retry:
    return hf.Retry("r", attempts=attempts, backoff=hf.Constant(0), on=LostError)


@each
async def test_a_future_of_asyncio_counts_when_it_is_done(kind: Kind) -> None:
    breaker, bulkhead, work = tripping(), places(), Work(failures=1)
    future = bulkhead(breaker(kind.give))(work)
    assert asyncio.isfuture(future)
    if not future.done():  # from 3.14 on an executor's may be, if its thread was quick
        assert (fates(breaker), bulkhead.in_flight) == ({}, 1)
    with pytest.raises(LostError):
        await future
    await asyncio.sleep(0)
    assert (fates(breaker), bulkhead.in_flight) == ({"failed": 1}, 0)
    with pytest.raises(hf.CircuitOpenError):
        breaker(kind.give)(work)
    assert work.ran == 1


@each
async def test_a_retry_and_a_breaker_take_a_future_for_what_comes_of_it(kind: Kind) -> None:
    breaker, work = hf.CircuitBreaker("b"), Work(failures=2)
    future = pipe(again(attempts=3), hf.Timeout(60), breaker)(kind.give)(work)
    assert asyncio.isfuture(future)
    assert await future in ("done", ["done"])
    assert (work.ran, fates(breaker)) == (3, {"succeeded": 1, "failed": 2})


@pytest.mark.parametrize(
    ("end", "fate"),
    [
        (lambda future: future.set_result("ok"), "succeeded"),
        (lambda future: future.set_result("bad"), "failed"),
        (lambda future: future.set_exception(LostError()), "failed"),
        (lambda future: future.set_exception(KeyError()), "succeeded"),
        (lambda future: future.cancel(), "ignored"),
    ],
    ids=["a result", "a bad result", "an error", "another error", "cancelled"],
)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("of_asyncio", [True, False])
async def test_its_end_is_judged_as_that_of_a_call(
    end: Any, fate: str, first: bool, of_asyncio: bool
) -> None:
    breaker = hf.CircuitBreaker("b", on=LostError, is_failure=is_bad)
    future = asyncio.get_running_loop().create_future() if of_asyncio else Future[str]()
    if first:
        end(future)
    given = breaker(lambda: future)()
    assert given is future
    if not first:
        end(future)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if not future.cancelled():
        future.exception()  # retrieved
    assert fates(breaker) == {fate: 1}


def is_bad(result_or_error: Any) -> bool:
    return isinstance(result_or_error, LostError) or result_or_error == "bad"


async def test_an_error_that_nobody_retrieves_is_told_as_ever() -> None:
    breaker = hf.CircuitBreaker("b")
    told = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context["message"]))
    future = loop.create_future()
    future.set_exception(LostError())
    breaker(iter([future]).__next__)()
    del future
    assert told == ["Future exception was never retrieved"]


def test_a_future_that_is_dropped_half_way_gives_its_place_back() -> None:
    bulkhead = places()
    bulkhead(lambda: Future())()
    assert bulkhead.in_flight == 0


async def test_a_timeout_cuts_a_task_short() -> None:
    clock = hf.ManualClock()
    never = asyncio.ensure_future(asyncio.Event().wait())
    guarded = hf.Timeout(1, clock=clock)(lambda: never)()
    await asyncio.sleep(0)
    clock.advance(2)
    with pytest.raises(hf.DeadlineExceededError):
        await guarded
    assert never.cancelled()


async def test_a_task_that_a_pipeline_does_not_admit_is_cancelled() -> None:
    breaker, tasks = hf.CircuitBreaker("b"), []

    @pipe(again(attempts=2), breaker)
    def guard() -> Any:
        tasks.append(asyncio.ensure_future(asyncio.Event().wait()))
        return tasks[0]

    future = guard()
    breaker.force_open()
    with pytest.raises(hf.CircuitOpenError):
        await future
    await asyncio.sleep(0)
    assert tasks[0].cancelled()


async def test_a_task_that_has_to_wait_is_begun_when_it_is_admitted() -> None:
    kind, bulkhead, work = TASKS["task"], places(1, max_waiting=1, max_wait=None), Work()
    for guard in (bulkhead(kind.give), pipe(again(attempts=1), bulkhead)(kind.give)):
        await guard(work)
        ran = work.ran
        async with bulkhead:
            future = guard(work)
            assert asyncio.isfuture(future)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (work.ran, bulkhead.waiting) == (ran, 1)
        assert await future == "done"


@pytest.mark.parametrize("verb", ["call", "decorated"])
def test_a_future_of_an_executor_counts_when_it_is_done(verb: str) -> None:
    breaker, bulkhead, futures = tripping(), places(), []

    def submit() -> Future[str]:
        futures.append(Future())
        return futures[-1]

    guarded = pipe(bulkhead, breaker)
    future = guarded.call(submit) if verb == "call" else guarded(submit)()
    assert future is futures[0]
    assert (fates(breaker), bulkhead.in_flight) == ({}, 1)
    future.set_exception(LostError())
    assert (fates(breaker), bulkhead.in_flight) == ({"failed": 1}, 0)
    with pytest.raises(hf.CircuitOpenError):
        guarded(submit)()
    assert len(futures) == 1


def test_a_future_of_an_executor_settles_from_its_thread() -> None:
    breaker, work = hf.CircuitBreaker("b"), Work(failures=1)
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        submit = breaker(executor.submit)
        with pytest.raises(LostError):
            submit(work.run).result()
        assert submit(work.run).result() == "done"
    assert fates(breaker) == {"failed": 1, "succeeded": 1}


@pytest.mark.parametrize("control", [again(attempts=2), hf.Timeout(60), hf.Fallback(1)])
def test_what_cannot_control_a_future_of_an_executor_says_so(control: Any) -> None:
    breaker, future = hf.CircuitBreaker("b"), Future[str]()
    with pytest.raises(TypeError, match=r"executor\.submit\(policy\.call, fn\)"):
        pipe(control, breaker)(lambda: future)()
    assert (future.cancelled(), fates(breaker)) == (True, {})


@each
async def test_an_outcome_cannot_tell_of_a_future(kind: Kind) -> None:
    breaker = hf.CircuitBreaker("b")
    with pytest.raises(TypeError, match=r"a future of asyncio; use 'await try_acall\(\)'"):
        breaker.try_call(kind.give, Work())
    await asyncio.sleep(0)
    assert fates(breaker) == {}


@each
def test_acall_awaits_a_future(kind: Kind) -> None:
    breaker, work = hf.CircuitBreaker("b"), Work(failures=1)
    with pytest.raises(LostError):
        asyncio.run(awaited(breaker.acall(kind.give, work)))
    assert fates(breaker) == {"failed": 1}
