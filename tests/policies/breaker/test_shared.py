"""Breakers by name: found in the registry, or shared by those who ask for the same."""

import gc
import threading
import weakref
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from holdfast import CountWindow, State, TimeWindow
from tests.policies.calls import OutageError, breaker_of, fail
from tests.waiting.parties import Party


def shared(**settings: Any) -> hf.CircuitBreaker:
    return hf.CircuitBreaker("payments", shared=True, **settings)


def test_a_breaker_is_found_by_its_kind_and_name(clock):  # CB-18
    breaker = breaker_of(clock)
    assert hf.registry.get("circuit_breaker", "payments") is breaker
    assert hf.registry.get("circuit_breaker", "other") is None
    assert hf.registry.get("bulkhead", "payments") is None
    assert hf.registry.all("circuit_breaker") == [breaker]


def test_the_registry_keeps_no_breaker_alive(clock):  # trap 67
    def make() -> weakref.ref[hf.CircuitBreaker]:
        breaker = breaker_of(clock, is_failure=lambda result: breaker.state is result)
        breaker.on_event(lambda event: breaker.reset())
        breaker.trip()
        return weakref.ref(breaker)

    there = make()
    gc.collect()
    assert there() is None
    assert hf.registry.all() == []


def test_who_asks_for_the_same_gets_the_living_one():
    one = shared(failure_threshold=2)
    other = shared(failure_threshold=2)
    assert other is one
    fail(one)
    fail(other)
    assert one.state is State.OPEN
    assert hf.registry.all() == [one]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"reset_timeout": 60}, {"reset_timeout": timedelta(minutes=1)}),
        ({"reset_backoff": (2, 600, 0.1)}, {"reset_backoff": (2.0, timedelta(minutes=10), 0.1)}),
        ({"failure_threshold": 5}, {}),
        ({"failure_rate": 0.5, "min_calls": 10}, {"failure_rate": 0.5}),
        ({"window": TimeWindow(60)}, {"window": TimeWindow(timedelta(minutes=1))}),
        ({"on": OSError}, {"on": [OSError]}),
        ({"mode": "enforce"}, {"mode": hf.Mode.ENFORCE}),
    ],
    ids=str,
)
def test_settings_that_mean_the_same_are_equal(one, other):
    living = shared(**one)
    assert shared(**other) is living


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failure_threshold", 6),
        ("failure_rate", 0.5),
        ("window", CountWindow(99)),
        ("min_calls", 9),
        ("slow_call_duration", 1.0),
        ("reset_timeout", 61.0),
        ("reset_backoff", (2, 600, 0.1)),
        ("half_open_max_calls", 1),
        ("success_threshold", 1),
        ("probe_timeout", None),
        ("failure_reset", 300),
        ("on", OutageError),
        ("ignore", OutageError),
        ("is_failure", bool),
        ("latency", True),
        ("clock", hf.ManualClock()),
        ("mode", "observe"),
    ],
)
def test_who_asks_for_other_settings_is_told_which_differ(field, value):
    living = shared(failure_threshold=5, min_calls=10)
    with pytest.raises(hf.ConfigError) as caught:
        shared(**{"failure_threshold": 5, "min_calls": 10, field: value})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [field]
    assert "as in the existing shared policy" in caught.value.problems[0]
    assert hf.registry.all() == [living]


def test_threads_that_ask_at_once_share_one():  # CB-28
    for _ in range(5):
        start = threading.Barrier(8)

        def ask(start: threading.Barrier = start) -> hf.CircuitBreaker:
            start.wait()
            return shared()

        parties = [Party(ask) for _ in range(8)]
        found = [party.result() for party in parties]
        assert len({id(breaker) for breaker in found}) == 1
        del parties, found
        gc.collect()
