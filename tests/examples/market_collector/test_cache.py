"""Caches: in memory, and in a real Redis that is full, gone, frozen, and back."""

import threading

import pytest

import holdfast as hf
from examples.market_collector import cache as module
from examples.market_collector.cache import MOST_BYTES, MemoryCache, RedisCache, open_cache
from holdfast.categories import Category, classify
from holdfast.resources.performance import PerformanceMonitor
from holdfast.resources.report import CacheFigures


@pytest.fixture
def errors():
    return []


@pytest.fixture
def cache(rm, redis, errors):
    cache = RedisCache(rm, redis.url, attempt=60, failed=errors.append)
    yield cache
    cache.close()


# ---- in memory ----


def test_a_value_lives_for_its_time(clock):
    cache = MemoryCache(seconds=10, clock=clock)
    cache.put("BTC", {"price": 1.5})
    cache.put("ETH", 7, seconds=3)
    clock.advance(3)
    assert (cache.get("BTC"), cache.get("ETH")) == ({"price": 1.5}, None)
    clock.advance(7)
    assert cache.figures().size == 0
    assert cache.get("BTC") is None


def test_what_was_not_used_for_longest_is_evicted_and_all_is_counted(clock):  # PM-04
    cache = MemoryCache(2, clock=clock)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert cache.figures() == CacheFigures(hits=3, misses=1, evictions=1, size=2)


def test_nobody_can_change_a_value_that_is_kept():
    cache = MemoryCache()
    value = {"prices": [1]}
    cache.put("a", value)
    value["prices"].append(2)
    cache.get("a")["prices"].append(3)
    assert cache.get("a") == {"prices": [1]}


