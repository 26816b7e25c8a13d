"""`concurrent.futures.CancelledError` is an Exception, yet a cancellation: it proves nothing."""

import asyncio
import concurrent.futures
import subprocess
import sys
from typing import Any

import pytest

import holdfast as hf
from tests.policies.breaker.verdicts import verdict_on
from tests.policies.calls import OutageError, breaker_of, raising
from tests.policies.retry.retries import Flaky, both_ways, retry_of, why
from tests.policies.timeout.adaptive_timeouts import adaptive

CancelledError = concurrent.futures.CancelledError


class OwnCancelledError(OSError, CancelledError):
    pass


def of_a_future() -> Any:
    future: concurrent.futures.Future[None] = concurrent.futures.Future()
    future.cancel()
    return future.result()


def of_a_pool() -> Any:
    running = concurrent.futures.Future[None]()
    pool = hf.PoolBulkhead("p", workers=1, max_waiting=1)
    try:
        pool.submit(running.result)
        waiting = pool.submit(print, "never")
        assert waiting.cancel()
        return waiting.result()
    finally:
        running.set_result(None)
        pool.stop()


def of_a_loop() -> Any:
    """A coroutine given to a loop of another thread, which is cancelled there."""

    async def main() -> Any:
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        async def work() -> None:
            begun.set()
            await asyncio.Event().wait()

        future = asyncio.run_coroutine_threadsafe(work(), loop)
        await begun.wait()
        mine = asyncio.current_task()
        for task in asyncio.all_tasks() - {mine}:
            task.cancel()
        await asyncio.to_thread(concurrent.futures.wait, [future])
        return future

    return asyncio.run(main()).result()


@pytest.mark.parametrize(
    "source",
    [of_a_future, of_a_pool, of_a_loop, raising(CancelledError()), raising(OwnCancelledError())],
)
def test_waiting_for_a_future_that_was_cancelled_proves_nothing(clock, source):  # D-CB-8
    breaker = breaker_of(clock, failure_threshold=1)
    with pytest.raises(CancelledError):
        breaker.call(source)
    assert (breaker.state, breaker.snapshot().ignored) == (hf.State.CLOSED, 1)


def test_every_way_of_making_a_call_tells_a_cancelled_future(clock):
    breaker = breaker_of(clock, failure_threshold=1)
    assert verdict_on(breaker, CancelledError()) == "ignored"
    assert verdict_on(breaker, ExceptionGroup("", [CancelledError()])) == "ignored"
    breaker = breaker_of(clock, failure_threshold=1, on=(concurrent.futures._base.Error, OSError))
    assert verdict_on(breaker, OwnCancelledError()) == "ignored"


def test_a_cancelled_future_counts_where_on_names_it(clock):
    breaker = breaker_of(clock, failure_threshold=1000, on=(OutageError, CancelledError))
    assert verdict_on(breaker, CancelledError()) == "failed"
    assert verdict_on(breaker, OwnCancelledError()) == "failed"


def test_other_exceptions_of_that_name_are_exceptions(clock):
    other = type("CancelledError", (Exception,), {})
    assert verdict_on(breaker_of(clock, failure_threshold=1000), other()) == "failed"
    nowhere = type("CancelledError", (Exception,), {"__module__": 1})
    assert verdict_on(breaker_of(clock, failure_threshold=1000), nowhere()) == "failed"


@both_ways
def test_a_cancelled_future_is_not_waited_for_again(clock, make):
    retry, flaky = retry_of(clock, on=Exception), Flaky(clock, error=CancelledError())
    with pytest.raises(CancelledError):
        make(retry, clock, flaky)
    assert (len(flaky.made), why(retry)) == (1, {"cancelled": 1})
    named = Flaky(clock, failures=1, error=CancelledError())
    assert make(retry_of(clock, on=CancelledError), clock, named) == "fine"


def test_a_predicate_of_a_retry_is_not_asked_about_a_cancelled_future(clock):
    flaky = Flaky(clock, error=CancelledError())
    with pytest.raises(CancelledError):
        retry_of(clock, on=lambda error: True).call(flaky)
    assert len(flaky.made) == 1


@both_ways
def test_a_fallback_stands_in_for_a_cancelled_future_only_by_name(clock, make):
    with pytest.raises(CancelledError):
        make(hf.Fallback("cached"), clock, of_a_future)
    assert make(hf.Fallback("cached", on=CancelledError), clock, of_a_future) == "cached"


def test_an_adaptive_timeout_learns_nothing_from_a_cancelled_future(clock):
    timeout = adaptive(clock)
    with pytest.raises(CancelledError):
        timeout.call(of_a_future)
    assert timeout.snapshot().samples == 0


def test_it_is_known_without_an_import_and_after_another_import():
    script = """
import sys, holdfast as hf
assert "concurrent.futures" not in sys.modules
breaker = hf.CircuitBreaker("b", failure_threshold=1)
def call():
    import concurrent.futures as futures
    future = futures.Future()
    future.cancel()
    future.result()
for _ in range(2):
    for module in [name for name in sys.modules if name.startswith("concurrent")]:
        del sys.modules[module]
    breaker.try_call(call)
print(breaker.snapshot().ignored, breaker.state.value)
"""
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert out.stdout.split() == ["2", "closed"]
