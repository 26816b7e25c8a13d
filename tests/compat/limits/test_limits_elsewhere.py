"""Storages of other processes: those of limits itself, used by the strategies of the face."""

import asyncio
import importlib.util
import pickle
import shutil
import socket
import subprocess
import sys
import time

import pytest

import holdfast.compat.limits as face
from holdfast.compat.limits import aio, parse, storage, strategies
from holdfast.compat.limits.errors import ConfigurationError, StorageError
from tests.apart import run_apart
from tests.ports import held_port


@pytest.fixture
def original():
    return pytest.importorskip("limits", reason="limits is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a real Redis, or None."""
    if shutil.which("redis-server") is None or importlib.util.find_spec("redis") is None:
        yield None
        return
    with held_port() as port:
        folder = tmp_path_factory.mktemp("redis")
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
        process = subprocess.Popen(
            [*command, "--save", "", "--dir", str(folder)], stdout=subprocess.DEVNULL
        )
        try:
            for _ in range(1000):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.01)
            yield f"redis://127.0.0.1:{port}/1"
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def redis_uri(original, server, require_real):
    if server is None:
        require_real("redis-server or redis-py is not installed")
    return server


# ---- RT-18: without limits ----

ABSENT = """
import sys
sys.modules["limits"] = None  # as if it were not installed
from holdfast.compat.limits import storage, strategies
from holdfast.compat.limits.aio import storage as aio_storage
from holdfast.compat.limits.errors import ConfigurationError

def refused(make):
    try:
        make()
    except ConfigurationError as error:
        return str(error)

print(refused(lambda: storage.storage_from_string("redis://localhost")))
print(refused(lambda: storage.storage_from_string("async+mongodb://localhost")))
print(refused(lambda: storage.storage_from_string("nowhere://localhost")))
print(refused(lambda: storage.RedisStorage("redis://localhost")))
print(refused(lambda: aio_storage.MemcachedStorage("async+memcached://localhost:1")))
from holdfast.compat.limits.storage.redis import RedisStorage
print(isinstance(storage.MemoryStorage(), RedisStorage), RedisStorage.__name__)
from holdfast.compat.limits.storage import *
print(MongoDBStorage.__name__)
"""


def test_without_limits_its_storages_say_what_to_install():
    assert run_apart(ABSENT).splitlines() == [
        "the storage redis:// needs limits: pip install limits",
        "the storage async+mongodb:// needs limits: pip install limits",
        "unknown storage scheme : nowhere://localhost",
        "RedisStorage needs limits: pip install limits",
        "MemcachedStorage needs limits: pip install limits",
        "False RedisStorage",
        "MongoDBStorage",
    ]


def test_where_limits_stands_for_the_face_its_storages_are_not_there():
    source = ABSENT.replace(
        'sys.modules["limits"] = None',
        "import holdfast.compat.limits; sys.modules['limits'] = holdfast.compat.limits; "
        "sys.modules['limits.storage'] = holdfast.compat.limits.storage",
    )
    assert "the storage redis:// needs limits" in run_apart(source)


def test_the_face_does_not_import_limits_before_it_is_needed():
    assert run_apart(
        "import sys, holdfast.compat.limits as face; face.storage.MemoryStorage();"
        "print('limits' in sys.modules, 'packaging' in sys.modules)"
    ).split() == ["False", "False"]


@pytest.mark.parametrize("module", [storage, aio.storage])
def test_a_name_that_neither_has_is_no_attribute(module):
    with pytest.raises(AttributeError, match="has no attribute 'PostgresStorage'"):
        _ = module.PostgresStorage


# ---- with limits ----


def test_classes_of_limits_are_found_under_the_names_of_the_face(original):
    from holdfast.compat.limits.storage.redis import RedisStorage

    assert RedisStorage is storage.RedisStorage
    assert issubclass(RedisStorage, original.storage.RedisStorage)
    assert issubclass(RedisStorage, storage.Storage)
    assert issubclass(RedisStorage, storage.MovingWindowSupport)
    assert not issubclass(storage.MemcachedStorage, storage.MovingWindowSupport)
    assert issubclass(aio.storage.RedisStorage, aio.storage.Storage)
    assert not issubclass(aio.storage.RedisStorage, storage.Storage)


