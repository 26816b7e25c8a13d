"""The other workers that share a directory: what they say, and what the dead among them have said.

Any process that is asked answers for all. Living workers' files are read as they are; what dead
ones have counted is added to ``totals.json`` and their files go. That file is replaced, never
changed, and names the files that are in it, so a death in between counts nothing twice and loses
nothing. Whoever reads while it is replaced reads again.

Nothing in the directory is trusted: a file that is foreign, damaged, of another user or of another
version is left out, counted and logged once. If the directory itself cannot be read, or if this
process can open no more files, reading fails: a part is never taken for the whole.
"""

from __future__ import annotations

import json
import os
from errno import ETIMEDOUT
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

from holdfast._native.ledger import SUBTRACT
from holdfast._native.reader import Reader
from holdfast.stores.figures import COUNTS, KINDS, PLACES, ROLES, add, exported
from holdfast.stores.files import FIRST_SIZE, PREFIX, Directory, is_locked, is_of_the_process

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

    from holdfast.stores.figures import Figures, Key

__all__ = ["View", "Workers"]

TOTALS = "totals.json"
LOCK = "lock"  # held by who adds to them
VERSION = 2
LOOKS = 20  # at a directory that changes while it is read
NAMES_MOST = 10_000  # that dead workers are remembered by
OTHER = "__other__"
TOTALS_BYTES_MOST = 64 << 20
MODES = 3
COUNT_MOST = (1 << 64) - 1  # of what a kernel counts with
# Which numbers of a role in the totals are which count. Another version may write another order.
WRITTEN = {
    ROLES[role]: {name: [place.start, place.stop] for name, place in places.items()}
    for role, places in PLACES.items()
}


class View(NamedTuple):
    """What the others have to say.

    Attributes:
        figures: Their sums by role and name, also of names that nobody has any more.
        known: Kinds and names that a living worker has, or had one that died.
        alive: Living processes, this one not counted.
        unreadable: Files that had to be left out.
    """

    figures: Figures
    known: set[tuple[str, str]]
    alive: int
    unreadable: int


class _Worker(NamedTuple):
    """What one file says; ``counts`` is by role and name, ``living`` has the kinds and names."""

    alive: bool
    figures: Figures
    living: set[tuple[str, str]]


class _Totals(NamedTuple):
    """What dead workers have counted, and the files that it was in."""

    figures: dict[Key, list[int]]
    merged: frozenset[str]
    readable: bool = True


