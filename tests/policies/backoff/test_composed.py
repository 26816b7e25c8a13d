"""Back-offs made of others: sums, chains, adaptive ones, and classes of one's own."""

from __future__ import annotations

from datetime import timedelta
from math import inf, nan
from typing import Any

import pytest

import holdfast as hf
from holdfast.policies.backoff.formulas import kernel_of
from tests.policies.backoff.backoffs import HUNDRED_YEARS, Own, delays

# --- composing -----------------------------------------------------------------------------------


def test_a_sum_waits_as_long_as_both_together():
    backoff = hf.Linear(1, 1, jitter=False) + hf.Constant(0.5) + hf.Exponential(2, jitter=False)
    assert delays(backoff, 3) == [3.5, 6.5, 11.5]
    longest = hf.Constant(HUNDRED_YEARS)
    assert (longest + longest).delay(0) == HUNDRED_YEARS


def test_the_parts_of_a_sum_are_told_the_whole_delay_before():
    one, two = Own(1.0), Own(2.0)
    assert (one + two).delay(4, 7) == 3.0
    assert one.asked == two.asked == [(4, 7.0)]
    drawn = [(hf.Decorrelated(1, 100) + hf.Constant(1)).delay(1, 10) for _ in range(200)]
    assert 1 + 1 <= min(drawn) < 5
    assert 25 < max(drawn) <= 3 * 10 + 1


def test_a_chain_asks_each_once_and_the_last_from_its_own_first_on():
    backoff = hf.chain(
        hf.Constant(5), hf.Exponential(7, jitter=False), hf.Linear(1, 1, jitter=False)
    )
    assert delays(backoff, 6) == [5.0, 7.0, 1.0, 2.0, 3.0, 4.0]
    assert delays(hf.chain(hf.Linear(1, 1, jitter=False)), 3) == [1.0, 2.0, 3.0]


def test_a_part_of_a_chain_is_told_no_delay_before_at_its_own_first():
    parts = [Own(1.0), Own(2.0), Own(3.0)]
    backoff = hf.chain(*parts)
    for attempt in range(5):
        backoff.delay(attempt, 9)
    assert [part.asked for part in parts] == [[(0, None)], [(0, None)], [(0, None), (1, 9), (2, 9)]]


def test_what_is_composed_may_be_composed_again():
    slow = hf.chain(hf.Constant(1) + hf.Constant(2), hf.chain(hf.Constant(4), hf.Constant(5)))
    assert delays(slow + hf.Constant(10), 4) == [13.0, 14.0, 15.0, 15.0]
    assert isinstance(slow, hf.Backoff)
    assert isinstance(slow + slow, hf.Backoff)


def test_a_sum_is_the_same_in_whichever_order_it_is_put_together():
    a, b, c = hf.Constant(1), hf.Constant(2), hf.Constant(3)
    assert (a + b) + c == a + (b + c)
    assert (a + b) != (b + a)
    assert repr(a + (b + c)) == "Constant(1) + Constant(2) + Constant(3)"


def test_only_back_offs_can_be_composed():
    with pytest.raises(TypeError, match="unsupported operand"):
        hf.Constant(1) + 1  # type: ignore[operator]
    with pytest.raises(hf.ConfigError, match=r"chain: backoffs: got \(\), allowed one Backoff"):
        hf.chain()
    with pytest.raises(hf.ConfigError, match=r"backoffs\[0\]: got '1', allowed a Backoff, .*\[2\]"):
        hf.chain("1", hf.Constant(1), None)  # type: ignore[arg-type]


# --- adapting ------------------------------------------------------------------------------------


def test_an_adaptive_one_waits_longer_the_more_attempts_fail():  # RT-24
    backoff = hf.AdaptiveBackoff(hf.Constant(2), k=3)
    assert (backoff.failure_rate, backoff.delay(0)) == (0.0, 2.0)
    waits = []
    for _ in range(1000):
        backoff.record(True)
        waits.append(backoff.delay(0))
        assert waits[-1] == pytest.approx(2 * (1 + 3 * backoff.failure_rate), abs=1e-9)
    assert waits == sorted(waits)
    assert (backoff.failure_rate, waits[-1]) == (1.0, 8.0)
    for _ in range(1000):
        backoff.record(False)
    assert (backoff.failure_rate, backoff.delay(0)) == (0.0, 2.0)


