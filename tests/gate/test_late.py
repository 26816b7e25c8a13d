"""A plain function may give what is to run later: that is guarded, and counts once it has run."""

import asyncio
import contextlib
import functools
import io
from typing import Any
from unittest import mock

import pytest

import holdfast as hf
from tests.gate.late import (
    AWAITABLES,
    LATE,
    STREAMS,
    Kind,
    LostError,
    Query,
    Request,
    Work,
    entered,
    within,
)
from tests.gate.parts import fates, pipe, places, tokens, tripping

each = pytest.mark.parametrize("kind", LATE.values(), ids=LATE)
others = pytest.mark.parametrize(
    "other", ["value", contextlib.nullcontext("value")], ids=["value", "block"]
)


def again(attempts: int) -> hf.Retry:
    return hf.Retry("r", attempts=attempts, backoff=hf.Constant(0), on=LostError)


@each
async def test_it_counts_when_it_has_run(kind: Kind) -> None:
    breaker, work = hf.CircuitBreaker("b"), Work()
    late = breaker(kind.give)(work)
    assert (work.ran, fates(breaker)) == (0, {})
    await kind.drive(late)
    assert (work.ran, fates(breaker)) == (1, {"succeeded": 1})


@each
async def test_its_failures_open_the_breaker_and_then_it_does_not_run(kind: Kind) -> None:
    breaker, work = tripping(), Work(failures=9)
    guard = breaker(kind.give)
    ready = guard(work)
    with pytest.raises(LostError):
        await kind.drive(guard(work))
    with pytest.raises(hf.CircuitOpenError):
        guard(work)
    with pytest.raises(hf.CircuitOpenError):
        await kind.drive(ready)
    assert (work.ran, fates(breaker)) == (1, {"failed": 1})


@each
async def test_it_has_its_place_while_it_runs(kind: Kind) -> None:
    class Watched(Work):
        def run(self) -> str:
            inside.append(bulkhead.in_flight)
            return super().run()

    bulkhead, inside = places(), []
    late = bulkhead(kind.give)(Watched())
    assert bulkhead.in_flight == 0
    await kind.drive(late)
    assert bulkhead.in_flight == 0
    assert inside == [1]


@each
@pytest.mark.parametrize("how", ["decorated", "wrapped", "partial", "method", "object"])
async def test_however_the_function_is_written(kind: Kind, how: str) -> None:
    class Written:
        give = staticmethod(kind.give)

        def method(self, work: Work) -> Any:
            return kind.give(work)

        def __call__(self, work: Work) -> Any:
            return kind.give(work)

    @functools.wraps(kind.give)
    def wrapped(work: Work) -> Any:
        return kind.give(work)

    breaker, work = hf.CircuitBreaker("b"), Work(failures=1)
    guards = {
        "decorated": breaker(kind.give),
        "wrapped": breaker(wrapped),
        "partial": functools.partial(breaker(functools.partial(kind.give, work))),
        "method": breaker(Written().method),
        "object": breaker(Written()),
    }
    arguments = () if how == "partial" else (work,)
    with pytest.raises(LostError):
        await kind.drive(guards[how](*arguments))
    assert fates(breaker) == {"failed": 1}


@each
async def test_call_hands_it_over_guarded_or_says_how_to_await_it(kind: Kind) -> None:
    breaker, work = hf.CircuitBreaker("b"), Work(failures=1)
    if kind in (AWAITABLES["coroutine"], AWAITABLES["awaited only"]):
        with pytest.raises(TypeError, match=r"returned an? .*; use 'await acall\(\)'"):
            breaker.call(kind.give, work)
        late = breaker.acall(kind.give, work)
    else:
        late = breaker.call(kind.give, work)
    with pytest.raises(LostError):
        await kind.drive(late)
    assert fates(breaker) == {"failed": 1}


@each
async def test_a_retry_runs_it_again(kind: Kind) -> None:
    breaker, work = hf.CircuitBreaker("b"), Work(failures=2)
    guard = pipe(again(attempts=3), breaker)(kind.give)
    assert await kind.drive(guard(work)) == "done"
    assert (work.ran, fates(breaker)) == (3, {"succeeded": 1, "failed": 2})


