"""The face of tenacity around blocks: `for attempt in Retrying()` and `async for`."""

import asyncio
import threading

import pytest

from holdfast.compat.tenacity import (
    AsyncRetrying,
    RetryError,
    Retrying,
    TryAgain,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    wait_fixed,
)


def nothing(_seconds: float) -> None:
    """Wait no time at all."""


async def nothing_async(_seconds: float) -> None:
    """Wait no time at all."""


def fail(retrying: Retrying, error: type[BaseException] = ConnectionError, after=()) -> None:
    """Run a block that fails each time."""
    for attempt in retrying:
        with attempt:
            raise error
        for what in after:
            what()


async def fail_in_task(retrying: AsyncRetrying, error: type[BaseException] = ConnectionError):
    async for attempt in retrying:
        with attempt:
            raise error


def test_a_block_is_run_until_it_succeeds():  # RT-18
    numbers = []
    for attempt in Retrying(sleep=nothing, wait=wait_fixed(1)):
        with attempt:
            numbers.append(attempt.retry_state.attempt_number)
            if len(numbers) < 3:
                raise ConnectionError
    assert numbers == [1, 2, 3]
    assert attempt.retry_state.idle_for == 2.0


def test_a_block_that_is_given_up_raises():
    with pytest.raises(RetryError) as caught:
        fail(Retrying(stop=stop_after_attempt(2)))
    assert caught.value.last_attempt.attempt_number == 2
    with pytest.raises(ConnectionError):
        fail(Retrying(stop=stop_after_attempt(2), reraise=True))


def test_a_block_may_have_its_result_judged():
    results = iter([None, None, "found"])
    for attempt in Retrying(retry=retry_if_result(lambda result: result is None)):
        with attempt:
            result = next(results)
        if not attempt.retry_state.outcome.failed:
            attempt.retry_state.set_result(result)
    assert result == "found"


def test_a_block_may_ask_to_be_run_again():
    calls = []
    for attempt in Retrying(retry=retry_if_exception_type(KeyError)):
        with attempt:
            calls.append(None)
            if len(calls) < 2:
                raise TryAgain
    assert len(calls) == 2


def found(retrying: Retrying) -> int:
    for attempt in retrying:
        with attempt:
            return 42
    return 0


def test_a_loop_that_is_left_by_return_is_a_success():
    retrying = Retrying(name="left by return")
    before = retrying.policy.snapshot()
    assert found(retrying) == 42
    assert retrying.policy.snapshot().succeeded == before.succeeded + 1


def test_a_loop_that_is_left_by_break_is_a_success():
    retrying = Retrying(name="left by break")
    for attempt in retrying:
        with attempt:
            break
    assert retrying.policy.snapshot().succeeded == 1


def test_a_loop_that_is_left_in_its_pause_is_cancelled():
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    retrying = Retrying(name="left in its pause", sleep=interrupt)
    with pytest.raises(KeyboardInterrupt):
        fail(retrying)
    assert retrying.policy.snapshot().gave_up["cancelled"] == 1


def test_a_loop_that_makes_no_attempt_counts_nothing():
    retrying = Retrying(name="no attempt")
    for _attempt in retrying:
        break
    assert retrying.policy.snapshot().attempts == 0


def test_an_interruption_leaves_the_block_at_once():  # trap 50
    retrying = Retrying(name="interrupted", retry=retry_if_exception_type(BaseException))
    with pytest.raises(KeyboardInterrupt):
        fail(retrying, KeyboardInterrupt, after=[lambda: pytest.fail("the loop has gone on")])
    assert retrying.policy.snapshot().gave_up["cancelled"] == 1


def test_statistics_of_a_loop_are_those_of_its_controller():
    retrying = Retrying(sleep=nothing, wait=wait_fixed(3))
    for attempt in retrying:
        with attempt:
            if attempt.retry_state.attempt_number < 3:
                raise ConnectionError
    assert retrying.statistics["attempt_number"] == 3
    assert retrying.statistics["idle_for"] == 6


