"""A guarded coroutine dies once, whatever runs while it does."""

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast import Bulkhead, CircuitBreaker, ManualClock, Pipeline, Retry, Timeout
from tests.gate.parts import suspend

Ring = Callable[[], None]


class Dies:
    """Rings when it dies."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring

    def __del__(self) -> None:
        self.ring()


class Yields:
    """What is awaited, and dies with the await."""

    def __init__(self, ring: Ring) -> None:
        self.dies = Dies(ring)

    def __await__(self) -> Iterator[Any]:
        yield None


def by_a_weak_reference(policy: Any, ring: Ring) -> Any:
    async def body() -> None:
        await suspend()

    coroutine = policy.acall(body)
    refs.append(weakref.ref(coroutine, lambda _: ring()))
    return coroutine


def by_its_body(policy: Any, ring: Ring) -> Any:
    @policy
    async def body() -> None:
        try:
            await suspend()
        finally:
            ring()

    return body()


def by_what_it_awaits(policy: Any, ring: Ring) -> Any:
    return policy.acall(Yields, ring)


def by_an_argument(policy: Any, ring: Ring) -> Any:
    async def body(*_: Any) -> None:
        await suspend()

    return policy.acall(body, Dies(ring))


def by_its_function(policy: Any, ring: Ring) -> Any:
    class Function(Dies):
        async def __call__(self) -> None:
            await suspend()

    return policy.acall(Function(ring))


refs: list[Any] = []


@pytest.mark.parametrize(
    "dies", [by_a_weak_reference, by_its_body, by_what_it_awaits, by_an_argument, by_its_function]
)
@pytest.mark.parametrize("in_a_cycle", [False, True])
async def test_an_alarm_that_rings_while_its_coroutine_dies_finds_nothing(
    dies: Callable[[Any, Ring], Any], in_a_cycle: bool
) -> None:
    clock = ManualClock(auto=False)
    timeout, places = Timeout(1, clock=clock), Bulkhead("places", max_concurrent=1)
    policy = Pipeline("dies", Timeout(2, clock=clock), Retry("r"), timeout, places)
    rung: list[int] = []

    def ring() -> None:
        clock.advance(5)
        rung.append(places.in_flight)

    def begin() -> None:
        coroutine = dies(policy, ring)
        coroutine.send(None)
        if in_a_cycle:
            cycle = [coroutine]
            cycle.append(cycle)

    gc.collect()
    holders = sys.getrefcount(policy)
    begin()
    gc.collect()
    assert rung[:1] in ([0], [1])
    assert timeout.snapshot().expired == 0
    assert places.in_flight == 0
    refs.clear()
    gc.collect()
    assert sys.getrefcount(policy) == holders
    many = [policy.acall(suspend) for _ in range(100)]
    assert len(set(map(id, many))) == 100
    for each in many:
        each.close()


async def test_coroutines_that_die_by_the_thousand_are_not_brought_back_by_their_alarms() -> None:
    # So deep that the interpreter puts some aside, to die later: with an alarm set.
    async def awaits(_: Any) -> None:
        await suspend()

    clock = ManualClock(auto=False)
    timeout = Timeout(1, clock=clock)
    breaker = CircuitBreaker("b")
    for _ in range(2):
        held: Any = Dies(lambda: clock.advance(2))
        for _ in range(1000):
            coroutine = timeout.acall(awaits, held)
            coroutine.send(None)
            held = breaker.acall(awaits, coroutine)
            held.send(None)
        del coroutine, held
        gc.collect()
    assert timeout.snapshot().expired == 0
    many = [timeout.acall(suspend) for _ in range(200)]
    assert len(set(map(id, many))) == 200
    for each in many:
        each.close()
