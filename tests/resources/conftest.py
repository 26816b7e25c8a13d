"""A manager whose clean-ups have little time, and something that hangs."""

import threading

import pytest

from holdfast import ResourceManager


@pytest.fixture
def resources():
    """A manager that gives clean-ups a tenth of a second."""
    manager = ResourceManager("shop", cleanup_timeout=0.1)
    yield manager
    manager.stop()


@pytest.fixture
def gate():
    """Something that hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()
