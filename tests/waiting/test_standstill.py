"""A thread that waits keeps the event loop that runs in it waiting: never without a word."""

import asyncio
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.validation import titled
from tests.waiting.virtual import run


class FaultError(Exception):
    """What the dependency raises."""


def failing_once() -> Callable[[], str]:
    answers = iter([FaultError(), "ok"])

    def fn() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return fn


def auto() -> hf.ManualClock:
    return hf.ManualClock(auto=True)


def retry() -> hf.Retry:
    return hf.Retry("r", attempts=3, backoff=hf.Constant(5), on=FaultError, clock=auto())


def calls_with_a_pause() -> tuple[Any, Callable[[], object]]:
    policy = retry()
    return policy, lambda: policy.call(failing_once())


def block_with_a_pause() -> tuple[Any, Callable[[], object]]:
    policy = retry()

    def attempts() -> None:
        fn = failing_once()
        for attempt in policy.attempts():
            with attempt:
                fn()

    return policy, attempts


def late_tokens() -> tuple[Any, Callable[[], object]]:
    limiter = hf.RateLimiter("l", rate=1, burst=1, max_wait=5, clock=auto())
    limiter.acquire()
    return limiter, limiter.acquire


def late_tokens_of_a_window() -> tuple[Any, Callable[[], object]]:
    limiter = hf.RateLimiter("l", rate=1, max_wait=5, window="sliding", clock=auto())
    limiter.acquire()
    return limiter, lambda: limiter.call(int)


def a_place_that_comes_too_late() -> tuple[Any, Callable[[], object]]:
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=5, clock=auto())
    bulkhead.enter()

    def enter() -> None:
        with pytest.raises(hf.BulkheadTimeoutError), bulkhead:
            raise AssertionError("inside")

    return bulkhead, enter


def a_thread_of_a_timeout() -> tuple[Any, Callable[[], object]]:
    timeout = hf.Timeout(60, thread=True)
    return timeout, lambda: timeout.call(int)


BOUNDED = [
    calls_with_a_pause,
    block_with_a_pause,
    late_tokens,
    late_tokens_of_a_window,
    a_place_that_comes_too_late,
    a_thread_of_a_timeout,
]


def in_loop(wait: Callable[[], object]) -> None:
    async def main(_loop: object) -> None:
        wait()

    run(main)


@pytest.mark.parametrize("case", BOUNDED)
def test_a_wait_that_ends_is_warned_of_once_a_policy(case):
    policy, wait = case()
    with pytest.warns(RuntimeWarning, match="blocks the event loop") as told:
        in_loop(wait)
    (warning,) = told
    assert str(warning.message).startswith(titled(policy))
    assert "await acall()" in str(warning.message)
    assert Path(warning.filename) == Path(__file__)
    in_loop(wait)  # once is enough: of a second one pytest would make an error


@pytest.mark.parametrize("case", BOUNDED)
def test_where_no_loop_runs_nothing_is_said(case):
    case()[1]()
    asyncio.run(asyncio.to_thread(case()[1]))


@pytest.mark.parametrize("case", BOUNDED)
def test_where_the_warning_is_an_error_nothing_is_held(case):
    policy, wait = case()
    before = getattr(policy, "in_flight", 0), getattr(policy, "available", 0)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeWarning):
                in_loop(wait)
    assert (getattr(policy, "in_flight", 0), getattr(policy, "available", 0)) == before
    assert getattr(policy, "waiting", 0) == 0


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        (retry(), "'async for attempt in retry.attempts()'"),
        (hf.RateLimiter("l", rate=1), "'await aacquire()'"),
        (hf.Bulkhead("b"), "'await aenter()'"),
        (hf.Bulkhead("b"), "'async with'"),
    ],
)
def test_what_is_said_names_what_waits_in_a_task(policy, named):
    from holdfast.waiting.standstill import mind_loop

    with pytest.warns(RuntimeWarning, match="blocks the event loop") as told:
        in_loop(lambda: mind_loop(policy))
    assert named in str(told[0].message)


def hopeless(bulkhead: hf.Bulkhead) -> Iterator[Callable[[], object]]:
    def block() -> None:
        with bulkhead:
            raise AssertionError("inside")

    yield block
    yield bulkhead.enter
    yield lambda: bulkhead.call(int)
    yield lambda: bulkhead.try_call(int)
    yield bulkhead._permit
    yield lambda: hf.Pipeline("p", hf.CircuitBreaker("c"), bulkhead).call(int)
    yield lambda: hf.Pipeline("p", hf.Retry("r"), bulkhead).call(int)
    yield lambda: list(bulkhead(lambda: (one for one in [1]))())


def test_a_bulkhead_that_a_task_enters_twice_says_so_instead_of_hanging():
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None)

    async def main(_loop: object) -> None:
        for outer in (bulkhead, bulkhead):
            with outer:
                for wait in hopeless(bulkhead):
                    with pytest.raises(RuntimeError, match=r"wait without end.*'async with'"):
                        wait()
                    assert (bulkhead.in_flight, bulkhead.waiting) == (1, 0)
        async with bulkhead:
            assert bulkhead.in_flight == 1

    run(main)
    assert bulkhead.in_flight == 0


def test_a_deadline_is_an_end():
    clock = auto()
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None, clock=clock)
    timeout = hf.Timeout(5, clock=clock)

    async def main(_loop: object) -> None:
        with bulkhead, pytest.raises(hf.DeadlineExceededError):
            timeout.call(bulkhead.call, int)

    with pytest.warns(RuntimeWarning, match="blocks the event loop"):
        run(main)


@pytest.mark.parametrize("ask", ["result", "exception", "stop"])
def test_what_waits_for_a_pool_in_a_loop_is_warned_of(ask):
    pool, go_on = hf.PoolBulkhead("pool", workers=1), threading.Event()

    async def main(_loop: object) -> None:
        future = pool.submit(go_on.wait)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeWarning, match=r"asyncio\.wrap_future"):
                pool.stop() if ask == "stop" else getattr(future, ask)()
        go_on.set()
        assert await asyncio.wrap_future(future)
        assert future.result() is True
        assert future.exception() is None

    asyncio.run(main(None))
    assert pool.stop()
