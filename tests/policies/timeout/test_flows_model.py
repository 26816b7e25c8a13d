"""Random nestings of calls, blocks, contexts and tasks, and what the deadline is in each."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, ExitStack
from contextvars import copy_context

import pytest

import holdfast as hf
from tests.waiting.virtual import VirtualLoop, run

pytestmark = pytest.mark.usefixtures("nothing_stays_open")

SECONDS = (10, 20, 30, 40, 50)


class Nesting:
    """Goes so deep, at random; ``here`` is the deadline there, which is handed down by hand."""

    def __init__(self, loop: VirtualLoop, seed: int) -> None:
        self.random = random.Random(seed)
        self.policies = {seconds: hf.Timeout(seconds, clock=loop.clock) for seconds in SECONDS}

    def choose(self, here: float, depth: int) -> tuple[hf.Timeout, tuple[float, int]]:
        seconds = self.random.choice(SECONDS)
        return self.policies[seconds], (min(here, seconds), depth - 1)

    def go(self, here: float, depth: int) -> None:
        policy, inside = self.choose(here, depth)
        assert (hf.deadline() or 99) == here
        match self.random.randrange(4) if depth else None:
            case 0:
                policy.call(self.go, *inside)
            case 1:
                with policy:
                    self.go(*inside)
            case 2:
                with ExitStack() as stack:
                    stack.enter_context(policy)
                    self.go(*inside)
            case 3:
                copy_context().run(self.go, here, depth - 1)
        assert (hf.deadline() or 99) == here

    async def ago(self, here: float, depth: int) -> None:
        policy, inside = self.choose(here, depth)
        assert (hf.deadline() or 99) == here
        match self.random.randrange(6) if depth else None:
            case 0:
                await policy.acall(self.ago, *inside)
            case 1:
                async with policy:
                    await self.ago(*inside)
            case 2:
                async with AsyncExitStack() as stack:
                    await stack.enter_async_context(policy)
                    await self.ago(*inside)
            case 3:
                await asyncio.gather(*(self.ago(99, depth - 1) for _ in range(3)))
            case 4:
                own = self.random.choice(SECONDS)
                task = asyncio.create_task(self.policies[own].acall(self.ago, own, 0))
                await asyncio.sleep(0)
                assert (hf.deadline() or 99) == here
                task.cancel()
            case 5:
                self.go(here, depth)
            case None:
                await asyncio.sleep(0)
        assert (hf.deadline() or 99) == here


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_the_deadline_is_that_of_what_is_around(seed, eager):
    factory = getattr(asyncio, "eager_task_factory", None) if eager else None

    async def main(loop: VirtualLoop) -> None:
        nesting = Nesting(loop, seed)
        for _ in range(20):
            await nesting.ago(99, 6)

    run(main, factory)
