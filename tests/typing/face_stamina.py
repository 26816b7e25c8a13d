"""What type checkers know of the face of stamina."""

import datetime as dt
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from typing import assert_type

from holdfast.compat.stamina import (
    AsyncRetryingCaller,
    Attempt,
    BoundAsyncRetryingCaller,
    BoundRetryingCaller,
    RetryingCaller,
    instrumentation,
    is_active,
    is_testing,
    retry,
    retry_context,
    set_active,
    set_testing,
)
from holdfast.compat.stamina.instrumentation import (
    RetryDetails,
    RetryHook,
    RetryHookFactory,
    get_on_retry_hooks,
    get_prometheus_counter,
    set_on_retry_hooks,
)
from holdfast.compat.stamina.typing import RetryHook as SameHook


def length(text: str, *, twice: bool = False) -> int:
    return len(text) * (1 + twice)


async def alength(text: str) -> int:
    return len(text)


@retry(on=ConnectionError)
def fetch(key: str, *, default: int = 0) -> int:
    return len(key) + default


@retry(on=(ConnectionError, KeyError), attempts=None, timeout=dt.timedelta(seconds=5))
async def afetch(key: str) -> bytes:
    return key.encode()


@retry(on=lambda error: isinstance(error, KeyError), wait_initial=1, wait_max=dt.timedelta(days=1))
def items(count: int) -> Generator[int, str, None]:
    yield count


@retry(on=lambda error: 2.5, wait_jitter=dt.timedelta(0), wait_exp_base=1.5)
async def aitems(count: int) -> AsyncGenerator[int]:
    yield count


class Client:
    @retry(on=ConnectionError)
    def get(self, path: str) -> bytes:
        return path.encode()


def waits(error: Exception) -> bool | float | dt.timedelta:
    return dt.timedelta(seconds=1) if error.args else False


assert_type(fetch("key", default=3), int)
assert_type(items(3), Generator[int, str, None])
assert_type(aitems(3), AsyncGenerator[int])
assert_type(Client().get("/"), bytes)
assert_type(retry(on=waits)(length)("text", twice=True), int)

caller = RetryingCaller(attempts=3, timeout=None)
assert_type(caller(ConnectionError, length, "text", twice=True), int)
assert_type(caller.on(waits), BoundRetryingCaller)
assert_type(caller.on(waits)(length, "text"), int)


async def main() -> None:
    assert_type(await afetch("key"), bytes)
    acaller = AsyncRetryingCaller(wait_max=dt.timedelta(seconds=1))
    assert_type(await acaller((ConnectionError,), alength, "text"), int)
    assert_type(acaller.on(KeyError), BoundAsyncRetryingCaller)
    assert_type(await acaller.on(KeyError)(alength, "text"), int)
    async for attempt in retry_context(ConnectionError, 3, 10.0):
        assert_type(attempt, Attempt)
        with attempt:
            assert_type(attempt.num, int)


for attempt in retry_context(on=ConnectionError, attempts=3):
    assert_type(attempt, Attempt)
    with attempt:
        assert_type(attempt.next_wait, float)


def hook(details: RetryDetails) -> None:
    assert_type(details.caused_by, Exception)
    assert_type(details.args, tuple[object, ...])
    assert_type(details.kwargs, dict[str, object])


@contextmanager
def span(details: RetryDetails) -> Generator[None]:
    yield


def make() -> RetryHook:
    return hook


set_on_retry_hooks([hook, span, RetryHookFactory(make)])
set_on_retry_hooks(None)
assert_type(get_on_retry_hooks(), tuple[RetryHook, ...])
same: SameHook = hook
instrumentation.set_on_retry_hooks(())
counter = get_prometheus_counter()
if counter is not None:
    counter.labels("name", 1, "KeyError").inc()

set_active(True)
assert_type(is_active(), bool)
assert_type(is_testing(), bool)
with set_testing(True, attempts=2, cap=True):
    pass

decorate: Callable[[Callable[[str], int]], Callable[[str], int]] = retry(on=KeyError)

# What is wrong is found.
retry(ConnectionError)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
fetch(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
caller(ConnectionError, length, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
retry(on="ConnectionError")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
