"""A guarded coroutine driven by send, throw and close, as any event loop does."""

import asyncio
import inspect
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from holdfast import CircuitBreaker
from tests.gate.parts import fates, half_open, pipe, places, suspend


class Bare:
    """An awaitable whose iterator knows neither send, throw nor close."""

    def __init__(self, *items: object) -> None:
        self._items = items

    def __await__(self) -> Iterator[object]:
        return iter(self._items)


def guarded(policy: Any) -> Any:
    @policy
    async def talk() -> list[object]:
        heard = []
        while len(heard) < 3:
            try:
                heard.append(await suspend(len(heard)))
            except LookupError as error:
                heard.append(error)
        return heard

    return talk()


def test_what_is_sent_and_yielded_passes_through() -> None:
    breaker = CircuitBreaker("b")
    coroutine = guarded(breaker)
    assert coroutine.send(None) == 0
    assert breaker.in_flight == 1
    assert coroutine.send("a") == 1
    error = KeyError()
    assert coroutine.throw(error) == 2
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    assert stop.value.value == ["a", error, None]
    assert fates(breaker) == {"succeeded": 1}


@pytest.mark.parametrize(
    "drive", [lambda c: c.send(None), lambda c: next(c), lambda c: next(iter(c))]
)
def test_each_way_to_make_a_step_is_the_same(drive: Callable[[Any], Any]) -> None:
    coroutine = guarded(CircuitBreaker("b")).__await__()
    assert [drive(coroutine), drive(coroutine), drive(coroutine)] == [0, 1, 2]
    with pytest.raises(StopIteration) as stop:
        drive(coroutine)
    assert stop.value.value == [None, None, None]


def test_python_code_may_delegate_to_it() -> None:
    class Wrapper:
        def __await__(self) -> Generator[Any, Any, Any]:
            return (yield from guarded(breaker).__await__())

    async def main() -> Any:
        return await Wrapper()

    breaker = CircuitBreaker("b")
    coroutine = main()
    assert coroutine.send(None) == 0
    assert coroutine.throw(KeyError) == 1
    assert coroutine.send("b") == 2
    with pytest.raises(StopIteration):
        coroutine.send("c")
    assert fates(breaker) == {"succeeded": 1}


def test_a_first_step_must_send_none() -> None:
    bulkhead = places()
    for coroutine in (guarded(bulkhead), bulkhead.acall(suspend), bulkhead._apermit()):
        with pytest.raises(TypeError, match="can't send non-None value to a just-started"):
            coroutine.send(1)
        coroutine.close()
    assert bulkhead.snapshot().admitted == 0


def test_once_ended_it_cannot_be_used_again() -> None:
    def ended(by: Callable[[Any], object], how: type[BaseException]) -> Any:
        coroutine = guarded(CircuitBreaker("b"))
        with pytest.raises(how):
            by(coroutine)
        return coroutine

    def run(coroutine: Any) -> None:
        while True:
            coroutine.send(None)

    def interrupt(coroutine: Any) -> None:
        coroutine.send(None)
        coroutine.throw(KeyboardInterrupt)

    closed = guarded(CircuitBreaker("b"))
    closed.close()
    for coroutine in (
        ended(run, StopIteration),
        ended(interrupt, KeyboardInterrupt),
        ended(lambda c: c.throw(StopAsyncIteration), StopAsyncIteration),
        closed,
    ):
        for again in (
            lambda c: c.send(None),
            lambda c: c.throw(KeyError),
            lambda c: next(c),
            lambda c: asyncio.run(c),
        ):
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                again(coroutine)
        assert coroutine.close() is None


def test_throw_before_the_first_step_ends_it_without_admission() -> None:
    breaker = half_open()
    for coroutine in (guarded(breaker), breaker.acall(suspend), breaker._apermit()):
        error = KeyError("thrown")
        with pytest.raises(KeyError, match="thrown") as caught:
            coroutine.throw(error)
        assert caught.value is error
        with pytest.raises(RuntimeError, match="cannot reuse"):
            coroutine.send(None)
    assert breaker.snapshot().admitted == 0


