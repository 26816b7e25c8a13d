"""Code of users of tenacity, read by mypy and pyright in strict mode; nothing here runs."""

import logging
import threading
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, assert_type

from holdfast.compat import tenacity
from holdfast.compat._retrying import FaceRetry
from holdfast.compat.tenacity import (
    AsyncRetrying,
    AttemptManager,
    Future,
    RetryCallState,
    RetryError,
    Retrying,
    TryAgain,
    before_sleep_log,
    retry,
    retry_any,
    retry_base,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_chain,
    wait_combine,
    wait_exponential,
    wait_fixed,
    wait_none,
    wait_random_exponential,
)
from holdfast.compat.tenacity.asyncio import retry as aretry
from holdfast.compat.tenacity.stop import stop_base
from holdfast.compat.tenacity.wait import wait_base

logger = logging.getLogger(__name__)


@retry
def plain(x: int, *, y: str = "") -> float:
    return x / 2


assert_type(plain(1, y="a"), float)
assert_type(plain.statistics, dict[str, Any])
assert_type(plain.policy, FaceRetry)
assert_type(plain.retry_with(stop=stop_after_attempt(2))(1), float)
plain.retry.stop = stop_after_attempt(3)
plain.retry.enabled = False


@retry(
    stop=stop_after_attempt(3) | stop_after_delay(timedelta(seconds=10)),
    wait=wait_exponential(multiplier=1, min=4, max=10) + wait_fixed(1),
    retry=retry_if_exception_type((OSError, ValueError)) | retry_if_result(bool),
    before_sleep=before_sleep_log(logger, logging.WARNING),
    reraise=True,
    name="payments",
)
def with_arguments(x: int) -> str:
    if x:
        raise TryAgain
    return str(x)


assert_type(with_arguments(1), str)


@retry(wait=wait_random_exponential(max=60), enabled=True)
async def coroutine(x: int) -> bytes:
    return bytes(x)


async def in_task() -> None:
    assert_type(await coroutine(1), bytes)
    async for attempt in AsyncRetrying(stop=stop_after_attempt(3)):
        assert_type(attempt, AttemptManager)
        with attempt:
            assert_type(attempt.retry_state, RetryCallState)
        async with attempt:
            pass


class Service:
    @retry(stop=stop_after_attempt(2))
    def method(self, x: int) -> list[int]:
        return [x]

    @retry
    async def awaited(self) -> int:
        return 1


assert_type(Service().method(1), list[int])


async def nap(_seconds: float) -> None: ...


@retry(sleep=nap, stop=stop_after_attempt(2))
def plain_in_task(x: int) -> int:
    return x


async def awaits() -> None:
    assert_type(await plain_in_task(1), int)
    assert_type(await Service().awaited(), int)


def block() -> None:
    for attempt in Retrying(stop=stop_after_attempt(3), wait=wait_none(), sleep=lambda _s: None):
        assert_type(attempt, AttemptManager)
        with attempt:
            pass
    try:
        assert_type(Retrying(name="one")(plain, 1), float)
    except RetryError as error:
        assert_type(error.last_attempt, Future)
        assert_type(error.last_attempt.failed, bool)
        error.reraise()


def own_stop(state: RetryCallState) -> bool:
    assert_type(state.attempt_number, int)
    assert_type(state.outcome, Future | None)
    assert_type(state.seconds_since_start, float | None)
    assert_type(state.retry_object.statistics, dict[str, Any])
    return state.idle_for > 1


def own_wait(state: RetryCallState) -> float:
    return state.upcoming_sleep


class OwnRetry(retry_base):
    def __call__(self, retry_state: RetryCallState) -> bool:
        return retry_state.outcome is not None and retry_state.outcome.failed


class OwnStop(stop_base):
    def __call__(self, retry_state: RetryCallState) -> bool:
        return True


class OwnWait(wait_base):
    def __call__(self, retry_state: RetryCallState) -> float:
        return 1.0


async def condition(error: BaseException) -> bool:
    return isinstance(error, OSError)


async def hook(state: RetryCallState) -> None: ...


retry(stop=own_stop, wait=own_wait, retry=OwnRetry())(plain)
retry(stop=OwnStop() | stop_when_event_set(threading.Event()), wait=OwnWait() + own_wait)(plain)
retry(retry=aretry.retry_if_exception(condition), before_sleep=hook)(coroutine)
assert_type(stop_after_attempt(1) | stop_after_delay(1), stop_any)
assert_type(retry_if_exception_type() | retry_if_result(bool), retry_any)
assert_type(wait_fixed(1) + wait_fixed(2), wait_combine)
wait_chain(wait_fixed(1), wait_fixed(2))
sum([wait_fixed(1), wait_fixed(2)])
Retrying(
    before=tenacity.before_log(logger, logging.DEBUG),
    after=tenacity.after_log(logger, logging.DEBUG, "%.2f"),
    retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    retry_error_cls=RetryError,
).copy(stop=stop_after_attempt(1))
pending: Awaitable[bytes] = coroutine(2)
