"""Loops around blocks, generators, and objects that call: all that the face of stamina repeats."""

import asyncio
import pickle
import threading

import pytest

import holdfast as hf
from holdfast.compat import stamina
from holdfast.testing import use_clock

NO_PAUSE = {"wait_initial": 0, "wait_max": 0, "wait_jitter": 0}


def attempts_at(on=ConnectionError, **settings):
    return stamina.retry_context(on, **{**NO_PAUSE, **settings})


# ---- blocks ----


def test_a_block_is_repeated_until_it_succeeds(flaky):  # RT-18
    wobbly = flaky(2)
    seen = []
    for attempt in attempts_at():
        with attempt:
            seen.append((attempt.num, repr(attempt)))
            wobbly()
    assert seen == [(n, f"<Attempt num={n}, next_wait=0.0>") for n in (1, 2, 3)]


def test_an_attempt_keeps_its_number_and_tells_the_next_pause_without_jitter():
    with use_clock():
        made = []
        for attempt in stamina.retry_context(on=KeyError, wait_initial=1, wait_max=3):
            made.append(attempt)
            with attempt:
                if attempt.num < 4:
                    raise KeyError
    assert [attempt.num for attempt in made] == [1, 2, 3, 4]
    assert [attempt.next_wait for attempt in made] == [1, 2, 3, 3]


def test_the_last_error_is_raised_by_the_loop_after_its_body_has_ended(flaky):
    after = []

    def work():
        for attempt in attempts_at(attempts=3):
            with attempt:
                flaky(1)()
            after.append(attempt.num)

    with pytest.raises(ConnectionError):
        work()
    assert after == [1, 2, 3]


