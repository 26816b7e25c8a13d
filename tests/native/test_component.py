"""What is counted of a component through its binding: against its model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native import component as native
from holdfast._native.figures import read
from holdfast.clock import system_clock
from tests.apart import in_child
from tests.models import component as model

machines = settings.get_profile("machines")

acts = st.one_of(
    st.tuples(st.just("be"), st.integers(0, 4)),
    st.tuples(st.just("be"), st.integers(1, 2)),
    st.tuples(st.just("count"), st.integers(0, 4)),
)


@pytest.mark.stress
@settings(machines)
@given(begin=st.integers(-100, 100), script=st.lists(st.tuples(st.integers(0, 9), acts)))
def test_downtime_is_the_time_in_which_it_was_down(begin, script):  # MX-28
    made, expected = native.Component(True), model.Component()
    now_ns, last = begin, 0
    for passed_ns, (act, number) in script:
        now_ns += passed_ns
        time = (now_ns,) if act == "be" else ()
        getattr(made, act)(number, *time)
        getattr(expected, act)(number, *time)
        made.look(now_ns)
        (*counts, down_ns), (state,) = read(made)
        assert counts == list(made.counted()) == expected.counted
        assert state == made.state() == expected.state
        assert down_ns == made.down_ns(now_ns) == expected.down_ns(now_ns)
        assert down_ns >= last
        last = down_ns
    assert made.down_ns(now_ns + 7) == expected.down_ns(now_ns + 7)


def test_by_the_clock_of_the_machine_downtime_goes_on_though_nobody_looks():
    made = native.Component(False)
    began = system_clock.now_ns()
    made.be(native.DOWN, began)
    first, second = (read(made)[0][-1] for _ in range(2))
    assert 0 <= first <= second <= system_clock.now_ns() - began


def test_a_downtime_ends_when_that_is_said_and_not_before():
    """So nobody can have been shown more, though its end was decided a while ago."""
    made = native.Component(False)
    began = system_clock.now_ns()
    made.be(native.DOWN, began - 10**9)
    shown = read(made)[0][-1]
    made.be(native.UP, began - 5 * 10**8)
    ended = read(made)[0][-1]
    assert shown <= ended <= system_clock.now_ns() - began + 10**9


def test_what_nobody_keeps_any_more_is_stopped():
    for own_clock in (False, True):
        made = native.Component(own_clock)
        made.be(native.DOWN, system_clock.now_ns() - 50)
        made.look(system_clock.now_ns())
        made.end()
        (*_, down_ns), (state,) = read(made)
        assert (state, read(made)[0][-1]) == (native.STOPPED, down_ns)
        assert down_ns >= 50


def test_a_forked_child_has_counted_nothing_and_runs_nothing():  # trap 58
    made = native.Component(False)
    made.count(native.ATTEMPT)
    made.be(native.DOWN, system_clock.now_ns() - 50)

    def in_it():
        assert read(made) == ((0,) * 6, (native.STOPPED,))

    in_child(in_it)
    assert read(made)[0][0] == 1


def test_wrong_numbers_are_refused():
    made = native.Component(False)
    for wrong in (
        lambda: made.count(5),
        lambda: made.count(-1),
        lambda: made.be(5, 0),
        lambda: made.be(-1, 0),
        lambda: made.be(0, 1 << 63),
    ):
        with pytest.raises(ValueError, match="got"):
            wrong()
    with pytest.raises(TypeError):
        made.be(1.5, 0)
    assert read(made) == ((0,) * 6, (native.STOPPED,))
