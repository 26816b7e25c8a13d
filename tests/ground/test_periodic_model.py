"""A loop ticks when a model in plain Python ticks, whatever is done to it, in and out of ticks."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast import ManualClock
from holdfast.periodic import Periodic
from holdfast.testing import loops
from tests.models.periodic import PeriodicModel

SECONDS = st.integers(0, 35)
ACTS = st.sampled_from(["nothing", "fail", "wake", "stop", "restart", "late", "late and wake"])


class Loop:
    """A loop and its model; ticks of both act alike."""

    def __init__(self):
        self.clock = ManualClock()
        self.real = Periodic(self.tick, 10, name="p", clock=self.clock)
        self.model = PeriodicModel(10, self.act_in_model)
        self.seen = []
        self.acts, self.acts_of_model = [], []

    def plan(self, act, seconds):
        """Have one of the next ticks act in some way."""
        self.acts.append((act, seconds))
        self.acts_of_model.append((act, seconds))

    def tick(self):
        self.seen.append((self.clock.now(), self.real.lateness))
        act, seconds = self.acts.pop(0) if self.acts else ("nothing", 0)
        self.do(act, seconds, self.real, self.clock)
        if act == "fail":
            raise ValueError

    def act_in_model(self):
        act, seconds = self.acts_of_model.pop(0) if self.acts_of_model else ("nothing", 0)
        self.do(act, seconds, self.model, self.model)
        return act == "fail"

    @staticmethod
    def do(act, seconds, loop, clock):
        if "late" in act:
            clock.advance(seconds)
        if "wake" in act:
            loop.wake()
        if act in {"stop", "restart"}:
            loop.stop()
        if act == "restart":
            loop.start()


class Machine(RuleBasedStateMachine):
    """What is done from outside of ticks."""

    def __init__(self):
        super().__init__()
        self.both = Loop()

    @rule(act=ACTS, seconds=SECONDS)
    def plan(self, act, seconds):
        self.both.plan(act, seconds)

    @rule(seconds=SECONDS)
    def advance(self, seconds):
        self.both.clock.advance(seconds)
        self.both.model.advance(seconds)

    @rule(word=st.sampled_from(["start", "start", "stop", "wake"]))
    def call(self, word):
        getattr(self.both.real, word)()
        getattr(self.both.model, word)()

    @invariant()
    def they_agree(self):
        real, model = self.both.real, self.both.model
        assert self.both.seen == model.seen
        assert real.running == (model.run is not None)
        counts = (real.ticks, real.failures, real.missed)
        assert counts == (model.ticks, model.failures, model.missed)
        assert self.both.clock.next_due_ns() == (model.run and model.run.due * 10**9)

    def teardown(self):
        self.both.real.stop()


TestPeriodic = Machine.TestCase
TestPeriodic.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.lists(st.tuples(st.booleans(), SECONDS), max_size=8), st.integers(1, 200))
@settings(max_examples=60)
def test_a_loop_in_a_task_ticks_when_the_model_does(ticks, whole):
    async def main():
        acts = iter(ticks)
        seen = []

        async def tick():
            seen.append((clock.now(), periodic.lateness))
            wakes, seconds = next(acts, (False, 0))
            await asyncio.sleep(seconds)
            if wakes:
                periodic.wake()

        periodic = Periodic(tick, 10, name="p", clock=clock)
        async with periodic:
            await asyncio.sleep(whole + 0.5)
        return seen, periodic.missed

    def act():
        wakes, seconds = next(acts_of_model, (False, 0))
        model.advance(seconds)
        if wakes:
            model.wake()
        return False

    clock = ManualClock(auto=False)
    acts_of_model = iter(ticks)
    model = PeriodicModel(10, act)
    model.start()
    while model.now <= whole:
        model.advance(1)
    seen, missed = loops.run(main(), clock=clock)
    assert seen == [tick for tick in model.seen if tick[0] <= whole]
    assert missed <= model.missed
