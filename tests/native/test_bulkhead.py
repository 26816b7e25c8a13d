"""The bulkhead kernel through its binding, against its model."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast._native.bulkhead import Bulkhead
from tests.models import bulkhead as model

pytestmark = pytest.mark.stress


class BulkheadMachine(RuleBasedStateMachine):
    """Each rule does one thing to both; leaving, granting and giving up come in any order."""

    @initialize(limit=st.integers(1, 4), max_waiting=st.integers(0, 3))
    def start(self, limit: int, max_waiting: int) -> None:
        self.bulkhead = Bulkhead(limit, max_waiting)
        self.model = model.Bulkhead(limit, max_waiting)

    @rule()
    def try_enter(self) -> None:  # BH-03
        assert self.bulkhead.try_enter() == self.model.try_enter()

    @rule()
    def enter_or_queue(self) -> None:  # BH-01, BH-02
        assert self.bulkhead.enter_or_queue() == self.model.enter_or_queue()

    @rule()
    def leave(self) -> None:  # BH-06, trap 34: also when nobody is inside
        assert self.bulkhead.leave() == self.model.leave()

    @rule()
    def undo(self) -> None:
        assert self.bulkhead.undo() == self.model.undo()

    @rule()
    def grant(self) -> None:
        assert self.bulkhead.grant() == self.model.grant()

    @rule()
    def unqueue(self) -> None:  # trap 33
        assert self.bulkhead.unqueue() == self.model.unqueue()

    @rule()
    def force_enter(self) -> None:
        assert self.bulkhead.force_enter()
        self.model.force_enter()

    @rule(limit=st.integers(1, 5))
    def resize(self, limit: int) -> None:  # trap 37
        assert self.bulkhead.resize(limit) == self.model.resize(limit)

    @rule()
    def forget(self) -> None:  # trap 58
        self.bulkhead._forget()
        self.model.forget()

    @rule()
    def count_timed_out(self) -> None:
        self.bulkhead.count_timed_out()
        self.model.timed_out += 1

    @precondition(lambda self: self.model.waiting)
    @rule()
    def the_pump_leaves_no_waiter_beside_a_free_slot(self) -> None:
        while self.model.grant():
            assert self.bulkhead.grant()
        assert not self.bulkhead.grant()
        assert not self.model.waiting or self.model.in_flight >= self.model.limit

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.bulkhead.in_flight() == self.model.in_flight
        assert self.bulkhead.waiting() == self.model.waiting
        assert self.bulkhead.limit() == self.model.limit
        assert self.bulkhead.max_waiting() == self.model.max_waiting

    @invariant()
    def counts_are_conserved(self) -> None:  # BH-07
        counters = self.bulkhead.counters()
        assert counters == self.model.counters()
        admitted, completed, undone, *_ = counters
        assert admitted - completed - undone == self.bulkhead.in_flight()


TestBulkhead = BulkheadMachine.TestCase
TestBulkhead.settings = settings.get_profile("machines")
