"""Threads, tasks, functions, and what has a restart function, as components."""

import asyncio
import threading

import pytest

import holdfast as hf
from holdfast.supervision import (
    CallableComponent,
    Exit,
    RestartComponent,
    Supervisor,
    TaskComponent,
    ThreadComponent,
)
from holdfast.supervision.component import has_check
from tests.apart import run_apart
from tests.supervision.processes import SECONDS, wait_until

# ---- threads ----


def test_a_thread_runs_until_it_is_asked_to_end():
    seen = []
    component = ThreadComponent("worker", lambda stopping: seen.append(stopping.wait(SECONDS)))
    component.start()
    assert component.running
    assert "worker" in {thread.name for thread in threading.enumerate()}
    component.stop()
    assert not component.running
    assert seen == [True]
    component.stop()


def test_a_thread_that_returns_has_ended_cleanly():
    exits, told = [], threading.Event()
    component = ThreadComponent("worker", lambda _: None)
    component.watch(lambda ended: (exits.append(ended), told.set()))
    component.start()
    assert told.wait(SECONDS)
    assert exits == [Exit()]
    assert exits[0].is_clean


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3)])
def test_a_thread_that_raises_has_ended_with_the_error(error):
    exits, told = [], threading.Event()

    def run(_):
        raise error

    component = ThreadComponent("worker", run)
    component.watch(lambda ended: (exits.append(ended), told.set()))
    component.start()
    assert told.wait(SECONDS)
    assert exits == [Exit(error=error)]


def test_the_end_of_a_thread_by_stop_is_not_told():
    exits = []
    component = ThreadComponent("worker", lambda stopping: stopping.wait(SECONDS))
    component.watch(exits.append)
    component.start()
    component.stop()
    assert exits == []


def test_a_thread_that_does_not_end_is_not_joined_by_another():
    free, runs = threading.Event(), []
    component = ThreadComponent(
        "worker", lambda _: (runs.append(1), free.wait(SECONDS)), stop_timeout=0.01
    )
    component.start()
    with pytest.raises(RuntimeError, match=r"its thread still runs 0.01 s after stop"):
        component.stop()
    with pytest.raises(RuntimeError, match="its thread runs already"):
        component.start()
    free.set()
    wait_until(lambda: not component.running)
    component.stop()
    assert runs == [1]


def test_a_thread_that_takes_no_event_is_asked_by_another_function():
    free = threading.Event()

    def run():
        free.wait(SECONDS)

    component = ThreadComponent("worker", run, stop=free.set)
    component.start()
    component.stop()
    assert not component.running


def test_a_thread_may_stop_its_own_component():
    done = threading.Event()
    component = ThreadComponent("worker", lambda _: (component.stop(), done.set()))
    component.start()
    assert done.wait(SECONDS)
    wait_until(lambda: not component.running)


def test_a_supervised_thread_that_raises_comes_back():  # MG-08, NX-07
    runs, back = [], threading.Event()

    def run(stopping):
        runs.append(1)
        if len(runs) < 3:
            raise ValueError("broken")
        back.set()
        stopping.wait(SECONDS)

    supervisor = Supervisor("service", max_restarts=None)
    supervisor.add(ThreadComponent("worker", run), first_delay=0, backoff=hf.Constant(0.01))
    with supervisor:
        assert back.wait(SECONDS)
        wait_until(lambda: supervisor.status("worker").state == "running")
    assert len(runs) == 3


def test_in_a_forked_child_the_thread_does_not_run():
    run_apart(
        """
        import os
        from holdfast.supervision import ThreadComponent
        component = ThreadComponent("worker", lambda stopping: stopping.wait(60))
        component.start()
        child = os.fork()
        if child == 0:
            try:
                assert not component.running
                component.stop()
                component.start()
                assert component.running
                component.stop()
                os._exit(0)
            except BaseException:
                import traceback; traceback.print_exc()
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert component.running
        component.stop()
        """
    )


# ---- tasks ----


async def test_a_task_runs_until_it_is_cancelled():
    ends = []

    async def run():
        try:
            await asyncio.sleep(600)
        finally:
            ends.append("closed")

    component = TaskComponent("worker", run)
    exits = []
    component.watch(exits.append)
    await component.start()
    await asyncio.sleep(0)
    assert component.running
    await component.stop()
    assert not component.running
    assert (ends, exits) == (["closed"], [])
    await component.stop()


async def test_a_task_that_ends_or_raises_is_told():
    exits = []
    error = ValueError("broken")

    async def run():
        if exits:
            raise error

    component = TaskComponent("worker", run)
    for _ in range(2):
        component.watch(exits.append)
        await component.start()
        await asyncio.sleep(0.01)
    assert exits == [Exit(), Exit(error=error)]


async def test_a_task_that_somebody_else_cancels_has_ended_with_an_error():
    exits = []

    async def run():
        await asyncio.sleep(600)

    component = TaskComponent("worker", run)
    component.watch(exits.append)
    await component.start()
    component._task.cancel()
    await asyncio.sleep(0.01)
    assert isinstance(exits[0].error, asyncio.CancelledError)
    assert not exits[0].is_clean


async def test_a_task_that_does_not_end_is_not_joined_by_another():
    async def run():
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                if free:
                    raise

    free = []
    component = TaskComponent("worker", run, stop_timeout=0.1)
    await component.start()
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match=r"its task still runs 0.1 s after it was cancelled"):
        await component.stop()
    with pytest.raises(RuntimeError, match="its task runs already"):
        await component.start()
    free.append(1)
    await component.stop()
    assert not component.running


