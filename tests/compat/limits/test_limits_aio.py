"""Strategies and storages of limits for asyncio."""

import asyncio
import pickle
from unittest import mock

import pytest

from holdfast import ManualClock
from holdfast.compat.limits import WindowStats, aio, parse
from holdfast.compat.limits.aio.storage import (
    MemoryStorage,
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    Storage,
)
from holdfast.compat.limits.aio.strategies import (
    STRATEGIES,
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)
from holdfast.compat.limits.errors import StorageError
from holdfast.compat.limits.storage import storage_from_string

ALL = list(STRATEGIES.values())


@pytest.fixture
def clock():
    return ManualClock(start=1000)


@pytest.fixture
def storage(clock):
    return MemoryStorage(clock=clock)


# ---- RT-18 ----


async def test_the_storage_of_a_uri_is_in_memory():
    storage = storage_from_string("async+memory://")
    assert type(storage) is MemoryStorage
    assert await storage.check()
    assert aio.storage.MemoryStorage is MemoryStorage
    assert isinstance(storage, (MovingWindowSupport, SlidingWindowCounterSupport))


@pytest.mark.parametrize("strategy", ALL)
async def test_no_more_hits_than_the_amount_are_admitted(strategy, storage):
    limiter, item = strategy(storage), parse("3/minute")
    assert [await limiter.hit(item, "u") for _ in range(4)] == [True, True, True, False]
    assert not await limiter.test(item, "u")
    assert (await limiter.get_window_stats(item, "u")).remaining == 0
    await limiter.clear(item, "u")
    assert await limiter.test(item, "u", cost=3)


@pytest.mark.parametrize("strategy", ALL)
async def test_tasks_together_get_no_more_than_the_amount(strategy, storage):
    limiter, item = strategy(storage), parse("5/minute")
    admitted = await asyncio.gather(*(limiter.hit(item, "u") for _ in range(50)))
    assert sum(admitted) == 5


@pytest.mark.parametrize("strategy", ALL)
async def test_a_negative_cost_gives_no_hits_back(strategy, storage):  # their pull request 362
    with pytest.raises(ValueError, match="cost: got -1, allowed an integer of at least 0"):
        await strategy(storage).hit(parse("1/minute"), "u", cost=-1)


def test_a_storage_serves_one_event_loop_after_another(storage):
    limiter, item = FixedWindowRateLimiter(storage), parse("2/minute")
    assert [asyncio.run(limiter.hit(item)) for _ in range(3)] == [True, True, False]


async def test_windows_are_those_of_the_storage_for_threads(storage, clock):
    item = parse("2/minute")
    fixed, moving = FixedWindowRateLimiter(storage), MovingWindowRateLimiter(storage)
    assert await fixed.get_window_stats(item, "u") == WindowStats(1000.0, 2)
    assert await fixed.hit(item, "u")
    assert await moving.hit(item, "u")
    clock.advance(20)
    assert await fixed.get_window_stats(item, "u") == (pytest.approx(1060, abs=1e-6), 1)
    assert await moving.get_window_stats(item, "u") == (pytest.approx(1060, abs=1e-6), 1)
    sliding = SlidingWindowCounterRateLimiter(storage)
    assert await sliding.get_window_stats(item, "u") == WindowStats(1020.0, 2)
    assert await sliding.hit(item, "u", cost=2)
    assert await sliding.get_window_stats(item, "u") == (pytest.approx(1080, abs=1e-6), 0)


async def test_a_storage_has_the_methods_of_the_one_for_threads(storage, clock):
    assert await storage.incr("k", 60, amount=5) == 5
    assert [await storage.decr("k", 2), await storage.get("k")] == [3, 3]
    assert await storage.get_expiry("k") == 1060.0
    assert await storage.acquire_entry("k", 2, 60)
    assert await storage.get_moving_window("k", 2, 60) == (1000.0, 1)
    assert await storage.acquire_sliding_window_entry("k", 2, 100)
    assert await storage.get_sliding_window("k", 100) == (0, 0.0, 1, 200.0)
    await storage.clear("k")
    await storage.clear_sliding_window("k", 100)
    assert await storage.reset() == 0
    storage.incr("k", 60).close()
    again = pickle.loads(pickle.dumps(FixedWindowRateLimiter(storage))).storage
    assert await again.incr("k", 60) == 1


async def test_no_task_is_started(storage):
    await MovingWindowRateLimiter(storage).hit(parse("1/minute"))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_method_of_a_storage_that_a_test_replaces_is_asked(storage):
    limiter, item = FixedWindowRateLimiter(storage), parse("1/minute")
    with (
        mock.patch.object(storage, "incr", side_effect=ConnectionError),
        pytest.raises(ConnectionError),
    ):
        await limiter.hit(item, "u")
    assert await limiter.hit(item, "u")


async def test_a_storage_that_the_user_writes_is_asked():
    class Full(Storage):
        STORAGE_SCHEME = ["async+full"]  # noqa: RUF012

        @property
        def base_exceptions(self):
            return LookupError

        async def incr(self, key, expiry, amount=1):
            return 10

        async def get(self, key):
            raise KeyError(key)

        async def get_expiry(self, key):
            return 5.0

        check = reset = clear = get

    limiter = FixedWindowRateLimiter(storage_from_string("async+full://", wrap_exceptions=True))
    item = parse("9/minute")
    assert not await limiter.hit(item, "u")
    with pytest.raises(StorageError):
        await limiter.test(item, "u")
    for strategy in (MovingWindowRateLimiter, SlidingWindowCounterRateLimiter):
        with pytest.raises(NotImplementedError):
            strategy(limiter.storage)


def test_a_strategy_for_asyncio_takes_no_storage_for_threads():
    with pytest.raises(AssertionError):
        FixedWindowRateLimiter(storage_from_string("memory://"))
    with pytest.raises(TypeError, match="abstract"):
        RateLimiter(MemoryStorage())
