"""The result of a guarded coroutine, however it is asked for: handed over, and let go."""

import asyncio
import contextlib
import gc
import threading
import weakref

import pytest

from holdfast import CircuitBreaker


class Result:
    """What a call may answer, and nobody may keep."""


RESULTS = [None, 0, (), (1, 2), ValueError("an answer"), StopIteration("an answer"), Result()]

guarded = CircuitBreaker("results")


@guarded
async def answer(value):
    return value


@guarded
async def twice(value):
    return (await answer(value), await answer(value))


def taken_by_hand(value):
    """The StopIteration of a call that is driven by hand."""
    call = answer(value)
    try:
        call.send(None)
    except StopIteration as stop:
        return stop
    raise AssertionError("it never ended")


@pytest.mark.parametrize("value", RESULTS, ids=lambda value: type(value).__name__)
def test_driven_by_hand_it_is_the_value_of_a_stop_iteration(value):
    with pytest.raises(StopIteration) as stop:
        answer(value).send(None)
    assert stop.value.value is value
    assert stop.value.args == (() if value is None else (value,))
    assert taken_by_hand(value).value is value


def test_a_result_lives_no_longer_than_its_caller_keeps_it():
    async def ask():
        for call in (answer, lambda value: guarded.acall(answer.__wrapped__, value)):
            result = Result()
            gone = weakref.ref(result)
            got = await call(result)
            assert got is result
            del got, result
            assert gone() is None

    asyncio.run(ask())


def test_a_stop_iteration_that_was_kept_keeps_its_own_value():
    async def others():
        return [await answer(f"other {i}") for i in range(3)]

    kept = [taken_by_hand(value).with_traceback(None) for value in ("one", "two")]
    assert asyncio.run(others()) == ["other 0", "other 1", "other 2"]
    assert [stop.value for stop in kept] == ["one", "two"]


def test_what_caught_a_stop_iteration_by_hand_is_kept_until_the_next_result_at_most():
    def catch():
        local = Result()
        taken_by_hand(local)
        return weakref.ref(local)

    gone = catch()
    assert taken_by_hand("next").value == "next"
    gc.collect()
    assert gone() is None


def test_a_stop_iteration_bears_no_traceback_of_one_before_it():
    steps = answer("first").__await__()
    with contextlib.suppress(StopIteration):
        next(steps)
    stop = taken_by_hand("second")
    assert stop.__traceback__.tb_frame.f_code is taken_by_hand.__code__
    assert stop.__traceback__.tb_next is None
    assert (stop.__context__, stop.__cause__) == (None, None)


@pytest.mark.stress
def test_threads_take_only_their_own_results(stress_scale):
    wrong = []

    async def ask(me):
        rounds = range(2_000 * stress_scale)
        wrong.extend([i for i in rounds if await twice((me, i)) != ((me, i), (me, i))])

    threads = [threading.Thread(target=lambda me=me: asyncio.run(ask(me))) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
