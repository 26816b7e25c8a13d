"""The journal: the messages that the application of a node has got, kept for whoever counts them.

An entry is written in the transaction in which its message is confirmed (see ``inbox``), so each
message is there once, or there is a defect. The journal itself would take it twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from examples.dwcp_node.inbox import Inbox

_TABLE = "CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"


def entry(text: str) -> Callable[[sqlite3.Connection], object]:
    """Return what writes an entry, as the effect of a confirmation."""

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO journal (text) VALUES (?)", (text,))

    return write


async def prepare(inbox: Inbox) -> None:
    """Make the journal, if it is not there yet."""
    await inbox.run(lambda connection: connection.execute(_TABLE).rowcount)


async def read(inbox: Inbox, prefix: str) -> list[str]:
    """Return the entries that begin so."""

    def find(connection: sqlite3.Connection) -> list[str]:
        rows = connection.execute(
            "SELECT text FROM journal WHERE substr(text, 1, ?) = ?", (len(prefix), prefix)
        )
        return [text for (text,) in rows]

    found: list[str] = await inbox.run(find)
    return found


async def forget(inbox: Inbox, prefix: str) -> int:
    """Delete the entries that begin so, and return how many there were."""

    def delete(connection: sqlite3.Connection) -> int:
        return connection.execute(
            "DELETE FROM journal WHERE substr(text, 1, ?) = ?", (len(prefix), prefix)
        ).rowcount

    count: int = await inbox.run(delete)
    return count
