"""The state of a health check through its binding: against its model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.check import CheckState
from tests.models import check as model

pytestmark = pytest.mark.stress
machines = settings.get_profile("machines")

verdicts = st.sampled_from("ppppddffff?")
lives = st.lists(
    st.one_of(
        st.tuples(st.just("result"), verdicts, st.integers(0, 4)),
        st.tuples(st.just("late"), verdicts, st.integers(1, 9)),
        st.tuples(st.just("in vain"), st.just("?"), st.integers(5, 12)),
        st.tuples(st.just("start"), st.just(""), st.integers(0, 3)),
    ),
    max_size=60,
)


@settings(machines)
@given(
    failures=st.integers(1, 15),
    successes=st.integers(1, 4),
    start_period=st.integers(0, 20),
    life=lives,
)
def test_each_result_decides_as_the_model_says(failures, successes, start_period, life):
    # D-HC-2, D-HC-3, HC-08, traps 61, 62, 65
    check = CheckState(failures, successes, start_period)
    expected = model.Check(failures, successes, start_period)
    now = 0
    for act, said, n in life:
        if act == "start":
            now += n
            assert check.start(now) == expected.start(now)
        elif act == "in vain":
            for _ in range(n):
                assert check.record(3, now, 0) == expected.record(3, now)
        else:
            verdict = "pdf?".index(said)
            now += n if act == "result" else 0
            began = now if act == "result" else now - n
            assert check.record(verdict, began, 1) == expected.record(verdict, began)
        passes, failed, _, _ = expected.runs()
        assert check.state == expected.state
        assert check.pending == expected.pending()
        assert (check.passes_in_a_row, check.failures_in_a_row) == (passes, failed)
        passed, limped, failed, unproven = expected.counts
        assert (check.passes, check.degraded) == (passed + limped, limped)
        assert (check.failed, check.unproven) == (failed, unproven)
        assert check.checks == sum(expected.counts)


def test_a_check_knows_when_it_last_passed_failed_and_ran():  # HC-05
    check = CheckState(3, 1, 0)
    assert (check.last_ns, check.last_pass_ns, check.last_failure_ns) == (None, None, None)
    check.record(0, 100, 20)
    check.record(2, 200, 30)
    check.record(3, 300, 40)
    check.abandon()
    assert (check.last_ns, check.last_pass_ns, check.last_failure_ns) == (340, 120, 230)
    assert (check.last_duration_ns, check.sum_ns, check.abandoned) == (40, 50, 1)
