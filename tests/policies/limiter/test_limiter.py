"""Rate limiters through their public face: tokens, waits, several limits, resizing."""

from __future__ import annotations

import asyncio
import threading

import pytest

import holdfast as hf
from tests.waiting.parties import LIMIT, Party


def taken(limiter: hf.RateLimiter, tries: int) -> int:
    return sum(limiter.try_acquire() for _ in range(tries))


def test_it_admits_the_burst_and_then_the_rate(clock):  # RL-01
    limiter = hf.RateLimiter("outbound", rate=1000, per=1.0, burst=100, clock=clock)
    assert taken(limiter, 150) == 100
    clock.advance(0.010)
    assert taken(limiter, 150) == 10
    clock.advance(3600)
    assert taken(limiter, 150) == 100  # never more than the burst, however long it was idle


class Nameless:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    "weight", [0, -1, 11, True, 1.0, "1", None, 2**70, 10**5000, "x" * 10**6, Nameless()], ids=type
)
def test_a_weight_is_a_whole_number_up_to_the_burst(weight, clock):  # trap 38
    limiter = hf.RateLimiter("l", rate=10, clock=clock)
    for ask in (limiter.try_acquire, limiter.acquire, limiter.reserve, limiter.test):
        with pytest.raises(
            ValueError, match=r"n: got .*, allowed an integer from 1 to 10"
        ) as caught:
            ask(weight)
        assert len(str(caught.value)) < 200
    assert limiter.available == 10


def test_weights_take_as_much(clock):
    limiter = hf.RateLimiter("l", rate=10, clock=clock)
    assert limiter.try_acquire(4)
    assert limiter.try_acquire(n=4)
    assert not limiter.try_acquire(3)
    assert limiter.try_acquire(2)
    with pytest.raises(TypeError):
        limiter.try_acquire(1, 2)
    with pytest.raises(TypeError):
        limiter.try_acquire(m=1)


def test_a_refusal_says_when_to_come_back(clock):  # RL-08, GEN-08, trap 40
    limiter = hf.RateLimiter("api", rate=3, clock=clock)
    guarded = limiter(lambda: "ran")
    assert [guarded() for _ in range(3)] == ["ran"] * 3
    with pytest.raises(hf.RateLimitedError, match="rate limit exceeded: 'api'") as caught:
        guarded()
    error = caught.value
    assert (error.code, error.name, error.policy) == ("RATE_LIMITED", "api", limiter)
    assert (error.reason, error.retry_after) == ("rate", 1 / 3 + 2 / 3 * 1e-9)  # rounded up to a ns
    clock.advance_ns(333_333_333)
    assert not limiter.test()
    clock.advance_ns(1)
    assert guarded() == "ran"


def test_a_wait_known_to_be_too_long_is_not_begun(clock):  # trap 42
    limiter = hf.RateLimiter("l", rate=1, max_wait=2.0, clock=clock)
    limiter.acquire()
    before = clock.now()
    with pytest.raises(hf.RateLimitedError) as caught:
        limiter.acquire(timeout=0.5)
    assert clock.now() == before
    assert caught.value.retry_after == 1.0
    limiter.acquire()  # max_wait is enough for this one
    assert clock.now() == before + 1.0
    assert limiter.available == 0


