"""The settings of a market-data collector: its file, its variables, and the preset they make."""

import os
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

import holdfast as hf
from examples.market_collector.settings import FILE, read_settings
from holdfast.agent.config import CollectorSettings, load
from holdfast.manager import presets

EVERY_KEY = """\
error_recovery:
  circuit_breaker:
    failure_threshold: 7
    success_threshold: 2
    timeout: 45s
    max_requests: 4
    reset_timeout: 2m
  retry:
    max_retries: 6
    base_delay: 250ms
    max_delay: 8
    backoff_factor: 1.5
    jitter: false
  timeouts:
    api_call: 11s
    database_query: 6.5
    redis_operation: 1500ms
    concurrent_op: 1m
"""
VARIABLES = {
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "9",  # EV-01
    "CIRCUIT_BREAKER_SUCCESS_THRESHOLD": "8",  # EV-02
    "CIRCUIT_BREAKER_TIMEOUT": "70s",  # EV-03
    "RETRY_MAX_ATTEMPTS": "4",  # EV-04
    "RETRY_BASE_DELAY": "300ms",  # EV-05
    "RETRY_MAX_DELAY": "9s",  # EV-06
    "API_CALL_TIMEOUT": "12s",  # EV-07
    "DATABASE_QUERY_TIMEOUT": "7s",  # EV-08
    "REDIS_OPERATION_TIMEOUT": "3s",  # EV-09
}


def from_text(tmp_path: Path, text: str, **environ: str) -> CollectorSettings:
    file = tmp_path / "error_recovery.yaml"
    file.write_text(text)
    return load(CollectorSettings, file, environ=environ)


def test_every_key_of_a_file_is_read(tmp_path):  # YK-01..15, D-C-11
    assert from_text(tmp_path, EVERY_KEY).model_dump(exclude_none=True) == {
        "error_recovery": {
            "circuit_breaker": {
                "failure_threshold": 7,  # YK-01
                "success_threshold": 2,  # YK-02
                "timeout": 45.0,  # YK-03
                "max_requests": 4,  # YK-04
                "reset_timeout": 120.0,  # YK-05
            },
            "retry": {
                "max_retries": 6,  # YK-06
                "base_delay": 0.25,  # YK-07
                "max_delay": 8.0,  # YK-08
                "backoff_factor": 1.5,  # YK-09
                "jitter": False,  # YK-10
            },
            "timeouts": {
                "api_call": 11.0,  # YK-11
                "database_query": 6.5,  # YK-12
                "redis_operation": 1.5,  # YK-13
                "concurrent_op": 60.0,  # YK-14, YK-15
            },
        }
    }


def test_every_variable_is_read(tmp_path):  # EV-01..09, D-C-11
    settings = load(CollectorSettings, environ=VARIABLES)
    assert settings.model_dump(exclude_none=True) == {
        "error_recovery": {
            "circuit_breaker": {"failure_threshold": 9, "success_threshold": 8, "timeout": 70.0},
            "retry": {"max_attempts": 4, "base_delay": 0.3, "max_delay": 9.0},
            "timeouts": {"api_call": 12.0, "database_query": 7.0, "redis_operation": 3.0},
        }
    }


def test_a_variable_of_the_process_is_read(monkeypatch):
    monkeypatch.setenv("API_CALL_TIMEOUT", "1234ms")
    assert load(CollectorSettings).error_recovery.timeouts.api_call == 1.234


def test_a_variable_comes_before_the_file_and_the_file_before_the_preset(tmp_path):
    settings = from_text(tmp_path, EVERY_KEY, CIRCUIT_BREAKER_TIMEOUT="70s")
    breaker = settings.error_recovery.circuit_breaker
    assert (breaker.timeout, breaker.failure_threshold) == (70.0, 7)
    assert settings.origin("error_recovery.circuit_breaker.timeout") == (
        "environment variable CIRCUIT_BREAKER_TIMEOUT"
    )
    where = settings.origin("error_recovery.circuit_breaker.failure_threshold")
    assert where == f"{tmp_path}/error_recovery.yaml:3:24"


