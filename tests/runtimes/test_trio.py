"""trio and anyio: a guard drives any coroutine; what waits or cuts is refused by name."""

import asyncio
from functools import partial

import pytest

import holdfast as hf
from holdfast.degradation import agather_or_sequential
from holdfast.health import HealthMonitor, PingCheck
from holdfast.periodic import Periodic

WAITS = r"this is a task of trio: .* Under trio use max_wait=0"
CUTS = r"cannot cancel a task of trio, .* under trio use trio\.fail_after\(\)"


@pytest.fixture
def run(require_real):
    """Run an async function in trio."""
    try:
        import trio
    except ImportError:
        require_real("trio is not installed")
    return trio.run


async def answer():
    import trio

    await trio.lowlevel.checkpoint()
    return 42


async def fails():
    import trio

    await trio.lowlevel.checkpoint()
    raise ConnectionError


def test_what_does_not_wait_guards_a_task_of_trio(run):
    guards = [
        hf.CircuitBreaker("b"),
        hf.RateLimiter("l", rate=1),
        hf.Bulkhead("k"),
        hf.Fallback(0, on=ConnectionError),
        hf.Retry("r", on=ConnectionError),
        hf.Pipeline("both", hf.CircuitBreaker("p"), hf.Bulkhead("q")),
    ]

    async def main():
        assert [await guard.acall(answer) for guard in guards] == [42] * len(guards)
        assert await hf.Fallback(0, on=ConnectionError).acall(fails) == 0
        async with hf.Bulkhead("block"):
            await answer()

    run(main)


def test_a_breaker_counts_the_failures_of_trio_and_no_cancellation(run):
    import trio

    breaker = hf.CircuitBreaker("api", failure_threshold=1)

    async def main():
        with trio.CancelScope() as scope:
            scope.cancel()
            await breaker.acall(trio.sleep_forever)
        assert scope.cancelled_caught
        assert breaker.snapshot().ignored == 1
        with pytest.raises(ConnectionError):
            await breaker.acall(fails)
        with pytest.raises(hf.CircuitOpenError):
            await breaker.acall(answer)

    run(main)


def test_retries_without_a_pause_work_in_trio(run):
    retry = hf.Retry("r", on=ConnectionError, backoff=hf.Constant(0), attempts=3, budget=None)
    tried = []

    async def fails_twice():
        tried.append(1)
        return await (answer() if len(tried) == 3 else fails())

    async def main():
        assert await retry.acall(fails_twice) == 42

    run(main)


def test_a_wait_in_a_task_of_trio_is_refused_by_name(run):
    retry = hf.Retry("r", on=ConnectionError, backoff=hf.Constant(0.01))
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=1)
    limiter = hf.RateLimiter("l", rate=1, burst=1, max_wait=10)

    async def in_a_loop():
        async for attempt in retry.attempts():
            with attempt:
                await fails()

    async def main():
        with pytest.raises(RuntimeError, match=WAITS):
            await retry.acall(fails)
        with pytest.raises(RuntimeError, match=WAITS):
            await in_a_loop()
        async with bulkhead:
            with pytest.raises(RuntimeError, match=WAITS):
                await bulkhead.acall(answer)
        await limiter.aacquire()
        with pytest.raises(RuntimeError, match=WAITS):
            await limiter.aacquire()

    run(main)
    assert (bulkhead.snapshot().active, bulkhead.snapshot().queued) == (0, 0)


def test_a_timeout_of_a_task_of_trio_is_refused_before_the_call_begins(run):
    begun = []

    async def begins():
        begun.append(1)

    async def main():
        for policy in hf.Timeout(1, name="t"), hf.Pipeline("p", hf.Timeout(1)):
            with pytest.raises(RuntimeError, match=CUTS):
                await policy.acall(begins)
            with pytest.raises(RuntimeError, match=CUTS):
                await policy(begins)()
        with pytest.raises(RuntimeError, match=f"^Timeout 't' {CUTS}"):
            async with hf.Timeout(1, name="t"):
                begun.append(1)

    run(main)
    assert not begun


def test_a_monitor_runs_in_threads_and_says_so_to_a_task_of_trio(run):  # HC-11, DG-08
    import trio

    check = PingCheck("db", int)
    monitor = HealthMonitor("shop")
    monitor.add(PingCheck("up", lambda: True))
    gather = partial(agather_or_sequential, [answer])

    async def main():
        needs = [
            (monitor.astart, "HealthMonitor 'shop'", "start"),
            (monitor.astop, "HealthMonitor 'shop'", "stop"),
            (monitor.acheck_now, "HealthMonitor 'shop'", "check_now"),
            (check.arun, "PingCheck 'db'", "run"),
            (gather, r"agather_or_sequential\(\)", "gather_or_sequential"),
            (Periodic(int, 1, name="p").astart, "Periodic 'p'", "start"),
        ]
        for call, who, plain in needs:
            with pytest.raises(RuntimeError, match=rf"^{who} .* trio use {plain}\(\) in another"):
                await call()
        monitor.start()
        found = await trio.to_thread.run_sync(monitor.check_now)
        assert found["up"].healthy
        assert await trio.to_thread.run_sync(monitor.stop)

    run(main)


def test_a_manager_that_a_task_of_trio_could_not_start_does_not_run(run):  # RM-10
    manager = hf.ResilienceManager("m")
    manager.timeouts.start()  # by hand: it goes on
    manager.register_health_check(PingCheck("p", lambda: True))

    async def begin():
        import trio

        with pytest.raises(RuntimeError, match=r"under trio use start\(\) in another thread"):
            async with manager:
                pass
        assert not manager.running
        assert manager.timeouts.running
        await trio.to_thread.run_sync(manager.start)
        assert manager.running

    try:
        run(begin)
    finally:
        assert manager.stop()


def test_a_thread_whose_tasks_of_trio_would_stand_still_is_told_so(run):
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=None)
    retry = hf.Retry("r", on=ConnectionError, backoff=hf.Constant(0.001), attempts=2)

    def fails():
        raise ConnectionError

    async def main():
        with bulkhead, pytest.raises(RuntimeError, match=r"wait without end.*trio\.to_thread"):
            bulkhead.call(int)
        with pytest.warns(RuntimeWarning, match=r"blocks the event loop.*trio\.to_thread"):
            assert not retry.try_call(fails)

    run(main)


def test_a_plain_function_keeps_its_timeout_in_a_thread_of_trio(run):
    import trio

    assert run(trio.to_thread.run_sync, hf.Timeout(60)(int)) == 0


def test_in_asyncio_nothing_is_refused_once_trio_was_imported(run):
    assert asyncio.run(hf.Timeout(60).acall(asyncio.sleep, 0, "done")) == "done"


def test_under_anyio_it_is_its_backend_that_matters(require_real):
    try:
        import anyio
        import trio  # noqa: F401
    except ImportError:
        require_real("anyio or trio is not installed")
    bulkhead = hf.Bulkhead("b", max_concurrent=1, max_waiting=9, max_wait=60)
    breaker = hf.CircuitBreaker("api", failure_threshold=1)
    policy = hf.Pipeline("p", hf.Timeout(60), bulkhead)

    async def main():
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(policy(anyio.lowlevel.checkpoint))
        with anyio.move_on_after(0):
            await breaker.acall(anyio.sleep_forever)

    anyio.run(main, backend="asyncio")
    assert bulkhead.snapshot().completed == 3
    assert breaker.snapshot().ignored == 1
    with pytest.raises(BaseExceptionGroup) as group:
        anyio.run(main, backend="trio")
    assert group.group_contains(RuntimeError, match=CUTS)
