"""Presets are data: what they hold, and how they are read, copied and changed."""

import copy
import json
import pickle

import pytest

import holdfast as hf
from holdfast.manager import presets
from holdfast.manager.presets import collector
from holdfast.manager.presets.preset import Preset

DWCP, COLLECTOR, STANDARD = map(presets.get, ("dwcp", "collector", "standard"))


# ---- the numbers ----


@pytest.mark.parametrize(
    ("name", "failures", "timeout", "reset_timeout"),
    [
        ("network", 5, 30, 60),  # CB-13
        ("network-send", 5, 30, 60),
        ("network-receive", 5, 30, 60),
        ("send", 5, 30, 60),
        ("receive", 5, 30, 60),
        ("sync", 3, 10, 30),
        ("consensus", 3, 10, 30),
        ("peer-discovery", 2, 30, 60),  # CB-14
    ],
)
def test_a_breaker_of_a_node_has_its_numbers(name, failures, timeout, reset_timeout):
    assert DWCP.circuit_breakers[name] == {
        "max_failures": failures,
        "timeout": timeout,
        "reset_timeout": reset_timeout,
        "half_open_max_requests": 3,
    }


@pytest.mark.parametrize(
    ("name", "retries", "first", "longest"),
    [
        ("network", 3, 0.1, 10),  # RT-15
        ("network-retry", 3, 0.1, 10),
        ("send", 3, 0.1, 5),
        ("receive", 3, 0.1, 5),
        ("sync", 5, 0.2, 10),
        ("consensus", 5, 0.5, 30),
    ],
)
def test_a_retry_of_a_node_has_its_numbers(name, retries, first, longest):
    assert DWCP.retry_policies[name] == {
        "max_retries": retries,
        "initial_delay": first,
        "max_delay": longest,
        "multiplier": 2.0,
        "jitter": True,
    }


def test_the_limiters_of_a_node_have_their_numbers():
    adaptive = {
        "rate": 1000,
        "min_rate": 100,
        "max_rate": 10_000,
        "target_latency": 0.1,
        "window": 100,
    }
    assert DWCP.adaptive_rate_limiters == {"send": adaptive, "receive": adaptive}  # RL-04
    fixed = {"rate": 1000, "burst": 100}
    assert DWCP.rate_limiters == {"outbound": fixed, "outbound-messages": fixed}  # RL-05


def test_the_bulkheads_of_a_node_have_their_numbers():  # BH-04
    assert {name: tuple(its.values()) for name, its in DWCP.bulkheads.items()} == {
        "connections": (100, 50, 5.0),
        "send": (100, 200, 5.0),
        "receive": (100, 200, 5.0),
        "sync": (50, 100, 10.0),
        "consensus": (20, 50, 15.0),
    }
    assert list(DWCP.bulkheads["sync"]) == ["max_concurrent", "max_waiting", "max_wait"]


def test_the_budgets_of_a_node_have_their_numbers():
    hours = {name: (its["slo"], its["window"] / 3600) for name, its in DWCP.error_budgets.items()}
    assert hours == {  # EB-02
        "send": (0.999, 1),
        "receive": (0.999, 1),
        "sync": (0.995, 1),
        "consensus": (0.995, 1),
        "system": (0.999, 1),
        "slo-availability": (0.999, 24),
        "slo-latency": (0.99, 1),
    }
    targets = {name: its["target"] for name, its in DWCP.latency_budgets.items()}
    assert targets == {  # LB-02
        "send": 0.1,
        "receive": 0.1,
        "sync": 0.5,
        "consensus": 1.0,
        "p95-latency": 0.1,
    }
    # D-LB-1: one scale for all
    assert {its["percentile"] for its in DWCP.latency_budgets.values()} == {95}
    assert {its["samples"] for its in DWCP.latency_budgets.values()} == {1000}


def test_the_checks_faults_and_callbacks_of_a_node_are_those_of_the_original():
    assert DWCP.checks.keys() == {"transport", "send-error-rate", "system-error-rate"}  # HC-12
    assert DWCP.checks["send-error-rate"]["max"] == 0.01
    assert DWCP.checks["system-error-rate"]["max"] == 0.001
    assert DWCP.faults["network-latency"] == {  # CH-02
        "fault": "latency",
        "min": 0.05,
        "max": 0.2,
        "probability": 0.01,
    }
    assert DWCP.faults["random-error"]["probability"] == 0.1  # CH-03
    assert DWCP.faults["timeout"]["after"] == 5.0  # CH-04
    assert DWCP.callbacks["send"] == "send"  # EB-05
    assert DWCP.monitoring is True


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("ccxt", (50, 3, 30, 20, 60)),  # CB-14; twice as many as workers
        ("redis", (10, 3, 15, 10, 30)),
        ("exchange", (20, 3, 30, 10, 60)),
        ("signal_processor", (5, 3, 30, 10, 60)),
    ],
)
def test_a_breaker_of_a_collector_has_its_numbers(name, numbers):
    words = "failure_threshold", "success_threshold", "timeout", "max_requests", "reset_timeout"
    assert COLLECTOR.circuit_breakers[name] == dict(zip(words, numbers, strict=True))


