"""A supervisor, exchanges and a Redis that are real processes, for the tests of one module.

Tests of other folders look for threads that are left: no supervisor may run while they do.
"""

import time

import pytest

import holdfast as hf
from examples.market_collector import redis_server
from examples.market_collector.client import ExchangeClient
from examples.market_collector.exchange import start_exchange
from examples.market_collector.policies import adapted
from holdfast.manager import presets

#: Seconds of a minute of the market: long enough that a test sees the end of few.
MINUTE = 10.0
#: Seconds that a busy machine may take for what succeeds.
PATIENCE = 60.0


@pytest.fixture(scope="module")
def world():
    """A supervisor that runs."""
    with hf.Supervisor("world", max_restarts=None) as supervisor:
        yield supervisor


@pytest.fixture(scope="module")
def _exchange(world):
    return start_exchange(world, "kraken", symbols=3, minute=MINUTE)


@pytest.fixture
def exchange(_exchange):
    """An exchange with nothing wrong."""
    _exchange.clear()
    yield _exchange
    _exchange.thaw()
    _exchange.wait_until_up()


@pytest.fixture(scope="module")
def _redis(world):
    return redis_server.start_redis(world, memory=4 << 20)


@pytest.fixture
def redis(request, require_real):
    """A Redis that is empty and works."""
    if redis_server.installed() is None:
        require_real("there is no Redis (Debian: redis-server)")
    handle = request.getfixturevalue("_redis")
    with handle.connect() as connection:
        connection.flushdb()
    yield handle
    handle.thaw()
    handle.wait_until_up()


@pytest.fixture
def preset():
    """The policies of the collector, with short pauses and long timeouts."""
    quick = {"base_delay": 0.001, "max_delay": 0.002}
    return adapted(presets.get("collector"), attempt=PATIENCE).but(
        retry_policies={"api_call": quick, "redis_operation": quick},
        timeouts={"api_call": PATIENCE, "redis_operation": PATIENCE},
    )


@pytest.fixture
def rm(preset):
    """A manager with these policies."""
    with hf.ResilienceManager("collector", presets=preset) as manager:
        yield manager


@pytest.fixture
def client(rm, exchange):
    """A client of the exchange."""
    client = ExchangeClient(rm, exchange.name, exchange.url, attempt=PATIENCE)
    yield client
    client.close()


@pytest.fixture
def until():
    """What waits for a condition in another process or thread."""

    def wait(condition, seconds=30.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not after {seconds:g} s"
            time.sleep(0.005)

    return wait
