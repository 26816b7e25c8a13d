"""A rejection says who refused and why, costs little and keeps nothing alive."""

import copy
import gc
import pickle
import sys
import traceback
import weakref
from typing import Any

import pytest

from holdfast import (
    BulkheadFullError,
    BulkheadTimeoutError,
    CircuitBreaker,
    CircuitOpenError,
    EmergencyModeError,
    HoldfastError,
    ManualClock,
    RateLimitedError,
    Rejected,
    ShedError,
)
from holdfast._native import gate
from tests.gate.parts import pipe, places, tokens, tripping
from tests.interpreters import classes_can_die

REJECTIONS = [
    (CircuitOpenError, "CIRCUIT_OPEN"), (RateLimitedError, "RATE_LIMITED"),
    (BulkheadFullError, "BULKHEAD_FULL"), (BulkheadTimeoutError, "BULKHEAD_TIMEOUT"),
    (ShedError, "SHED"), (EmergencyModeError, "EMERGENCY_MODE"), (Rejected, "REJECTED"),
]  # fmt: skip


class Policy:
    """What a rejection may refer to, and may not keep alive."""


def refusal(policy: Any, how: str = "call") -> Rejected:
    def enter() -> None:
        with policy:
            pytest.fail("ran")

    ways = {
        "call": lambda: policy.call(pytest.fail, "ran"),
        "with": enter,
        "guard": lambda: policy(pytest.fail)("ran"),
        "permit": policy._permit,
    }
    with pytest.raises(Rejected) as caught:
        ways[how]()
    return caught.value


def test_it_says_who_refused_and_why() -> None:
    clock = ManualClock()
    breaker, limiter, bulkhead = tripping(clock), tokens(1, clock), places(1, clock=clock)
    breaker.trip()
    clock.advance(18)
    limiter.acquire()
    bulkhead.enter()
    told = {
        type(error): (error.policy, error.name, error.reason, error.retry_after, str(error))
        for error in map(refusal, (breaker, pipe(limiter), pipe(bulkhead, breaker)))
    }
    assert told == {
        CircuitOpenError: (
            breaker,
            "tripping",
            "open",
            42.0,
            "circuit breaker 'tripping' is open: by hand; retry in 42.000 s",
        ),
        RateLimitedError: (
            limiter,
            "tokens",
            "rate",
            1.0,
            "rate limit exceeded: 'tokens' allows 1/second; retry in 1.000 s",
        ),
        BulkheadFullError: (
            bulkhead,
            "places",
            "full",
            None,
            "bulkhead 'places' is full: 1 of 1 inside",
        ),
    }


@pytest.mark.parametrize("how", ["call", "with", "guard", "permit"])
def test_it_keeps_no_earlier_exception_alive(how: str) -> None:  # trap 14
    breaker = tripping()
    breaker.trip()

    class LargeError(Exception): ...

    def refused() -> Rejected:
        try:
            raise LargeError
        except LargeError:
            return refusal(breaker, how)

    error = refused()
    assert error.__context__ is None
    assert error.__cause__ is None


def test_each_refusal_is_its_own_and_its_traceback_does_not_grow() -> None:  # trap 14
    breaker = tripping()
    breaker.trip()
    errors = [refusal(breaker) for _ in range(100)]
    assert len({id(error) for error in errors}) == 100
    assert len({len(traceback.extract_tb(error.__traceback__)) for error in errors}) == 1


def test_it_keeps_no_call_alive() -> None:  # trap 14
    breaker = tripping()
    breaker.trip()
    argument = Policy()
    ref = weakref.ref(argument)
    outcome = breaker.try_call(print, argument)
    del argument
    assert outcome.rejection is not None
    assert ref() is None


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(("cls", "code"), REJECTIONS)
def test_it_travels_without_its_policy(cls: type[Rejected], code: str, protocol: int) -> None:
    error = cls(policy=object(), name="payments", reason="rate", retry_after=1.5)
    error.add_note("from worker 3")
    error.extra = 42  # type: ignore[attr-defined]
    revived = pickle.loads(pickle.dumps(error, protocol))
    assert type(revived) is cls
    assert (revived.policy, revived.name, revived.reason) == (None, "payments", "rate")
    assert (revived.retry_after, revived.code, revived.args) == (1.5, code, error.args)
    assert str(revived) == str(error)
    assert (revived.__notes__, revived.extra) == (["from worker 3"], 42)


