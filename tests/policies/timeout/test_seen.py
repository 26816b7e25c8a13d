"""What a coroutine sees of a timeout, against ``asyncio.timeout``: every cut, where, and when.

The same scene is played under both, and everything that its coroutine has noticed is compared: what
each wait gave or raised, the time, and how often the task had been asked to end.

Made up by chance: up to three timeouts around a body that waits for futures, tasks, groups and
shields, catches its cut, cleans up with waits of its own; a loop that stands still for so long that
much is due in one tick; others that cancel the task. No two timers are set for the same moment:
which of them rings first is the loop's affair. Or, where the body has more timeouts in it, nothing
stands still, is swallowed or cleaned up: here a deadline that has passed stays in force for all
that is inside of it, in asyncio it has cut once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

import holdfast as hf
from tests.waiting.virtual import VirtualLoop, run

Body = Callable[[], Awaitable[Any]]
Bound = Callable[[VirtualLoop, list[float], Body], Awaitable[Any]]


async def by_asyncio(loop: VirtualLoop, bounds: list[float], body: Body) -> Any:
    async with AsyncExitStack() as stack:
        for seconds in bounds:
            await stack.enter_async_context(asyncio.timeout(seconds))
        return await body()


async def by_calls(loop: VirtualLoop, bounds: list[float], body: Body) -> Any:
    if not bounds:
        return await body()
    policy = hf.Timeout(bounds[0], clock=loop.clock)
    return await policy.acall(by_calls, loop, bounds[1:], body)


async def by_decorators(loop: VirtualLoop, bounds: list[float], body: Body) -> Any:
    async def inner() -> Any:
        return await body()

    guarded: Any = inner
    for seconds in reversed(bounds):
        guarded = hf.Timeout(seconds, clock=loop.clock)(guarded)
    return await guarded()


async def by_pipeline(loop: VirtualLoop, bounds: list[float], body: Body) -> Any:
    policies = [hf.Timeout(seconds, clock=loop.clock) for seconds in bounds]
    return await hf.Pipeline("p", *policies).acall(body)


async def by_blocks(loop: VirtualLoop, bounds: list[float], body: Body) -> Any:
    if not bounds:
        return await body()
    async with hf.Timeout(bounds[0], clock=loop.clock):
        return await by_blocks(loop, bounds[1:], body)


async def by_all_of_them(loop: VirtualLoop, bounds: list[float], body: Body) -> Any:
    ways = [by_calls, by_asyncio, by_pipeline, by_blocks, by_decorators]

    async def inside(at: int) -> Any:
        if at == len(bounds):
            return await body()
        way = ways[(at + int(sum(bounds) * 4)) % len(ways)]
        return await way(loop, bounds[at : at + 1], lambda: inside(at + 1))

    return await inside(0)


class Scene:
    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.moments, self.binds = 0, seed % 2
        self.bounds = [self.moment(chance) for _ in range(chance.randint(1, 3))]
        self.steps = [self.step(chance) for _ in range(chance.randint(1, 4))]
        self.stalls = [
            (self.moment(chance), self.moment(chance))
            for _ in range(0 if self.binds else chance.randint(0, 2))
        ]
        self.cancels = [self.moment(chance) for _ in range(chance.choice((0, 0, 0, 1, 2)))]

    def moment(self, chance: random.Random) -> float:
        self.moments += 1
        return chance.randint(1, 12) / 4 + self.moments / 2**13

    def step(self, chance: random.Random, depth: int = 0) -> tuple[str, float, list[Any]]:
        kinds = ["sleep", "future", "turns", "done"]
        if depth < 3:
            kinds += ["catch", "gather", "shield", "task", "group"]
            kinds += ["bind"] * 3 if self.binds else ["clean up", "swallow"]
        kind = chance.choice(kinds)
        simple = kind in ("sleep", "future", "turns", "done")
        n = 0 if simple else chance.randint(1, 3)
        inner = [self.step(chance, depth + 1) for _ in range(n)]
        return kind, self.moment(chance), inner


def said(error: BaseException) -> Any:
    """Return what can be compared: a timeout is one, whoever raised it."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, BaseExceptionGroup):
        return [said(one) for one in error.exceptions]
    return type(error).__name__, error.args


