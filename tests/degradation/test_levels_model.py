"""A manager against a model: any order of requests, orders, flags and time."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import holdfast as hf
from holdfast.degradation import DegradationManager
from tests.models import level as model

COMPONENTS = ("a", "b")
SOURCES = ("check", "budget", "breaker")
# Name: component, worst level, needs.
FEATURES = {
    "base": ("a", 2, ()),
    "middle": ("b", 1, ("base",)),
    "top": (None, 1, ("middle", "flag")),
    "flag": (None, 1, ()),
}
STABLE = 30
SECOND = 10**9

components = st.sampled_from(COMPONENTS)
levels = st.integers(0, 3)


class Levels(RuleBasedStateMachine):
    """Two components, three sources, four features."""

    def __init__(self):
        super().__init__()
        self.clock = hf.ManualClock()
        self.manager = DegradationManager("m", stable_time=STABLE, clock=self.clock)
        self.levels = {name: model.Level(STABLE * SECOND, 0) for name in COMPONENTS}
        self.asked = {name: dict.fromkeys(SOURCES, 0) for name in COMPONENTS}
        self.disabled: set[str] = set()
        self.shown = dict.fromkeys(COMPONENTS, 0)  # by the events
        self.on = dict.fromkeys(FEATURES, True)
        for name in COMPONENTS:
            self.manager.component(name)
        for name, (component, up_to, needs) in FEATURES.items():
            self.manager.feature(name, component, up_to, needs)
        self.manager.on_event(self.hear)

    def hear(self, event):
        assert event.at == self.clock.now()
        if event.kind == "degradation":
            assert self.shown[event.name] == event.old != event.new
            self.shown[event.name] = event.new
        else:
            assert self.on[event.name] is event.old is not event.new
            self.on[event.name] = event.new
            # Nothing is ever on while something that it needs is off.
            for name, (_, _, needs) in FEATURES.items():
                assert not self.on[name] or all(self.on[need] for need in needs)

    def now_ns(self):
        return round(self.clock.now() * SECOND)

    def ask(self, name):
        self.levels[name].ask(max(self.asked[name].values()), self.now_ns())

    @rule(name=components, source=st.sampled_from(SOURCES), level=levels)
    def set(self, name, source, level):
        self.asked[name][source] = level
        self.manager.set(name, level, source=source)
        self.ask(name)

    @rule(name=components, source=st.sampled_from(SOURCES))
    def recover_one(self, name, source):
        self.asked[name][source] = 0
        self.manager.recover(name, source)
        self.ask(name)

    @rule(name=components)
    def recover(self, name):
        self.asked[name] = dict.fromkeys(SOURCES, 0)
        self.manager.recover(name)
        self.levels[name].recover(self.now_ns())

    @rule(name=components, level=levels)
    def force(self, name, level):
        self.manager.component(name).force(level)
        self.levels[name].force(level, self.now_ns())

    @rule(name=components)
    def unforce(self, name):
        self.manager.component(name).unforce()
        self.levels[name].force(None, self.now_ns())

    @rule(name=st.sampled_from(tuple(FEATURES)), on=st.booleans())
    def set_feature(self, name, on):
        self.manager.features.set(name, on)
        (self.disabled.discard if on else self.disabled.add)(name)

    @rule(seconds=st.integers(1, 40))
    def pass_time(self, seconds):
        """The model looks each second; the manager's timer fires when a level ends."""
        for _ in range(seconds):
            self.clock.advance(1)
            for one in self.levels.values():
                one.look(self.now_ns())

    @invariant()
    def levels_and_times_are_those_of_the_model(self):  # DG-01, DG-02, D-DG-1
        now_ns = self.now_ns()
        for name, expected in self.levels.items():
            component = self.manager.component(name)
            expected.look(now_ns)
            assert component.level == expected.level == self.shown[name]
            seen = component.snapshot()
            assert [round(s * SECOND) for s in seen.seconds] == expected.times
            assert list(seen.changes) == expected.changes
            assert round(seen.time_in_level * SECOND) == now_ns - expected.since_ns
        assert self.manager.overall == max(one.level for one in self.levels.values())

    @invariant()
    def features_are_those_of_the_model(self):  # DG-06
        on: dict[str, bool] = {}
        for name in ("base", "flag", "middle", "top"):
            component, up_to, needs = FEATURES[name]
            fits = component is None or self.levels[component].level <= up_to
            on[name] = fits and name not in self.disabled and all(on[need] for need in needs)
        assert self.manager.features.all() == on == self.on
        assert {name: self.manager.is_enabled(name) for name in FEATURES} == on


Levels.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestLevels = Levels.TestCase