def test_threads_share_a_cache_whose_counts_balance():
    cache = MemoryCache(16)
    begins = threading.Barrier(4)

    def use(first):
        begins.wait(30)
        for number in range(500):
            key = str((first + number) % 32)
            cache.put(key, key)
            assert cache.get(key) in (key, None)  # another thread may have had it evicted

    threads = [threading.Thread(target=use, args=[8 * each]) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    figures = cache.figures()
    assert figures.hits + figures.misses == 2000
    assert figures.size == 16


@pytest.mark.parametrize(("arguments", "wrong"), [
    ((None,), "value: got None"),
    (("x" * MOST_BYTES,), "value: got '262146 bytes', allowed at most 262144"),
    ((1, 0), "seconds: got 0"),
    ((1, 86_401), "seconds: got 86401"),
])  # fmt: skip
def test_what_cannot_be_kept_is_refused(arguments, wrong):
    cache = MemoryCache()
    with pytest.raises(hf.ConfigError, match=wrong):
        cache.put("key", *arguments)
    with pytest.raises(TypeError):
        cache.put("key", {1, 2})
    assert cache.figures().size == 0


def test_settings_of_a_cache_are_checked(rm):
    for make in (lambda: MemoryCache(0), lambda: MemoryCache(seconds=0)):
        with pytest.raises(hf.ConfigError):
            make()
    for url in ("http://127.0.0.1", "", 7, None):
        with pytest.raises(hf.ConfigError, match="url: got"):
            RedisCache(rm, url)
    with pytest.raises(hf.UnprotectedError):
        RedisCache(hf.ResilienceManager("bare"), "redis://127.0.0.1:1/0")


# ---- in Redis ----


def test_values_are_in_redis_for_their_time(cache, redis, until):
    cache.put("BTC", {"price": 1.5}, seconds=30)
    assert cache.get("BTC") == {"price": 1.5}
    assert cache.get("ETH") is None
    with redis.connect() as connection:
        assert 0 < connection.pttl("market:BTC") <= 30_000
    assert cache.figures() == CacheFigures(hits=1, misses=1, evictions=0, size=1)
    cache.put("BTC", 2, seconds=0.02)
    until(lambda: cache.get("BTC") is None)


def test_a_full_redis_costs_nobody_the_newest_value(cache, redis, errors, rm):  # ER-04
    cache.put("BTC", "old")
    assert redis.fill() > 0
    cache.put("BTC", "new")
    assert cache.get("BTC") == "new"
    assert {classify(error) for error in errors} == {Category.RESOURCE}
    assert len(errors) == 1  # repeating it would free nothing
    with redis.connect() as connection:
        assert connection.get("market:BTC") is None  # nobody else reads the older one
    assert not cache.works
    redis.clear()
    cache.put("BTC", "newer")
    assert (cache.get("BTC"), cache.works) == ("newer", True)
    with redis.connect() as connection:
        assert connection.get("market:BTC") == b'"newer"'
    assert rm.circuit_breaker("redis").snapshot().failed == 0  # it has answered all the time


def test_what_redis_has_is_read_from_it_while_it_is_full(cache, redis):
    cache.put("BTC", "old")
    redis.fill()
    for number in range(20):
        cache.put(f"{number}", number)
    assert cache.get("BTC") == "old"
    assert [cache.get(f"{number}") for number in range(20)] == [*range(20)]
    redis.clear()


def test_while_redis_is_gone_memory_has_the_values_and_nobody_waits(
    cache, redis, errors, rm, caplog
):
    cache.put("BTC", 1)
    redis.stop()
    for number in range(10):
        cache.put("BTC", number)
        assert cache.get("BTC") == number
        assert cache.get(f"unknown {number}") is None
    assert rm.circuit_breaker("redis").snapshot().state is hf.State.OPEN
    tried = rm.circuit_breaker("redis").snapshot().admitted
    cache.put("ETH", 2)
    assert (cache.get("ETH"), rm.circuit_breaker("redis").snapshot().admitted) == (2, tried)
    assert isinstance(errors[-1], hf.CircuitOpenError)
    assert cache.figures().size >= 2  # of the memory, and the last that was known of Redis
    said = [record.message for record in caplog.records if record.name == module.log.name]
    assert [line.split(" fails")[0] for line in said] == [
        "writing the cache in Redis", "reading the cache in Redis",
    ]  # fmt: skip
    redis.start()
    rm.circuit_breaker("redis").reset()
    cache.put("BTC", "back")
    assert (cache.get("BTC"), cache.get("unknown"), cache.works) == ("back", None, True)


def test_a_frozen_redis_is_given_up_in_time(rm, redis, errors):
    cache = RedisCache(rm, redis.url, attempt=0.05, failed=errors.append)
    cache.put("BTC", 1)
    redis.freeze()
    cache.put("BTC", 2)
    assert cache.get("BTC") == 2
    assert classify(errors[0]) is Category.TRANSIENT
    redis.thaw()
    cache.close()
    again = RedisCache(rm, redis.url, attempt=60)
    again.put("BTC", 3)
    assert (again.get("BTC"), again.works) == (3, True)
    again.close()


def test_a_slow_redis_is_waited_for_as_long_as_an_attempt_may_take(cache, redis, rm, errors):
    cache.put("BTC", 1)
    with redis.connect() as connection:
        connection.client_pause(100)  # milliseconds
    assert (cache.get("BTC"), cache.works) == (1, True)
    hasty = RedisCache(rm, redis.url, attempt=0.05, failed=errors.append)
    with redis.connect() as connection:
        connection.client_pause(60_000, all=False)  # what writes
        hasty.put("BTC", 2)
        connection.client_unpause()
    assert (hasty.get("BTC"), hasty.works) == (2, False)
    assert {classify(error) for error in errors} == {Category.TRANSIENT}
    hasty.close()


def test_what_somebody_else_has_written_is_no_value(cache, redis):
    with redis.connect() as connection:
        for key, text in (("a", b"\xff"), ("b", b"{"), ("c", b"null"), ("d", b"[" * 10_000)):
            connection.set(f"market:{key}", text)
        connection.rpush("market:list", "x")
    assert [cache.get(key) for key in ("a", "b", "c", "d", "list")] == [None] * 5
    assert cache.figures().misses == 5


def test_evictions_of_redis_are_counted_over_its_restart(cache, redis):  # PM-04
    with redis.connect() as connection:
        connection.config_set("maxmemory-policy", "allkeys-lru")
        for number in range(100):
            connection.set(f"filler:{number}", b"x" * (64 << 10))
        evicted = connection.info("stats")["evicted_keys"]
        assert evicted > 0
    assert cache.figures().evictions == evicted
    redis.wait_until_up(other_than=redis.kill())
    assert cache.figures().evictions == evicted
    cache.put("BTC", 1)
    assert cache.figures() == CacheFigures(hits=0, misses=0, evictions=evicted, size=1)


def test_a_monitor_reads_the_figures_of_a_cache(cache):  # PM-04
    monitor = PerformanceMonitor("market")
    monitor.watch_cache("tickers", cache.figures)
    cache.put("BTC", 1)
    for key in ("BTC", "BTC", "BTC", "ETH"):
        cache.get(key)
    seen = monitor.report().caches["tickers"]
    assert (seen.hits, seen.misses, seen.hit_rate) == (3, 1, 0.75)


def test_without_a_redis_there_is_a_cache_in_memory(rm):
    cache = open_cache(rm, None)
    assert isinstance(cache, MemoryCache)
    cache.put("BTC", 1)
    assert cache.get("BTC") == 1
    cache.close()
    assert cache.get("BTC") is None


def test_with_one_the_cache_is_there(rm, redis):
    cache = open_cache(rm, redis.url)
    assert isinstance(cache, RedisCache)
    cache.close()
    cache.close()
