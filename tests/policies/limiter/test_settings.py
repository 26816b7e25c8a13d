"""What a rate limiter is set to: refused, in force, shared, changed and cleared."""

from __future__ import annotations

import pytest

import holdfast as hf


def taken(limiter: hf.RateLimiter, tries: int) -> int:
    return sum(limiter.try_acquire() for _ in range(tries))


@pytest.mark.parametrize(
    ("rate", "per", "burst"), [(3, 1, 3), (0.5, 1, 1), (2.5, 1, 3), (10, 60, 10)]
)
def test_the_burst_is_what_one_period_gives(rate, per, burst, clock):
    limiter = hf.RateLimiter("l", rate=rate, per=per, clock=clock)
    assert taken(limiter, 100) == burst


def test_stats_clear_and_snapshot(clock):  # RL-07
    limiter = hf.RateLimiter("l", rate=10, per=2, clock=clock)
    limiter.try_acquire(4)
    assert (limiter.stats().remaining, limiter.stats().reset_after) == (6, 0.8)
    limiter.try_acquire(7)
    shown = limiter.snapshot()
    assert (shown.rate, shown.burst, shown.available) == (5.0, 10, 6)
    assert (shown.allowed, shown.rejected, shown.observed) == (1, 1, 0)
    limiter.clear()
    assert limiter.stats() == type(limiter.stats())(remaining=10, reset_after=0.0)
    shown = limiter.snapshot()
    assert (shown.available, shown.allowed, shown.rejected) == (10, 1, 1)  # the counts stay


@pytest.mark.parametrize("window", [None, "sliding"])
def test_clearing_tells_what_it_gave_back(window, clock):  # trap 46
    limiter = hf.RateLimiter("l", rate=10, window=window, clock=clock)
    assert limiter.clear() == 0
    limiter.try_acquire(4)
    limiter.try_acquire(3)
    assert limiter.clear() == 7
    assert limiter.available == 10
    assert limiter.clear() == 0


def test_clearing_tells_what_was_booked_ahead(clock):  # trap 46
    limiter = hf.RateLimiter("l", rate=10, clock=clock)
    for _ in range(25):
        limiter.reserve()
    clock.advance(0.25)
    assert limiter.clear() == 22  # 2.5 of the 25 are back
    both = hf.RateLimiter("l", limits="10/second;100/minute", clock=clock)
    both.try_acquire(10)
    clock.advance(0.5)
    assert both.clear() == 9


def test_resizing_keeps_the_tokens_there_are(clock):  # trap 37
    limiter = hf.RateLimiter("l", rate=10, clock=clock)
    limiter.try_acquire(4)
    limiter.resize(rate=100, burst=50)
    assert limiter.available == 6
    clock.advance(0.1)
    assert limiter.available == 16
    limiter.resize(burst=3)
    assert (limiter.available, limiter.snapshot().rate) == (3, 100.0)
    with pytest.raises(hf.ConfigError, match="burst: got 0"):
        limiter.resize(burst=0)
    assert limiter.snapshot().burst == 3  # nothing half applied
    with pytest.raises(hf.ConfigError, match="limits"):
        hf.RateLimiter("l", limits="1/s;2/m", clock=clock).resize(rate=3)


def test_resizing_leaves_what_it_is_not_given(clock):  # RL-01
    limiter = hf.RateLimiter("l", rate=10, per=60, burst=100, clock=clock)
    limiter.resize(rate=20)
    shown = limiter.snapshot()
    assert (shown.rate * 60, shown.burst) == (20.0, 100)
    limiter.resize(per=5)
    shown = limiter.snapshot()
    assert (shown.rate, shown.burst) == (4.0, 100)
    limiter.resize(burst=7)
    shown = limiter.snapshot()
    assert (shown.rate, shown.burst) == (4.0, 7)
    limiter.resize(rate=1)
    assert limiter.snapshot().burst == 7
    sliding = hf.RateLimiter("s", rate=10, per=60, window="sliding", clock=clock)
    sliding.resize(rate=20)
    assert taken(sliding, 30) == 20


def test_a_burst_that_was_never_given_follows_the_rate(clock):
    limiter = hf.RateLimiter("l", rate=10, clock=clock)
    limiter.resize(rate=20)
    assert limiter.snapshot().burst == 20
    limiter.resize(rate=2)
    assert limiter.snapshot().burst == 2


class Interrupted(hf.ManualClock):
    """A clock whose reading is a moment at which something else happens, once."""

    meanwhile = staticmethod(lambda: None)

    def now_ns(self) -> int:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().now_ns()


