"""A guarded coroutine that nobody drives to its end gives back all it holds."""

import gc
import weakref
from typing import Any

import pytest

from holdfast import Pipeline
from tests.gate.parts import fates, half_open, pipe, places, suspend, waiting_work


@pytest.mark.parametrize("end", ["closed", "dropped"])
def test_ended_half_way_it_gives_back_after_its_body_has_ended(end: str) -> None:  # trap 5
    breaker, bulkhead = half_open(), places()
    ended = []

    @pipe(breaker, bulkhead)
    async def work() -> None:
        try:
            await suspend()
        finally:
            ended.append(bulkhead.in_flight)

    coroutine = work()
    coroutine.send(None)
    if end == "closed":
        coroutine.close()
    else:
        del coroutine
    assert ended == [1]
    assert (bulkhead.in_flight, breaker.snapshot().probes) == (0, 0)
    assert fates(breaker) == {"abandoned": 1}
    work().close()  # it had not begun
    assert fates(breaker) == {"abandoned": 1}


def test_dropped_in_a_cycle_it_gives_back_when_the_cycle_is_collected() -> None:  # trap 4
    breaker, bulkhead = half_open(), places()

    @pipe(breaker, bulkhead)
    async def work(cycle: list[Any]) -> None:
        try:
            await suspend()
        finally:
            cycle.append(bulkhead.in_flight)

    def abandon() -> None:
        cycle: list[Any] = []
        cycle.append(work(cycle))
        cycle[0].send(None)
        assert bulkhead.in_flight == 1

    gc.collect()
    abandon()
    gc.collect()
    assert (bulkhead.in_flight, fates(breaker)) == (0, {"abandoned": 1})


async def test_dropped_while_it_waits_it_gives_everything_back() -> None:  # trap 33
    breaker, limiter, bulkhead, work = waiting_work()
    with bulkhead:
        coroutine = work()
        coroutine.send(None)
        assert (bulkhead.waiting, limiter.available) == (1, 2)
        coroutine.close()
        assert (bulkhead.waiting, limiter.available) == (0, 3)
        coroutine = work()
        coroutine.send(None)
        del coroutine
        assert (bulkhead.waiting, limiter.available) == (0, 3)
    assert breaker.snapshot().admitted == breaker.snapshot().probes == 0


def test_never_awaited_it_warns_and_was_never_admitted() -> None:
    breaker = half_open()

    @Pipeline("p", breaker)
    async def forgotten() -> None: ...

    with pytest.warns(RuntimeWarning, match=r"coroutine '.*forgotten' was never awaited"):
        forgotten()
    with pytest.warns(RuntimeWarning, match=r"of <<function .*forgotten.* was never awaited"):
        breaker.acall(forgotten)
    with pytest.warns(RuntimeWarning, match="of <CircuitBreaker 'tripping'> was never awaited"):
        breaker._apermit()
    assert breaker.snapshot().admitted == 0


def test_once_called_a_function_has_its_arguments_to_itself() -> None:
    class Thing:
        pass

    async def body(thing: Thing, *, other: Thing) -> None:
        del thing, other
        await suspend()

    things = [Thing(), Thing()]
    gone = [weakref.ref(thing) for thing in things]
    coroutine = places().acall(body, things[0], other=things[1])
    things.clear()
    assert all(ref() is not None for ref in gone)
    coroutine.send(None)
    assert [ref() for ref in gone] == [None, None]
    with pytest.raises(StopIteration):
        coroutine.send(None)