def test_waiters_are_served_at_the_rate(clock):  # trap 41
    limiter = hf.RateLimiter("l", rate=4, burst=1, max_wait=None, clock=clock)
    times = []
    for _ in range(5):
        limiter.acquire()
        times.append(clock.now())
    assert times == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_guarded_call_waits_for_its_token_in_threads_and_tasks():
    clock = hf.ManualClock()
    limiter = hf.RateLimiter("l", rate=2, burst=1, max_wait=10, clock=clock)
    assert [limiter.call(clock.now) for _ in range(3)] == [0.0, 0.5, 1.0]

    async def moment() -> float:
        return clock.now()

    async def main() -> list[float]:
        tasks = [asyncio.create_task(limiter.acall(moment)) for _ in range(3)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            clock.advance(0.125)
        return [task.result() for task in tasks]

    first, second, third = asyncio.run(main())
    assert second - first == third - second == 0.5


def test_nothing_has_to_run_for_tokens_to_come_back(clock):  # trap 43
    threads = set(threading.enumerate())
    limiters = [hf.RateLimiter("l", rate=1, clock=clock) for _ in range(1_000)]
    assert all(limiter.try_acquire() for limiter in limiters)
    clock.advance(1)
    assert all(limiter.try_acquire() for limiter in limiters)
    assert set(threading.enumerate()) <= threads
    assert not clock._timers


def test_a_reservation_books_whatever_the_wait(clock):  # RL-01, trap 38
    limiter = hf.RateLimiter("l", rate=1, burst=2, clock=clock)
    assert [limiter.reserve() for _ in range(5)] == [0.0, 0.0, 1.0, 2.0, 3.0]
    assert limiter.available == 0
    clock.advance(3.0)
    assert not limiter.try_acquire()
    clock.advance(1.0)
    assert limiter.try_acquire()


def test_a_cancelled_waiter_gives_its_tokens_back():  # trap 32
    clock = hf.ManualClock()
    limiter = hf.RateLimiter("l", rate=1, burst=1, max_wait=None, clock=clock)

    async def main() -> None:
        limiter.acquire()
        task = asyncio.create_task(limiter.aacquire())
        await asyncio.sleep(0)
        assert limiter.stats().reset_after == 2.0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert limiter.stats().reset_after == 1.0

    asyncio.run(main())
    clock.advance(1.0)
    assert limiter.try_acquire()


def test_several_limits_hold_together_or_not_at_all(clock):
    limiter = hf.RateLimiter("l", limits="2/second;3/minute", clock=clock)
    assert taken(limiter, 5) == 2
    clock.advance(1)
    assert taken(limiter, 5) == 1  # the minute is used up, and the second lost nothing to it
    assert [cell.available(clock.now_ns()) for cell in limiter._kernels] == [1, 0]
    with pytest.raises(hf.RateLimitedError) as caught:
        limiter.call(lambda: None)
    assert caught.value.retry_after == 19.0
    assert limiter.snapshot().allowed == 3


def test_several_limits_can_be_waited_for(clock):
    limiter = hf.RateLimiter("l", limits="2/second;3/minute", max_wait=60, clock=clock)
    times = []
    for _ in range(4):
        limiter.acquire()
        times.append(round(clock.now(), 6))
    assert times == [0.0, 0.0, 0.5, 20.0]


def test_what_one_limit_refuses_is_not_booked_with_the_others(clock):
    limiter = hf.RateLimiter("l", limits="2/second;3/minute", max_wait=1, clock=clock)
    for _ in range(3):
        limiter.acquire()
    before = [cell.wait_ns(1, clock.now_ns()) for cell in limiter._kernels]
    for _ in range(5):
        with pytest.raises(hf.RateLimitedError) as caught:
            limiter.acquire()
        assert caught.value.retry_after == 19.5
    assert [cell.wait_ns(1, clock.now_ns()) for cell in limiter._kernels] == before


def test_a_sliding_window_can_be_waited_for_and_not_booked(clock):
    limiter = hf.RateLimiter("l", rate=2, window="sliding", max_wait=5, clock=clock)
    for _ in range(4):
        limiter.acquire()
    assert 1.0 <= clock.now() <= 1.1
    with pytest.raises(ValueError, match="cannot be reserved"):
        limiter.reserve()
    with pytest.raises(hf.RateLimitedError):
        limiter.acquire(timeout=0.1)


def test_a_clock_set_back_neither_issues_tokens_nor_holds_them_back(clock):  # trap 20, trap 21
    clock.set(10_000)
    limiter = hf.RateLimiter("l", rate=1, clock=clock)
    assert limiter.try_acquire()
    clock.set(6_400)
    assert not limiter.try_acquire()
    assert limiter.stats().reset_after == 1.0
    clock.advance(1)
    assert limiter.try_acquire()


def test_observed_it_rejects_nothing_and_counts(clock):
    limiter = hf.RateLimiter("l", rate=1, max_wait=5, mode="observe", clock=clock)
    assert [limiter.call(lambda: 1) for _ in range(3)] == [1, 1, 1]
    assert limiter.try_acquire()
    limiter.acquire()
    shown = limiter.snapshot()
    assert (shown.allowed, shown.rejected) == (1, 0)
    assert shown.observed == 4
    assert limiter.test()
    assert limiter.reserve() == 0.0
    assert clock.now() == 0.0  # and nobody waited


def test_switched_off_it_counts_nothing(clock):
    limiter = hf.RateLimiter("l", rate=1, mode="off", clock=clock)
    assert [limiter.call(lambda: 1) for _ in range(3)] == [1, 1, 1]
    assert all(limiter.try_acquire() for _ in range(3))
    limiter.acquire()
    assert limiter.reserve() == 0.0
    assert limiter.snapshot().allowed == 0


def test_no_lock_and_no_log_stand_in_the_way_of_a_call(clock, caplog):
    # D-RL-1, GEN-14: all the locks there are, are held by another thread
    limiter = hf.RateLimiter("l", rate=1, clock=clock)
    limiter.on_event(lambda event: None)
    held, let_go = threading.Event(), threading.Event()

    def hold_every_lock() -> None:
        with limiter._listeners._lock, hf.registry._lock, clock._lock:
            held.set()
            assert let_go.wait(LIMIT)

    def use_it() -> int:
        assert limiter.try_acquire()
        refused = sum(not limiter.try_acquire() for _ in range(1000))
        return refused + sum(limiter.try_call(int).rejection is not None for _ in range(1000))

    holder = Party(hold_every_lock)
    assert held.wait(LIMIT)
    try:
        assert Party(use_it).result() == 2000
    finally:
        let_go.set()
        holder.result()
    assert limiter.snapshot().rejected == 2000
    assert not caplog.records


@pytest.mark.parametrize("window", [None, "sliding"])
def test_nobody_waits_for_ever_on_a_clock_at_its_end(window, clock):  # trap 21
    for _ in range(3):
        clock.advance(100 * 365 * 86_400)
    limiter = hf.RateLimiter("l", rate=1, max_wait=5, window=window, clock=clock)
    limiter.acquire()
    assert Party(limiter.try_call, int).result() is not None


def test_a_refusal_finds_its_words_when_they_are_asked_for(clock, monkeypatch):  # D-RL-1
    limiter = hf.RateLimiter("l", rate=1, clock=clock)
    limiter.try_acquire()
    refusal = limiter.try_call(int).rejection
    monkeypatch.setattr(hf.RateLimitedError, "summary", "words of later")
    assert str(refusal).startswith("words of later: 'l'")
