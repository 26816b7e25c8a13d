"""Rejections are made and dropped by the thousand: none leaves anything to the next, nor behind."""

import gc
import weakref

import pytest

import holdfast
from holdfast import errors

CLASSES = [
    errors.Rejected, errors.CircuitOpenError, errors.RateLimitedError, errors.BulkheadFullError,
    errors.BulkheadTimeoutError, errors.ShedError, errors.EmergencyModeError,
]  # fmt: skip


class Anything:
    """What a rejection may be made to refer to, and may not keep alive."""


def refused(breaker):
    try:
        return breaker.call(len, "")
    except holdfast.CircuitOpenError as rejection:
        return rejection.with_traceback(None)  # whose frame would refer to it


@pytest.fixture
def tripped(clock):
    breaker = holdfast.CircuitBreaker("payments", reset_timeout=30, clock=clock)
    breaker.trip()
    return breaker


def test_a_rejection_has_nothing_of_one_that_was_dropped_before_it(tripped):
    first = refused(tripped)
    first.attribute = "of the first"
    first.add_note("a note")
    first.args = ("an argument",)
    first.__suppress_context__ = True
    assert str(first) == "an argument"
    del first
    second = refused(tripped)
    assert vars(second) == {}
    assert second.args == (str(second),)
    assert (second.__cause__, second.__context__, second.__suppress_context__) == (
        None,
        None,
        False,
    )
    assert str(second) == "circuit breaker is open: 'payments' (open), retry in 30.000 s"


def test_one_with_a_cause_is_let_go_whole(tripped):
    first = refused(tripped)
    first.__cause__ = refused(tripped)
    first.__cause__.anything = Anything()
    gone = weakref.ref(first.__cause__.anything)
    del first
    assert gone() is None
    assert refused(tripped).__cause__ is None


@pytest.mark.parametrize("cls", CLASSES)
def test_one_that_refers_to_itself_is_collected(cls):
    rejection = cls(name="payments")
    rejection.itself = rejection
    rejection.anything = Anything()
    gone = weakref.ref(rejection.anything)
    del rejection
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_long_chain_of_them_is_dropped_without_recursion(cls, link):
    last = None
    for _ in range(50_000):
        rejection = cls()
        setattr(rejection, link, last)
        last = rejection
    last.first = Anything()
    gone = weakref.ref(last.first)
    del rejection, last
    assert gone() is None


def test_a_rejection_that_is_a_policys_own_class_is_a_rejection_like_any_other(tripped):
    class Own(errors.CircuitOpenError):
        pass

    with pytest.raises(Own) as caught:
        tripped._refuse("open", 1_500_000_000, Own)
    assert (caught.value.policy, caught.value.retry_after) == (tripped, 1.5)
