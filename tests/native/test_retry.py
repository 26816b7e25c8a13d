"""The retry's kernel through its binding, against its model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast._native.retry import VERDICTS, Retry
from tests.models import retry as model

pytestmark = pytest.mark.stress

SECOND = 10**9
MOST = 2**63 - 1
YEARS = 100 * 365 * 86_400 * SECOND
machines = settings.get_profile("machines")

# Times and lengths whose sums 63 bits can hold, as those of a policy are.
moments = st.one_of(st.integers(-20, 20), st.integers(-YEARS, YEARS // 2))
lengths = st.one_of(st.integers(0, 20), st.integers(0, 40 * SECOND), st.integers(0, YEARS // 2))
ordinals = st.one_of(st.integers(1, 20), st.integers(1, 2**32 - 1))


class RetryMachine(RuleBasedStateMachine):
    @initialize(
        attempts=st.one_of(st.integers(1, 5), st.integers(1, 2**32 - 1)),
        max_time_ns=st.one_of(st.none(), lengths),
    )
    def start(self, attempts: int, max_time_ns: int | None) -> None:
        self.kernel = Retry(attempts, -1 if max_time_ns is None else max_time_ns)
        self.model = model.Retry(attempts, max_time_ns)

    @rule(
        retries=st.one_of(st.integers(0, 6), st.integers(0, 2**32 - 1)),
        started_ns=moments,
        elapsed_ns=lengths,
        delay_ns=lengths,
        left_ns=st.one_of(st.none(), st.integers(-20, 40), lengths),
    )
    def decide(
        self, retries: int, started_ns: int, elapsed_ns: int, delay_ns: int, left_ns: int | None
    ) -> None:  # RT-02, RT-21, D-C-4
        now_ns = started_ns + elapsed_ns
        deadline_ns = None if left_ns is None else now_ns + left_ns
        answer = self.kernel.decide(
            retries, started_ns, now_ns, delay_ns, MOST if deadline_ns is None else deadline_ns
        )
        assert answer == self.model.decide(retries, started_ns, now_ns, delay_ns, deadline_ns)

    @rule(delay_ns=st.one_of(lengths, st.sampled_from(model.BOUNDS)), more=st.integers(0, 1))
    def pause(self, delay_ns: int, more: int) -> None:
        self.kernel.count_delay(delay_ns + more)
        self.model.count_delay(delay_ns + more)

    @rule(ordinal=ordinals)
    def begin_again(self, ordinal: int) -> None:  # RT-25
        self.kernel.count_retry(ordinal)
        self.model.count_retry(ordinal)

    @rule(retries=st.one_of(st.integers(0, 2), ordinals))
    def succeed(self, retries: int) -> None:  # RT-22, RT-23
        self.kernel.count_success(retries)
        self.model.count_success(retries)

    @rule(verdict=st.sampled_from(model.ENDS))
    def give_up(self, verdict: str) -> None:
        self.kernel.count_end(verdict)
        self.model.count_end(verdict)

    @rule()
    def observe(self) -> None:
        self.kernel.count_observed()
        self.model.count_observed()

    @invariant()
    def has_counted_what_the_model_has(self) -> None:
        assert self.kernel.counters() == self.model.counters()
        assert self.kernel.gave_up() == self.model.gave_up()
        assert self.kernel.retries() == self.model.retries()
        counts, total_ns = self.kernel.delays()
        expected, expected_ns = self.model.delays()
        assert (counts, total_ns) == (expected, expected_ns % 2**64)


TestRetry = RetryMachine.TestCase
TestRetry.settings = machines


@settings(machines)
@given(
    attempts=st.integers(1, 2**32 - 1),
    max_time_ns=st.integers(-1, MOST),
    retries=st.integers(0, 2**32 - 1),
    started_ns=st.integers(-MOST - 1, MOST),
    now_ns=st.integers(-MOST - 1, MOST),
    delay_ns=st.integers(0, MOST),
    deadline_ns=st.integers(-MOST - 1, MOST),
)
def test_whatever_the_numbers_no_retry_begins_after_its_limits(
    attempts: int,
    max_time_ns: int,
    retries: int,
    started_ns: int,
    now_ns: int,
    delay_ns: int,
    deadline_ns: int,
) -> None:  # traps 38 and 49
    kernel = Retry(attempts, max_time_ns)
    answer = kernel.decide(retries, started_ns, now_ns, delay_ns, deadline_ns)
    begin_ns = min(now_ns + delay_ns, MOST)  # no time is later
    if answer == "again":
        assert retries + 1 < attempts
        assert begin_ns < deadline_ns or deadline_ns == MOST
        assert max_time_ns == -1 or min(begin_ns - started_ns, MOST) <= max_time_ns
    else:
        assert answer in ("exhausted", "deadline", "out_of_time")


def test_every_way_to_give_up_is_counted_by_its_name_and_no_other() -> None:
    kernel = Retry(3)
    for verdict in VERDICTS[1:]:
        kernel.count_end(verdict)
    assert kernel.gave_up() == dict.fromkeys(model.ENDS, 1)
    for wrong in ("again", "tired", "", None):
        with pytest.raises(ValueError, match=r"verdict|index"):
            kernel.count_end(wrong)  # type: ignore[arg-type]
    assert kernel.gave_up() == dict.fromkeys(model.ENDS, 1)
