"""One scenario while it is played: it waits for what has to follow, and tells the report.

Elsewhere: the scenarios themselves (``scenarios``).
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from examples.dwcp_node.control import ControlError
from examples.dwcp_node.report import Counts
from examples.story import Teller, WrongError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from examples.dwcp_node.cluster import Cluster
    from examples.dwcp_node.happenings import Happening
    from examples.dwcp_node.report import Report, Story

    Match = Callable[[Happening], bool]

NOTICED_WITHIN = 30.0  # also on a machine that is busy with other things
RECOVERED_WITHIN = 40.0


class Scene(Teller[Counts]):
    """What a scenario has at hand.

    Attributes:
        cluster: What is harmed.
        random: Chooses who is harmed.
        name: Of the scenario and its turn; part of each message.
    """

    def __init__(
        self, cluster: Cluster, report: Report, story: Story, random: Random, name: str
    ) -> None:
        super().__init__(report, story)
        self.cluster = cluster
        self.random = random
        self.name = name
        self._probes = 0

    # ---- choosing ----

    def any_node(self) -> str:
        """Return one of the nodes."""
        return self.random.choice(self.cluster.names)

    def any_link(self) -> tuple[str, str]:
        """Return a link: from whom and to whom."""
        return self.random.choice(sorted(self.cluster.links))

    def another(self, node: str) -> str:
        """Return one of the other nodes."""
        return self.random.choice([name for name in self.cluster.names if name != node])

    # ---- telling ----

    async def noticed(self, match: Match, within: float = NOTICED_WITHIN) -> Happening:
        """Wait until somebody has noticed, and tell who."""
        happening = await self._wait("nobody has noticed", match, within)
        self.saw(happening.by, happening.words, happening.at)
        return happening

    async def done(self, match: Match, within: float = RECOVERED_WITHIN) -> Happening:
        """Wait until something was done about it, and tell what."""
        happening = await self._wait("nothing was done", match, within)
        self.did(happening.by, happening.words, happening.at)
        return happening

    async def recovered(self, match: Match, within: float = RECOVERED_WITHIN) -> Happening:
        """Wait until somebody says that it works again, and tell who."""
        happening = await self._wait("it has not recovered", match, within)
        self.verified(f"by {happening.by}: {happening.words}", happening.at)
        return happening

    # ---- making sure ----

    async def probe(self, sender: str, receiver: str, within: float = RECOVERED_WITHIN) -> None:
        """Send a message until it is accepted, and tell when."""
        self._probes += 1
        payload = f"probe/{self.name}/{sender}>{receiver}/{self._probes}"
        await self.eventually(
            lambda: self.cluster.ask(sender, "send", peer=receiver, payload=payload),
            f"no message from {sender} to {receiver} is accepted",
            within,
        )
        self.verified(f"a message from {sender} to {receiver} is accepted")

    async def send(self, sender: str, receiver: str, size: int, within: float) -> str | None:
        """Send a message that fills so many bytes; return None if accepted, or what was said."""
        self._probes += 1
        # Hexadecimal digits at random: they compress to half of their size, and no further.
        filling = self.random.randbytes(size).hex()
        payload = f"probe/{self.name}/{sender}>{receiver}/{self._probes} {filling}"
        try:
            await self.cluster.ask(
                sender, "send", peer=receiver, payload=payload, limit=within, within=within + 5.0
            )
        except ControlError as error:
            return error.kind
        except OSError as error:
            return type(error).__name__
        return None

    async def digests(self) -> list[str]:
        """Return the digest of each node's store."""
        names = self.cluster.names
        return [str(await self.cluster.ask(name, "digest")) for name in names]

    async def are_equal(self) -> bool:
        """Return whether all stores have the same digest."""
        return len(set(await self.digests())) == 1

    async def check_effects(self) -> None:
        """Make sure that in no store a lower revision came after a higher one.

        And that no revision had two writers, in whichever stores.
        """
        writers: dict[int, str] = {}
        for name in self.cluster.names:
            effects: Any = await self.eventually(  # it may be on its way back
                partial(self.cluster.ask, name, "effects"),
                f"node {name} does not say which effects it has accepted",
                RECOVERED_WITHIN,
            )
            revisions = [revision for revision, _ in effects]
            self.require(
                revisions == sorted(revisions),
                f"node {name} has accepted a revision lower than one before",
            )
            for revision, writer in effects:
                first = writers.setdefault(revision, writer)
                self.require(
                    first == writer, f"revision {revision} has two writers: {first} and {writer}"
                )

    async def eventually(
        self, ask: Callable[[], Awaitable[object]], otherwise: str, within: float
    ) -> object:
        """Ask until the answer is neither an error nor False, and return it."""
        last: object = None
        try:
            async with asyncio.timeout(within):
                while True:
                    try:
                        last = await ask()
                    except (ControlError, OSError) as error:
                        last = error
                    else:
                        if last is not False:
                            return last
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise WrongError(f"{otherwise} within {within:g} s: {last!r}") from None

    async def _wait(self, otherwise: str, match: Match, within: float) -> Happening:
        since = self.broken_at
        left = since + within - time.monotonic()
        try:
            return await self.cluster.hub.first(match, since=since, within=max(0.0, left))
        except TimeoutError:
            raise WrongError(f"{otherwise} within {within:g} s") from None
