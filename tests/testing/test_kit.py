"""Time by hand in threads and tasks, scripted outcomes, recorded events, retries off."""

import asyncio
import gc
import threading

import pytest

import holdfast as hf
from holdfast.registry import registry
from holdfast.testing import (
    Recorder,
    Script,
    ScriptExhaustedError,
    VirtualLoop,
    isolated_registry,
    loops,
    recorded,
    retries_off,
    run,
    told,
    use_clock,
)


def test_asyncio_and_policies_wait_on_one_clock(clock):
    limiter = hf.RateLimiter("l", rate=1, per=60, max_wait=None, clock=clock)

    async def main():
        await asyncio.sleep(5)
        for _ in range(3):
            await limiter.aacquire()
        async with asyncio.timeout(1):
            return await hf.Timeout(3600, clock=clock).acall(asyncio.sleep, 0.5, "done")

    assert run(main(), clock=clock) == "done"
    assert clock.now() == 5 + 120 + 0.5


def test_waits_end_in_the_order_of_their_time():
    ended = []

    async def wait(seconds):
        await asyncio.sleep(seconds)
        ended.append(seconds)

    async def main():
        await asyncio.gather(*map(wait, (3, 1, 2)))
        return asyncio.get_running_loop().time()

    assert run(main()) == 3
    assert ended == [1, 2, 3]


def test_a_retry_in_a_task_pauses_in_virtual_time(clock):
    script = Script().fails(ConnectionError, times=3).returns("ok")
    retry = hf.Retry("r", attempts=4, backoff=hf.Constant(600), clock=clock)
    assert run(retry.acall(script.acall), clock=clock) == "ok"
    assert clock.now() == 1800


def test_other_threads_are_waited_for_when_nothing_else_is():
    async def main():
        return await asyncio.to_thread(lambda: threading.current_thread().name)

    assert run(main()) != threading.current_thread().name


def test_a_loop_in_which_nothing_can_happen_says_so(monkeypatch):
    monkeypatch.setattr(loops, "PATIENCE_SECONDS", 0)

    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="this loop cannot continue"):
        run(main())


def test_a_virtual_loop_is_a_loop_like_others(clock):
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(asyncio.sleep(10))
        assert runner.get_loop().time() == clock.now() == 10


def test_a_script_does_what_was_written_down():
    error = ValueError("x")
    script = Script().returns(1).fails(error).fails(KeyError, times=2).returns(2, times=None)
    assert script.left is None
    assert script("a", b=1) == 1
    with pytest.raises(ValueError, match="x") as raised:
        script()
    assert raised.value is error
    for _ in range(2):
        with pytest.raises(KeyError):
            script()
    assert [script() for _ in range(3)] == [2, 2, 2]
    assert script.calls[0] == (("a",), {"b": 1})
    assert len(script.calls) == 7


def test_a_script_takes_its_time(clock):
    script = Script(clock=clock).returns(after=2).fails(ConnectionError, after=3)
    script()
    assert clock.now() == 2
    with pytest.raises(ConnectionError):
        run(script.acall(), clock=clock)
    assert clock.now() == 5


def test_beyond_its_end_a_script_fails_the_test():
    script = Script().returns(1, times=2)
    assert (script.left, script(), script(), script.left) == (2, 1, 1, 0)
    with pytest.raises(ScriptExhaustedError, match="call 3 of a script of 2"):
        script()
    with pytest.raises(AssertionError):
        hf.Retry("r", attempts=3, backoff=hf.Constant(0)).call(script)


@pytest.mark.parametrize(
    ("write", "field"),
    [
        (lambda: Script().returns(times=0), "times"),
        (lambda: Script().returns(times=1.5), "times"),
        (lambda: Script().returns(after=-1), "after"),
        (lambda: Script().returns(after=1), "after"),
        (lambda: Script().fails("oops"), "error"),
        (lambda: Script().fails(int), "error"),
        (lambda: Script().returns(times=None).returns(), "times"),
    ],
)
def test_a_script_that_cannot_be_is_refused(write, field):
    with pytest.raises(hf.ConfigError, match=f"Script: {field}: got "):
        write()


def test_events_of_policies_made_in_the_block_are_recorded(clock):
    outside = hf.CircuitBreaker("outside", clock=clock)
    with recorded() as events:
        limiter = hf.RateLimiter("l", rate=1, per=60, clock=clock)
        breaker = hf.CircuitBreaker("b", clock=clock)
        pipe = hf.Pipeline("p", breaker, limiter)
        for _ in range(2):
            pipe.try_call(int)
        breaker.force_open()
        outside.trip()
    breaker.reset()
    assert [told(event) for event in events] == [
        "l: rejection (rate)",
        "b: closed -> forced-open (manual)",
    ]
    assert len(events) == 2
    assert events[1] in events.of(kind="override")
    assert events.of("l") == [events[0]]


