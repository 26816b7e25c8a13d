"""A task that waits for a place of a bulkhead all of whose places it has itself is told so."""

import asyncio
import contextlib

import pytest

import holdfast as hf
from tests.pipeline.virtual import turns

# Any test that waits without end hangs: each is given as long as the machine may be slow.
PATIENCE = 20


def unlimited(places: int = 1) -> hf.Bulkhead:
    return hf.Bulkhead("b", max_concurrent=places, max_waiting=5, max_wait=None)


async def nothing() -> str:
    return "done"


async def by_block(bulkhead: hf.Bulkhead) -> None:
    async with bulkhead:
        pass


async def by_hand(bulkhead: hf.Bulkhead) -> None:
    await bulkhead.aenter()
    bulkhead.leave()


async def by_call(bulkhead: hf.Bulkhead) -> None:
    await bulkhead.acall(nothing)


async def by_pipeline(bulkhead: hf.Bulkhead) -> None:
    await hf.Pipeline("p", hf.CircuitBreaker("c"), bulkhead).acall(nothing)


async def further_in(bulkhead: hf.Bulkhead) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(contextlib.nullcontext())
        await asyncio.shield(nothing())
        await by_block(bulkhead)


async def within_a_block(bulkhead, ask):
    async with bulkhead:
        await ask(bulkhead)


async def within_a_plain_block(bulkhead, ask):
    with bulkhead:
        await ask(bulkhead)


async def within_a_call(bulkhead, ask):
    await bulkhead.acall(ask, bulkhead)


@pytest.mark.parametrize("hold", [within_a_block, within_a_plain_block, within_a_call])
@pytest.mark.parametrize("ask", [by_block, by_hand, by_call, by_pipeline, further_in])
def test_who_has_the_only_place_and_waits_for_another_is_told(hold, ask):
    bulkhead = unlimited()
    with pytest.raises(RuntimeError, match=r"<Bulkhead 'b'> would be waited for without end"):
        asyncio.run(asyncio.wait_for(hold(bulkhead, ask), PATIENCE))
    assert bulkhead.in_flight == bulkhead.waiting == 0
    assert asyncio.run(bulkhead.acall(nothing)) == "done"


def test_who_has_all_of_several_places_is_told():
    async def main(bulkhead):
        async with bulkhead, bulkhead, bulkhead:
            pass

    with pytest.raises(RuntimeError, match="give max_wait"):
        asyncio.run(asyncio.wait_for(main(unlimited(2)), PATIENCE))
    asyncio.run(main(unlimited(3)))


def test_who_has_one_of_two_places_waits_for_the_other():
    async def main():
        bulkhead = unlimited(2)
        await bulkhead.aenter()  # for whomever: nobody knows whose it is

        async def twice():
            idle = bulkhead.acall(nothing)  # not begun: it has no place
            async with bulkhead, bulkhead:
                idle.close()
                return "in"

        waits = asyncio.create_task(twice())
        await turns(5)
        assert (bulkhead.waiting, waits.done()) == (1, False)
        bulkhead.leave()
        assert await waits == "in"
        assert bulkhead.in_flight == 0

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_task_that_another_holds_a_place_for_waits():
    async def main():
        bulkhead = unlimited()
        async with bulkhead:
            waits = asyncio.create_task(by_block(bulkhead))
            await turns(5)
            assert not waits.done()
        await waits

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_wait_that_ends_is_left_to_end():
    async def main():
        bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=0.01)
        async with bulkhead:
            with pytest.raises(hf.BulkheadTimeoutError):
                await by_block(bulkhead)
            with pytest.raises(hf.DeadlineExceededError):
                async with hf.Timeout(0.01):
                    await bulkhead.aenter(timeout=float("inf"))

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
