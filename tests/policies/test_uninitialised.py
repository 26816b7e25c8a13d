"""A policy that never called its base's ``__init__`` guards nothing and says so at every door."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import holdfast as hf
from tests.policies.members import CLASSES

REFUSED = r"Forgetful.*did not call super\(\).__init__"


def forgetful(base: type) -> Any:
    class Forgetful(base):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            pass

    return Forgetful("forgets")


def runs() -> None:
    pytest.fail("ran")


async def arun() -> None:
    pytest.fail("ran")


def generates() -> Any:
    pytest.fail("ran")
    yield


def enter(policy: Any) -> None:
    with policy:
        runs()


async def aenter(policy: Any) -> None:
    async with policy:
        runs()


def on_a_stack(policy: Any) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(policy)
        runs()


EVERYBODYS: dict[str, Callable[[Any], Any]] = {
    "call": lambda p: p.call(runs),
    "call of a generator": lambda p: p.call(generates),
    "try_call": lambda p: p.try_call(runs),
    "call_with_stats": lambda p: p.call_with_stats(runs),
    "acall": lambda p: p.acall(arun),
    "try_acall": lambda p: p.try_acall(arun),
    "acall_with_stats": lambda p: asyncio.run(p.acall_with_stats(arun)),
    "decorator": lambda p: p(runs),
    "decorator of a coroutine": lambda p: p(arun),
    "decorator of a method": lambda p: p(staticmethod(runs)),
    "with": enter,
    "async with": lambda p: asyncio.run(aenter(p)),
    "ExitStack": on_a_stack,
    "__enter__": lambda p: p.__enter__(),
    "snapshot": lambda p: p.snapshot(),
    "describe": lambda p: p.describe(),
    "on_event": lambda p: p.on_event(print),
}


@pytest.mark.parametrize("base", CLASSES)
@pytest.mark.parametrize("door", EVERYBODYS)
def test_it_is_refused_at_every_door(base, door):
    with pytest.raises(RuntimeError, match=REFUSED):
        EVERYBODYS[door](forgetful(base))


@pytest.mark.parametrize(
    ("base", "use"),
    [
        (hf.CircuitBreaker, lambda p: p.acquire()),
        (hf.CircuitBreaker, lambda p: p.state),
        (hf.CircuitBreaker, lambda p: p.peek()),
        (hf.CircuitBreaker, lambda p: p.trip()),
        (hf.CircuitBreaker, lambda p: p.reset()),
        (hf.CircuitBreaker, lambda p: p.retry_after),
        (hf.Pipeline, lambda p: p.acquire()),
        (hf.Pipeline, lambda p: p.policies),
        (hf.Pipeline, lambda p: p.lint()),
        (hf.Pipeline, lambda p: p.with_options(retry=None)),
        (hf.RateLimiter, lambda p: p.try_acquire()),
        (hf.RateLimiter, lambda p: p.acquire()),
        (hf.RateLimiter, lambda p: asyncio.run(p.aacquire())),
        (hf.RateLimiter, lambda p: p.reserve()),
        (hf.RateLimiter, lambda p: p.test()),
        (hf.RateLimiter, lambda p: p.resize(rate=3)),
        (hf.RateLimiter, lambda p: p.clear()),
        (hf.Bulkhead, lambda p: p.try_enter()),
        (hf.Bulkhead, lambda p: p.enter()),
        (hf.Bulkhead, lambda p: asyncio.run(p.aenter())),
        (hf.Bulkhead, lambda p: p.leave()),
        (hf.Bulkhead, lambda p: p.reset()),
        (hf.Bulkhead, lambda p: p.resize(3)),
        (hf.PoolBulkhead, lambda p: p.submit(runs)),
        (hf.PoolBulkhead, lambda p: p.snapshot()),
        (hf.PoolBulkhead, lambda p: p.stop()),
        (hf.Retry, lambda p: next(iter(p.attempts()))),
        (hf.Timeout, lambda p: p.duration),
    ],
)
def test_so_it_is_at_the_doors_of_its_kind(base, use):
    with pytest.raises(RuntimeError, match=REFUSED):
        use(forgetful(base))


def test_a_pipeline_takes_none_and_names_it():
    with pytest.raises(hf.ConfigError, match=r"policies\[1\]: got <Forgetful>.*super\(\)"):
        hf.Pipeline("p", hf.Timeout(1), forgetful(hf.CircuitBreaker))


def test_it_is_not_in_the_registry_and_harms_nobody():
    known = len(hf.registry.all())
    policy = forgetful(hf.Bulkhead)
    assert len(hf.registry.all()) == known
    assert repr(policy) == "<Forgetful>"
    assert policy.name is None
    del policy
    gc.collect()


def test_a_base_that_is_called_late_makes_a_policy_of_it():
    class Late(hf.CircuitBreaker):
        def __init__(self, name: str) -> None:
            self.__name = name

        def begin(self) -> None:
            super().__init__(self.__name)

    late = Late("late")
    with pytest.raises(RuntimeError, match="super"):
        late.call(int)
    late.begin()
    assert (late.call(int), late(int)(), late.snapshot().succeeded) == (0, 0, 2)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (hf.CircuitBreaker, {"failure_threshold": 2}),
        (lambda name: hf.RateLimiter(name, rate=1), {"rate": 100}),
        (hf.Bulkhead, {"max_concurrent": 9}),
        (hf.Retry, {"attempts": 9}),
        (partial(hf.Timeout, 30), {"duration": 9}),
        (partial(hf.AdaptiveTimeout, 30), {"duration": 9, "floor": 0.5}),
        (partial(hf.Fallback, 0), {"value": 9}),
    ],
)
def test_a_second_init_is_refused_and_changes_nothing(make, settings):
    policy = make(name="first")
    heard: list[hf.Event] = []
    policy.on_event(heard.append)
    before = policy.describe(), policy.snapshot()
    with pytest.raises(RuntimeError, match="bound once"):
        policy.__init__(name="other", **settings)
    assert (policy.describe(), policy.snapshot()) == before
    assert len(policy._listeners) == 1
