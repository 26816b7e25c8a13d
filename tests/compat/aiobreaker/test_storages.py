"""The state of a circuit of aiobreaker where breakers share it: in memory, in Redis."""

import shutil
import threading
from datetime import UTC, datetime, timedelta

import pytest

import holdfast as hf
from holdfast.compat.aiobreaker import CircuitBreaker, CircuitBreakerError, CircuitBreakerState
from holdfast.compat.aiobreaker.storage import CircuitMemoryStorage, CircuitRedisStorage
from tests.compat.aiobreaker.storages import DictStorage, OutageError, redis_server

CLOSED, OPEN, HALF_OPEN = (
    CircuitBreakerState.CLOSED,
    CircuitBreakerState.OPEN,
    CircuitBreakerState.HALF_OPEN,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Redis; None where there is none."""
    if shutil.which("redis-server") is None:
        yield None
        return
    pytest.importorskip("redis")
    with redis_server(tmp_path_factory.mktemp("redis")) as client:
        yield client


@pytest.fixture
def redis(server, require_real):
    """An empty Redis."""
    if server is None:
        require_real("there is no Redis (Debian: redis-server)")
    server.flushall()
    return server


def fail():
    raise OutageError


def fails(breaker, error=OutageError):
    with pytest.raises(error):
        breaker.call(fail)


# ---- memory ----


def test_breakers_that_share_a_memory_share_their_state():
    storage = CircuitMemoryStorage(CLOSED)
    one = CircuitBreaker(fail_max=3, state_storage=storage, name="one")
    fails(one)
    other = CircuitBreaker(fail_max=3, state_storage=storage, name="other")
    assert other.fail_counter == 1
    fails(other)
    fails(one, CircuitBreakerError)
    assert (one.current_state, other.current_state) == (OPEN, OPEN)
    with pytest.raises(CircuitBreakerError):
        other.call(len, "")
    assert other.policy.snapshot().rejected == 1
    other.close()
    assert one.call(len, "") == 0


def test_what_is_written_into_a_memory_is_done_to_its_breaker():
    storage = CircuitMemoryStorage(CLOSED)
    breaker = CircuitBreaker(fail_max=3, state_storage=storage, name="payments")
    storage.increment_counter()
    storage.increment_counter()
    assert (breaker.fail_counter, breaker.policy.snapshot().consecutive_failures) == (2, 2)
    storage.reset_counter()
    assert breaker.fail_counter == 0
    storage.state = OPEN
    assert breaker.policy.state is hf.State.OPEN
    storage.opened_at = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=59)
    assert breaker.policy.retry_after <= 1
    storage.state = HALF_OPEN
    assert breaker.state.state is HALF_OPEN


# ---- any other storage ----


def test_a_change_that_another_process_has_made_is_seen_and_told():
    kept = {}
    breaker = CircuitBreaker(state_storage=DictStorage(kept), name="payments")
    told = []

    class Told:
        def state_change(self, breaker, old, new):
            told.append((old.state, new.state))

    breaker.add_listener(Told())
    kept.update(state="OPEN", opened_at=datetime.now(UTC).replace(tzinfo=None))
    with pytest.raises(CircuitBreakerError):
        breaker.call(len, "")
    assert 59 < breaker.policy.retry_after <= 60
    kept["state"] = "CLOSED"
    assert breaker.call(len, "") == 0
    assert told == [(CLOSED, OPEN), (OPEN, CLOSED)]


def test_a_circuit_that_is_open_since_nobody_knows_when_admits_a_trial_call():
    breaker = CircuitBreaker(state_storage=DictStorage({"state": "OPEN"}), name="payments")
    assert breaker.call(len, "") == 0
    assert breaker.current_state is CLOSED


# ---- Redis ----


def test_breakers_of_two_clients_share_a_circuit_in_redis(redis):
    one, other = (
        CircuitBreaker(
            fail_max=2,
            timeout_duration=timedelta(seconds=30),
            state_storage=CircuitRedisStorage(CLOSED, redis, namespace="payments"),
            name=name,
        )
        for name in ("one", "other")
    )
    fails(one)
    fails(other, CircuitBreakerError)
    assert one.current_state is OPEN
    with pytest.raises(CircuitBreakerError):
        one.call(len, "")
    assert redis.get("payments:aiobreaker:state") == b"OPEN"
    assert redis.get("payments:aiobreaker:fail_counter") == b"2"
    past = datetime.now(UTC) - timedelta(seconds=31)
    redis.set("payments:aiobreaker:opened_at", int(past.timestamp()))
    assert one.call(len, "") == 0
    assert (other.current_state, other.fail_counter) == (CLOSED, 0)


def test_the_time_of_an_opening_in_redis_only_goes_forward(redis):
    storage = CircuitRedisStorage(CLOSED, redis)
    assert storage.opened_at is None
    moment = datetime(2030, 1, 1, 12)
    storage.opened_at = moment
    storage.opened_at = moment - timedelta(hours=1)
    assert storage.opened_at == moment
    storage.opened_at = (moment + timedelta(hours=1)).replace(tzinfo=UTC)
    assert storage.opened_at == moment + timedelta(hours=1)


def test_a_state_that_redis_has_lost_begins_with_the_fallback(redis):
    storage = CircuitRedisStorage(CLOSED, redis, fallback_circuit_state=OPEN)
    redis.flushall()
    assert storage.state is OPEN
    assert redis.get("aiobreaker:state") == b"OPEN"
    assert storage.counter == 0


def test_failures_of_many_threads_are_all_counted_in_redis(redis):
    breaker = CircuitBreaker(
        fail_max=10_000, state_storage=CircuitRedisStorage(CLOSED, redis), name="payments"
    )

    def many():
        for _ in range(10):
            fails(breaker)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.fail_counter == 40


def test_while_redis_fails_the_fallback_holds_and_each_error_is_logged(tmp_path, caplog, server):
    if server is None:
        pytest.skip("there is no Redis (Debian: redis-server)")
    with redis_server(tmp_path) as client:
        storage = CircuitRedisStorage(CLOSED, client, fallback_circuit_state=CLOSED)
        breaker = CircuitBreaker(fail_max=1, state_storage=storage, name="payments")
        storage.state = OPEN
        client.shutdown(nosave=True)
        assert breaker.call(len, "") == 0
        fails(breaker)
        breaker.open()
        assert (storage.counter, storage.opened_at) == (0, None)
    assert {record.name for record in caplog.records if "Redis" in record.getMessage()} == {
        "aiobreaker.storage.redis"
    }


def test_without_the_library_a_storage_in_redis_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("holdfast.compat.aiobreaker.storage.redis.HAS_REDIS_SUPPORT", False)
    with pytest.raises(ImportError, match="if redis is installed"):
        CircuitRedisStorage(CLOSED, None)