@each
@pytest.mark.filterwarnings("ignore:.* waits and blocks the event loop")
async def test_in_a_pipeline_with_a_thread_it_is_driven_where_the_caller_is(kind: Kind) -> None:
    breaker = hf.CircuitBreaker("b")
    threaded = hf.Timeout(60, thread=True)
    for guarded in (pipe(threaded, breaker), pipe(breaker, threaded)):
        with pytest.raises(LostError):
            await kind.drive(guarded(kind.give)(Work(failures=1)))
    assert fates(breaker) == {"failed": 2}


@each
@pytest.mark.parametrize("method", ["try_call", "call_with_stats"])
async def test_an_outcome_cannot_tell_of_it(kind: Kind, method: str) -> None:
    """Which is said, and nothing of it has run, or complains that it never did."""

    breaker, work = hf.CircuitBreaker("b"), Work()
    for guarded in (breaker, pipe(again(attempts=2), breaker)):
        with pytest.raises(TypeError, match=rf"{method}\(\) got .*, which returned an? .*use"):
            getattr(guarded, method)(kind.give, work)
    assert (work.ran, fates(breaker), breaker.snapshot().in_flight) == (0, {}, 0)


@pytest.mark.parametrize("method", ["acall", "try_acall", "acall_with_stats"])
@pytest.mark.parametrize("controlled", [False, True])
@pytest.mark.parametrize("kind", STREAMS.values(), ids=STREAMS)
async def test_acall_refuses_what_cannot_be_awaited(
    kind: Kind, controlled: bool, method: str
) -> None:
    breaker = hf.CircuitBreaker("b")
    guarded = pipe(hf.Fallback("none"), again(attempts=2), breaker) if controlled else breaker
    with pytest.raises(TypeError, match=r"needs a function that returns an awaitable"):
        await getattr(guarded, method)(kind.give, Work())
    assert fates(breaker).keys() < {"ignored", "abandoned"}  # it proves nothing


# ---- what waits ----


@each
@pytest.mark.parametrize("controlled", [False, True])
def test_what_has_to_wait_waits_where_it_is_driven(kind: Kind, controlled: bool) -> None:
    """The call itself does not: it would keep the whole event loop waiting."""

    async def main() -> None:
        guard = pipe(again(attempts=1), bulkhead)(kind.give) if controlled else bulkhead(kind.give)
        await kind.drive(guard(work))  # so it is known what the function gives
        async with bulkhead:
            late = guard(work)
            assert (work.ran, bulkhead.waiting) == (1, 0)
            if kind in (STREAMS["generator"], STREAMS["context manager"]):
                return
            driven = asyncio.ensure_future(kind.drive(late))
            await asyncio.sleep(0)
            assert (work.ran, bulkhead.waiting) == (1, 1)
        assert await driven == "done"

    bulkhead, work = places(1, max_waiting=1, max_wait=None), Work()
    asyncio.run(main())


async def test_what_gives_something_else_this_time_is_admitted_all_the_same() -> None:
    cached: list[str] = []

    @(limiter := tokens(clock=hf.ManualClock(auto=True), max_wait=None))
    def get() -> Any:
        return cached[0] if cached else Work().coroutine()

    cached.append(await get())
    with pytest.warns(RuntimeWarning, match="event loop"):
        assert get() == "done"
    assert limiter.snapshot().allowed == 2


@pytest.mark.parametrize("known", [True, False])
async def test_what_stands_in_for_it_is_awaited_as_it_would_be(known: bool) -> None:
    work, breaker = Work(), hf.CircuitBreaker("b")

    @pipe(hf.Fallback("none"), breaker)
    @functools.wraps(Work.coroutine)
    def guard(work: Work) -> Any:
        return work.coroutine()

    if known:
        assert await guard(work) == "done"
    breaker.force_open()
    assert await guard(work) == "none"


@pytest.mark.parametrize("ended", ["never begun", "failed", "open"])
@pytest.mark.parametrize("is_async", [False, True])
@others
async def test_what_stands_in_for_a_context_manager_is_entered_as_it_would_be(
    ended: str, is_async: bool, other: Any
) -> None:
    work, breaker = Work(failures=9), hf.CircuitBreaker("b")
    make = contextlib.asynccontextmanager if is_async else contextlib.contextmanager
    generator: Any = Work.async_generator if is_async else Work.generator
    guard = pipe(hf.Fallback(other), breaker)(make(generator))
    if ended == "never begun":
        breaker.force_open()
    late = guard(work)
    if ended == "open":
        breaker.force_open()
    assert await (entered if is_async else within)(late) == "value"