def test_of_two_who_resize_at_once_the_last_rate_is_the_one_in_force():  # trap 37
    clock = Interrupted()
    limiter = hf.RateLimiter("l", rate=10, clock=clock)
    clock.meanwhile = lambda: limiter.resize(rate=3)
    limiter.resize(rate=5)
    assert limiter.snapshot().rate == 3.0
    assert limiter.describe().startswith("RateLimiter 'l': rate=3, ")
    clock.advance(60)
    assert taken(limiter, 20) == 3


@pytest.mark.parametrize("per", [0, -1, True, float("nan"), "5", 10**30])
@pytest.mark.parametrize("window", [None, "sliding"])
def test_resizing_takes_no_span_that_cannot_be(clock, window, per):
    limiter = hf.RateLimiter("l", rate=10, window=window, clock=clock)
    with pytest.raises(hf.ConfigError, match="per: got "):
        limiter.resize(per=per)
    assert limiter.snapshot().rate == 10.0


def test_a_shared_limiter_is_found_by_the_settings_in_force(clock):
    shared = hf.RateLimiter("l", rate=5, clock=clock, shared=True)
    assert hf.RateLimiter("l", rate=5.0, per=1, burst=5, clock=clock, shared=True) is shared
    shared.resize(rate=7)
    assert hf.RateLimiter("l", rate=7, clock=clock, shared=True) is shared
    with pytest.raises(
        hf.ConfigError, match="burst: got 8, allowed 7, as in the existing shared policy"
    ):
        hf.RateLimiter("l", rate=7, burst=8, clock=clock, shared=True)
    assert "rate=7" in shared.describe()
    one_limit = hf.RateLimiter("m", limits="10/minute", clock=clock)
    assert "limits='10/minute'" in one_limit.describe()
    one_limit.resize(rate=20)
    assert "rate=20, per=60.0, burst=20, limits=None" in one_limit.describe()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "rate: got None"),
        ({"rate": 0}, "rate: got 0"),
        ({"rate": -1}, "rate: got -1"),
        ({"rate": float("nan")}, "rate: got nan"),
        ({"rate": float("inf")}, "rate: got inf"),
        ({"rate": True}, "rate: got True"),
        ({"rate": "10"}, "rate: got '10'"),
        ({"rate": 10, "per": 0}, "per: got 0"),
        ({"rate": 10, "per": -1.0}, "per: got -1.0"),
        ({"rate": 10, "burst": 0}, "burst: got 0"),
        ({"rate": 10, "burst": 1.5}, "burst: got 1.5"),
        ({"rate": 10, "burst": True}, "burst: got True"),
        ({"rate": 10, "burst": 2**28}, "burst: got"),
        ({"rate": 2**28}, "rate: got"),
        ({"rate": 2**28, "window": "sliding"}, "rate: got"),
        ({"rate": 10, "max_wait": -1}, "max_wait: got -1"),
        ({"rate": 10, "max_wait": float("nan")}, "max_wait: got nan"),
        ({"rate": 10, "window": "fixed"}, "window: got 'fixed'"),
        ({"rate": 1.5, "window": "sliding"}, "whole number"),
        ({"rate": 2, "burst": 3, "window": "sliding"}, "burst: got 3"),
        ({"limits": "10 per fortnight"}, "limits: got '10 per fortnight'"),
        ({"limits": "10/s", "rate": 3}, "limits: got '10/s'"),
        ({"limits": "10/s", "per": 60}, "limits: got '10/s'"),
        ({"limits": "10/s", "burst": 3}, "limits: got '10/s'"),
        ({"rate": 10, "clock": object()}, "clock: got"),
        ({"rate": 10, "mode": "loud"}, "mode: got 'loud'"),
    ],
)
def test_bad_settings_are_named(settings, named):  # trap 39
    with pytest.raises(hf.ConfigError) as caught:
        hf.RateLimiter("l", **settings)
    assert named in str(caught.value)
    assert caught.value.code == "INVALID_CONFIG"


@pytest.mark.parametrize("window", [None, "sliding"])
def test_the_greatest_burst_can_be_taken_at_once(window, clock):
    limiter = hf.RateLimiter("l", rate=2**28 - 1, window=window, clock=clock)
    assert limiter.try_acquire(2**28 - 1)
    assert not limiter.try_acquire()


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        hf.RateLimiter("", rate=-1, per=0, burst=0)
    assert len(caught.value.problems) == 4
