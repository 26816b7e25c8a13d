"""The token bucket kernel through its binding, against its model and against its definition."""

from fractions import Fraction

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

from holdfast._native.bucket import TokenBucket
from tests.models import bucket as model

pytestmark = pytest.mark.stress

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR = 365 * DAY

# num tokens in den ns, burst: rates that lose a fraction wherever one can be lost, and extremes.
RATES = [
    (3, SECOND, 3),
    (337, 10 * SECOND, 10),
    (999, 60 * SECOND, 7),
    (1000, SECOND, 1),
    (200_000, SECOND, 500),
    (199_999, 7, 3),
    (1, 1, 1),
    (1, DAY, 5),
]
rates = st.sampled_from(RATES)


class TokenBucketMachine(RuleBasedStateMachine):
    taken = Bundle("taken")

    @initialize(rate=rates, now_ns=st.integers(-YEAR, YEAR))
    def start(self, rate: tuple[int, int, int], now_ns: int) -> None:
        self.bucket = TokenBucket(*rate, now_ns)
        self.model = model.TokenBucket(*rate, now_ns)
        self.now_ns = now_ns
        self.allowed = self.rejected = self.refunded = 0

    def _count(self, allowed: bool) -> None:
        self.allowed += allowed
        self.rejected += not allowed

    @rule(tokens=st.fractions(0, 4))
    def wait(self, tokens: Fraction) -> None:
        self.now_ns += int(tokens * self.model.den / self.model.num)

    @rule(target=taken, n=st.integers(0, 11))
    def try_take(self, n: int) -> object:  # RL-01, RL-06
        allowed = self.model.try_take(n, self.now_ns)
        self._count(allowed)
        assert self.bucket.try_take(n, self.now_ns) == allowed
        return n if allowed else multiple()

    @rule(target=taken, n=st.integers(0, 11), max_wait_ns=st.integers(0, 10 * SECOND))
    def take_within(self, n: int, max_wait_ns: int) -> object:  # RL-01, trap 40, trap 42
        wait_ns = self.model.take_within(n, self.now_ns, max_wait_ns)
        self._count(wait_ns >= 0)
        assert self.bucket.take_within(n, self.now_ns, max_wait_ns) == wait_ns
        return n if wait_ns >= 0 else multiple()

    @rule(target=taken, n=st.integers(0, 11))
    def reserve(self, n: int) -> object:  # RL-01, trap 38, trap 41
        wait_ns = self.model.reserve(n, self.now_ns)
        self._count(wait_ns is not None)
        assert self.bucket.reserve(n, self.now_ns) == wait_ns
        return n if wait_ns is not None else multiple()

    @rule(n=consumes(taken))
    def refund(self, n: int) -> None:  # trap 32
        self.refunded += 1
        self.bucket.refund(n)
        self.model.refund(n)

    @rule(rate=st.sampled_from(RATES[:-1]))
    def resize(self, rate: tuple[int, int, int]) -> None:  # trap 37
        if self.model.level(self.now_ns) * rate[1] < -(2**60):
            return  # more debt than a word holds: it would be cut
        self.bucket.resize(*rate, self.now_ns)
        self.model.resize(*rate, self.now_ns)

    @rule()
    def clear(self) -> None:
        self.bucket.clear()
        self.model.clear()

    @rule(n=st.integers(0, 11))
    def clear_but(self, n: int) -> None:
        self.bucket.clear_but(n, self.now_ns)
        self.model.clear_but(n, self.now_ns)

    @invariant()
    def knows_when_bookings_are_due(self) -> None:
        for after in (0, 1, 7):
            due_ns = self.bucket.due_ns(after, self.now_ns)
            assert due_ns == self.model.due_ns(after, self.now_ns)

    @invariant()
    def agrees_with_the_model(self) -> None:  # trap 39: to the last fraction
        assert self.bucket.available(self.now_ns) == self.model.available(self.now_ns)
        for n in (0, 1, self.model.burst, self.model.burst + 1):
            assert self.bucket.wait_ns(n, self.now_ns) == self.model.wait_ns(n, self.now_ns)
        assert self.bucket.rate() == (self.model.num, self.model.den, self.model.burst)
        assert self.bucket.counters() == (self.allowed, self.rejected, self.refunded)


class PatientTokenBucketMachine(TokenBucketMachine):
    """Time runs forward, at times by much: the kernel moves the base of its time along."""

    @rule(idle_ns=st.one_of(st.integers(0, 2 * HOUR), st.integers(0, YEAR)))
    def idle(self, idle_ns: int) -> None:  # trap 21
        self.now_ns += idle_ns


class SkewedTokenBucketMachine(TokenBucketMachine):
    """Threads read the clock before one another; the base stays, and with it exactness."""

    @initialize(rate=st.sampled_from(RATES[:-1]), now_ns=st.integers(-YEAR, YEAR))
    def start(self, rate: tuple[int, int, int], now_ns: int) -> None:
        super().start(rate, now_ns)
        self.latest_ns = now_ns

    @rule(lag_ns=st.integers(0, 30 * MINUTE))
    def another_thread_is_behind(self, lag_ns: int) -> None:  # trap 20, trap 25
        self.latest_ns = max(self.latest_ns, self.now_ns)
        self.now_ns = self.latest_ns - lag_ns


TestPatientTokenBucket = PatientTokenBucketMachine.TestCase
TestPatientTokenBucket.settings = settings.get_profile("machines")
TestSkewedTokenBucket = SkewedTokenBucketMachine.TestCase
TestSkewedTokenBucket.settings = settings.get_profile("machines")
