"""What dead workers have counted: ``totals.json`` in the directory that workers share.

The file is replaced, never changed. It lists the files of dead workers whose counts it contains, so
a process that dies while it merges counts nothing twice and loses nothing. A process writes it only
while it holds the lock of the directory. Elsewhere: which workers are dead (``workers``).
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from holdfast.stores.figures import COUNTS, OTHER, PLACES, ROLES, Sum, add, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holdfast.stores.figures import Figures, Key
    from holdfast.stores.files import Directory

__all__ = ["NAME", "OTHER", "Totals", "TotalsFile", "fold"]

NAME = "totals.json"
VERSION = 2
BYTES_MOST = 64 << 20
COUNT_MOST = (1 << 64) - 1  # of what a kernel counts with
HEAD = 64  # bytes, which contain the identity of the text
ASIDE = f"{NAME}.damaged-"
ASIDE_MOST = 3  # damaged files that are kept
# Which numbers of a role in the totals are which count. Another version may write another order.
WRITTEN = {
    ROLES[role]: {name: [place.start, place.stop] for name, place in places.items()}
    for role, places in PLACES.items()
}


class Totals(NamedTuple):
    """What dead workers have counted.

    Attributes:
        figures: Counts by role and name. Not to be changed.
        merged: The files that contained them.
        readable: False if the file is there and cannot be read.
        identity: Differs from that of any other text in this directory; None: there is no file.
    """

    figures: dict[Key, list[int]]
    merged: frozenset[str]
    readable: bool
    identity: tuple[object, ...] | None

    def sums(self) -> Figures:
        """Return the counts, to be added to: each sum replaces its list and does not change it."""
        return {key: Sum(counts) for key, counts in self.figures.items()}


class TotalsFile:
    """The totals of one directory. Used by one thread at a time.

    Args:
        complain: Called with the name of a file that cannot be used, and the error.
    """

    def __init__(self, complain: Callable[[str, Exception], None]) -> None:
        self._complain = complain
        self._last = Totals({}, frozenset(), readable=True, identity=None)

    def identity(self, shared: Directory) -> tuple[object, ...] | None:
        """Return what distinguishes this text from all others; None if there is no file."""
        try:
            fd = shared.open(NAME)
        except FileNotFoundError:
            return None
        except OSError as error:  # a link, or a file of another user
            return ("it cannot be opened", error.errno)
        try:
            found = os.fstat(fd)
            # Numbers of files are reused, and times are coarse: the text contains a number as well.
            head = os.pread(fd, HEAD, 0) if stat.S_ISREG(found.st_mode) else b""
            return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, head
        finally:
            os.close(fd)

    def size(self, shared: Directory) -> int:
        """Return how many bytes the file has."""
        found = shared.status(NAME)
        return 0 if found is None else found.st_size

    def read(self, shared: Directory) -> Totals:
        """Return the totals; those that were read before if the file is the same.

        Raises:
            OSError: What ``complain`` raises.
        """
        identity = self.identity(shared)
        if identity is None or identity != self._last.identity:
            self._last = self._read(shared, identity)
        return self._last

    def _read(self, shared: Directory, identity: tuple[object, ...] | None) -> Totals:
        try:
            return _parse(shared.read(NAME, BYTES_MOST), identity)
        except FileNotFoundError:
            return Totals({}, frozenset(), readable=True, identity=None)
        except (OSError, ValueError) as error:
            self._complain(NAME, error)
            return Totals({}, frozenset(), readable=False, identity=identity)

    def write(self, shared: Directory, figures: Figures, merged: Iterable[str]) -> None:
        """Replace the totals. The lock of the directory is held.

        Raises:
            OSError: The disk is full, or the text would be too long. Nothing has changed.
        """
        text = json.dumps(
            {
                "id": os.urandom(8).hex(),  # within HEAD
                "version": VERSION,
                "places": WRITTEN,
                "merged": sorted(merged),
                "figures": [
                    [ROLES[role], name, _storable(there.counts)]
                    for (role, name), there in figures.items()
                ],
            }
        )
        if len(text) > BYTES_MOST:
            raise OSError(f"the totals would have {len(text)} bytes, allowed {BYTES_MOST}")
        shared.replace(NAME, text)

    def set_aside(self, shared: Directory) -> str:
        """Rename totals that cannot be read, so that people can look at them.

        The last few such files are kept. The lock of the directory is held.

        Returns:
            The name.
        """
        aside = f"{ASIDE}{os.urandom(4).hex()}"
        older = [
            (found.st_ctime_ns, name)
            for name in shared.names()
            if name.startswith(ASIDE)
            and (found := shared.status(name)) is not None
            and stat.S_ISREG(found.st_mode)
        ]
        shared.rename(NAME, aside)
        for _, name in sorted(older, reverse=True)[ASIDE_MOST - 1 :]:
            shared.remove(name)
        return aside


def _storable(counts: list[int]) -> list[int]:
    return counts if max(counts) <= COUNT_MOST else [min(n, COUNT_MOST) for n in counts]


def fold(figures: Figures, most: int, stay: Callable[[], set[tuple[str, str]]]) -> Figures:
    """Return figures of at most ``most`` keys; the names that came last share ``__other__``.

    Args:
        figures: In the order in which they came.
        most: Keys, without those of ``__other__``. The names that stay may have more.
        stay: Called if there are too many: the kinds and names that stay.
    """
    beyond = sum(name != OTHER for _, name in figures) - most
    if beyond <= 0:
        return figures
    staying = stay()
    go: set[tuple[str, str]] = set()
    for key in reversed(figures):
        if key[1] == OTHER or kind_of(key) in staying:
            continue
        if beyond <= 0:
            break
        go.add(kind_of(key))
        beyond -= 1
    folded: Figures = {}
    for key, there in figures.items():
        add(folded, (key[0], OTHER) if kind_of(key) in go else key, there.counts)
    return folded


def _parse(data: bytes, identity: tuple[object, ...] | None) -> Totals:
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
            if set(map(type, counts)) != {int} or min(counts) < 0 or max(counts) > COUNT_MOST:
                raise ValueError("it is damaged")
            figures[role, name] = counts
        merged = frozenset(map(str, found["merged"]))
        return Totals(figures, merged, readable=True, identity=identity)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is damaged") from error
