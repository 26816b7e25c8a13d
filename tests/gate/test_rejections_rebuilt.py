"""A rejection carries its figures, and its class makes an equal one of its arguments."""

import copy
import json
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

import holdfast as hf
from tests.gate.parts import places, tokens, tripping


def caught(call: Callable[..., Any], *args: Any) -> Any:
    with pytest.raises(hf.Rejected) as raised:
        call(*args)
    return raised.value


def of_an_open_breaker() -> Any:
    breaker = tripping()
    breaker.trip()
    return caught(breaker.call, len, "")


def of_a_limiter() -> Any:
    limiter = tokens()
    limiter.acquire()
    return caught(limiter.call, len, "")


def of_a_full_bulkhead() -> Any:
    bulkhead = places(1)
    bulkhead.enter()
    return caught(bulkhead.call, len, "")


def of_a_wait() -> Any:
    bulkhead = places(1, max_waiting=3, max_wait=2, clock=hf.ManualClock())
    bulkhead.enter()
    return caught(bulkhead.call, len, "")


FIGURES = ("trip", "limit", "inside", "waiting", "max_waiting", "waited")


def told(error: Any) -> tuple[Any, ...]:
    figures = tuple(getattr(error, figure, None) for figure in FIGURES)
    return type(error), str(error), error.args, error.name, error.reason, error.retry_after, figures


WAYS = [
    lambda error: type(error)(*error.args),
    lambda error: type(error)(*json.loads(json.dumps(error.args))),
    lambda error: pickle.loads(pickle.dumps(error)),
    copy.copy,
    copy.deepcopy,
]
MAKERS = [of_an_open_breaker, of_a_limiter, of_a_full_bulkhead, of_a_wait]


@pytest.mark.parametrize("again", WAYS)
@pytest.mark.parametrize("make", MAKERS)
def test_a_rejection_is_rebuilt_with_all_it_knows(make, again):
    error = make()
    assert told(again(error)) == told(error)


@pytest.mark.parametrize("again", WAYS)
def test_a_users_own_class_is_rebuilt_as_well(again):
    error = OwnError(name="k", reason="full", inside=2, limit=2, waiting=0, max_waiting=0)
    assert str(error) == "own: 'k' (full)"
    assert told(again(error)) == told(error)


class OwnError(hf.BulkheadFullError):
    """A user's."""

    summary = "own"


def test_a_message_of_ones_own_is_kept_beside_the_figures():
    error = hf.CircuitOpenError("db is down", name="db", reason="open", retry_after=2)
    again = type(error)(*error.args)
    assert (str(again), again.name, again.retry_after) == ("db is down", "db", 2.0)
    assert again.args == error.args


def test_arguments_that_are_no_figures_stay_what_they_are():
    for args in [("a", {"b": 1}), ("a", {}), ({"name": "n"}, "a"), ("a", "b", {"name": "n"}), (3,)]:
        assert hf.CircuitOpenError(*args).args == args


def test_a_full_bulkhead_says_how_many_are_inside_and_waiting():
    error = of_a_full_bulkhead()
    assert (error.inside, error.limit, error.waiting, error.max_waiting) == (1, 1, 0, 0)
    assert str(error) == "bulkhead 'places' is full: 1 of 1 inside"


def test_a_full_queue_is_counted_in_the_rejection():
    bulkhead = places(1, max_waiting=1, max_wait=60, clock=hf.ManualClock(auto=False))
    bulkhead.enter()
    waiter = threading.Thread(target=bulkhead.enter)
    waiter.start()
    while bulkhead.waiting == 0:
        pass
    error = caught(bulkhead.call, len, "")
    assert str(error) == "bulkhead 'places' is full: 1 of 1 inside, 1 of 1 waiting"
    bulkhead.leave()
    waiter.join()


def test_the_figures_are_those_of_the_refusal_and_not_of_the_time_they_are_read():
    bulkhead = places(1)
    bulkhead.enter()
    outcome = bulkhead.try_call(len, "")
    bulkhead.leave()
    assert outcome.rejection is not None
    assert outcome.rejection.inside == 1


def test_a_wait_that_timed_out_says_how_long_it_was():
    error = of_a_wait()
    assert (error.waited, error.inside, error.max_waiting) == (2.0, 1, 3)
    said = "bulkhead 'places' had no free slot in 2.000 s: 1 of 1 inside, 0 of 3 waiting"
    assert str(error) == said


@pytest.mark.parametrize("asked", ["call", "acquire"])
def test_the_limit_that_refused_is_named(asked):
    clock = hf.ManualClock()
    limiter = hf.RateLimiter("api", limits="10/second;2/minute;5/30s", clock=clock)
    limiter.acquire(2)
    error = caught(limiter.call, len, "") if asked == "call" else caught(limiter.acquire)
    assert (error.limit, error.retry_after) == ("2/minute", 30.0)
    assert str(error) == "rate limit exceeded: 'api' allows 2/minute; retry in 30.000 s"


def test_a_pool_counts_its_threads_and_its_queue():
    pool = hf.PoolBulkhead("work", workers=1, max_waiting=1)
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        end.wait()

    pool.submit(hold)
    begun.wait()
    pool.submit(end.wait)
    error = caught(pool.submit, len, "")
    end.set()
    pool.stop()
    assert str(error) == "bulkhead 'work' is full: 1 of 1 inside, 1 of 1 waiting"


def test_figures_that_a_class_does_not_have_are_a_type_error():
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'inside'"):
        hf.CircuitOpenError(inside=1)
    with pytest.raises(TypeError):
        hf.BulkheadFullError(inside="x", limit=1)
    bare = hf.BulkheadFullError()
    assert (bare.inside, bare.limit, bare.waiting, bare.max_waiting) == (None,) * 4
    assert hf.BulkheadTimeoutError().waited is None
    assert hf.RateLimitedError().limit is None
