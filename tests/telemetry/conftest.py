"""Each test of metrics has a process of its own, as far as figures go."""

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
