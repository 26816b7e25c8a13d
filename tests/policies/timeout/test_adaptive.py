"""A timeout that follows what calls take: it does not spiral, nor does it leave its bounds."""

from __future__ import annotations

import asyncio
import sys
import tracemalloc
from datetime import timedelta

import pytest

import holdfast as hf
from tests.policies.timeout.adaptive_timeouts import MS, adaptive, follow, learnt


def test_it_is_what_it_was_set_to_until_the_tenth_call(clock):  # TO-08
    timeout = adaptive(clock)
    assert timeout.duration == 1.0
    follow(timeout, clock, 100 * MS, 9)
    assert timeout.duration == 1.0
    follow(timeout, clock, 100 * MS, 1)
    assert timeout.duration == pytest.approx(1.0 - 0.08)  # a tenth of the way to 200 ms
    follow(timeout, clock, 100 * MS, 200)
    assert timeout.duration == pytest.approx(0.2, rel=0.01)


def test_calls_that_grow_slower_than_it_do_not_time_out_for_ever(clock):  # D-TO-1
    timeout = adaptive(clock, 30.0, floor=0.0001)
    follow(timeout, clock, 1 * MS, 200)
    assert timeout.duration < 11 * MS
    assert 0 < follow(timeout, clock, 15 * MS, 100) < 40
    assert follow(timeout, clock, 15 * MS, 1000) == 0
    shown = timeout.snapshot()
    assert shown.expired == shown.late < 40
    assert shown.samples == shown.in_time + shown.expired == 1300


@pytest.mark.parametrize("slower", [10, 100, 1000])
def test_however_much_slower_they_grow(clock, slower):  # D-TO-1
    timeout = adaptive(clock, 30.0, floor=0.0001)
    follow(timeout, clock, 10 * MS, 200)
    follow(timeout, clock, 10 * MS * slower, 300)
    assert follow(timeout, clock, 10 * MS * slower, 50) == 0


async def a_call(policy: hf.Policy, clock: hf.ManualClock, seconds: float) -> bool:
    """Make a call that ends after so long; whether it came through."""
    done = asyncio.get_running_loop().create_future()
    cancel = clock.call_at_ns(
        clock.now_ns() + round(seconds * 1e9), lambda: done.done() or done.set_result(None)
    )
    task = asyncio.ensure_future(policy.acall(asyncio.wait_for, done, None))
    await asyncio.sleep(0)  # it is suspended, and its alarm is set
    while not task.done():
        clock.advance(seconds / 4)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    cancel()
    return not isinstance(task.exception(), hf.DeadlineExceededError)


def test_nor_in_a_task_where_they_are_cut_short():  # D-TO-1
    clock = hf.ManualClock()
    timeout = adaptive(clock, 30.0, floor=0.0001)

    async def main() -> tuple[list[bool], list[bool]]:
        for _ in range(120):
            assert await a_call(timeout, clock, 1 * MS)
        assert timeout.duration < 12 * MS
        first = [await a_call(timeout, clock, 15 * MS) for _ in range(60)]
        return first, [await a_call(timeout, clock, 15 * MS) for _ in range(60)]

    first, then = asyncio.run(main())
    assert not any(first[:3])
    assert all(then)
    shown = timeout.snapshot()
    assert shown.late == 0
    assert 0 < shown.expired < 40
    assert shown.samples == 240


def test_it_never_leaves_floor_and_ceiling(clock):
    timeout = adaptive(clock, 2.0, floor=0.25, ceiling=3.0)
    follow(timeout, clock, 1 * MS, 300)
    assert 0.5 <= timeout.duration < 0.500001
    follow(timeout, clock, 20.0, 300)
    assert 5.999999 < timeout.duration <= 6.0


def test_by_default_it_never_allows_more_than_was_configured(clock):
    timeout = hf.AdaptiveTimeout(2.0, clock=clock)
    assert follow(timeout, clock, 5.0, 50) == 50
    assert timeout.duration == 2.0
    follow(timeout, clock, 1 * MS, 3000)
    assert 0.2 <= timeout.duration < 0.200001  # a tenth of it


