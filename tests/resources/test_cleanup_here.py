"""A clean-up that somebody asks for by itself runs in his thread, task and context."""

import asyncio
import logging
import signal
import sqlite3
import threading
import time
import types
from contextvars import Context, ContextVar

import pytest

SOON = 20.0  # a generous limit for what happens at once

order = ContextVar("order", default="nobody's")


def errors(resources, kind="file"):
    return resources.snapshot().kinds[kind].cleanup_errors


class Caller:
    """A thread that cleans something, which hangs until the gate opens."""

    def __init__(self, resources, gate):
        self.calls, self.answers, began = [], [], threading.Event()

        def close():
            self.calls.append(threading.current_thread())
            began.set()
            gate.wait(SOON)

        resources.register("hangs", "file", close)
        clean = lambda: self.answers.append(resources.cleanup("hangs"))  # noqa: E731
        self.thread = threading.Thread(target=clean, daemon=True)
        self.thread.start()
        assert began.wait(SOON)

    def end(self):
        self.thread.join(SOON)
        assert self.calls == [self.thread]  # once
        return self.answers


def within(seconds, call, *args):
    """Return what a call returns, which must not hang."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call(*args)), daemon=True)
    thread.start()
    thread.join(seconds)
    assert answers, "it hangs"
    return answers[0]


# ---- where it runs ----


def test_a_connection_of_sqlite_is_closed_by_the_thread_that_has_made_it(resources):  # RS-07
    ways = []
    connection = sqlite3.connect(":memory:")
    with resources.register("orders", "connection", connection.close):
        assert connection.execute("select 1")
    ways.append(connection)
    for close in (resources.cleanup, lambda name: resources.get(name).cleanup()):
        connection = sqlite3.connect(":memory:")
        resources.register("orders", "connection", connection.close)
        assert close("orders") is True
        ways.append(connection)
    for connection in ways:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("select 1")
    assert errors(resources, "connection") == 0


def test_a_cleanup_runs_in_the_thread_and_the_context_of_who_asks(resources):
    seen, local = [], threading.local()
    local.name = "mine"

    def close():
        seen.append((threading.current_thread(), order.get(), local.name))
        order.set("closed")

    def use():
        order.set("seven")
        resources.register("a", "file", close)
        assert resources.cleanup("a") is True
        assert order.get() == "closed"  # as if it had been called
        with resources.register("b", "file", close):
            order.set("eight")

    Context().run(use)
    here = threading.current_thread()
    assert seen == [(here, "seven", "mine"), (here, "eight", "mine")]


async def test_an_asynchronous_cleanup_runs_in_the_task_and_the_context_of_who_asks(resources):
    seen = []

    async def close():
        await asyncio.sleep(0)
        seen.append((asyncio.current_task(), order.get()))
        order.set("closed")

    order.set("seven")
    resources.register("a", "connection", close)
    assert await resources.acleanup("a") is True
    assert order.get() == "closed"
    async with resources.register("b", "connection", close):
        pass
    made = await asyncio.to_thread(resources.register, "c", "connection", close)
    assert await made.acleanup() is True  # it belongs to no event loop
    assert seen == [(asyncio.current_task(), one) for one in ("seven", "closed", "closed")]


async def test_a_function_that_may_block_does_not_block_the_loop_and_has_the_context(resources):
    seen = []
    order.set("seven")
    resources.register("a", "file", lambda: seen.append((threading.get_ident(), order.get())))
    assert await resources.acleanup("a") is True
    [(thread, name)] = seen
    assert thread != threading.get_ident()
    assert name == "seven"


async def test_what_was_registered_in_another_loop_that_runs_is_awaited_there(resources):
    loops = []

    async def close():
        loops.append(asyncio.get_running_loop())

    async def register():
        resources.register("a", "connection", close)

    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    try:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(register(), other))
        assert await resources.acleanup("a") is True
    finally:
        other.call_soon_threadsafe(other.stop)
        thread.join(SOON)
        other.close()
    assert loops == [other]


def test_what_a_function_returns_is_awaited_within_the_limit(resources):
    seen = []

    async def close(hangs):
        seen.append(threading.current_thread())
        await asyncio.sleep(SOON if hangs else 0)

    def begin(hangs):
        seen.append(threading.current_thread())
        return close(hangs)

    resources.register("a", "file", lambda: begin(False))
    assert resources.cleanup("a") is True
    assert [one is threading.current_thread() for one in seen] == [True, False]
    resources.set_times(cleanup_timeout=0.05)
    resources.register("b", "file", lambda: begin(True))
    assert resources.cleanup("b") is False
    assert errors(resources) == 1


# ---- what it raises ----


@pytest.mark.parametrize("ends_program", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_programs_reaches_who_asks_and_the_resource_has_ended(
    resources, caplog, ends_program
):
    def fail():
        raise ends_program

    resources.register("a", "file", fail)
    with caplog.at_level(logging.ERROR, "holdfast"), pytest.raises(ends_program):
        resources.cleanup("a")
    with pytest.raises(ends_program), resources.register("b", "file", fail):
        pass
    assert resources.count() == 0
    assert (errors(resources), len(caplog.records)) == (2, 2)
    assert resources.stop(SOON) is True  # nobody waits for it any more


def test_ctrl_c_during_a_cleanup_ends_it(resources):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        resources.register("a", "file", lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            resources.cleanup("a")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (resources.count(), errors(resources)) == (0, 1)
    assert resources.stop(SOON) is True


async def test_a_task_that_is_cancelled_in_a_cleanup_is_cancelled(resources):
    began = asyncio.Event()

    async def close():
        began.set()
        await asyncio.sleep(SOON)

    resources.register("a", "connection", close)
    task = asyncio.create_task(resources.acleanup("a"))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (resources.count(), errors(resources, "connection")) == (0, 1)
    assert await resources.astop(SOON) is True


def test_a_cleanup_in_a_coroutine_that_nobody_awaits_ends_with_it(resources):
    @types.coroutine
    def forever():
        yield

    async def close():
        await forever()

    resources.register("a", "connection", close)
    coroutine = resources.acleanup("a")
    Context().run(coroutine.send, None)
    assert resources.stop(0) is False
    coroutine.close()  # in another context
    assert resources.stop(SOON) is True


# ---- who waits for it ----


def test_a_stop_waits_for_a_cleanup_in_the_thread_of_a_caller(resources, gate):  # RS-07
    caller = Caller(resources, gate)
    assert resources.stop(0.05) is False
    assert not resources.is_managed("hangs")
    timer = threading.Timer(0.05, gate.set)
    timer.start()
    assert resources.stop(SOON) is True
    assert gate.is_set()
    assert caller.end() == [True]
    timer.join()


async def test_an_asynchronous_stop_waits_for_it_too(resources, gate):  # RS-07
    caller = Caller(resources, gate)
    assert await resources.astop(0.05) is False
    asyncio.get_running_loop().call_later(0.05, gate.set)
    assert await resources.astop(SOON) is True
    assert gate.is_set()
    assert caller.end() == [True]


async def test_a_stop_waits_for_a_cleanup_in_a_task_of_the_same_loop(resources):
    began, go, seen = asyncio.Event(), asyncio.Event(), []

    async def close():
        began.set()
        await go.wait()
        seen.append("closed")

    resources.register("a", "connection", close)
    task = asyncio.create_task(resources.acleanup("a"))
    await began.wait()
    assert resources.stop(SOON) is False  # it would wait for its own loop
    stopping = asyncio.create_task(resources.astop(SOON))
    await asyncio.sleep(0)
    go.set()
    assert await stopping is True
    assert seen == ["closed"]
    assert await task is True


def test_cleaning_all_waits_for_it_within_the_limit_of_a_cleanup(resources, gate):
    closed = threading.Event()
    caller = Caller(resources, gate)
    resources.register("other", "file", closed.set)
    resources.set_times(cleanup_timeout=0.05)
    assert within(SOON, resources.cleanup_all) == 1
    assert closed.wait(SOON)
    resources.set_times(cleanup_timeout=60)
    timer = threading.Timer(0.05, gate.set)
    timer.start()
    assert resources.cleanup_all() == 0
    assert gate.is_set()
    assert caller.end() == [True]
    timer.join()


async def test_cleaning_all_waits_for_it_and_the_loop_goes_on(resources, gate):
    caller = Caller(resources, gate)
    asyncio.get_running_loop().call_later(0.05, gate.set)
    assert await resources.acleanup_all() == 0
    assert gate.is_set()
    assert caller.end() == [True]


def test_a_cleanup_that_hangs_hangs_nobody_but_who_asks_and_nothing_cuts_it(resources, gate):
    closed = []
    caller = Caller(resources, gate)
    resources.register("a", "file", lambda: closed.append("a"))
    resources.register("b", "file", lambda: closed.append("b")).touch()
    assert within(SOON, resources.cleanup, "a") is True
    assert within(SOON, resources.cleanup, "hangs") is False  # somebody has
    resources.set_times(idle_after=0.001, cleanup_timeout=0.05)
    time.sleep(0.1)  # longer than the limit of a clean-up
    resources.set_times(cleanup_timeout=60)
    assert within(SOON, resources.clean_idle) == 1
    assert within(SOON, resources.stop, 0.05) is False
    assert closed == ["a", "b"]
    assert errors(resources) == 0
    gate.set()
    assert caller.end() == [True]
    assert errors(resources) == 0


# ---- what it may do ----


@pytest.mark.parametrize("is_fresh", [False, True])
@pytest.mark.parametrize("stop", ["stop", "cleanup_all"])
def test_a_cleanup_may_end_all_and_does_not_wait_for_itself(resources, stop, is_fresh):  # D-C-8
    seen = []
    end = (lambda: resources.stop(None)) if stop == "stop" else resources.cleanup_all

    def close():
        if is_fresh:  # where nothing tells that this is a clean-up
            Context().run(end)
        else:
            end()
        seen.append(resources.cleanup("old"))
        seen.append(resources.unregister("other"))

    resources.register("other", "file", lambda: None)
    resources.register("old", "file", close)
    assert within(SOON / 2, resources.cleanup, "old") is True
    assert seen == [False, False]
    assert resources.stop(SOON) is True


def test_two_cleanups_may_stop_and_clean_each_other(resources):  # D-C-8
    both, seen = threading.Barrier(2), []

    def close(other):
        both.wait(SOON)
        seen.append(resources.cleanup(other))
        resources.stop(None)

    resources.register("a", "file", lambda: close("b"))
    resources.register("b", "file", lambda: close("a"))
    threads = [threading.Thread(target=resources.cleanup, args=(one,), daemon=True) for one in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()
    assert seen == [False, False]
    assert resources.stop(SOON) is True


async def test_an_asynchronous_cleanup_may_stop_its_manager(resources):  # D-C-8
    seen = []

    async def close():
        await resources.astop(None)
        seen.append(await resources.acleanup("a"))

    resources.register("a", "connection", close)
    assert await asyncio.wait_for(resources.acleanup("a"), SOON) is True
    assert seen == [False]
    assert await resources.astop(SOON) is True


def test_a_stop_knows_of_a_cleanup_that_is_about_to_begin(resources):  # RS-07
    """Nothing is registered any more, and nothing runs yet."""
    calls, stops, take = [], [], resources._take

    def take_and_stop(*what):
        taken = take(*what)
        stops.append(within(SOON, resources.stop, 0))
        return taken

    resources.register("a", "file", lambda: calls.append("a"))
    resources._take = take_and_stop
    assert resources.cleanup("a") is True
    assert stops == [False]
    assert calls == ["a"]
    assert resources.stop(SOON) is True
    assert calls == ["a"]
