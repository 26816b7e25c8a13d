"""A supervisor in an event loop: coroutine functions are tasks, plain functions run in threads."""

import asyncio
import threading
import time
from functools import wraps

import pytest

from holdfast.supervision import Component, Exit, Supervisor
from tests.supervision.crewed import Checked, Part

FAILED = Exit(code=1)


class Async(Component):
    """One whose work is a task that sleeps."""

    def __init__(self, name):
        super().__init__(name)
        self.calls = []
        self.work = None
        self.healthy = True
        self.hangs = set()
        self.loops = set()

    def watch(self, ended):
        self.ended = ended

    async def start(self):
        self.calls.append(f"+{self.name}")
        self.loops.add(asyncio.get_running_loop())
        if "start" in self.hangs:
            await asyncio.sleep(1e6)
        assert self.work is None, "two of them"
        self.work = asyncio.create_task(asyncio.sleep(1e6))

    async def stop(self):
        self.calls.append(f"-{self.name}")
        if "stop" in self.hangs:
            await asyncio.sleep(1e6)
        if self.work is not None:
            self.work.cancel()
            self.work = None

    async def check(self):
        self.loops.add(asyncio.get_running_loop())
        return self.healthy


def in_a_real_loop(test):
    """Run a test in a loop with real time, as the supervisor's clock is the machine's."""

    @wraps(test)
    def run(**given):
        asyncio.run(test(**given))

    return run


async def until(is_so, seconds=20.0):
    end = asyncio.get_running_loop().time() + seconds
    while not is_so():
        assert asyncio.get_running_loop().time() < end, "it has not come about"
        await asyncio.sleep(0.005)


