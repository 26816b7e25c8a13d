"""The other workers that share a directory: what living ones count, and how the dead are merged.

Each scrape reads the files of living workers as they are. The counts of dead workers are added to
the totals (``totals``), and their files are removed. A scrape merges all dead workers. A process
that makes a file (a start, a fork) looks at a few others, and merges a bounded number if many of
them are dead: the directory stays small if it is never scraped. One process merges at a time; the
others do not wait for it.

Nothing in the directory is trusted: a file that is foreign, damaged or of another user is left out,
counted and logged once. The file of a dead worker of another version is removed when no living
worker can read it. If the directory itself cannot be read, or if this process can open no more
files, reading fails: a part is never taken for the whole.
"""

from __future__ import annotations

import os
import sys
from errno import ETIMEDOUT
from typing import TYPE_CHECKING, NamedTuple

from holdfast._native.figures import layout
from holdfast._native.reader import Reader
from holdfast.clock import system_clock
from holdfast.errors import ConfigError
from holdfast.forks import call_in_child
from holdfast.locks import RLock
from holdfast.stores import totals as totals_file
from holdfast.stores.figures import (
    BREAKER,
    OWN_CLOCK,
    ROLES,
    add,
    exported,
    kind_of,
    with_accepting,
)
from holdfast.stores.files import FEW, FIRST_SIZE, PREFIX, Directory, is_locked, is_of_the_process
from holdfast.stores.names import Names
from holdfast.stores.totals import TotalsFile, fold

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path
    from typing import Any

    from holdfast.stores.figures import Figures
    from holdfast.stores.totals import Totals

__all__ = ["View", "Workers", "tidy"]

LOCK = "lock"  # held by the process that merges
LOOKS = 20  # at a directory that changes while it is read
KEYS_MOST = 10_000  # that the totals hold, beside those of living workers
MODES = 3
MAGIC = b"holdfast"  # the first bytes of each worker's file

# When a process that makes a file merges dead workers.
SAMPLE = 8  # files that it looks at
TOTALS_A_FILE = 16 << 10  # bytes of totals that are rewritten for each file that is merged, at most
PASS_MOST = 128  # files of which it reads those of dead workers
PASS_BYTES = 4 << 20  # of which it reads, or four times as many as the totals have

_held: set[int] = set()  # descriptors of the lock in this process


class View(NamedTuple):
    """What the others have to say.

    Attributes:
        figures: Their sums by role and name, also of names that no policy has any more.
        living: Kinds and names of the living policies of living workers.
        alive: Living processes, this one not counted.
        unreadable: Files that had to be left out.
    """

    figures: Figures
    living: set[tuple[str, str]]
    alive: int
    unreadable: int


class _Worker(NamedTuple):
    """What one file says; ``counts`` is by role and name, ``living`` has the kinds and names."""

    alive: bool
    figures: Figures
    living: set[tuple[str, str]]


class _Stranger(NamedTuple):
    """A worker of another version or build, whose counts cannot be read."""

    alive: bool
    layout: bytes


#: What each file says; None if it cannot be read.
Found = dict[str, "_Worker | _Stranger | None"]


