"""What happens in the cluster: everything that supervisors, managers and links tell, in one place.

A node keeps what happened last in a ``Diary``, and whoever follows it asks over the control port
for what is new. The runner gathers all diaries and the events of its own supervisor in a ``Hub``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from examples.dwcp_node.control import ControlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from examples.dwcp_node.control import Control

CLUSTER = "cluster"
_PACKAGE = "examples.dwcp_node."  # of the errors' names, which readers need not know
_KEPT = 2_000


#: What a kind of happening is in a sentence about a component.
_PHRASES = {
    "exited": "has ended",
    "unhealthy": "is unhealthy",
    "recovering": "is stopped and started again",
    "attempt_failed": "has not recovered",
    "recovered": "has recovered",
    "cooling_down": "is left alone for a while",
    "gave_up": "is given up",
}
_LINK_PHRASES = {"up": "connected again; what was not acknowledged is sent again"}


@dataclass(frozen=True)
class Happening:
    """One thing that happened.

    Attributes:
        at: When, on the monotonic clock, which all processes of a machine share.
        where: The node, or "cluster" for what the runner's own supervisor tells.
        who: What it happened to: a component, a node or a link ("link to b").
        kind: In one word, for example "unhealthy", "recovered", "lost", "up".
        text: The rest, for readers.
        teller: Who tells it, if that is not ``who``: "supervisor" or "manager".
    """

    at: float
    where: str
    who: str
    kind: str
    text: str = ""
    teller: str = ""

    @property
    def by(self) -> str:
        """Who tells it, for readers."""
        teller = f"the {self.teller}" if self.teller else self.who
        return teller if self.where == CLUSTER else f"{teller} of node {self.where}"

    @property
    def words(self) -> str:
        """What happened, for readers."""
        said = _LINK_PHRASES.get(self.kind, self.kind)
        if self.teller:
            said = f"{self.who} {_PHRASES.get(self.kind, self.kind)}"
        if self.kind == "recovering":  # why was told when it was noticed
            return said
        text = self.text.replace(_PACKAGE, "")
        return f"{said}: {text}" if text else said


class Diary:
    """What happened last in this process; safe to write from any thread of it."""

    def __init__(self, where: str) -> None:
        self.where = where
        # A new process begins at 1 again; whoever follows sees that it is another one.
        self.process = f"{os.getpid()}-{time.monotonic_ns()}"
        self._kept: deque[tuple[int, Happening]] = deque(maxlen=_KEPT)
        self._last = 0
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    def note(self, who: str, kind: str, text: str = "", *, teller: str = "") -> None:
        """Keep what happened at this moment."""
        happening = Happening(time.monotonic(), self.where, who, kind, text, teller)
        if self._loop.is_closed():
            return  # a thread tells how it ended, and nobody is left to read it
        self._loop.call_soon_threadsafe(self._keep, happening)

    def _keep(self, happening: Happening) -> None:
        self._last += 1
        self._kept.append((self._last, happening))
        self._news.set()

    async def read(self, after: int = 0, process: str = "", wait: float = 0.0) -> dict[str, Any]:
        """Return what is new; the command "events" of a node.

        Args:
            after: The number of the last happening that the reader has.
            process: Which process that number is from, as an earlier answer has it.
            wait: How many seconds to wait if nothing is new.
        """
        if process != self.process:
            after = 0
        if self._last <= after and wait:
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait)
        new = [asdict(happening) for number, happening in self._kept if number > after]
        return {"process": self.process, "last": self._last, "events": new}


class Hub:
    """Everything that happened anywhere, in the order in which it became known.

    Used by one event loop; ``add_from_thread`` may be called from any thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._all: deque[Happening] = deque(maxlen=10 * _KEPT)
        self._more = asyncio.Event()
        self.on_each: Callable[[Happening], object] | None = None

    def add(self, happening: Happening) -> None:
        """Keep it, and tell who waits."""
        self._all.append(happening)
        self._more.set()
        self._more = asyncio.Event()
        if self.on_each is not None:
            self.on_each(happening)

    def add_from_thread(self, who: str, kind: str, text: str = "") -> None:
        """Keep what the supervisor of this process tells."""
        happening = Happening(time.monotonic(), CLUSTER, who, kind, text, "supervisor")
        self._loop.call_soon_threadsafe(self.add, happening)

    def since(self, at: float) -> Iterator[Happening]:
        """Return what happened at that time or later."""
        return (happening for happening in self._all if happening.at >= at)

    async def first(
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
        async with asyncio.timeout(within):
            while True:
                more = self._more
                found = [happening for happening in self.since(since) if match(happening)]
                if found:
                    return min(found, key=lambda happening: happening.at)
                await more.wait()

    async def follow(self, control: Control) -> None:
        """Gather what one node tells, through its deaths and returns, until cancelled."""
        after, process = 0, ""
        while True:
            try:
                answer = await control.ask(
                    "events", after=after, process=process, wait=2.0, within=30.0
                )
            except (ControlError, OSError):
                await asyncio.sleep(0.05)
                continue
            after, process = answer["last"], answer["process"]
            for event in answer["events"]:
                self.add(Happening(**event))
