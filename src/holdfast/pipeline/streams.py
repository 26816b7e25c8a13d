"""Guarding generators: admitted at the first item, settled when they end, however they do.

What a consumer sends, throws or closes goes through to the guarded generator, and what that
yields, returns or raises comes back. Not here: the guarded callable that hands generators here.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator
    from typing import Any, TypeVar

    from holdfast._native.gate import Gate

    G = TypeVar("G")
    Y = TypeVar("Y")
    S = TypeVar("S")
    R = TypeVar("R")

__all__ = ["guarded_async_generator", "guarded_generator"]


def guarded_generator(gate: Gate, inner: Generator[Y, S, R]) -> Generator[Y, S, R]:
    """Return a generator that passes ``gate`` before the first item of ``inner``.

    The permit is held until ``inner`` ends. One that is closed or dropped half way proves nothing
    about what it called, and one never started was never admitted.
    """
    return _named_after(inner, _drive(gate, inner))


def guarded_async_generator(gate: Gate, inner: AsyncGenerator[Y, S]) -> AsyncGenerator[Y, S]:
    """Return an asynchronous generator that passes ``gate`` before the first item of ``inner``.

    As ``guarded_generator``, but waits for admission without blocking the event loop.
    """
    return _named_after(inner, _adrive(gate, inner))


def _named_after(inner: Any, outer: G) -> G:
    for attribute in ("__name__", "__qualname__"):
        setattr(outer, attribute, getattr(inner, attribute))
    return outer


def _drive(gate: Gate, inner: Generator[Y, S, R]) -> Generator[Y, S, R]:
    with gate._permit():
        return (yield from inner)


async def _adrive(gate: Gate, inner: AsyncGenerator[Y, S]) -> AsyncGenerator[Y, S]:
    # What `yield from` would do, which asynchronous generators lack.
    with await gate._apermit():
        try:
            item = await _first(inner)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - whatever it is, it is for inner
                    item = await inner.athrow(thrown)
                else:
                    item = await inner.asend(sent)
        except StopAsyncIteration:
            return


def _first(inner: AsyncGenerator[Y, S]) -> Awaitable[Y]:
    """Begin ``inner`` unknown to the event loop, which would close it beside its guard."""
    hooks = sys.get_asyncgen_hooks()
    try:
        sys.set_asyncgen_hooks(None, None)
        return anext(inner)
    finally:
        sys.set_asyncgen_hooks(*hooks)