@in_a_real_loop
async def test_coroutine_functions_run_in_the_loop_that_started_it():  # MG-08
    part = Async("db")
    supervisor = Supervisor("crew")
    supervisor.add(part)
    async with supervisor:
        assert await supervisor.await_until_running()
    assert part.loops == {asyncio.get_running_loop()}
    assert part.calls == ["+db", "-db"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_a_real_loop
async def test_plain_components_beside_them_run_in_threads():
    threads = []

    class Plain(Part):
        def start(self):
            threads.append(threading.current_thread())
            super().start()

    supervisor = Supervisor("crew")
    supervisor.add(Async("db"))
    supervisor.add(Plain("web"), depends_on=["db"])
    async with supervisor:
        assert await supervisor.await_until_running()
        assert [one.state for one in supervisor.status().values()] == ["running"] * 2
    assert threads[0] is not threading.main_thread()


@in_a_real_loop
async def test_one_that_ends_or_fails_its_check_is_recovered():  # MG-04, D-MG-4
    part = Async("db")
    supervisor = Supervisor("crew", interval=0.02)
    supervisor.add(part, backoff=0)
    async with supervisor:
        await supervisor.await_until_running()
        part.ended(FAILED)
        await until(lambda: supervisor.status("db").recoveries == 1)
        part.healthy = False
        await until(lambda: part.calls[-2:] == ["-db", "+db"] and len(part.calls) == 5)
        part.healthy = True
        await until(lambda: supervisor.status("db").recoveries == 2)


@in_a_real_loop
async def test_a_start_that_hangs_is_cancelled_and_tried_again():  # MG-17
    part = Async("db")
    part.hangs.add("start")
    supervisor = Supervisor("crew", max_restarts=None)
    supervisor.add(part, start_timeout=0.1, backoff=0.02, attempts=100)
    async with supervisor:
        await until(lambda: "-db" in part.calls)
        part.hangs.clear()
        assert await supervisor.await_until_running()
        assert part.calls[-1] == "+db"
    assert part.calls[:2] == ["+db", "-db"]
    assert part.work is None


@in_a_real_loop
async def test_a_stop_cancels_a_start_that_hangs():  # D-MG-1
    part = Async("db")
    part.hangs.add("start")
    supervisor = Supervisor("crew")
    supervisor.add(part)
    await supervisor.astart()
    await until(lambda: part.calls)
    began = asyncio.get_running_loop().time()
    assert await supervisor.astop()
    assert asyncio.get_running_loop().time() - began < 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_a_real_loop
async def test_a_stop_that_hangs_is_cancelled_after_its_time():
    part = Async("db")
    supervisor = Supervisor("crew")
    supervisor.add(part, stop_timeout=0.1)
    await supervisor.astart()
    await supervisor.await_until_running()
    part.hangs.add("stop")
    assert await supervisor.astop() is False
    assert supervisor.status("db").left_behind
    part.hangs.clear()
    await supervisor.astart()
    assert await supervisor.await_until_running()
    assert part.calls == ["+db", "-db", "-db", "+db"]  # stopped first: never two
    assert await supervisor.astop()


@in_a_real_loop
async def test_arestart_returns_once_it_runs_again():
    part = Async("db")
    supervisor = Supervisor("crew")
    supervisor.add(part)
    async with supervisor:
        await supervisor.await_until_running()
        assert await supervisor.arestart("db")
        assert part.calls == ["+db", "-db", "+db"]


@in_a_real_loop
async def test_a_stop_in_the_thread_of_the_loop_does_not_wait_but_stops():  # D-MG-1
    part = Async("db")
    supervisor = Supervisor("crew")
    supervisor.add(part)
    await supervisor.astart()
    await supervisor.await_until_running()
    assert supervisor.stop() is False
    assert not supervisor.running
    await until(lambda: part.calls == ["+db", "-db"])
    assert await supervisor.astop()


@pytest.mark.parametrize("place", ["start", "check", "stop", "listener"])
@in_a_real_loop
async def test_a_stop_from_within_what_it_calls_returns_and_stops(place):  # D-MG-1
    answers = []

    class Suicidal(Async):
        async def start(self):
            await super().start()
            if place == "start":
                answers.append(await supervisor.astop())

        async def stop(self):
            await super().stop()
            if place == "stop":
                answers.append(await supervisor.astop())

        async def check(self):
            if place == "check":
                answers.append(await supervisor.astop())

    supervisor = Supervisor("crew")
    supervisor.add(Suicidal("db"))
    if place == "listener":
        supervisor.on_event(
            lambda event: answers.append(supervisor.stop()) if event.kind == "started" else None
        )
    await supervisor.astart()
    if place == "stop":
        await supervisor.await_until_running()
        await supervisor.arestart("db")
    if place == "check":  # it is cancelled by the stop that it has asked for
        answers.append(False)
    await until(lambda: answers and not supervisor.running)
    assert await supervisor.astop()
    assert supervisor.status("db").state == "stopped"


def test_another_thread_may_stop_one_that_runs_in_a_loop():
    part, done = Async("db"), []
    supervisor = Supervisor("crew")
    supervisor.add(part)

    async def main():
        await supervisor.astart()
        await supervisor.await_until_running()
        thread = threading.Thread(target=lambda: done.append(supervisor.stop()))
        thread.start()
        await until(lambda: done)
        thread.join()

    asyncio.run(main())
    assert done == [True]
    assert part.calls == ["+db", "-db"]


def test_one_whose_loop_was_closed_is_stopped_and_can_be_started_in_another():  # D-HC-2
    part, plain = Async("db"), Checked("web")
    supervisor = Supervisor("crew")
    supervisor.add(part)
    supervisor.add(plain)

    async def main():
        await supervisor.astart()
        assert await supervisor.await_until_running()

    asyncio.run(main())
    assert not supervisor.running
    assert supervisor.stop() is False  # nobody has stopped what it has started
    part.work = None  # its task went with its loop

    async def again():
        await main()
        assert await supervisor.astop()

    asyncio.run(again())
    assert plain.calls == ["+web", "-web", "+web", "-web"]
    assert plain.alive == 0


@in_a_real_loop
async def test_a_nested_supervisor_is_started_in_the_same_loop():
    part = Async("db")
    inner, outer = Supervisor("inner"), Supervisor("outer")
    inner.add(part)
    outer.add(inner)
    async with outer:
        assert await outer.await_until_running()
        assert inner.status("db").state == "running"
    assert part.loops == {asyncio.get_running_loop()}
    assert not inner.running


def test_what_runs_in_a_loop_that_is_blocked_is_not_held_to_have_failed():
    """The loop does not run for longer than a start may take: that proves nothing of the start."""

    class Slow(Async):
        async def start(self):
            await super().start()
            await asyncio.sleep(0.2)

    part = Slow("db")
    supervisor = Supervisor("crew")
    events = []
    supervisor.on_event(lambda event: events.append(event.kind))
    supervisor.add(part, start_timeout=0.4)

    async def main():
        async with supervisor:
            await until(lambda: part.calls)
            time.sleep(0.8)  # noqa: ASYNC251 - it is what this is about
            assert await supervisor.await_until_running()

    asyncio.run(main())
    assert events == ["started", "stopped"]
