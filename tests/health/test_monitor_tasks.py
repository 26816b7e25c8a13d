"""HealthMonitor in an event loop: asynchronous checks are tasks, plain ones run in threads."""

import asyncio
import threading
from contextlib import suppress

import pytest

from holdfast import deadline
from holdfast.health import CompositeCheck, HealthMonitor, HealthState, PingCheck
from holdfast.testing.loops import VirtualLoop
from tests.health.monitored import Hanging, Steered, threads_of
from tests.waiting.parties import LIMIT, LoopParty, auntil, until


def run(main, clock=None):
    """Run a coroutine in a loop: on a manual clock, or in real time."""
    factory = None if clock is None else lambda: VirtualLoop(clock)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)
        assert not asyncio.all_tasks(runner.get_loop())
    until(lambda: not threads_of("shop"))


async def none_left():
    """See to it that no task but this one is left."""
    await auntil(lambda: asyncio.all_tasks() == {asyncio.current_task()})


class Asked:
    """A coroutine function that a test steers."""

    def __init__(self, seconds=0.0, says=None):
        self.seconds = seconds
        self.says = says
        self.tasks = []
        self.now = self.most = 0
        self.cancelled = 0

    async def __call__(self):
        self.tasks.append(asyncio.current_task())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says


def monitor_on(clock, *checks, **settings):
    monitor = HealthMonitor("shop", clock=clock, jitter=0, adaptive=False, **settings)
    for check in checks:
        monitor.add(check)
    return monitor


def test_asynchronous_checks_run_as_tasks_at_the_same_time(clock):  # HC-04
    pings = [Asked(seconds=2) for _ in range(5)]
    monitor = monitor_on(clock, *(PingCheck(f"c{n}", ping) for n, ping in enumerate(pings)))

    async def main():
        async with monitor:
            await asyncio.sleep(2.5)
            assert monitor.is_healthy
            assert monitor.status("c0").duration == 2
            await asyncio.sleep(30)
        await none_left()

    run(main(), clock)
    assert all(len(ping.tasks) >= 4 for ping in pings)
    assert len({id(task) for task in pings[0].tasks}) == len(pings[0].tasks)


def test_an_asynchronous_check_is_cancelled_at_its_timeout_and_sees_it_coming(clock):  # D-HC-1
    left = []

    async def hang():
        left.append(deadline())
        await asyncio.sleep(1000)

    monitor = monitor_on(clock, PingCheck("c", hang, timeout=3, failures=1))

    async def main():
        async with monitor:
            await asyncio.sleep(4)
            assert monitor.status("c").state is HealthState.UNHEALTHY
            assert "longer than 3 s" in monitor.status("c").message
            assert monitor.status("c").abandoned_count == 0
            assert not monitor.status("c").running
        await none_left()

    run(main(), clock)
    assert left == [3]


def test_a_task_that_ignores_its_cancellation_is_given_up_and_never_runs_twice(clock):  # D-HC-1
    released = asyncio.Event()
    entered = []

    async def stubborn():
        entered.append(1)
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    monitor = monitor_on(clock, PingCheck("c", stubborn, interval=5, timeout=1, failures=2))

    async def main():
        await monitor.astart()
        await asyncio.sleep(30)
        assert monitor.status("c").state is HealthState.UNHEALTHY
        assert monitor.status("c").abandoned_count == 1
        assert monitor.snapshot().abandoned == 1
        assert len(entered) == 1
        released.set()
        await asyncio.sleep(10)
        assert monitor.status("c").healthy
        assert monitor.snapshot().abandoned == 0
        assert await monitor.astop()
        await none_left()

    run(main(), clock)


def test_a_cancellation_of_its_own_is_a_failure_of_the_check(clock):
    monitor = monitor_on(
        clock, PingCheck("c", Asked(says=asyncio.CancelledError("mine")), failures=1)
    )

    async def main():
        async with monitor:
            await asyncio.sleep(1)
            assert monitor.status("c").state is HealthState.UNHEALTHY

    run(main(), clock)


def test_stopping_cancels_tasks_that_run_and_drops_their_results(clock):  # trap 65
    ping = Asked(seconds=4)
    monitor = monitor_on(clock, PingCheck("c", ping))

    async def main():
        await monitor.astart()
        await asyncio.sleep(1)
        assert await monitor.astop()
        assert ping.cancelled == 1
        assert monitor.status("c").check_count == 0
        await none_left()
        await monitor.astart()  # D-HC-2
        await asyncio.sleep(5)
        assert monitor.is_healthy
        await monitor.astop()

    run(main(), clock)


