"""The time and the storages that tests of the face of aiobreaker have."""

import pytest

from holdfast.compat.aiobreaker.storage.memory import CircuitMemoryStorage
from holdfast.testing import use_clock
from tests.compat.aiobreaker.parts import CLOSED
from tests.compat.aiobreaker.storages import DictStorage


@pytest.fixture
def clock():
    """The time of all native breakers of a test."""
    with use_clock() as manual:
        yield manual


@pytest.fixture(params=["memory", "dict"])
def storage(request):
    """State in the native breaker, or in a storage that decides."""
    return CircuitMemoryStorage(CLOSED) if request.param == "memory" else DictStorage({})
