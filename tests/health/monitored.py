"""What tests of monitors share: checks that a test steers, and the threads that are left."""

from __future__ import annotations

import threading
from typing import Any

from holdfast.health import Check, CheckResult
from tests.waiting.parties import LIMIT


class Steered(Check):
    """A check that says what a test wants, and notes when it was asked."""

    __slots__ = ("clock", "does", "says", "times")

    def __init__(self, name: str, clock: Any = None, says: Any = True, **settings: Any) -> None:
        self.clock = clock
        self.says = says
        self.does = lambda: None
        self.times: list[float] = []
        super().__init__(name, **settings)

    def probe(self) -> object:
        if self.clock is not None:
            self.times.append(self.clock.now())
        says = self.says
        self.does()
        if isinstance(says, BaseException):
            raise says
        return says


class Hanging(Check):
    """A check that ignores its timeout, and ends when a test lets it."""

    __slots__ = ("entered", "inside", "most", "now", "out")

    def __init__(self, name: str, **settings: Any) -> None:
        self.out = threading.Event()
        self.inside = threading.Event()
        self.entered = self.now = self.most = 0
        super().__init__(name, **settings)

    def probe(self) -> None:
        self.entered += 1
        self.now += 1
        self.most = max(self.most, self.now)
        self.inside.set()
        assert self.out.wait(LIMIT)
        self.now -= 1


def threads_of(name: str) -> list[threading.Thread]:
    """Return the threads of a monitor."""
    return [one for one in threading.enumerate() if one.name.startswith(f"holdfast-{name}")]


LIMPS = CheckResult.degraded("slow")
