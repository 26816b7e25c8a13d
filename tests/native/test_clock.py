"""The clock kernel through its binding: what tests/ground/test_clock.py does not show."""

import pytest

from holdfast._native.clock import Clock, ManualClock, read_repeatedly

pytestmark = pytest.mark.stress


def test_coarse_time_lags_by_a_tick_at_most() -> None:
    """On the system clock; a pause of the machine only makes the coarse time later."""
    clock = Clock()
    before = clock.now_ns()
    assert clock.coarse_ns() > before - 100_000_000
    assert clock.coarse_ns() <= clock.now_ns()


def test_many_reads_give_the_last_time_read() -> None:
    clock = Clock()
    before = clock.now_ns()
    assert before <= read_repeatedly(clock, 1_000) <= clock.now_ns()
    assert read_repeatedly(ManualClock(7), 1) == 7


@pytest.mark.parametrize("n", [0, -1, 100_001, 2**70])
def test_a_number_of_reads_that_is_out_of_range_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=r"^n: got .*, allowed .*100000"):
        read_repeatedly(Clock(), n)
