"""`for attempt in pipeline.attempts()`: a block that is tried again with all policies around it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import asdict
from typing import Any

import pytest

import holdfast as hf
from holdfast.testing import run
from tests.policies.calls import OutageError

Make = Callable[[hf.ManualClock], hf.Pipeline]


class Response:
    """What a server answers that cannot at the moment."""

    status_code = 503


def standard(**settings: Any) -> Make:
    settings = {"backoff": 1, "breaker": {"reset_timeout": 30}} | settings
    return lambda clock: hf.Pipeline.standard("p", clock=clock, **settings)


def piped(*parts: Callable[..., hf.Policy], **retry: Any) -> Make:
    """Return policies made of these, a retry in the place of None, each on the test's clock."""
    settings = {"attempts": 3, "backoff": 1, **retry}

    def make(clock: hf.ManualClock) -> hf.Pipeline:
        return hf.Pipeline("p", *(part(clock, settings) for part in parts))

    return make


def again(clock, settings):
    return hf.Retry("r", clock=clock, **settings)


def tight(clock, _):
    return hf.CircuitBreaker("b", failure_threshold=2, on=ConnectionError, clock=clock)


def few(clock, _):
    return hf.RateLimiter("l", rate=1, per=100, burst=2, clock=clock)


def one_place(clock, _):
    return hf.Bulkhead("k", max_concurrent=1, clock=clock)


def short(clock, _):
    return hf.Timeout(5, clock=clock)


def shut(clock, _):
    breaker = hf.CircuitBreaker("shut", clock=clock)
    breaker.trip()
    return breaker


def occupied(clock, _):
    bulkhead = hf.Bulkhead("o", max_concurrent=1, max_waiting=5, max_wait=50, clock=clock)
    assert bulkhead.try_enter()
    return bulkhead


def nested(clock, settings):
    return hf.Pipeline("inner", again(clock, settings), tight(clock, settings))


def off(clock, _):
    return hf.Bulkhead("off", mode="off", clock=clock)


PIPELINES = {
    "standard": standard(),
    "one attempt": standard(attempts=1),
    "judged by results": standard(on_result="http"),
    "observing": standard(mode="observe"),
    "switched off": standard(mode="off"),
    "without timeouts": standard(total_timeout=None, attempt_timeout=None),
    "short total": standard(total_timeout=15),
    "retry alone": piped(again),
    "refused inside": piped(few, one_place, tight, short, again, shut),
    "refused outside": piped(shut, few, again, one_place),
    "refusals tried again": piped(again, few, on=(hf.Rejected, ConnectionError)),
    "waits inside": piped(few, short, again, occupied),
    "opens inside": piped(short, again, tight),
    "nested": piped(one_place, nested, off, short),
    "gives up with another error": piped(one_place, again, few, wrap=True),
}

FAILS, LATE, WRONG, BUSY, FINE = ConnectionError("no"), "late", KeyError("wrong"), Response, "fine"
SCRIPTS: dict[str, list[Any]] = {
    "fine": [FINE],
    "fine in the end": [FAILS, FAILS, FINE],
    "fails": [FAILS] * 9,
    "late": [LATE] * 9,
    "late once": [LATE, FINE],
    "wrong": [FAILS, WRONG],
    "busy": [BUSY, BUSY, FINE],
    "busy for ever": [BUSY] * 9,
}


def state(pipe: hf.Pipeline, clock: hf.ManualClock) -> tuple[Any, ...]:
    ends = pipe._ends
    counted = ends.counters(), ends.buckets(), ends.sum_ns()
    return clock.now(), counted, [asdict(part) for part in pipe.snapshot().policies]


def outcome(error: BaseException) -> tuple[Any, ...]:
    return type(error), str(error), getattr(error, "__notes__", [])


def called(pipe: hf.Pipeline, step: Callable[[], Any]) -> Any:
    try:
        return pipe.call(step)
    except Exception as error:
        return outcome(error)


def looped(pipe: hf.Pipeline, step: Callable[[], Any]) -> Any:
    try:
        for attempt in pipe.attempts():
            with attempt:
                result = step()
                attempt.set_result(result)
    except Exception as error:
        return outcome(error)
    return result


async def acalled(pipe: hf.Pipeline, step: Callable[[], Any]) -> Any:
    try:
        return await pipe.acall(step)
    except Exception as error:
        return outcome(error)


async def alooped(pipe: hf.Pipeline, step: Callable[[], Any]) -> Any:
    try:
        async for attempt in pipe.attempts():
            with attempt:
                result = await step()
                attempt.set_result(result)
    except Exception as error:
        return outcome(error)
    return result


def acts(script: list[Any], clock: hf.ManualClock) -> Callable[[], Any]:
    left = iter(script)

    def step() -> Any:
        it = next(left)
        if isinstance(it, Exception):
            raise type(it)(*it.args)
        if it is LATE:
            clock.advance(11)
        return it

    return step


