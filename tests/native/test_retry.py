"""The retry's kernel through its binding. Its contract: tests/c/test_retry.c."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.retry import VERDICTS, Retry

pytestmark = pytest.mark.stress

MOST = 2**63 - 1
machines = settings.get_profile("machines")


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
    ends = (
        "exhausted", "out_of_time", "deadline", "no_budget", "not_retryable", "rejected",
        "cancelled",
    )  # fmt: skip
    for verdict in VERDICTS[1:]:
        kernel.count_end(verdict)
    assert kernel.gave_up() == dict.fromkeys(ends, 1)
    for wrong in ("again", "tired", "", None):
        with pytest.raises(ValueError, match=r"verdict|index"):
            kernel.count_end(wrong)  # type: ignore[arg-type]
    assert kernel.gave_up() == dict.fromkeys(ends, 1)
