"""Scenes for a bound on the time of a call: each says what happens, whoever bounds it.

A scene is called with a world and gives what came of it; ``world.bounded(seconds, body)`` is
``async with asyncio.timeout(seconds): return await body()``, or what holdfast has for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import holdfast as hf
from tests.pipeline.virtual import VirtualLoop

Body = Callable[[], Coroutine[Any, Any, Any]]
Scene = Callable[["World"], Coroutine[Any, Any, Any]]


class World:
    """Where a scene takes place.

    Attributes:
        policies: Timeouts, by how long they are: they are used again and again, and inside of
            themselves.
        log: What happened, in order, with the time of it.
        task: The one that plays the scene; whoever it is that cancels, cancels this.
    """

    def __init__(
        self, loop: VirtualLoop, bounded: Callable[[World, float, Body], Awaitable[Any]]
    ) -> None:
        self.loop = loop
        self.policies: dict[float, hf.Timeout] = {}
        self.log: list[tuple[float, object]] = []
        self._bounded = bounded
        self.task: asyncio.Task[Any]

    def bounded(self, seconds: float, body: Body) -> Awaitable[Any]:
        return self._bounded(self, seconds, body)

    def policy(self, seconds: float) -> hf.Timeout:
        if seconds not in self.policies:
            self.policies[seconds] = hf.Timeout(seconds, clock=self.loop.clock)
        return self.policies[seconds]

    def note(self, what: object) -> None:
        self.log.append((round(self.loop.time(), 6), what))

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        self.loop.call_at(seconds, act)

    def cancel_at(self, seconds: float) -> None:
        self.loop.call_at(seconds, lambda: self.task.cancel())

    async def sleep(self, seconds: float) -> str:
        """Take that long; say so, and also when it is cut short."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.note("cut")
            raise
        self.note("slept")
        return "slept"


SCENES: dict[str, Scene] = {}


def scene(made: Scene) -> Scene:
    SCENES[made.__name__.replace("_", " ")] = made
    return made


# ---- how long it takes ----


@scene
async def it_takes_no_time(world: World) -> Any:
    async def body() -> str:
        return "at once"

    return await world.bounded(1, body)


@scene
async def it_ends_before_its_time_is_over(world: World) -> Any:
    return await world.bounded(2, lambda: world.sleep(1))


@scene
async def it_takes_too_long(world: World) -> Any:
    return await world.bounded(1, lambda: world.sleep(2))


@scene
async def it_raises_before_its_time_is_over(world: World) -> Any:
    async def body() -> None:
        await world.sleep(1)
        raise LookupError

    return await world.bounded(2, body)


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


@scene
async def it_awaits_what_has_ended(world: World) -> Any:
    async def body() -> str:
        future = world.loop.create_future()
        future.set_result("there")
        for _ in range(5):
            assert await future == "there"
        return "there"

    return await world.bounded(1, body)


# ---- who is cancelled ----


@scene
async def it_is_cancelled_before(world: World) -> Any:
    world.cancel_at(1)
    return await world.bounded(2, lambda: world.sleep(3))


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
async def it_is_cancelled_after_it_was_cut(world: World) -> Any:
    world.cancel_at(1.5)
    try:
        await world.bounded(1, lambda: world.sleep(3))
    except TimeoutError:
        world.note("timeout")
    return await world.sleep(1)


@scene
async def it_is_cancelled_while_it_cleans_up(world: World) -> Any:
    async def body() -> None:
        try:
            await world.sleep(3)
        finally:
            await world.sleep(1)

    world.cancel_at(1.5)
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
async def a_cancellation_is_swallowed_before_time_is_over(world: World) -> Any:
    async def body() -> None:
        try:
            await world.sleep(3)
        except asyncio.CancelledError:
            world.note("swallowed")
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
async def it_swallows_the_cut_and_takes_its_time(world: World) -> Any:
    async def body() -> str:
        try:
            await world.sleep(3)
        except asyncio.CancelledError:
            world.note("swallowed")
        return await world.sleep(5)

    return await world.bounded(1, body)


@scene
async def it_swallows_the_cut_and_is_cancelled_later(world: World) -> Any:
    async def body() -> str:
        try:
            await world.sleep(3)
        except asyncio.CancelledError:
            world.note("swallowed")
        return await world.sleep(5)

    world.cancel_at(2)
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


@scene
async def it_catches_timeout_errors_inside(world: World) -> Any:
    async def body() -> str:
        try:
            return await world.sleep(3)
        except TimeoutError:
            return "caught what is not raised here"

    return await world.bounded(1, body)


