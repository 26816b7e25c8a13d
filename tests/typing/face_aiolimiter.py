"""What type checkers make of the face of aiolimiter, as of the library itself."""

from contextlib import AbstractAsyncContextManager
from typing import assert_type

from holdfast.compat.aiolimiter import AsyncLimiter

limiter = AsyncLimiter(100, 30)
minute = AsyncLimiter(max_rate=4.5, time_period=0.125)
as_context: AbstractAsyncContextManager[None] = limiter


async def some_coroutine() -> None:
    async with limiter as entered:
        assert_type(entered, None)
    assert_type(await limiter.acquire(), None)
    await limiter.acquire(0.5)


assert_type(limiter.has_capacity(), bool)
assert_type(limiter.max_rate, float)
assert_type(limiter.time_period, float)
assert_type(limiter.policy.try_acquire(), bool)
limiter.max_rate = 50


class Mine(AsyncLimiter):
    async def acquire(self, amount: float = 1) -> None:
        await super().acquire(amount)
