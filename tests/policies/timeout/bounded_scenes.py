"""Scenes for a bound on the time of a call: each says what happens, whoever bounds it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.policies.timeout.bounded_world import SCENES, Scene, World, scene

# ---- how long it takes ----


@scene
async def it_raises_a_timeout_error_of_its_own(world: World) -> Any:
    async def body() -> None:
        await world.sleep(1)
        raise TimeoutError("its own")

    return await world.bounded(2, body)


@scene
async def it_raises_a_cancelled_error_of_its_own(world: World) -> Any:
    async def body() -> None:
        await world.sleep(1)
        raise asyncio.CancelledError

    return await world.bounded(2, body)


@scene
async def it_turns_round_for_ever(world: World) -> Any:
    async def body() -> None:
        while True:  # noqa: ASYNC110 - there is nothing else to wait for
            await asyncio.sleep(0)

    world.at(0.5, lambda: world.note("half"))
    world.loop.call_soon(pass_time, world, 0.1)
    return await world.bounded(1, body)


def pass_time(world: World, step: float) -> None:
    """Let time pass though nobody waits for a timer."""
    world.loop.clock.advance_ns(round(step * 1e9))
    if world.loop.time() < 3:
        world.loop.call_soon(pass_time, world, step)


# ---- who is cancelled ----


@scene
async def it_is_cancelled_in_the_same_tick_before(world: World) -> Any:
    world.cancel_at(1)  # the loop's timers of one time ring in the order they were set
    return await world.bounded(1, lambda: world.sleep(3))


@scene
async def it_is_cancelled_in_the_same_tick_after(world: World) -> Any:
    world.at(1, lambda: world.loop.call_soon(world.task.cancel))
    return await world.bounded(1, lambda: world.sleep(3))


@scene
async def it_is_cancelled_as_it_is_cut(world: World) -> Any:
    async def body() -> None:
        await asyncio.sleep(0)
        world.cancel_at(1)
        await world.sleep(3)

    return await world.bounded(1, body)


@scene
async def its_caller_was_asked_to_end_before_it_began(world: World) -> Any:
    world.task.cancel()
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError:
        world.note("refused to end")
    return await world.bounded(1, lambda: world.sleep(2))


@scene
async def its_caller_is_cancelled_as_it_begins(world: World) -> Any:
    world.task.cancel()
    return await world.bounded(1, lambda: world.sleep(2))


@scene
async def a_cancellation_is_taken_back(world: World) -> Any:
    async def body() -> None:
        try:
            await world.sleep(3)
        except asyncio.CancelledError:
            world.task.uncancel()
        await world.sleep(3)

    world.cancel_at(0.5)
    return await world.bounded(1, body)


@scene
async def what_it_awaits_is_cancelled_by_somebody_else(world: World) -> Any:
    future = world.loop.create_future()
    world.at(0.5, future.cancel)

    async def body() -> None:
        await future

    return await world.bounded(1, body)


# ---- who swallows the cut ----


@scene
async def it_swallows_the_cut_and_returns(world: World) -> Any:
    async def body() -> str:
        try:
            await world.sleep(3)
        except asyncio.CancelledError:
            return "all the same"
        return "never"

    return await world.bounded(1, body)


@scene
async def it_swallows_the_cut_and_raises_something_else(world: World) -> Any:
    async def body() -> None:
        try:
            await world.sleep(3)
        except asyncio.CancelledError:
            raise LookupError from None

    return await world.bounded(1, body)


@scene
async def it_swallows_the_cut_and_then_cancels_itself_by_hand(world: World) -> Any:
    async def body() -> None:
        try:
            await world.sleep(3)
        except asyncio.CancelledError:
            world.note("swallowed")
        await world.sleep(1)
        raise asyncio.CancelledError

    return await world.bounded(1, body)


# ---- one in another ----


def nested(*seconds: float) -> Scene:
    async def made(world: World) -> Any:
        async def inner(i: int) -> Any:
            if i == len(seconds):
                return await world.sleep(10)
            try:
                return await world.bounded(seconds[i], lambda: inner(i + 1))
            except BaseException as error:
                world.note((i, isinstance(error, TimeoutError)))
                raise

        return await inner(0)

    return made


for order in ((1, 2), (2, 1), (2, 3, 1)):
    SCENES[f"nested {order}"] = nested(*order)


@scene
async def one_after_another(world: World) -> Any:
    for seconds in (1, 3, 1, 1.875, 3):
        try:
            world.note(await world.bounded(2, lambda s=seconds: world.sleep(s)))  # type: ignore[misc]
        except TimeoutError:
            world.note("timeout")


@scene
async def one_calls_itself(world: World) -> Any:
    async def body(depth: int) -> str:
        if depth == 0:
            return await world.sleep(5)
        await asyncio.sleep(0.1)
        return await world.bounded(1, lambda: body(depth - 1))

    return await world.bounded(1, lambda: body(3))


@scene
async def many_at_once(world: World) -> Any:
    async def one(seconds: float) -> object:
        try:
            return await world.bounded(2, lambda: world.sleep(seconds))
        except TimeoutError:
            return "timeout"

    return await asyncio.gather(*(one(0.5 * i) for i in range(1, 9) if i != 4))
