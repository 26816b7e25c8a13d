"""Each test of metrics has a process of its own, as far as figures go."""

import logging

import pytest

from holdfast.degradation import component
from holdfast.health import figures
from holdfast.manager import manager, timeouts
from holdfast.pipeline import counted
from holdfast.policies import base
from holdfast.stores.ledger import Ledger
from holdfast.telemetry import prometheus


@pytest.fixture(autouse=True)
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger without what other tests have left to the collector."""
    fresh = Ledger()
    for module in (base, component, counted, figures, manager, prometheus, timeouts):
        monkeypatch.setattr(module, "ledger", fresh)
    return fresh


@pytest.fixture
def said(caplog):
    """Return what was logged since it was asked last: logger, level and text."""
    caplog.set_level(logging.DEBUG, "holdfast")

    def news():
        told = [
            (record.name.removeprefix("holdfast."), record.levelname, record.getMessage())
            for record in caplog.records
        ]
        caplog.clear()
        return told

    return news
