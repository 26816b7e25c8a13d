"""Where ``deadline()`` is seen: in what is called and awaited, and in nothing that runs beside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import holdfast as hf
from tests.policies.timeout.timeouts import counts
from tests.waiting.virtual import VirtualLoop, ended

pytestmark = pytest.mark.usefixtures("nothing_stays_open")


async def test_outside_of_any_there_is_no_deadline():  # TO-09
    assert hf.deadline() is None
    hf.check_deadline()
    assert hf.deadline() is None
    hf.check_deadline()


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_a_timeout_that_ends_no_call_leaves_the_default_of_deadline_in_force(mode, clock):
    policy = hf.Timeout(3, mode=mode, clock=clock)
    assert policy.call(hf.deadline, 5) == 5
    with policy:
        assert hf.deadline() is None
        assert hf.deadline(5) == 5


def test_a_deadline_has_precedence_over_the_default_even_when_no_time_is_left(clock):
    assert hf.deadline(5) == 5

    def look() -> None:
        seen.append(hf.deadline(5))
        clock.advance(4)
        seen.append(hf.deadline(5))

    seen: list[float] = []
    hf.Timeout(3, clock=clock).try_call(look)
    assert seen == [3, 0.0]


def test_deadline_takes_one_default():
    with pytest.raises(TypeError, match="at most 1 argument"):
        hf.deadline(5, 6)  # type: ignore[call-arg]


def test_other_threads_and_executors_do_not_inherit_it(clock):
    policy = hf.Timeout(3, clock=clock)
    with ThreadPoolExecutor(1) as pool:
        assert policy.call(lambda: pool.submit(hf.deadline).result()) is None
        assert pool.submit(policy.call, hf.deadline).result() == 3
        assert pool.submit(hf.deadline).result() is None


def test_what_a_coroutine_awaits_inherits_it_and_what_it_starts_does_not():
    async def main(loop: VirtualLoop) -> None:
        policy = hf.Timeout(3, clock=loop.clock)
        seen: dict[str, object] = {}

        async def look(where: str) -> None:
            await asyncio.sleep(0)
            seen[where] = hf.deadline()

        async def body() -> None:
            loop.call_soon(lambda: seen.update(callback=hf.deadline()))
            task = asyncio.create_task(look("task"))
            await asyncio.sleep(1)
            await task
            await look("awaited")
            await asyncio.gather(look("gathered"))
            seen["thread"] = await asyncio.to_thread(hf.deadline)
            seen["executor"] = await loop.run_in_executor(None, hf.deadline)
            seen["nested"] = await hf.Timeout(9, clock=loop.clock).acall(inner)
            seen["shorter"] = await hf.Timeout(1, clock=loop.clock).acall(inner)
            seen["sync"] = hf.Timeout(9, clock=loop.clock).call(hf.deadline)
            seen["after"] = hf.deadline()

        async def inner() -> float | None:
            await asyncio.sleep(0)
            return hf.deadline()

        await policy.acall(body)
        assert seen == {
            "callback": None,
            "task": None,
            "awaited": 2,
            "gathered": None,
            "thread": None,
            "executor": None,
            "nested": 2,
            "shorter": 1,
            "sync": 2,
            "after": 2,
        }

    asyncio.run(main_on_real_loop(main))


async def main_on_real_loop(main: Any) -> None:
    """Threads have to be waited for: a loop that sleeps, whose clock is moved by its timers."""
    loop = asyncio.get_running_loop()

    class Loop:
        def __init__(self) -> None:
            self.clock = hf.ManualClock()
            self.call_soon = loop.call_soon
            self.run_in_executor = loop.run_in_executor

    fake = Loop()
    sleep = asyncio.sleep

    async def pass_time(seconds: float, result: object = None) -> object:
        await sleep(0)
        fake.clock.advance(seconds)
        return result

    asyncio.sleep = pass_time  # type: ignore[assignment]
    try:
        await main(fake)
    finally:
        asyncio.sleep = sleep


async def test_an_async_generator_has_its_deadline_until_its_first_item(loop):
    policy = hf.Timeout(1, clock=loop.clock)

    @policy
    async def items(first: float) -> AsyncIterator[float | None]:
        await asyncio.sleep(first)
        yield hf.deadline()
        await asyncio.sleep(9)
        yield hf.deadline()

    assert [item async for item in items(0.25)] == [0.75, None]
    assert type(await ended(anext(items(2)))) is hf.DeadlineExceededError
    assert counts(policy) == (1, 1, 0, 0)