async def test_a_task_whose_stop_was_cancelled_is_not_there_twice():
    async def run():
        runs.append(1)
        try:
            await asyncio.sleep(600)
        finally:
            await free.wait()

    runs, free, told = [], asyncio.Event(), []
    component = TaskComponent("worker", run)
    component.watch(told.append)
    await component.start()
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(component.stop(), 0.05)
    with pytest.raises(RuntimeError, match="its task runs already"):
        await component.start()
    free.set()
    await component.stop()
    assert not component.running
    assert len(runs) == 1
    assert not told


async def test_a_task_may_stop_its_own_component():
    async def run():
        await component.stop()
        await asyncio.sleep(600)

    component = TaskComponent("worker", run)
    await component.start()
    await asyncio.sleep(0.01)
    assert not component.running


def test_a_task_is_stopped_from_another_event_loop_and_is_gone_with_its_own():
    async def run():
        await asyncio.sleep(600)

    component = TaskComponent("worker", run)
    began, stopped = threading.Event(), threading.Event()

    async def host():
        await component.start()
        began.set()
        await asyncio.get_running_loop().run_in_executor(None, stopped.wait, SECONDS)

    thread = threading.Thread(target=asyncio.run, args=(host(),))
    thread.start()
    assert began.wait(SECONDS)
    asyncio.run(component.stop())
    assert not component.running
    stopped.set()
    thread.join()

    async def leave():
        await component.start()

    asyncio.run(leave())
    assert not component.running
    asyncio.run(component.stop())


def test_a_supervised_task_that_raises_comes_back():
    runs = []

    async def run():
        runs.append(1)
        if len(runs) < 3:
            raise ValueError("broken")
        await asyncio.sleep(600)

    supervisor = Supervisor("service", max_restarts=None)
    supervisor.add(TaskComponent("worker", run), first_delay=0, backoff=hf.Constant(0.01))

    async def serve():
        async with supervisor:
            async with asyncio.timeout(SECONDS):
                while len(runs) < 3 or supervisor.status("worker").state != "running":  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)

    asyncio.run(serve())
    assert len(runs) == 3


# ---- functions ----


def test_functions_are_called_as_they_are():
    calls = []
    component = CallableComponent(
        "cache", lambda: calls.append("start"), lambda: calls.append("stop"), lambda: len(calls) < 3
    )
    component.start()
    assert component.check() is True
    component.stop()
    component.stop()
    assert component.check() is False
    assert calls == ["start", "stop", "stop"]


def test_without_functions_there_is_nothing_to_stop_and_no_check():
    component = CallableComponent("cache", lambda: None)
    assert component.stop() is None
    assert not has_check(component)
    assert has_check(CallableComponent("cache", lambda: None, check=lambda: True))


def test_functions_may_be_coroutine_functions():
    calls = []

    async def start():
        calls.append("start")

    async def stop():
        calls.append("stop")

    supervisor = Supervisor("service")
    supervisor.add(CallableComponent("cache", start, stop))

    async def serve():
        async with supervisor:
            async with asyncio.timeout(SECONDS):
                while supervisor.status("cache").state != "running":  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)

    asyncio.run(serve())
    assert calls == ["start", "stop"]


# ---- what is restarted ----


def test_what_runs_elsewhere_is_left_alone_at_first_and_restarted_when_it_fails(clock):
    calls = []
    works = [True]

    def restart():
        calls.append("restart")
        works[0] = True

    supervisor = Supervisor("service", clock=clock, interval=1)
    component = RestartComponent("pool", restart, check=lambda: works[0])
    supervisor.add(component, first_delay=0)
    with supervisor:
        assert calls == []
        works[0] = False
        clock.advance(10)
        assert calls == ["restart"]
        assert supervisor.status("pool").state == "running"
    assert calls == ["restart"]


def test_the_first_start_restarts_where_it_was_asked_to():
    calls = []
    RestartComponent("pool", lambda: calls.append(1), restart_first=True).start()
    assert calls == [1]


def test_a_restart_that_raises_is_a_failed_start():
    def restart():
        raise OSError("no such unit")

    component = RestartComponent("unit", restart, stop=lambda: None)
    component.start()
    with pytest.raises(OSError, match="no such unit"):
        component.start()


async def test_a_restart_may_be_a_coroutine_function():
    calls = []

    async def restart():
        calls.append(1)

    component = RestartComponent("pool", restart)
    await component.start()
    await component.start()
    assert calls == [1]


# ---- bad input ----


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ThreadComponent("", lambda _: None), "name: got ''"),
        (lambda: ThreadComponent("w", 3), "run: got 3"),
        (lambda: ThreadComponent("w", lambda: None), "stop: got None, allowed a callable, as run"),
        (lambda: ThreadComponent("w", lambda _: None, stop=3), "stop: got 3"),
        (lambda: ThreadComponent("w", lambda _: None, stop_timeout=-1), "stop_timeout: got -1"),
        (lambda: TaskComponent("w", lambda: None), "run: got .* allowed a coroutine function"),
        (lambda: TaskComponent("w", 3), "run: got 3"),
        (lambda: CallableComponent("c", None), "start: got None, allowed a function"),
        (lambda: CallableComponent("c", print, 3), "stop: got 3, allowed a function"),
        (lambda: CallableComponent("c", print, check=3), "check: got 3"),
        (lambda: RestartComponent("r", None), "restart: got None"),
        (lambda: RestartComponent("r", print, check=3), "check: got 3"),
        (lambda: RestartComponent("r", print, restart_first=1), "restart_first: got 1"),
    ],
)
def test_bad_settings_are_refused_with_what_is_allowed(make, text):
    with pytest.raises(hf.ConfigError, match=text):
        make()
