"""What is to be left of a test: nothing."""

import gc
import warnings
from collections.abc import Iterator

import pytest

import holdfast as hf
from holdfast._native import gate


@pytest.fixture
def nothing_stays_open() -> Iterator[None]:
    """No block of a timeout is left open, and no deadline in force."""
    yield
    gc.collect()
    assert gate._limits_in_force() == 0
    assert hf.deadline() is None


@pytest.fixture
def no_warnings() -> Iterator[None]:
    """No coroutine is left that was never awaited."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()
