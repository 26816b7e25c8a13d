"""What the face of limits does otherwise than limits 5.8."""

from __future__ import annotations

from holdfast.compat.differences import Difference

__all__ = ["DIFFERENCES"]

_MEMORY = ("MemoryStorage", "storage_from_string")
_STRATEGIES = (
    "FixedWindowRateLimiter",
    "MovingWindowRateLimiter",
    "SlidingWindowCounterRateLimiter",
)

DIFFERENCES = (
    Difference(
        (),
        "The hits of an item are counted by a rate limiter of the registry, named after its "
        "namespace, amount and time (`LIMITER/10/1/minute`), which metrics, events and "
        "`HOLDFAST_MODE` know; `item.policy` is this limiter.",
    ),
    Difference(
        _MEMORY,
        "A storage in memory follows the monotonic clock, so a changed system time moves no "
        "window, and a test that moves `time.time()` (freezegun, time-machine) uses "
        "`MemoryStorage(clock=holdfast.ManualClock())` instead.",
    ),
    Difference(
        _MEMORY,
        "A storage in memory starts no thread and no task: windows that have ended go while others "
        "are used, and there are no attributes `timer` and `locks`.",
    ),
    Difference(
        _MEMORY,
        "Hits that several threads make at the same time are counted exactly, where limits may "
        "lose some, and may fail with `threads can only be started once`.",
    ),
    Difference(
        _MEMORY,
        "A storage in memory keeps at most a million keys for each kind of window (`most_keys`); "
        "beyond it a key with few hits makes room, where limits grows without end.",
    ),
    Difference(
        ("MemoryStorage.storage", "MemoryStorage.expirations", "MemoryStorage.events"),
        "`storage`, `expirations` and `events` of a storage in memory are copies: changing them "
        "changes no limit.",
    ),
    Difference(
        ("SlidingWindowCounterRateLimiter",),
        "The counters of sliding windows in memory are not among those that `get()`, `clear()` and "
        "`storage` have; use `get_sliding_window()` and `clear_sliding_window()`.",
    ),
    Difference(
        _STRATEGIES,
        "A negative `cost` is a ValueError, where limits gives hits back that others have used; a "
        "`cost` with a fraction counts as the next integer.",
    ),
    Difference(
        ("MovingWindowRateLimiter",),
        "A hit counts in a moving window for exactly the time of the limit, so that a hit is "
        "admitted at `reset_time`, where limits refuses it at that moment.",
    ),
    Difference(
        (
            "RedisStorage",
            "RedisClusterStorage",
            "RedisSentinelStorage",
            "MemcachedStorage",
            "MongoDBStorage",
            "storage_from_string",
        ),
        "Storages of other processes are those of limits, which has to stay installed; what they "
        "raise is raised as the exceptions of the face.",
    ),
    Difference(
        ("ConfigurationError", "ConcurrentUpdateError", "StorageError"),
        "The exceptions are classes of the face: code that still imports those of limits does not "
        "catch them.",
    ),
)