def test_events_of_given_policies_are_recorded(clock):
    breaker, other = (hf.CircuitBreaker(name, clock=clock) for name in "ab")
    pipe = hf.Pipeline("p", breaker)
    with recorded(pipe) as events:
        breaker.trip()
        other.trip()
    assert [told(event) for event in events] == ["a: closed -> open (manual)"]


def recorder_of(clock):
    recorder = Recorder()
    breaker = hf.CircuitBreaker("b", clock=clock)
    recorder.watch(breaker)
    breaker.trip()
    breaker.try_call(int)
    breaker.half_open()
    breaker.reset()
    return recorder


def test_an_order_may_leave_things_out_unless_exactly(clock):
    events = recorder_of(clock)
    events.assert_order("closed -> open", "half-open -> closed")
    events.assert_order("b: rejection")
    events.assert_order(
        "b: closed -> open",
        "b: rejection (open)",
        "open -> half-open",
        "half-open -> closed",
        exactly=True,
    )
    with pytest.raises(AssertionError, match="where 'half-open -> closed' is expected"):
        events.assert_order("closed -> open", "half-open -> closed", exactly=True)
    with pytest.raises(AssertionError, match="beyond what is expected"):
        events.assert_order("closed -> open", exactly=True)


@pytest.mark.parametrize(
    "expected",
    [
        ("half-open -> closed", "closed -> open"),
        ("closed -> open", "closed -> open"),
        ("a: closed -> open",),
        ("rejection (full)",),
        ("closed -> half-open",),
    ],
)
def test_what_did_not_happen_so_fails_with_the_timeline(expected, clock):
    with pytest.raises(AssertionError) as raised:
        recorder_of(clock).assert_order(*expected)
    assert f"missing: {expected[-1]!r}" in str(raised.value)
    assert "0.000 s  b: rejection (open)" in str(raised.value)


def test_an_order_of_nothing_is_refused(clock):
    for expected in ((), (hf.State.OPEN,)):
        with pytest.raises(TypeError, match="allowed strings"):
            recorder_of(clock).assert_order(*expected)


def test_a_recorder_can_be_stopped_and_cleared(clock):
    events = recorder_of(clock)
    events.clear()
    assert (len(events), events.timeline(), repr(events)) == (0, "", "<Recorder of 0 events>")
    events.stop()
    with pytest.raises(AssertionError, match="nothing"):
        events.assert_order("closed -> open")


def test_without_retries_every_way_makes_one_attempt(clock):
    retry = hf.Retry("r", attempts=5, backoff=hf.Constant(9), clock=clock)
    pipe = hf.Pipeline("p", retry)
    script = Script().fails(ConnectionError, times=None)

    def block():
        for attempt in retry.attempts():
            with attempt:
                script()

    ways = [
        lambda: retry.call(script),
        lambda: pipe(script)(),
        lambda: run(pipe.acall(script.acall)),
        block,
    ]
    with retries_off(), retries_off():
        for made, way in enumerate(ways, 1):
            with pytest.raises(ConnectionError):
                way()
            assert len(script.calls) == made
        with pytest.raises(ZeroDivisionError), retries_off():
            _ = 1 / 0
        retry.try_call(script)
        assert len(script.calls) == len(ways) + 1
    assert clock.now() == 0
    assert retry.snapshot().gave_up["exhausted"] == len(ways) + 1
    retry.try_call(script)
    assert len(script.calls) == len(ways) + 1 + 5


def test_the_clock_in_use_is_that_of_policies_made_without_one(clock):
    with use_clock(clock) as chosen:
        assert chosen is clock
        breaker = hf.CircuitBreaker("b")
        breaker.trip()
        clock.advance(60)
        assert breaker.peek()
    with pytest.raises(ZeroDivisionError), use_clock():
        _ = 1 / 0
    assert isinstance(hf.CircuitBreaker("b")._clock, hf.SystemClock)


def test_an_isolated_registry_forgets_what_came_and_keeps_what_was():
    kept, doomed = hf.CircuitBreaker("kept"), hf.CircuitBreaker("doomed")
    with isolated_registry() as inner:
        assert inner is registry
        assert inner.all() == []
        came = hf.CircuitBreaker("kept")
        assert inner.all() == [came]
        del doomed
        gc.collect()
    assert registry.all() == [kept]
    assert registry.get("circuit_breaker", "kept") is kept
    assert came