@pytest.mark.filterwarnings("ignore:the \\(type, exc, tb\\) signature of throw")
@pytest.mark.parametrize("started", [False, True])
def test_throw_takes_what_a_coroutine_takes(started: bool) -> None:
    """Whatever is thrown arrives as it does in the coroutine itself."""
    try:
        raise LookupError
    except LookupError as error:
        frames = error.__traceback__
    given = [
        (KeyError,),
        (KeyError("one"),),
        (KeyError, None),
        (KeyError, "two"),
        (KeyError, KeyError("three")),
        (KeyError, ("four", 4)),
        (KeyError("five"), None, frames),
        (KeyError, "six", frames),
        (KeyError, "seven", 7),
        (KeyError("eight"), "eight"),
        (42,),
        (int,),
        (),
        (KeyError, None, None, None),
    ]

    async def body() -> None:
        await suspend()

    def thrown(coroutine: Any, args: tuple[Any, ...]) -> tuple[type, str, int]:
        if started:
            coroutine.send(None)
        try:
            coroutine.throw(*args)
        except BaseException as error:
            depth = len(traceback.extract_tb(error.__traceback__))
            lines = [f.name for f in traceback.extract_tb(error.__traceback__)]
            assert depth
            kept = lines.count("test_throw_takes_what_a_coroutine_takes")
            return type(error), str(error) if type(error) is KeyError else "", kept
        finally:
            coroutine.close()
        pytest.fail("nothing was raised")

    for args in given:
        assert thrown(places()(body)(), args) == thrown(body(), args), args


def test_an_iterator_without_throw_ends_where_it_stands() -> None:
    """As `await` has it: the exception is raised in the call, not swallowed by AttributeError."""
    breaker, bulkhead = half_open(), places()
    coroutine = pipe(breaker, bulkhead).acall(Bare, 1, 2)
    assert coroutine.send(None) == 1
    error = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError) as caught:
        coroutine.throw(error)
    assert caught.value is error
    assert bulkhead.in_flight == 0
    assert fates(breaker) == {"ignored": 1}


def test_a_stop_iteration_thrown_into_an_iterator_without_throw_is_no_result() -> None:
    breaker = CircuitBreaker("b")
    coroutine = breaker.acall(Bare, 1, 2)
    assert coroutine.send(None) == 1
    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        coroutine.throw(StopIteration(7))
    assert fates(breaker) == {"failed": 1}


def test_an_iterator_without_send_is_driven_by_next() -> None:
    coroutine = places().acall(Bare, 1, 2)
    assert [coroutine.send(None), next(coroutine)] == [1, 2]
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_an_iterator_without_close_is_dropped() -> None:
    bulkhead = places()
    coroutine = bulkhead.acall(Bare, 1, 2)
    coroutine.send(None)
    coroutine.close()
    assert bulkhead.in_flight == 0


def test_close_passes_on_what_the_body_raises_meanwhile() -> None:
    bulkhead = places()

    @bulkhead
    async def work(answer: str) -> None:
        try:
            await suspend()
        finally:
            if answer == "raise":
                raise OSError
            await suspend()

    for answer, error in (("raise", OSError), ("stay", RuntimeError)):
        coroutine = work(answer)
        coroutine.send(None)
        with pytest.raises(error):
            coroutine.close()
        assert bulkhead.in_flight == 0
        assert coroutine.close() is None


async def awaited(coroutine: Any) -> None:
    await coroutine


@pytest.mark.parametrize(
    "second",
    [
        awaited,
        lambda first: places().acall(lambda: first),
        lambda first: places()(lambda: first)(),
    ],
)
def test_what_one_waits_for_cannot_be_awaited_by_another(second: Callable[[Any], Any]) -> None:
    breaker = CircuitBreaker("b")
    coroutine = guarded(breaker)
    first = awaited(coroutine)
    first.send(None)
    with pytest.raises(RuntimeError, match="being awaited already"):
        second(coroutine).send(None)
    assert breaker.in_flight == 1
    first.close()
    assert breaker.in_flight == 0


def test_a_coroutine_that_runs_cannot_be_entered_again() -> None:
    seen = []

    @CircuitBreaker("b")
    async def work() -> None:
        seen.append(inspect.getcoroutinestate(coroutine))
        for enter in (
            lambda: coroutine.send(None),
            lambda: coroutine.throw(KeyError),
            lambda: coroutine.close(),
        ):
            with pytest.raises(ValueError, match="already executing"):
                enter()
        await suspend()

    coroutine = work()
    states = [inspect.getcoroutinestate(coroutine)]
    coroutine.send(None)
    states.append(inspect.getcoroutinestate(coroutine))
    coroutine.close()
    states.append(inspect.getcoroutinestate(coroutine))
    assert states == ["CORO_CREATED", "CORO_SUSPENDED", "CORO_CLOSED"]
    assert seen == ["CORO_RUNNING"]


@pytest.mark.parametrize("how", ["guarded", "acall"])
def test_it_says_itself_in_which_state_it_is(how: str) -> None:
    seen = []

    async def work() -> None:
        seen.append(coroutine.cr_state)
        await suspend()

    breaker = CircuitBreaker("b")
    coroutine: Any = breaker(work)() if how == "guarded" else breaker.acall(work)
    seen.append(coroutine.cr_state)
    coroutine.send(None)
    seen.append(coroutine.cr_state)
    coroutine.close()
    seen.append(coroutine.cr_state)
    assert seen == ["CORO_CREATED", "CORO_RUNNING", "CORO_SUSPENDED", "CORO_CLOSED"]
