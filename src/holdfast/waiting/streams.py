"""Guarding generators: admitted at the first item, settled when they end, however they do.

What a consumer sends, throws or closes goes through to the guarded generator, and what that
yields, returns or raises comes back. Retries, timeouts and fallbacks control a stream until its
first item is there. Elsewhere: the guarded callable that hands generators here.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
    from typing import Any, Self, TypeVar

    from holdfast._native.gate import Gate, Permit

    G = TypeVar("G")
    Y = TypeVar("Y")
    S = TypeVar("S")
    R = TypeVar("R")

__all__ = ["guarded_async_generator", "guarded_generator", "items_of"]


def guarded_generator(
    gate: Gate,
    inner: Generator[Y, S, R],
    *again: Any,
    items: Callable[[Any], Any] = iter,
    around: bool = False,
) -> Generator[Y, S, R]:
    """Return a generator that passes ``gate`` before the first item of ``inner``.

    The permit is held until ``inner`` ends. One that is closed or dropped half way proves nothing
    about what it called, and one never started was never admitted.

    Args:
        gate: The policy or pipeline.
        inner: What it guards.
        *again: For a gate that controls calls: the function that made ``inner``, and its
            positional and keyword arguments, to begin afresh.
        items: What makes a stream of what a fallback gives instead.
        around: Whether it stands around what its consumer does, as that of a context manager.
    """
    if not again:
        return _named_after(inner, _drive(gate, inner, around))
    return _named_after(inner, _drive_controlled(gate, _streams(inner, *again), items, around))


def guarded_async_generator(
    gate: Gate,
    inner: AsyncGenerator[Y, S],
    *again: Any,
    items: Callable[[Any], AsyncGenerator[Any, None]] | None = None,
    around: bool = False,
) -> AsyncGenerator[Y, S]:
    """Return an asynchronous generator that passes ``gate`` before the first item of ``inner``.

    As ``guarded_generator``, but waits for admission without blocking the event loop.
    """
    if not again:
        return _named_after(inner, _adrive(gate, inner, around))
    streams = _streams(inner, *again)
    return _named_after(inner, _adrive_controlled(gate, streams, items or items_of, around))


def _named_after(inner: Any, outer: G) -> G:
    for attribute in ("__name__", "__qualname__"):
        setattr(outer, attribute, getattr(inner, attribute, getattr(outer, attribute)))
    return outer


def _streams(
    first: G, fn: Callable[..., G], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[G]:
    """Yield the stream that exists already, and then others."""
    return chain((first,), iter(partial(fn, *args, **kwargs), None))


class _Begun:
    """A stream whose first item is there; without a stream: it had none, and returned the item."""

    __slots__ = ("_item", "stream")

    def __init__(self, stream: Any, item: Any) -> None:
        self.stream = stream
        self._item = item

    def take(self) -> Any:
        """Return the item, and keep it no longer."""
        item, self._item = self._item, None
        return item


# ---- generators ----


def _drive(gate: Gate, inner: Generator[Y, S, R], around: bool) -> Generator[Y, S, R]:
    with gate._permit() as permit:
        return (yield from _inside(permit, inner, around))


def _drive_controlled(
    gate: Gate, streams: Iterator[Generator[Y, S, R]], items: Callable[[Any], Any], around: bool
) -> Generator[Y, S, R]:
    permit, begun = gate._open(partial(_open_stream, streams))
    del streams  # and the arguments: it will not begin again
    with permit:
        if not isinstance(begun, _Begun):
            stand_in: Generator[Y, S, R] = items(begun)
            permit._step(around)
            return (yield from stand_in)
        if begun.stream is None:
            result: R = begun.take()
            return result
        stream: Generator[Y, S, R] = _inside(permit, begun.stream, around)
        return (yield from _go_on(stream, begun.take()))


def _open_stream(streams: Iterator[Generator[Any, Any, Any]]) -> _Begun:
    stream = next(streams)
    try:
        return _Begun(stream, next(stream))
    except StopIteration as stop:
        return _Begun(None, stop.value)


def _go_on(inner: Generator[Y, S, R], item: Y) -> Generator[Y, S, R]:
    """Go on with a generator from the item that it has yielded last."""
    while True:
        step: Callable[[], Y]
        try:
            sent = yield item
        except GeneratorExit:
            inner.close()
            raise
        except BaseException as thrown:  # noqa: BLE001 - whatever it is, it is for inner
            step = partial(inner.throw, thrown)
        else:
            if sent is None:
                del item
                return (yield from inner)
            step = partial(inner.send, sent)
        try:
            item = step()
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def _inside(permit: Permit, inner: Generator[Y, S, R], around: bool) -> Generator[Y, S, R]:
    """Return the stream, or of a probe one whose steps are inside of it, and not the consumer's."""
    if around or not permit._is_probe:
        return inner
    permit._step(False)
    probing: Any = _Inside(permit, inner)
    return probing  # type: ignore[no-any-return]