def test_one_that_a_policy_raised_travels_too() -> None:
    breaker = tripping()
    breaker.force_open()
    error = refusal(breaker)
    revived = pickle.loads(pickle.dumps(error))
    assert (revived.name, revived.reason, revived.retry_after) == ("tripping", "forced-open", None)
    again = copy.copy(error)
    assert (type(again), str(again)) == (type(error), str(error))
    assert str(copy.deepcopy(error)) == str(error)


def test_its_arguments_are_its_message_and_its_figures() -> None:
    breaker = tripping()
    breaker.force_open()
    error = refusal(breaker)
    trip = error.trip.to_dict()
    figures = {"name": "tripping", "reason": "forced-open", "trip": trip}
    assert error.args == ("circuit breaker 'tripping' is forced open: by hand", figures)
    error.args = ("mine", 2)
    assert (error.args, str(error)) == (("mine", 2), "('mine', 2)")
    with pytest.raises(TypeError):
        error.args = 3  # type: ignore[assignment]
    with pytest.raises(TypeError, match="may not be deleted"):
        del error.args
    assert Rejected().args == ()


def test_one_may_be_made_by_hand() -> None:
    bare = Rejected()
    assert (bare.policy, bare.name, bare.reason, bare.retry_after) == (None, None, "", None)
    assert str(bare) == "call rejected"
    said = CircuitOpenError("said", "so", name="n", reason="why", retry_after=2)
    assert (said.args, str(said)) == (("said", "so"), "('said', 'so')")
    assert str(CircuitOpenError("said")) == "said"
    assert (said.name, said.reason, said.retry_after) == ("n", "why", 2.0)
    assert repr(said).startswith("<") is True
    assert pickle.loads(pickle.dumps(said)).args == ("said", "so")
    unborn = Rejected.__new__(Rejected)
    assert (unborn.policy, unborn.name, unborn.reason, unborn.retry_after) == (None,) * 4
    assert "call rejected" in str(unborn)
    assert isinstance(pickle.loads(pickle.dumps(unborn)), Rejected)


@pytest.mark.parametrize(
    "wrong", [{"reason": 42}, {"retry_after": "soon"}, {"other": 1}, {"reason": None}]
)
def test_one_made_wrongly_is_a_type_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"^(Rejected\.__init__\(\)|reason|must be)"):
        Rejected(**wrong)


def test_made_again_it_takes_the_new_values_and_drops_the_old() -> None:
    policy = Policy()
    ref = weakref.ref(policy)
    error = Rejected(policy=policy, name="a", reason="x", retry_after=1)
    error.__init__(name="b")  # type: ignore[misc]
    del policy
    assert ref() is None
    assert (error.name, error.reason, error.retry_after) == ("b", "", None)
    with pytest.raises(TypeError):
        error.__setstate__(42)  # type: ignore[attr-defined]


def test_a_class_of_ones_own_may_derive_from_it() -> None:
    class MineError(RateLimitedError):
        code = "MINE"
        summary = "mine"

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.seen = True

    error = MineError(name="n", reason="r")
    assert (error.code, error.seen, str(error)) == ("MINE", True, "mine: 'n' (r)")
    with pytest.raises(RateLimitedError):
        raise error

    class BothError(CircuitOpenError, ValueError): ...

    assert isinstance(BothError(name="n"), ValueError)


@pytest.mark.parametrize("slots", [{}, {"__slots__": ("host",)}])
def test_a_copy_has_what_a_class_of_ones_own_adds(slots: dict[str, Any]) -> None:
    def init(self: Any, *, host: str) -> None:
        CircuitOpenError.__init__(self, name="n", reason="r")
        self.host = host

    error = type("Own", (CircuitOpenError,), {"__init__": init, **slots})(host="db")
    error.add_note("noted")
    again = copy.copy(error)
    assert (again.name, again.host, again.__notes__) == ("n", "db", ["noted"])


@classes_can_die
def test_a_class_nobody_uses_any_more_is_collected_with_its_instances() -> None:
    def make(base: type) -> Any:
        cls = type("Own", (base,), {})
        error = cls("text")
        cls.last = error  # type: ignore[attr-defined]
        error.itself = error
        return weakref.ref(cls)

    refs = [make(base) for base in (HoldfastError, Rejected, CircuitOpenError)]
    gc.collect()
    assert [ref() for ref in refs] == [None, None, None]


def test_one_in_a_cycle_with_its_policy_is_collected() -> None:
    class Holder(CircuitBreaker):
        """May keep what it refused."""

    def make() -> Any:
        breaker = Holder("b")
        breaker.force_open()
        breaker.last = refusal(breaker)  # type: ignore[attr-defined]
        return weakref.ref(breaker)

    ref = make()
    gc.collect()
    assert ref() is None


