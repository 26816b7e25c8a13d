"""The two window kernels through their bindings, against their models."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast._native.window import CountWindow, TimeWindow
from tests.models import windows as model
from tests.models.windows import FAILURE, IGNORED, SUCCESS

pytestmark = pytest.mark.stress

outcomes = st.sampled_from([SUCCESS, SUCCESS, FAILURE, IGNORED])
# Eras, which mark what a generation left behind, have 10 bits in one kernel: all of them come by.
generations = st.sampled_from([1, 1, 1, 2, 1022, 1023, 1024, 1025])


class CountWindowMachine(RuleBasedStateMachine):
    @initialize(n=st.integers(1, 7))
    def start(self, n: int) -> None:
        self.window = CountWindow(n)
        self.model = model.CountWindow(n)
        self.generation = 0

    @rule(outcome=outcomes, slow=st.booleans(), times=st.integers(1, 4))
    def record(self, outcome: int, slow: bool, times: int) -> None:
        for _ in range(times):
            self.window.record(self.generation, outcome, slow)
            self.model.record(self.generation, outcome, slow)

    @precondition(lambda self: self.generation)
    @rule(outcome=outcomes, slow=st.booleans(), age=st.integers(1, 300))
    def record_of_an_earlier_generation(self, outcome: int, slow: bool, age: int) -> None:  # trap 2
        self.window.record(max(0, self.generation - age), outcome, slow)
        self.model.record(max(0, self.generation - age), outcome, slow)

    @rule(outcome=outcomes, slow=st.booleans(), later=generations)
    def later_generations(self, outcome: int, slow: bool, later: int) -> None:
        for _ in range(later):
            self.generation += 1
            self.window.record(self.generation, outcome, slow)
            self.model.record(self.generation, outcome, slow)

    @invariant()
    def agrees_with_the_model(self) -> None:  # trap 28: no sum drifts
        assert self.window.read(self.generation) == self.model.read(self.generation)

    @invariant()
    def a_generation_knows_nothing_of_the_next(self) -> None:  # trap 16
        assert self.window.read(self.generation + 1) == (0, 0, 0, 0)


TestCountWindow = CountWindowMachine.TestCase
TestCountWindow.settings = settings.get_profile("machines")


class TimeWindowMachine(RuleBasedStateMachine):
    @initialize(
        slices=st.integers(1, 4),
        slice_ns=st.sampled_from([1, 7, 10**8]),
        now_ns=st.integers(-(10**12), 10**12),
    )
    def start(self, slices: int, slice_ns: int, now_ns: int) -> None:
        self.window = TimeWindow(slices, slice_ns)
        self.model = model.TimeWindow(slices, slice_ns)
        self.slice_ns = slice_ns
        self.span_ns = slices * slice_ns
        self.now_ns = now_ns
        self.generation = 0

    def _record(self, generation: int, outcome: int, slow: bool) -> None:
        self.window.record(generation, self.now_ns, outcome, slow)
        self.model.record(generation, self.now_ns, outcome, slow)

    @rule(outcome=outcomes, slow=st.booleans(), times=st.integers(1, 3))
    def record(self, outcome: int, slow: bool, times: int) -> None:
        for _ in range(times):
            self._record(self.generation, outcome, slow)

    @precondition(lambda self: self.generation)
    @rule(outcome=outcomes, slow=st.booleans())
    def record_of_an_earlier_generation(self, outcome: int, slow: bool) -> None:  # trap 2
        self._record(self.generation - 1, outcome, slow)

    @rule(outcome=outcomes, slow=st.booleans(), later=st.integers(1, 3))
    def a_later_generation(self, outcome: int, slow: bool, later: int) -> None:
        self.generation += later
        self._record(self.generation, outcome, slow)

    @rule(spans=st.floats(0, 2))
    def wait(self, spans: float) -> None:
        self.now_ns += int(spans * self.span_ns)

    @rule(slices=st.integers(0, 10**6))
    def idle(self, slices: int) -> None:  # trap 21, trap 27
        self.now_ns += slices * self.slice_ns

    @precondition(lambda self: self.now_ns < 2**62)
    @rule(turns=st.integers(1, 2), spans=st.floats(0, 1))
    def idle_until_slots_have_their_numbers_again(self, turns: int, spans: float) -> None:
        # trap 27: 28 bits of them
        self.now_ns += turns * 2**28 * self.span_ns + int(spans * self.span_ns)

    @rule(back=st.floats(0, 1, exclude_max=True))
    def another_thread_is_a_little_behind(self, back: float) -> None:  # trap 25
        self._step_back(int(back * self.slice_ns))

    @rule(slices=st.integers(0, 12) | st.integers(0, 10**6))
    def another_thread_was_held_up_for_long(self, slices: int) -> None:  # trap 25
        self._step_back(slices * self.slice_ns)

    def _step_back(self, ns: int) -> None:
        self.now_ns = max(self.now_ns - ns, -(2**62))

    @invariant()
    def agrees_with_the_model(self) -> None:  # trap 24, trap 26, trap 28
        got = self.window.read(self.generation, self.now_ns)
        assert got == self.model.read(self.generation, self.now_ns)

    @invariant()
    def no_part_exceeds_the_whole(self) -> None:  # trap 28
        calls, failures, slow, _ = self.window.read(self.generation, self.now_ns)
        assert failures <= calls
        assert slow <= calls

    @invariant()
    def failures_are_not_overlooked(self) -> None:
        _, failures, slow, _ = self.model.read(self.generation, self.now_ns)
        if failures or slow:
            assert self.window.has_failures(self.generation, self.now_ns)


TestTimeWindow = TimeWindowMachine.TestCase
TestTimeWindow.settings = settings.get_profile("machines")
