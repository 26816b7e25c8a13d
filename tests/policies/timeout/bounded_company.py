"""Scenes for a bound on the time of a call that has to do with what else asyncio has."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.policies.timeout.bounded_world import World, scene


@scene
async def gather_outside(world: World) -> Any:
    both = await asyncio.gather(
        world.bounded(1, lambda: world.sleep(2)),
        world.bounded(2, lambda: world.sleep(1.5)),
        return_exceptions=True,
    )
    return [isinstance(one, TimeoutError) or one for one in both]


@scene
async def shield_outside(world: World) -> Any:
    world.cancel_at(0.5)
    guarded = asyncio.ensure_future(world.bounded(1, lambda: world.sleep(2)))
    try:
        await asyncio.shield(guarded)
    except asyncio.CancelledError:
        try:
            await guarded
        except TimeoutError:
            world.note("timeout")
        raise


@scene
async def wait_for_inside_that_is_over_first(world: World) -> Any:
    return await world.bounded(2, lambda: asyncio.wait_for(world.sleep(3), 1))


@scene
async def wait_for_outside(world: World) -> Any:
    return await asyncio.wait_for(world.bounded(2, lambda: world.sleep(3)), 1)


@scene
async def wait_inside(world: World) -> Any:
    tasks = [asyncio.ensure_future(world.sleep(s)) for s in (0.5, 2)]

    async def body() -> int:
        done, _ = await asyncio.wait(tasks)
        return len(done)

    try:
        return await world.bounded(1, body)
    finally:
        await tasks[1]


@scene
async def a_task_group_inside_that_fails(world: World) -> Any:
    async def fail() -> None:
        await asyncio.sleep(0.5)
        raise LookupError

    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(world.sleep(5))
            group.create_task(fail())

    return await world.bounded(1, body)


@scene
async def a_task_group_outside_that_fails(world: World) -> Any:
    async def fail() -> None:
        await asyncio.sleep(0.5)
        raise LookupError

    async with asyncio.TaskGroup() as group:
        group.create_task(world.bounded(1, lambda: world.sleep(5)))  # type: ignore[arg-type]
        group.create_task(fail())


@scene
async def a_task_is_awaited_that_swallows(world: World) -> Any:
    async def stubborn() -> str:
        try:
            await world.sleep(3)
        except asyncio.CancelledError:
            world.note("swallowed")
        return await world.sleep(1)

    task = asyncio.ensure_future(stubborn())

    async def body() -> Any:
        return await task

    return await world.bounded(1, body)


@scene
async def a_lock_is_waited_for(world: World) -> Any:
    lock = asyncio.Lock()
    await lock.acquire()
    try:
        return await world.bounded(1, lock.acquire)
    finally:
        lock.release()
        await lock.acquire()
        world.note("the lock is whole")


@scene
async def a_queue_is_waited_for(world: World) -> Any:
    queue: asyncio.Queue[int] = asyncio.Queue()
    try:
        await world.bounded(1, queue.get)
    except TimeoutError:
        await queue.put(1)
        return await queue.get()


@scene
async def an_async_generator_is_read(world: World) -> Any:
    async def items() -> Any:
        try:
            for i in range(10):
                await asyncio.sleep(0.4)
                yield i
        finally:
            world.note("closed")

    async def body() -> None:
        async for item in items():
            world.note(item)

    return await world.bounded(1, body)