def test_a_state_that_is_changed_while_it_is_set_is_no_crash() -> None:
    class Own(Rejected):
        @property
        def first(self) -> None: ...

        @first.setter
        def first(self, value: object) -> None:
            state.clear()
            self.got = value

    state: dict[str, Any] = {"".join(("fir", "st")): object(), "name": "n", "last": object()}
    error = Own()
    error.__setstate__(state)
    assert isinstance(error.got, object)


def test_those_that_hold_others_die_together() -> None:
    """Memory is kept at hand for some of them; however many die inside each other, no more."""
    breaker = tripping()
    breaker.trip()
    for _ in range(5):
        error: Any = None
        for _ in range(40):
            holder: Any = breaker.try_call(int).rejection
            holder.held = error
            error = holder
        del error, holder
        errors = [breaker.try_call(int).rejection for _ in range(60)]
        assert len({id(error) for error in errors}) == 60
        assert {error.reason for error in errors if error} == {"open"}
        del errors


def test_it_behaves_as_exceptions_do() -> None:
    error = CircuitOpenError(name="n")
    with pytest.raises(CircuitOpenError) as caught:
        raise error from ValueError("cause")
    assert caught.value is error
    assert isinstance(error.__cause__, ValueError)
    assert error.with_traceback(None).__traceback__ is None
    assert sys.exception() is None


# ---- made and dropped by the thousand: none leaves anything to the next ----


def without_frames(breaker: Any) -> CircuitOpenError:
    try:
        return breaker.call(len, "")
    except CircuitOpenError as rejection:
        return rejection.with_traceback(None)  # whose frame would refer to it


def test_a_rejection_has_nothing_of_one_that_was_dropped_before_it():
    breaker = tripping()
    breaker.trip()
    first = without_frames(breaker)
    first.attribute = "of the first"
    first.add_note("a note")
    first.args = ("an argument",)
    first.__suppress_context__ = True
    assert str(first) == "an argument"
    del first
    second = without_frames(breaker)
    assert vars(second) == {}
    assert second.args[0] == str(second)
    causes = second.__cause__, second.__context__, second.__suppress_context__
    assert causes == (None, None, False)
    assert str(second) == "circuit breaker 'tripping' is open: by hand; retry in 60.000 s"


def test_rejections_that_are_dropped_keep_nothing_they_referred_to():
    breaker = tripping()
    breaker.trip()
    referred = [breaker, breaker.name, without_frames(breaker).reason]
    before = list(map(sys.getrefcount, referred))
    for _ in range(10):
        without_frames(breaker)
        without_frames(breaker).__cause__ = without_frames(breaker)
    assert list(map(sys.getrefcount, referred)) == before


def test_one_with_a_cause_is_let_go_whole():
    breaker = tripping()
    breaker.trip()
    first = without_frames(breaker)
    first.__cause__ = without_frames(breaker)
    first.__cause__.anything = Policy()
    ref = weakref.ref(first.__cause__.anything)
    del first
    assert ref() is None
    assert without_frames(breaker).__cause__ is None


@pytest.mark.parametrize("cls", [cls for cls, _ in REJECTIONS])
def test_one_that_refers_to_itself_is_collected(cls):
    rejection = cls(name="payments")
    rejection.itself = rejection
    rejection.anything = Policy()
    ref = weakref.ref(rejection.anything)
    del rejection
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
@pytest.mark.parametrize("cls", [cls for cls, _ in REJECTIONS])
def test_a_long_chain_of_them_is_dropped_without_recursion(cls, link):
    last = None
    for _ in range(50_000):
        rejection = cls()
        setattr(rejection, link, last)
        last = rejection
    last.first = Policy()
    ref = weakref.ref(last.first)
    del rejection, last
    assert ref() is None


def test_a_rejection_that_is_a_policys_own_class_is_a_rejection_like_any_other():
    breaker = tripping()
    breaker.trip()

    class OwnError(CircuitOpenError):
        pass

    with pytest.raises(OwnError) as caught:
        breaker._refuse("open", 1_500_000_000, OwnError)
    assert (caught.value.policy, caught.value.retry_after) == (breaker, 1.5)


def test_memory_is_kept_only_for_classes_that_add_nothing_to_a_rejection():
    class OwnError(CircuitOpenError):  # it adds a place for weak references
        pass

    class LeanError(CircuitOpenError):
        __slots__ = ()

    assert gate._at_hand(LeanError) is LeanError
    for other in (OwnError, HoldfastError, ValueError, "no class"):
        with pytest.raises(TypeError, match="is no class of rejections with __slots__"):
            gate._at_hand(other)
