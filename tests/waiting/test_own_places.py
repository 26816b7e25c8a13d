"""A task that waits for a place of a bulkhead all of whose places it has itself is told so."""

import asyncio
import contextlib
import warnings

import pytest

import holdfast as hf
from holdfast.waiting import own_places
from tests.apart import run_apart
from tests.waiting.virtual import VirtualLoop

PATIENCE = 20  # seconds of a loop that waits for nothing


def run(main):
    """Run a coroutine where time passes by itself; a wait without end is a TimeoutError."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(asyncio.wait_for(main, PATIENCE))


def unlimited(places: int = 1, waiting: int = 5) -> hf.Bulkhead:
    return hf.Bulkhead("b", max_concurrent=places, max_waiting=waiting, max_wait=None)


async def nothing() -> str:
    return "done"


async def by_block(bulkhead: hf.Bulkhead) -> None:
    async with bulkhead:
        pass


async def by_hand(bulkhead: hf.Bulkhead) -> None:
    await bulkhead.aenter()
    bulkhead.leave()


async def by_call(bulkhead: hf.Bulkhead) -> None:
    await bulkhead.acall(nothing)


async def by_pipeline(bulkhead: hf.Bulkhead) -> None:
    await hf.Pipeline("p", hf.CircuitBreaker("c"), bulkhead).acall(nothing)


async def further_in(bulkhead: hf.Bulkhead) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(contextlib.nullcontext())
        await asyncio.shield(nothing())
        await by_block(bulkhead)


async def further_out(awaitable):
    return await awaitable


async def within_a_block(bulkhead, ask):
    async with bulkhead:
        await ask(bulkhead)


async def within_a_plain_block(bulkhead, ask):
    with bulkhead:
        await ask(bulkhead)


async def within_a_call(bulkhead, ask):
    await bulkhead.acall(ask, bulkhead)


async def within_a_pipeline(bulkhead, ask):
    await hf.Pipeline("p", hf.Retry("r"), bulkhead).acall(ask, bulkhead)


async def within_a_block_of_a_pipeline(bulkhead, ask):
    async with hf.Pipeline("p", hf.CircuitBreaker("c"), bulkhead):
        await ask(bulkhead)


async def within_a_permit(bulkhead, ask):
    with hf.Pipeline("p", bulkhead).acquire():
        await ask(bulkhead)


async def within_a_stack(bulkhead, ask):
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(bulkhead)
        await ask(bulkhead)


async def within_a_plain_stack(bulkhead, ask):
    with contextlib.ExitStack() as stack:
        stack.enter_context(bulkhead)
        await ask(bulkhead)


async def within_a_stream(bulkhead, ask):
    @bulkhead
    async def stream():
        yield await ask(bulkhead)

    async for _ in stream():
        pass


async def beside_a_stream(bulkhead, ask):
    @bulkhead
    async def stream():
        yield 1

    async for _ in stream():
        await ask(bulkhead)


async def beside_a_plain_stream(bulkhead, ask):
    for _ in bulkhead(lambda: (i for i in (1,)))():
        await ask(bulkhead)


async def within_a_manager(bulkhead, ask):
    @bulkhead
    @contextlib.asynccontextmanager
    async def session():
        yield

    async with session():
        await ask(bulkhead)


async def within_a_plain_manager(bulkhead, ask):
    @bulkhead
    @contextlib.contextmanager
    def session():
        yield

    with session():
        await ask(bulkhead)


HOLDS = [
    within_a_block,
    within_a_plain_block,
    within_a_call,
    within_a_pipeline,
    within_a_block_of_a_pipeline,
    within_a_permit,
    within_a_stack,
    within_a_plain_stack,
    within_a_stream,
    beside_a_stream,
    beside_a_plain_stream,
    within_a_manager,
    within_a_plain_manager,
]


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("ask", [by_block, by_hand, by_call, by_pipeline, further_in])
def test_who_has_the_only_place_and_waits_for_another_is_told(hold, ask):
    bulkhead = unlimited()
    with pytest.raises(RuntimeError, match=r"would wait for <Bulkhead 'b'> without end"):
        run(further_out(hold(bulkhead, ask)))
    assert bulkhead.in_flight == bulkhead.waiting == 0
    assert run(bulkhead.acall(nothing)) == "done"


@pytest.mark.parametrize("hold", HOLDS)
def test_who_has_one_of_two_places_waits_without_a_word(hold):
    async def main(bulkhead):
        async with bulkhead:
            waits = asyncio.create_task(hold(bulkhead, by_block))
            await asyncio.sleep(1)
            assert (bulkhead.waiting, waits.done()) == (1, False)
        await waits

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main(unlimited(2)))


async def with_a_permit_by_hand(bulkhead):
    permit = hf.Pipeline("p", bulkhead).acquire()
    return permit.ignore


async def with_a_place_by_hand(bulkhead):
    await bulkhead.aenter()
    return bulkhead.leave


@pytest.mark.parametrize("take", [with_a_permit_by_hand, with_a_place_by_hand])
def test_of_a_wait_for_a_place_taken_by_hand_it_is_warned_once(take):
    async def twice(bulkhead, given):
        for _ in range(2):
            held = await take(bulkhead)
            given.put_nowait(held)  # another gives it back
            await bulkhead.aenter()
            bulkhead.leave()

    async def main(bulkhead):
        given = asyncio.Queue()
        waits = asyncio.create_task(twice(bulkhead, given))
        for _ in range(2):
            give_back = await given.get()
            await asyncio.sleep(1)
            give_back()
        await waits
        assert bulkhead.in_flight == bulkhead.waiting == 0

    with pytest.warns(RuntimeWarning, match="waits for <Bulkhead 'b'> without limit") as warned:
        run(main(unlimited()))
    assert [warning.filename for warning in warned] == [__file__]


@pytest.mark.filterwarnings("error")
def test_where_warnings_are_errors_the_task_hears_of_it():
    async def twice(bulkhead):
        await bulkhead.aenter()
        try:
            await bulkhead.aenter()
        finally:
            bulkhead.leave()

    bulkhead = unlimited()
    with pytest.raises(RuntimeWarning, match="ends only if another task"):
        run(twice(bulkhead))
    assert bulkhead.in_flight == bulkhead.waiting == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("taken", ["one again", "one by a permit", "all of fewer places"])
def test_a_task_that_took_every_place_by_hand_is_warned_however_it_came_to_that(taken):
    async def main(bulkhead):
        await bulkhead.aenter()
        if taken == "one by a permit":
            permit = hf.Pipeline("p", bulkhead).acquire()
        else:
            await bulkhead.aenter()
        if taken == "one again":
            bulkhead.leave()
            await bulkhead.aenter()
        elif taken == "all of fewer places":
            bulkhead.resize(1)
        await bulkhead.aenter()
        permit.ignore()

    with pytest.raises(RuntimeWarning, match="ends only if another task"):
        run(main(unlimited(2)))


def test_what_was_given_back_is_not_the_tasks_any_more():
    async def stream(bulkhead):
        async with bulkhead:
            yield 1

    async def main(bulkhead):
        await bulkhead.aenter()
        bulkhead.leave()
        pipeline = hf.Pipeline("p", bulkhead)
        with pipeline.acquire() as permit:
            permit.success()
            items = stream(bulkhead)  # others may consume what has a name
            assert await anext(items) == 1
            waits = asyncio.ensure_future(anext(items, None))
            async with bulkhead:
                assert await waits is None

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main(unlimited()))


def test_who_has_all_of_several_places_is_told():
    async def main(bulkhead):
        async with bulkhead, bulkhead, bulkhead:
            pass

    with pytest.raises(RuntimeError, match="set max_wait"):
        run(main(unlimited(2)))
    run(main(unlimited(3)))


def test_who_has_one_of_two_places_waits_for_the_other():
    async def main():
        bulkhead = unlimited(2)
        await bulkhead.aenter()  # for whomever: nobody knows whose it is

        async def twice():
            idle = bulkhead.acall(nothing)  # not begun: it has no place
            async with bulkhead, bulkhead:
                idle.close()
                return "in"

        waits = asyncio.create_task(twice())
        await asyncio.sleep(1)
        assert (bulkhead.waiting, waits.done()) == (1, False)
        bulkhead.leave()
        assert await waits == "in"
        assert bulkhead.in_flight == 0

    run(main())


def test_who_waits_behind_many_others_is_told():
    async def main(bulkhead):
        async def busy():
            for _ in range(20):
                async with bulkhead:
                    await asyncio.sleep(0.1)

        await asyncio.gather(busy(), busy())  # nobody is looked at while others come in
        async with bulkhead:
            others = [asyncio.create_task(by_block(bulkhead)) for _ in range(250)]
            await asyncio.sleep(0.5)  # and these have been looked at
            others += [asyncio.create_task(by_block(bulkhead)) for _ in range(250)]
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="without end: it holds all"):
                await by_block(bulkhead)
            assert bulkhead.waiting == len(others)
        await asyncio.gather(*others)

    run(main(unlimited(waiting=1000)))


def test_a_wait_that_ends_is_left_to_end():
    async def main():
        clock = asyncio.get_running_loop().clock
        bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=1, clock=clock)
        async with bulkhead:
            with pytest.raises(hf.BulkheadTimeoutError):
                await by_block(bulkhead)
            with pytest.raises(hf.DeadlineExceededError):
                async with hf.Timeout(1, clock=clock):
                    await bulkhead.aenter(timeout=float("inf"))

    run(main())


def test_who_waits_stops_no_other_thread():
    """Without the GIL the questions of gc stop them all, and may keep a process from ending."""
    run_apart(
        """
        import asyncio, sys
        import holdfast as hf

        def refuse(event, args):
            assert not event.startswith("gc."), event

        async def nothing():
            pass

        async def main():
            async with bulkhead:
                await bulkhead.acall(nothing)

        bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=5, max_wait=None)
        sys.addaudithook(refuse)
        try:
            asyncio.run(main())
        except RuntimeError as told:
            assert "without end" in str(told)
        """
    )


def test_where_places_come_free_none_of_many_who_wait_is_looked_at(monkeypatch):
    looked = []
    monkeypatch.setattr(own_places.OwnPlaces, "_look_at", lambda *asked: looked.append(asked))

    async def main() -> None:
        bulkhead = unlimited(waiting=500)
        await bulkhead.aenter()
        waiting = [asyncio.ensure_future(bulkhead.aenter()) for _ in range(500)]
        for task in waiting:
            await asyncio.sleep(own_places.LOOK_EVERY / 2)
            bulkhead.leave()
            await task
        bulkhead.leave()
        assert looked == []
        waiting = [asyncio.ensure_future(bulkhead.aenter()) for _ in range(500)]
        await asyncio.sleep(own_places.LOOK_EVERY * 2.5)
        assert len(looked) <= 2 * own_places.LOOK_AT_MOST
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