@others
def test_what_stands_in_for_an_awaitable_is_entered_where_that_would_be(other: Any) -> None:
    guard = pipe(hf.Fallback(other), hf.CircuitBreaker("b"))(Request)
    assert asyncio.run(entered(guard(Work(failures=1)))) == "value"


@pytest.mark.parametrize("other", [(), ("value",), ("two", "values")])
async def test_a_tuple_stands_in_as_it_is(other: tuple[str, ...]) -> None:
    breaker = hf.CircuitBreaker("b")
    guard = pipe(hf.Fallback(other), breaker)
    wrapped: Any = guard(functools.wraps(Work.coroutine)(lambda work: work.coroutine()))
    manager: Any = guard(contextlib.contextmanager(Work.generator))
    async_manager: Any = guard(contextlib.asynccontextmanager(Work.async_generator))
    breaker.force_open()
    assert await wrapped(Work()) == other
    assert await within(manager(Work())) == other
    assert await entered(async_manager(Work())) == other


@pytest.mark.parametrize("other", [(), ("value",), ("two", "values")])
async def test_a_tuple_that_is_admitted_late_is_the_result(other: tuple[str, ...]) -> None:
    first = [True]
    limiter = tokens(clock=hf.ManualClock(auto=True), max_wait=None)
    guard = limiter(lambda: Work().coroutine() if first else other)
    await guard()
    first.clear()
    with pytest.warns(RuntimeWarning, match="event loop"):
        assert guard() == other


# ---- awaitable objects ----


def test_an_awaitable_object_stays_what_it_is() -> None:
    breaker, request = hf.CircuitBreaker("b"), Request(Work())
    late = breaker(lambda: request)()
    assert isinstance(late, Request)
    assert (late.url, len(late)) == ("/", 3)
    late.url = "/other"
    assert request.url == "/other"
    assert repr(late) == f"<{request!r} guarded by {breaker!r}>"
    assert not hasattr(late, "__aiter__")
    assert hasattr(breaker(lambda: Query(Work()))(), "__aiter__")


async def test_a_block_that_raises_is_judged_as_one_under_the_policy_itself() -> None:
    breaker, request = hf.CircuitBreaker("b"), Request(Work())
    with pytest.raises(LostError):
        async with breaker(lambda: request)():
            raise LostError
    assert fates(breaker) == {"failed": 1}
    assert [type(error) for error in request.left] == [LostError]


class Coroutinelike(Request):
    """As aiohttp's: a coroutine in all but its type."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.coroutine = work.coroutine()

    def __await__(self) -> Any:
        return self.coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self.coroutine.send(value)

    def throw(self, *raised: Any) -> Any:
        return self.coroutine.throw(*raised)

    def close(self) -> None:
        self.coroutine.close()


async def test_a_task_can_be_made_of_what_has_the_methods_of_a_coroutine() -> None:
    breaker, work = hf.CircuitBreaker("b"), Work()
    assert await asyncio.create_task(breaker(Coroutinelike)(work)) == "done"
    breaker(Coroutinelike)(work).close()
    ready = [breaker(Coroutinelike)(work) for _ in range(2)]
    breaker.force_open()
    with pytest.raises(hf.CircuitOpenError):
        await ready[0]
    with pytest.raises(hf.CircuitOpenError):
        async with ready[1]:
            pass
    assert fates(breaker) == {"succeeded": 1}


# ---- what only looks as if ----


@pytest.mark.parametrize("result", [
    mock.MagicMock(), mock.AsyncMock(), iter([1]), (one for one in ()).__iter__,
    io.StringIO("text"), zip([1], [2], strict=True), type("Row", (), {})(), Request,
], ids=lambda result: type(result).__name__)  # fmt: skip
def test_other_results_are_results(result: Any) -> None:
    breaker = hf.CircuitBreaker("b")
    assert breaker(lambda: result)() is result
    assert breaker.call(lambda: result) is result
    assert breaker.try_call(lambda: result).value is result
    assert pipe(again(attempts=2), breaker)(lambda: result)() is result
    assert fates(breaker) == {"succeeded": 4}
