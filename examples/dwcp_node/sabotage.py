"""Breaks a component of a node from within, behind the back of its manager.

What is broken stays broken until the manager finds out, and stops and starts the component.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from examples.dwcp_node.compression import Coder
    from examples.dwcp_node.node import Node
    from examples.dwcp_node.prediction import Link

#: A kind of message that is only there to fill a link.
FILLING = "filling"
_LARGE = 256 * 1024
_SPOILT = "key-to-spoil"


async def sabotage(node: Node, component: str) -> str:
    """Break a component, and return what was done.

    Raises:
        ValueError: There is no such component.
    """
    if component not in _WAYS:
        known = ", ".join(_WAYS)
        raise ValueError(f"component={component!r} is none of this node; there are: {known}")
    return await _WAYS[component](node)


async def _transport(node: Node) -> str:
    await node.transport.inbox.close()
    return "the file of its inbox is closed"


async def _compression(node: Node) -> str:
    """Lose the end of what is compressed; receivers refuse it, and it is sent again."""

    def shorter(coder: Coder, payload: bytes, level: int) -> bytes:
        return coder(payload, level)[:-1]

    coders = node.compression.coders
    for codec, coder in coders.items():
        coders[codec] = partial(shorter, coder)
    return "the last byte of what it compresses is lost"


async def _prediction(node: Node) -> str:
    """Have the estimates no longer follow; messages that are large enough show it."""
    for peer in node.transport.peers():
        await _show(node, peer, lambda link: link.count > 0)
    for link in node.prediction.links.values():
        link.estimator.add = _forget  # type: ignore[method-assign, assignment]
    for peer, link in node.prediction.links.items():
        await _show(node, peer, partial(_is_behind, link))
    return "its estimates stay as they are, whatever is transferred"


async def _show(node: Node, peer: str, is_shown: Callable[[Link], bool]) -> None:
    """Send a peer messages that show the bandwidth, until it was seen."""
    async with asyncio.timeout(5.0):
        while peer not in node.prediction.links or not is_shown(node.prediction.links[peer]):
            await node.transport.send(peer, os.urandom(_LARGE), kind=FILLING)


def _forget(_at: float, _rate: float, _size: int) -> None:
    """Take nothing of a sample."""


def _is_behind(before: Link, now: Link) -> bool:
    return now is not before or now.count > now.estimator.count


async def _sync(node: Node) -> str:
    """Change an entry on the disk, as a bad disk does: its checksum is not that of the value."""

    def damage() -> int:
        with closing(sqlite3.connect(node.store.path, timeout=5.0)) as db, db:
            return db.execute(
                "UPDATE entries SET text = '\"damaged\"' WHERE key = ?", (_SPOILT,)
            ).rowcount

    await node.sync.put(_SPOILT, "whole")
    if not await asyncio.to_thread(damage):
        raise RuntimeError(f"{_SPOILT} has gone: there is nothing to damage")
    return "an entry of its store is changed on the disk"


async def _consensus(node: Node) -> str:
    for task in asyncio.all_tasks():
        if task.get_name() == f"consensus of {node.consensus.node}":
            task.cancel()
    return "its candidacy is cancelled"


_WAYS: dict[str, Callable[[Node], Awaitable[str]]] = {
    "transport": _transport,
    "compression": _compression,
    "prediction": _prediction,
    "sync": _sync,
    "consensus": _consensus,
}
