"""The face of pybreaker: storages in memory, of the user, and in a real Redis. RT-18."""

import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest

import holdfast as hf
from holdfast import testing
from holdfast.compat.pybreaker import (
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerOpenError,
    CircuitBreakerStorage,
    CircuitMemoryStorage,
    CircuitRedisStorage,
)
from tests.compat.pybreaker.parts import Changes, DictStorage, DownError, fail, fails, quietly
from tests.ports import held_port


@pytest.fixture
def clock():
    """The time of all breakers of a test."""
    with testing.use_clock() as manual:
        yield manual


# ---- memory ----


@pytest.mark.parametrize("state", ["closed", "open", "half-open"])
@pytest.mark.parametrize("name", [None, "named"])
def test_a_breaker_begins_where_its_storage_is_and_tells_nobody(state, name):
    storage, heard = CircuitMemoryStorage(state), Changes()
    storage.increment_counter()
    storage.opened_at = opened_at = datetime.now(UTC)
    breaker = CircuitBreaker(state_storage=storage, listeners=[heard], name=name)
    assert breaker.policy.state.value == state
    assert (breaker.state.name, breaker.current_state, storage.state) == (state,) * 3
    assert (breaker.fail_counter, storage.counter, storage.opened_at) == (1, 1, opened_at)
    assert heard.heard == []


def test_failures_that_a_storage_has_count(clock):
    storage = CircuitMemoryStorage("closed")
    for _ in range(2):
        storage.increment_counter()
    breaker = CircuitBreaker(fail_max=3, state_storage=storage)
    fails(lambda: breaker.call(fail), error=CircuitBreakerError)
    assert (storage.counter, storage.state) == (3, "open")
    assert storage.opened_at is not None


def test_an_opening_that_a_storage_has_ends_in_time(clock):
    storage = CircuitMemoryStorage("open")
    storage.opened_at = datetime.now(UTC) - timedelta(seconds=50)
    breaker = CircuitBreaker(state_storage=storage)
    assert 9 < breaker.policy.retry_after <= 10
    clock.advance(10)
    assert breaker.call(int) == 0
    assert CircuitBreaker(state_storage=CircuitMemoryStorage("open")).call(int) == 0  # no time


def test_an_opening_of_no_known_time_is_over_whatever_the_open_time():
    breaker = CircuitBreaker(state_storage=CircuitMemoryStorage("open"), name="b")
    breaker.reset_timeout = 1_000
    assert breaker.call(int) == 0


@pytest.mark.parametrize(
    ("opened_at", "is_over"), [(datetime.min, True), (datetime.max, False)], ids=["min", "max"]
)
def test_an_opening_may_begin_at_any_time_that_there_is(opened_at, is_over):
    breaker = CircuitBreaker(name="b")
    breaker.open()
    breaker._state_storage.opened_at = opened_at.replace(tzinfo=UTC)
    assert (breaker.policy.retry_after == 0) is is_over


def test_a_storage_can_be_written_to_while_it_is_in_use(clock):
    storage, heard = CircuitMemoryStorage("closed"), Changes()
    breaker = CircuitBreaker(fail_max=3, state_storage=storage, listeners=[heard], name="b")
    storage.increment_counter()
    storage.increment_counter()
    assert breaker.fail_counter == 2
    storage.reset_counter()
    quietly(lambda: breaker.call(fail), times=2)
    assert breaker.current_state == "closed"
    storage.state = "half-open"
    storage.increment_success_counter()
    assert breaker.success_counter == 1
    storage.reset_success_counter()
    storage.state = "open"
    storage.increment_counter()
    storage.opened_at = datetime.now(UTC) - timedelta(seconds=59)
    assert 0 < breaker.policy.retry_after <= 1
    assert heard.heard == ["closed->half-open", "half-open->open"]


def test_breakers_that_share_a_storage_share_a_circuit():
    storage = CircuitMemoryStorage("closed")
    one = CircuitBreaker(fail_max=3, state_storage=storage, name="one")
    quietly(lambda: one.call(fail))
    other = CircuitBreaker(fail_max=2, state_storage=storage, name="other")
    assert other.fail_counter == 1
    fails(lambda: other.call(fail), error=CircuitBreakerError)
    assert (one.current_state, other.current_state, storage.counter) == ("open", "open", 2)
    for breaker in (one, other):
        fails(lambda breaker=breaker: breaker.call(int), error=CircuitBreakerOpenError)
    one.close()
    assert other.call(int) == 0
    assert other.policy.state is hf.State.CLOSED


def test_a_storage_outlives_its_breaker():
    storage = CircuitMemoryStorage("closed")
    for _ in range(3):
        breaker = CircuitBreaker(fail_max=3, state_storage=storage, name="short-lived")
        quietly(lambda breaker=breaker: breaker.call(fail))
        del breaker
    assert (storage.counter, storage.state) == (3, "open")


