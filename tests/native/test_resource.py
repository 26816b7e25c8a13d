"""What is counted of a kind of resource through its binding: against its model."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native import resource as native
from holdfast._native.figures import read
from tests.apart import in_child
from tests.models import resource as model

machines = settings.get_profile("machines")

limits = st.one_of(st.none(), st.integers(0, 12))
acts = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 4)),
    st.tuples(st.just("add"), st.just(1)),
    st.tuples(st.just("remove"), st.integers(0, 2)),
    st.tuples(st.just("count"), st.integers(3, 4)),
    st.tuples(st.just("resize"), limits),
    st.tuples(st.just("resize_all"), limits),
)


class Both:
    """A kind and all, of the kernel and of the model."""

    def __init__(self, limit, most):
        self.kind, self.all = native.Resource(limit), native.Resource(most)
        self.kind_model, self.all_model = model.Resource(limit), model.Resource(most)
        self.amounts = []  # of what is registered, in its order

    def add(self, n):
        answer = self.kind.add(n, self.all)
        assert answer == self.kind_model.add(n, self.all_model)
        if answer >= native.DONE:
            self.amounts.append(n)

    def remove(self, end):
        n = self.amounts.pop() if self.amounts else 1
        done = self.kind.remove(end, n, self.all)
        assert done == self.kind_model.remove(end, n, self.all_model)

    def count(self, event):
        self.kind.count(event)
        self.kind_model.count(event)

    def resize(self, limit):
        assert self.kind.resize(limit) == self.kind_model.resize(limit)

    def resize_all(self, limit):
        assert self.all.resize(limit) == self.all_model.resize(limit)

    def check(self):
        for it, expected in ((self.kind, self.kind_model), (self.all, self.all_model)):
            (created, refused, *events), (active, shown) = read(it)
            assert it.counted() == (*events, created, refused)
            assert events == expected.events
            assert (created, refused) == (expected.created, expected.refused)
            assert active == it.active() == expected.active
            assert it.limit() == expected.limit
            assert shown == (expected.limit or 0)


@pytest.mark.stress
@settings(machines)
@given(limit=limits, most=limits, script=st.lists(acts, max_size=40))
def test_what_is_registered_is_within_limits_and_the_books_balance(limit, most, script):
    both = Both(limit, most)  # RS-05, RS-06, D-C-7, D-C-9
    for act, number in script:
        getattr(both, act)(number)
        both.check()


def test_figures_show_another_limit_where_there_is_none():
    made = native.Resource()
    made.show(1000)
    made.add(1)
    assert read(made)[1] == (1, 1000)
    assert made.limit() is None
    made.resize(7)
    assert read(made)[1] == (1, 7)
    made.resize(None)
    made.add(500)
    assert read(made)[1] == (501, 0)


def test_amounts_may_be_bytes_of_memory():  # RS-02
    made = native.Resource(1 << 40)
    assert made.add(9 * (1 << 37)) == native.FULL
    assert made.add(7 * (1 << 37)) == native.DONE | native.HIGH
    assert made.active() == 7 * (1 << 37)


def test_a_forked_child_has_registered_nothing():  # trap 58
    made, total = native.Resource(5), native.Resource(5)
    made.add(5, total)
    made.add(1, total)
    made.count(native.LEAK)

    def in_it():
        for each in (made, total):
            assert read(each) == ((0,) * 7, (0, 5))
        assert not made.remove(native.CLEANED, 5, total)
        assert made.add(5, total) == native.DONE | native.HIGH

    in_child(in_it)
    assert made.active() == 5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: native.Resource(-1),
        lambda: native.Resource(native.MOST + 1),
        lambda: native.Resource(5).add(0),
        lambda: native.Resource(5).add(-1),
        lambda: native.Resource(5).add(native.MOST + 1),
        lambda: native.Resource(5).remove(native.LEAK),
        lambda: native.Resource(5).remove(native.CLEANED, 0),
        lambda: native.Resource(5).count(native.CLEANED),
        lambda: native.Resource(5).count(5),
        lambda: native.Resource(5).resize(-1),
        lambda: native.Resource(5).show(-1),
    ],
)
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        wrong()


def test_other_types_are_refused():
    made = native.Resource(5)
    for wrong in (lambda: made.add(1.5), lambda: made.add(1, object()), lambda: made.resize("5")):
        with pytest.raises(TypeError):
            wrong()
    assert read(made) == ((0,) * 7, (0, 5))