def test_what_a_storage_of_limits_refuses_is_an_error_of_the_face(original):
    with pytest.raises(ConfigurationError):
        storage.storage_from_string("redis+sentinel://localhost:26379")


def test_a_storage_and_an_item_that_are_not_migrated_yet_work_with_the_face(original):
    theirs = original.storage.MemoryStorage()
    item = original.RateLimitItemPerMinute(1)
    for strategy in strategies.STRATEGIES.values():
        limiter = strategy(theirs)
        assert [limiter.hit(item, strategy.__name__) for _ in range(2)] == [True, False]
        assert not limiter.hit(face.RateLimitItemPerMinute(1), strategy.__name__)
    ours = strategies.FixedWindowRateLimiter(storage.MemoryStorage())
    assert [ours.hit(item, "u"), ours.hit(parse("1/minute"), "u")] == [True, False]


async def test_storages_of_the_face_work_with_strategies_that_are_not_migrated_yet(original):
    for strategy in original.strategies.STRATEGIES.values():
        limiter = strategy(storage.MemoryStorage())
        assert [limiter.hit(parse("1/year"), "u") for _ in range(2)] == [True, False]
    for strategy in original.aio.strategies.STRATEGIES.values():
        limiter = strategy(aio.storage.MemoryStorage())
        assert [await limiter.hit(parse("1/year"), "u") for _ in range(2)] == [True, False]
    with pytest.raises(AssertionError):
        original.strategies.FixedWindowRateLimiter(aio.storage.MemoryStorage())


def test_items_of_the_face_work_with_strategies_that_are_not_migrated_yet(original):
    limiter = original.strategies.FixedWindowRateLimiter(original.storage.MemoryStorage())
    assert [limiter.hit(parse("1/minute"), "u") for _ in range(2)] == [True, False]


@pytest.mark.parametrize("strategy", strategies.STRATEGIES.values())
def test_hits_are_counted_in_redis(strategy, redis_uri):
    store = storage.storage_from_string(redis_uri, key_prefix="face")
    assert isinstance(store, storage.RedisStorage)
    assert store.check()
    store.reset()
    item = face.RateLimitItemPerMinute(2, namespace=f"redis {strategy.__name__}")
    limiter, other = strategy(store), strategy(storage.RedisStorage(redis_uri, key_prefix="face"))
    assert [limiter.hit(item, "u"), other.hit(item, "u"), limiter.hit(item, "u")] == [
        *(True, True, False)
    ]
    assert not other.test(item, "u")
    assert limiter.get_window_stats(item, "u").remaining == 0
    assert limiter.get_window_stats(item, "u").reset_time > time.time() - 1
    shown = item.policy.snapshot()
    assert (shown.allowed, shown.rejected) == (2, 1)
    limiter.clear(item, "u")
    assert other.hit(item, "u")


def test_hits_of_tasks_are_counted_in_redis(redis_uri):
    async def run():
        store = storage.storage_from_string(f"async+{redis_uri}", implementation="redispy")
        assert isinstance(store, aio.storage.RedisStorage)
        limiter, item = aio.strategies.MovingWindowRateLimiter(store), parse("2/minute")
        await store.reset()
        said = [await limiter.hit(item, "task") for _ in range(3)]
        await store.bridge.storage.aclose()
        return said

    assert asyncio.run(run()) == [True, True, False]


def test_a_redis_that_is_gone_is_a_storage_error_of_the_face(original, require_real):
    if importlib.util.find_spec("redis") is None:
        require_real("redis-py is not installed")
    with held_port() as port:
        store = storage.storage_from_string(
            f"redis://127.0.0.1:{port}", wrap_exceptions=True, socket_timeout=1
        )
        limiter = strategies.FixedWindowRateLimiter(store)
        with pytest.raises(StorageError) as raised:
            limiter.hit(parse("1/minute"), "u")
        redis = sys.modules["redis"]
        assert isinstance(raised.value.storage_error, redis.RedisError)
        with pytest.raises(redis.RedisError):
            storage.RedisStorage(f"redis://127.0.0.1:{port}").get("k")


def test_a_class_of_limits_is_pickled_by_its_name(original):
    again = pickle.loads(pickle.dumps(storage.RedisStorage))
    assert again is storage.RedisStorage
