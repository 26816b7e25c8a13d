"""What tests of supervision may ask for: a process of a test that fails ends with the test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.supervision import ProcessComponent


@pytest.fixture
def process() -> Iterator[Callable[..., ProcessComponent]]:
    """Return what makes a ProcessComponent that is stopped at the end of the test."""
    made: list[ProcessComponent] = []

    def make(command: Any, name: str = "peer", **settings: Any) -> ProcessComponent:
        component = ProcessComponent(name, command, **{"kill_after": 0.2, **settings})
        made.append(component)
        return component

    yield make
    for component in made:
        component.stop()
