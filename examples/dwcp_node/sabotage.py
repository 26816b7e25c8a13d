"""Breaks a component of a node from within, behind the back of its manager.

What is broken stays broken until the manager finds out, and stops and starts the component.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from examples.dwcp_node.node import Node


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
    await node.compression.stop()
    return "it compresses no more"


async def _prediction(node: Node) -> str:
    await node.prediction.stop()
    return "it takes no more samples"


async def _sync(node: Node) -> str:
    """Change an entry on the disk, as a bad disk does: its checksum is not that of the value."""

    def damage() -> int:
        with closing(sqlite3.connect(node.store.path, timeout=5.0)) as db, db:
            return db.execute(
                "UPDATE entries SET text = '\"damaged\"' WHERE key = (SELECT min(key) FROM entries)"
            ).rowcount

    if not await asyncio.to_thread(damage):
        raise RuntimeError("the store is empty: there is nothing to damage")
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
