"""Rooms and calls for one test, empty again when it is over."""

from collections.abc import Iterator

import pytest

from tests.waiting.houses import House
from tests.waiting.left_behind import Held


@pytest.fixture
def house() -> Iterator[House]:
    """A bulkhead of one place and room for ten to wait."""
    house = House()
    yield house
    house.assert_empty()


@pytest.fixture
def held() -> Iterator[Held]:
    """A function that runs until the test lets it go, at the latest in the end."""
    held = Held()
    yield held
    held.go.set()
