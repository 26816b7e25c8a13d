"""The sliding limit kernel through its binding, against its model and against its promise."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from holdfast._native.bucket import SlidingWindow
from tests.models import sliding as model

pytestmark = pytest.mark.stress

SECOND = 10**9
YEAR = 365 * 86_400 * SECOND

spans = st.sampled_from([10**6, 10**6 + 3, SECOND, 60 * SECOND])


class SlidingWindowMachine(RuleBasedStateMachine):
    """``now_ns`` is the time of whoever asks, which may lag behind that of another thread."""

    taken = Bundle("taken")

    @initialize(limit=st.integers(1, 6), per_ns=spans, now_ns=st.integers(-YEAR, YEAR))
    def start(self, limit: int, per_ns: int, now_ns: int) -> None:
        self.window = SlidingWindow(limit, per_ns)
        self.model = model.SlidingWindow(limit, per_ns)
        self.now_ns = now_ns
        self.per_ns = per_ns
        self.allowed = self.rejected = self.refunded = 0

    @rule(spans=st.floats(0, 1.3))
    def wait(self, spans: float) -> None:
        self.now_ns += int(spans * self.per_ns)

    @rule(spans=st.integers(0, 10**5))
    def idle(self, spans: int) -> None:  # trap 21, trap 27
        self.now_ns += spans * self.per_ns

    @rule(lag=st.floats(0, 3))
    def another_thread_is_behind(self, lag: float) -> None:  # trap 20, trap 25
        self.now_ns -= int(lag * self.per_ns)

    @rule(target=taken, n=st.integers(0, 7))
    def try_take(self, n: int) -> object:  # RL-01
        allowed = self.model.try_take(n, self.now_ns)
        self.allowed += allowed
        self.rejected += not allowed
        assert self.window.try_take(n, self.now_ns) == allowed
        return (n, self.now_ns) if allowed else multiple()

    @rule(take=consumes(taken))
    def refund(self, take: tuple[int, int]) -> None:  # trap 32
        self.refunded += 1
        self.window.refund(*take)
        self.model.refund(*take)

    @rule(limit=st.integers(1, 6))
    def resize(self, limit: int) -> None:  # trap 37
        self.window.resize(limit)
        self.model.resize(limit)

    @rule()
    def clear(self) -> None:
        self.window.clear()
        self.model.clear()

    @invariant()
    def agrees_with_the_model(self) -> None:  # trap 24, trap 26
        assert self.window.available(self.now_ns) == self.model.available(self.now_ns)
        for n in range(self.model.limit + 2):
            assert self.window.wait_ns(n, self.now_ns) == self.model.wait_ns(n, self.now_ns)
        assert self.window.limit() == self.model.limit
        assert self.window.counters() == (self.allowed, self.rejected, self.refunded)


TestSlidingWindow = SlidingWindowMachine.TestCase
TestSlidingWindow.settings = settings.get_profile("machines")
