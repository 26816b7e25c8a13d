"""The time of circuits, and a monitor that knows none at first."""

import pytest

from holdfast.compat.circuitbreaker import (
    CircuitBreakerMonitor,
)
from holdfast.testing import use_clock


@pytest.fixture(autouse=True)
def circuits(monkeypatch):
    """Each test begins with a monitor that knows no circuit."""
    monkeypatch.setattr(CircuitBreakerMonitor, "circuit_breakers", {})


@pytest.fixture
def clock():
    """The time of all circuits of a test."""
    with use_clock() as manual:
        yield manual