def test_a_check_may_stop_the_monitor_that_runs_it(clock):
    stopped = []

    async def stop():
        stopped.append(await monitor.astop())

    monitor = monitor_on(clock, PingCheck("c", stop))

    async def main():
        await monitor.astart()
        await auntil(lambda: stopped)
        await none_left()

    run(main(), clock)
    assert stopped == [True]
    assert monitor.status("c").check_count == 0


def test_plain_checks_run_inline_on_a_manual_clock(clock):
    check = Steered("c", clock)
    monitor = monitor_on(clock, check)

    async def main():
        async with monitor:
            await asyncio.sleep(25)

    run(main(), clock)
    assert check.times == [0, 10, 20]


def test_acheck_now_runs_checks_whether_the_monitor_runs_or_not(clock):
    ping = Asked(seconds=1)
    monitor = monitor_on(clock, PingCheck("c", ping), PingCheck("plain", lambda: None))

    async def main():
        assert (await monitor.acheck_now("c")).healthy
        assert len(ping.tasks) == 1
        assert not monitor.status("plain").healthy
        async with monitor:
            await asyncio.sleep(3)
            asking = [asyncio.create_task(monitor.acheck_now("c")) for _ in range(3)]
            statuses = [await one for one in asking]
            assert all(status.healthy for status in statuses)
            assert len(ping.tasks) == 3  # the first round, and one for all three
            assert ping.most == 1
            with pytest.raises(RuntimeError, match=r"await acheck_now\(\)"):
                monitor.check_now("c")
        await none_left()

    run(main(), clock)


def test_acheck_now_gives_up_a_task_that_hangs(clock):
    monitor = monitor_on(clock, PingCheck("c", Asked(seconds=100), timeout=2, failures=1))

    async def main():
        status = await monitor.acheck_now("c")
        assert status.state is HealthState.UNHEALTHY
        await none_left()

    run(main(), clock)
    assert clock.now() < 3


def test_members_of_a_composite_are_tasks_of_their_own(clock):
    pings = [Asked(seconds=2) for _ in range(3)]
    members = [PingCheck(f"m{n}", ping) for n, ping in enumerate(pings)]
    monitor = monitor_on(clock, CompositeCheck("all", *members))

    async def main():
        async with monitor:
            await asyncio.sleep(2.5)
            assert monitor.is_healthy
        await none_left()

    run(main(), clock)


def test_so_many_tasks_at_one_time_and_the_others_wait(clock):
    running, most = [], []

    async def ping():
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0.1)
        running.pop()

    checks = [PingCheck(f"c{n}", ping) for n in range(100)]
    monitor = monitor_on(clock, *checks, workers=2)

    async def main():
        async with monitor:
            await asyncio.sleep(2)
            assert monitor.is_healthy
        await none_left()

    run(main(), clock)
    assert max(most) == 32


# ---- in real time ----


def test_tasks_that_ignore_their_end_keep_no_other_from_its_turn(clock):  # D-HC-1
    over = asyncio.Event()

    async def ignore():
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await over.wait()

    async def main():
        stubborn = [PingCheck(f"s{n}", ignore, timeout=1) for n in range(16)]
        monitor = monitor_on(clock, *stubborn, PingCheck("good", Asked()), workers=1)
        await monitor.astart()
        await asyncio.sleep(2)
        assert monitor.snapshot().abandoned == 16
        assert monitor.status("good").healthy
        over.set()
        assert await monitor.astop()
        await none_left()

    run(main(), clock)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="new in Python 3.12")
def test_two_thousand_tasks_that_run_as_they_are_made(clock):
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)

        async def ping():
            pass

        monitor = monitor_on(clock, *(PingCheck(f"c{n}", ping) for n in range(2000)))
        await monitor.astart()
        await asyncio.sleep(1)
        assert monitor.is_healthy
        await monitor.astop()

    run(main(), clock)


def test_a_callback_that_needs_the_event_loop_is_waited_for_by_astop_as_the_loop_goes_on():
    async def main():
        loop, entered = asyncio.get_running_loop(), asyncio.Event()

        def call(_name):
            loop.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(LIMIT)

        monitor = monitor_on(None, PingCheck("plain", lambda: None), on_healthy=call)
        await monitor.astart()
        await entered.wait()
        assert await monitor.astop(LIMIT)
        assert monitor.snapshot().callback_failures == 0

    run(main())


