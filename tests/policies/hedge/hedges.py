"""Attempts that a test scripts, each with the time it takes and its end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import holdfast as hf
from tests.waiting.parties import LIMIT


class DownError(Exception):
    """What an attempt raises."""


class Response:
    """A result that is to be closed if it is not the answer."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Attempts:
    """A function of which each call takes as long, and ends, as the script says.

    Args:
        script: Seconds and the end of each call in turn, an exception or None for a response.

    Attributes:
        begun, ended: The numbers of the calls.
        cancelled: The numbers of those that were cancelled.
        responses: What calls returned.
        seen: What ``look`` returned at the beginning of each.
    """

    def __init__(self, *script: tuple[float, BaseException | None], look: Any = None) -> None:
        self.script = script
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.responses: dict[int, Response] = {}
        self.seen: list[Any] = []
        self._look = look

    async def __call__(self, *args: Any, **kwargs: Any) -> Response:
        number = len(self.begun) + 1
        self.begun.append(number)
        if self._look is not None:
            self.seen.append(self._look())
        seconds, error = self.script[min(number, len(self.script)) - 1]
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        self.ended.append(number)
        if error is not None:
            raise error
        response = self.responses[number] = Response(number)
        return response

    @property
    def open(self) -> list[int]:
        """The numbers of the responses that are not closed."""
        return [number for number, response in self.responses.items() if not response.closed]


class Threads:
    """A function whose calls end when the test says so."""

    def __init__(self, look: Any = None) -> None:
        self.begun: list[int] = []
        self.seen: list[Any] = []
        self.responses: dict[int, Response] = {}
        self._ends: dict[int, tuple[threading.Event, list[Any]]] = {}
        self._lock = threading.Lock()
        self._look = look

    def _end_of(self, number: int) -> tuple[threading.Event, list[Any]]:
        return self._ends.setdefault(number, (threading.Event(), []))

    def let(self, number: int, error: BaseException | None = None) -> None:
        """Let a call return, or raise."""
        event, end = self._end_of(number)
        end.append(error)
        event.set()

    def __call__(self, *args: Any) -> Response:
        seen = None if self._look is None else self._look()
        with self._lock:
            number = len(self.begun) + 1
            event, end = self._end_of(number)
            self.seen.append(seen)
            self.begun.append(number)  # last: the test waits for it
        assert event.wait(LIMIT)
        if end[0] is not None:
            raise end[0]
        response = self.responses[number] = Response(number)
        return response


def counted(hedge: hf.Hedge, *fields: str) -> tuple[int, ...]:
    """Return some counts of a hedge."""
    shown = hedge.snapshot()
    return tuple(getattr(shown, field) for field in fields)


async def settle() -> None:
    """Let attempts that were cancelled come to their end."""
    for _ in range(5):
        await asyncio.sleep(0)