def aacts(script: list[Any]) -> Callable[[], Any]:
    left = iter(script)

    async def step() -> Any:
        it = next(left)
        if isinstance(it, Exception):
            raise type(it)(*it.args)
        if it is LATE:
            await asyncio.sleep(11)
        return it

    return step


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_block_fares_as_a_call_does_in_a_thread(pipeline):
    for script in SCRIPTS.values():
        found = []
        for way in (called, looped):
            clock = hf.ManualClock()
            pipe = PIPELINES[pipeline](clock)
            found += [[way(pipe, acts(script, clock)), *state(pipe, clock)]]
        assert found[0] == found[1]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_block_fares_as_a_call_does_in_a_task(pipeline):
    for script in SCRIPTS.values():
        found = []
        for way in (acalled, alooped):
            clock = hf.ManualClock(auto=False)
            pipe = PIPELINES[pipeline](clock)
            found += [[run(way(pipe, aacts(script)), clock=clock), *state(pipe, clock)]]
        assert found[0] == found[1]


# ---- loops that are left ----


def free(pipe: hf.Pipeline) -> bool:
    """Return whether nothing is held: no place, no call in the breaker."""
    *_, breaker, bulkhead, _ = pipe.policies
    return (breaker.in_flight, bulkhead.in_flight) == (0, 0)


def leave_by_break(pipe: hf.Pipeline) -> None:
    for attempt in pipe.attempts():
        with attempt:
            break


def leave_after_a_failure(pipe: hf.Pipeline) -> None:
    for attempt in pipe.attempts():
        with attempt:
            raise ConnectionError
        break


def leave_before_the_block(pipe: hf.Pipeline) -> None:
    for _ in pipe.attempts():
        break


def forget_the_block(pipe: hf.Pipeline) -> None:
    assert len(list(pipe.attempts())) == 1


def interrupt_the_block(pipe: hf.Pipeline) -> None:
    for attempt in pipe.attempts():
        with attempt:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("leave", "counts"),
    [
        (leave_by_break, (1, 1, 0, 0)),
        (leave_after_a_failure, (1, 0, 1, 0)),
        (leave_before_the_block, (1, 0, 0, 1)),
        (forget_the_block, (1, 0, 0, 1)),
        (interrupt_the_block, (1, 0, 0, 0)),
    ],
)
def test_a_loop_that_is_left_gives_all_back_at_once(leave, counts, clock):  # trap 44
    pipe = hf.Pipeline.standard("p", clock=clock)
    gc.disable()
    try:
        with suppress(KeyboardInterrupt):
            leave(pipe)
        assert free(pipe)
    finally:
        gc.enable()
    shown = pipe.policies[2].snapshot()
    assert (shown.admitted, shown.succeeded, shown.failed, shown.abandoned) == counts
    succeeded, *_, cancelled = pipe._ends.counters()
    assert (succeeded, cancelled) == ((1, 0) if leave is leave_by_break else (0, 1))
    assert hf.deadline() is None


async def test_an_attempt_that_nobody_awaits_ends_in_any_context():
    slots = hf.Bulkhead("b", max_concurrent=1, max_waiting=1, max_wait=60)
    pipe = hf.Pipeline("p", hf.Retry("r", attempts=2), slots)

    async def call() -> None:
        async for _ in pipe.attempts():
            pass

    with slots:
        left = call()
        Context().run(left.send, None)  # it waits for a slot
        left.close()  # as a collection does, once nobody has its task any more
    assert slots.in_flight == 0


@pytest.mark.parametrize("at", ["block", "pause", "wait for a token"])
def test_a_cancellation_goes_through_the_loop_and_leaves_nothing_held(at):  # GEN-04, trap 50
    clock = hf.ManualClock(auto=False)
    limiter = hf.RateLimiter("l", rate=1, burst=1, max_wait=5, clock=clock)
    pipe = hf.Pipeline.standard("p", rate=limiter, clock=clock, backoff=2)

    async def call() -> None:
        async for attempt in pipe.attempts():
            with attempt:
                if at == "pause":
                    raise ConnectionError
                await asyncio.sleep(3600)

    async def main() -> None:
        if at == "wait for a token":
            limiter.acquire()
        task = asyncio.ensure_future(call())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    asyncio.run(main())
    assert (pipe.policies[2].in_flight, pipe.policies[4].in_flight) == (0, 0)
    assert pipe.policies[1].snapshot().gave_up["cancelled"] == 1
    assert not clock._callbacks


def test_a_loop_that_a_task_leaves_open_no_longer_cuts_it():
    clock = hf.ManualClock(auto=False)
    pipe = hf.Pipeline.standard("p", clock=clock, total_timeout=2, attempt_timeout=1)

    async def leave() -> None:
        async for _ in pipe.attempts():
            break

    async def main() -> None:
        await leave()
        await asyncio.sleep(9)

    run(main(), clock=clock)
    assert clock.now() == 9.0


