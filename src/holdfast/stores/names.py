"""Which names have series of their own, and which share ``__other__``.

A name that has a series keeps it, and a name that was in ``__other__`` stays there: otherwise a
counter would fall. Workers that share a directory share the choice: it is in ``names.json``, and a
worker writes a name there before it first shows the name. So all workers show the same.

``names.json`` is replaced as a whole under a lock on the directory. It is not trusted: a file that
cannot be read is set aside. Where it cannot be written, the choice is this process's own.
Elsewhere: what is counted (``ledger``, ``workers``).
"""

from __future__ import annotations

import errno
import json
import operator
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.errors import ConfigError
from holdfast.forks import call_in_child
from holdfast.stores.figures import KINDS, add, kind_of
from holdfast.stores.files import Directory, is_of_the_process
from holdfast.stores.totals import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from holdfast.stores.figures import Figures, Key

    #: A policy's kind and name.
    Name = tuple[str, str]

__all__ = ["Bound", "Choice", "Names"]

FILE = "names.json"
ASIDE = "names.json.damaged"
VERSION = 1
BYTES_MOST = 64 << 20
PLACES_MOST = 20_000  # of a kind, in a directory: the totals keep the counts of as many names
OTHERS_MORE = 1_000  # so many names without a place are remembered though they are gone
LOCK_TRIES = 200  # a writer holds the lock for milliseconds, unless somebody stops it
LOCK_PAUSE = 0.005  # seconds

_held: set[int] = set()  # descriptors with the lock in this process
_KINDS = tuple(dict.fromkeys(KINDS.values()))


def _names_in(figures: Figures) -> set[Name]:
    return {kind_of(key) for key in figures if key[1] != OTHER}


class Choice:
    """The names of each kind that have a place, in order, and those for which there was none.

    A collector with the bound ``most`` shows the names in the first ``most`` places of each kind.
    One choice serves collectors with different bounds.

    Attributes:
        slots: The names of each kind, by place.
        others: The names without a place.
    """

    def __init__(self) -> None:
        self.slots: dict[str, list[str]] = {kind: [] for kind in _KINDS}
        self.others: set[Name] = set()
        self._places: dict[Name, int] = {}

    def names(self) -> set[Name]:
        """Return the names that have a place."""
        return set(self._places)

    def shows(self, key: Key, most: int) -> bool:
        """Return whether a collector with this bound shows a name by itself."""
        return self._places.get(kind_of(key), most) < most

    def shows_all(self, figures: Figures, most: int) -> bool:
        """Return whether a collector with this bound shows every name by itself."""
        places = self._places
        return all(places.get((KINDS[role], name), most) < most for role, name in figures)

    def append(self, name: Name) -> None:
        """Give a name the next place."""
        slots = self.slots[name[0]]
        self._places[name] = len(slots)
        slots.append(name[1])
        self.others.discard(name)

    def is_settled(self, names: set[Name], most: int) -> bool:
        """Return whether ``settle()`` would change nothing."""
        return not (self._fresh(names) or self._further(names, most))

    def settle(self, names: set[Name], living: set[Name], most: int) -> bool:
        """Decide about the names that are new: the living first, then by name.

        Args:
            names: All names that have counts. Any other name leaves its place to a new one.
            living: The names that a living process has. Any other name leaves its place to a new
                living one if no other place is free, and gets none any more.
            most: How many places of each kind there may be.

        Returns:
            Whether anything has changed.
        """
        fresh, further = self._fresh(names), self._further(names, most)
        if not (fresh or further):
            return False
        new: dict[str, list[Name]] = {kind: [] for kind in _KINDS}
        for name in sorted(fresh | further, key=lambda name: (name not in living, name)):
            new[name[0]].append(name)
        for kind, come in new.items():
            self._settle_kind(kind, come, names, living, most)
        return True

    def _settle_kind(
        self, kind: str, come: list[Name], names: set[Name], living: set[Name], most: int
    ) -> None:
        slots = self.slots[kind]
        within = [(kind, name) for name in slots[:most]] if come else []
        gone = iter([name for name in within if name not in names])
        dead = iter([name for name in within if name in names and name not in living])
        for name in come:
            was_other = name in self.others
            left = None if was_other else next(gone, None)
            if left is None and len(slots) < most:
                self.append(name)
                continue
            if left is None and name in living and not was_other:
                left = next(dead, None)
                self.others.update(() if left is None else (left,))
            if left is None:
                self.others.add(name)
            else:
                self._places[name] = at = self._places.pop(left)
                slots[at] = name[1]

    def forget(self, names: set[Name]) -> None:
        """Forget names without a place, but for these, when there are too many."""
        if len(self.others) > len(names) + OTHERS_MORE:
            self.others &= names

    def _fresh(self, names: set[Name]) -> set[Name]:
        return names.difference(self._places, self.others)

    def _further(self, names: set[Name], most: int) -> set[Name]:
        """Return names without a place that may have one further on than there was any so far.

        No collector with so high a bound has shown them in ``__other__``: it would have given them
        a place.
        """
        return {name for name in self.others & names if len(self.slots[name[0]]) < most}

    def fold(self, figures: Figures, most: int) -> Figures:
        """Return the figures, those of names that are not shown by themselves under one name."""
        held: Figures = {}
        for key, there in figures.items():
            if self.shows(key, most):
                held[key] = there
            else:
                other = key[0], OTHER
                add(held, other, there.counts)
                held[other].states += there.states
        return held


