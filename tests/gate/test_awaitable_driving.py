"""A guarded coroutine driven by send, throw and close, as any event loop does."""

import asyncio
from collections.abc import Callable, Iterator
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
    [awaited, lambda first: places().acall(lambda: first), lambda first: places()(lambda: first)()],
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