def test_nothing_set_is_the_preset(tmp_path):
    expected = presets.get("collector")
    assert load(CollectorSettings, environ={}).preset() == expected
    assert from_text(tmp_path, "error_recovery:\n  retry:\n").preset() == expected


def test_what_is_set_replaces_what_the_preset_has(tmp_path):
    preset = from_text(tmp_path, EVERY_KEY).preset()
    there = presets.get("collector")
    breaker = {
        "failure_threshold": 7,
        "success_threshold": 2,
        "timeout": 45.0,
        "max_requests": 4,
        "reset_timeout": 120.0,
    }
    assert list(preset.circuit_breakers) == list(there.circuit_breakers)
    assert [dict(one) for one in preset.circuit_breakers.values()] == 4 * [breaker]
    retry = preset.retry_policies["api_call"]
    assert (retry["max_retries"], retry["base_delay"], retry["max_delay"]) == (6, 0.25, 8.0)
    assert (retry["backoff_factor"], retry["jitter"]) == (1.5, False)
    assert preset.retry_policies["default"] == retry
    for name in ("database_operation", "redis_operation", "concurrent_operation"):
        assert preset.retry_policies[name] == there.retry_policies[name]
    assert preset.timeouts["concurrent_op"]["duration"] == 60.0
    assert preset.timeouts["market_data"] == there.timeouts["market_data"]
    assert preset.operations == there.operations


def test_a_manager_does_what_the_settings_say(tmp_path):
    clock = hf.ManualClock()
    preset = from_text(tmp_path, EVERY_KEY).preset()
    rm = hf.ResilienceManager("collector", presets=preset, clock=clock)
    made = []

    def fails():
        made.append(clock.now())
        raise ConnectionError("reset")

    with pytest.raises(ConnectionError):
        rm.execute("market_data", fails)
    pauses = [round(late - early, 6) for early, late in pairwise(made)]
    assert pauses == [0.25, 0.375, 0.5625, 0.84375, 1.265625, 1.898438]
    assert rm.circuit_breaker("ccxt").state is hf.State.OPEN
    clock.advance(44.9)
    with pytest.raises(hf.CircuitOpenError):
        rm.execute("market_data", fails)
    clock.advance(0.2)
    for _ in range(2):
        assert rm.circuit_breaker("ccxt").state is not hf.State.CLOSED
        assert rm.execute("market_data", int, "1") == 1
    assert rm.circuit_breaker("ccxt").state is hf.State.CLOSED
    assert rm.timeouts.timeout_for("redis_operation") == 1.5
    rm.stop()


def test_attempts_count_the_first_one_and_retries_do_not(tmp_path):  # EV-04, YK-06, trap 20
    assert load(CollectorSettings, environ={"RETRY_MAX_ATTEMPTS": "3"}).preset().retry_policies[
        "api_call"
    ]["max_retries"] == 2  # fmt: skip
    file = "error_recovery: {retry: {max_retries: 3}}"
    assert from_text(tmp_path, file).preset().retry_policies["api_call"]["max_retries"] == 3
    both = from_text(tmp_path, file, RETRY_MAX_ATTEMPTS="3")
    assert both.preset().retry_policies["api_call"]["max_retries"] == 2


def test_the_file_of_the_example_says_what_the_collector_says():  # YK-01..14
    settings = read_settings(environ={})
    assert settings.model_dump(exclude_none=True)["error_recovery"] == {
        "circuit_breaker": {
            "failure_threshold": 5,
            "success_threshold": 3,
            "timeout": 60.0,
            "max_requests": 10,
            "reset_timeout": 300.0,
        },
        "retry": {
            "max_retries": 3,
            "base_delay": 0.1,
            "max_delay": 5.0,
            "backoff_factor": 2.0,
            "jitter": True,
        },
        "timeouts": {
            "api_call": 10.0,
            "database_query": 5.0,
            "redis_operation": 2.0,
            "concurrent_op": 15.0,
        },
    }
    assert FILE.name == "error_recovery.yaml"


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".YAML"])
def test_the_name_of_a_yaml_file_may_end_in_several_ways(tmp_path, suffix):
    file = tmp_path / f"settings{suffix}"
    file.write_text("error_recovery: {timeouts: {api_call: 3s}}")
    assert load(CollectorSettings, file, environ={}).error_recovery.timeouts.api_call == 3.0


