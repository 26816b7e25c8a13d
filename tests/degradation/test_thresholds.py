"""Which level an error rate and a latency ask for."""

from datetime import timedelta

import pytest

import holdfast as hf
from holdfast.degradation import DegradationManager, Level, should_degrade

NORMAL, DEGRADED, SEVERELY, EMERGENCY = Level


@pytest.mark.parametrize(
    ("error_rate", "latency", "level"),
    [
        (0.0, 0.0, NORMAL),
        (0.1, 1.0, NORMAL),
        (0.101, 1.0, DEGRADED),
        (0.1, 1.001, DEGRADED),
        (0.15, 1.5, DEGRADED),
        (0.0, 1.501, SEVERELY),
        (0.151, 0.0, SEVERELY),
        (0.2, 2.0, SEVERELY),
        (0.201, 0.0, EMERGENCY),
        (0.0, 2.001, EMERGENCY),
        (0.11, 1.9, SEVERELY),
        (None, 1.2, DEGRADED),
        (0.3, None, EMERGENCY),
    ],
)
def test_the_worse_of_error_rate_and_latency_counts(error_rate, latency, level):  # DG-05
    assert should_degrade(error_rate, latency, 0.1, 1.0) is level


def test_latencies_may_be_timedeltas():
    took, limit = timedelta(milliseconds=160), timedelta(milliseconds=100)
    assert should_degrade(latency=took, latency_threshold=limit) is SEVERELY


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((float("nan"), 1.0, 0.1, 1.0), "error_rate: got nan, allowed a number from 0"),
        ((0.1, float("nan"), 0.1, 1.0), "latency: got nan"),
        ((0.1, None, 0, None), "error_threshold: got 0, allowed a number above 0"),
        ((0.1, None, float("nan"), None), "error_threshold: got nan"),
        ((None, 0.1, None, 0), "latency_threshold: got 0, allowed seconds"),
        ((0.1, 0.1, 0.1), "latency_threshold: got None"),
        ((0.1,), "error_threshold: got None"),
        ((-0.1, None, 0.1), "error_rate: got -0.1"),
        ((None, -1, None, 1), "latency: got -1"),
        ((), "error_rate: got None, allowed a number, or give latency="),
    ],
)
def test_what_cannot_be_compared_is_refused(given, problem):  # DG-05
    with pytest.raises(hf.ConfigError, match=problem):
        should_degrade(*given)


def test_a_component_follows_its_measurements(clock):  # DG-05
    manager = DegradationManager("shop", stable_time=30, clock=clock)
    assert manager.should_degrade(0.3, 0.1, 0.1, 1.0) is EMERGENCY
    assert manager.auto_degrade("search", 0.3, 0.1, 0.1, 1.0) is EMERGENCY
    assert manager.level("search") is EMERGENCY
    assert manager.auto_degrade("search", 0.0, 0.1, 0.1, 1.0) is NORMAL
    assert manager.level("search") is EMERGENCY
    clock.advance(30)
    assert manager.level("search") is NORMAL


def test_measurements_that_are_refused_change_nothing(clock):
    manager = DegradationManager("shop", clock=clock)
    manager.auto_degrade("search", 0.3, error_threshold=0.1)
    with pytest.raises(hf.ConfigError):
        manager.auto_degrade("search", float("nan"), error_threshold=0.1)
    assert manager.level("search") is EMERGENCY
