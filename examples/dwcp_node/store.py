"""Store: versioned keys and values of one node in a SQLite file, with digests and a fence.

Owns what is kept and what is refused: an effect counts only if its revision is not lower than the
highest revision that the store has seen. Elsewhere: how nodes compare their stores (``sync``).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from examples.dwcp_node.database import (
    FIELDS,
    StoreError,
    connect,
    entry_of,
    highest_entry,
    is_damage,
    last_counter,
    number_of,
    read_group,
    set_aside,
)
from examples.dwcp_node.entries import (
    NO_REVISION,
    Entry,
    Version,
    leaf_of,
    newer,
    read_key,
    read_name,
    read_number,
    read_value,
)
from examples.dwcp_node.fence import Fence, read_fence, write_fence

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

__all__ = ["Fenced", "Refused", "Store", "StoreError", "read_effect"]

_FAR_AHEAD = 2**32  # a counter further ahead than this is no counter of ours


class Refused(ValueError):  # noqa: N818 - as Rejected in holdfast
    """A write that the store does not accept; nothing has changed."""


class Fenced(Refused):
    """An effect of a deposed leader, or of a second one.

    Attributes:
        revision: The revision of the effect.
        highest: The highest revision that the store has seen.
    """

    def __init__(self, message: str, revision: int, highest: int) -> None:
        super().__init__(message)
        self.revision = revision
        self.highest = highest


class Store:
    """The shared state as one node knows it.

    Any node may ``put`` and ``delete``. Effects (``apply``) carry the revision of an election, and
    the store refuses a revision that is lower than the highest it has seen in an effect, in an
    entry of a peer, or by ``fence``. A key that has been written by an effect is the leader's.

    A write is on the disk when its method returns. What is damaged on the disk is found by
    ``verify``; ``close`` and ``open`` drop it, so that peers can fill it in again.

    Args:
        path: The database. Its folder is made with mode 0700 if it is missing; one process at a
            time may open it.
        name: The name of this node, the writer of its entries.

    Raises:
        ValueError: ``name`` is no name.

    Safe to share between threads. Its methods wait for the disk, so an event loop calls them in
    threads.
    """

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        self.path = Path(path)
        self.name = read_name("name", name)
        #: Called with each entry that this node has written, outside of the lock.
        self.on_write: Callable[[Entry], object] | None = None
        self._lock = RLock()
        self._db: sqlite3.Connection | None = None
        self._held = -1
        self._inode = 0
        self._counter = 0
        self._fence = Fence()
        self._groups: list[dict[int, int]] = []
        self._changed: list[tuple[int, int]] = []
        self._damage = ""
        self._next_group = 0

    # ---- its life ----

    def open(self) -> list[str]:
        """Open the files, and drop what is damaged; an open store stays as it is.

        Returns:
            What was damaged, in words; empty if nothing was.

        Raises:
            StoreError: Another process has the store open, or it belongs to someone else, or it
                was written by a later version.
            OSError: The files cannot be read or written.
        """
        with self._lock:
            if self._db is not None:
                return []
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._hold()
            try:
                found = self._open()
            except BaseException:
                self.close()
                raise
            self._damage = ""
            return found

    def close(self) -> None:
        """Close the files; a closed store stays closed."""
        with self._lock:
            self._disconnect()
            if self._held >= 0:
                os.close(self._held)
                self._held = -1

    @property
    def is_open(self) -> bool:
        """Whether the store is open."""
        return self._db is not None

    # ---- writing ----

    def put(self, key: str, value: Any) -> Version:
        """Write a value, as any node may.

        Args:
            key: 1 to 512 characters.
            value: A JSON value of at most 64 KiB.

        Raises:
            ValueError: The key or the value is invalid.
            Refused: The key is the leader's.
            StoreError: The store is closed or damaged.
        """
        return self._write(read_key(key), read_value(value))

    def delete(self, key: str) -> Version:
        """Delete a key, as any node may; raises what ``put`` raises."""
        return self._write(read_key(key), None)

    def apply(self, effect: Mapping[str, Any]) -> Version:
        """Write what a leader has decided.

        Args:
            effect: ``{"revision": r, "writer": name, "key": …, "value": …}``; "counter" is the
                place among the effects of this leader if another store has given it one, and
                "deleted": True deletes the key.

        Returns:
            The version of the entry.

        Raises:
            Fenced: The store has seen a higher revision, or the same one of another writer, or it
                does not know what it has seen because it has lost its files.
            ValueError: A field is invalid.
            StoreError: The store is closed or damaged.
        """
        entry, is_stamped = read_effect(effect)
        with self._writing():
            self._admit(entry.version.revision, entry.version.writer)
            counter = entry.version.counter if is_stamped else self._counter + 1
            version = Version(entry.version.revision, counter, entry.version.writer)
            entry = Entry(entry.key, entry.text, version)
            self._keep([entry])
            self._raise_fence(version.revision, version.writer)
        self._tell(entry)
        return version

    def stamp(self) -> int:
        """Return a counter that is later than all entries; it is given to nobody else."""
        with self._writing():
            self._counter += 1
            return self._counter

    def accept(self, entry: Entry) -> None:
        """Keep an effect that a majority of the stores needs only this one for.

        It is not refused if the fence was raised meanwhile: other stores have accepted it before.
        """
        with self._writing():
            self._keep([entry])
            self._raise_fence(entry.version.revision, entry.version.writer)
        self._tell(entry)

    def admit(self, revision: int, writer: str) -> None:
        """Raise what ``apply`` would raise for an effect of this revision and writer."""
        with self._lock:
            self._use()
            self._admit(revision, writer)

    def fence(self, revision: int, owner: str | None = None) -> int:
        """Refuse effects below a revision from here on.

        Args:
            revision: That of an election this node has heard of.
            owner: The name of the leader, if it is known.

        Returns:
            The highest revision that the store has seen.

        Raises:
            ValueError: ``revision`` is no revision.
            StoreError: The store is closed.
        """
        revision = read_number("revision", revision, 0)
        owner = None if owner is None else read_name("owner", owner)
        with self._lock:
            self._use()
            self._raise_fence(revision, owner)
            return self._fence.highest

    def declare(self, writer: str) -> None:
        """Let one node make effects without an election, with revision 0, instead of any before.

        Raises:
            Fenced: The store has seen the revision of an election: only leaders make effects.
            ValueError: ``writer`` is no name.
            StoreError: The store is closed.
        """
        writer = read_name("writer", writer)
        with self._lock:
            self._use()
            if self._fence.highest > 0:
                raise Fenced(
                    f"{writer!r} cannot be declared the writer: the store has seen the revision"
                    f" {self._fence.highest} of an election",
                    0,
                    self._fence.highest,
                )
            self._set_fence(Fence(0, writer, self._fence.is_sure))

    def confirm(self) -> None:
        """Note that the store has compared with enough peers to know the highest revision."""
        with self._lock:
            self._use()
            if not self._fence.is_sure:
                self._set_fence(Fence(self._fence.highest, self._fence.owner))

    def merge(self, entries: Iterable[Entry]) -> list[Entry]:
        """Keep what peers have, where it is newer.

        Returns:
            The entries that were newer.

        Raises:
            Refused: A counter is impossibly far ahead; none of the entries is kept.
            StoreError: The store is closed or damaged.
        """
        given = list(entries)
        with self._writing():
            kept = self._keep(given)
            if given:
                last = max(entry.version for entry in given)
                if last.revision > NO_REVISION:
                    self._raise_fence(last.revision, last.writer)
            return kept

    # ---- reading ----

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key; ``default`` if it has none."""
        entry = self.entry(key)
        return default if entry is None or entry.text is None else entry.value

    def entry(self, key: str) -> Entry | None:
        """Return the entry of a key, also if it was deleted; None if it was never written."""
        found = self.entries([key])
        return found[0] if found else None

    def entries(self, keys: Iterable[str]) -> list[Entry]:
        """Return the entries of some keys; those never written are left out.

        Raises:
            StoreError: The store is closed or damaged.
        """
        with self._reading() as db:
            found = [self._read(db, key) for key in keys]
        return [entry for entry in found if entry is not None]

    def items(self) -> dict[str, Any]:
        """Return all keys that have a value, with their values."""
        with self._reading() as db:
            rows = db.execute(f"SELECT {FIELDS} FROM entries WHERE text IS NOT NULL ORDER BY key")
            return {entry.key: entry.value for entry in map(entry_of, rows)}

    def __len__(self) -> int:
        """How many keys it has, deleted ones included."""
        with self._reading() as db:
            return int(db.execute("SELECT count(*) FROM entries").fetchone()[0])

    @property
    def highest(self) -> int:
        """The highest revision the store has seen; -1 if it has seen none."""
        return self._fence.highest

    @property
    def owner(self) -> str | None:
        """The node whose revision that is, or None while it is not known."""
        return self._fence.owner

    @property
    def is_sure(self) -> bool:
        """Whether the store knows that it has seen no higher revision; else it takes no effect."""
        return self._fence.is_sure

    @property
    def damage(self) -> str:
        """What was found damaged since the store was opened; "" if nothing was."""
        return self._damage

    # ---- comparing ----

    def digest(self) -> str:
        """Return a checksum of the whole state: equal for stores with equal entries."""
        with self._lock:
            self._use()
            return _hex(_all(_all(group.values()) for group in self._groups))

    def groups(self) -> list[str]:
        """Return the checksums of the 256 groups."""
        with self._lock:
            self._use()
            return [_hex(_all(group.values())) for group in self._groups]

    def leaves(self, group: int) -> dict[int, str]:
        """Return the checksums of the leaves of one group; those without keys are left out."""
        with self._lock:
            self._use()
            return {leaf: _hex(value) for leaf, value in self._groups[group].items()}

    def versions(self, leaf: int) -> dict[str, Entry]:
        """Return the entries of one leaf by key."""
        with self._reading() as db:
            rows = db.execute(f"SELECT {FIELDS} FROM entries WHERE leaf = ?", (leaf,))
            return {entry.key: entry for entry in map(entry_of, rows)}

    # ---- looking for damage ----

    def verify(self, most: int = 2_000) -> str:
        """Read some entries from the disk and compare them with their checksums.

        One call goes on where the last one ended, group by group, so that all are read in the end.

        Args:
            most: After how many entries to end.

        Returns:
            What is damaged, in words; "" if nothing is. Damage stays until the store is opened
            anew.

        Raises:
            StoreError: The store is closed.
        """
        with self._lock:
            db = self._use()
            if self._damage:
                return self._damage
            try:
                self._verify(db, most)
            except sqlite3.Error as error:
                self._damage = f"{self.path.name}: {error}"
            except (OSError, ValueError) as error:
                self._damage = f"{self.path.name} is damaged: {error}"
            return self._damage

    def _verify(self, db: sqlite3.Connection, most: int) -> None:
        if self.path.stat().st_ino != self._inode:
            raise ValueError("the file was replaced")
        if read_fence(self._fence_path) != self._fence:
            raise ValueError("the file of the fence was changed")
        db.execute("PRAGMA shrink_memory")  # what is kept in memory would hide the file's state
        seen = 0
        for _ in range(256):
            group = self._next_group
            leaves, damaged, count = read_group(db, group)
            if damaged or leaves != self._groups[group]:
                named = ", ".join(map(repr, damaged[:3]))
                raise ValueError(f"group {group}: " + (named or "entries were lost or changed"))
            self._next_group = (group + 1) % 256
            seen += count
            if seen >= most:
                return

    # ---- within ----

    def _hold(self) -> None:
        """Take the lock that keeps other processes away; it ends with this process."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._held = os.open(self.path.with_name(self.path.name + ".lock"), flags, 0o600)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._held)
            self._held = -1
            raise StoreError(f"{self.path} is open already, perhaps in another process") from None

    def _open(self) -> list[str]:
        found: list[str] = []
        fence: Fence | None = None
        try:
            fence = read_fence(self._fence_path)
        except ValueError as error:
            found.append(str(error))
        try:
            is_new, damaged = self._load()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise StoreError(f"{self.path}: {error}") from error
            found.append(f"{self.path}: {error}")
            self._disconnect()
            set_aside(self.path)
            is_new, damaged = self._load()
        if damaged:
            found.append(f"{self.path}: {len(damaged)} entries were damaged")
        # A new store has seen nothing. One that has lost its fence may have seen anything.
        kept = Fence(is_sure=is_new and not found) if fence is None else fence
        last = highest_entry(self._use())
        if last is not None and last.revision > kept.highest:
            kept = Fence(last.revision, last.writer, kept.is_sure)
        if kept != fence:
            write_fence(self._fence_path, kept)
        self._fence = kept
        return found

    def _load(self) -> tuple[bool, list[str]]:
        """Read all entries, compute the digests, and drop what is damaged.

        Returns:
            Whether the database is new, and the keys of what was damaged.
        """
        self._db, is_new, self._inode = connect(self.path)
        db = self._db
        groups: list[dict[int, int]] = []
        damaged: list[str] = []
        for group in range(256):
            leaves, wrong, _ = read_group(db, group)
            groups.append(leaves)
            damaged += wrong
        self._counter = last_counter(db)
        if damaged:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM entries WHERE key = ?", [(key,) for key in damaged])
            db.execute("UPDATE clock SET counter = ?", (self._counter,))
            db.execute("COMMIT")
        self._groups = groups
        return is_new, damaged

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):  # of a file that is damaged
                db.close()

    @property
    def _fence_path(self) -> Path:
        return self.path.with_name(self.path.name + ".fence")

    def _use(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"{self.path} is not open")
        return self._db

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            db = self._use()
            try:
                yield db
            except sqlite3.Error as error:
                if not self._damage:
                    self._damage = f"{self.path.name}: {error}"
                raise StoreError(f"{self.path}: {error}") from error

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """Run a block as one transaction; the digests and the counter change with it."""
        with self._reading() as db:
            if self._damage:
                raise StoreError(f"{self.path} is damaged: {self._damage}")
            counter = self._counter
            self._changed = changed = list[tuple[int, int]]()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                if self._counter != counter:
                    db.execute("UPDATE clock SET counter = ?", (self._counter,))
                db.execute("COMMIT")
            except BaseException:
                self._counter = counter
                for leaf, flipped in changed:
                    self._flip(leaf, flipped)
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def _write(self, key: str, text: str | None) -> Version:
        with self._writing() as db:
            old = self._read(db, key)
            if old is not None and old.version.revision > NO_REVISION:
                raise Refused(f"key {key!r} was written by an effect: only a leader changes it")
            entry = Entry(key, text, Version(NO_REVISION, self._counter + 1, self.name))
            self._keep([entry])
        self._tell(entry)
        return entry.version

    def _keep(self, entries: list[Entry]) -> list[Entry]:
        """Write the entries that are newer than what is there, within a transaction."""
        db = self._use()
        kept: list[Entry] = []
        for entry in entries:
            v = entry.version
            if v.counter > self._counter + _FAR_AHEAD:
                raise Refused(f"counter: {v.counter} is impossibly far ahead of {self._counter}")
            self._counter = max(self._counter, v.counter)
            old = self._read(db, entry.key)
            if not newer(entry, old):
                continue
            leaf = leaf_of(entry.key)
            db.execute(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)",
                (entry.key, leaf, entry.text, v.revision, v.counter, v.writer, entry.seal),
            )
            flipped = number_of(entry.seal) ^ (0 if old is None else number_of(old.seal))
            self._changed.append((leaf, flipped))
            self._flip(leaf, flipped)
            kept.append(entry)
        return kept

    def _flip(self, leaf: int, flipped: int) -> None:
        group = self._groups[leaf >> 8]
        value = group.get(leaf, 0) ^ flipped
        if value:
            group[leaf] = value
        else:
            group.pop(leaf, None)

    def _read(self, db: sqlite3.Connection, key: str) -> Entry | None:
        row = db.execute(f"SELECT {FIELDS} FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else entry_of(row)

    def _admit(self, revision: int, writer: str) -> None:
        fence = self._fence
        if not fence.is_sure:
            text = "the store has lost its files, and does not know the highest revision yet"
        elif revision < fence.highest:
            text = f"revision {revision} is lower than {fence.highest}, the highest seen"
        elif revision == fence.highest and fence.owner not in (None, writer):
            text = f"revision {revision} is that of {fence.owner!r}, not of {writer!r}"
        else:
            return
        raise Fenced(text, revision, fence.highest)

    def _raise_fence(self, revision: int, owner: str | None) -> None:
        fence = self._fence
        is_news = owner is not None and fence.owner is None
        if revision > fence.highest or (revision == fence.highest and is_news):
            self._set_fence(Fence(revision, owner, fence.is_sure))

    def _set_fence(self, fence: Fence) -> None:
        write_fence(self._fence_path, fence)  # first: it may be ahead of the entries, never behind
        self._fence = fence

    def _tell(self, entry: Entry) -> None:
        if self.on_write is not None:
            self.on_write(entry)


def read_effect(effect: Mapping[str, Any]) -> tuple[Entry, bool]:
    """Return an effect as an entry, and whether it has its counter already.

    Raises:
        ValueError: A field is invalid, missing or unknown.
    """
    missing = {"revision", "writer", "key", "value"} - {*effect}
    if effect.get("deleted") is True:
        missing -= {"value"}
    if missing:
        raise ValueError("effect: these fields are missing: " + ", ".join(sorted(missing)))
    if unknown := {*effect} - {"revision", "writer", "key", "value", "counter", "deleted"}:
        raise ValueError("effect: unknown fields: " + ", ".join(sorted(unknown)))
    counter = effect.get("counter")
    version = Version(
        read_number("revision", effect["revision"], 0),
        1 if counter is None else read_number("counter", counter, 1),
        read_name("writer", effect["writer"]),
    )
    text = None if effect.get("deleted") is True else read_value(effect["value"])
    return Entry(read_key(effect["key"]), text, version), counter is not None


def _all(values: Iterable[int]) -> int:
    result = 0
    for value in values:
        result ^= value
    return result


def _hex(value: int) -> str:
    return f"{value:032x}"