@pytest.mark.parametrize("final", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interruption_leaves_the_block_at_once(final):  # trap 50
    bodies = []

    def work():
        for attempt in attempts_at(BaseException):
            with attempt:
                raise final
            bodies.append(1)

    with pytest.raises(final):
        work()
    assert bodies == []


def test_a_loop_whose_attempts_are_not_entered_ends():
    assert len(list(attempts_at())) == 1


async def test_a_loop_that_is_left_after_a_failure_counts_as_cancelled():
    for attempt in attempts_at():
        with attempt:
            raise ConnectionError
        break
    assert attempts_at().policy.snapshot().gave_up["cancelled"] == 1
    async for attempt in attempts_at():
        with attempt:
            raise ConnectionError
        break
    assert attempts_at().policy.snapshot().gave_up["cancelled"] == 2


def test_a_loop_that_is_left_before_its_block_counts_nothing():
    for _ in attempts_at():
        break
    snapshot = attempts_at().policy.snapshot()
    assert (snapshot.succeeded, snapshot.failed) == (0, 0)


async def test_an_async_loop_repeats_its_block(flaky, loop):
    wobbly = flaky(2)
    before = loop.time()
    async for attempt in stamina.retry_context(on=ConnectionError, wait_initial=1, wait_jitter=0):
        with attempt:
            wobbly()
    assert (attempt.num, wobbly.calls) == (3, 3)
    assert loop.time() - before == pytest.approx(3)


async def test_tasks_that_share_a_context_have_loops_of_their_own():
    context = attempts_at(attempts=3)
    seen = []

    async def work(name):
        async for attempt in context:
            with attempt:
                seen.append((name, attempt.num))
                await asyncio.sleep(0)
                if attempt.num < 3:
                    raise ConnectionError

    await asyncio.gather(work("a"), work("b"))
    assert sorted(seen) == [(name, n) for name in "ab" for n in (1, 2, 3)]


async def test_the_end_of_an_iteration_in_a_block_does_not_pass_for_success():
    async def awork():
        async for attempt in attempts_at():
            with attempt:
                raise StopAsyncIteration

    def work():
        for attempt in attempts_at():
            with attempt:
                next(iter(()))

    with pytest.raises(RuntimeError, match="StopAsyncIteration"):
        await awork()
    with pytest.raises(RuntimeError, match="StopIteration"):
        work()


async def test_a_block_that_is_cancelled_is_not_repeated():  # trap 50
    begun = []

    async def work():
        async for attempt in attempts_at(BaseException):
            with attempt:
                begun.append(attempt.num)
                await asyncio.sleep(3_600)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert begun == [1]


def test_what_returns_from_within_a_block_counts_as_a_success():
    def work():
        for attempt in attempts_at():
            with attempt:
                return attempt.num
        raise AssertionError

    assert work() == 1
    assert attempts_at().policy.snapshot().succeeded == 1


# ---- generators ----


def test_a_generator_begins_anew_after_a_failure_also_after_items(flaky):  # trap 55
    wobbly = flaky(2)

    @stamina.retry(on=ConnectionError, **NO_PAUSE)
    def items():
        yield 1
        wobbly()
        yield 2
        return "end"

    def whole():
        yield (yield from items())

    assert list(whole()) == [1, 1, 1, 2, "end"]


def test_what_is_sent_and_thrown_reaches_the_generator():
    @stamina.retry(on=ConnectionError, **NO_PAUSE)
    def items():
        sent = yield "first"
        try:
            yield sent
        except KeyError:
            yield "caught"

    read = items()
    assert [next(read), read.send("sent"), read.throw(KeyError())] == ["first", "sent", "caught"]


@pytest.mark.parametrize("on", [BaseException, lambda _: True], ids=["class", "predicate"])
def test_a_generator_that_is_closed_stays_closed_and_is_no_failure(on):  # trap 50
    closed = []

    @stamina.retry(on=on, **NO_PAUSE)
    def items():
        try:
            yield 1
            yield 2
        finally:
            closed.append(1)

    read = items()
    next(read)
    read.close()
    assert closed == [1]
    snapshot = items.policy.snapshot()
    assert (snapshot.succeeded, snapshot.failed) == (1, 0)


async def test_an_async_generator_begins_anew_and_is_sent_and_thrown_to(flaky):
    wobbly = flaky(1)

    @stamina.retry(on=ConnectionError, **NO_PAUSE)
    async def items():
        sent = yield "first"
        wobbly()
        try:
            yield sent
        except KeyError:
            yield "caught"

    read = items()
    assert await anext(read) == "first"
    assert await read.asend("lost") == "first"
    assert await read.asend("sent") == "sent"
    assert await read.athrow(KeyError()) == "caught"
    with pytest.raises(StopAsyncIteration):
        await anext(read)


async def test_an_async_generator_that_is_closed_closes_the_one_inside():
    closed = []

    @stamina.retry(on=BaseException, **NO_PAUSE)
    async def items():
        try:
            yield 1
            yield 2
        finally:
            closed.append(1)

    read = items()
    await anext(read)
    await read.aclose()
    assert closed == [1]
    assert items.policy.snapshot().failed == 0


async def test_an_async_generator_that_is_cancelled_is_not_repeated():  # trap 50
    begun = []

    @stamina.retry(on=BaseException, **NO_PAUSE)
    async def items():
        begun.append(1)
        await asyncio.sleep(3_600)
        yield 1

    task = asyncio.ensure_future(anext(items()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert begun == [1]


# ---- callers ----


def test_a_caller_repeats_any_function(flaky):
    caller = stamina.RetryingCaller(attempts=3, **NO_PAUSE)
    assert caller(ConnectionError, flaky(2), "answer") == "answer"
    assert caller.on(ConnectionError)(flaky(1), answer="by name") == "by name"
    assert caller(KeyError, dict, on=1, callable_=2) == {"on": 1, "callable_": 2}
    with pytest.raises(ConnectionError):
        caller.on((KeyError, OSError))(flaky(3))


async def test_an_async_caller_repeats_any_coroutine_function(flaky):
    caller = stamina.AsyncRetryingCaller(attempts=3, **NO_PAUSE)
    wobbly = flaky(2)

    async def answer(*args, **kwargs):
        return wobbly((args, kwargs))

    assert await caller(ConnectionError, answer, 1, on=2) == ((1,), {"on": 2})
    wobbly.times = 99
    with pytest.raises(ConnectionError):
        await caller.on(ConnectionError)(answer)
    assert wobbly.calls == 6


def test_callers_show_their_settings_and_can_be_pickled():
    for caller in (
        stamina.RetryingCaller(wait_max=2, attempts=None),
        stamina.AsyncRetryingCaller(wait_max=2, attempts=None),
    ):
        shown = (
            f"<{type(caller).__name__}(attempts=None, timeout=45.0, wait_exp_base=2,"
            " wait_initial=0.1, wait_jitter=1.0, wait_max=2)>"
        )
        assert repr(caller) == shown
        assert repr(caller.on(KeyError)) == f"<Bound{type(caller).__name__}(KeyError, {shown})>"
        again = pickle.loads(pickle.dumps(caller.on(KeyError)))
        assert repr(again) == repr(caller.on(KeyError))
        assert again.policy is caller.policy


def test_a_bound_caller_refuses_what_is_no_error_where_it_is_bound():
    with pytest.raises(hf.ConfigError, match="on: got 7"):
        stamina.RetryingCaller().on(7)
    with pytest.raises(hf.ConfigError, match="on: got 7"):
        stamina.AsyncRetryingCaller().on(7)


def test_a_caller_is_safe_to_share_between_threads(flaky):
    caller = stamina.RetryingCaller(attempts=None, **NO_PAUSE).on(ConnectionError)
    wobbly = [flaky(50) for _ in range(8)]
    threads = [threading.Thread(target=caller, args=(one,)) for one in wobbly]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.calls for one in wobbly] == [51] * 8
    assert caller.policy.snapshot().recovered == 8


# ---- trio ----


@pytest.fixture
def trio(require_real):
    try:
        import trio
    except ImportError:
        require_real("trio is not installed")
    return trio


def test_pauses_are_trios_in_a_task_of_trio(trio, flaky):
    from trio.testing import MockClock

    wobbly = flaky(2)

    @stamina.retry(on=ConnectionError, wait_initial=1_000, wait_max=1_000, wait_jitter=0)
    async def fails(answer):
        return wobbly(answer)

    async def main():
        before = trio.current_time()
        assert await fails("trio") == "trio"
        async for attempt in stamina.retry_context(KeyError, wait_initial=500, wait_max=500):
            with attempt:
                if attempt.num == 1:
                    raise KeyError
        return trio.current_time() - before

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == pytest.approx(2_500)


def test_a_cancelled_task_of_trio_is_not_retried_though_on_names_everything(trio):  # trap 50
    begun = []

    @stamina.retry(on=BaseException, **NO_PAUSE)
    async def hangs():
        begun.append(1)
        await trio.sleep_forever()

    async def main():
        with trio.move_on_after(0.01) as scope:
            await hangs()
        return scope.cancelled_caught

    assert trio.run(main)
    assert begun == [1]


def test_a_pause_that_trio_cancels_ends_at_once(trio, flaky):  # trap 50
    wobbly = flaky(9)

    @stamina.retry(on=ConnectionError, wait_initial=5, wait_max=5)
    async def fails():
        wobbly()

    async def main():
        with trio.move_on_after(0.01) as scope:
            await fails()
        return scope.cancelled_caught

    assert trio.run(main)
    assert wobbly.calls == 1
    assert fails.policy.snapshot().gave_up["cancelled"] == 1
