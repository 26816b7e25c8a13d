"""What happens: everything that supervisor and breakers tell, in one place."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT = 20_000


@dataclass(frozen=True)
class Happening:
    """One thing that happened.

    Attributes:
        at: When, on the monotonic clock.
        by: Who tells it, for readers: "the supervisor", "the breaker of alpha".
        who: What it happened to: an exchange, or "redis".
        kind: In one word: "exited", "recovered", "open", "closed" …
        words: What happened, for readers.
    """

    at: float
    by: str
    who: str
    kind: str
    words: str


class Happenings:
    """Everything that happened, in the order in which it became known. For any threads."""

    def __init__(self) -> None:
        self._all: deque[Happening] = deque(maxlen=_KEPT)
        self._more = Condition()

    def add(self, by: str, who: str, kind: str, words: str) -> None:
        """Keep what happened at this moment, and tell who waits."""
        with self._more:
            self._all.append(Happening(time.monotonic(), by, who, kind, words))
            self._more.notify_all()

    def since(self, at: float) -> list[Happening]:
        """Return what happened at that time or later."""
        with self._more:
            return [happening for happening in self._all if happening.at >= at]

    def first(
        self, match: Callable[[Happening], bool], *, since: float, within: float
    ) -> Happening:
        """Return the first that matches, waiting for it.

        Args:
            match: Whether it is the one.
            since: A time on the monotonic clock; what was before does not count.
            within: How many seconds to wait at most.

        Raises:
            TimeoutError: There was none.
        """
        until = time.monotonic() + within
        with self._more:
            while True:
                for happening in self._all:
                    if happening.at >= since and match(happening):
                        return happening
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._more.wait(left)
