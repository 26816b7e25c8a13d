"""Calls behind a retry: methods, coroutine functions, what can be awaited, and what is kept."""

from __future__ import annotations

import asyncio
import gc
import types
import weakref
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from tests.policies.calls import OutageError, fine
from tests.policies.retry.retries import Flaky, retry_of, run_async

pytestmark = pytest.mark.usefixtures("no_warnings")


def test_a_method_is_called_again_on_its_own_object(clock):
    retry = retry_of(clock)

    shared: list[type] = []

    class Client:
        def __init__(self) -> None:
            self.made = 0

        def _flaky(self) -> str:
            self.made += 1
            if self.made < 3:
                raise OutageError
            return "fine"

        @retry
        def get(self, path: str, *, deep: bool = False) -> tuple[str, str, bool]:
            return self._flaky(), path, deep

        @retry
        async def aget(self, path: str) -> tuple[str, str]:
            await asyncio.sleep(0)
            return self._flaky(), path

        @classmethod
        @retry
        def of_class(cls) -> str:
            shared.append(cls)
            if len(shared) < 2:
                raise OutageError
            return cls.__name__

        @staticmethod
        @retry
        def static(flaky: Flaky) -> str:
            return flaky()

    assert Client().get("/a", deep=True) == ("fine", "/a", True)
    assert run_async(clock, Client().aget("/b")) == ("fine", "/b")
    assert Client.of_class() == "Client"
    assert Client.static(Flaky(clock, 2)) == "fine"
    snapshot = retry.snapshot()
    assert (snapshot.succeeded, snapshot.attempts) == (4, 3 + 3 + 2 + 3)


def test_each_attempt_of_a_coroutine_function_is_a_fresh_coroutine(clock):
    coroutines: list[Any] = []

    def make(*args: Any, **kwargs: Any) -> Any:
        coroutines.append(call(*args, **kwargs))
        return coroutines[-1]

    async def call(number: int, *, word: str) -> tuple[int, str]:
        if len(coroutines) < 3:
            raise OutageError
        return number, word

    retry = retry_of(clock)
    assert run_async(clock, retry.acall(make, 1, word="a")) == (1, "a")
    assert len({id(coroutine) for coroutine in coroutines}) == 3
    assert {coroutine.cr_frame for coroutine in coroutines} == {None}


def test_a_plain_function_that_gives_coroutines_is_called_again(clock):
    # The coroutine it has given is the attempt; what it does itself has been done before.
    made: list[int] = []

    def call() -> Any:
        made.append(1)

        async def run() -> str:
            await asyncio.sleep(0)
            if len(made) < 3:
                raise OutageError
            return "fine"

        return run()

    retry = retry_of(clock)
    assert run_async(clock, retry.acall(call)) == "fine"
    made.clear()
    assert run_async(clock, retry(call)()) == "fine"
    assert len(made) == 3
    with pytest.raises(TypeError, match="acall"):
        retry.call(call)
    with pytest.raises(TypeError, match="try_acall"):
        retry.try_call(call)


def test_a_plain_function_that_fails_before_it_gives_a_coroutine_is_called_again(clock):
    flaky = Flaky(clock, 1)

    def call() -> Any:
        flaky()
        return asyncio.sleep(0, "fine")

    retry = retry_of(clock)
    assert run_async(clock, retry.acall(call)) == "fine"
    assert (len(flaky.made), retry.snapshot().recovered) == (2, 1)


class Later:
    """Something to await that is no coroutine."""

    def __init__(self, failures: list[int]) -> None:
        self._failures = failures

    def __await__(self) -> Generator[Any, Any, str]:
        yield from asyncio.sleep(0).__await__()
        if self._failures:
            self._failures.pop()
            raise OutageError
        return "fine"


def test_whatever_can_be_awaited_may_be_an_attempt(clock):
    failures = [1, 2]
    retry = retry_of(clock)
    assert run_async(clock, retry.acall(lambda: Later(failures))) == "fine"

    @types.coroutine
    def old_style() -> Generator[Any, Any, str]:
        return (yield from Later(failures).__await__())

    failures.append(1)
    assert run_async(clock, retry.acall(old_style)) == "fine"

    def future() -> Awaitable[str]:
        made: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if failures:
            failures.pop()
            made.set_exception(OutageError())
        else:
            made.set_result("fine")
        return made

    failures.append(1)
    assert run_async(clock, retry.acall(future)) == "fine"
    assert retry.snapshot().recovered == 3


def test_what_is_not_to_be_awaited_is_the_callers_mistake_and_not_retried(clock):
    retry = retry_of(clock, on=TypeError)
    with pytest.raises(TypeError, match="use call"):
        run_async(clock, retry.acall(fine))  # type: ignore[arg-type]
    assert clock.now() == 0.0
    assert retry.snapshot().succeeded == 0


class Thing:
    """Something to see die."""


@pytest.mark.parametrize("ends", ["succeeds", "fails"])
def test_arguments_live_no_longer_than_their_call(ends, clock):
    retry = retry_of(clock, attempts=2)
    failures = 1 if ends == "succeeds" else 9

    def call(flaky: Flaky, thing: Thing, *, other: Thing) -> str:
        return flaky()

    async def acall(flaky: Flaky, thing: Thing, *, other: Thing) -> str:
        return flaky()

    def watched(make: Callable[..., Any]) -> list[weakref.ref[Thing]]:
        things = [Thing(), Thing()]
        try:
            make(Flaky(clock, failures), things[0], other=things[1])
        except OutageError:
            assert ends == "fails"
        return [weakref.ref(thing) for thing in things]

    gc.collect()
    gc.disable()
    try:
        for make in (
            retry(call),
            lambda *a, **k: retry.call(call, *a, **k),
            lambda *a, **k: retry.try_call(call, *a, **k) and None,
            lambda *a, **k: run_async(clock, retry(acall)(*a, **k)),
            lambda *a, **k: run_async(clock, retry.acall(acall, *a, **k)),
        ):
            left = watched(make)
            if ends == "fails":
                gc.collect()  # an event loop keeps errors in cycles
            assert [ref() for ref in left] == [None, None]
    finally:
        gc.enable()


def test_a_coroutine_that_has_ended_keeps_nothing_of_its_call(clock):
    async def acall(thing: Thing) -> str:
        return "fine"

    thing = Thing()
    gone = weakref.ref(thing)
    coroutine = retry_of(clock)(acall)(thing)
    del thing
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert gone() is None


def test_an_error_that_was_retried_is_gone_before_the_pause(clock):  # trap 14
    kept: list[weakref.ref[Exception]] = []

    def call() -> str:
        if kept:
            assert kept[0]() is None
            return "fine"
        error = OutageError()
        kept.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    assert retry_of(clock).call(call) == "fine"

    async def acall() -> str:
        return call()

    kept.clear()
    assert run_async(clock, retry_of(clock).acall(acall)) == "fine"


def test_an_error_is_no_context_of_the_next_one(clock):
    errors = [OutageError(n) for n in range(3)]
    with pytest.raises(OutageError):
        retry_of(clock).call(Flaky(clock, 3, errors))
    assert [error.__context__ for error in errors] == [None, None, None]
