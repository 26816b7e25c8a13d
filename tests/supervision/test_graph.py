"""The order of starts, circles of dependencies, and how many restarts are too many."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.supervision.graph import find_circle, start_order
from holdfast.supervision.intensity import Intensity

NAMES = st.sampled_from("abcdef")
GRAPHS = st.dictionaries(NAMES, st.lists(NAMES, max_size=3, unique=True), max_size=6)


@given(GRAPHS)
def test_each_comes_after_all_that_it_needs_unless_there_is_a_circle(needs):  # MG-09
    if any(find_circle(needs, name) for name in needs):
        return
    order = start_order(needs)
    assert sorted(order) == sorted(needs)
    for name in order:
        for need in needs[name]:
            assert need not in needs or order.index(need) < order.index(name)


@given(GRAPHS, NAMES)
def test_a_circle_that_is_found_is_one(needs, first):
    circle = find_circle(needs, first)
    if circle:
        assert circle[0] == circle[-1] == first
        for name, need in itertools.pairwise(circle):
            assert need in needs[name]


def test_what_depends_on_nothing_keeps_the_order_in_which_it_was_added():
    assert start_order({"c": [], "a": [], "b": ["a"]}) == ["c", "a", "b"]


def test_a_chain_may_be_longer_than_pythons_stack():
    needs = {str(n): [str(n + 1)] for n in range(5_000)}
    assert start_order(needs)[0] == "4999"
    assert find_circle({**needs, "5000": ["0"]}, "5000")[:3] == ("5000", "0", "1")


@pytest.mark.parametrize(("most", "admitted"), [(0, 0), (3, 3), (None, 5)])
def test_so_many_restarts_are_admitted_within_the_time(most, admitted):  # MG-17
    intensity = Intensity(most, 60)
    assert sum(intensity.admit(now) for now in range(5)) == admitted


def test_restarts_leave_the_window_one_by_one():
    intensity = Intensity(2, 60)
    assert [intensity.admit(now) for now in (0, 30, 59, 60, 89, 90)] == [
        *(True, True, False),
        *(True, False, True),
    ]
    assert intensity.count(90) == 2
