"""A timeout in asyncio against ``asyncio.timeout``: whose cancellation it is, and what is left.

The same scenes are played under ``asyncio.timeout`` and under ``Timeout``, as ``acall``, as a
decorator and as ``async with``, on a loop whose time passes by itself. What came of the call, when,
what happened on the way, and ``task.cancelling()`` afterwards have to be the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.policies.timeout import bounded_company, bounded_scenes  # noqa: F401 - they fill SCENES
from tests.policies.timeout.bounded_world import SCENES, Body, Scene, World
from tests.waiting.virtual import VirtualLoop, run


async def by_asyncio(world: World, seconds: float, body: Body) -> Any:
    async with asyncio.timeout(seconds):
        return await body()


async def by_acall(world: World, seconds: float, body: Body) -> Any:
    return await world.policy(seconds).acall(body)


async def by_decorator(world: World, seconds: float, body: Body) -> Any:
    @world.policy(seconds)
    async def guarded() -> Any:
        return await body()

    return await guarded()


async def by_block(world: World, seconds: float, body: Body) -> Any:
    async with world.policy(seconds):
        return await body()


def told(value: Any) -> Any:
    """Return what can be compared: a timeout is one, whoever raised it."""
    if isinstance(value, TimeoutError):
        return "TimeoutError"
    if isinstance(value, BaseExceptionGroup):
        return [told(one) for one in value.exceptions]
    return type(value).__name__ if isinstance(value, BaseException) else value


def play(scene: Scene, bounded: Any, factory: Callable[..., Any] | None = None) -> Any:
    async def main(loop: VirtualLoop) -> Any:
        loop.set_exception_handler(lambda *_: None)  # tasks may be left, and what they raised
        world = World(loop, bounded)

        async def play_it() -> Any:
            world.task = asyncio.current_task()  # type: ignore[assignment]
            try:
                came = await scene(world)
            except BaseException as error:
                came = error
            return told(came), world.task.cancelling(), round(loop.time(), 6), list(world.log)

        came = await loop.create_task(play_it())
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for made in world.policies.values():
            snapshot = made.snapshot()
            assert (snapshot.refused, snapshot.late, snapshot.observed) == (0, 0, 0)
        return came, len(left)

    return run(main, factory)


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("bounded", [by_acall, by_decorator, by_block])
def test_it_ends_as_under_asyncio_timeout(bounded, name):  # TO-04, TO-05, D-TO-3, D-C-5, trap 51
    assert play(SCENES[name], bounded) == play(SCENES[name], by_asyncio)
