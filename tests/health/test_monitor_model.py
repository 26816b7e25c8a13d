"""Whatever is done to a monitor, its states, levels and events are those of the model."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from holdfast import ManualClock
from holdfast.health import CheckResult, HealthMonitor
from holdfast.health.result import VERDICTS
from holdfast.health.schedule import phase_ns
from tests.health.monitored import Steered
from tests.models.check import Check
from tests.models.health import WORDS, MonitorModel, Watched

NAMES = ("a", "b", "c")
WHOLE = 10**9

names = st.sampled_from(NAMES)


class Monitors(RuleBasedStateMachine):
    """A monitor and its model, which the same is done to."""

    def __init__(self):
        super().__init__()
        self.clock = ManualClock()
        self.monitor = HealthMonitor("shop", clock=self.clock, jitter=0, adaptive=False, history=3)
        self.told = []
        self.monitor.on_event(lambda event: self.told.append((event.name, str(event.new))))
        self.model = MonitorModel({})
        self.checks = {}
        self.ordinal = 0

    @rule(
        name=names,
        critical=st.booleans(),
        failures=st.integers(1, 3),
        successes=st.integers(1, 3),
        start_period=st.sampled_from([0, 0, 15]),
        interval=st.integers(4, 9),
        verdict=st.sampled_from(VERDICTS),
    )
    def add(self, name, critical, failures, successes, start_period, interval, verdict):
        if name in self.checks:
            return
        check = self.checks[name] = Steered(
            name,
            interval=interval,
            critical=critical,
            failures=failures,
            successes=successes,
            start_period=start_period,
        )
        check.says = CheckResult(verdict)
        self.model.phase[name] = phase_ns(self.ordinal, interval * WHOLE)
        self.ordinal += 1
        watched = Watched(
            Check(failures, successes, start_period * WHOLE), interval * WHOLE, critical
        )
        watched.says = VERDICTS.index(verdict)
        self.monitor.add(check)
        self.model.add(name, watched)

    @rule(name=names)
    def remove(self, name):
        if name in self.checks:
            del self.checks[name]
            self.monitor.remove(name)
            self.model.remove(name)

    @rule(name=names, verdict=st.sampled_from(VERDICTS))
    def say(self, name, verdict):
        if name in self.checks:
            self.checks[name].says = CheckResult(verdict)
            self.model.checks[name].says = VERDICTS.index(verdict)

    @rule(turns=st.integers(1, 12))
    @precondition(lambda self: self.monitor.running)
    def pass_turns(self, turns):
        """Let the clock move from one due time to the next."""
        for _ in range(turns):
            due_ns = self.model.next_due()
            if due_ns is None:
                return
            assert self.clock.next_due_ns() <= due_ns  # earlier: for one that was removed
            self.clock.advance_ns(due_ns - self.clock.now_ns())
            self.model.now = self.clock.now_ns()
            self.model.work()

    @rule(name=names)
    def check_now(self, name):
        if name in self.checks:
            status = self.monitor.check_now(name)
            self.model.run(name)
            assert status.state == WORDS[self.model.checks[name].state.state]

    @rule()
    def start(self):
        self.monitor.start()
        self.model.start()

    @rule()
    def stop(self):
        assert self.monitor.stop()
        self.model.stop()

    @invariant()
    def the_states_are_those_of_the_model(self):
        for name, status in self.monitor.status().items():
            model = self.model.checks[name].state
            assert status.state == WORDS[model.state], name
            assert status.check_count == sum(model.counts)
            assert status.fail_count == model.counts[2]
            assert status.unproven_count == model.counts[3]
            assert len(self.monitor.history(name)) == min(3, status.check_count)

    @invariant()
    def the_level_and_what_follows_from_it_are_those_of_the_model(self):
        assert self.monitor.level == self.model.level_now()
        assert self.monitor.is_healthy is self.model.healthy()
        assert self.monitor.is_ready is (self.model.level in ("healthy", "degraded"))
        assert self.monitor.running is self.model.running

    @invariant()
    def each_change_was_told_once_and_in_order(self):
        assert self.told == self.model.told

    def teardown(self):
        assert self.monitor.stop()
        assert self.clock.next_due_ns() is None


Monitors.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMonitors = Monitors.TestCase