class Workers:
    """The other processes with a file in a directory.

    Args:
        path: The directory.

    Safe to share between threads; a forked process makes another one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = RLock()
        self._shared: Directory  # open while it is read
        self._readers: dict[str, Reader] = {}
        self._complained: set[str] = set()

    def look(self, own: str | None) -> View:
        """Read what all others say at this moment, then tidy up after the dead.

        Args:
            own: This process's file, which is not read.

        Raises:
            ConfigError: This process may not share the directory any more, or it is gone.
            OSError: The process or the system has no descriptor or no memory left, or the directory
                changed each time it was read.
        """
        with self._lock, self._opened() as self._shared:
            totals, workers, unreadable = self._read(own)
            figures = _sum(totals, workers.values())
            if any(not worker.alive for worker in workers.values()):
                self._bury()
            return View(
                figures,
                _known(totals, workers.values()),
                sum(worker.alive for worker in workers.values()),
                unreadable,
            )

    # ---- reading ----

    def _opened(self) -> Directory:
        try:
            return Directory(self._path)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> OSError:
        """Return what to raise for an error because of which the other workers cannot be read."""
        why = f"the metrics of the other workers cannot be read: {error.strerror or error}"
        return OSError(error.errno, why, str(self._path))

    def _read(self, own: str | None) -> tuple[_Totals, dict[str, _Worker], int]:
        for _ in range(LOOKS):
            before, totals = self._read_totals()
            names = {name for name in self._names() if name != own} - totals.merged
            found = {name: self._worker(name) for name in names}
            missed = [name for name, worker in found.items() if worker is None]
            # One that has gone meanwhile is in other totals than those that were read.
            gone = any(self._shared.status(name) is None for name in missed)
            if not gone and self._identity() == before:
                break
        else:
            raise self._trouble(TimeoutError(ETIMEDOUT, "the directory changes all the time"))
        for name in self._readers.keys() - found.keys():
            del self._readers[name]
        self._complained &= found.keys() | {TOTALS, LOCK}
        return totals, {name: one for name, one in found.items() if one is not None}, len(missed)

    def _names(self) -> list[str]:
        try:
            return [name for name in self._shared.names() if name.startswith(PREFIX)]
        except OSError as error:
            raise self._trouble(error) from error

    def _worker(self, name: str) -> _Worker | None:
        """Read one file; None if it cannot be, or is no longer there."""
        try:
            fd = self._shared.open(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._leave_out(name, error)
            return None
        try:
            # Asked first: a worker that dies after it was read was alive when it was.
            alive = is_locked(fd)
            return _worker_of(alive, self._entries(name, fd))
        except (OSError, ValueError) as error:
            self._readers.pop(name, None)
            self._leave_out(name, error)
            return None
        finally:
            os.close(fd)

    def _entries(self, name: str, fd: int) -> list[Any]:
        """Read a file, again where it has grown meanwhile: what was new in it was out of reach."""
        while True:
            reader = self._reader(name, fd)
            try:
                return reader.entries()
            except ValueError:
                if os.fstat(fd).st_size == reader.size:
                    raise

    def _reader(self, name: str, fd: int) -> Reader:
        size = self._shared.size_of(fd)
        if size < FIRST_SIZE:
            raise ValueError("it is truncated")
        reader = self._readers.get(name)
        if reader is None or reader.size != size:
            reader = self._readers[name] = Reader(fd, size)
        return reader

    def _leave_out(self, name: str, error: Exception) -> None:
        """Log once why a file is left out.

        Raises:
            OSError: The error is not the file's: the other files cannot be read either.
        """
        if isinstance(error, OSError) and is_of_the_process(error):
            raise self._trouble(error) from error
        self._complain(name, error)

    def _complain(self, name: str, error: Exception) -> None:
        if name not in self._complained:
            from logging import getLogger

            self._complained.add(name)
            getLogger("holdfast").warning("ignored by metrics: %s: %s", self._path / name, error)

    # ---- what the dead have counted ----

    def _identity(self) -> tuple[int, ...] | None:
        found = self._shared.status(TOTALS)
        if found is None:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read_totals(self) -> tuple[tuple[int, ...] | None, _Totals]:
        identity = self._identity()
        if identity is None:
            return None, _Totals({}, frozenset())
        try:
            return identity, _parse(self._shared.read(TOTALS, TOTALS_BYTES_MOST))
        except FileNotFoundError:
            return None, _Totals({}, frozenset())
        except (OSError, ValueError) as error:
            self._leave_out(TOTALS, error)
        return identity, _Totals({}, frozenset(), readable=False)

    def _bury(self) -> None:
        """Add dead workers to the totals, unless another process is at it."""
        import fcntl

        try:
            fd = self._open_lock()
        except FileExistsError:
            return  # another process has created it at this moment
        except OSError as error:
            self._complain(LOCK, error)
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._add_dead()
        except BlockingIOError:
            return  # the next one who is asked comes by here too
        except OSError as error:  # a full disk: their files stay, and count as they are
            self._complain(TOTALS, error)
        finally:
            os.close(fd)

    def _open_lock(self) -> int:
        try:
            return self._shared.open(LOCK, os.O_RDWR)
        except FileNotFoundError:
            return self._shared.create(LOCK)

    def _add_dead(self) -> None:
        totals, workers, _ = self._read(None)
        dead = {name: worker for name, worker in workers.items() if not worker.alive}
        known = _known(totals, workers.values())
        figures: Figures = {}
        for key, counts in totals.figures.items():
            add(figures, key, counts)
        for worker in dead.values():
            for key, there in worker.figures.items():
                if kind_of(key) in known:
                    add(figures, bounded(key, figures), there.counts)
        if not totals.readable:
            self._set_aside()
        merged = (totals.merged & set(self._names())) | dead.keys()
        self._write(figures, sorted(merged))
        unfinished = [name for name in self._shared.names() if name.startswith(f".{PREFIX}")]
        for name in (*merged, *unfinished):
            _remove_unless_locked(self._shared, name)

    def _set_aside(self) -> None:
        """Keep totals that cannot be read for people to look at, not to be written over."""
        name = f"{TOTALS}.damaged-{os.urandom(4).hex()}"
        self._shared.rename(TOTALS, name)
        from logging import getLogger

        getLogger("holdfast").error(
            "the counts of dead workers cannot be read; the file was renamed to %s",
            self._path / name,
        )

    def _write(self, figures: Figures, merged: list[str]) -> None:
        text = json.dumps(
            {
                "version": VERSION,
                "places": WRITTEN,
                "merged": merged,
                "figures": [
                    [ROLES[role], name, [min(n, COUNT_MOST) for n in there.counts]]
                    for (role, name), there in figures.items()
                ],
            }
        )
        self._shared.replace(TOTALS, text)


def _remove_unless_locked(shared: Directory, name: str) -> None:
    """Remove what a dead worker left; what cannot be removed is no worker's, and stays."""
    import fcntl

    try:
        fd = shared.open(name)
    except OSError:
        return  # it has its name by now, or was removed
    try:
        # Kept until it is gone: who has made it and not locked it yet then makes another.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        shared.remove(name)
    except OSError:
        return
    finally:
        os.close(fd)