class Bound:
    """The choice of one collector, in memory: for a process alone, and for chosen sources.

    What a name without a series had counted when it was last seen stays in ``__other__``.
    """

    def __init__(self, most: int) -> None:
        self.choice = Choice()
        self._most = most
        self._others: Figures = {}  # of names without series, as last seen
        self._gone: Figures = {}  # the sums of those that are gone

    def hold(self, figures: Figures, living: set[Name]) -> Figures:
        """Return the figures, those of names beyond the bound under one name."""
        choice, most = self.choice, self._most
        if not (self._others or self._gone) and choice.shows_all(figures, most):
            return figures
        choice.settle(_names_in(figures), living, most)
        choice.forget(living)
        held = choice.fold(figures, most)
        before = self._others
        self._others = {k: there for k, there in figures.items() if not choice.shows(k, most)}
        for key, last in before.items():
            now = self._others.get(key)
            # One with less than before was gone meanwhile, and has come again.
            if now is None or _is_less(now.counts, last.counts):
                add(self._gone, (key[0], OTHER), last.counts)
        for key, there in self._gone.items():
            add(held, key, there.counts)
        return held


def _is_less(now: list[int], last: list[int]) -> bool:
    return now != last and any(map(operator.lt, now, last))


class Names:
    """The choice of all workers that share a directory, as far as it can be read and written.

    Args:
        path: The directory.
        quiet: Whether to log nothing.

    Attributes:
        has_chosen: Whether the choice became another in the last ``hold()``.

    Used by one thread at a time; a forked process makes another one.
    """

    def __init__(self, path: Path, *, quiet: bool = False) -> None:
        self._path = path
        self._quiet = quiet
        self.has_chosen = False
        self._shared: Directory  # open while it is used
        self._choice = Choice()
        self._identity: tuple[int, ...] | None = None  # of the file that was read or written last
        self._is_saved = False  # the file says the same as the choice
        self._is_damaged = False
        self._complaint = ""

    def chosen(self) -> set[Name]:
        """Return the names that have series of their own, for the highest bound that there was.

        Raises:
            ConfigError: This process may not share the directory.
            OSError: The process or the system has no descriptor or no memory left.
        """
        with Directory(self._path) as self._shared:
            self._load({}, 0)
        return self._choice.names()

    @contextmanager
    def kept(self) -> Iterator[set[Name] | None]:
        """Keep the choice as it is, and yield the names that have series of their own.

        It yields None where that is not possible now: another process is choosing, or this one has
        no descriptor left. In a directory that this process may not share no name has a series.
        """
        import fcntl

        fd = -1
        chosen: set[Name] = set()
        try:
            try:
                with Directory(self._path) as self._shared:
                    fd = os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._shared.fd)
                    _held.add(fd)
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    self._load({}, 0)  # what another process has written before the lock
                chosen = self._choice.names()
            except ConfigError:
                yield chosen
            except OSError:
                yield None
            else:
                yield chosen
        finally:
            if fd >= 0:
                fcntl.flock(fd, fcntl.LOCK_UN)
                _held.discard(fd)
                os.close(fd)

    def hold(
        self, figures: Figures, living: set[Name], most: int, *, writes: bool = True
    ) -> Figures:
        """Return the figures, those of names beyond the bound under one name.

        Where ``has_chosen`` is set afterwards, the figures have to be read again, for
        ``hold_known()``: until the choice was written, another process may have added a name to
        ``__other__``.

        Args:
            figures: Those of all workers.
            living: The names that a living process has.
            most: The bound of the collector, for each kind.
            writes: Whether to write the choice. A process that only reads keeps its own.

        Raises:
            ConfigError: This process may not share the directory.
            OSError: The process or the system has no descriptor or no memory left.
        """
        most = min(most, PLACES_MOST)
        self.has_chosen = False
        if not figures:
            return figures
        with Directory(self._path) as self._shared:
            before = self._identity
            self._load(figures, most)
            self.has_chosen = self._identity != before
            if self._is_saved and self._choice.shows_all(figures, most):
                return figures
            names = _names_in(figures)
            if not writes:
                self._settle(names, living, most)
            elif not (self._is_saved and self._choice.is_settled(names, most)):
                self._settle_for_all(figures, names, living, most)
        return self._choice.fold(figures, most)

    def hold_known(self, figures: Figures, most: int) -> Figures:
        """Return figures that were read after the last ``hold()``, without names that came since.

        The next scrape decides about these names.
        """
        choice = self._choice
        known = choice.others.union(choice.names())
        kept = {k: there for k, there in figures.items() if k[1] == OTHER or kind_of(k) in known}
        return choice.fold(kept, min(most, PLACES_MOST))

    def _settle(self, names: set[Name], living: set[Name], most: int) -> None:
        was_saved, self._is_saved = self._is_saved, False  # an interrupt leaves it to be written
        if self._choice.settle(names, living, most):
            self.has_chosen = True
            self._choice.forget(names)
        else:
            self._is_saved = was_saved

    def _settle_for_all(
        self, figures: Figures, names: set[Name], living: set[Name], most: int
    ) -> None:
        with self._locked() as locked:
            if locked:
                before = self._identity
                self._load(figures, most)
                self.has_chosen = self.has_chosen or self._identity != before
            self._settle(names, living, most)
            if locked and not self._is_saved:
                self._save()

    def _load(self, figures: Figures, most: int) -> None:
        """Read the file if it has changed, and add what this process alone has decided."""
        identity = self._identity_now()
        if identity is not None and identity == self._identity:
            return
        self._identity, self._is_damaged = identity, False
        try:
            choice = _parse(self._shared.read(FILE, BYTES_MOST))
        except FileNotFoundError:
            self._identity, self._is_saved = None, False
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and is_of_the_process(error):
                self._identity = None
                raise
            self._is_saved, self._is_damaged = False, True
            self._complain(error)
        else:
            mine, self._choice = self._choice, choice
            self._is_saved = self._is_saved or not _add(choice, mine, _names_in(figures), most)

    def _save(self) -> None:
        """Write the choice, to be read by the others. The lock is held."""
        try:
            if self._is_damaged:
                self._shared.rename(FILE, ASIDE)
            self._shared.replace(FILE, _text(self._choice))
            # Later than the file before, so that no two of them look alike.
            now_ns = max(time.time_ns(), (self._identity or (0,))[0] + 1)
            os.utime(FILE, ns=(now_ns, now_ns), dir_fd=self._shared.fd, follow_symlinks=False)
            self._identity = self._identity_now()
        except OSError as error:
            self._identity = None
            if error.errno != errno.EROFS:  # a process that may only read chooses for itself
                self._complain(error)
        else:
            self._is_saved, self._is_damaged = True, False

    def _identity_now(self) -> tuple[int, ...] | None:
        found = self._shared.status(FILE)
        return None if found is None else (found.st_mtime_ns, found.st_ino, found.st_size)

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Hold the lock on the directory, or get False where it cannot be had."""
        import fcntl

        fd = self._shared.fd
        _held.add(fd)
        try:
            locked = self._lock()
            try:
                yield locked
            finally:
                if locked:  # a child that was forked meanwhile has the descriptor too
                    fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            _held.discard(fd)

    def _lock(self) -> bool:
        import fcntl

        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(self._shared.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOCK_PAUSE)
            except OSError as error:
                self._complain(error)
                return False
            else:
                return True
        self._complain(TimeoutError("another process holds the lock on the directory"))
        return False

    def _complain(self, error: Exception) -> None:
        if str(error) != self._complaint and not self._quiet:
            from logging import getLogger

            self._complaint = str(error)
            path = self._path / FILE
            getLogger("holdfast").warning("ignored by metrics: %s: %s", path, error)


def _close_in_child() -> None:
    """In a forked child: do not hold the lock of a thread of the parent."""
    for fd in _held:
        os.close(fd)
    _held.clear()


call_in_child(_close_in_child)


def _add(choice: Choice, mine: Choice, names: set[Name], most: int) -> bool:
    """Add what a process has decided alone and others have not; return whether there was any."""
    known = choice.others.union(choice.names())
    places = [(kind, name) for kind, slots in mine.slots.items() for name in slots]
    missing = [name for name in (*places, *mine.others) if name in names and name not in known]
    for name in missing:
        if name not in mine.others and len(choice.slots[name[0]]) < most:
            choice.append(name)
        else:
            choice.others.add(name)
    return bool(missing)


def _text(choice: Choice) -> str:
    others: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for kind, name in sorted(choice.others):
        others[kind].append(name)
    text = json.dumps({"version": VERSION, "slots": choice.slots, "others": others})
    if len(text) > BYTES_MOST:
        raise OSError(errno.EFBIG, f"it would have {len(text)} bytes")
    return text


def _parse(data: bytes) -> Choice:
    """Read a choice.

    Raises:
        ValueError: It is not what this version writes.
    """
    try:
        found = json.loads(data)
        if found["version"] != VERSION:
            raise ValueError(f"it is of version {found['version']!r}")
        choice = Choice()
        places, others = list(_listed(found["slots"])), list(_listed(found["others"]))
        for name in places:
            choice.append(name)
        choice.others.update(others)
        if len(choice.names() | choice.others) != len(places) + len(others):
            raise ValueError("it is damaged")
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is damaged") from error
    return choice


def _listed(found: dict[str, list[str]]) -> Iterable[Name]:
    for kind, names in found.items():
        if kind not in _KINDS or type(names) is not list:
            raise ValueError("it is damaged")
        for name in names:
            if not (type(name) is str and name and name.isprintable()):
                raise ValueError("it is damaged")
            yield kind, name