def test_plain_checks_use_threads_and_the_loop_goes_on():
    hangs = Hanging("hangs")
    threads = []
    check = PingCheck("thread", lambda: threads.append(threading.get_ident()))
    monitor = monitor_on(None, hangs, check, PingCheck("task", Asked()))

    async def main():
        async with monitor:
            await auntil(
                lambda: monitor.status("task").healthy and monitor.status("thread").healthy
            )
            assert threads[0] != threading.get_ident()
            asking = asyncio.create_task(monitor.acheck_now("hangs"))
            await auntil(hangs.inside.is_set)
            hangs.out.set()
            assert (await asking).healthy
        await none_left()

    run(main())


def test_a_check_that_blocks_a_thread_does_not_block_astop():
    hangs = Hanging("hangs", timeout=100)
    monitor = monitor_on(None, hangs)

    async def main():
        await monitor.astart()
        await auntil(hangs.inside.is_set)
        turns = 0
        stopping = asyncio.create_task(monitor.astop(0.2))
        while not stopping.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 2
        assert not await stopping
        hangs.out.set()
        assert await monitor.astop()

    run(main())


def test_another_thread_may_stop_it_and_ask_it():
    party = LoopParty()
    monitor = monitor_on(None, PingCheck("c", Asked()), PingCheck("plain", lambda: None))
    try:
        party.spawn(monitor.astart()).result(LIMIT)
        assert monitor.check_now("c").healthy
        assert monitor.check_now()["plain"].healthy
        assert monitor.stop()
        assert not monitor.running
        until(lambda: not asyncio.all_tasks(party.loop))
    finally:
        party.kill()
    until(lambda: not threads_of("shop"))


def test_a_monitor_whose_loop_was_closed_can_be_started_again():
    party = LoopParty()
    asked = Asked(seconds=LIMIT)
    monitor = monitor_on(None, PingCheck("c", asked))
    party.spawn(monitor.astart()).result(LIMIT)
    until(lambda: monitor.status("c").running)
    party.kill()
    assert not monitor.running
    asked.seconds = 0
    monitor.start()
    until(lambda: monitor.status("c").healthy)
    monitor.stop()
    until(lambda: not threads_of("shop"))


def test_check_now_does_not_wait_for_an_event_loop_that_stands_still():
    loop = asyncio.new_event_loop()
    monitor = monitor_on(None, PingCheck("c", Asked()))
    loop.run_until_complete(monitor.astart())
    with pytest.raises(RuntimeError, match="loop that does not run"):
        monitor.check_now("c")
    loop.run_until_complete(monitor.astop())
    loop.close()
    assert monitor.check_now("c").healthy
    until(lambda: not threads_of("shop"))


def test_a_caller_of_acheck_now_that_is_cancelled_takes_nobody_s_result_along(clock):
    async def main():
        monitor = monitor_on(clock, PingCheck("c", Asked(seconds=2)))
        first = asyncio.create_task(monitor.acheck_now("c"))
        await asyncio.sleep(0.5)
        second = asyncio.create_task(monitor.acheck_now("c"))
        await asyncio.sleep(0.5)
        first.cancel()
        assert (await second).healthy
        await none_left()

    run(main(), clock)


def test_a_hundred_starts_and_stops_leave_no_task():
    ping = Asked()
    monitor = monitor_on(None, PingCheck("c", ping), PingCheck("plain", lambda: None))

    async def restart():
        for _ in range(25):
            await monitor.astart()
            await monitor.acheck_now("c")
            await monitor.astop()

    async def main():
        await asyncio.gather(*(restart() for _ in range(4)))
        await monitor.astop()
        await none_left()
        assert not monitor.running

    run(main())


def test_who_is_cancelled_while_it_stops_leaves_nothing_that_goes_on():  # D-HC-2
    hanging = Hanging("hangs", timeout=60)
    monitor = HealthMonitor("shop")
    monitor.add(hanging)

    async def main():
        await monitor.astart()
        await auntil(hanging.inside.is_set)
        assert not await monitor.astop(0)
        await monitor.astart()
        stopping = asyncio.create_task(monitor.astop())
        await asyncio.sleep(0)  # it waits for the check that the first start began
        stopping.cancel()
        with suppress(asyncio.CancelledError):
            await stopping
        hanging.out.set()
        await none_left()

    run(main())
