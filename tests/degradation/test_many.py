"""Many features, and many components that follow each other: a change costs what it changes."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from itertools import count, pairwise

import pytest

import holdfast as hf
from holdfast.degradation import Component, DegradationManager, Level, watching
from tests.interpreters import collects_at_any_time

SHAPES: dict[str, Callable[[int], tuple[str, ...]]] = {
    "alone": lambda _n: (),
    "a chain": lambda n: (f"f{n - 1}",) if n else (),
    "all of one": lambda _n: ("base",),
}


def calls_during(act: Callable[[], object]) -> int:
    """Return how many functions are called, of Python and of C."""
    calls = 0

    def profiler(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    gc.collect()
    gc.disable()  # finalizers of other tests would be counted
    sys.setprofile(profiler)
    try:
        act()
    finally:
        sys.setprofile(before)
        gc.enable()
    return calls


@pytest.mark.parametrize("shape", SHAPES)
def test_one_more_feature_costs_the_same_beside_ten_and_beside_a_thousand(clock, shape):
    manager = DegradationManager("shop", clock=clock)
    needs = SHAPES[shape]
    costs: dict[int, int] = {}
    for n in range(1001):

        def act(n: int = n) -> None:
            manager.feature(f"f{n}", "search", needs=needs(n))
            manager.features.disable(f"f{n}")
            manager.features.enable(f"f{n}")
            manager.set("pages", Level(1 + n % 3))

        costs[n] = calls_during(act) if n in {10, 1000} else (act(), 0)[1]
    assert costs[1000] == costs[10]


def test_one_more_component_costs_the_same_beside_ten_and_beside_a_thousand(clock):
    manager = DegradationManager("shop", clock=clock)
    costs: dict[int, int] = {}
    for n in range(1001):
        component = manager.component(f"c{n}")

        def act(component: Component = component) -> None:
            for level in (Level.EMERGENCY, Level.NORMAL, Level.DEGRADED):
                component.force(level)

        costs[n] = calls_during(act) if n in {10, 1000} else (act(), 0)[1]
    assert manager.overall is Level.DEGRADED
    assert costs[1000] == costs[10]


@collects_at_any_time
def test_what_is_collected_amid_a_look_may_change_what_is_looked_at(clock):
    component = DegradationManager("shop", clock=clock).component("search")
    for n in range(100):
        component.set(Level.DEGRADED, source=f"s{n}")
    watch = watching._Watch(clock, 1.0)
    for n in range(100):
        watch.components[n] = weakref.ref(component)
    names = count(100)

    def collected(phase: str, _info: object) -> None:
        if phase == "start":
            n = next(names)
            component._requests[f"s{n}"] = Level.DEGRADED, ""
            watch.components[n] = weakref.ref(component)

    before = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(1)
    try:
        assert len(component.requests) >= 100
        watch._tick()
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(collected)
    assert next(names) > 101


def test_a_feature_that_much_needs_switches_it_once_in_order(clock):
    manager = DegradationManager("shop", clock=clock)
    for n in range(2000, 0, -1):  # the last of the chain first: what it needs is declared later
        manager.feature(f"f{n}", needs=(f"f{n - 1}", "base"))
    told: list[tuple[str, bool]] = []
    manager.on_event(lambda event: told.append((event.name, event.new)))
    manager.features.disable("base")
    assert told == [*((f"f{n}", False) for n in range(2000, 0, -1)), ("base", False)]
    told.clear()
    manager.features.enable("base")
    assert told == [("base", True), *((f"f{n}", True) for n in range(1, 2001))]


def test_a_component_may_follow_others_over_many_ways(clock):
    manager = DegradationManager("shop", clock=clock)
    rows = [[manager.component(f"{row}-{n}") for n in range(3)] for row in range(40)]
    for above, below in pairwise(rows):  # 3 to the 39th ways
        for component in below:
            for source in above:
                component.follow(source)
    rows[0][0].set(Level.DEGRADED)
    assert {one.level for one in rows[-1]} == {Level.DEGRADED}


def test_a_component_may_follow_others_over_a_long_way(clock):
    manager = DegradationManager("shop", clock=clock)
    row = [manager.component(f"c{n}") for n in range(2000)]
    for source, component in reversed(list(pairwise(row))):
        component.follow(source)
    row[0].set(Level.DEGRADED)
    assert row[-1].level is Level.DEGRADED
    with pytest.raises(hf.ConfigError, match="that does not follow this one itself"):
        row[0].follow(row[-1])
