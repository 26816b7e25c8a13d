"""Bulkheads through their public face: places, the queue, resizing, and coming home."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import pytest

import holdfast as hf


class Parked:
    """Threads that each take a place, and say in which order they got it."""

    def __init__(self, bulkhead: hf.Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.order: list[object] = []
        self.failed: list[hf.Rejected] = []
        self.threads: list[threading.Thread] = []

    def add(self, name: object, timeout: float | None = None) -> None:
        """Start a thread that waits, and return once it does."""
        before = self.bulkhead.waiting
        thread = threading.Thread(target=self._wait, args=(name, timeout))
        self.threads.append(thread)
        thread.start()
        while self.bulkhead.waiting == before and thread.is_alive():
            os.sched_yield()

    def _wait(self, name: object, timeout: float | None) -> None:
        try:
            self.bulkhead.enter(timeout)
        except hf.Rejected as error:
            self.failed.append(error)
        else:
            self.order.append(name)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def queueing(clock: hf.ManualClock, places: int = 1, waiting: int = 10) -> hf.Bulkhead:
    return hf.Bulkhead("b", max_concurrent=places, max_waiting=waiting, max_wait=None, clock=clock)


@pytest.fixture
def still_clock() -> hf.ManualClock:
    return hf.ManualClock(auto=False)


def test_never_more_inside_than_places():  # BH-03
    bulkhead = hf.Bulkhead("b", max_concurrent=2)
    with bulkhead, bulkhead:
        assert bulkhead.in_flight == 2
        assert not bulkhead.try_enter()
        with pytest.raises(hf.BulkheadFullError, match="bulkhead 'b' is full: 2 of 2") as caught:
            bulkhead.call(lambda: None)
        assert (caught.value.code, caught.value.reason) == ("BULKHEAD_FULL", "full")
    assert bulkhead.in_flight == 0
    assert bulkhead.call(lambda: 7) == 7


def test_a_place_comes_home_however_the_call_ends():  # trap 33, trap 35
    bulkhead = hf.Bulkhead("b", max_concurrent=1)
    for error in (ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError):

        def fail(error: type[BaseException] = error) -> None:
            raise error

        with pytest.raises(error):
            bulkhead.call(fail)
        assert bulkhead.in_flight == 0


def test_slot_queue_refusal_in_that_order(still_clock):  # BH-01, BH-02
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=5.0, clock=still_clock)
    bulkhead.enter()
    parked = Parked(bulkhead)
    parked.add("first")
    assert bulkhead.waiting == 1
    with pytest.raises(hf.BulkheadFullError):
        bulkhead.enter()
    still_clock.advance(5.0)
    parked.join()
    assert [error.code for error in parked.failed] == ["BULKHEAD_TIMEOUT"]
    assert "had no free slot in 5.000 s: 1 of 1 inside, 0 of 1 waiting" in str(parked.failed[0])
    assert (bulkhead.waiting, bulkhead.in_flight) == (0, 1)
    assert bulkhead.snapshot().timed_out == 1


def test_without_a_time_to_wait_a_call_is_refused_as_full_and_only_enter_waits(still_clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=5, clock=still_clock)
    bulkhead.enter()
    assert isinstance(bulkhead.try_call(int).rejection, hf.BulkheadFullError)
    assert bulkhead.snapshot().timed_out == 0
    parked = Parked(bulkhead)
    parked.add("waits", timeout=1.0)
    bulkhead.leave()
    parked.join()
    assert parked.order == ["waits"]


def test_guarded_calls_wait_in_the_queue(still_clock):
    bulkhead = queueing(still_clock)

    @bulkhead
    async def inside() -> int:
        await asyncio.sleep(0)
        return bulkhead.in_flight

    async def main() -> list[int]:
        return await asyncio.gather(*(inside() for _ in range(8)))

    assert asyncio.run(main()) == [1] * 8
    assert bulkhead.snapshot().waited == 7


async def test_waiting_ends_with_its_time(still_clock):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=5, max_wait=3, clock=still_clock)
    bulkhead.enter()
    task = asyncio.create_task(bulkhead.acall(asyncio.sleep, 0))
    short = asyncio.create_task(bulkhead.aenter(timeout=1.0))
    await asyncio.sleep(0)
    still_clock.advance(1.0)
    with pytest.raises(hf.BulkheadTimeoutError):
        await short
    assert bulkhead.waiting == 1
    still_clock.advance(2.0)
    with pytest.raises(hf.BulkheadTimeoutError):
        await task
    assert bulkhead.waiting == 0


def test_resizing_lets_waiters_in_and_takes_no_size_that_cannot_be(still_clock):  # trap 37
    bulkhead = queueing(still_clock)
    bulkhead.enter()
    parked = Parked(bulkhead)
    parked.add("a")
    bulkhead.resize(2)
    parked.join()
    for bad in (0, -1, 1.5, True, None, 10**9):
        with pytest.raises(hf.ConfigError, match="max_concurrent: got"):
            bulkhead.resize(bad)
    assert (bulkhead.snapshot().capacity, bulkhead.in_flight) == (2, 2)


def test_a_size_that_it_has_already_is_no_news(still_clock, caplog):
    bulkhead = queueing(still_clock)
    with caplog.at_level("INFO", "holdfast"):
        for size in (3, 3, 2, 2):
            bulkhead.resize(size)
    assert [record.getMessage()[-7:] for record in caplog.records] == ["3 slots", "2 slots"]


def test_a_place_that_was_never_taken_cannot_be_given_back():  # BH-06, trap 34
    bulkhead = hf.Bulkhead("b", max_concurrent=1)
    with pytest.warns(RuntimeWarning, match=r"leave\(\) of .*'b'.* without a slot taken"):
        bulkhead.leave()
    assert bulkhead.try_enter()
    assert not bulkhead.try_enter()
    assert bulkhead.snapshot().over_released == 1


def test_what_it_shows(clock):  # BH-07, D-BH-3
    bulkhead = hf.Bulkhead("b", max_concurrent=4, clock=clock)
    bulkhead.call(clock.advance, 2.0)
    bulkhead.call(clock.advance, 4.0)
    with bulkhead:
        shown = bulkhead.snapshot()
    assert (shown.active, shown.capacity, shown.utilization, shown.available) == (1, 4, 0.25, 3)
    assert (shown.queued, shown.queue_capacity, shown.queue_utilization) == (0, 0, 0.0)
    assert (shown.admitted, shown.completed, shown.rejected) == (3, 2, 0)
    assert shown.average_execution_time == 3.0


def test_reset_forgets_counts_and_nothing_else():  # BH-03
    bulkhead = hf.Bulkhead("b", max_concurrent=1)
    with bulkhead:
        assert not bulkhead.try_enter()
        bulkhead.reset()
        shown = bulkhead.snapshot()
        assert (shown.admitted, shown.rejected, shown.active) == (0, 0, 1)
    assert bulkhead.snapshot().completed == 1


def test_a_collected_permit_brings_its_place_home_and_lets_the_next_in(still_clock):  # trap 35
    bulkhead = queueing(still_clock)
    cycle: list[object] = [bulkhead._permit()]
    cycle.append(cycle)
    parked = Parked(bulkhead)
    parked.add("next")
    del cycle
    gc.collect()
    parked.join()
    assert parked.order == ["next"]


def test_a_forked_child_has_all_places(require_real):  # trap 58
    if not hasattr(os, "fork"):
        require_real("this system cannot fork")
    bulkhead = hf.Bulkhead("b", max_concurrent=2)
    with bulkhead:
        pid = os.fork()
        if pid == 0:  # leaving the block in the child gives nothing back a second time
            os._exit(0 if bulkhead.in_flight == 0 and bulkhead.try_enter() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert bulkhead.in_flight == 1
    assert bulkhead.in_flight == 0