# ---- the user's own ----


def test_a_storage_of_the_users_decides_and_the_policy_follows_and_counts():
    storage = DictStorage()
    breaker = CircuitBreaker(fail_max=2, state_storage=storage, name="own")
    quietly(lambda: breaker.call(fail), times=2)
    assert (storage.kept.state, storage.kept.counter) == ("open", 2)
    assert breaker.policy.state is hf.State.OPEN
    with pytest.raises(CircuitBreakerOpenError) as raised:
        breaker.call(int)
    assert 59 < raised.value.retry_after <= 60.1
    snapshot = breaker.policy.snapshot()
    assert (snapshot.failed, snapshot.rejected) == (2, 1)
    storage.kept.opened_at -= timedelta(seconds=60)
    assert breaker.call(int) == 0
    assert (storage.kept.state, storage.kept.counter) == ("closed", 0)
    assert breaker.policy.state is hf.State.CLOSED


def test_what_another_process_wrote_is_seen_at_the_next_call():
    storage, heard = DictStorage(), Changes()
    breaker = CircuitBreaker(state_storage=storage, listeners=[heard])
    storage.kept.state, storage.kept.opened_at = "open", datetime.now(UTC)
    fails(lambda: breaker.call(int), error=CircuitBreakerOpenError)
    assert breaker.policy.state is hf.State.OPEN
    storage.kept.state = "closed"
    assert breaker.call(int) == 0
    assert breaker.state.name == "closed"
    assert heard.heard == ["closed->open", "open->closed"]


@pytest.mark.parametrize("zone", [UTC, None])
def test_an_opening_with_or_without_a_zone_is_one_in_utc(zone):
    opened_at = datetime.now(UTC).replace(tzinfo=zone)
    storage = DictStorage(state="open", opened_at=opened_at)
    breaker = CircuitBreaker(state_storage=storage, reset_timeout=100)
    fails(lambda: breaker.call(int), error=CircuitBreakerOpenError)
    breaker.reset_timeout = 0
    assert breaker.call(int) == 0


def test_several_trial_calls_close_a_circuit_of_a_users_storage():
    storage = DictStorage(state="half-open")
    breaker = CircuitBreaker(state_storage=storage, success_threshold=2)
    breaker.call(int)
    assert (breaker.success_counter, storage.kept.state) == (1, "half-open")
    breaker.call(int)
    assert (breaker.success_counter, storage.kept.state) == (0, "closed")


def test_an_order_to_the_policy_reaches_the_storage():
    storage, heard = DictStorage(), Changes()
    breaker = CircuitBreaker(state_storage=storage, listeners=[heard])
    breaker.policy.trip()
    assert storage.kept.state == "open"
    fails(lambda: breaker.call(int), error=CircuitBreakerOpenError)
    breaker.policy.reset()
    assert breaker.call(int) == 0
    breaker.policy.force_open()
    fails(lambda: breaker.call(int), error=CircuitBreakerError)
    assert heard.heard == ["closed->open", "open->closed"]


def test_a_late_failure_of_a_users_storage_decides_nothing():  # trap 2
    storage = DictStorage()
    breaker = CircuitBreaker(fail_max=1, state_storage=storage)

    def nested():
        quietly(lambda: breaker.call(fail))
        breaker.close()
        raise DownError("late")

    with pytest.raises(DownError, match="late"):
        breaker.call(nested)
    assert (storage.kept.state, storage.kept.counter) == ("closed", 0)


def test_a_generator_that_a_plain_function_gives_counts_when_it_ends():
    storage = DictStorage(counter=1)
    breaker = CircuitBreaker(state_storage=storage)

    def stream():
        yield 1
        fail()

    given = breaker.call(lambda: stream())
    assert next(given) == 1
    assert storage.kept.counter == 1
    fails(lambda: next(given))
    assert storage.kept.counter == 2


def test_a_state_that_there_is_not_is_refused():
    storage = CircuitMemoryStorage("ajar")
    with pytest.raises(ValueError, match="Unknown state 'ajar', valid states: closed, open"):
        CircuitBreaker(state_storage=storage)
    storage = CircuitMemoryStorage("closed")
    CircuitBreaker(state_storage=storage, name="b").call(int)
    with pytest.raises(ValueError, match="Unknown state 'ajar'"):
        storage.state = "ajar"


def test_a_storage_without_a_state_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="CircuitBreakerStorage does not define 'state'"):
        CircuitBreaker(state_storage=CircuitBreakerStorage("none"))


# ---- Redis ----


@pytest.fixture(scope="module")
def server():
    if shutil.which("redis-server") is None:
        yield None
        return
    with held_port() as port:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        yield port, process
        process.kill()
        process.wait(10)