@pytest.mark.parametrize(
    ("name", "retries", "first", "longest", "factor"),
    [
        ("api_call", 3, 0.1, 5, 2.0),  # RT-11
        ("database_operation", 5, 0.05, 2, 1.5),
        ("redis_operation", 3, 0.025, 1, 2.0),
        ("concurrent_operation", 2, 0.2, 3, 2.5),  # RT-12
        ("default", 3, 0.1, 5, 2.0),  # RT-13
    ],
)
def test_a_retry_of_a_collector_has_its_numbers(name, retries, first, longest, factor):
    assert COLLECTOR.retry_policies[name] == {
        "max_retries": retries,
        "base_delay": first,
        "max_delay": longest,
        "backoff_factor": factor,
        "jitter": 0.25,  # RT-09, also for Redis: section 6 row 6
        "jitter_mode": "around",
    }


def test_the_timeouts_of_a_collector_have_their_numbers():  # TO-02, TO-03
    assert {name: its["duration"] for name, its in COLLECTOR.timeouts.items()} == {
        "api_call": 10,
        "database_query": 5,
        "redis_operation": 2,
        "concurrent_op": 15,
        "health_check": 3,
        "backfill": 60,
        "symbol_fetch": 20,
        "market_data": 8,
    }


@pytest.mark.parametrize(("workers", "ccxt", "redis"), [(1, 2, 1), (12, 24, 12), (500, 32, 32)])
def test_a_collector_probes_with_its_workers(workers, ccxt, redis):  # CB-14
    breakers = collector.for_workers(workers).circuit_breakers
    assert breakers["ccxt"]["max_requests"] == ccxt
    assert breakers["redis"]["max_requests"] == redis
    with pytest.raises(hf.ConfigError, match="workers: got 0"):
        collector.for_workers(0)


def test_settings_of_a_name_of_their_own_serve_any_policy():
    assert presets.breaker_settings("conservative") == {  # CB-14
        "max_failures": 5,
        "timeout": 30.0,
        "reset_timeout": 60.0,
    }
    assert tuple(presets.breaker_settings("aggressive").values()) == (3, 10.0, 30.0)
    assert tuple(presets.retry_settings("network").values()) == (3, 0.1, 10.0, 2.0, True)  # RT-16
    assert tuple(presets.retry_settings("database").values()) == (5, 0.05, 5.0, 1.5, True)
    assert tuple(presets.retry_settings("patient").values()) == (5, 0.5, 30.0, 2.0, True)
    with pytest.raises(hf.ConfigError, match=r"'agressive'.*'aggressive'"):
        presets.breaker_settings("agressive")
    presets.breaker_settings("aggressive")["max_failures"] = 9
    assert presets.breaker_settings("aggressive")["max_failures"] == 3


def test_a_database_at_startup_is_tried_five_times_with_doubling_delays():  # RT-19
    from holdfast.manager import spellings

    clock = hf.ManualClock()
    retry = hf.Retry(
        "startup", clock=clock, **spellings.retry(presets.retry_settings("startup-database"))
    )
    tried = []

    def connect():
        tried.append(clock.now())
        raise OSError("refused")

    with pytest.raises(OSError, match="refused"):
        retry.call(connect)
    assert tried == [0, 2, 6, 14, 30]


# ---- data ----


@pytest.mark.parametrize("preset", [DWCP, COLLECTOR, STANDARD])
def test_a_preset_is_printed_in_full(preset):
    text = preset.describe()
    for kind, entries in preset.as_dict().items():
        if isinstance(entries, dict):
            for name, settings in entries.items():
                assert f" {name} " in text
                if isinstance(settings, dict):
                    line = ", ".join(f"{word}={value!r}" for word, value in settings.items())
                    assert line in text
                else:
                    assert str(settings) in text, kind


@pytest.mark.parametrize("preset", [DWCP, COLLECTOR, STANDARD])
def test_a_preset_is_copied_pickled_and_written_out_as_what_it_is(preset):
    assert Preset(**preset.as_dict()) == preset
    assert pickle.loads(pickle.dumps(preset)) == preset
    assert copy.deepcopy(preset) == preset


def test_a_preset_is_plain_data_that_any_file_can_hold():
    for preset in (DWCP, COLLECTOR):
        assert Preset(**json.loads(json.dumps(preset.as_dict()))) == preset


def test_nobody_changes_a_preset_for_others():
    with pytest.raises(TypeError):
        DWCP.circuit_breakers["network"]["max_failures"] = 1
    with pytest.raises(TypeError):
        del DWCP.circuit_breakers["network"]
    with pytest.raises(AttributeError):
        DWCP.monitoring = False
    DWCP.as_dict()["circuit_breakers"]["network"]["max_failures"] = 1
    mine = {"a": {"rate": 1}}
    preset = Preset("mine", rate_limiters=mine)
    mine["a"]["rate"] = 2
    assert preset.rate_limiters["a"]["rate"] == 1
    assert DWCP.circuit_breakers["network"]["max_failures"] == 5


