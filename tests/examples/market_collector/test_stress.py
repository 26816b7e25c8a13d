"""Threads use a client and a cache while an exchange and a Redis fail in turn."""

import os
import random
import threading
import time

import httpx
import pytest

import holdfast as hf
from examples.market_collector.cache import RedisCache
from examples.market_collector.client import ExchangeClient
from examples.market_collector.errors import ClosedError, ExchangeError
from examples.market_collector.market import symbols_of, ticker_at

pytestmark = pytest.mark.stress

FAULTS = [
    ("slow", {"seconds": 0.01}),
    ("busy", {"retry_after": 0.02}),
    ("error", {}),
    ("reset", {}),
    ("garbage", {}),
    ("hang", {}),
    ("drip", {"seconds": 0.1}),
]


def open_files():
    return len(os.listdir("/proc/self/fd"))


def run(threads):
    """Run functions in threads, and raise what one of them raises."""
    errors = []

    def guarded(fn):
        try:
            fn()
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=guarded, args=[fn]) for fn in threads]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(120)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_a_client_that_threads_share_survives_all_faults_and_leaves_nothing(
    preset, exchange, until, stress_scale
):
    hasty = preset.but(
        circuit_breakers={
            "exchange": {"operation_timeout": 0.1, "failure_threshold": 8, "timeout": 0.02}
        },
        timeouts={"api_call": 0.5},
    )
    rm = hf.ResilienceManager("collector", presets=hasty)
    files = open_files()
    client = ExchangeClient(rm, exchange.name, exchange.url, connections=4, attempt=60)
    ends = time.monotonic() + 0.8 * stress_scale
    right, wrong = [], set()
    expected = (ExchangeError, httpx.TransportError, hf.Rejected, hf.DeadlineExceededError)

    def ask():
        while time.monotonic() < ends:
            try:
                ticker = client.ticker("ETH/USDT")
            except ClosedError:
                raise
            except expected as error:
                wrong.add(type(error).__name__)
                time.sleep(0.001)
            else:
                assert ticker == ticker_at("kraken", "ETH/USDT", ticker.minute)
                right.append(ticker)

    def harm():
        chance = random.Random(7)
        while time.monotonic() < ends:
            kind, options = chance.choice(FAULTS)
            exchange.set_fault(kind, share=chance.choice([0.3, 1.0]), **options)
            time.sleep(0.03)
            if chance.random() < 0.5:
                exchange.clear()
                time.sleep(0.03)

    run([ask] * 6 + [harm])
    exchange.clear()
    assert right
    assert wrong
    assert client.connections <= 4
    time.sleep(client.rests_for)
    rm.keyed("exchange", "kraken").circuit_breaker.reset()
    calm = ExchangeClient(hf.ResilienceManager("calm", presets=preset), "kraken", exchange.url)
    assert calm.symbols() == symbols_of(3)
    for one in (client, calm):
        one.close()
        assert one.connections == 0
    assert open_files() <= files
    until(lambda: exchange.counts()["open"] == 1)


def test_a_cache_that_threads_share_never_fails_and_never_goes_back(preset, redis, stress_scale):
    hasty = preset.but(circuit_breakers={"redis": {"timeout": 0.01}})
    rm = hf.ResilienceManager("collector", presets=hasty)
    cache = RedisCache(rm, redis.url, attempt=60)
    ends = time.monotonic() + 0.8 * stress_scale
    asked = []

    def use(name):
        number = 0
        while time.monotonic() < ends:
            number += 1
            key = f"{name}:{number % 5}"
            cache.put(key, number)
            assert cache.get(key) in (number, None)  # None: Redis was killed in between
            asked.append(1)

    def harm():
        chance = random.Random(7)
        while time.monotonic() < ends:
            if chance.random() < 0.3:
                redis.wait_until_up(other_than=redis.kill())
            else:
                redis.fill()
                time.sleep(0.02)
                redis.clear()
            time.sleep(0.02)

    run([lambda name=name: use(name) for name in "abc"] + [harm])
    figures = cache.figures()
    assert figures.hits + figures.misses == len(asked)
    assert figures.hits > 0
    rm.circuit_breaker("redis").reset()
    cache.put("a", "at last")
    assert cache.get("a") == "at last"
    cache.close()