class Workers:
    """The other processes with a file in a directory.

    Args:
        path: The directory.
        quiet: Whether to log no warning, as in a forked child: another thread of the parent may
            hold the lock of a log handler.

    Safe to share between threads; a forked process makes another one.
    """

    def __init__(self, path: Path, *, quiet: bool = False) -> None:
        self._path = path
        self._quiet = quiet
        self._lock = RLock()
        self._shared: Directory  # open while it is read
        self._seen = False
        self._totals = TotalsFile(self._leave_out)
        self._readers: dict[str, Reader] = {}  # of living workers
        self._complained: set[str] = set()
        self._died: dict[str, int] = {}  # when files of dead workers were first read

    def look(self, own: str | None, *, is_new: bool = False) -> View:
        """Read what all others say at this moment, then merge the dead.

        Args:
            own: This process's file, which is not read. None for a process without a file: it only
                reads, since it may be one to which the directory is mounted read-only.
            is_new: Whether this process has made no policy. Until it has seen the directory, it is
                right that there is none: no worker has created it.

        Raises:
            ConfigError: This process may not share the directory any more, or it is gone.
            OSError: The process or the system has no descriptor or no memory left, or the directory
                changed each time it was read.
        """
        with self._lock:
            if is_new and not self._seen and self._is_not_made_yet():
                return View({}, set(), 0, 0)
            try:
                with Directory(self._path) as self._shared:
                    self._seen = True
                    return self._look(own)
            except OSError as error:
                why = f"the metrics of the other workers cannot be read: {error.strerror or error}"
                raise OSError(error.errno, why, str(self._path)) from error

    def _look(self, own: str | None) -> View:
        totals, found = self._read(own)
        workers = [one for one in found.values() if isinstance(one, _Worker)]
        strangers = [one for one in found.values() if isinstance(one, _Stranger)]
        layouts = {one.layout for one in strangers if one.alive}
        staying = [one for one in strangers if one.layout in layouts]
        figures = _sum(totals, workers)
        dead = len(staying) < len(strangers) or not all(worker.alive for worker in workers)
        if dead and own is not None:
            self._bury(found)
        return View(
            figures,
            set[tuple[str, str]]().union(*(one.living for one in workers if one.alive)),
            sum(worker.alive for worker in workers),
            len(found) - len(workers) - len(strangers) + len(staying),
        )

    def tidy(self) -> None:
        """Merge some dead workers if many are dead: due when this process has made a file.

        The cost depends on the number of files only through the listing of the directory.

        Raises:
            ConfigError: This process may not share the directory any more, or it is gone.
            OSError: The process or the system has no descriptor or no memory left.
        """
        with self._lock, Directory(self._path) as self._shared:
            names = self._names(PREFIX, f".{PREFIX}")
            if len(names) < FEW:
                return
            sample = _some(names, SAMPLE)
            dead = sum(self._is_dead(name) for name in sample) * len(names) // len(sample)
            # Rewriting the totals costs as much as reading so many files.
            worth = min(self._totals.size(self._shared) // TOTALS_A_FILE, PASS_MOST // 2)
            if dead >= max(FEW, len(names) // 4, worth):
                self._bury({}, PASS_MOST)

    # ---- reading ----

    def _is_not_made_yet(self) -> bool:
        """Return whether no worker has created the directory, as before the first policy."""
        return not os.path.lexists(self._path) and self._path.parent.is_dir()

    def _read(self, own: str | None) -> tuple[Totals, Found]:
        for _ in range(LOOKS):
            totals = self._totals.read(self._shared)
            names = {name for name in self._names() if name != own} - totals.merged
            found = {name: self._worker(name) for name in names}
            missed = [name for name, worker in found.items() if worker is None]
            # The counts of a file that has gone meanwhile are in other totals.
            gone = any(self._shared.status(name) is None for name in missed)
            if not gone and self._totals.identity(self._shared) == totals.identity:
                break
        else:
            raise TimeoutError(ETIMEDOUT, "the directory changes all the time")
        for name in self._readers.keys() - found.keys():
            del self._readers[name]
        self._complained &= found.keys() | {totals_file.NAME, LOCK}
        self._died = {name: at for name, at in self._died.items() if name in found}
        return totals, found

    def _names(self, *prefixes: str) -> list[str]:
        return [name for name in self._shared.names() if name.startswith(prefixes or PREFIX)]

    def _worker(self, name: str, *, living: bool = True) -> _Worker | _Stranger | None:
        """Read one file; None if it cannot be read, or has gone.

        Args:
            name: The file.
            living: Whether to read the counts of a living worker too.
        """
        try:
            fd = self._shared.open(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._leave_out(name, error)
            return None
        try:
            # Read first: a worker that dies after this line was alive when it was read.
            alive = is_locked(fd)
            self._shared.size_of(fd)
            head = os.pread(fd, 16, 0)
            if len(head) == 16 and head[:8] == MAGIC and head[8:] != _LAYOUT:
                if alive:
                    self._complain(name, ValueError("it is of another version of holdfast"))
                return _Stranger(alive, head[8:])
            if alive and not living:
                return _Worker(alive, {}, set())
            return _worker_of(alive, self._entries(name, fd, alive))
        except (OSError, ValueError) as error:
            self._readers.pop(name, None)
            self._leave_out(name, error)
            return None
        finally:
            os.close(fd)

    def _entries(self, name: str, fd: int, alive: bool) -> list[Any]:
        """Read a file, again where it has grown meanwhile: what was new in it was out of reach."""
        while True:
            reader = self._reader(name, fd)
            now_ns = None  # what goes on with the time ends with the process
            if not alive:
                self._readers.pop(name, None)
                now_ns = self._died.setdefault(name, system_clock.now_ns())
            try:
                return reader.entries(now_ns)
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

    def _is_dead(self, name: str) -> bool:
        """Return whether a file is one that a dead worker has left."""
        try:
            fd = self._shared.open(name)
        except OSError:
            return False
        try:
            ours = name.startswith(".") or os.pread(fd, 8, 0) == MAGIC
            return ours and not is_locked(fd)
        except OSError:
            return False
        finally:
            os.close(fd)

    def _leave_out(self, name: str, error: Exception) -> None:
        """Log once why a file is left out.

        Raises:
            OSError: The error is not the file's: the other files cannot be read either.
        """
        if isinstance(error, OSError) and is_of_the_process(error):
            raise error
        self._complain(name, error)

    def _complain(self, name: str, error: Exception) -> None:
        if name not in self._complained and not self._quiet:
            from logging import getLogger

            self._complained.add(name)
            getLogger("holdfast").warning("ignored by metrics: %s: %s", self._path / name, error)

    # ---- merging the dead ----

    def _bury(self, known: Found, most: int | None = None) -> None:
        """Merge dead workers, unless another process does.

        Args:
            known: What was read before: the file of a dead worker does not change.
            most: Files to read; None for all.
        """
        import fcntl

        try:
            fd = self._open_lock()
        except FileExistsError:
            return  # another process has created it at this moment
        except OSError as error:
            self._complain(LOCK, error)
            return
        _held.add(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._merge(known, most)
        except BlockingIOError:
            return
        except OSError as error:  # a full disk: their files stay, and count as they are
            self._complain(totals_file.NAME, error)
        finally:
            # A child that was forked meanwhile has the descriptor too: closing it does not unlock.
            fcntl.flock(fd, fcntl.LOCK_UN)
            _held.discard(fd)
            os.close(fd)

    def _open_lock(self) -> int:
        try:
            return self._shared.open(LOCK, os.O_RDWR)
        except FileNotFoundError:
            return self._shared.create(LOCK)

    def _merge(self, known: Found, most: int | None) -> None:
        """Add dead workers to the totals, and remove their files. The lock is held."""
        totals, names = self._totals.read(self._shared), self._names()
        some = names if most is None else _some(names, most)
        found: Found = {}
        left = max(PASS_BYTES, 4 * self._totals.size(self._shared))
        for name in some:
            if name in totals.merged:
                continue
            one = known.get(name)
            if one is None or one.alive:
                one = self._worker(name, living=False)
            found[name] = one
            if most is not None and one is not None and not one.alive:
                status = self._shared.status(name)
                left -= 0 if status is None else status.st_size
                if left <= 0:
                    break
        dead = {
            name: one.figures
            for name, one in found.items()
            if isinstance(one, _Worker) and not one.alive
        }
        merged = totals.merged & set(names) | dead.keys()
        if dead:
            figures = totals.sums()
            for counted in dead.values():
                _add_all(figures, counted)
            if not totals.readable:
                self._set_aside()
            if len(figures) <= KEYS_MOST:
                self._totals.write(self._shared, figures, merged)
            else:
                self._write_folded(figures, merged)
        for name in (*merged, *self._names(f".{PREFIX}")):
            _remove_unless_locked(self._shared, name)
        if not self._quiet:
            self._remove_strangers(found, names)

    def _write_folded(self, figures: Figures, merged: Collection[str]) -> None:
        """Write totals without names that no living worker has and that have no series.

        Until they are written, no scrape may give one of these names a series. Where that cannot be
        had, all names stay this time.
        """
        living = self._names_of_living(merged)
        with Names(self._path, quiet=self._quiet).kept() as chosen:
            if chosen is not None:
                figures = fold(figures, KEYS_MOST, lambda: living | chosen)
            self._totals.write(self._shared, figures, merged)

    def _names_of_living(self, merged: Collection[str]) -> set[tuple[str, str]]:
        """Return the kinds and names of workers that are not merged. None of their counts falls."""
        found: set[tuple[str, str]] = set()
        for name in self._names():
            worker = None if name in merged else self._worker(name)
            if isinstance(worker, _Worker):
                found.update(map(kind_of, worker.figures))
        return found

    def _remove_strangers(self, found: Found, names: Iterable[str]) -> None:
        """Remove the files of dead workers whose version or build has no living worker."""
        if not any(isinstance(one, _Stranger) and not one.alive for one in found.values()):
            return
        for name in names:
            if name not in found:
                found[name] = self._worker(name, living=False)
        strangers = {name: one for name, one in found.items() if isinstance(one, _Stranger)}
        layouts = {one.layout for one in strangers.values() if one.alive}
        gone = [name for name, one in strangers.items() if one.layout not in layouts]
        gone = [name for name in gone if _remove_unless_locked(self._shared, name)]
        if gone:
            from logging import getLogger

            getLogger("holdfast").warning(
                "the counts of %d dead workers are lost: their files were written by another "
                "version or build of holdfast, and have been removed from %s",
                len(gone),
                self._path,
            )

    def _set_aside(self) -> None:
        aside = self._totals.set_aside(self._shared)
        if not self._quiet:
            from logging import getLogger

            getLogger("holdfast").error(
                "the counts of dead workers cannot be read; the file was renamed to %s",
                self._path / aside,
            )


def tidy(path: Path, *, quiet: bool = False) -> None:
    """Merge some dead workers of a directory if many are dead, unless another process does.

    Args:
        path: The directory, in which this process has made a file.
        quiet: Whether to log nothing.
    """
    try:
        Workers(path, quiet=quiet).tidy()
    except (ConfigError, OSError):  # a scrape says why
        return


def _close_in_child() -> None:
    """In a forked child: do not hold the lock of a thread of the parent."""
    for fd in _held:
        os.close(fd)
    _held.clear()


call_in_child(_close_in_child)

_LAYOUT = layout().to_bytes(8, sys.byteorder)


def _some(names: list[str], most: int) -> list[str]:
    """Return at most so many names from all parts of a list, others each time."""
    if len(names) <= most:
        return names
    first = int.from_bytes(os.urandom(4))
    return [names[(first + at * len(names) // most) % len(names)] for at in range(most)]


def _add_all(figures: Figures, others: Figures) -> None:
    for key, there in others.items():
        if key not in figures or any(there.counts):
            add(figures, key, there.counts)


def _remove_unless_locked(shared: Directory, name: str) -> bool:
    """Remove what a dead worker left; what cannot be removed is no worker's, and stays."""
    import fcntl

    try:
        fd = shared.open(name)
    except OSError:
        return False  # it has its name by now, or was removed
    try:
        # Kept until it is gone: who has made it and not locked it yet then makes another.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        shared.remove(name)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _worker_of(alive: bool, entries: list[Any]) -> _Worker:
    figures: Figures = {}
    living: set[tuple[str, str]] = set()
    name, name_is = "", b""
    now_ns = system_clock.now_ns()  # one for all processes of the machine
    for role, mode, _, extra, raw_name, retired, raw, state in entries:
        if raw_name != name_is:  # the parts of a policy follow each other
            name, name_is = raw_name.decode(), raw_name
        if role >= len(ROLES) or mode >= MODES or not name.isprintable():
            raise ValueError("an entry is damaged")
        key = (role, name)
        if key not in figures or any(raw):
            add(figures, key, exported(role, mode, raw))
        if not retired:
            living.add(kind_of(key))
            if alive:
                now = _state_of(role, extra, state, now_ns)
                figures[key].states.append((mode, extra, now))
    return _Worker(alive, figures, living)


def _state_of(role: int, extra: int, state: tuple[int, ...], now_ns: int) -> tuple[int, ...]:
    if role != BREAKER:
        return state
    return with_accepting(state, None if extra == OWN_CLOCK else now_ns)


def _sum(totals: Totals, workers: Iterable[_Worker]) -> Figures:
    figures = totals.sums()
    for worker in workers:
        _add_all(figures, worker.figures)
        for key, there in worker.figures.items():
            figures[key].states += there.states
    return figures
