"""A guarded coroutine shows what a coroutine shows: to debuggers, task reprs and stacks."""

import asyncio
import collections.abc
import inspect
import io
import re
import sys
import weakref
from typing import Any

import pytest

from holdfast import CircuitBreaker
from holdfast._native.gate import GuardedCoroutine
from tests.gate.parts import places, suspend
from tests.waiting.parties import auntil


@CircuitBreaker("face")
async def work() -> str:
    await suspend()
    return "value"


def test_its_attributes_are_those_of_the_coroutine_inside() -> None:
    coroutine = work()
    code = work.__wrapped__.__code__
    assert (coroutine.__name__, coroutine.__qualname__) == ("work", "work")
    assert coroutine.cr_code is code
    assert coroutine.cr_frame.f_code is code
    assert coroutine.cr_await is None
    assert coroutine.cr_origin is None
    assert (coroutine.cr_running, coroutine.cr_suspended) == (False, False)
    coroutine.send(None)
    assert inspect.isgenerator(coroutine.cr_await)
    assert (coroutine.cr_running, coroutine.cr_suspended) == (False, True)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert (coroutine.cr_frame, coroutine.cr_await, coroutine.cr_suspended) == (None, None, False)
    assert coroutine.cr_code is code
    assert repr(coroutine).startswith("<guarded coroutine work at 0x")


def test_what_has_not_called_its_function_yet_goes_by_the_functions_name() -> None:
    coroutine = places().acall(work)
    assert (coroutine.__name__, coroutine.__qualname__) == ("work", "work")
    assert (coroutine.cr_code, coroutine.cr_frame, coroutine.cr_await) == (None, None, None)
    coroutine.close()
    permit = places()._apermit()
    assert permit.__name__ == "guarded"
    permit.close()


def test_where_it_was_made_is_remembered_if_asked_for() -> None:
    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(3)
    try:
        coroutine = work()
    finally:
        sys.set_coroutine_origin_tracking_depth(before)
    assert any("test_where_it_was_made" in line[2] for line in coroutine.cr_origin)
    coroutine.close()


async def test_a_task_of_it_tells_where_it_is() -> None:
    bulkhead = places()

    @bulkhead
    async def stands() -> None:
        await asyncio.Event().wait()

    stands.__wrapped__.__qualname__ = "stands"
    task = asyncio.create_task(stands(), name="named")
    assert "coro=<stands() running at" in repr(task)
    await auntil(lambda: bulkhead.in_flight == 1)
    assert re.search(r"coro=<stands\(\) running at .*test_awaitable_face\.py:\d+>", repr(task))
    assert [frame.f_code.co_name for frame in task.get_stack()] == ["stands"]
    out = io.StringIO()
    task.print_stack(file=out)
    assert "in stands" in out.getvalue()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "coro=<stands() done, defined at" in repr(task)
    assert task.get_coro().cr_frame is None


async def test_a_task_that_waits_for_its_place_tells_so() -> None:
    bulkhead = places(1, max_waiting=1, max_wait=None)
    bulkhead.enter()
    task = asyncio.create_task(bulkhead.acall(work))
    await auntil(lambda: bulkhead.waiting == 1)
    assert [frame.f_code.co_name for frame in task.get_stack()] == ["_suspend"]
    assert task.get_coro().cr_await.__name__ == "aenter"
    bulkhead.leave()
    assert await task == "value"


def test_a_debugging_loop_has_nothing_to_say() -> None:
    async def main() -> None:
        assert await asyncio.gather(work(), work()) == ["value", "value"]
        async with places() as bulkhead:
            assert bulkhead.in_flight == 1

    asyncio.run(main(), debug=True)


def test_its_type_is_a_coroutine_and_nobodys_base() -> None:
    coroutine = work()
    assert issubclass(GuardedCoroutine, collections.abc.Coroutine)
    assert isinstance(coroutine, GuardedCoroutine)
    steps = coroutine.__await__()
    assert iter(steps) is steps
    assert type(steps) is not GuardedCoroutine
    del steps
    ref = weakref.ref(coroutine)
    with pytest.raises(TypeError):
        GuardedCoroutine()
    with pytest.raises(TypeError):
        type("Sub", (GuardedCoroutine,), {})
    for name in ("cr_frame", "__name__", "other"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(coroutine, name, None)
    coroutine.close()
    del coroutine
    assert ref() is None


async def test_an_awaitable_without_a_frame_shows_none() -> None:
    def future() -> Any:
        return asyncio.get_running_loop().create_future()

    coroutine = places().acall(future)
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    assert coroutine.cr_suspended is True
    assert (coroutine.cr_code, coroutine.cr_frame, coroutine.cr_await) == (None, None, None)
    assert "future" in repr(task)
    task.cancel()


def circle(length: int, tail: int) -> Any:
    """A guarded coroutine that drives others, so many, of which the last so many are a circle."""
    breaker, made = CircuitBreaker("circle"), []

    def link(at: int) -> Any:
        def fn() -> Any:
            return made[at + 1 if at + 1 < len(made) else tail]

        return breaker.acall(fn)

    made.extend(link(at) for at in range(length))
    with pytest.raises(ValueError, match="coroutine already executing"):
        made[0].send(None)
    return made


@pytest.mark.parametrize(("length", "tail"), [(1, 0), (2, 0), (2, 1), (3, 0), (100, 37)])
def test_a_circle_of_coroutines_shows_itself_and_no_frame(length: int, tail: int) -> None:
    made = circle(length, tail)
    for each in made:
        assert re.match(r"<guarded coroutine .*fn at 0x", repr(each))
        assert each.__name__ == "fn"
        for name in ("cr_await", "cr_frame", "cr_code", "cr_origin"):
            assert getattr(each, name) is None
        assert (each.cr_running, each.cr_suspended) == (False, False)
        each.close()