@pytest.fixture
def redis(server, require_real):
    """A client of a real server that has nothing."""
    library = pytest.importorskip("redis")
    if server is None:
        require_real("redis-server is not installed")
    client = library.Redis(port=server[0])
    for _ in range(200):
        try:
            client.flushall()
            break
        except library.ConnectionError:
            time.sleep(0.02)
    yield client
    client.close()


@pytest.mark.parametrize("cluster", [False, True])
def test_the_keys_in_redis_are_those_of_pybreaker(redis, cluster):
    storage = CircuitRedisStorage("closed", redis, namespace="app", cluster_mode=cluster)
    breaker = CircuitBreaker(fail_max=2, state_storage=storage)
    before = int(time.time())
    quietly(lambda: breaker.call(fail), times=2)
    kept = {key.decode(): redis.get(key).decode() for key in redis.keys()}  # noqa: SIM118
    opened_at = int(kept.pop("app:pybreaker:opened_at"))
    assert before <= opened_at <= time.time()
    assert kept == {
        "app:pybreaker:fail_counter": "2",
        "app:pybreaker:success_counter": "0",
        "app:pybreaker:state": "open",
    }
    storage.opened_at = datetime.fromtimestamp(opened_at - 5, UTC)  # never back in time
    assert int(storage.opened_at.timestamp()) == opened_at


@pytest.mark.parametrize("decodes", [False, True])
def test_breakers_of_several_processes_share_a_circuit_in_redis(redis, server, decodes):
    import redis as library

    client = library.Redis(port=server[0], decode_responses=decodes)
    one, other = (
        CircuitBreaker(2, 100, 2, state_storage=CircuitRedisStorage("closed", client))
        for _ in range(2)
    )
    fails(lambda: one.call(fail))
    fails(lambda: other.call(fail), error=CircuitBreakerError)
    for breaker in (one, other):
        fails(lambda breaker=breaker: breaker.call(int), error=CircuitBreakerOpenError)
        assert breaker.policy.state is hf.State.OPEN
    one.reset_timeout = other.reset_timeout = 0
    one.call(int)
    assert (other.current_state, other.success_counter) == ("half-open", 1)
    other.call(int)
    assert (one.current_state, one.fail_counter) == ("closed", 0)
    client.close()


def test_without_redis_the_fallback_state_holds_and_errors_are_logged(redis, caplog):
    import redis as library

    storage = CircuitRedisStorage("closed", redis, fallback_circuit_state="open")
    breaker = CircuitBreaker(state_storage=storage)
    assert breaker.call(int) == 0

    def gone(*_):
        raise library.ConnectionError("gone")

    for command in ("get", "set", "incr", "setnx", "transaction"):
        setattr(redis, command, gone)
    assert (breaker.current_state, breaker.fail_counter, breaker.success_counter) == ("open", 0, 0)
    assert storage.opened_at is None
    storage.increment_counter()
    storage.increment_success_counter()
    storage.reset_counter()
    storage.state = "closed"
    storage.opened_at = datetime.now(UTC)
    assert {record.name for record in caplog.records} == {"pybreaker"}
    assert "gone" in str(caplog.records[0].exc_info[1])


def test_a_state_that_redis_has_lost_begins_with_the_fallback(redis):
    storage = CircuitRedisStorage("closed", redis, fallback_circuit_state="half-open")
    redis.flushall()
    assert storage.state == "half-open"
    assert redis.get("pybreaker:state") == b"half-open"
    assert (storage.counter, storage.success_counter, storage.opened_at) == (0, 0, None)


def test_redis_multidb_works_with_these_breakers(monkeypatch):
    import importlib
    import sys

    from holdfast.compat import pybreaker

    pytest.importorskip("redis")
    monkeypatch.setitem(sys.modules, "pybreaker", pybreaker)
    monkeypatch.delitem(sys.modules, "redis.multidb.circuit", raising=False)
    try:
        circuit = importlib.import_module("redis.multidb.circuit")
    except ImportError:
        pytest.skip("this redis has no multidb")
    told = []
    adapter = circuit.PBCircuitBreakerAdapter(CircuitBreaker(reset_timeout=5))
    adapter.database = "db"
    adapter.on_state_changed(lambda cb, old, new: told.append((cb.database, old, new)))
    states = circuit.State
    adapter.state = states.OPEN
    assert adapter.state is states.OPEN
    adapter.grace_period = 7
    assert adapter.grace_period == 7
    adapter.state = states.HALF_OPEN
    adapter.state = states.CLOSED
    assert told == [
        ("db", states.CLOSED, states.OPEN),
        ("db", states.OPEN, states.HALF_OPEN),
        ("db", states.HALF_OPEN, states.CLOSED),
    ]
    monkeypatch.delitem(sys.modules, "redis.multidb.circuit", raising=False)
