"""What a bulkhead is set to: its modes, what is refused, what it weighs."""

from __future__ import annotations

from datetime import timedelta

import pytest

import holdfast as hf


def test_observed_it_lets_all_in_and_counts():
    bulkhead = hf.Bulkhead("b", max_concurrent=1, mode="observe")
    with bulkhead, bulkhead:
        assert bulkhead.in_flight == 2
        assert bulkhead.try_enter()
        bulkhead.enter()
        bulkhead.leave()
        bulkhead.leave()
    shown = bulkhead.snapshot()
    assert (shown.observed, shown.rejected, shown.active) == (3, 0, 0)


def test_switched_off_it_is_not_there():
    bulkhead = hf.Bulkhead("b", max_concurrent=1, mode="off")
    with bulkhead, bulkhead:
        assert bulkhead.in_flight == 0
        assert bulkhead.try_enter()
    bulkhead.enter()
    bulkhead.leave()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_concurrent": 0}, "max_concurrent: got 0"),
        ({"max_concurrent": True}, "max_concurrent: got True"),
        ({"max_concurrent": 1.9}, "max_concurrent: got 1.9"),
        ({"max_concurrent": 10**9}, "max_concurrent: got 1000000000"),
        ({"max_waiting": -1}, "max_waiting: got -1"),
        ({"max_wait": 1.0}, "max_wait: got 1.0"),
        ({"max_wait": None}, "max_wait: got None"),
        ({"max_waiting": 1, "max_wait": float("nan")}, "max_wait: got nan"),
        ({"max_waiting": 100, "max_wait": 0}, "max_wait: got 0, allowed a time above 0, or None"),
        ({"max_waiting": 1, "max_wait": timedelta(0)}, "max_wait: got datetime.timedelta(0)"),
        ({"max_waiting": 1, "max_wait": -0.1}, "max_wait: got -0.1"),
    ],
)
def test_bad_settings_are_named(settings, named):
    with pytest.raises(hf.ConfigError) as caught:
        hf.Bulkhead("b", **settings)
    assert named in str(caught.value)


@pytest.mark.parametrize("timeout", [-1, float("nan"), -float("inf"), True, "1", 1e300, 10**400])
def test_bad_timeouts_are_named(timeout):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=1)
    with pytest.raises(hf.ConfigError, match="timeout: got"):
        bulkhead.enter(timeout)
    assert bulkhead.in_flight == 0