def test_each_call_is_held_to_what_was_in_force_when_it_began(clock):
    timeout = adaptive(clock)
    seen = []

    def call() -> None:
        seen.append(hf.deadline())
        clock.advance(0.1)

    for _ in range(20):
        before = timeout.duration
        timeout.call(call)
        assert seen[-1] == pytest.approx(before)
    assert timeout.duration < 0.7


def test_the_message_tells_what_was_exceeded_and_not_what_came_of_it(clock):
    timeout = adaptive(clock, name="orders", ceiling=10.0)
    follow(timeout, clock, 1.0, 12)
    timeout.resize(1.0)
    with pytest.raises(hf.DeadlineExceededError, match=r"timed out after 1 s, timeout 'orders'"):
        timeout.call(clock.advance, 1.5)
    assert timeout.duration > 1.0


def test_observed_it_follows_and_cuts_nothing(clock):
    timeout = adaptive(clock, mode="observe")
    follow(timeout, clock, 10 * MS, 200)
    assert timeout.duration == pytest.approx(0.02, rel=0.01)
    assert follow(timeout, clock, 0.5, 100) == 0
    shown = timeout.snapshot()
    assert 0 < shown.observed < 100
    assert shown.expired == 0
    assert shown.samples == 300
    assert shown.observed + shown.in_time == 300


def test_switched_off_it_learns_nothing(clock):
    timeout = adaptive(clock, mode="off")
    assert follow(timeout, clock, 100.0, 50) == 0
    assert (timeout.duration, learnt(timeout)) == (1.0, 0)


def test_resized_it_is_what_it_was_set_to_with_bounds_of_the_same_shares(clock):  # TO-08
    timeout = adaptive(clock, 10.0, floor=0.5, ceiling=2.0)
    follow(timeout, clock, 10 * MS, 200)
    assert timeout.duration == pytest.approx(5.0)
    timeout.resize(timedelta(seconds=100))
    shown = timeout.snapshot()
    assert (shown.duration, shown.floor, shown.ceiling, shown.samples) == (100, 50, 200, 200)
    follow(timeout, clock, 10 * MS, 1)
    assert timeout.duration == pytest.approx(95.0)
    timeout.resize(1.0)
    assert timeout.duration == 1.0
    assert "duration=1.0, floor=0.5, ceiling=2.0" in timeout.describe()


def test_reset_puts_back_what_was_configured(clock):
    timeout = adaptive(clock)
    follow(timeout, clock, 10 * MS, 200)
    timeout.reset()
    assert timeout.duration == 1.0


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), "1", None, 10**11, True])
def test_resized_to_what_is_no_duration_it_stays_as_it_is(clock, bad):
    timeout = adaptive(clock)
    with pytest.raises(hf.ConfigError, match="duration: got"):
        timeout.resize(bad)
    assert (timeout.duration, timeout.snapshot().ceiling) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"duration": 0}, "duration: got 0, allowed seconds or a timedelta from 1e-06"),
        ({"duration": float("nan")}, "duration: got nan"),
        ({"floor": 0}, "floor: got 0, allowed a number above 0, up to 1"),
        ({"floor": 1.1}, "floor: got 1.1"),
        ({"floor": -0.1}, "floor: got -0.1"),
        ({"floor": float("nan")}, "floor: got nan"),
        ({"floor": "0.1"}, "floor: got '0.1'"),
        ({"ceiling": 0.9}, "ceiling: got 0.9, allowed a number from 1 to 100"),
        ({"ceiling": 101}, "ceiling: got 101"),
        ({"ceiling": float("inf")}, "ceiling: got inf"),
        ({"multiplier": 1.0}, "multiplier: got 1.0, allowed a number above 1, up to 1000"),
        ({"multiplier": 1001}, "multiplier: got 1001"),
        ({"multiplier": True}, "multiplier: got True"),
        ({"quantile": 95}, "quantile: got 95, allowed a number from 0.5 to 0.999"),  # D-LB-1
        ({"quantile": 0.49}, "quantile: got 0.49"),
        ({"quantile": 1.0}, "quantile: got 1.0"),
        ({"quantile": None}, "quantile: got None"),
        ({"thread": 1}, "thread: got 1"),
        ({"workers": 0}, "workers: got 0"),
        ({"clock": 1}, "clock: got 1"),
        ({"mode": "loud"}, "mode: got 'loud'"),
        ({"name": ""}, "name: got ''"),
        ({"shared": True}, "shared: got True"),
    ],
)
def test_bad_settings_are_named(settings, named):
    with pytest.raises(hf.ConfigError) as caught:
        hf.AdaptiveTimeout(**settings)
    assert named in str(caught.value)


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(hf.ConfigError) as caught:
        hf.AdaptiveTimeout(-1, floor=2, ceiling=0, multiplier=1, quantile=95, workers=0)
    for field in ("duration", "floor", "ceiling", "multiplier", "quantile", "workers"):
        assert f"{field}: got" in str(caught.value)