class Play:
    """A scene on a loop of its own, and the log of it."""

    def __init__(self, scene: Scene, bound: Bound, loop: VirtualLoop) -> None:
        self.scene, self.bound, self.loop = scene, bound, loop
        self.logs: dict[object, list[object]] = {}

    def note(self, what: object) -> None:
        task = asyncio.current_task()
        assert task is not None
        log = self.logs.setdefault(task, [])
        log.append((round(self.loop.time(), 6), what, task.cancelling()))

    async def seen(self, what: str, awaitable: Awaitable[Any]) -> None:
        try:
            self.note((what, type(await awaitable).__name__))
        except BaseException as error:
            self.note((what, said(error)))
            raise

    async def do(self, steps: list[Any]) -> None:
        for kind, seconds, inner in steps:
            await getattr(self, kind.replace(" ", "_"))(seconds, inner)

    async def sleep(self, seconds: float, inner: list[Any]) -> None:
        await self.seen("sleep", asyncio.sleep(seconds))

    async def future(self, seconds: float, inner: list[Any]) -> None:
        future = self.loop.create_future()
        self.loop.call_later(seconds, lambda: future.done() or future.set_result("answer"))
        await self.seen("future", future)

    async def turns(self, seconds: float, inner: list[Any]) -> None:
        for _ in range(3):
            await self.seen("turn", asyncio.sleep(0))

    async def done(self, seconds: float, inner: list[Any]) -> None:
        future = self.loop.create_future()
        future.set_result("answer")
        await self.seen("done", future)

    async def catch(self, seconds: float, inner: list[Any]) -> None:
        try:
            await self.do(inner)
        except asyncio.CancelledError:
            self.note("caught")
            raise
        except Exception as error:
            self.note(said(error))

    async def swallow(self, seconds: float, inner: list[Any]) -> None:
        try:
            await self.do(inner)
        except asyncio.CancelledError:
            self.note("swallowed")

    async def bind(self, seconds: float, inner: list[Any]) -> None:
        await self.bound(self.loop, [seconds], lambda: self.do(inner))

    async def clean_up(self, seconds: float, inner: list[Any]) -> None:
        try:
            await self.do(inner)
        finally:
            for _ in range(2):
                await self.seen("clean-up", asyncio.sleep(seconds / 2))

    async def gather(self, seconds: float, inner: list[Any]) -> None:
        await self.seen("gather", asyncio.gather(*(self.do([one]) for one in inner)))

    async def shield(self, seconds: float, inner: list[Any]) -> None:
        await self.seen("shield", asyncio.shield(self.do(inner)))

    async def task(self, seconds: float, inner: list[Any]) -> None:
        await self.seen("task", asyncio.create_task(self.do(inner)))

    async def group(self, seconds: float, inner: list[Any]) -> None:
        async def in_group() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.do(inner))  # of several, any is cancelled first
                await self.seen("beside it", asyncio.sleep(seconds))

        await self.seen("group", in_group())

    async def play(self) -> None:
        async def body() -> str:
            await self.do(self.scene.steps)
            return "value"

        try:
            self.note(await self.bound(self.loop, self.scene.bounds, body))
        except BaseException as error:
            self.note(said(error))
        try:  # and nothing comes later
            await asyncio.sleep(0)
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            self.note("cut afterwards")


def play(scene: Scene, bound: Bound) -> list[object]:
    async def main(loop: VirtualLoop) -> list[object]:
        loop.set_exception_handler(lambda *_: None)
        played = Play(scene, bound, loop)
        task = loop.create_task(played.play())
        for at, seconds in scene.stalls:
            loop.call_at(at, loop.clock.advance_ns, round(seconds * 1e9))
        for at in scene.cancels:
            loop.call_at(at, task.cancel)
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(50)
        # Each task's is in order; who comes first at one moment is no matter.
        return sorted(played.logs.values(), key=repr)

    return run(main)


WAYS = [by_calls, by_decorators, by_pipeline, by_blocks, by_all_of_them]


@pytest.mark.fuzz
@pytest.mark.parametrize("bound", WAYS)
def test_a_coroutine_sees_what_it_sees_under_asyncio_timeout(bound, fuzz_seconds):
    # D-TO-3, D-C-5, trap 51
    seeds = round(50 * fuzz_seconds)
    for seed in range(seeds):
        scene = Scene(seed)
        assert play(scene, bound) == play(scene, by_asyncio), (seed, vars(scene))
