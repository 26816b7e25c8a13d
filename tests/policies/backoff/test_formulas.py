"""Back-offs as users make them: formulas, jitter, and their settings, shown and compared."""

from __future__ import annotations

import ast
import copy
import itertools
import os
import pickle
from collections.abc import Iterator
from datetime import timedelta
from math import inf, nan
from typing import Any

import pytest

import holdfast as hf
from tests.apart import in_child
from tests.policies.backoff.backoffs import delays

# --- formulas ------------------------------------------------------------------------------------


def test_an_exponential_one_doubles_up_to_its_longest():  # RT-01, RT-03, RT-10
    backoff = hf.Exponential(0.1, factor=2, max=10, jitter=False)
    assert delays(backoff, 9) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert delays(hf.Exponential(1, 3, 20, jitter=0), 4) == [1.0, 3.0, 9.0, 20.0]
    assert delays(hf.Exponential(0.05, factor=1.5, jitter=0), 3) == [0.05, 0.075, 0.1125]


def test_a_linear_one_grows_by_its_increment_up_to_its_longest():  # RT-01, RT-04
    assert delays(hf.Linear(0.1, 0.2, 0.6, jitter=False), 5) == [0.1, 0.3, 0.5, 0.6, 0.6]


def test_a_fibonacci_one_is_the_sum_of_the_two_before_up_to_its_longest():  # RT-01, RT-05
    assert delays(hf.Fibonacci(0.1, 1, jitter=False), 8) == [0.1, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.0]


def test_a_constant_one_has_no_jitter_unless_it_is_asked_for():
    assert delays(hf.Constant(0.5), 100) == [0.5] * 100
    assert delays(hf.Constant(0), 2) == [0.0, 0.0]
    assert len(set(delays(hf.Constant(1, jitter=True, seed=1), 10))) == 10


def test_a_decorrelated_one_is_between_base_and_three_times_the_delay_before():
    backoff = hf.Decorrelated(0.1, 10)
    assert all(0.1 <= backoff.delay(n) <= 0.3 for n in range(100))
    assert all(0.1 <= backoff.delay(n, 2) <= 6 for n in range(100))
    assert all(0.1 <= backoff.delay(n, timedelta(hours=1)) <= 10 for n in range(100))
    assert max(backoff.delay(n, previous=2) for n in range(100)) > 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: hf.Exponential(1, jitter=False),
        lambda: hf.Linear(1, 1, jitter=False),
        lambda: hf.Fibonacci(1, jitter=False),
        lambda: hf.Constant(1) + hf.Exponential(1, max=59, jitter=False),
    ],
)
def test_unless_told_nobody_waits_longer_than_a_minute(make):  # RT-10
    assert make().delay(1000) == 60.0


def test_durations_may_be_timedeltas():
    tenth, minute = timedelta(milliseconds=100), timedelta(minutes=1)
    assert hf.Exponential(tenth, max=minute) == hf.Exponential(0.1, max=60)
    assert hf.Linear(tenth, tenth, minute) == hf.Linear(0.1, 0.1, 60)
    assert hf.Fibonacci(tenth, minute) == hf.Fibonacci(0.1, 60)
    assert hf.Decorrelated(tenth, minute) == hf.Decorrelated(0.1, 60)
    assert hf.Constant(tenth) == hf.Constant(0.1)


# --- jitter --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "backoff",
    [
        hf.Exponential(1, factor=1),
        hf.Exponential(1, factor=1, jitter=0.1),
        hf.Linear(1, 0, jitter=True),
        hf.Fibonacci(1),
    ],
)
def test_jitter_adds_up_to_a_tenth(backoff):  # RT-03, RT-04, RT-05, RT-09
    drawn = [backoff.delay(0) for _ in range(1000)]
    assert all(1.0 <= seconds <= 1.1 for seconds in drawn)
    assert min(drawn) < 1.005
    assert max(drawn) > 1.095


@pytest.mark.parametrize(
    ("mode", "jitter", "least", "most"),
    [
        ("add", 0.25, 4, 5),
        ("around", 0.25, 3, 5),
        ("full", 0.25, 0, 4),
        ("equal", 0.25, 2, 4),
        ("full", 0, 0, 4),
        ("equal", True, 2, 4),
    ],
)
def test_each_way_of_jitter_has_its_range(mode, jitter, least, most):  # RT-09
    backoff = hf.Constant(4, jitter=jitter, jitter_mode=mode, seed=9)
    drawn = [backoff.delay(0) for _ in range(1000)]
    assert least <= min(drawn) < least + 0.05
    assert most - 0.05 < max(drawn) <= most


def test_a_seed_replays_exactly_and_without_one_nobody_shares_his_luck():
    seeded = [delays(hf.Exponential(1, jitter=0.5, seed=7), 5) for _ in range(2)]
    assert seeded[0] == seeded[1]
    assert delays(hf.Exponential(1, jitter=0.5, seed=8), 5) != seeded[0]
    fresh = [tuple(delays(hf.Exponential(1, jitter=0.5), 5)) for _ in range(20)]
    assert len(set(fresh)) == 20


