"""The decision of a fault through its binding: against its model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.chaos import Chaos, unit
from tests.models import chaos as model

pytestmark = pytest.mark.stress
machines = settings.get_profile("machines")

words = st.integers(0, 2**64 - 1)
times = st.integers(0, 30)
acts = st.one_of(
    st.tuples(st.just("check"), times),
    st.tuples(st.just("arm"), words, times, st.one_of(st.none(), st.integers(0, 4))),
    st.tuples(st.just("episode"), times, times),
    st.tuples(st.just("give_back")),
    st.tuples(st.just("disarm")),
)


@settings(machines)
@given(seed=words, probability=st.floats(0, 1), script=st.lists(acts, max_size=40))
def test_each_call_is_struck_as_the_model_says(seed, probability, script):  # CH-01, D-CH-3
    chaos, expected = Chaos(seed, probability), model.Chaos(seed, probability)
    last: tuple[bool, int | None] = (False, None)
    for act, *given_ in script:
        if act == "check":
            last = chaos.check(*given_)
            assert last == expected.check(*given_)
        elif act == "arm":
            chaos.arm(*given_)
            expected.arm(*given_)
            last = (False, None)
        elif act == "episode":
            chaos.begin_episode(*given_)
            expected.episode = tuple(given_)
        elif act == "give_back" and last[1] is not None:
            chaos.give_back(last[1], last[0])
            expected.give_back(last[1], last[0])
            last = (False, None)
        elif act == "disarm":
            chaos.disarm()
            expected.disarm()
        assert (chaos.calls(), chaos.left()) == (expected.calls, expected.left)
        assert chaos.counters()[0] == expected.checked


@given(seed=words, number=words, lane=st.integers(0, 9))
def test_each_random_number_is_the_models(seed, number, lane):
    assert unit(seed, number, lane) == model.unit(seed, number, lane)