def test_a_task_that_begins_while_a_loop_enters_has_timeouts_of_its_own():
    clock = hf.ManualClock(auto=False)
    breaker = hf.CircuitBreaker("b", reset_timeout=1, clock=clock)
    pipe = hf.Pipeline("p", hf.Timeout(2, clock=clock), hf.Retry("r", clock=clock), breaker)
    tasks = []

    async def other() -> None:
        async with hf.Timeout(5, clock=clock):
            await asyncio.sleep(9)

    async def main() -> None:
        breaker.trip()
        clock.advance(1)
        breaker.on_event(lambda event: tasks.append(asyncio.ensure_future(other())))
        kind, *_ = await alooped(pipe, lambda: asyncio.sleep(9))
        assert kind is hf.DeadlineExceededError
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

    run(main(), clock=clock)


# ---- what holds in a block ----


def test_the_deadline_in_a_block_is_the_nearest_of_both_timeouts(clock):
    pipe = hf.Pipeline.standard("p", total_timeout=25, attempt_timeout=10, backoff=9, clock=clock)
    seen = []
    for attempt in pipe.attempts():
        with attempt:
            seen.append(hf.deadline())
            clock.advance(4)
            if attempt.number < 2:
                raise ConnectionError
    assert seen == [10.0, 10.0]
    assert hf.deadline() is None
    assert clock.now() == 17.0


def test_an_attempt_that_is_cut_in_a_task_keeps_what_says_so():
    clock = hf.ManualClock(auto=False)
    pipe = hf.Pipeline.standard("p", attempt_timeout=1, clock=clock)

    async def main() -> list[BaseException | None]:
        errors = []
        async for attempt in pipe.attempts():
            with attempt:
                await asyncio.sleep(3 if attempt.number == 1 else 0)
            errors.append(attempt.error)
        return errors

    first, second = run(main(), clock=clock)
    assert isinstance(first, hf.DeadlineExceededError)
    assert second is None


def test_loops_of_many_threads_and_tasks_share_a_pipeline_and_do_not_mix():
    pipe = hf.Pipeline.standard("p", backoff=0, budget=None, max_concurrent=50)

    def call(failures: int) -> int:
        for attempt in pipe.attempts():
            with attempt:
                if attempt.number <= failures:
                    raise ConnectionError
        return attempt.number

    async def acall(failures: int) -> int:
        async for attempt in pipe.attempts():
            with attempt:
                await asyncio.sleep(0)
                if attempt.number <= failures:
                    raise ConnectionError
        return attempt.number

    async def main() -> list[int]:
        threads = [asyncio.to_thread(call, n % 4) for n in range(20)]
        return await asyncio.gather(*threads, *(acall(n % 4) for n in range(20)))

    assert asyncio.run(main()) == [n % 4 + 1 for n in range(20)] * 2
    assert free(pipe)
    shown = pipe.policies[1].snapshot()
    assert (shown.succeeded, shown.attempts) == (40, 100)


def test_a_block_in_a_block_of_the_same_pipeline_has_a_loop_of_its_own(clock):
    pipe = hf.Pipeline.standard("p", backoff=0, clock=clock)
    made = []
    for outer in pipe.attempts():
        with outer:
            for inner in pipe.attempts():
                with inner:
                    made.append((outer.number, inner.number))
                    if inner.number < outer.number:
                        raise ConnectionError
            if outer.number < 2:
                raise ConnectionError
    assert made == [(1, 1), (2, 1), (2, 2)]
    assert free(pipe)


def test_a_loop_over_a_pipeline_leaves_no_cycle_behind(clock):  # trap 14
    class Big:
        pass

    pipe = hf.Pipeline.standard("p", attempts=2, backoff=0, clock=clock)
    gone: list[weakref.ref[Big]] = []

    def call(late: bool) -> None:
        big = Big()
        gone.append(weakref.ref(big))
        for attempt in pipe.attempts():
            with attempt:
                if not late:
                    raise OutageError
                clock.advance(11)

    gc.collect()
    gc.disable()
    try:
        for late in (False, True):
            with suppress(OutageError, hf.DeadlineExceededError):
                call(late)
        assert [one() for one in gone] == [None, None]
    finally:
        gc.enable()


# ---- pipelines that have no attempts ----


def test_a_pipeline_without_one_retry_or_with_a_fallback_has_no_attempts(clock):
    retry, breaker = hf.Retry("r", clock=clock), hf.CircuitBreaker("b", clock=clock)
    with pytest.raises(TypeError, match="one retry; <Pipeline 'p'> has no retry: write 'with pip"):
        hf.Pipeline("p", breaker).attempts()
    with pytest.raises(TypeError, match="<Pipeline 'p'> has several retries"):
        hf.Pipeline("p", retry, hf.Pipeline("q", breaker, retry)).attempts()
    standard = hf.Pipeline.standard("p", fallback=1, clock=clock)
    with pytest.raises(TypeError, match="a fallback, which cannot replace a block"):
        standard.attempts()
    assert len(list(standard.with_options(fallback=None).attempts())) == 1


def test_a_block_without_attempts_is_told_of_them(clock):
    pipe = hf.Pipeline.standard("p", clock=clock)
    with pytest.raises(TypeError, match=r"for attempt in pipeline.attempts\(\)"), pipe:
        pass
    with pytest.raises(TypeError, match=r"or with call\(\)$"), hf.Pipeline("p", hf.Fallback(1)):
        pass
