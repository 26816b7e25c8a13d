"""What type checkers say of the face of limits."""

from typing import assert_type

from holdfast import ManualClock, RateLimiter
from holdfast.compat.limits import (
    RateLimitItem,
    RateLimitItemPerMinute,
    WindowStats,
    aio,
    parse,
    parse_many,
    storage,
    strategies,
)
from holdfast.compat.limits.errors import StorageError
from holdfast.compat.limits.storage import MemoryStorage, RedisStorage, storage_from_string


def items() -> None:
    item = parse("10/minute")
    assert_type(item, RateLimitItem)
    assert_type(parse_many("1/second;2/minute"), list[RateLimitItem])
    per_minute = RateLimitItemPerMinute(10, 2, namespace="API")
    assert_type(per_minute.amount, int)
    assert_type(per_minute.multiples, int)
    assert_type(per_minute.namespace, str)
    assert_type(per_minute.get_expiry(), int)
    assert_type(per_minute.key_for("user", 1, b"x"), str)
    assert_type(per_minute < item, bool)
    limiter: RateLimiter = per_minute.policy
    assert_type(limiter.name, str)


def threads() -> None:
    memory = MemoryStorage(clock=ManualClock(), most_keys=10)
    item = parse("10/minute")
    for limiter in (
        strategies.FixedWindowRateLimiter(memory),
        strategies.MovingWindowRateLimiter(memory),
        strategies.SlidingWindowCounterRateLimiter(memory),
    ):
        assert_type(limiter.hit(item, "user", cost=2), bool)
        assert_type(limiter.test(item, "user", cost=2), bool)
        assert_type(limiter.clear(item, "user"), None)
        stats = limiter.get_window_stats(item, "user")
        assert_type(stats, WindowStats)
        assert_type(stats.reset_time, float)
        assert_type(stats.remaining, int)
        reset, remaining = stats
        assert_type(reset, float)
        assert_type(remaining, int)
    assert_type(memory.incr("key", 60, amount=2), int)
    assert_type(memory.get_moving_window("key", 1, 60), tuple[float, int])
    assert_type(memory.get_sliding_window("key", 60), tuple[int, float, int, float])
    assert_type(memory.check(), bool)


def of_a_uri(uri: str) -> None:
    found = storage_from_string(uri, wrap_exceptions=True)
    assert_type(found, storage.Storage | aio.storage.Storage)
    strategies.FixedWindowRateLimiter(found)
    redis = RedisStorage("redis://localhost", key_prefix="API", socket_timeout=1)
    assert_type(redis.acquire_entry("key", 1, 60), bool)
    strategy = strategies.STRATEGIES["moving-window"](redis)
    assert_type(strategy.hit(parse("1/second")), bool)


async def tasks() -> None:
    limiter = aio.strategies.MovingWindowRateLimiter(aio.storage.MemoryStorage())
    item = parse("10/minute")
    assert_type(await limiter.hit(item, "user"), bool)
    assert_type(await limiter.test(item, "user"), bool)
    assert_type(await limiter.get_window_stats(item), WindowStats)
    assert_type(await limiter.storage.get("key"), int)


class Own(storage.Storage, storage.MovingWindowSupport):
    """A storage that a user writes."""

    STORAGE_SCHEME = ["own"]  # noqa: RUF012

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return amount

    def get(self, key: str) -> int:
        return 0

    def get_expiry(self, key: str) -> float:
        return 0.0

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        return None

    def clear(self, key: str) -> None:
        pass

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        return 0.0, 0


def own() -> None:
    try:
        strategies.MovingWindowRateLimiter(Own(wrap_exceptions=True)).hit(parse("1/day"))
    except StorageError as error:
        assert_type(error.storage_error, Exception)
