"""Calls that fallbacks stand in for, and what they count and stand in with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import holdfast as hf

Call = Callable[[hf.Policy, Callable[..., Any]], Any]


def in_thread(policy: hf.Policy, fn: Callable[..., Any]) -> Any:
    return policy.call(fn)


def in_task(policy: hf.Policy, fn: Callable[..., Any]) -> Any:
    async def afn() -> Any:
        await asyncio.sleep(0)
        return fn()

    return asyncio.run(policy.acall(afn))


def fail(error: BaseException | type[BaseException] = ConnectionError) -> Any:
    raise error


def counts(fallback: hf.Fallback) -> tuple[int, int, int, int]:
    shown = fallback.snapshot()
    return shown.passed, shown.used, shown.failed, shown.observed


class Store:
    """Callables of several kinds."""

    def __call__(self, error: Exception) -> str:
        return "object"

    def method(self, error: Exception) -> str:
        return "method"

    @classmethod
    def of_class(cls, error: Exception) -> str:
        return "class"

    def none(self) -> str:
        return "never"


async def later(error: Exception) -> str:
    await asyncio.sleep(0)
    return f"later {type(error).__name__}"
