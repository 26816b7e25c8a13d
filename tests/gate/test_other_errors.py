"""What a hook of a breaker returns, if it is an exception, is what the caller gets."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from holdfast import CircuitBreaker, ManualClock, Pipeline, Retry, Timeout
from holdfast._native import gate


class OtherError(Exception):
    """What stands in for the error of the call."""


class Other(CircuitBreaker):
    """A breaker that gives another error for the one that has opened it."""

    __slots__ = ()

    def _changed(self, old: int, new: int, *args: Any, **more: Any) -> Any:
        super()._changed(old, new, *args, **more)
        return OtherError(f"{old}->{new}") if new == 2 else None


class OtherAtEachEnd(CircuitBreaker):
    """A breaker that gives another error for that of each call."""

    __slots__ = ()

    def _ended(self, failed: bool, error: BaseException | None) -> Any:
        return OtherError(repr(error)) if failed else None


gate._own_methods(Other)
gate._own_methods(OtherAtEachEnd)


def fail() -> None:
    raise ConnectionError("down")


async def afail() -> None:
    await asyncio.sleep(0)
    raise ConnectionError("down")


def stream() -> Iterator[int]:
    yield 1
    raise ConnectionError("down")


@contextmanager
def block() -> Iterator[None]:
    yield


def in_block(policy: Any) -> None:
    with policy:
        fail()


def in_manager(policy: Any) -> None:
    with policy(block)():
        fail()


def by_permit(policy: Any) -> None:
    with policy.acquire():
        fail()


WAYS: dict[str, Callable[[Any], Any]] = {
    "guard": lambda policy: policy(fail)(),
    "call": lambda policy: policy.call(fail),
    "try_call": lambda policy: policy.try_call(fail).unwrap(),
    "coroutine": lambda policy: asyncio.run(policy(afail)()),
    "acall": lambda policy: asyncio.run(awaited(policy)),
    "generator": lambda policy: list(policy(stream)()),
    "with": in_block,
    "manager": in_manager,
    "permit": by_permit,
}


async def awaited(policy: Any) -> None:
    await policy.acall(afail)


@pytest.mark.parametrize("way", WAYS)
def test_the_call_that_opens_a_breaker_can_raise_another_error_in_every_way(way: str) -> None:
    breaker = Other("other", failure_threshold=1)
    with pytest.raises(OtherError, match="0->2") as raised:
        WAYS[way](breaker)
    contexts = []
    error = raised.value.__context__
    while error is not None:
        contexts.append(type(error))
        error = error.__context__
    assert ConnectionError in contexts
    assert breaker.snapshot().failed == 1
    assert breaker.in_flight == 0


@pytest.mark.parametrize("way", ["guard", "call", "coroutine", "with"])
def test_each_failure_can_raise_another_error(way: str) -> None:
    breaker = OtherAtEachEnd("other")
    breaker._tells = 3
    with pytest.raises(OtherError, match="down"):
        WAYS[way](breaker)
    assert breaker.call(int) == 0
    assert breaker.snapshot().failed == 1


def test_the_other_error_is_what_the_policies_outside_judge() -> None:
    clock = ManualClock()
    breaker = Other("other", failure_threshold=2, clock=clock)
    retry = Retry("retry", attempts=5, on=(ConnectionError,), clock=clock)
    with pytest.raises(OtherError):
        Pipeline("p", Timeout(9, clock=clock), retry, breaker).call(fail)
    assert breaker.snapshot().failed == 2  # the other error is none that is tried again
    assert breaker.in_flight == 0
