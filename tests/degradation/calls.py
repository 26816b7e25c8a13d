"""Calls of a gathering that a test holds up, fails, and watches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.waiting.parties import LIMIT


class Watched:
    """Counts which of its calls run, how often, and how many at the same time."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.active = self.most = 0
        self.alone: dict[Any, bool] = {}  # of each run that began last: whether no other ran
        self._lock = threading.Lock()

    def call(self, key: Any, *ends: Any, go: threading.Event | None = None) -> Callable[[], Any]:
        """Return a call whose runs end so, one after the other: a value, or an error to raise."""
        left = list(ends)

        def run() -> Any:
            self.begin(key)
            try:
                if go is not None:
                    assert go.wait(LIMIT)
                end = left.pop(0) if len(left) > 1 else left[0]
                if isinstance(end, BaseException):
                    raise end
                return end
            finally:
                self.end(key)

        return run

    def acall(self, key: Any, *ends: Any, wait: Any = None) -> Callable[[], Any]:
        """Return the same as a coroutine function; ``wait`` is called and awaited first."""
        left = list(ends)

        async def run() -> Any:
            self.begin(key)
            try:
                end = left.pop(0) if len(left) > 1 else left[0]
                if wait is not None:
                    await wait()
                if isinstance(end, BaseException):
                    raise end
                return end
            finally:
                self.end(key)

        return run

    def begin(self, key: Any) -> None:
        """Count the begin of a run."""
        with self._lock:
            self.begun.append(key)
            self.alone[key] = self.active == 0
            self.active += 1
            self.most = max(self.most, self.active)

    def end(self, key: Any) -> None:
        """Count its end."""
        with self._lock:
            self.ended.append(key)
            self.active -= 1