def test_its_bounds_may_be_the_widest_and_the_narrowest(clock):
    widest = hf.AdaptiveTimeout(100 * 365 * 86400, floor=1e-18, ceiling=100, clock=clock)
    shown = widest.snapshot()
    assert (shown.floor, shown.ceiling) == (pytest.approx(3e-9, rel=0.1), widest.duration)
    fixed = hf.AdaptiveTimeout(1e-6, floor=1, ceiling=1, clock=clock)
    follow(fixed, clock, 5.0, 50)
    assert fixed.duration == 1e-6


def test_shared_it_is_one_if_all_settings_are_equal(clock):
    def make(**settings):
        return hf.AdaptiveTimeout(5, name="s", clock=clock, shared=True, **settings)

    first = make(floor=0.2)
    assert make(floor=0.2) is first
    for other in ({"floor": 0.3}, {"floor": 0.2, "quantile": 0.9}, {"floor": 0.2, "ceiling": 2}):
        with pytest.raises(hf.ConfigError, match=next(reversed(other))):
            make(**other)
    with pytest.raises(hf.ConfigError, match="shared"):
        hf.Timeout(5, name="s", clock=clock, shared=True)


def test_a_snapshot_has_what_a_timeouts_has_and_what_it_has_learnt(clock):  # TO-10
    timeout = adaptive(clock, name="n")
    empty = timeout.snapshot()
    assert (empty.name, empty.duration, empty.floor, empty.ceiling) == ("n", 1.0, 0.01, 1.0)
    assert (empty.samples, empty.average_latency, empty.quantile_latency) == (0, None, None)
    follow(timeout, clock, 0.25, 4)
    with pytest.raises(hf.DeadlineExceededError):
        timeout.call(clock.advance, 1.0)
    shown = timeout.snapshot()
    assert (shown.in_time, shown.expired, shown.late, shown.timeout_rate) == (4, 1, 1, 0.2)
    assert shown.samples == 5
    assert shown.average_latency == pytest.approx(0.25 + 0.75 / 16)
    assert 0.25 <= shown.quantile_latency <= 1.0
    with pytest.raises(AttributeError):
        shown.samples = 0


def test_it_keeps_no_samples(clock):  # D-TO-2
    timeout = adaptive(clock)
    follow(timeout, clock, 1 * MS, 100)
    tracemalloc.start()
    try:
        follow(timeout, clock, 1 * MS, 100)
        before = tracemalloc.get_traced_memory()[0]
        follow(timeout, clock, 1 * MS, 5000)
        assert tracemalloc.get_traced_memory()[0] - before < 5000
    finally:
        tracemalloc.stop()
    assert timeout._adaptive.nbytes() <= 256
    assert sys.getsizeof(timeout) <= 1024
