"""What type checkers make of the face of backoff, as of the library itself."""

from collections.abc import Callable, Generator
from logging import getLogger
from typing import Any, assert_type

import holdfast.compat.backoff as backoff
from holdfast.compat.backoff.types import Details


def tell(details: Details) -> None:
    assert_type(details["tries"], int)
    assert_type(details["elapsed"], float)
    assert_type(details["kwargs"], dict[str, Any])


async def atell(details: Details) -> None:
    assert_type(details["target"], Callable[..., Any])


@backoff.on_exception(backoff.expo, ValueError, jitter=None, max_tries=3)
def foo(url: str, timeout: float = 1.0) -> int:
    return len(url)


assert_type(foo("a", timeout=2.0), int)


@backoff.on_exception(
    backoff.constant, (ValueError, OSError), interval=1, max_tries=lambda: 3, max_time=60.0,
    giveup=lambda e: "fatal" in str(e), on_backoff=[tell, atell], on_giveup=tell,
    raise_on_giveup=False, logger=getLogger("mine"), backoff_log_level=10,
)  # fmt: skip
async def bar(url: str) -> bytes:
    return url.encode()


async def use() -> None:
    assert_type(await bar("a"), bytes)


@backoff.on_predicate(backoff.fibo, lambda found: found == [], max_value=13, on_success=tell)
def poll(queue: list[int]) -> list[int]:
    return queue


assert_type(poll([1]), list[int])


def asked_delay(code: int) -> float:
    return code / 100


@backoff.on_predicate(backoff.runtime, predicate=lambda r: r == 429, value=asked_delay, jitter=None)
def status() -> int:
    return 200


def mine(step: float) -> Generator[float, None, None]:
    while True:
        yield step


class Client:
    @backoff.on_exception(mine, OSError, step=0.5, jitter=backoff.random_jitter, logger=None)
    def fetch(self, path: str) -> str:
        return path


assert_type(Client().fetch("/"), str)
assert_type(backoff.full_jitter(3), float)
assert_type(backoff.expo(base=3, factor=0.5, max_value=60), Generator[float, Any, None])
assert_type(backoff.fibo(), Generator[int, None, None])
