"""A DeadlineExceededError says which timeout, how long it allows and how long it took."""

import asyncio
import copy
import json
import pickle
import threading

import pytest

import holdfast as hf
from tests.waiting.virtual import ended


def exceeded(timeout, fn, *args):
    with pytest.raises(hf.DeadlineExceededError) as caught:
        timeout.call(fn, *args)
    return caught.value


def told(error):
    return error.name, error.limit, error.elapsed, error.cooperative


def test_a_late_return_says_how_late_it_was(clock):
    timeout = hf.Timeout(2, name="payments", clock=clock)
    error = exceeded(timeout, clock.advance, 3.2)
    assert told(error) == ("payments", 2.0, 3.2, True)
    assert str(error) == "timed out after 2 s, timeout 'payments', noticed after 3.2 s"


def test_a_check_within_the_call_is_cooperative(clock):
    def work():
        clock.advance(2.5)
        hf.check_deadline()

    assert told(exceeded(hf.Timeout(2, clock=clock), work)) == (None, 2.0, 2.5, True)


async def test_a_task_that_is_cut_short_is_not_cooperative(loop):
    error = await ended(hf.Timeout(2, name="api", clock=loop.clock).acall(asyncio.sleep, 60))
    assert told(error) == ("api", 2.0, 2.0, False)
    assert str(error) == "timed out after 2 s, timeout 'api'"


async def test_an_outer_timeout_that_cuts_a_task_is_named_by_the_inner_one(loop):
    outer = hf.Timeout(2, name="all", clock=loop.clock)
    inner = hf.Timeout(9, name="one", clock=loop.clock)
    error = await ended(hf.Pipeline("p", outer, inner).acall(asyncio.sleep, 60))
    assert told(error) == ("all", 2.0, 2.0, False)


async def test_a_block_that_is_cut_short_is_not_cooperative(loop):
    with pytest.raises(hf.DeadlineExceededError) as caught:
        async with hf.Timeout(2, name="api", clock=loop.clock):
            await asyncio.sleep(60)
    assert told(caught.value) == ("api", 2.0, 2.0, False)


def test_a_call_left_behind_in_a_thread_is_not_cooperative(clock):
    end = threading.Event()

    def work():
        clock.advance(2)
        end.wait()

    error = exceeded(hf.Timeout(2, name="payments", thread=True, clock=clock), work)
    end.set()
    assert told(error) == ("payments", 2.0, 2.0, False)


def test_the_outer_timeout_is_named_when_its_deadline_was_the_earlier(clock):
    outer, inner = hf.Timeout(2, name="all", clock=clock), hf.Timeout(9, name="one", clock=clock)
    error = exceeded(outer, inner.call, clock.advance, 3)
    assert told(error) == ("all", 2.0, 3.0, True)


def test_a_call_that_may_not_begin_says_whose_time_is_over(clock):
    outer, inner = hf.Timeout(2, name="all", clock=clock), hf.Timeout(9, name="one", clock=clock)

    def work():
        clock.advance(3)
        inner.call(pytest.fail, "ran")

    assert told(exceeded(outer, work)) == ("all", 2.0, 3.0, True)


def test_the_timeouts_of_a_standard_pipeline_are_told_apart(clock):
    pipe = hf.Pipeline.standard("p", total_timeout=9, attempt_timeout=2, attempts=2, clock=clock)
    error = exceeded(pipe, clock.advance, 3)
    assert (error.name, error.role, error.limit) == ("p", "attempt", 2.0)
    assert str(error).startswith("timed out after 2 s, attempt timeout 'p'")
    late = hf.Pipeline.standard("p", total_timeout=9, attempt_timeout=None, clock=clock)
    error = exceeded(late, clock.advance, 20)
    assert (error.name, error.role, error.limit) == ("p", "total", 9.0)
    assert exceeded(hf.Timeout(1, name="t", clock=clock), clock.advance, 2).role is None


class OwnError(hf.DeadlineExceededError):
    """A user's."""


@pytest.mark.parametrize("cls", [hf.DeadlineExceededError, OwnError])
@pytest.mark.parametrize(
    "again",
    [
        lambda error: type(error)(*error.args),
        lambda error: type(error)(*json.loads(json.dumps(error.args))),
        lambda error: pickle.loads(pickle.dumps(error)),
        copy.copy,
    ],
)
def test_it_is_rebuilt_with_all_it_knows(cls, again):
    for error in [
        cls(name="payments", limit=2.0, elapsed=3.0, cooperative=True),
        cls("too slow", name="payments", limit=2.0),
        cls(limit=0.5, cooperative=False),
        cls(name="p", role="attempt", limit=0.5),
        cls("too slow"),
        cls(),
    ]:
        error.add_note("noted")
        one = again(error)
        assert type(one) is cls
        assert (*told(one), str(one), one.args) == (*told(error), str(error), error.args)


def test_it_is_settable_in_tests_and_stays_a_timeout_error():
    error = hf.DeadlineExceededError()
    error.name, error.limit = "payments", 1.5
    assert isinstance(error, TimeoutError)
    assert error.errno is None
    assert (str(error), repr(error)) == (
        "timed out after 1.5 s, timeout 'payments'",
        """DeadlineExceededError("timed out after 1.5 s, timeout 'payments'")""",
    )
    assert str(hf.DeadlineExceededError()) == "operation timeout"
