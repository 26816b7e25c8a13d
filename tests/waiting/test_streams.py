"""An asynchronous generator that waits for its slot; the rest is in tests/gate/test_streams.py."""

import asyncio

import pytest

from holdfast import Bulkhead
from tests.waiting.parties import auntil


async def test_an_async_generator_cancelled_while_it_waits_takes_no_place():  # trap 33, trap 50
    bulkhead = Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None)

    @bulkhead
    async def items():
        yield 1

    bulkhead.enter()
    task = asyncio.ensure_future(anext(items()))
    await auntil(lambda: bulkhead.waiting == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (bulkhead.in_flight, bulkhead.waiting) == (1, 0)
    bulkhead.leave()
    assert bulkhead.in_flight == 0
