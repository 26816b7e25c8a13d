"""A manager whose clean-ups have time enough, and something that hangs."""

import threading

import pytest

from holdfast import ResourceManager


@pytest.fixture
def resources():
    """A manager. On a busy machine a clean-up may take seconds: a test that needs it sets less."""
    manager = ResourceManager("shop", cleanup_timeout=60.0)
    yield manager
    manager.set_times(cleanup_timeout=0.05)  # of what a test that has failed has left
    manager.stop()


@pytest.fixture
def gate():
    """Something that hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()
