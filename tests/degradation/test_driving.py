"""A component whose level follows the state of something else."""

from __future__ import annotations

import gc
import threading
import weakref
from enum import Enum
from typing import Any

import pytest

import holdfast as hf
from holdfast.degradation import Component, DegradationManager, Level
from holdfast.events import Event, Listeners
from tests.waiting.parties import Party, until

NORMAL, DEGRADED, SEVERELY, EMERGENCY = Level


class Health(Enum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"
    FAILED = "failed"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Monitor:
    """What a component knows of a health monitor."""

    name = "backends"

    def __init__(self, level: Health = Health.UNKNOWN) -> None:
        self.level = level
        self.listeners = Listeners()
        self.states = {"db": Health.UNKNOWN, "cache": Health.UNKNOWN}

    def on_event(self, listener: Any) -> Any:
        return self.listeners.subscribe(listener)

    def status(self, name: str) -> Any:
        class Status:
            state = self.states[name]

        return Status

    def turn(self, level: Health) -> None:
        self.level = level
        self.listeners.emit(Event("health_level", self, self.name, new=level))

    def turn_check(self, name: str, state: Health) -> None:
        self.states[name] = state
        self.listeners.emit(Event("health", self, name, new=state))


def component_on(clock: hf.Clock, name: str = "search") -> Component:
    return DegradationManager("shop", stable_time=30, clock=clock).component(name)


@pytest.fixture
def search(clock: hf.ManualClock) -> Component:
    return component_on(clock)


@pytest.mark.parametrize(
    ("health", "level"),
    [("healthy", NORMAL), ("degraded", DEGRADED), ("critical", SEVERELY), ("failed", EMERGENCY)],
)
def test_a_monitor_drives_the_level(search, health, level):
    monitor = Monitor(Health(health))
    search.follow(monitor)
    assert search.level is level  # what is so at the moment is taken over
    other = component_on(search.manager._clock)
    monitor = Monitor()
    other.follow(monitor)
    assert other.level is NORMAL  # unknown asks for nothing
    monitor.turn(Health(health))
    assert other.level is level


def test_what_is_unknown_changes_nothing(search, clock):
    monitor = Monitor(Health.CRITICAL)
    search.follow(monitor)
    monitor.turn(Health.UNKNOWN)
    clock.advance(300)
    assert search.level is SEVERELY


def test_a_better_state_is_a_better_level_after_the_stable_time(search, clock):
    monitor = Monitor(Health.FAILED)
    search.follow(monitor)
    monitor.turn(Health.HEALTHY)
    clock.advance(29.9)
    assert search.level is EMERGENCY
    clock.advance(0.2)
    assert search.level is NORMAL


def test_one_check_of_a_monitor_drives_the_level_alone(search):
    monitor = Monitor()
    search.follow(monitor, check="db")
    monitor.turn_check("cache", Health.UNHEALTHY)
    monitor.turn(Health.FAILED)
    assert search.level is NORMAL
    monitor.turn_check("db", Health.UNHEALTHY)
    assert search.level is SEVERELY
    assert search.requests[0].source == "check db"
    del monitor.states["db"]  # the check is removed
    monitor.turn_check("cache", Health.HEALTHY)
    assert search.requests == ()


def test_a_check_that_is_removed_does_not_hold_the_level(search, clock):
    with hf.HealthMonitor("backends", interval=1, clock=clock) as monitor:
        for name in ("db", "cache"):
            monitor.add(hf.PingCheck(name, lambda: False, failures=1))
            search.follow(monitor, check=name)
        assert search.level is SEVERELY
        monitor.stop()
        monitor.start()  # the states are unknown for a moment
        for name in ("db", "cache"):
            clock.advance(300)
            assert search.level is SEVERELY
            monitor.remove(name)
        clock.advance(30)
        assert search.level is NORMAL


def test_an_error_budget_drives_the_level(search, clock):  # EB-05
    budget = hf.ErrorBudget("send", slo=0.9, window=60, min_requests=1, clock=clock)
    budget.record(ok=False)
    search.follow(budget)
    assert search.level is DEGRADED
    clock.advance(66)  # the failure leaves the window, without any traffic
    assert not budget.exhausted
    assert search.requests == ()
    clock.advance(30)
    assert search.level is NORMAL


def test_a_latency_budget_drives_the_level(search, clock):
    budget = hf.LatencyBudget("send", target=0.1, percentile=50, clock=clock)
    search.follow(budget)
    for _ in range(20):
        budget.record(1.0)
    assert search.level is DEGRADED


def test_an_open_breaker_drives_the_level_until_it_would_admit_a_call(search, clock):
    breaker = hf.CircuitBreaker("b", failure_threshold=1, reset_timeout=60, clock=clock)
    search.follow(breaker)
    breaker.trip()
    assert search.level is DEGRADED
    clock.advance(59.9)
    assert search.requests[0].reason == "breaker b: open"
    clock.advance(0.1)  # without any call: else none would ever show a recovery
    assert search.requests == ()
    clock.advance(30)
    assert search.level is NORMAL
    breaker.acquire().failure()
    assert search.level is DEGRADED
    breaker.force_open()
    clock.advance(3600)
    assert search.level is DEGRADED
    breaker.reset()
    clock.advance(30)
    assert search.level is NORMAL


def test_another_component_drives_the_level(clock):
    shop = DegradationManager("shop", clock=clock)
    database, search = shop.component("database"), shop.component("search")
    search.follow(database, levels={"emergency": Level.SEVERELY_DEGRADED})
    database.set(Level.DEGRADED)
    assert search.level is DEGRADED
    database.set(Level.EMERGENCY)
    assert search.level is SEVERELY


def test_the_worst_of_several_sources_counts(search, clock):
    monitor, breaker = Monitor(), hf.CircuitBreaker("b", clock=clock)
    search.follow(monitor)
    search.follow(breaker)
    breaker.trip()
    monitor.turn(Health.CRITICAL)
    breaker.reset()
    assert search.level is SEVERELY
    monitor.turn(Health.DEGRADED)
    breaker.trip()
    clock.advance(30)
    assert search.level is DEGRADED


def test_other_levels_may_be_given_for_some_states(search):
    monitor = Monitor()
    search.follow(monitor, levels={"critical": "emergency", Health.DEGRADED: None})  # type: ignore[dict-item]
    monitor.turn(Health.DEGRADED)
    assert search.level is NORMAL
    monitor.turn(Health.CRITICAL)
    assert search.level is EMERGENCY


def test_who_ends_it_takes_back_what_the_source_asked_for(search, clock):
    monitor = Monitor(Health.CRITICAL)
    unfollow = search.follow(monitor)
    unfollow()
    unfollow()
    assert len(monitor.listeners) == 0
    clock.advance(30)
    assert search.level is NORMAL
    monitor.turn(Health.FAILED)
    assert search.level is NORMAL
    search.follow(monitor)  # again
    assert search.level is EMERGENCY


def test_a_source_keeps_no_component_alive_and_a_component_its_source(clock):
    monitor = Monitor()
    component = component_on(clock)
    gone, kept = weakref.ref(component), weakref.ref(monitor)
    component.follow(monitor)
    listeners = monitor.listeners
    del monitor
    gc.collect()
    assert kept() is not None
    del component
    gc.collect()
    assert gone() is None
    assert kept() is None
    assert len(listeners) == 0


def test_a_change_during_the_first_reading_is_not_lost(search):
    class Changes(Monitor):
        def __init__(self) -> None:
            super().__init__(Health.HEALTHY)
            self.reads = 0

        @property
        def level(self) -> Health:
            self.reads += 1
            before = self._level
            if self.reads == 2:  # read to be taken over; it changes before that is used
                self.turn(Health.FAILED)
            return before

        @level.setter
        def level(self, level: Health) -> None:
            self._level = level

    search.follow(Changes())
    assert search.level is EMERGENCY


def test_of_two_changes_at_once_the_last_one_holds(search):
    inside, go = threading.Event(), threading.Event()

    class Slow(Monitor):
        hold = False

        @property
        def level(self) -> Health:
            before = self._level
            if self.hold:
                self.hold = False
                inside.set()
                assert go.wait(20)
            return before

        @level.setter
        def level(self, level: Health) -> None:
            self._level = level

    monitor = Slow(Health.HEALTHY)
    search.follow(monitor)
    monitor.hold = True
    first = Party(monitor.turn, Health.DEGRADED)
    assert inside.wait(20)
    monitor.turn(Health.CRITICAL)  # while the first is read
    go.set()
    first.result()
    until(lambda: search.level is SEVERELY)


def test_threads_that_turn_and_follow_leave_the_level_of_the_last_state(clock, stress_scale):
    for _ in range(50 * stress_scale):
        search = component_on(clock)
        breaker = hf.CircuitBreaker("b", clock=clock)
        meet = threading.Barrier(3)

        def orders(breaker: Any = breaker, meet: Any = meet) -> None:
            meet.wait(20)
            for _ in range(5):
                breaker.trip()
                breaker.reset()
            breaker.force_open()

        def follows(search: Any = search, breaker: Any = breaker, meet: Any = meet) -> None:
            meet.wait(20)
            search.follow(breaker)

        parties = [Party(orders), Party(orders), Party(follows)]
        for party in parties:
            party.result()
        breaker.force_open()
        assert search.requests[0].level is DEGRADED
        breaker.reset()
        assert search.requests == ()


def test_what_a_source_raises_when_it_is_read_first_is_raised_and_leaves_nothing(search):
    class Broken(Monitor):
        reads = 0

        @property
        def level(self) -> Health:
            self.reads += 1
            if self.reads > 1:
                raise OSError("no figures")
            return Health.HEALTHY

        @level.setter
        def level(self, level: Health) -> None: ...

    monitor = Broken()
    with pytest.raises(OSError, match="no figures"):
        search.follow(monitor)
    assert (search._followed, len(monitor.listeners)) == ([], 0)


def test_a_source_that_cannot_be_listened_to_leaves_nothing(search):
    class Deaf(Monitor):
        def on_event(self, listener: Any) -> Any:
            raise OSError("no listeners")

    with pytest.raises(OSError, match="no listeners"):
        search.follow(Deaf())
    assert search._followed == []


def test_a_source_that_is_followed_anew_while_it_is_read_is_followed(search):
    class Turning(Monitor):
        then: Any = None

        @property
        def level(self) -> Health:
            then, self.then = self.then, None
            if then is not None:
                then()
            return Health.CRITICAL

        @level.setter
        def level(self, level: Health) -> None: ...

    monitor = Turning()
    following = search.follow(monitor)

    def follow_anew() -> None:
        following()
        search.follow(monitor)

    monitor.then = follow_anew
    monitor.turn(Health.CRITICAL)
    assert [one.level for one in search.requests] == [SEVERELY]


def test_what_cannot_be_followed_is_refused(search):
    shop = search.manager
    monitor = Monitor()
    search.follow(monitor)
    other = shop.component("other")
    other.follow(search)
    third = shop.component("third")
    third.follow(other)
    for settings, text in [
        ({"source": 7}, "source: got 7, allowed a HealthMonitor, an ErrorBudget"),
        ({"source": shop}, "source: got <DegradationManager"),
        ({"source": monitor}, "allowed a source that the component does not follow already"),
        ({"source": search}, "allowed a component that does not follow this one itself"),
        ({"source": third}, "allowed a component that does not follow this one itself"),
        ({"source": Monitor(), "check": "disk"}, "check: got 'disk', allowed the name of a check"),
        ({"source": hf.CircuitBreaker("b"), "check": "db"}, "the source is no HealthMonitor"),
        ({"source": Monitor(), "levels": {"ill": 1}}, "levels: got 'ill', allowed states"),
        ({"source": Monitor(), "levels": {"failed": 9}}, "levels['failed']: got 9"),
        ({"source": Monitor(), "levels": 3}, "levels: got 3, allowed a dict"),
    ]:
        with pytest.raises(hf.ConfigError) as raised:
            search.follow(**settings)
        assert text in str(raised.value), settings
    assert len(search._followed) == 1
