"""Houses and pools for one test, empty again when it is over; what is to be left of a test."""

import gc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import holdfast as hf
from holdfast import ManualClock
from holdfast._native import gate
from holdfast.policies.pool import PoolBulkhead
from tests.pipeline.houses import House, Job
from tests.pipeline.left_behind import Held


@pytest.fixture
def house() -> Iterator[House]:
    """A bulkhead of one place and room for ten to wait."""
    house = House()
    yield house
    house.assert_empty()


@pytest.fixture
def make() -> Iterator[Callable[..., PoolBulkhead]]:
    """Makes pools of one worker on a clock that no wait moves, and stops them in the end."""
    pools: list[PoolBulkhead] = []

    def make(**settings: Any) -> PoolBulkhead:
        pools.append(
            PoolBulkhead("jobs", **{"workers": 1, "clock": ManualClock(auto=False), **settings})
        )
        return pools[-1]

    yield make
    for pool in pools:
        assert pool.stop()
        assert pool._kernel.in_flight() == 0
        snapshot = pool.snapshot()
        assert (snapshot.active, snapshot.queued, snapshot.submitting) == (0, 0, 0)


@pytest.fixture
def job() -> Iterator[Job]:
    """A task that lasts until the test lets it go, at the latest in the end."""
    job = Job()
    yield job
    job.open.set()


@pytest.fixture
def held() -> Iterator[Held]:
    """A function that runs until the test lets it go, at the latest in the end."""
    held = Held()
    yield held
    held.go.set()


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