def test_threads_may_loop_over_one_controller_at_once():
    retrying = Retrying(stop=stop_after_attempt(5), sleep=nothing, name="shared by threads")
    barrier = threading.Barrier(4)
    numbers: list[list[int]] = []

    def work() -> None:
        mine: list[int] = []
        barrier.wait()
        for attempt in retrying:
            with attempt:
                mine.append(attempt.retry_state.attempt_number)
                if len(mine) < 4:
                    raise ConnectionError
        numbers.append(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers == [[1, 2, 3, 4]] * 4
    assert retrying.policy.snapshot().recovered == 4


async def test_a_block_of_a_task_is_run_until_it_succeeds():
    numbers = []
    async for attempt in AsyncRetrying(wait=wait_fixed(60)):
        with attempt:
            await asyncio.sleep(0)
            numbers.append(attempt.retry_state.attempt_number)
            if len(numbers) < 3:
                raise ConnectionError
    assert numbers == [1, 2, 3]


async def test_an_attempt_may_be_entered_by_async_with():
    numbers = []
    async for attempt in AsyncRetrying(sleep=nothing_async):
        async with attempt:
            numbers.append(attempt.retry_state.attempt_number)
            if len(numbers) < 2:
                raise ConnectionError
    assert numbers == [1, 2]


async def test_a_block_of_a_task_that_is_given_up_raises():
    with pytest.raises(RetryError):
        await fail_in_task(AsyncRetrying(stop=stop_after_attempt(2), sleep=nothing_async))


async def test_tasks_may_loop_over_one_controller_at_once():  # jd/tenacity#93
    retrying = AsyncRetrying(stop=stop_after_attempt(3), wait=wait_fixed(1))

    async def work() -> list[int]:
        numbers = []
        async for attempt in retrying:
            with attempt:
                numbers.append(attempt.retry_state.attempt_number)
                await asyncio.sleep(0.1)
                if len(numbers) < 3:
                    raise ConnectionError
        return numbers

    assert await asyncio.gather(*(work() for _ in range(3))) == [[1, 2, 3]] * 3


async def test_a_cancelled_block_is_not_run_again():  # trap 50, jd/tenacity#529
    retrying = AsyncRetrying(retry=retry_if_exception_type(BaseException), name="cancelled block")
    began = []

    async def work() -> None:
        async for attempt in retrying:
            with attempt:
                began.append(None)
                await asyncio.sleep(3_600)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(began) == 1
    assert retrying.policy.snapshot().gave_up["cancelled"] == 1


async def test_a_loop_of_a_task_that_is_left_by_return_is_a_success():
    retrying = AsyncRetrying(name="a task left by return")

    async def found() -> int:
        async for attempt in retrying:
            with attempt:
                return 42
        return 0

    assert await found() == 42
    assert retrying.policy.snapshot().succeeded == 1


async def test_attempts_may_be_asked_for_one_by_one():
    retrying = AsyncRetrying(stop=stop_after_attempt(2), sleep=nothing_async)
    first = await retrying.__aiter__().__anext__()
    assert first.retry_state.attempt_number == 1
    attempt = await retrying.__anext__()
    with attempt:
        raise ConnectionError
    assert (await retrying.__anext__()).retry_state.attempt_number == 2


async def test_a_disabled_loop_runs_its_block_once():
    calls = []
    with pytest.raises(ConnectionError):
        await fail_in_task(AsyncRetrying(enabled=False))
    async for attempt in AsyncRetrying(enabled=False):
        with attempt:
            calls.append(attempt.retry_state.attempt_number)
    assert calls == [1]


def test_a_controller_of_tasks_is_not_for_a_plain_loop():
    with pytest.raises(TypeError, match="not iterable"):
        iter(AsyncRetrying())
