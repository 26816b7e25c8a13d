"""Clean-ups that are methods of what belongs to an event loop: they are called in its thread."""

import asyncio
import logging
import threading
import types
from functools import partial

import pytest

from holdfast import ResourceManager

SOON = 20.0  # a generous limit for what happens at once


@pytest.fixture
def resources():
    manager = ResourceManager("shop", cleanup_timeout=5.0)
    yield manager
    manager.stop()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine in a loop that says when it is used from another thread."""
    if request.param == "asyncio":
        return partial(asyncio.run, debug=True)
    uvloop = pytest.importorskip("uvloop")
    return partial(uvloop.run, debug=True)


def errors(resources, kind):
    return resources.snapshot().kinds[kind].cleanup_errors


def in_another_thread(call):
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def test_a_task_is_cancelled_at_once_while_its_loop_has_nothing_else_to_do(resources, run):
    async def main():
        hanging = asyncio.create_task(asyncio.sleep(3600))
        made = resources.register("feed", "task", hanging.cancel)
        await asyncio.sleep(0)
        thread = in_another_thread(made.cleanup)  # as the look for what is idle does
        await asyncio.wait([hanging], timeout=SOON)
        assert hanging.cancelled()
        await asyncio.to_thread(thread.join)

    run(main())
    assert errors(resources, "task") == 0


def test_a_connection_is_closed_at_once_while_its_loop_has_nothing_else_to_do(resources, run):
    async def serve(reader, writer):
        await reader.read()
        writer.close()

    async def main():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*address)
            made = resources.register("feed", "connection", partial(writer.close))
            thread = in_another_thread(made.cleanup)
            assert await asyncio.wait_for(reader.read(), SOON) == b""
            await asyncio.to_thread(thread.join)

    run(main())
    assert errors(resources, "connection") == 0


def test_a_task_that_another_thread_registered_is_cancelled_in_its_own_loop(resources, run):
    async def main():
        hanging = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.to_thread(resources.register, "feed", "task", hanging.cancel)
        assert await resources.acleanup("feed")
        await asyncio.wait([hanging], timeout=SOON)
        assert hanging.cancelled()

    run(main())


def test_a_with_block_in_a_task_calls_it_there(resources, run):
    async def main():
        timer = asyncio.get_running_loop().call_later(3600, print)
        with resources.register("tick", "timer", timer.cancel):
            pass
        assert timer.cancelled()

    run(main())
    assert errors(resources, "timer") == 0


def test_one_whose_loop_does_not_answer_is_given_up_and_not_called_later(resources, run):
    called = []

    class Feed(asyncio.Protocol):
        def close(self):
            called.append(threading.current_thread())

    async def main():
        made = resources.register("feed", "channel", Feed().close)
        resources.set_times(cleanup_timeout=0.05)
        answers = []
        thread = in_another_thread(lambda: answers.append(made.cleanup()))
        thread.join(SOON)  # this thread is that of the loop
        assert answers == [False]
        await asyncio.sleep(0)
        assert called == []

    run(main())
    assert errors(resources, "channel") == 1


def test_one_that_the_end_of_its_loop_cuts_off_is_told_so(resources, run, caplog):
    begun = asyncio.Event()

    async def close():
        begun.set()
        await asyncio.sleep(3600)

    async def main():
        made = resources.register("feed", "connection", close)
        thread = in_another_thread(made.cleanup)
        await asyncio.wait_for(begun.wait(), SOON)
        return thread

    with caplog.at_level(logging.ERROR):
        run(main()).join(SOON)
    assert "it was cancelled, as by the end of its event loop" in caplog.text
    assert errors(resources, "connection") == 1


def test_a_task_of_trio_is_refused_before_anything_is_taken(resources):
    trio = pytest.importorskip("trio")
    made = resources.register("feed", "connection", lambda: None)

    async def main():
        with pytest.raises(RuntimeError, match=r"task of trio: under trio use cleanup\(\)"):
            await resources.acleanup("feed")
        with pytest.raises(RuntimeError, match="task of trio"):
            await made.acleanup()
        with pytest.raises(RuntimeError, match="task of trio"):
            await resources.acleanup_all()
        with pytest.raises(RuntimeError, match="task of trio"):
            async with made:
                pass
        assert made.is_registered
        assert await trio.to_thread.run_sync(made.cleanup)

    trio.run(main)


async def an_async_generator():
    yield


@types.coroutine
def an_old_coroutine():
    yield from asyncio.sleep(0).__await__()


def test_what_only_makes_a_generator_has_cleaned_nothing(resources, caplog):
    closed = []

    def a_generator():
        closed.append(1)
        yield

    with caplog.at_level(logging.ERROR):
        for cleanup in (a_generator, an_async_generator, lambda: (one for one in closed)):
            assert resources.register("feed", "file", cleanup).cleanup() is False
    assert errors(resources, "file") == 3
    assert "it returned a generator, of which nothing has run" in caplog.text
    assert resources.register("feed", "file", an_old_coroutine).cleanup() is True
