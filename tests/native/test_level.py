"""The level of a component through its binding: against its model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.figures import read
from holdfast._native.level import Level, own_methods
from tests.models import level as model

pytestmark = pytest.mark.stress
machines = settings.get_profile("machines")

levels = st.integers(0, 3)
acts = st.one_of(
    st.tuples(st.just("ask"), levels),
    st.tuples(st.just("ask"), levels),
    st.tuples(st.just("force"), st.one_of(st.none(), levels)),
    st.tuples(st.just("recover")),
    st.tuples(st.just("look")),
)
scripts = st.lists(st.tuples(st.integers(0, 12), acts), max_size=40)


@settings(machines)
@given(stable=st.integers(0, 20), script=scripts)
def test_the_level_is_the_worst_that_was_asked_for_within_the_stable_time(stable, script):  # DG-01
    level, expected = Level(stable, 5), model.Level(stable, 5)
    now_ns = 5
    for passed_ns, (act, *given_) in script:
        now_ns += passed_ns
        changed = getattr(level, act)(*given_, now_ns)
        assert changed == getattr(expected, act)(*given_, now_ns)
        assert level.get() == expected.level
        assert level.forced() == expected.forced
        assert level.since_ns() == expected.since_ns
        assert level.ends_ns() == expected.ends_ns()
        assert level.times(now_ns) == tuple(expected.times)
        assert level.changes() == tuple(expected.changes)
        assert sum(level.times(now_ns + 7)) == now_ns + 7 - 5  # D-DG-1


@settings(machines)
@given(script=scripts, looks=st.lists(st.integers(0, 12), max_size=10))
def test_how_often_anybody_looks_does_not_matter(script, looks):
    often, rarely = Level(10, 0), Level(10, 0)
    now_ns = 0
    for passed_ns, (act, *given_) in script:
        for some_ns in sorted(looks):
            if some_ns < passed_ns:
                often.look(now_ns + some_ns)
        now_ns += passed_ns
        getattr(often, act)(*given_, now_ns)
        getattr(rarely, act)(*given_, now_ns)
        assert often.get() == rarely.get()


def test_its_figures_are_what_was_counted_and_the_level():  # DG-10
    level = Level(10, 0)
    level.ask(2, 30)
    level.count_shed(3)
    level.count(70)
    level.count(60)
    counts, now = read(level)
    assert counts == (0, 0, 1, 0, 30, 0, 40, 0, 0, 0, 0, 1)
    assert now == (2,)
    assert level.shed() == (0, 0, 0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Level(-1, 0),
        lambda: Level(0, 0).ask(4, 0),
        lambda: Level(0, 0).ask(-1, 0),
        lambda: Level(0, 0).force(4, 0),
        lambda: Level(0, 0).count_shed(4),
    ],
)
def test_what_is_no_level_is_refused(wrong):
    with pytest.raises(ValueError, match=r"allowed \d to \d"):
        wrong()


def test_only_a_class_with_flags_can_own_their_method():
    with pytest.raises(TypeError, match="allowed a subclass of Flags"):
        own_methods(dict)
