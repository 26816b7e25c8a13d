"""Components: which level is in force, who has asked for it, and what is told of it."""

import gc
import os
import threading
import time
import weakref

import pytest

import holdfast as hf
from holdfast.degradation import DegradationManager, Level, Request, watching

NORMAL, DEGRADED, SEVERELY, EMERGENCY = Level


@pytest.fixture
def manager(clock):
    return DegradationManager("shop", stable_time=30, clock=clock)


@pytest.fixture
def search(manager):
    return manager.component("search")


def told(subject):
    """Return a list that gets name, old, new and reason of each event."""
    events = []
    subject.on_event(lambda event: events.append((event.name, event.old, event.new, event.reason)))
    return events


def test_the_levels_have_the_numbers_of_the_specification():  # DG-01
    assert [(level.word, int(level)) for level in Level] == [
        ("normal", 0),
        ("degraded", 1),
        ("severely_degraded", 2),
        ("emergency", 3),
    ]


def test_a_level_is_the_worst_that_any_source_asks_for(search):  # DG-02
    search.set(DEGRADED, source="latency")
    search.set("emergency", source="budget", reason="exhausted")
    search.set(2, source="check")
    assert search.level is EMERGENCY
    assert search.requests == (
        Request("latency", DEGRADED, ""),
        Request("budget", EMERGENCY, "exhausted"),
        Request("check", SEVERELY, ""),
    )


def test_a_level_gets_worse_at_once_and_better_only_after_the_stable_time(search, clock):
    search.set(EMERGENCY)
    search.set(NORMAL)
    clock.advance(29.999)
    assert search.level is EMERGENCY
    clock.advance(0.001)
    assert search.level is NORMAL


def test_a_level_gets_better_to_the_worst_that_was_asked_for_meanwhile(search, clock):
    search.set(EMERGENCY)
    clock.advance(10)
    search.set(DEGRADED)
    clock.advance(20)
    search.set(NORMAL)
    assert search.level is EMERGENCY
    clock.advance(10)
    assert search.level is DEGRADED
    clock.advance(20)
    assert search.level is NORMAL


def test_a_source_that_still_asks_for_a_level_holds_it(search, clock):
    search.set(EMERGENCY, source="a")
    search.set(DEGRADED, source="b")
    search.recover("a")
    clock.advance(3600)
    assert search.level is DEGRADED
    search.recover("b")
    clock.advance(30)
    assert search.level is NORMAL


def test_without_a_stable_time_a_level_gets_better_at_once(clock):
    component = DegradationManager("m", stable_time=0, clock=clock).component("c")
    events = told(component)
    component.set(EMERGENCY)
    component.set(DEGRADED)
    assert component.level is DEGRADED
    assert events[-1] == ("c", EMERGENCY, DEGRADED, "stable")


def test_a_level_gets_better_without_any_call_on_the_clock_of_the_machine():
    component = DegradationManager("m", stable_time=0.05).component("c")
    better = threading.Event()
    component.on_event(lambda event: better.set() if event.new is NORMAL else None)
    component.set(DEGRADED)
    component.set(NORMAL)
    assert better.wait(30)
    assert component.level is NORMAL


def test_nothing_is_left_running_once_all_levels_are_normal():
    component = DegradationManager("m", stable_time=0.01).component("c")
    component.set(DEGRADED)
    assert watching._watches
    component.set(NORMAL)
    until = time.monotonic() + 30
    while watching._watches and time.monotonic() < until:
        time.sleep(0.01)
    assert not watching._watches


def test_an_order_wins_over_all_sources_until_it_is_taken_back(search, clock):
    search.set(SEVERELY, source="check")
    search.force(NORMAL)
    assert (search.level, search.forced) == (NORMAL, NORMAL)
    search.set(EMERGENCY, source="check")
    assert search.level is NORMAL
    search.force(DEGRADED)
    clock.advance(3600)
    assert search.level is DEGRADED
    search.unforce()
    assert (search.level, search.forced) == (EMERGENCY, None)


def test_recovered_by_hand_all_components_are_normal_at_once_but_the_forced(manager):  # DG-05
    names = ("a", "b", "c")
    for name in names:
        manager.set(name, EMERGENCY)
    manager.component("c").force(DEGRADED)
    manager.recover("a")
    assert [manager.level(name) for name in names] == [NORMAL, EMERGENCY, DEGRADED]
    manager.recover_all()
    assert [manager.level(name) for name in names] == [NORMAL, NORMAL, DEGRADED]
    assert all(not component.requests for component in manager.components)


def test_the_overall_level_is_the_worst_of_all_components(manager, clock):  # DG-02
    assert manager.overall is NORMAL
    manager.set("a", DEGRADED)
    manager.set("b", SEVERELY)
    assert manager.overall is SEVERELY
    manager.recover("b")
    assert manager.overall is DEGRADED
    manager.recover("a", "manual")
    clock.advance(30)
    assert manager.overall is NORMAL


def test_the_time_in_each_level_adds_up_with_the_current_one(search, clock):  # DG-02, D-DG-1
    clock.advance(5)
    search.set(DEGRADED)
    clock.advance(10)
    search.set(EMERGENCY)
    clock.advance(2)
    search.force(DEGRADED)
    clock.advance(1.5)
    seen = search.snapshot()
    assert seen.seconds == (5, 11.5, 0, 2)
    assert seen.time_in_level == 1.5  # not with the ten seconds before
    assert seen.changes == (0, 2, 0, 1)


