"""Fallback: what stands in for a call that failed or was refused, and what does not."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

import holdfast as hf
from holdfast.policies.control_snapshots import FallbackSnapshot

Call = Callable[[hf.Policy, Callable[..., Any]], Any]


def in_thread(policy: hf.Policy, fn: Callable[..., Any]) -> Any:
    return policy.call(fn)


def in_task(policy: hf.Policy, fn: Callable[..., Any]) -> Any:
    async def afn() -> Any:
        await asyncio.sleep(0)
        return fn()

    return asyncio.run(policy.acall(afn))


@pytest.fixture(params=[in_thread, in_task])
def call(request: pytest.FixtureRequest) -> Call:
    """Either driver."""
    return request.param


def fail(error: BaseException | type[BaseException] = ConnectionError) -> Any:
    raise error


def counts(fallback: hf.Fallback) -> tuple[int, int, int, int]:
    shown = fallback.snapshot()
    return shown.passed, shown.used, shown.failed, shown.observed


# ---- what stands in ----


@pytest.mark.parametrize("value", ["cached", None, 0, (), [1], NotImplemented])
def test_a_value_stands_in_as_it_is(call, value):  # TO-05
    assert call(hf.Fallback(value), fail) is value


def test_a_call_that_succeeds_passes_and_so_does_its_none(call):
    fallback = hf.Fallback("cached")
    assert call(fallback, lambda: "own") == "own"
    assert call(fallback, lambda: None) is None
    assert counts(fallback) == (2, 0, 0, 0)


def test_a_function_is_asked_with_the_exception(call):
    error = ConnectionError("down")
    seen: list[Exception] = []

    def stand_in(given: Exception) -> str:
        seen.append(given)
        return f"for {given}"

    assert call(hf.Fallback(stand_in), partial(fail, error)) == "for down"
    assert seen == [error]


class Store:
    """Callables of several kinds."""

    def __call__(self, error: Exception) -> str:
        return "object"

    def method(self, error: Exception) -> str:
        return "method"

    @classmethod
    def of_class(cls, error: Exception) -> str:
        return "class"

    def none(self) -> str:
        return "never"


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (Store(), "object"),
        (Store().method, "method"),
        (Store.of_class, "class"),
        (partial(lambda first, error: first, "partial"), "partial"),
        (lambda *errors: len(errors), 1),
        (lambda error, more=2: more, 2),
        (str, "down"),
        (hf.Bulkhead("b")(lambda error: "guarded"), "guarded"),
    ],
)
def test_whatever_can_be_called_is_a_function(call, value, given):
    assert call(hf.Fallback(value), partial(fail, ConnectionError("down"))) == given


def test_a_value_that_is_a_function_is_returned_by_one(call):
    assert call(hf.Fallback(lambda error: len), fail) is len


# ---- asynchronous functions ----


async def later(error: Exception) -> str:
    await asyncio.sleep(0)
    return f"later {type(error).__name__}"


def test_an_asynchronous_function_is_awaited_in_an_asynchronous_call():
    fallback = hf.Fallback(later)
    assert in_task(fallback, fail) == "later ConnectionError"
    assert counts(fallback) == (0, 1, 0, 0)

    @fallback
    async def fetch() -> str:
        return fail(KeyError)

    assert asyncio.run(fetch()) == "later KeyError"


def test_in_a_synchronous_call_it_is_an_error_and_nothing_is_left_unawaited(recwarn):
    fallback = hf.Fallback(later)
    error = ConnectionError()
    with pytest.raises(TypeError, match="only an asynchronous call can await it") as caught:
        fallback.call(fail, error)
    assert caught.value.__cause__ is error
    assert counts(fallback) == (0, 0, 1, 0)
    gc.collect()
    assert not recwarn.list


def test_a_future_is_awaited_too():
    async def main() -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.set_result("future")

        async def afail() -> None:
            raise ConnectionError

        return await hf.Fallback(lambda error: future).acall(afail)

    assert asyncio.run(main()) == "future"


def test_a_call_that_is_cancelled_while_it_awaits_what_stands_in_is_cancelled():  # trap 50
    async def main() -> None:
        async def forever(error: Exception) -> None:
            await asyncio.sleep(3600)

        async def afail() -> None:
            raise ConnectionError

        fallback = hf.Fallback(forever)
        outer = hf.Fallback("outer")
        task = asyncio.ensure_future(hf.Pipeline("p", outer, fallback).acall(afail))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counts(fallback) == (0, 0, 1, 0)
        assert counts(outer) == (1, 0, 0, 0)

    asyncio.run(main())


# ---- for which exceptions ----


def test_only_chosen_exceptions_are_stood_in_for(call):
    fallback = hf.Fallback("cached", on=(KeyError, OSError))
    assert call(fallback, partial(fail, KeyError)) == "cached"
    assert call(fallback, partial(fail, ConnectionError)) == "cached"  # a subclass
    with pytest.raises(ValueError, match="other"):
        call(fallback, partial(fail, ValueError("other")))
    assert counts(fallback) == (1, 2, 0, 0)


def test_rejections_are_exceptions_like_any_other(call, clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, clock=clock)
    with bulkhead:
        assert call(hf.Pipeline("p", hf.Fallback("full"), bulkhead), fail) == "full"
        chosen = hf.Pipeline("p", hf.Fallback("full", on=hf.Rejected), bulkhead)
        assert call(chosen, fail) == "full"
        other = hf.Pipeline("p", hf.Fallback("full", on=hf.CircuitOpenError), bulkhead)
        with pytest.raises(hf.BulkheadFullError):
            call(other, fail)
    with pytest.raises(ConnectionError):
        call(chosen, fail)


def test_an_open_circuit_has_its_reason_told_to_the_function(call, clock):  # D-C-3
    breaker = hf.CircuitBreaker("b", reset_timeout=30, clock=clock)
    breaker.trip()
    fallback = hf.Fallback(lambda error: (error.name, error.retry_after), on=hf.CircuitOpenError)
    assert call(hf.Pipeline("p", fallback, breaker), pytest.fail) == ("b", 30.0)


def test_a_call_that_took_too_long_is_stood_in_for(clock):  # TO-05
    pipe = hf.Pipeline("p", hf.Fallback("late"), hf.Timeout(1, clock=clock))
    assert pipe.call(clock.advance, 2) == "late"

    async def main() -> str:
        own = hf.ManualClock(auto=False)
        pipe = hf.Pipeline("p", hf.Fallback("late"), hf.Timeout(1, clock=own))
        task = asyncio.ensure_future(pipe.acall(asyncio.sleep, 3600))
        await asyncio.sleep(0)
        own.advance(1)
        return await task

    assert asyncio.run(main()) == "late"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_pass(error):  # trap 50
    fallback = hf.Fallback("cached")
    with pytest.raises(error):
        fallback.call(fail, error)
    assert counts(fallback) == (1, 0, 0, 0)


def test_cancellation_passes():  # trap 50, GEN-04
    async def main() -> None:
        fallback = hf.Fallback("cached")
        task = asyncio.ensure_future(fallback.acall(asyncio.sleep, 3600))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counts(fallback) == (1, 0, 0, 0)

    asyncio.run(main())


# ---- several, and failing ones ----


def test_the_next_outer_one_is_asked_where_one_raises(call):
    first, second = ConnectionError("first"), KeyError("second")

    def broken(error: Exception) -> None:
        raise second

    seen: list[BaseException | None] = []

    def last(error: Exception) -> str:
        seen.extend((error, error.__cause__))
        return "last"

    pipe = hf.Pipeline("p", hf.Fallback(last), hf.Fallback(broken))
    assert call(pipe, partial(fail, first)) == "last"
    assert seen == [second, first]


def test_what_a_failing_one_raises_has_the_first_error_as_its_cause(call):  # GEN-06
    first = ConnectionError("first")
    fallback = hf.Fallback(lambda error: {}["second"])
    with pytest.raises(KeyError) as caught:
        call(fallback, partial(fail, first))
    assert caught.value.__cause__ is first
    assert counts(fallback) == (0, 0, 1, 0)


def test_a_cause_of_its_own_is_kept(call):
    first, own = ConnectionError("first"), OSError("own")

    def broken(error: Exception) -> None:
        raise KeyError from own

    with pytest.raises(KeyError) as caught:
        call(hf.Fallback(broken), partial(fail, first))
    assert caught.value.__cause__ is own
    assert caught.value.__context__ is first


def test_one_that_raises_the_error_again_changes_nothing_about_it(call):
    first = ConnectionError("first")
    with pytest.raises(ConnectionError) as caught:
        call(hf.Fallback(lambda error: fail(error)), partial(fail, first))
    assert caught.value is first
    assert first.__cause__ is None
    assert first.__context__ is None


def test_one_that_is_interrupted_is_interrupted(call):
    outer = hf.Fallback("outer")
    with pytest.raises(KeyboardInterrupt):
        in_thread(hf.Pipeline("p", outer, hf.Fallback(lambda error: fail(KeyboardInterrupt))), fail)
    assert counts(outer) == (1, 0, 0, 0)


# ---- among other policies ----


def test_it_comes_after_all_attempts_when_it_is_outside_of_a_retry(call, clock):
    retry = hf.Retry("r", attempts=3, backoff=hf.Constant(0), clock=clock)
    assert call(hf.Pipeline("p", hf.Fallback("cached"), retry), fail) == "cached"
    assert retry.snapshot().gave_up["exhausted"] == 1


def test_steps_outside_of_it_see_a_success_and_those_inside_the_failure(call, clock):
    outside = hf.CircuitBreaker("outside", clock=clock)
    inside = hf.CircuitBreaker("inside", clock=clock)
    assert call(hf.Pipeline("p", outside, hf.Fallback(1), inside), fail) == 1
    assert (outside.snapshot().succeeded, outside.snapshot().failed) == (1, 0)
    assert (inside.snapshot().succeeded, inside.snapshot().failed) == (0, 1)


def test_what_was_held_inside_is_given_back_before_it_is_asked(call, clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, clock=clock)
    fallback = hf.Fallback(lambda error: bulkhead.in_flight)
    assert call(hf.Pipeline("p", fallback, bulkhead), fail) == 0
    assert call(hf.Pipeline("p", bulkhead, fallback), fail) == 1
    assert bulkhead.in_flight == 0


def test_an_outcome_of_it_is_a_value(clock):
    breaker = hf.CircuitBreaker("b", clock=clock)
    pipe = hf.Pipeline("p", hf.Fallback("cached"), breaker)
    assert pipe.try_call(fail).unwrap() == "cached"
    breaker.trip()
    assert pipe.try_call(fail).unwrap() == "cached"

    async def afail() -> None:
        raise ConnectionError

    assert asyncio.run(pipe.try_acall(afail)).unwrap() == "cached"
    broken = hf.Pipeline("p", hf.Fallback(lambda error: {}["a"]), breaker)
    outcome = broken.try_call(fail)  # what it raised about a rejection is no rejection
    assert isinstance(outcome.error, KeyError)
    assert outcome.rejection is None


def test_a_block_cannot_be_stood_in_for():
    with pytest.raises(TypeError, match="cannot run a block again"), hf.Fallback(1):
        pytest.fail("entered")


# ---- streams ----


def test_items_stand_in_for_a_generator_that_has_yielded_none():
    @hf.Fallback(lambda error: ["a", "b"])
    def count(fails: bool) -> Iterator[str]:
        if fails:
            raise ConnectionError
        yield "own"

    assert list(count(True)) == ["a", "b"]
    assert list(count(False)) == ["own"]


def test_nothing_stands_in_once_an_item_is_there():
    fallback = hf.Fallback([])

    @fallback
    def count() -> Iterator[int]:
        yield 1
        raise ConnectionError

    stream = count()
    assert next(stream) == 1
    with pytest.raises(ConnectionError):
        next(stream)
    assert counts(fallback) == (1, 0, 0, 0)


@pytest.mark.parametrize("kind", ["list", "generator", "asynchronous generator", "awaited"])
def test_items_of_either_kind_stand_in_for_an_asynchronous_generator(kind):
    async def items() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def awaited(error: Exception) -> list[int]:
        return [1, 2]

    values = {
        "list": [1, 2],
        "generator": lambda error: iter([1, 2]),
        "asynchronous generator": lambda error: items(),
        "awaited": awaited,
    }

    @hf.Fallback(values[kind])
    async def ticks() -> AsyncIterator[int]:
        raise ConnectionError
        yield 0

    async def main() -> list[int]:
        return [tick async for tick in ticks()]

    assert asyncio.run(main()) == [1, 2]


def test_a_stream_that_stands_in_is_closed_with_its_consumer():
    closed: list[str] = []

    def items(error: Exception) -> Iterator[int]:
        try:
            yield from (1, 2)
        finally:
            closed.append("sync")

    async def aitems(error: Exception) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append("async")

    @hf.Fallback(items)
    def count() -> Iterator[int]:
        raise ConnectionError
        yield 0

    @hf.Fallback(aitems)
    async def ticks() -> AsyncIterator[int]:
        raise ConnectionError
        yield 0

    stream = count()
    assert next(stream) == 1
    stream.close()
    assert closed == ["sync"]

    async def main() -> None:
        stream = ticks()
        assert await anext(stream) == 1
        await stream.aclose()
        assert closed == ["sync", "async"]

    asyncio.run(main())


# ---- calls that are dropped ----


class Pending:
    """Suspends whoever awaits it."""

    def __await__(self) -> Iterator[None]:
        yield


def end(coroutine: Any, how: str) -> None:
    coroutine.send(None)
    if how == "closed":
        coroutine.close()
    elif how == "thrown into":
        with pytest.raises(asyncio.CancelledError):
            coroutine.throw(asyncio.CancelledError())
    del coroutine
    gc.collect()


@pytest.mark.parametrize("how", ["closed", "thrown into", "dropped"])
def test_a_call_that_is_dropped_is_counted_once(how, clock):
    async def wait(_: object = None) -> None:
        await Pending()

    async def afail() -> None:
        raise ConnectionError

    outer, inner = hf.Fallback("outer"), hf.Fallback(wait)
    breaker = hf.CircuitBreaker("b", clock=clock)
    bulkhead = hf.Bulkhead("h", max_concurrent=1, clock=clock)
    pipe = hf.Pipeline("p", outer, breaker, bulkhead, inner)
    end(pipe.acall(wait), how)
    assert (counts(outer), counts(inner)) == ((1, 0, 0, 0), (1, 0, 0, 0))
    end(pipe.acall(afail), how)  # while what stands in is awaited
    assert (counts(outer), counts(inner)) == ((2, 0, 0, 0), (1, 0, 1, 0))
    shown = breaker.snapshot()
    assert (shown.admitted, shown.ignored + shown.abandoned) == (2, 2)
    assert (breaker.in_flight, bulkhead.in_flight) == (0, 0)


@pytest.mark.parametrize("how", ["closed", "thrown into", "dropped"])
def test_one_that_is_dropped_while_it_stands_in_for_a_refusal_has_been_a_call(how, clock):
    async def wait(error: Exception) -> None:
        await Pending()

    outside = hf.CircuitBreaker("outside", clock=clock)
    full = hf.Bulkhead("full", max_concurrent=1, clock=clock)
    fallback = hf.Fallback(wait)
    with full:
        end(hf.Pipeline("p", outside, fallback, full).acall(later, ValueError()), how)
    assert counts(fallback) == (0, 0, 1, 0)
    shown = outside.snapshot()
    assert (shown.admitted, shown.ignored + shown.abandoned) == (1, 1)


def test_a_stream_is_counted_at_its_first_item_and_not_when_it_is_dropped():
    fallback = hf.Fallback([])

    @fallback
    def count() -> Iterator[int]:
        yield from (1, 2)

    stream = count()
    assert next(stream) == 1
    assert counts(fallback) == (1, 0, 0, 0)
    del stream
    gc.collect()
    assert counts(fallback) == (1, 0, 0, 0)


# ---- modes, counts, face ----


def test_observed_it_counts_what_it_would_have_done(call):
    def never(error: Exception) -> None:
        pytest.fail("asked")

    fallback = hf.Fallback(never, on=ConnectionError, mode="observe")
    with pytest.raises(ConnectionError):
        call(fallback, fail)
    with pytest.raises(KeyError):
        call(fallback, partial(fail, KeyError))
    assert call(fallback, lambda: 1) == 1
    assert counts(fallback) == (2, 0, 0, 1)


def test_off_it_is_not_there(call):
    fallback = hf.Fallback("cached", mode="off")
    with pytest.raises(ConnectionError):
        call(fallback, fail)
    assert counts(fallback) == (0, 0, 0, 0)


def test_its_snapshot_names_it_and_reset_leaves_the_counts():
    fallback = hf.Fallback("cached", name="prices", on=OSError)
    fallback.call(fail)
    fallback.reset()
    assert fallback.snapshot() == FallbackSnapshot("prices", 0, 1, 0, 0)
    assert hf.Fallback(1).snapshot().name is None
    assert fallback.describe().startswith("Fallback 'prices': value='cached', on=(OSError), ")


def test_only_a_named_one_is_registered():
    named, nameless = hf.Fallback(1, name="prices"), hf.Fallback(1)
    assert hf.registry.all("fallback") == [named]
    assert repr(nameless) == "<Fallback None>"


def test_a_shared_one_is_the_living_one_if_it_has_the_same_settings():
    one = hf.Fallback("cached", name="prices", shared=True)
    assert hf.Fallback("cached", name="prices", shared=True) is one
    with pytest.raises(hf.ConfigError, match="value: got 'other'"):
        hf.Fallback("other", name="prices", shared=True)


def test_counts_of_many_threads_add_up():  # GEN-03
    fallback = hf.Fallback(lambda error: str(error))
    barrier = threading.Barrier(8)
    wrong: list[object] = []

    def run(number: int) -> None:
        barrier.wait()
        for at in range(300):
            word = f"{number}/{at}"
            if fallback.call(fail, ConnectionError(word)) != word:
                wrong.append(word)
            fallback.call(len, "ab")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert counts(fallback) == (2400, 2400, 0, 0)


def test_what_it_stood_in_for_is_let_go(clock):
    class Heavy:
        """Something that an exception may hold."""

    def raise_heavy() -> None:
        raise ConnectionError(Heavy())

    fallback = hf.Fallback("cached")
    for _ in range(3):
        assert fallback.call(raise_heavy) == "cached"
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one).__name__ == "Heavy"]


# ---- bad input ----


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"on": ()}, "on: got (), allowed at least one subclass of Exception"),
        ({"on": 3}, "on: got 3, allowed subclasses of Exception"),
        ({"on": KeyboardInterrupt}, "on: got <class 'KeyboardInterrupt'>"),
        ({"name": ""}, "name: got ''"),
        ({"clock": 3}, "clock: got 3"),
        ({"mode": "maybe"}, "mode: got 'maybe'"),
        ({"shared": True}, "shared: got True, allowed False without a name"),
        ({"shared": 1, "name": "n"}, "shared: got 1"),
    ],
)
def test_a_bad_setting_is_named(settings, problem):
    with pytest.raises(hf.ConfigError) as caught:
        hf.Fallback("cached", **settings)
    (found,) = caught.value.problems
    assert found.startswith(problem)


def test_all_bad_settings_are_named_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        hf.Fallback(list, on=3, name="", mode=1)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "value",
    [lambda: 1, lambda error, more: 1, lambda *, error: 1, Store().none, lambda error, *, by: 1],
)
def test_a_function_that_cannot_take_the_exception_alone_is_refused(value):
    with pytest.raises(hf.ConfigError, match="a function of one argument, the exception"):
        hf.Fallback(value)
