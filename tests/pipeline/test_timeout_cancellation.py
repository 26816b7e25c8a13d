"""A timeout in asyncio against ``asyncio.timeout``: whose cancellation it is, and what is left.

The same scenes are played under ``asyncio.timeout`` and under ``Timeout``, as ``acall``, as a
decorator and as ``async with``, on a loop whose time passes by itself. What came of the call, when,
what happened on the way, and ``task.cancelling()`` afterwards have to be the same.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.pipeline import bounded_company, bounded_scenes  # noqa: F401 - they fill SCENES
from tests.pipeline.bounded_world import SCENES, Body, Scene, World
from tests.pipeline.virtual import VirtualLoop, run, turns


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


# ---- scenes by chance ----


def anything(chance: random.Random, depth: int = 0, within: str = "") -> list[Any]:
    """Make up what a body does: a list of steps, some of which have steps of their own.

    Nothing is made to happen at the same time: at a tie the two differ. Nor does a body that
    swallows a cut, or cleans up after it, bound anything or stand in another bound: here a deadline
    that has passed stays in force for all that is inside of it, in asyncio it has cut once.
    """
    kinds = ["sleep", "sleep", "turns"]
    if depth < 5:
        kinds += ["catch", "task", "gather", "shield"]
    if depth < 5 and within != "stubborn":
        kinds += ["bound"] * 3
    if depth < 5 and within != "bound":
        kinds += ["swallow", "clean up"]
    if depth > 0:
        kinds += ["raise"]
    steps = []
    for kind in chance.choices(kinds, k=chance.randint(1, 3)):
        seconds = chance.uniform(0.1, 3)
        if kind in ("sleep", "turns", "raise"):
            inner = []
        elif kind in ("swallow", "clean up"):
            inner = [[("sleep", chance.uniform(0.1, 3), [])]]
        else:
            inside = within
            if kind == "bound":
                inside = within or chance.choice(["bound", "stubborn"])
            inner = [anything(chance, depth + 1, inside) for _ in range(1 + (kind == "gather"))]
        steps.append((kind, seconds, inner))
    return steps


async def do(world: World, steps: list[Any]) -> None:
    for kind, seconds, inner in steps:
        world.note(kind)
        if kind == "sleep":
            await world.sleep(seconds)
        elif kind == "turns":
            await turns(3)
        elif kind == "bound":
            await world.bounded(seconds, lambda inner=inner: do(world, inner[0]))
        elif kind == "task":
            await asyncio.create_task(do(world, inner[0]))
        elif kind == "gather":
            await asyncio.gather(*(do(world, one) for one in inner), return_exceptions=True)
        elif kind == "shield":
            await asyncio.shield(do(world, inner[0]))
        elif kind == "raise":
            raise LookupError
        else:
            await with_hands(world, kind, seconds, inner[0])


async def with_hands(world: World, kind: str, seconds: float, steps: list[Any]) -> None:
    """Do the steps and meddle with what they raise."""
    try:
        await do(world, steps)
    except TimeoutError:
        if kind != "catch":
            raise
        world.note("caught")
    except asyncio.CancelledError:
        if kind != "swallow":
            raise
        world.note("swallowed")
    finally:
        if kind == "clean up":
            await world.sleep(seconds)


@pytest.mark.parametrize("bounded", [by_acall, by_decorator, by_block])
def test_scenes_by_chance_end_as_under_asyncio_timeout(bounded, stress_scale):
    # TO-04, D-TO-3, trap 51
    for seed in range(100 * stress_scale):
        chance = random.Random(seed)
        steps = anything(chance)
        cancelled = [chance.uniform(0, 5) for _ in range(chance.choice([0, 0, 1, 2]))]

        async def made_up(
            world: World, steps: list[Any] = steps, cancelled: list[float] = cancelled
        ) -> None:
            for seconds in cancelled:
                world.cancel_at(seconds)
            await do(world, steps)

        assert play(made_up, bounded) == play(made_up, by_asyncio), (seed, steps, cancelled)