def test_a_toml_file_says_the_same_as_a_yaml_file(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(
        "[error_recovery.circuit_breaker]\ntimeout = '45s'\nfailure_threshold = 7\n"
        "[error_recovery]\nretry.jitter = false\ntimeouts = { api_call = 11 }\n"
    )
    settings = load(CollectorSettings, file, environ={}).error_recovery
    assert (settings.circuit_breaker.timeout, settings.circuit_breaker.failure_threshold) == (45, 7)
    assert (settings.retry.jitter, settings.timeouts.api_call) == (False, 11.0)


CENTURY = "36500d"
BORDERS = {
    "circuit_breaker.failure_threshold": ("1", "1000000", "0", "1000001"),
    "circuit_breaker.success_threshold": ("1", "1000000", "0", "1000001"),
    "circuit_breaker.timeout": ("1ns", CENTURY, "0", "36501d"),
    "circuit_breaker.max_requests": ("1", "32", "0", "33"),
    "circuit_breaker.reset_timeout": ("1ns", CENTURY, "0.0", "36501d"),
    "retry.max_retries": ("0", "999999", "-1", "1000000"),
    "retry.max_attempts": ("1", "1000000", "0", "1000001"),
    "retry.base_delay": ("0s", "5s", "-1", "5.1s"),
    "retry.max_delay": ("100ms", CENTURY, "99ms", "36501d"),
    "retry.backoff_factor": ("1", "1000", "0.9", "1000.1"),
    "timeouts.api_call": ("1us", CENTURY, "999ns", "36501d"),
    "timeouts.database_query": ("1us", CENTURY, "999ns", "36501d"),
    "timeouts.redis_operation": ("1us", CENTURY, "999ns", "36501d"),
    "timeouts.concurrent_op": ("1us", CENTURY, "999ns", "36501d"),
}


@pytest.mark.parametrize("key", BORDERS)
def test_a_manager_takes_all_that_the_settings_allow(tmp_path, key):
    section, name = key.split(".")
    least, most, below, above = BORDERS[key]
    for value in (least, most):
        text = f"error_recovery: {{{section}: {{{name}: {value}}}}}"
        hf.ResilienceManager("c", presets=from_text(tmp_path, text).preset()).stop()
    for value in (below, above):
        text = f"error_recovery: {{{section}: {{{name}: {value}}}}}"
        with pytest.raises(hf.ConfigError, match=rf"error_recovery\.{key}: got "):
            from_text(tmp_path, text)


def test_the_number_of_workers_is_that_of_the_preset():
    preset = load(CollectorSettings, environ={}).preset(workers=7)
    assert preset == presets.collector.for_workers(7)
    with pytest.raises(hf.ConfigError, match="workers: got 0"):
        load(CollectorSettings, environ={}).preset(workers=0)


@pytest.mark.fuzz
def test_settings_are_refused_or_make_a_manager_whatever_they_are(fuzz_seconds):
    chance = random.Random(os.environ.get("FUZZ_SEED", "1"))
    words = ("1", "2", "5", "32", "50ms", "100ms", "2s", "7s", "1h", "0", "-1", "5 s", "", "no")
    counts = {"made": 0, "refused": 0}
    end = time.monotonic() + fuzz_seconds / 4
    while time.monotonic() < end or min(counts.values()) == 0:
        chosen = chance.sample(sorted(VARIABLES), chance.randrange(1, 4))
        environ = {name: chance.choice(words) for name in chosen}
        try:
            preset = load(CollectorSettings, environ=environ).preset()
        except hf.ConfigError as error:
            counts["refused"] += 1
            named = [one.partition(":")[0].split()[-1] for one in error.problems]
            assert set(named) <= set(environ), (environ, named)
            continue
        hf.ResilienceManager("collector", presets=preset).stop()
        counts["made"] += 1