class _Inside:
    """A generator each step of which runs inside of a permit's probe."""

    def __init__(self, permit: Permit, inner: Generator[Any, Any, Any]) -> None:
        self._permit = permit
        self._inner = inner

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self._take(self._inner.__next__)

    def send(self, value: Any) -> Any:
        return self._take(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return self._take(self._inner.throw, *error)

    def close(self) -> None:
        self._take(self._inner.close)

    def _take(self, step: Callable[..., Any], *args: Any) -> Any:
        self._permit._step(True)
        try:
            return step(*args)
        finally:
            self._permit._step(False)


# ---- asynchronous generators ----


def _ainside(permit: Permit, inner: AsyncGenerator[Y, S], around: bool) -> AsyncGenerator[Y, S]:
    """As ``_inside``."""
    if around or not permit._is_probe:
        return inner
    permit._step(False)
    probing: Any = _AsyncInside(permit, inner)
    return probing  # type: ignore[no-any-return]


class _AsyncInside:
    """An asynchronous generator each step of which runs inside of a permit's probe."""

    def __init__(self, permit: Permit, inner: AsyncGenerator[Any, Any]) -> None:
        self._permit = permit
        self._inner = inner

    def __anext__(self) -> Awaitable[Any]:
        return self._take(self._inner.__anext__())  # begun now: see _first()

    def asend(self, value: Any) -> Awaitable[Any]:
        return self._take(self._inner.asend(value))

    def athrow(self, error: BaseException) -> Awaitable[Any]:
        return self._take(self._inner.athrow(error))

    def aclose(self) -> Awaitable[None]:
        return self._take(self._inner.aclose())

    async def _take(self, step: Awaitable[Any]) -> Any:
        self._permit._step(True)
        try:
            return await step
        finally:
            self._permit._step(False)


async def _adrive(gate: Gate, inner: AsyncGenerator[Y, S], around: bool) -> AsyncGenerator[Y, S]:
    with await gate._apermit() as permit:
        inner = _ainside(permit, inner, around)
        try:
            item = await _first(inner)
            while True:  # what `yield from` would do, which asynchronous generators lack
                try:
                    sent = yield item
                except BaseException as thrown:  # noqa: BLE001 - whatever it is, it is for inner
                    item = await _thrown(inner, thrown)
                else:
                    item = await inner.asend(sent)
        except StopAsyncIteration:
            return


async def _adrive_controlled(
    gate: Gate,
    streams: Iterator[AsyncGenerator[Y, S]],
    items: Callable[[Any], AsyncGenerator[Any, None]],
    around: bool,
) -> AsyncGenerator[Y, S]:
    permit, begun = await gate._aopen(partial(_open_async_stream, streams))
    del streams  # and the arguments: it will not begin again
    with permit:
        if not isinstance(begun, _Begun):
            permit._step(around)
            stand_in = items(begun)
            try:
                async for item in stand_in:
                    yield item
            finally:
                await stand_in.aclose()  # at once, and not when the loop finds it dropped
            return
        if begun.stream is None:
            return
        inner, item = _ainside(permit, begun.stream, around), begun.take()
        try:
            while True:
                try:
                    sent = yield item
                except BaseException as thrown:  # noqa: BLE001 - whatever it is, it is for inner
                    item = await _thrown(inner, thrown)
                else:
                    item = await inner.asend(sent)
        except StopAsyncIteration:
            return


async def _open_async_stream(streams: Iterator[AsyncGenerator[Any, Any]]) -> _Begun:
    stream = next(streams)
    try:
        return _Begun(stream, await _first(stream))
    except StopAsyncIteration:
        return _Begun(None, None)


async def _thrown(inner: AsyncGenerator[Y, S], thrown: BaseException) -> Y:
    """Give a generator what was thrown at its guard; return what it yields then."""
    if isinstance(thrown, GeneratorExit):
        await inner.aclose()
        raise thrown
    return await inner.athrow(thrown)


async def items_of(given: Any) -> AsyncGenerator[Any, None]:
    """Yield the items of an iterable of either kind, as of what stands in for a stream."""
    if hasattr(given, "__aiter__"):
        items = aiter(given)
        try:
            async for item in items:
                yield item
        finally:
            if hasattr(items, "aclose"):
                await items.aclose()
    else:
        for item in given:
            yield item


def _first(inner: AsyncGenerator[Y, S]) -> Awaitable[Y]:
    """Begin ``inner`` unknown to the event loop, which would close it beside its guard."""
    hooks = sys.get_asyncgen_hooks()
    try:
        sys.set_asyncgen_hooks(None, None)
        return anext(inner)
    finally:
        sys.set_asyncgen_hooks(*hooks)
