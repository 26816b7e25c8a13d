"""The three strategies, with a storage in memory and a clock that the test moves."""

import copy
import pickle
import threading
from unittest import mock

import pytest

from holdfast import ManualClock
from holdfast.compat.limits import (
    RateLimitItemPerMinute,
    RateLimitItemPerSecond,
    WindowStats,
    parse,
)
from holdfast.compat.limits.storage import MemoryStorage
from holdfast.compat.limits.strategies import (
    STRATEGIES,
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

ALL = list(STRATEGIES.values())
EXACT = [FixedWindowRateLimiter, MovingWindowRateLimiter]


@pytest.fixture
def clock():
    return ManualClock(start=1_000_000)


@pytest.fixture
def storage(clock):
    return MemoryStorage(clock=clock)


def taken(limiter, item, times, *identifiers, **cost):
    return sum(limiter.hit(item, *identifiers, **cost) for _ in range(times))


# ---- RT-18: what all have in common ----


def test_strategies_are_found_by_their_names():
    assert sorted(STRATEGIES) == ["fixed-window", "moving-window", "sliding-window-counter"]


@pytest.mark.parametrize("strategy", ALL)
def test_no_more_hits_than_the_amount_are_admitted(strategy, storage):
    limiter, item = strategy(storage), parse("3/minute")
    assert [limiter.hit(item, "u") for _ in range(5)] == [True, True, True, False, False]
    assert limiter.get_window_stats(item, "u").remaining == 0


@pytest.mark.parametrize("strategy", ALL)
def test_who_is_limited_is_what_the_joined_identifiers_say(strategy, storage):
    limiter, item = strategy(storage), parse("2/minute")
    assert taken(limiter, item, 3, "a", "b") == 2
    assert not limiter.hit(item, "a/b")  # the same key
    assert not limiter.hit(item, b"a", "b")
    assert limiter.hit(item, "b", "a")
    assert limiter.hit(item, "a")
    assert limiter.hit(item)


@pytest.mark.parametrize("strategy", ALL)
def test_identifiers_that_are_equal_but_look_different_are_limited_apart(strategy, storage):
    limiter, item = strategy(storage), parse("1/minute")
    assert [limiter.hit(item, one) for one in (1, 1.0, True, "1", "é", None)] == [
        *(True, True, True),
        False,  # as 1
        *(True, True),
    ]


@pytest.mark.parametrize("strategy", ALL)
def test_items_of_one_namespace_amount_and_time_share_their_hits(strategy, storage):
    limiter = strategy(storage)
    assert taken(limiter, parse("2/minute"), 2, "u") == 2
    assert not limiter.hit(RateLimitItemPerMinute(2), "u")
    assert limiter.hit(RateLimitItemPerMinute(2, namespace="other"), "u")
    assert limiter.hit(RateLimitItemPerMinute(3), "u")


@pytest.mark.parametrize("strategy", ALL)
def test_a_cost_counts_so_many_hits_and_one_above_the_amount_never_fits(strategy, storage):
    limiter, item = strategy(storage), parse("10/minute")
    assert not limiter.hit(item, "huge", cost=11)
    assert limiter.hit(item, "u", cost=7)
    assert limiter.test(item, "u", cost=3)
    assert not limiter.test(item, "u", cost=4)
    assert limiter.get_window_stats(item, "u").remaining == 3


@pytest.mark.parametrize("strategy", ALL)
def test_a_negative_cost_gives_no_hits_back(strategy, storage):  # their pull request 362
    limiter, item = strategy(storage), parse("1/minute")
    assert limiter.hit(item, "u")
    for ask in (limiter.hit, limiter.test):
        with pytest.raises(ValueError, match="cost: got -1, allowed an integer of at least 0"):
            ask(item, "u", cost=-1)
    assert not limiter.hit(item, "u")


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_a_cost_with_a_fraction_counts_as_the_next_integer(strategy):  # slowapi's cost=lambda: …
    class Whole:
        def __index__(self):
            return 8

    limiter, item = STRATEGIES[strategy](MemoryStorage()), parse("50/year")
    assert [limiter.hit(item, "user", cost=7.5) for _ in range(7)] == [True] * 6 + [False]
    assert limiter.hit(item, "whole", cost=10.0)
    assert limiter.get_window_stats(item, "whole").remaining == 40
    assert limiter.hit(item, "whole", cost=Whole())
    assert limiter.get_window_stats(item, "whole").remaining == 32
    assert not limiter.hit(item, "whole", cost=float("inf"))


@pytest.mark.parametrize("strategy", ALL)
def test_a_test_changes_nothing(strategy, storage):
    limiter, item = strategy(storage), parse("1/minute")
    assert all(limiter.test(item, "u") for _ in range(5))
    assert limiter.get_window_stats(item, "u").remaining == 1
    assert limiter.hit(item, "u")
    assert not limiter.test(item, "u")


@pytest.mark.parametrize("strategy", ALL)
def test_who_is_cleared_has_all_hits_again(strategy, storage):
    limiter, item = strategy(storage), parse("1/minute")
    assert [limiter.hit(item, "u"), limiter.hit(item, "u")] == [True, False]
    limiter.clear(item, "u")
    assert limiter.hit(item, "u")


@pytest.mark.parametrize("strategy", ALL)
def test_an_amount_of_zero_admits_nothing(strategy, storage):
    assert not strategy(storage).hit(parse("0/minute"), "u")


@pytest.mark.parametrize("strategy", ALL)
def test_threads_together_get_no_more_than_the_amount(strategy, storage):  # trap 36
    limiter, item, admitted = strategy(storage), parse("100/hour"), []
    barrier = threading.Barrier(4)

    def run():
        barrier.wait()
        admitted.append(taken(limiter, item, 100, "u"))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(admitted) == 100


@pytest.mark.parametrize("strategy", ALL)
def test_time_that_is_set_back_gives_no_hits_back(strategy, storage, clock):  # trap 20
    limiter, item = strategy(storage), parse("1/minute")
    assert limiter.hit(item, "u")
    clock.set(999_000)
    assert not limiter.hit(item, "u")


# ---- fixed windows ----


def test_a_fixed_window_begins_with_its_first_hit(storage, clock):
    limiter, item = FixedWindowRateLimiter(storage), parse("2/minute")
    clock.advance(31)
    assert taken(limiter, item, 3, "u") == 2
    assert limiter.get_window_stats(item, "u") == WindowStats(1_000_091.0, 0)
    clock.advance(59.9)
    assert not limiter.hit(item, "u")
    clock.advance(0.1)
    assert limiter.hit(item, "u")
    assert limiter.get_window_stats(item, "u") == (pytest.approx(1_000_151, abs=1e-6), 1)


def test_a_fixed_window_that_has_not_begun_is_reset_now(storage):
    stats = FixedWindowRateLimiter(storage).get_window_stats(parse("2/minute"), "u")
    assert stats == WindowStats(reset_time=1_000_000.0, remaining=2)


def test_hits_that_a_fixed_window_refused_count_as_well(storage):
    limiter, item = FixedWindowRateLimiter(storage), parse("10/minute")
    assert not limiter.hit(item, "u", cost=11)
    assert storage.get(item.key_for("u")) == 11
    assert not limiter.hit(item, "u")


# ---- moving windows ----


def test_a_moving_window_counts_the_hits_of_the_time_that_ends_now(storage, clock):
    limiter, item = MovingWindowRateLimiter(storage), RateLimitItemPerSecond(4, 10)
    assert taken(limiter, item, 2, "u") == 2
    clock.advance(6)
    assert taken(limiter, item, 3, "u") == 2
    clock.advance(4)
    assert limiter.get_window_stats(item, "u").remaining == 2
    assert taken(limiter, item, 3, "u") == 2
    clock.advance(6)
    assert taken(limiter, item, 3, "u") == 2


def test_a_moving_window_is_reset_when_its_oldest_hit_goes(storage, clock):
    limiter, item = MovingWindowRateLimiter(storage), parse("2/minute")
    assert limiter.get_window_stats(item, "u") == (pytest.approx(1_000_060, abs=1e-6), 2)
    limiter.hit(item, "u")
    clock.advance(10)
    limiter.hit(item, "u")
    stats = limiter.get_window_stats(item, "u")
    assert stats == (pytest.approx(1_000_060, abs=1e-6), 0)
    clock.advance(stats.reset_time - clock.now())
    assert limiter.hit(item, "u")  # at the very moment that it was told


def test_a_hit_that_a_moving_window_refused_leaves_nothing(storage, clock):
    limiter, item = MovingWindowRateLimiter(storage), parse("2/minute")
    assert limiter.hit(item, "u")
    clock.advance(30)
    assert not limiter.hit(item, "u", cost=2)
    clock.advance(30)
    assert limiter.hit(item, "u", cost=2)


def test_a_million_hits_at_once_are_one_entry_of_a_moving_window(storage, clock):
    limiter, item = MovingWindowRateLimiter(storage), RateLimitItemPerSecond(1_000_000, 2)
    assert limiter.hit(item)
    clock.advance(1)
    assert limiter.hit(item, cost=999_999)
    assert not limiter.hit(item)
    clock.advance(1)
    assert limiter.get_window_stats(item).remaining == 1


# ---- counters of sliding windows ----


def test_the_window_before_counts_by_the_part_that_is_left_of_it(storage, clock):
    limiter, item = SlidingWindowCounterRateLimiter(storage), parse("10/100 seconds")
    assert taken(limiter, item, 12, "u") == 10
    clock.advance(150)  # half of the window before is left: 5 hits
    assert limiter.get_window_stats(item, "u").remaining == 5
    assert taken(limiter, item, 10, "u") == 5
    clock.advance(10)  # four tenths
    assert taken(limiter, item, 3, "u") == 1


def test_a_sliding_window_is_reset_when_the_next_hit_fades(storage, clock):
    limiter, item = SlidingWindowCounterRateLimiter(storage), parse("5/10 seconds")
    assert limiter.get_window_stats(item, "u") == WindowStats(1_000_000.0, 5)
    assert taken(limiter, item, 4, "u") == 4
    assert limiter.get_window_stats(item, "u") == (pytest.approx(1_000_010, abs=1e-6), 1)
    clock.advance(11)
    assert limiter.get_window_stats(item, "u") == (pytest.approx(1_000_012.5, abs=1e-6), 2)
    clock.advance(20)
    assert limiter.get_window_stats(item, "u") == WindowStats(clock.now(), 5)


# ---- what users override, replace and write themselves ----


def test_a_storage_that_a_subclass_overrides_is_asked():
    class Noting(MemoryStorage):
        def incr(self, key, expiry, amount=1):
            seen.append((key, expiry, amount))
            return super().incr(key, expiry, amount)

    seen = []
    limiter, item = FixedWindowRateLimiter(Noting()), parse("1/minute")
    assert [limiter.hit(item, "u"), limiter.hit(item, "u", cost=2)] == [True, False]
    key = item.key_for("u")
    assert seen == [(key, 60, 1), (key, 60, 2)]


def test_a_method_of_a_storage_that_a_test_replaces_is_asked_until_it_is_put_back(storage):
    limiter, item = FixedWindowRateLimiter(storage), parse("5/minute")
    with (
        mock.patch.object(storage, "incr", side_effect=ConnectionError),
        pytest.raises(ConnectionError),
    ):
        limiter.hit(item, "u")
    assert limiter.hit(item, "u")
    with mock.patch.object(MemoryStorage, "incr", return_value=9) as asked:
        assert not limiter.hit(item, "u")
    asked.assert_called_once_with(item.key_for("u"), 60, amount=1)
    assert limiter.get_window_stats(item, "u").remaining == 4
    with mock.patch.object(FixedWindowRateLimiter, "hit", return_value="patched"):
        assert limiter.hit(item, "u") == "patched"


def test_an_item_that_makes_its_own_keys_and_times_is_asked(storage, clock):
    class Loud(RateLimitItemPerMinute):
        def key_for(self, *identifiers):
            return super().key_for(*identifiers).upper()

        def get_expiry(self):
            return 10

    limiter, item = FixedWindowRateLimiter(storage), Loud(1)
    assert [limiter.hit(item, "u"), limiter.hit(item, "U")] == [True, False]
    assert storage.get("LIMITER/U/1/1/MINUTE") == 2
    clock.advance(10)
    assert limiter.hit(item, "u")


def test_a_strategy_may_be_extended_and_another_one_written(storage):
    class Sparing(FixedWindowRateLimiter):
        def hit(self, item, *identifiers, cost=1):
            return self.test(item, *identifiers, cost=cost) and super().hit(
                item, *identifiers, cost=cost
            )

    limiter, item = Sparing(storage), parse("1/minute")
    assert [limiter.hit(item, "u"), limiter.hit(item, "u")] == [True, False]
    assert storage.get(item.key_for("u")) == 1

    class Never(RateLimiter):
        def hit(self, item, *identifiers, cost=1):
            return False

        test = hit

        def get_window_stats(self, item, *identifiers):
            return WindowStats(0.0, 0)

    assert not Never(storage).hit(item)
    with pytest.raises(TypeError, match="abstract"):
        RateLimiter(storage)


def test_another_weighting_of_two_windows_is_asked(storage):
    class All(SlidingWindowCounterRateLimiter):
        def _weighted_count(self, item, previous_count, previous_expires_in, current_count):
            return previous_count + current_count + 1

    limiter, item = All(storage), parse("2/minute")
    assert limiter.test(item)
    limiter.hit(item)
    assert not limiter.test(item)


def test_a_strategy_takes_another_storage_later(storage):
    limiter, item = FixedWindowRateLimiter(storage), parse("1/minute")
    assert limiter.hit(item)
    limiter.storage = MemoryStorage()
    assert limiter.hit(item)


@pytest.mark.parametrize("strategy", ALL)
def test_a_copied_strategy_shares_its_storage_and_a_pickled_one_has_a_copy(strategy):
    limiter, item = strategy(MemoryStorage()), parse("1/year")
    assert limiter.hit(item)
    pickled = pickle.loads(pickle.dumps(limiter))
    assert [copy.copy(limiter).hit(item), pickled.hit(item), pickled.hit(item, "u")] == [
        *(False, False, True)
    ]
    assert limiter.hit(item, "u")


def test_what_is_no_storage_is_refused():
    with pytest.raises(AssertionError):
        FixedWindowRateLimiter(object())
    for strategy in (MovingWindowRateLimiter, SlidingWindowCounterRateLimiter):
        with pytest.raises(NotImplementedError, match="is not implemented for storage of type"):
            strategy(object())