@scene
async def its_caller_catches_the_timeout(world: World) -> Any:
    try:
        await world.bounded(1, lambda: world.sleep(3))
    except TimeoutError:
        world.note("caught")
    return await world.sleep(1)


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


for order in ((1, 2), (2, 1), (1, 2, 3), (3, 2, 1), (2, 1, 3), (2, 3, 1), (1, 3, 2)):
    SCENES[f"nested {order}"] = nested(*order)


@scene
async def an_inner_one_is_caught_and_the_outer_cuts_what_follows(world: World) -> Any:
    async def body() -> str:
        try:
            await world.bounded(1, lambda: world.sleep(5))
        except TimeoutError:
            world.note("inner")
        return await world.sleep(5)

    return await world.bounded(2, body)


@scene
async def an_inner_one_ends_in_time_and_the_outer_cuts_what_follows(world: World) -> Any:
    async def body() -> str:
        await world.bounded(1, lambda: world.sleep(0.5))
        return await world.sleep(5)

    return await world.bounded(2, body)


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


# ---- what else asyncio has ----


@scene
async def gather_inside(world: World) -> Any:
    return await world.bounded(1, lambda: gathered(world.sleep(2), world.sleep(0.5)))


async def gathered(*awaitables: Awaitable[Any], **options: bool) -> Any:
    return await asyncio.gather(*awaitables, **options)


@scene
async def gather_inside_that_returns_exceptions(world: World) -> Any:
    async def body() -> Any:
        both = await gathered(world.sleep(2), world.sleep(0.5), return_exceptions=True)
        return [repr(one) for one in both]

    return await world.bounded(1, body)


@scene
async def gather_outside(world: World) -> Any:
    both = await asyncio.gather(
        world.bounded(1, lambda: world.sleep(2)),
        world.bounded(2, lambda: world.sleep(1.5)),
        return_exceptions=True,
    )
    return [isinstance(one, TimeoutError) or one for one in both]


@scene
async def shield_inside(world: World) -> Any:
    shielded = asyncio.ensure_future(world.sleep(2))

    async def body() -> Any:
        return await asyncio.shield(shielded)

    try:
        return await world.bounded(1, body)
    except TimeoutError:
        return "timeout", await shielded


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
async def wait_for_inside(world: World) -> Any:
    return await world.bounded(1, lambda: asyncio.wait_for(world.sleep(3), 2))


@scene
async def wait_for_inside_that_is_over_first(world: World) -> Any:
    return await world.bounded(2, lambda: asyncio.wait_for(world.sleep(3), 1))


@scene
async def wait_for_outside(world: World) -> Any:
    return await asyncio.wait_for(world.bounded(2, lambda: world.sleep(3)), 1)


@scene
async def wait_for_outside_that_is_over_later(world: World) -> Any:
    return await asyncio.wait_for(world.bounded(1, lambda: world.sleep(3)), 2)


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
async def a_task_group_inside(world: World) -> Any:
    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(world.sleep(0.5))
            group.create_task(world.sleep(5))

    return await world.bounded(1, body)


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
async def a_task_group_outside(world: World) -> Any:
    async def one() -> None:
        try:
            await world.bounded(1, lambda: world.sleep(5))
        except TimeoutError:
            world.note("timeout")

    async with asyncio.TaskGroup() as group:
        group.create_task(one())
        group.create_task(world.sleep(2))


@scene
async def a_task_group_outside_that_fails(world: World) -> Any:
    async def fail() -> None:
        await asyncio.sleep(0.5)
        raise LookupError

    async with asyncio.TaskGroup() as group:
        group.create_task(world.bounded(1, lambda: world.sleep(5)))  # type: ignore[arg-type]
        group.create_task(fail())


@scene
async def a_task_is_awaited(world: World) -> Any:
    task = asyncio.ensure_future(world.sleep(3))

    async def body() -> Any:
        return await task

    try:
        return await world.bounded(1, body)
    finally:
        world.note(("of the task", task.cancelled(), task.cancelling()))


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


class Odd:
    """An awaitable that a task takes and that cannot be cancelled, but ends in time."""

    _asyncio_future_blocking = False

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds

    def __await__(self) -> Generator[Any, None, str]:
        self._asyncio_future_blocking = True
        yield self
        return "ended"

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, callback: Callable[..., object], *, context: Any = None) -> None:
        self._loop.call_later(self._seconds, callback, self)

    def result(self) -> None:
        pass
