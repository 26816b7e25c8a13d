"""One process that stands for election and makes effects while it believes that it leads.

``handovers`` starts several, does harm to the one that leads, and looks at the effects of all. A
contender is a node without all else: ``python -m examples.dwcp_node.contender``. It ends when its
connection to ``handovers`` does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import time
from typing import TYPE_CHECKING

from examples.dwcp_node.consensus import PATIENCE, Consensus, NotTheWriter
from examples.dwcp_node.proxy import HOST

if TYPE_CHECKING:
    from examples.dwcp_node.consensus import Change

_PAUSE = 0.1  # seconds between two effects
_LATE = 0.1


class Contender:
    """Makes effects, and holds one back between the check and the effect when told so."""

    def __init__(
        self, consensus: Consensus, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._consensus = consensus
        self._reader, self._writer = reader, writer
        self._hold: str | None = None
        self._let_go = asyncio.Event()
        self._holding: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Take part until the connection ends."""
        self._consensus.on_change(self._changed)
        await self._consensus.start()
        making = asyncio.create_task(self._make())
        try:
            while line := await self._reader.readline():
                told = json.loads(line)["do"]
                if told == "let go":
                    self._let_go.set()
                elif self._consensus.revision is None:
                    self._say(say="missed")
                else:
                    self._hold = told
        finally:
            making.cancel()
            if self._holding is not None:
                self._holding.cancel()
            await self._consensus.stop()

    async def _make(self) -> None:
        number = unanswered = 0
        while True:
            began = time.monotonic()
            await asyncio.sleep(_PAUSE)
            number += 1
            made = time.monotonic()
            # What comes late here, or from etcd, says nothing about elections.
            silence = (self._consensus.silence or 0.0) - self._consensus.lease / 2
            late = max(made - began - _PAUSE, silence)
            if self._consensus.unanswered > unanswered:  # etcd reads in time, and writes late
                unanswered = self._consensus.unanswered
                late = max(late, self._consensus.lease * PATIENCE)
            if late > _LATE:
                self._say(say="late", at=made, seconds=late)
            try:
                effect = self._consensus.effect("who", [self._consensus.node, number])  # the check
            except NotTheWriter:
                continue
            hold, self._hold = self._hold, None
            if hold is not None:
                self._say(say="holds", at=made)
                await self._writer.drain()
            if hold == "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            if hold in (None, "stop"):
                self._send(effect, made, held=hold is not None)  # the effect
            else:
                self._holding = asyncio.create_task(self._send_later(effect, made))

    async def _send_later(self, effect: dict[str, object], made: float) -> None:
        await self._let_go.wait()
        self._let_go.clear()
        self._send(effect, made, held=True)

    def _send(self, effect: dict[str, object], made: float, *, held: bool) -> None:
        self._say(say="effect", effect=effect, at=made, held=held)

    def _changed(self, change: Change) -> None:
        if change.kind == "deposed" and self._hold is not None:
            self._hold = None
            self._say(say="missed")
        self._say(say=change.kind, at=time.monotonic(), revision=change.revision)

    def _say(self, **what: object) -> None:
        self._writer.write(json.dumps({"name": self._consensus.node, **what}).encode() + b"\n")


async def main() -> None:
    """Read the command line and take part."""
    parser = argparse.ArgumentParser(prog="python -m examples.dwcp_node.contender")
    parser.add_argument("name")
    parser.add_argument("--port", type=int, required=True, help="where handovers listens")
    parser.add_argument("--etcd", action="append", required=True, help="a member's client URL")
    parser.add_argument("--lease", type=float, required=True, help="seconds")
    parser.add_argument("--election", required=True, help="a name")
    given = parser.parse_args()
    reader, writer = await asyncio.open_connection(HOST, given.port)
    consensus = Consensus(
        given.name, endpoints=given.etcd, election=given.election, lease=given.lease
    )
    writer.write(json.dumps({"name": given.name, "say": "here"}).encode() + b"\n")
    logging.basicConfig(format="%(asctime)s %(message)s")
    try:
        await Contender(consensus, reader, writer).run()
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
