"""The SQLite file of a store: made, opened, set aside when it is damaged, and read with checksums.

SQLite notices a damaged structure, but no changed value: each row carries a checksum, and every
reader here compares it. Elsewhere: what is written, and when (``store``).
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from examples.dwcp_node.entries import Entry, Version, leaf_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "FIELDS",
    "StoreError",
    "connect",
    "entry_of",
    "highest_entry",
    "is_damage",
    "last_counter",
    "number_of",
    "read_group",
    "set_aside",
]

_APPLICATION = 0x64776370  # "dwcp", in the header of the file
_FORMAT = 1
_SCHEMA = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY, leaf INTEGER NOT NULL, text TEXT,
    revision INTEGER NOT NULL, counter INTEGER NOT NULL, writer TEXT NOT NULL, seal BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX by_leaf ON entries (leaf, key);
CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), counter INTEGER NOT NULL);
INSERT INTO clock VALUES (1, 0);
"""
_TABLES = {"entries", "by_leaf", "clock"}
_SETTINGS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "mmap_size=0",
)
FIELDS = "key, text, revision, counter, writer, seal"


class StoreError(RuntimeError):
    """The store cannot be used: it is closed, damaged, or of someone else."""


def connect(path: Path) -> tuple[sqlite3.Connection, bool, int]:
    """Open the database, and make it if it is missing.

    Returns:
        The connection, whether the database is new, and the number of the file on its disk.

    Raises:
        StoreError: The file is no database of a node, or of someone else, or of a later format.
        sqlite3.Error: The file is damaged, or cannot be read.
    """
    # Made by hand: SQLite would let everybody read it.
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with suppress(FileExistsError):
        os.close(os.open(path, flags, 0o600))
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise StoreError(f"{path} is no file of this user")
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        return db, _prepare(db, path), found.st_ino
    except BaseException:
        with suppress(sqlite3.Error):
            db.close()
        raise


def _prepare(db: sqlite3.Connection, path: Path) -> bool:
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    if names and application != _APPLICATION:
        raise StoreError(f"{path} is a database, but not of a node")
    if version > _FORMAT:
        raise StoreError(f"{path} has format {version}, and this program knows {_FORMAT}")
    for setting in _SETTINGS:
        db.execute(f"PRAGMA {setting}").fetchall()
    if not names:
        db.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id={_APPLICATION};"
            f" PRAGMA user_version={_FORMAT}; COMMIT;"
        )
        return True
    if not names >= _TABLES:
        raise sqlite3.DatabaseError("tables are missing")
    if [row[0] for row in db.execute("PRAGMA quick_check(1)")] != ["ok"]:
        raise sqlite3.DatabaseError("the structure of the file is damaged")
    return False


def set_aside(path: Path) -> None:
    """Give a damaged database another name, for people to look at."""
    stamp = time.time_ns()
    for end in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            aside = path.with_name(f"{path.name}.damaged-{stamp}{end}")
            path.with_name(path.name + end).rename(aside)


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file is damaged, not that it cannot be reached."""
    name = getattr(error, "sqlite_errorname", "SQLITE_CORRUPT")  # our own have no number
    return str(name).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def entry_of(row: tuple[Any, ...]) -> Entry:
    """Return the entry in a row of ``FIELDS``.

    Raises:
        sqlite3.DatabaseError: The row is damaged.
    """
    entry = Entry(row[0], row[1], Version(row[2], row[3], row[4]))
    try:
        is_whole = entry.seal == row[5]
    except (TypeError, ValueError, AttributeError):
        is_whole = False
    if not is_whole:
        raise sqlite3.DatabaseError(f"the entry {row[0]!r} is damaged")
    return entry


def read_group(db: sqlite3.Connection, group: int) -> tuple[dict[int, int], list[str], int]:
    """Read the entries of one of 256 groups.

    Returns:
        The digests of its leaves, the keys of damaged entries, and how many entries it has.
    """
    leaves: dict[int, int] = {}
    damaged: list[str] = []
    count = 0
    between = (group << 8, (group << 8) + 255)
    rows = db.execute(f"SELECT {FIELDS}, leaf FROM entries WHERE leaf BETWEEN ? AND ?", between)
    for row in rows:
        count += 1
        try:
            entry_of(row)
            if leaf_of(row[0]) != row[6]:
                raise sqlite3.DatabaseError(f"the entry {row[0]!r} is in the wrong place")
        except sqlite3.DatabaseError:
            damaged.append(row[0])
        else:
            leaves[row[6]] = leaves.get(row[6], 0) ^ number_of(row[5])
    return leaves, damaged, count


def last_counter(db: sqlite3.Connection) -> int:
    """Return the highest counter in the file.

    Raises:
        sqlite3.DatabaseError: Rows are missing.
    """
    [(clocks, clock)] = db.execute("SELECT count(*), max(counter) FROM clock")
    [(highest,)] = db.execute("SELECT max(counter) FROM entries")
    by_leaf = db.execute("SELECT count(*) FROM entries WHERE leaf BETWEEN 0 AND 65535")
    everywhere = db.execute("SELECT count(*) FROM entries")
    if clocks != 1 or by_leaf.fetchone() != everywhere.fetchone():
        raise sqlite3.DatabaseError("rows are missing")
    return max(int(clock), int(highest or 0))


def highest_entry(db: sqlite3.Connection) -> Version | None:
    """Return the version of the last effect; None if there is none."""
    row = db.execute(
        "SELECT revision, counter, writer FROM entries WHERE revision >= 0"
        " ORDER BY revision DESC, counter DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Version(*row)


def number_of(seal: bytes) -> int:
    """Return a checksum as a number: those of several entries are combined by exclusive or."""
    return int.from_bytes(seal, "big")