def formulas(backoff: Any) -> Iterator[hf.Exponential]:
    if isinstance(backoff, hf.Exponential):
        yield backoff
    for part in getattr(backoff, "_parts", ()):
        yield from formulas(part)


def parent_and_child(**given: Any) -> tuple[hf.Backoff, hf.Backoff]:
    """Two that stand at the same place of the same sequence, as after a fork."""

    def made() -> hf.Backoff:
        one, two, three = (hf.Exponential(1, **given) for _ in range(3))
        backoff = hf.chain(one + hf.Constant(1), hf.AdaptiveBackoff(two) + three)
        for formula in formulas(backoff):
            formula.seed(5)
        return backoff

    parent, child = made(), made()
    assert len(list(formulas(parent))) == 3
    return parent, child


def test_a_forked_child_draws_anew_unless_a_seed_was_given():  # trap 58
    def draw(backoff: hf.Backoff, *others: list[float]) -> list[float]:
        out_of, into = os.pipe()
        in_child(lambda: os.write(into, repr(delays(backoff, 5)).encode()))
        return list(ast.literal_eval(os.read(out_of, 1000).decode()))

    parent, child = parent_and_child()
    assert delays(parent, 5) == delays(child, 5)
    drawn = [delays(child, 5), draw(parent), draw(parent)]
    for one, other in itertools.combinations(drawn, 2):
        assert all(a != b for a, b in zip(one, other, strict=True))
    parent, child = parent_and_child(seed=5)
    assert draw(parent) == delays(child, 5)


# --- asking --------------------------------------------------------------------------------------

EVERY = [
    hf.Exponential(0.1),
    hf.Linear(0.1, 0.2),
    hf.Fibonacci(0.1),
    hf.Constant(0.1),
    hf.Decorrelated(0.1),
    hf.AdaptiveBackoff(hf.Constant(0.1)),
    hf.Constant(1) + hf.Constant(2),
    hf.chain(hf.Constant(1), hf.Constant(2)),
]


@pytest.mark.parametrize("backoff", EVERY, ids=repr)
def test_every_one_refuses_the_same_questions(backoff):
    # trap 49
    bad: Any
    for bad in (-1, -(2**31), -(2**63), -(10**30)):
        with pytest.raises(ValueError, match=f"^attempt: got {bad}, allowed 0 or more$"):
            backoff.delay(bad)
    for bad in (1.0, nan, "1", None, b"", 1j):
        with pytest.raises(TypeError, match=r"^attempt: got .*, allowed an integer$"):
            backoff.delay(bad)
    for bad in (-1, -0.1, nan, -(10**400), timedelta(seconds=-1)):
        with pytest.raises(ValueError, match=r"^previous: got .*, allowed seconds from 0, or None"):
            backoff.delay(0, bad)
    for bad in ("1", True, b"", 1j, []):
        with pytest.raises(TypeError, match=r"^previous: got .*, allowed seconds or a timedelta"):
            backoff.delay(0, bad)


@pytest.mark.parametrize("backoff", EVERY, ids=repr)
def test_every_one_answers_a_retry_in_nanoseconds(backoff):
    for attempt, previous_ns in ((0, -1), (1, 0), (5, 10**9), (2**32, 2**62)):
        ns = backoff._delay_ns(attempt, previous_ns)
        assert isinstance(ns, int)
        assert 0 <= ns <= 61 * 10**9


@pytest.mark.parametrize("backoff", EVERY, ids=repr)
def test_what_one_call_asks_changes_nothing_for_another(backoff):  # trap 56
    for attempt in (0, 7, 3, 0, 100, 1):
        alone = backoff._delay_ns(attempt, -1)
        backoff._delay_ns(50, 10**9)
        again = backoff._delay_ns(attempt, -1)
        assert alone <= again * 3  # what chance makes of a decorrelated one's first
        assert again <= alone * 3


# --- settings ------------------------------------------------------------------------------------

MADE: list[Any] = [
    hf.Exponential,
    hf.Fibonacci,
    hf.Decorrelated,
    lambda base, **given: hf.Linear(base, 1, **given),
]


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("base", [-1, -0.1, nan, inf, None, "1", True, 10**400])
def test_a_base_that_is_no_duration_is_refused(make, base):  # trap 49
    with pytest.raises(hf.ConfigError, match=r"base: got .*, allowed seconds or a timedelta"):
        make(base)


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("longest", [0.99, -1, nan, inf, None, "1", 10**400])
def test_a_longest_delay_below_the_base_is_refused(make, longest):  # trap 49
    with pytest.raises(hf.ConfigError, match=r"max: got .*, allowed seconds or a timedelta from 1"):
        make(1, max=longest)


@pytest.mark.parametrize("factor", [0.99, 0, -2, nan, inf, 1001, "2", None, True])
def test_a_factor_that_shrinks_is_refused(factor):  # RT-10, trap 49
    with pytest.raises(hf.ConfigError, match=r"factor: got .*, allowed a number from 1 to 1000"):
        hf.Exponential(1, factor)


@pytest.mark.parametrize("increment", [-1, nan, inf, None, "1"])
def test_an_increment_that_is_no_duration_is_refused(increment):  # trap 49
    with pytest.raises(hf.ConfigError, match=r"increment: got .*, allowed seconds or a timedelta"):
        hf.Linear(1, increment)


@pytest.mark.parametrize("jitter", [-0.1, 1.1, nan, inf, "0.1", None])
def test_a_jitter_that_is_no_share_is_refused(jitter):  # RT-09
    with pytest.raises(hf.ConfigError, match=r"jitter: got .*, allowed a number from 0 to 1"):
        hf.Exponential(1, jitter=jitter)


def test_an_unknown_way_of_jitter_and_a_seed_that_is_none_are_refused_with_all_else():
    with pytest.raises(hf.ConfigError) as raised:
        hf.Exponential(-1, factor=0, max=-1, jitter=2, jitter_mode="some", seed=-1)
    text = str(raised.value)
    assert text.startswith("Exponential: base: got -1")
    for field in ("factor: got 0", "max: got -1", "jitter: got 2", "seed: got -1"):
        assert field in text
    assert "jitter_mode: got 'some', allowed one of 'add', 'around', 'full', 'equal'" in text
    with pytest.raises(hf.ConfigError, match=r"Constant: delay: got -1"):
        hf.Constant(-1)


@pytest.mark.parametrize("mode", ["full", "equal"])
def test_no_jitter_is_no_way_to_spread_the_whole_delay(mode):
    with pytest.raises(hf.ConfigError, match="jitter: got False, allowed True or a number with"):
        hf.Exponential(1, jitter=False, jitter_mode=mode)


@pytest.mark.parametrize(
    ("backoff", "text"),
    [
        (
            hf.Exponential(0.1, factor=2, max=10, jitter=0.1),
            "Exponential(0.1, factor=2, max=10, jitter=0.1)",
        ),
        (
            hf.Exponential(1, 1.5, jitter=True, jitter_mode="full", seed=7),
            "Exponential(1, factor=1.5, max=60, jitter=0.1, jitter_mode='full', seed=7)",
        ),
        (hf.Linear(1, 0.5, jitter=0), "Linear(1, increment=0.5, max=60, jitter=0)"),
        (hf.Fibonacci(1, 5), "Fibonacci(1, max=5, jitter=0.1)"),
        (hf.Constant(timedelta(minutes=1)), "Constant(60)"),
        (hf.Constant(1, jitter=True), "Constant(1, jitter=0.1)"),
        (hf.Decorrelated(0.1, seed=1), "Decorrelated(0.1, max=60, seed=1)"),
        (hf.chain(hf.Constant(1), hf.Constant(2)), "chain(Constant(1), Constant(2))"),
        (
            hf.AdaptiveBackoff(hf.Constant(1) + hf.Constant(2), k=1.5),
            "AdaptiveBackoff(Constant(1) + Constant(2), k=1.5, max=60)",
        ),
    ],
)
def test_what_is_shown_makes_an_equal_one(backoff, text):
    assert repr(backoff) == text
    like = eval(text, vars(hf))
    assert like == backoff
    assert hash(like) == hash(backoff)
    if isinstance(backoff, hf.AdaptiveBackoff):  # which is not what it was made of alone
        assert copy.copy(backoff) is copy.deepcopy(backoff) is backoff
    else:
        assert pickle.loads(pickle.dumps(backoff)) == backoff == copy.deepcopy(backoff)


def test_those_of_another_class_or_setting_differ():
    different: list[hf.Backoff] = [
        hf.Exponential(1),
        hf.Exponential(2),
        hf.Exponential(1, factor=3),
        hf.Exponential(1, max=50),
        hf.Exponential(1, jitter=0.2),
        hf.Exponential(1, jitter_mode="around"),
        hf.Exponential(1, seed=0),
        hf.Fibonacci(1),
        hf.Linear(1, 1),
        hf.Constant(1),
        hf.Decorrelated(1),
        hf.chain(hf.Constant(1)),
        hf.Constant(1) + hf.Constant(1),
        hf.chain(hf.Constant(1), hf.Constant(1)),
        hf.AdaptiveBackoff(hf.Constant(1)),
        hf.AdaptiveBackoff(hf.Constant(1), k=3),
        hf.AdaptiveBackoff(hf.Constant(1), max=3),
    ]
    assert len(set(different)) == len(different)
    assert all(a != b for i, a in enumerate(different) for b in different[:i])
    assert hf.Constant(1) != 1
    assert hf.chain(hf.Constant(1)) != 1


def test_one_that_was_made_cannot_be_made_again():
    backoff = hf.Constant(1)
    with pytest.raises(TypeError, match="Constant is frozen: it is made once"):
        backoff.__init__(5)  # type: ignore[misc]
    assert backoff.delay(0) == 1.0
    assert repr(backoff) == "Constant(1)"
