"""Looks: what many counters of calls count from one look to the next."""

import random

import pytest

from holdfast._native.histogram import ENDS, Ends, Looks

SUCCESS, FAILURE, REJECTED, TIMEOUT, CANCELLED = range(len(ENDS))
MS = 1_000_000


def test_a_look_shows_only_counters_in_which_calls_have_ended():
    busy, idle = Ends(), Ends()
    looks = Looks()
    looks.watch([idle, busy])
    busy.count(SUCCESS, MS)
    busy.count(CANCELLED, MS)
    busy.count(REJECTED, -1)
    assert looks.look() == [(1, 3, -1)]  # a failure, three calls, of row 1
    assert looks.came(1) == ((1, 0, 1, 0, 1), (2,) * 12, 2 * MS)
    assert looks.came(0) == ((0,) * 5, (0,) * 12, 0)
    assert looks.look() == []
    assert looks.total() == ((0,) * 5, (0,) * 12, 0)


def test_counters_that_stay_go_on_when_others_come_and_leave():
    first, second, third = Ends(), Ends(), Ends()
    looks = Looks()
    looks.watch([first, second])
    for one in (first, second, third):
        one.count(SUCCESS, MS)
    looks.look()
    second.count(FAILURE, MS)
    looks.watch([third, second])
    assert looks.look() == [(0, 1, 0), (1, 1, -1)]  # all of the third, the new one of the second
    looks.watch([first])
    assert looks.look() == [(0, 1, 0)]  # nobody knows any more what was seen of it
    looks.watch([])
    assert looks.look() == []


def test_looks_keep_what_they_watch():
    looks = Looks()
    ends = Ends()
    looks.watch([ends])
    ends.count(SUCCESS, MS)
    del ends
    assert looks.look() == [(0, 1, 0)]


def test_any_counts_come_in_one_look_and_in_one_only():
    dice = random.Random(7)
    pool = [Ends() for _ in range(12)]
    looks, seen, told, watched = Looks(), {}, {}, []
    for _ in range(300):
        if dice.random() < 0.2:
            for at, came in enumerate_came(looks, watched):
                add(told, watched[at], came)
            watched = dice.sample(pool, dice.randrange(1, 12))
            looks.watch(watched)
            for one in set(pool) - set(watched):  # of these all counts are new again
                told.pop(one, None)
        for _ in range(dice.randrange(5)):
            dice.choice(pool).count(dice.randrange(5), dice.choice([-1, 3, 7 * MS, 20_000 * MS]))
        total = [0] * 5
        for at, came in enumerate_came(looks, watched):
            add(told, watched[at], came)
            total = [a + b for a, b in zip(total, came, strict=True)]
        assert list(looks.total()[0]) == total
        for one in watched:
            seen[one] = one.counters()
            assert tuple(told.get(one, (0,) * 5)) == seen[one]


def enumerate_came(looks, watched):
    looks.look()
    return [(at, looks.came(at)[0]) for at in range(len(watched))]


def add(told, one, came):
    told[one] = [a + b for a, b in zip(told.get(one, [0] * 5), came, strict=True)]


@pytest.mark.parametrize("row", [1, -1, 10**9])
def test_a_row_that_is_not_there_is_refused(row):
    looks = Looks()
    looks.watch([Ends()])
    with pytest.raises(IndexError, match="allowed 0 to 0"):
        looks.came(row)


def test_only_counters_can_be_watched_and_each_once():
    ends, looks = Ends(), Looks()
    looks.watch([ends])
    with pytest.raises(TypeError, match="allowed Ends"):
        looks.watch([ends, "ends"])
    with pytest.raises(ValueError, match="twice"):
        looks.watch([ends, ends])
    ends.count(SUCCESS, 1)
    assert looks.look() == [(0, 1, 0)]  # it watches what it did before