def test_a_snapshot_says_who_asks_and_when_the_level_may_rise(manager, search, clock):
    search.set(DEGRADED, source="check", reason="three failures")
    assert search.snapshot().rises_in is None
    assert search.snapshot().requests == (Request("check", DEGRADED, "three failures"),)
    search.recover("check")
    clock.advance(10)
    seen = manager.snapshot()
    assert (seen.kind, seen.name, seen.overall) == ("degradation", "shop", DEGRADED)
    assert [(one.name, one.level, one.rises_in, one.requests) for one in seen.components] == [
        ("search", DEGRADED, 20, ())
    ]


def test_listeners_hear_of_each_change_once_with_its_reason(manager, search, clock):
    heard, of_search = told(manager), told(search)
    search.set(DEGRADED, source="latency")
    search.set(DEGRADED, source="other")
    search.set(SEVERELY, source="latency", reason="p99 of 2 s")
    manager.set("cart", DEGRADED)
    search.recover("latency")
    search.recover("other")
    clock.advance(30)
    search.force(EMERGENCY)
    search.unforce()
    assert of_search == [
        ("search", NORMAL, DEGRADED, "latency"),
        ("search", DEGRADED, SEVERELY, "p99 of 2 s"),
        ("search", SEVERELY, NORMAL, "stable"),
        ("search", NORMAL, EMERGENCY, "forced"),
        ("search", EMERGENCY, NORMAL, "unforced"),
    ]
    assert [event for event in heard if event[0] == "search"] == of_search
    assert ("cart", NORMAL, DEGRADED, "manual") in heard


def test_an_event_has_its_manager_and_the_time_of_the_change(manager, search, clock):
    events = []
    manager.on_event(events.append)
    clock.advance(7)
    search.set(DEGRADED)
    [event] = events
    assert (event.kind, event.policy, event.at) == ("degradation", manager, 7)


def test_changes_of_many_threads_are_told_in_the_order_in_which_they_happened(manager):  # D-DG-1
    component = manager.component("busy")
    events = told(component)
    barrier = threading.Barrier(4)

    def change():
        barrier.wait()
        for _ in range(300):
            component.force(EMERGENCY)
            component.unforce()

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    levels = [NORMAL, *(new for _, _, new, _ in events)]
    assert [old for _, old, _, _ in events] == levels[:-1]
    assert sum(component.snapshot().changes) == len(events)


def test_a_listener_that_changes_a_level_is_told_of_that_afterwards(manager, search):
    heard = []

    def listener(event):
        heard.append((event.name, event.new))
        if event.name == "search":
            manager.set("cart", event.new)
            heard.append("set")

    manager.on_event(listener)
    search.set(DEGRADED)
    assert heard == [("search", DEGRADED), "set", ("cart", DEGRADED)]


def test_what_a_listener_raises_changes_no_level(manager, search, caplog):
    manager.on_event(lambda event: 1 / 0)
    search.set(DEGRADED)
    assert search.level is DEGRADED
    assert "raised" in caplog.text


def test_levels_can_be_changed_by_methods_only(manager, search):
    with pytest.raises(AttributeError, match=r"set\(\)"):
        search.level = EMERGENCY
    with pytest.raises(AttributeError, match="overall"):
        manager.overall = EMERGENCY
    assert search.level is NORMAL


def test_one_name_is_one_component(manager, search):
    assert manager.component("search") is search
    assert manager.components == (search,)
    assert search.manager is manager
    assert search.name == "search"


def test_an_unknown_component_is_an_error_with_the_nearest_name(manager, search):
    with pytest.raises(LookupError, match="did you mean 'search'"):
        manager.level("serach")
    with pytest.raises(LookupError):
        manager.recover("cart")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"name": ""}, "name: got ''"),
        ({"stable_time": -1}, "stable_time: got -1"),
        ({"stable_time": float("nan")}, "stable_time: got nan"),
        ({"clock": 3}, "clock: got 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, problem):
    with pytest.raises(hf.ConfigError, match=problem):
        DegradationManager(**{"name": "m", **settings})


def test_a_misspelt_setting_is_answered_with_the_nearest():
    with pytest.raises(hf.ConfigError, match="did you mean 'stable_time'"):
        DegradationManager("m", stable_tme=3)


@pytest.mark.parametrize("level", [4, -1, True, "bad", None, 1.0])
def test_what_is_no_level_is_refused_and_changes_nothing(search, level):
    with pytest.raises(hf.ConfigError, match=r"level: got .*allowed a Level"):
        search.set(level)
    with pytest.raises(hf.ConfigError, match=r"level: got .*allowed a Level"):
        search.force(level)
    with pytest.raises(hf.ConfigError, match="source: got ''"):
        search.set(DEGRADED, source="")
    assert search.level is NORMAL
    assert not search.requests


def test_a_manager_that_nobody_uses_is_collected_though_it_is_degraded():
    manager = DegradationManager("m", stable_time=3600)
    manager.set("c", DEGRADED)
    gone = weakref.ref(manager.component("c"))
    del manager
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_begins_with_what_is_asked_for(clock):
    manager = DegradationManager("m", stable_time=30, clock=clock)
    manager.set("asked", SEVERELY)
    manager.set("waits", EMERGENCY)
    manager.recover("waits", "manual")
    manager.feature("f", "waits")
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        found = [manager.level("asked"), manager.level("waits"), manager.overall]
        manager.set("asked", EMERGENCY)
        seconds = manager.component("waits").snapshot().seconds
        on = manager.is_enabled("f")
        os.write(
            writing, f"{[*map(int, found)]} {manager.level('asked'):d} {on} {seconds}".encode()
        )
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read() == "[2, 0, 2] 3 True (0.0, 0.0, 0.0, 0.0)"
    os.waitpid(pid, 0)
    assert manager.level("waits") is EMERGENCY
