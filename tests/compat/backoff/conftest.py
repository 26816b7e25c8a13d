"""What the tests of this face ask for."""

import pytest


@pytest.fixture
def slept(monkeypatch):
    """How long each pause was; none takes any time."""
    seconds = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds
