"""The face of aiolimiter: its names and numbers, decided by our token bucket."""

import asyncio
import copy
import gc
import math
import os
import pickle
import threading
import time
import warnings
import weakref
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest

import holdfast as hf
from holdfast import mode
from holdfast.compat import aiolimiter
from holdfast.compat.aiolimiter import AsyncLimiter
from holdfast.compat.aiolimiter.leakybucket import LIMITER_REUSED_ACROSS_LOOPS_WARNING
from holdfast.testing import use_clock
from holdfast.waiting.lines import Turn


def now() -> float:
    return asyncio.get_running_loop().time()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def take(limiter: AsyncLimiter, amount: float, who: object, order: list[object]) -> None:
    await limiter.acquire(amount)
    order.append(who)


def test_it_has_the_names_of_the_library():  # RT-18
    assert aiolimiter.__all__ == ["AsyncLimiter"]
    assert aiolimiter.__version__ == "1.3.0"
    limiter = AsyncLimiter(4)
    assert (limiter.max_rate, limiter.time_period) == (4, 60)
    assert "<AsyncLimiter(max_rate=4, time_period=60) at 0x" in repr(limiter)


async def test_a_burst_goes_on_at_once_and_the_others_one_by_one_in_order():  # RT-18
    limiter, order = AsyncLimiter(10, 60), []  # their issue 200: 10, 12, 19, 13, 15, 17 …
    started = now()

    async def go_on(number: int) -> None:
        async with limiter:
            order.append((number, round(now() - started, 6)))

    await asyncio.gather(*(go_on(number) for number in range(20)))
    assert order == [(number, max(0, number - 9) * 6) for number in range(20)]


async def test_a_wait_ends_when_the_capacity_is_there():
    limiter = AsyncLimiter(3, 3)
    await limiter.acquire(1)
    began = now()
    await limiter.acquire(3)
    assert now() - began == pytest.approx(1)
    assert not limiter.has_capacity()


async def test_who_asks_for_less_goes_first_and_then_who_came_first():
    limiter, order = AsyncLimiter(4, 4), []
    await limiter.acquire(4)
    wanted = [(3, "three"), (1, "one"), (2, "two"), (1, "another one")]
    await asyncio.gather(*(take(limiter, amount, who, order) for amount, who in wanted))
    assert order == ["one", "another one", "two", "three"]


async def test_a_small_amount_that_is_there_need_not_wait_behind_a_large_one():
    limiter, order = AsyncLimiter(3, 3), []
    await limiter.acquire(1)
    large = asyncio.create_task(take(limiter, 3, "large", order))
    await settle()
    began = now()
    await limiter.acquire(1)
    assert now() == began
    await large
    assert now() - began == pytest.approx(2)


async def test_nobody_takes_the_capacity_of_whom_it_was_handed_to():  # trap 33
    limiter, order = AsyncLimiter(1, 1), []
    await limiter.acquire()
    waits = asyncio.create_task(take(limiter, 1, "first", order))
    await settle()
    loop = asyncio.get_running_loop()
    loop.call_at(now() + 1, lambda: late.append(loop.create_task(take(limiter, 1, "2", order))))
    late: list[asyncio.Task[None]] = []
    await waits
    await late[0]
    assert order == ["first", "2"]


async def test_a_cancelled_waiter_takes_nothing_and_those_behind_it_move_up():  # traps 32, 33
    limiter = AsyncLimiter(3, 3)
    await limiter.acquire(1)
    gone, stays = (asyncio.create_task(limiter.acquire(3)) for _ in range(2))
    await settle()
    began = now()
    gone.cancel()
    await stays
    assert now() - began == pytest.approx(1)


async def test_waiters_that_have_gone_take_no_more_memory():  # trap 67
    limiter = AsyncLimiter(3, 3600)
    await limiter.acquire(3)
    first = asyncio.create_task(limiter.acquire(1))
    await settle()
    for _ in range(500):
        task = asyncio.create_task(limiter.acquire(2))
        await settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert limiter.policy.waiters == 1
    gc.collect()
    assert sum(isinstance(one, Turn) for one in gc.get_objects()) < 100
    first.cancel()


async def test_capacity_that_was_handed_to_a_task_as_it_was_cancelled_comes_back():  # trap 33
    limiter = AsyncLimiter(2, 2)
    await limiter.acquire(2)
    gone = asyncio.create_task(limiter.acquire(2))
    await settle()
    limiter.policy.clear()  # hands it over; the task has not run since
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    assert limiter.has_capacity(2)
    assert limiter.policy.snapshot().allowed == 1


async def test_tasks_that_come_and_give_up_leave_nothing_behind():  # trap 67
    limiter = AsyncLimiter(1, 1000)
    await limiter.acquire()
    for _ in range(500):
        task = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert "waiters: 0" in repr(limiter)
    assert len(limiter.policy._line._heap) <= 1


async def test_parts_of_an_acquisition_are_counted():
    limiter = AsyncLimiter(1)
    await limiter.acquire(0)
    assert limiter.has_capacity(1)
    await limiter.acquire(0.5)
    assert limiter.has_capacity(0.5)
    assert not limiter.has_capacity(0.500001)
    await limiter.acquire(0.5)
    began = now()
    await limiter.acquire(0.25)
    assert now() - began == pytest.approx(15)


async def test_ten_tenths_are_one():
    limiter, began = AsyncLimiter(1, 10), now()
    for _ in range(10):
        await limiter.acquire(0.1)
    assert now() == began
    await limiter.acquire(0.1)
    assert now() - began == pytest.approx(1)


async def test_a_part_asked_for_later_keeps_the_level_and_who_waits():
    limiter, began = AsyncLimiter(10, 10), now()
    await limiter.acquire(10)
    waits = asyncio.create_task(limiter.acquire(2))
    await settle()
    await limiter.acquire(0.5)
    assert now() - began == pytest.approx(0.5)
    await waits
    assert now() - began == pytest.approx(2.5)


async def test_a_rate_need_not_be_whole():
    limiter, began = AsyncLimiter(2.5, 5), now()
    await limiter.acquire(2.5)
    await limiter.acquire()
    assert now() - began == pytest.approx(2)
    assert limiter.policy.snapshot().rate == pytest.approx(0.5)


@pytest.mark.parametrize("amount", [-1, -math.inf, math.nan, 42])
async def test_an_amount_out_of_range_is_refused(amount):
    limiter = AsyncLimiter(1)
    with pytest.raises(ValueError, match="Amount must be a number between 0 and the maximum capa"):
        await limiter.acquire(amount)
    assert limiter.has_capacity(1)
    assert not limiter.has_capacity(42)


@pytest.mark.parametrize("rate", [0, -1, math.nan, "10"])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(hf.ConfigError, match="max_rate: got"):
        AsyncLimiter(rate)


@pytest.mark.parametrize("period", [-1, math.nan, 1e-9, "10"])
def test_a_period_that_is_none_is_refused(period):
    with pytest.raises(hf.ConfigError, match="time_period: got"):
        AsyncLimiter(1, period)
    limiter = AsyncLimiter(1, 1)
    with pytest.raises(hf.ConfigError, match="time_period: got"):
        limiter.time_period = period
    assert limiter.time_period == 1
    assert AsyncLimiter(1, timedelta(minutes=1)).time_period == 60


def test_a_period_of_nothing_is_refused_as_in_the_library():
    with pytest.raises(ZeroDivisionError, match="time_period=0 must be above 0"):
        AsyncLimiter(1, 0)


async def test_a_rate_without_end_never_waits():
    limiter, began = AsyncLimiter(math.inf, 1), now()
    for _ in range(1000):
        await limiter.acquire()
    assert now() == began


async def test_another_rate_keeps_the_level_and_holds_for_who_waits():  # trap 37
    limiter = AsyncLimiter(2, 2)
    await limiter.acquire(2)
    waits = asyncio.create_task(limiter.acquire())
    await settle()
    began = now()
    limiter.time_period = 20
    await waits
    assert now() - began == pytest.approx(10)
    limiter.max_rate = 0.5
    assert not limiter.has_capacity(1)
    with pytest.raises(hf.ConfigError, match="max_rate: got -1"):
        limiter.max_rate = -1
    assert (limiter.max_rate, limiter.time_period) == (0.5, 20)


@pytest.mark.parametrize("rate", [1, 1.5])
async def test_who_waits_for_more_than_another_rate_ever_has_is_told(rate):  # trap 37
    limiter = AsyncLimiter(2, 2)
    await limiter.acquire(2)
    waits = asyncio.create_task(limiter.acquire(2))
    await settle()
    limiter.max_rate = rate
    with pytest.raises(ValueError, match=f"maximum capacity, {rate}, not 2"):
        await waits


def test_a_limiter_used_in_another_loop_warns_keeps_its_level_and_goes_on():  # trap 32
    limiter = AsyncLimiter(2, 1000)

    async def leave_waiting() -> None:
        await limiter.acquire(2)
        tasks = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
        await asyncio.wait(tasks, timeout=0)

    async def look() -> bool:
        return limiter.has_capacity(1)

    asyncio.run(leave_waiting())
    with pytest.warns(RuntimeWarning) as told:
        assert not asyncio.run(look())
    assert str(told[0].message) == LIMITER_REUSED_ACROSS_LOOPS_WARNING
    assert told[0].filename == __file__
    assert "waiters: 0" in repr(limiter)


def test_tasks_left_in_a_loop_that_was_closed_under_them_hold_nothing():  # trap 33
    limiter = AsyncLimiter(1, 0.05)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(limiter.acquire())
    left = loop.create_task(limiter.acquire())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    with pytest.warns(RuntimeWarning, match="re-used across loops"):
        asyncio.run(asyncio.wait_for(limiter.acquire(), 30))
    left._log_destroy_pending = False


def test_two_loops_in_two_threads_share_one_limiter():
    limiter, done = AsyncLimiter(5, 0.1), []

    async def work() -> None:
        for _ in range(10):
            async with limiter:
                done.append(None)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        began = limiter.policy.time.now_ns()
        threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(done) == 20
    assert limiter.policy.time.now_ns() - began >= 0.29e9  # 5 at once, 15 at 50 a second


async def test_a_loop_whose_time_is_set_back_loses_no_capacity(monkeypatch):  # trap 20
    limiter, loop = AsyncLimiter(2, 2), asyncio.get_running_loop()
    time = [1_000_000.0]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", lambda: time[0])
        await limiter.acquire(2)
        time[0] = 5.0
        assert not limiter.has_capacity()
        time[0] = 6.0
        assert limiter.has_capacity(1)
        assert not limiter.has_capacity(2)


async def test_the_clock_of_a_test_moves_it():
    with use_clock() as clock:
        limiter = AsyncLimiter(1, 60)
    await limiter.acquire()
    waits = asyncio.create_task(limiter.acquire())
    await settle()
    clock.advance(59)
    await settle()
    assert not waits.done()
    clock.advance(1)
    await waits


@pytest.mark.parametrize("word", [mode.Mode.OBSERVE, mode.Mode.OFF])
async def test_a_mode_that_enforces_nothing_lets_everybody_pass(monkeypatch, word):
    monkeypatch.setattr(mode, "_of_process", word)
    limiter = AsyncLimiter(1, 1000)
    for _ in range(3):
        async with limiter:
            assert limiter.has_capacity(1)
    observed = limiter.policy.snapshot().observed
    assert observed == (2 if word is mode.Mode.OBSERVE else 0)


async def test_a_rate_limiter_of_ours_counts_under_the_name_of_the_module():  # RT-18
    limiter, other = AsyncLimiter(2, 2), AsyncLimiter(1)
    for _ in range(3):
        await limiter.acquire()
    shown = limiter.policy.snapshot()
    assert shown.name == __name__
    assert (shown.allowed, shown.rejected, shown.burst) == (3, 0, 2)
    assert hf.registry.get("rate_limiter", __name__) is other.policy


async def test_the_policy_behind_it_takes_from_the_same_bucket():
    limiter = AsyncLimiter(2, 2)
    assert limiter.policy.try_acquire()
    await limiter.acquire()
    assert not limiter.policy.try_acquire()
    assert limiter.policy.reserve() == pytest.approx(1, abs=0.1)
    began = now()
    await limiter.acquire()
    assert now() - began == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("rate", [4, 1.5])
async def test_a_rate_that_is_changed_by_the_policy_is_that_of_the_limiter(rate):
    limiter = AsyncLimiter(2, 2)
    await limiter.acquire(2)
    limiter.policy.resize(rate=rate, per=timedelta(seconds=3))
    assert (limiter.max_rate, limiter.time_period) == (rate, 3)
    await asyncio.sleep(3)
    assert limiter.has_capacity(rate)
    assert not limiter.has_capacity(rate + 0.1)
    with pytest.raises(hf.ConfigError, match="burst: got 3"):
        limiter.policy.resize(burst=3)


async def test_the_policy_shows_whole_tokens_whatever_it_counts_in():
    limiter = AsyncLimiter(4, 2)
    await limiter.acquire(0.5)
    shown = limiter.policy.snapshot()
    assert (shown.rate, shown.burst, shown.available) == (2, 4, 3)
    assert "4 in 2 s, 3 left" in repr(limiter.policy)
    assert limiter.policy.stats().remaining == 3


def test_a_limiter_that_nobody_holds_is_gone():  # trap 67
    limiter = AsyncLimiter(1)
    policy = weakref.ref(limiter.policy)
    del limiter
    gc.collect()
    assert policy() is None


async def test_a_subclass_that_waits_otherwise_works():
    class Polite(AsyncLimiter):
        async def acquire(self, amount: float = 1) -> None:
            await asyncio.sleep(1)
            await super().acquire(amount)

    limiter, began = Polite(1), now()
    async with limiter:
        assert now() - began == pytest.approx(1)
    assert not limiter.has_capacity()


@pytest.mark.parametrize("seed", range(6))
async def test_whoever_comes_and_goes_no_more_goes_on_than_the_rate_allows(seed):  # traps 32, 36
    random = Random(seed)
    most = random.choice([1, 3, 2.5])
    limiter, began, taken = AsyncLimiter(most, 2), now(), []

    async def work() -> None:
        await asyncio.sleep(random.uniform(0, 40))
        amount = random.choice([most, 1, 0.5, 0.1])
        await limiter.acquire(amount)
        taken.append((now(), amount))

    tasks = [asyncio.create_task(work()) for _ in range(80)]
    for task in random.sample(tasks, 30):
        asyncio.get_running_loop().call_later(random.uniform(0, 60), task.cancel)
    await asyncio.gather(*tasks, return_exceptions=True)
    for start in range(len(taken)):  # in every span: the burst, and what the rate brings
        total = 0.0
        for at, amount in taken[start:]:
            total += amount
            assert total <= most + (at - taken[start][0]) * most / 2 + 1e-3
    assert len(taken) >= 50
    assert now() - began >= 30
    assert limiter.policy.waiters == 0
    await asyncio.sleep(2)
    assert limiter.has_capacity(most)


def test_in_a_forked_child_nobody_waits_and_the_level_stays():  # trap 58
    limiter = AsyncLimiter(2, 3600)

    async def wait() -> None:
        await limiter.acquire(2)
        waits = asyncio.create_task(limiter.acquire())
        await settle()
        assert limiter.policy.waiters == 1
        pid = os.fork()
        if pid == 0:
            os._exit(0 if limiter.policy.waiters == 0 and not limiter.policy.test() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0  # noqa: ASYNC222
        assert limiter.policy.waiters == 1
        waits.cancel()

    asyncio.run(wait())


async def test_two_tasks_that_ask_for_a_part_at_first_agree():
    limiter, began = AsyncLimiter(2, 2), now()
    await asyncio.gather(*(limiter.acquire(0.5) for _ in range(6)))
    assert now() - began == pytest.approx(1)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_limiter_does_not_double_its_rate(copied):
    limiter = AsyncLimiter(1, 3600)
    asyncio.run(limiter.acquire())
    assert not copied(limiter).policy.try_acquire()


def test_a_limiter_that_is_sent_to_another_process_begins_anew_there():
    limiter = AsyncLimiter(1, 3600)
    limiter.policy.try_acquire()
    sent = pickle.loads(pickle.dumps(limiter))
    assert (sent.max_rate, sent.time_period) == (1, 3600)
    assert sent.policy.try_acquire()


def test_threads_that_wait_by_the_policy_take_turns_with_tasks():
    limiter = AsyncLimiter(1, 0.05)
    began = time.monotonic()

    def work() -> None:
        for _ in range(3):
            limiter.policy.acquire()

    async def go_on() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(3):
            async with limiter:
                await asyncio.sleep(0)
        await asyncio.to_thread(thread.join, 30)

    asyncio.run(go_on())
    assert time.monotonic() - began >= 0.24
    assert limiter.policy.snapshot().allowed == 6


def test_a_wait_by_the_policy_that_would_be_too_long_is_refused_at_once():  # trap 42
    limiter = AsyncLimiter(1, 3600)
    limiter.policy.acquire()
    with pytest.raises(hf.RateLimitedError) as refused:
        limiter.policy.acquire(timeout=1)
    assert refused.value.retry_after == pytest.approx(3600, abs=5)


def test_a_thread_of_a_test_that_waits_by_the_policy_moves_the_clock():
    with use_clock() as clock:
        limiter = AsyncLimiter(1, 60)
        limiter.policy.acquire()
        limiter.policy.acquire()
        assert clock.now() == 60