def kind_of(key: Key) -> tuple[str, str]:
    """Return a policy's kind and name."""
    return KINDS[key[0]], key[1]


def bounded(key: Key, figures: Figures) -> Key:
    """Return under which name counts are remembered: their own, or that of all beyond the bound."""
    return key if key in figures or len(figures) < NAMES_MOST else (key[0], OTHER)


def _worker_of(alive: bool, entries: list[Any]) -> _Worker:
    figures: Figures = {}
    living: set[tuple[str, str]] = set()
    for role, mode, flags, extra, raw_name, retired, raw, state in entries:
        name = raw_name.decode()
        if role >= len(ROLES) or mode >= MODES or not name.isprintable():
            raise ValueError("an entry is damaged")
        sign = -1 if flags & SUBTRACT else 1
        key = (role, name)
        add(figures, key, [sign * n for n in exported(role, mode, raw)])
        if not retired:
            living.add(kind_of(key))
            if alive:
                figures[key].states.append((mode, extra, state))
    if any(min(there.counts) < 0 for there in figures.values()):
        raise ValueError("an entry is damaged")
    return _Worker(alive, figures, living)


def _known(totals: _Totals, workers: Iterable[_Worker]) -> set[tuple[str, str]]:
    known = {kind_of(key) for key in totals.figures}
    return known.union(*(worker.living for worker in workers))


def _sum(totals: _Totals, workers: Iterable[_Worker]) -> Figures:
    figures: Figures = {}
    for key, counts in totals.figures.items():
        add(figures, key, counts)
    for worker in workers:
        for key, there in worker.figures.items():
            add(figures, key, there.counts)
            figures[key].states += there.states
    return figures


def _parse(data: bytes) -> _Totals:
    """Read the totals.

    Raises:
        ValueError: They are not what this version writes.
    """
    try:
        found = json.loads(data)
        if found["version"] != VERSION:
            raise ValueError(f"it is of version {found['version']!r}")
        if found["places"] != WRITTEN:
            raise ValueError("it is of another version of holdfast")
        figures = {}
        for role_name, name, counts in found["figures"]:
            role = ROLES.index(role_name)
            if not (isinstance(name, str) and name.isprintable() and len(counts) == COUNTS[role]):
                raise ValueError("it is damaged")
            if not all(type(n) is int and 0 <= n <= COUNT_MOST for n in counts):
                raise ValueError("it is damaged")
            figures[role, name] = counts
        return _Totals(figures, frozenset(map(str, found["merged"])))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is damaged") from error
