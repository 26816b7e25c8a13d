"""Degraded mode as a switch."""

from __future__ import annotations

import logging

import pytest

import holdfast as hf
from holdfast.degradation import (
    DegradationManager,
    DegradationMode,
    Level,
    gather_or_sequential,
)


def test_it_is_switched_on_and_off_and_asked_for(caplog):  # DG-09
    mode = DegradationMode()
    assert (mode.enabled, mode.fallback, repr(mode)) == (False, True, "<DegradationMode off>")
    with caplog.at_level(logging.INFO, "holdfast"):
        mode.enable()
        mode.enable()
        assert mode.enabled
        mode.disable()
    assert not mode.enabled
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    mode.disable_fallback()
    assert not mode.fallback
    mode.enable_fallback()
    assert mode.fallback


def test_the_level_of_a_component_switches_it_on(clock):  # DG-09
    search = DegradationManager("shop", clock=clock).component("search")
    mode = DegradationMode(component=search, at=Level.DEGRADED)
    calls = [lambda: 1, lambda: 2]
    assert gather_or_sequential(calls, mode=mode).switched is None
    search.set(Level.DEGRADED)
    assert mode.enabled
    assert gather_or_sequential(calls, mode=mode).switched == "mode"
    search.recover()
    assert not mode.enabled


def test_all_that_is_wrong_with_the_settings_is_named():
    with pytest.raises(hf.ConfigError) as raised:
        DegradationMode(enabled=1, fallback=None, component="search", at=7)  # type: ignore[arg-type]
    fields = [problem.partition(":")[0] for problem in raised.value.problems]
    assert fields == ["enabled", "fallback", "component", "at"]