# ---- copies that differ ----


def test_a_copy_differs_in_what_was_said_and_in_nothing_else():
    mine = DWCP.but(circuit_breakers={"network": {"max_failures": 3}}, monitoring=False)
    assert mine.circuit_breakers["network"] == {
        **DWCP.circuit_breakers["network"],
        "max_failures": 3,
    }
    assert not mine.monitoring
    same = mine.but(circuit_breakers={"network": {"max_failures": 5}}, monitoring=True)
    assert same == DWCP


def test_a_setting_replaces_its_other_word():
    mine = DWCP.but(
        circuit_breakers={"network": {"failure_threshold": 3, "operation_timeout": 1.0}},
        retry_policies={
            "network": {"base_delay": 1.0, "attempts": 2},
            "send": {"backoff": hf.Constant(1)},
        },
        rate_limiters={"outbound": {"requests_per_second": 5}},
        timeouts={"send": 3.0},
    )
    assert mine.circuit_breakers["network"] == {
        "reset_timeout": 60.0,
        "half_open_max_requests": 3,
        "failure_threshold": 3,
        "operation_timeout": 1.0,
    }
    assert mine.retry_policies["network"] == {
        "max_delay": 10.0,
        "multiplier": 2.0,
        "jitter": True,
        "base_delay": 1.0,
        "attempts": 2,
    }
    assert mine.retry_policies["send"] == {"max_retries": 3, "backoff": hf.Constant(1)}
    assert mine.rate_limiters["outbound"] == {"burst": 100, "requests_per_second": 5}
    assert mine.timeouts["send"] == {"duration": 3.0}
    assert COLLECTOR.but(timeouts={"api_call": 3}).timeouts["api_call"] == {"duration": 3}


def test_a_collectors_breaker_is_changed_in_its_own_words():  # CB-12
    mine = COLLECTOR.but(circuit_breakers={"redis": {"timeout": 1.0}})
    assert mine.circuit_breakers["redis"]["timeout"] == 1.0
    assert mine.circuit_breakers["redis"]["reset_timeout"] == 30.0
    with pytest.raises(hf.ConfigError, match=r"circuit_breakers\['redis'\] max_failures.*requests"):
        COLLECTOR.but(circuit_breakers={"redis": {"max_failures": 1}})
    with pytest.raises(hf.ConfigError, match=r"circuit_breakers\['send'\] max_requests.*meaning"):
        DWCP.but(circuit_breakers={"send": {"max_requests": 1}})


def test_names_are_added_and_left_out():
    mine = DWCP.but(
        bulkheads={"sync": None, "files": {"max_concurrent": 3}}, faults=None, checks={}
    )
    assert "sync" not in mine.bulkheads
    assert mine.bulkheads["files"] == {"max_concurrent": 3}
    assert mine.faults == {}
    assert mine.checks == DWCP.checks


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"circuit_breaker": {}}, "circuit_breakers"),
        ({"circuit_breakers": 5}, "circuit_breakers: got 5"),
        ({"circuit_breakers": {"network": 5}}, "circuit_breakers['network']: got 5"),
        (
            {"circuit_breakers": {"network": {"max_failure": 5}}},
            "circuit_breakers['network'] max_failure: got 5",
        ),
        ({"retry_policies": {"network": {"max_retries": -1}}}, "max_retries: got -1"),
        ({"bulkheads": {"snyc": None}}, "did you mean 'sync'"),
        ({"monitoring": 1}, "monitoring: got 1"),
        ({"name": ""}, "name: got ''"),
        ({"rate_limiters": {"": {"rate": 1}}}, "rate_limiters: name: got ''"),
    ],
)
def test_a_copy_with_something_wrong_is_refused_with_where_it_stands(changes, words):
    with pytest.raises(hf.ConfigError) as caught:
        DWCP.but(**changes)
    assert words in str(caught.value)


# ---- names ----


def test_an_unknown_preset_is_an_error_with_the_nearest_name():
    assert presets.names() == ("dwcp", "collector", "standard")
    with pytest.raises(hf.ConfigError, match=r"'dwpc'.*did you mean 'dwcp'"):
        presets.get("dwpc")


def test_a_preset_for_any_operation_gets_the_name_of_one():
    mine = STANDARD.named("payments")
    assert mine.timeouts == {"payments": {"duration": 30.0}}
    assert mine.circuit_breakers["payments"] == STANDARD.circuit_breakers["*"]
    with pytest.raises(hf.ConfigError, match=r"named\(…\)"):
        STANDARD.apply(None)
    with pytest.raises(hf.ConfigError, match="name"):
        STANDARD.named("")
