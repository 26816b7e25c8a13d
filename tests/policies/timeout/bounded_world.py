"""Where a bound on the time of a call is looked at: a world, the scenes played in it, odd company.

A scene is called with a world and gives what came of it; ``world.bounded(seconds, body)`` is
``async with asyncio.timeout(seconds): return await body()``, or what holdfast has for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import holdfast as hf
from tests.waiting.virtual import VirtualLoop

Body = Callable[[], Coroutine[Any, Any, Any]]
Scene = Callable[["World"], Coroutine[Any, Any, Any]]


class World:
    """Where a scene takes place.

    Attributes:
        policies: Timeouts, by how long they are: they are used again and again, and inside of
            themselves.
        log: What happened, in order, with the time of it.
        task: The one that plays the scene; whoever it is that cancels, cancels this.
    """

    def __init__(
        self, loop: VirtualLoop, bounded: Callable[[World, float, Body], Awaitable[Any]]
    ) -> None:
        self.loop = loop
        self.policies: dict[float, hf.Timeout] = {}
        self.log: list[tuple[float, object]] = []
        self._bounded = bounded
        self.task: asyncio.Task[Any]

    def bounded(self, seconds: float, body: Body) -> Awaitable[Any]:
        return self._bounded(self, seconds, body)

    def policy(self, seconds: float) -> hf.Timeout:
        if seconds not in self.policies:
            self.policies[seconds] = hf.Timeout(seconds, clock=self.loop.clock)
        return self.policies[seconds]

    def note(self, what: object) -> None:
        self.log.append((round(self.loop.time(), 6), what))

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        self.loop.call_at(seconds, act)

    def cancel_at(self, seconds: float) -> None:
        self.loop.call_at(seconds, lambda: self.task.cancel())

    async def sleep(self, seconds: float) -> str:
        """Take that long; say so, and also when it is cut short."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.note("cut")
            raise
        self.note("slept")
        return "slept"


SCENES: dict[str, Scene] = {}


def scene(made: Scene) -> Scene:
    SCENES[made.__name__.replace("_", " ")] = made
    return made


class Odd:
    """An awaitable that a task takes and that cannot be cancelled, but ends in time."""

    _asyncio_future_blocking = False

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds

    def __await__(self) -> Generator[Any, None, str]:
        self._asyncio_future_blocking = True
        yield self
        return "ended"

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, callback: Callable[..., object], *, context: Any = None) -> None:
        self._loop.call_later(self._seconds, callback, self)

    def result(self) -> None:
        pass