def test_an_adaptive_one_never_waits_longer_than_its_max():  # RT-24, trap 49
    backoff = hf.AdaptiveBackoff(hf.Exponential(1, jitter=False), k=1000, max=30)
    for _ in range(1000):
        backoff.record(True)
    assert delays(backoff, 3) == [30.0, 30.0, 30.0]


def test_the_one_inside_is_told_the_delay_before_as_it_would_have_been():
    inner = Own(1.0)
    backoff = hf.AdaptiveBackoff(inner, k=4)
    for _ in range(1000):
        backoff.record(True)
    assert backoff.delay(3, 10) == 5.0
    assert backoff.delay(3) == 5.0
    assert inner.asked == [(3, 2.0), (3, None)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backoff": "1"}, "backoff: got '1', allowed a Backoff"),
        ({"k": -1}, "k: got -1, allowed a number from 0 to 1000"),
        ({"k": nan}, "k: got nan"),
        ({"k": inf}, "k: got inf"),
        ({"max": -1}, "max: got -1, allowed seconds or a timedelta"),
        ({"max": nan}, "max: got nan"),
    ],
)
def test_what_an_adaptive_one_cannot_be_made_of_is_refused(given, message):
    with pytest.raises(hf.ConfigError, match=f"^AdaptiveBackoff: {message}"):
        hf.AdaptiveBackoff(**{"backoff": hf.Constant(1), **given})


# --- classes of one's own ------------------------------------------------------------------------


def test_a_class_of_ones_own_is_a_back_off_like_any_other():
    own = Own(2)
    assert delays(own + hf.Constant(1), 2) == [3.0, 3.0]
    assert delays(hf.chain(hf.Constant(5), own), 3) == [5.0, 2.0, 2.0]
    assert hf.AdaptiveBackoff(own).delay(0) == 2.0
    assert own._delay_ns(3, 5 * 10**9) == 2 * 10**9
    assert own.asked[-1] == (3, 5.0)


def test_one_that_does_not_say_how_long_to_wait_is_not_made():
    class Silent(hf.Backoff):
        pass

    for silent in (Silent, hf.Backoff):
        with pytest.raises(TypeError, match="abstract"):
            silent()  # type: ignore[abstract]


@pytest.mark.parametrize(
    "answer", [nan, -1, -0.001, -inf, "1", None, True, 1j, timedelta(seconds=1), []]
)
def test_an_answer_that_is_no_delay_is_refused_by_name(answer):  # trap 49
    own = Own(answer)
    for ask in (own, own + hf.Constant(1), hf.chain(own), hf.AdaptiveBackoff(own)):
        with pytest.raises(ValueError, match=r"^Own\.delay: got .*, allowed seconds from 0$"):
            ask._delay_ns(0, -1)


@pytest.mark.parametrize("answer", [inf, 1e300, 10**400, HUNDRED_YEARS + 1])
def test_an_endless_answer_waits_a_hundred_years(answer):  # trap 49
    assert Own(answer)._delay_ns(0, -1) == int(HUNDRED_YEARS) * 10**9


def test_what_a_subclass_of_a_formula_overrides_is_what_a_retry_is_told():
    class Patient(hf.Exponential):
        def delay(self, attempt: int, previous: Any = None) -> float:
            return 7 + super().delay(attempt, previous)

    class MorePatient(Patient):
        pass

    class Mixed(Own, hf.Constant):  # type: ignore[misc]
        def __init__(self) -> None:
            hf.Constant.__init__(self, 1)
            Own.__init__(self, 3)

    for cls in (Patient, MorePatient):
        assert cls(1, jitter=False)._delay_ns(1, -1) == 9 * 10**9
        assert kernel_of(cls(1)) is None
    assert Mixed()._delay_ns(0, -1) == 3 * 10**9


def test_only_a_formula_that_nobody_changed_is_decided_natively():
    class Renamed(hf.Exponential):
        pass

    for native in (hf.Exponential(1), Renamed(1), hf.Constant(1), hf.Decorrelated(1)):
        assert "holdfast.backoff" in repr(kernel_of(native))
    for other in (Own(1), hf.Constant(1) + hf.Constant(1), hf.AdaptiveBackoff(hf.Constant(1))):
        assert kernel_of(other) is None
