"""The kernels of timeouts and fallbacks through their bindings."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast._native.fallback import Fallback
from holdfast._native.timeout import Timeout

LAST_NS = 2**63 - 1


@given(
    st.integers(0, LAST_NS), st.lists(st.integers(0, LAST_NS)), st.integers(-LAST_NS - 1, LAST_NS)
)
def test_a_deadline_is_now_and_the_duration_of_the_moment_and_never_runs_over(
    duration_ns: int, changes: list[int], now_ns: int
) -> None:  # TO-09
    timeout = Timeout(duration_ns)
    for change in [duration_ns, *changes]:
        timeout.set_duration_ns(change)
        assert timeout.duration_ns() == change
        assert timeout.deadline_ns(now_ns) == min(now_ns + change, LAST_NS)
    assert timeout.counters() == (0,) * 7


def test_work_left_behind_is_counted_until_it_stops() -> None:
    timeout = Timeout(1)
    for _ in range(3):
        timeout.count_abandoned()
    timeout.count_stopped()
    assert timeout.counters() == (0, 0, 0, 0, 3, 1, 0)


def test_a_fallback_begins_with_nothing_counted() -> None:
    assert Fallback().counters() == (0, 0, 0, 0)
