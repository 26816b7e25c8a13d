"""Calls in tasks that are made together, and one by one where that fails."""

from __future__ import annotations

import asyncio
import contextvars
import errno
from functools import partial
from typing import Any

import pytest

import holdfast as hf
from holdfast.degradation import DegradationMode, GatherError, agather_or_sequential
from tests.degradation.calls import Watched
from tests.waiting.parties import auntil

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")


@pytest.fixture
def seen() -> Watched:
    return Watched()


def down() -> ConnectionError:
    return ConnectionError("down")


def others() -> set[Any]:
    """Return the tasks beside that of the test."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def ever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_tasks_run_at_the_same_time_up_to_the_limit_and_answer_in_order(seen):  # DG-08, ER-07
    naps = [seen.acall(n, n, wait=partial(asyncio.sleep, 6 - n)) for n in range(6)]
    report = await agather_or_sequential(naps, max_concurrent=3)
    assert report.values == [0, 1, 2, 3, 4, 5]
    assert seen.most == 3
    assert report.switched is None


async def test_no_calls_give_an_empty_report():
    assert (await agather_or_sequential([])).values == []


async def test_at_half_the_calls_failed_the_rest_runs_one_by_one(seen):  # DG-08
    naps = {0: 1, 1: 2, 2: 3, 3: 9}
    calls = [
        seen.acall(n, *ends, wait=partial(asyncio.sleep, naps[n]))
        for n, ends in enumerate([["kept"], [down(), "a"], [down(), "b"], ["c"]])
    ]
    report = await agather_or_sequential(calls)
    assert report.switched == "failure_rate"
    assert report.values == ["kept", "a", "b", "c"]
    assert (report.concurrent, report.sequential) == ((0,), (1, 2, 3))
    assert [call.runs for call in report] == [1, 2, 2, 2]
    assert all(seen.alone[n] for n in (1, 2, 3))


async def test_what_runs_is_cancelled_and_has_ended_before_a_call_runs_alone(seen):  # D-C-12
    cleaned = []

    async def clean_slowly() -> None:
        try:
            await ever()
        finally:
            await asyncio.sleep(3)
            cleaned.append(seen.active)

    runs = iter([clean_slowly, partial(asyncio.sleep, 0)])
    calls = [
        seen.acall("slow", "slow", wait=lambda: next(runs)()),
        seen.acall("bad", down(), "good"),
    ]
    report = await agather_or_sequential(calls)
    assert report.values == ["slow", "good"]
    assert cleaned == [1]  # it had ended when no other ran
    assert seen.alone == {"slow": True, "bad": True}


async def test_a_success_in_spite_of_the_cancellation_is_kept(seen):  # D-C-12
    async def stubborn() -> None:
        try:
            await ever()
        except asyncio.CancelledError:
            await asyncio.sleep(1)

    calls = [seen.acall("slow", "kept", wait=stubborn), seen.acall("bad", down(), 1)]
    report = await agather_or_sequential(calls)
    assert report.values == ["kept", 1]
    assert seen.begun.count("slow") == 1


async def test_a_task_that_ignores_its_cancellation_is_not_repeated_beside_itself(seen):  # D-C-12
    free = asyncio.Event()

    async def ignores() -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    calls = [seen.acall("slow", ValueError(), wait=ignores), seen.acall("bad", down(), 1)]
    report = await agather_or_sequential(calls, grace=2)
    assert report[0].still_running
    assert isinstance(report[0].error, TimeoutError)
    assert report[1].value == 1
    assert seen.begun.count("slow") == 1
    free.set()
    await auntil(lambda: not others())


async def test_tasks_that_take_too_long_go_on_one_by_one(seen):  # DG-08
    calls = [seen.acall(0, 0), seen.acall(1, 1, wait=partial(asyncio.sleep, 4))]
    report = await agather_or_sequential(calls, timeout=3)
    assert (report.switched, report.values) == ("timeout", [0, 1])
    assert asyncio.get_running_loop().time() == pytest.approx(7)


async def test_without_time_nothing_is_started_one_by_one(seen, clock):  # DG-08, D-C-12
    calls = [seen.acall(0, down()), *(seen.acall(n, n, wait=ever) for n in (1, 2, 3))]
    timeout = hf.Timeout(4, clock=clock)
    task = asyncio.create_task(timeout.acall(lambda: agather_or_sequential(calls)))
    await auntil(lambda: len(seen.begun) == 4)
    clock.advance(4)
    with pytest.raises(hf.DeadlineExceededError):
        await task
    assert seen.begun == [0, 1, 2, 3]
    assert (seen.active, others()) == (0, set())


async def test_a_deadline_that_has_passed_starts_nothing(seen, clock):
    async def late() -> Any:
        clock.advance(9)
        return await agather_or_sequential([seen.acall(0, 0)])

    with pytest.raises(hf.DeadlineExceededError):
        await hf.Timeout(4, clock=clock).acall(late)
    assert seen.begun == []


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "too many")])
async def test_one_exhausted_resource_is_enough(seen, error):  # DG-08
    calls = [seen.acall(0, error, 0), *(seen.acall(n, n) for n in range(1, 9))]
    report = await agather_or_sequential(calls, max_concurrent=3)
    assert (report.switched, report.values) == ("resource", list(range(9)))


async def test_a_task_that_was_cancelled_by_another_is_repeated_alone(seen):  # DG-08
    async def cancelled_once() -> None:
        if seen.begun.count(0) == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await asyncio.sleep(0)

    calls = [seen.acall(0, "again", wait=cancelled_once), *(seen.acall(n, n) for n in range(1, 5))]
    report = await agather_or_sequential(calls)
    assert (report.switched, report.values) == ("cancelled", ["again", 1, 2, 3, 4])


async def test_a_cancelled_call_stands_in_the_report_and_in_the_group(seen):
    async def cancelled() -> None:
        raise asyncio.CancelledError

    report = await agather_or_sequential([cancelled, seen.acall(1, 1)])
    assert isinstance(report[0].error, asyncio.CancelledError)
    with pytest.raises(GatherError) as raised:
        _ = report.values
    assert isinstance(raised.value.exceptions[0].__cause__, asyncio.CancelledError)


@pytest.mark.parametrize("switched", [False, True])
async def test_a_cancellation_of_the_caller_stops_all_and_stays_one(seen, switched):  # DG-08
    cleaned = []

    async def cleans() -> None:
        try:
            await ever()
        finally:
            await asyncio.sleep(1)
            cleaned.append(1)

    mode = DegradationMode(enabled=switched)
    calls = [seen.acall(n, n, wait=cleans) for n in range(3)]
    task = asyncio.create_task(agather_or_sequential(calls, max_concurrent=2, mode=mode))
    await auntil(lambda: seen.active == (1 if switched else 2))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(cleaned) == (1 if switched else 2)
    assert (seen.active, others()) == (0, set())
    assert 2 not in seen.begun


async def test_a_second_cancellation_does_not_leave_tasks_behind(seen):
    async def cleans() -> None:
        try:
            await ever()
        finally:
            await asyncio.sleep(1)

    task = asyncio.create_task(agather_or_sequential([seen.acall(0, 0, wait=cleans)]))
    await auntil(lambda: seen.active)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (seen.active, others()) == (0, set())


async def test_a_gathering_that_nobody_awaits_any_more_cancels_its_tasks(seen):
    steps = agather_or_sequential([seen.acall(0, 0, wait=ever)])
    steps.send(None)
    await asyncio.sleep(0)
    assert seen.active == 1
    steps.close()
    await auntil(lambda: not others())
    assert seen.active == 0


async def test_tasks_have_the_deadline_and_the_context_of_the_caller():
    var.set("callers")

    async def look() -> Any:
        return var.get(), hf.deadline()

    async def gathered(**settings: Any) -> Any:
        report = await hf.Timeout(2).acall(lambda: agather_or_sequential([look] * 2, **settings))
        return [(text, round(left)) for text, left in report.values]

    assert await gathered() == [("callers", 2)] * 2
    assert await gathered(mode=DegradationMode(enabled=True)) == [("callers", 2)] * 2


async def test_each_call_goes_through_the_policy_both_ways(seen):
    breaker = hf.CircuitBreaker("b", failure_threshold=9)
    calls = [seen.acall(n, down(), n) for n in range(2)]
    await agather_or_sequential(calls, policy=breaker)
    counts = breaker.snapshot()
    assert (counts.failed, counts.succeeded) == (2 if len(seen.begun) == 4 else 1, 2)


async def test_what_ends_the_program_ends_the_gathering(seen):
    class Stop(BaseException): ...

    calls = [seen.acall(0, Stop()), seen.acall(1, 1, wait=ever)]
    with pytest.raises(Stop):
        await agather_or_sequential(calls)
    assert (seen.active, others()) == (0, set())


async def test_too_few_successes_in_the_end_raise_all_errors(seen):  # ER-03, ER-07
    with pytest.raises(GatherError, match="2 of 2 calls failed") as raised:
        await agather_or_sequential([seen.acall(n, down()) for n in range(2)])
    assert len(raised.value.exceptions) == 2


async def test_in_degraded_mode_calls_run_one_by_one_from_the_start(seen):  # DG-09
    mode = DegradationMode()
    mode.enable()
    calls = [seen.acall(n, n, wait=partial(asyncio.sleep, 1)) for n in range(3)]
    report = await agather_or_sequential(calls, mode=mode)
    assert (report.switched, seen.most, report.sequential) == ("mode", 1, (0, 1, 2))
    mode.disable()
    assert (await agather_or_sequential(calls, mode=mode)).switched is None


async def test_without_the_fallback_nothing_is_repeated(seen):  # DG-09
    mode = DegradationMode()
    assert mode.fallback
    mode.disable_fallback()
    calls = [
        seen.acall(0, down()),
        seen.acall(1, down()),
        seen.acall(2, "kept"),
        seen.acall(3, 3, wait=ever),
    ]
    report = await agather_or_sequential(calls, timeout=1, mode=mode)
    assert (report.switched, report.successes) == (None, {2: "kept"})
    assert seen.begun == [0, 1, 2, 3]
    assert isinstance(report[3].error, TimeoutError)
    assert others() == set()


async def test_an_awaitable_is_refused_with_the_reason():
    steps = ever()
    with pytest.raises(hf.ConfigError, match="an awaitable cannot be awaited again"):
        await agather_or_sequential([steps])  # type: ignore[list-item]
    steps.close()


def test_it_runs_under_an_eager_task_factory(seen):
    # None before 3.12: the ordinary one.
    eager = getattr(asyncio, "eager_task_factory", None)

    async def main() -> Any:
        asyncio.get_running_loop().set_task_factory(eager)
        calls = [seen.acall(0, down(), 0), seen.acall(1, 1)]
        return await agather_or_sequential(calls)

    report = asyncio.run(main())
    assert (report.switched, report.values) == ("failure_rate", [0, 1])
