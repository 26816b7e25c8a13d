"""Pools for one test, empty again when it is over."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast import ManualClock
from holdfast.policies.pool import PoolBulkhead
from tests.waiting.houses import Job


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
