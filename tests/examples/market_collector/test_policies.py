"""What the policies of the collector have besides its numbers."""

import errno

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError

import holdfast as hf
from examples.market_collector.errors import (
    BusyError,
    ClosedError,
    GarbageError,
    RefusedError,
    UnavailableError,
)
from examples.market_collector.policies import adapted
from examples.market_collector.settings import read_settings
from holdfast.manager import presets

ATTEMPTS = 4


@pytest.fixture
def manager(clock):
    return hf.ResilienceManager("collector", presets=adapted(presets.get("collector")), clock=clock)


def outcome(call, breaker, error):
    """Return how often a call was made that fails, and how often its breaker has heard of it."""
    calls = []

    def fail():
        calls.append(1)
        raise error

    before = breaker().snapshot().failed
    with pytest.raises(type(error)):
        call(fail)
    return len(calls), breaker().snapshot().failed - before


@pytest.mark.parametrize(("error", "expected"), [
    (httpx.ConnectError("refused"), (ATTEMPTS, ATTEMPTS)),
    (httpx.ReadTimeout("hangs"), (ATTEMPTS, ATTEMPTS)),
    (UnavailableError("kraken", 503), (ATTEMPTS, ATTEMPTS)),
    (GarbageError("kraken", "no JSON"), (1, 1)),
    (BusyError("kraken", 0.5), (ATTEMPTS, 0)),
    (RefusedError("kraken", 404, "/ticker"), (1, 0)),
    (ClosedError("kraken"), (1, 0)),
    (OSError(errno.EMFILE, "no file descriptor"), (1, 0)),
    (TypeError("a defect"), (1, 0)),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_each_error_of_an_exchange_is_repeated_and_counted_as_it_should(
    manager, error, expected
):  # ER-04
    keyed = manager.keyed("exchange", "kraken")
    assert outcome(keyed.call, lambda: keyed.circuit_breaker, error) == expected


@pytest.mark.parametrize(("error", "expected"), [
    (RedisConnectionError("gone"), (ATTEMPTS, ATTEMPTS)),
    (OutOfMemoryError("OOM command not allowed"), (1, 0)),
    (ResponseError("WRONGTYPE"), (1, 0)),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_each_error_of_redis_is_repeated_and_counted_as_it_should(manager, error, expected):
    operation = manager.operation("redis_operation")
    assert outcome(operation.call, lambda: manager.circuit_breaker("redis"), error) == expected


def test_the_numbers_remain_those_of_the_preset_and_of_the_file():
    for preset in (presets.get("collector"), read_settings(environ={}).preset()):
        changed = adapted(preset)
        before, after = preset.circuit_breakers["exchange"], changed.circuit_breakers["exchange"]
        assert before == {word: after[word] for word in before}
        assert preset.timeouts == changed.timeouts
        for name, settings in preset.retry_policies.items():
            assert settings == {word: changed.retry_policies[name][word] for word in settings}


def test_an_attempt_that_hangs_leaves_time_for_another(manager):
    assert [finding.code for finding in manager.lint()] == ["policy_not_used"]  # health_check
