"""What this process has to say: the figures of its living policies, and of those that are gone.

What a collected policy counted stays in the sum of its name while another of that name lives, and
goes with the last. In a shared directory it stays, since other workers may have the name.
Elsewhere: how figures are named (telemetry), files and who is alive (``files``, ``workers``).
"""

from __future__ import annotations

import atexit
import os
from collections import deque
from contextlib import suppress
from functools import partial
from operator import sub
from threading import RLock
from weakref import getweakrefs, ref

from holdfast._native import ledger as native
from holdfast._native.figures import read
from holdfast.errors import ConfigError
from holdfast.forks import call_in_child
from holdfast.stores.figures import ROLES_OF, add, exported, kind_of
from holdfast.stores.files import directory, make_file, open_in, reopen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path
    from typing import Any

    from holdfast.stores.figures import Figures, Key

    #: A role, a kernel, and a number that belongs to the role.
    Part = tuple[int, Any, int]

__all__ = ["Ledger", "ledger"]

# Sums of collected policies in a shared directory, without those of names that have series.
GONE_MOST = 4_000


class Ledger:
    """The figures of this process.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        # Re-entrant: a policy may be made or die in a finaliser while this thread holds the lock.
        self._lock = RLock()
        self._entries: dict[_Entry, None] = {}  # in the order they came
        self._dead: deque[_Entry] = deque()  # put here by the collector, which must not wait
        self._living: dict[tuple[str, str], int] = {}  # policies of a kind and name
        self._gone: Figures = {}  # of collected policies
        self._gone_most = GONE_MOST
        self._gone_ids: dict[Key, int] = {}  # where they stand in the file
        self._directory: Path | None = None
        self._file: tuple[int, str] | None = None
        self._looked = False
        self._lost = False  # the file's descriptor, closed by somebody
        self._tidy: Callable[..., None] | None = None  # merges dead workers; with a directory
        self._unshared = 0
        self._closed = False

    # ---- the file ----

    @property
    def directory(self) -> Path | None:
        """The directory this process shares, or None."""
        return self._directory

    @property
    def file(self) -> str | None:
        """The name of this process's file in it; None while it has none."""
        return None if self._file is None else self._file[1]

    @property
    def unshared(self) -> int:
        """How many policies other workers cannot see, because the file had no room."""
        return self._unshared

    def prepare(self) -> None:
        """Before a policy is made: share ``HOLDFAST_DIR``, where it is set. Read once.

        Raises:
            ConfigError: It names what is no directory to share.
        """
        if not self._looked:
            with self._lock:
                found = self._look()
            if found is not None:  # without the lock: policies of other threads need not wait
                found()
        elif self._file is not None and not (self._lost or native.is_own(self._file[0])):
            with self._lock:
                self._reopen()

    def find(self) -> None:
        """Before a scrape: find ``HOLDFAST_DIR``. A process without policies makes no file.

        Raises:
            ConfigError: The path is relative, and the current directory is gone.
        """
        if not self._looked and self._directory is None:
            with self._lock:
                if not self._looked:
                    self._directory = directory()

    def _look(self) -> Callable[[], None] | None:
        """Make a file in the directory that is set; return what is due afterwards."""
        path = None if self._looked else self._directory or directory()
        if path is not None:
            # Imported in time: a forked child must not wait for an import of another thread.
            from holdfast.stores.workers import tidy

            self._file = open_in(path)
            self._directory = path
            self._tidy = partial(tidy, path)
        self._looked = True
        return None if path is None else self._tidy

    def _reopen(self) -> None:
        """Have the file grow, though somebody has closed its descriptor, as daemons do with all."""
        if self._file is None or self._directory is None or native.is_own(self._file[0]):
            return  # a fork or another thread was faster
        path = self._directory / self._file[1]
        try:
            self._file = reopen(path), path.name
        except (OSError, ValueError) as error:
            from logging import getLogger

            self._lost = True
            getLogger("holdfast").error(
                "%s was closed, and cannot be opened again to grow: %s", path, error
            )

    def close(self) -> None:
        """At the end of the process: what dies from here on has not been given up, it ends."""
        self._closed = True

    # ---- who is in it ----

    def living(self) -> set[tuple[str, str]]:
        """Return the kinds and names that have a living policy here."""
        with self._lock:
            self._bury()
            return set(self._living)

    def enter(self, policy: Any, mode: int, parts: Iterable[Part]) -> None:
        """Count a policy in.

        Args:
            policy: It has a ``kind`` and a ``name``.
            mode: 0 enforces, 1 observes, 2 is off.
            parts: Its roles and kernels.
        """
        entry = _Entry(policy, self._die)
        entry.kind, entry.name, entry.mode = policy.kind, policy.name, mode
        entry.parts, entry.before, entry.before_ids = tuple(parts), (), []
        with self._lock:
            self._bury()
            entry.ids = self._change(set(), entry.items())
            key = (entry.kind, entry.name)
            self._living[key] = self._living.get(key, 0) + 1
            self._entries[entry] = None

    def extend(self, policy: Any, part: Part) -> Any:
        """Count in another part of a policy that is in; one that is not in yet brings it along.

        Returns:
            The part's kernel, or the one that has its role already.
        """
        role, kernel, _ = part
        with self._lock:
            for entry in getweakrefs(policy):
                if not isinstance(entry, _Entry) or entry not in self._entries:
                    continue
                for its_role, its_kernel, _ in entry.parts:
                    if its_role == role:
                        return its_kernel
                known = len(entry.parts)
                entry.parts = (*entry.parts, part)
                entry.ids += self._change(set(), entry.items()[known:])
        return kernel

    def figures(
        self, policies: Iterable[Any] | None = None, names: Collection[tuple[str, str]] = ()
    ) -> Figures:
        """Return the sums of every name, or those of some policies.

        Args:
            policies: The policies; None for all, also those that were collected.
            names: The kinds and names whose collected policies count too.
        """
        found: Figures = {}
        wanted = None if policies is None else set(map(id, policies))
        with self._lock:
            self._bury()
            for entry in list(self._entries):  # a copy: a finaliser may make a policy meanwhile
                if wanted is None or id(entry()) in wanted:
                    entry.add_to(found)
            for key, gone in self._gone.copy().items():
                if wanted is None or kind_of(key) in names:
                    add(found, key, gone.counts)
        return found

    # ---- who has left ----

    def _die(self, entry: _Entry, retire: Any = native.retire) -> None:
        """Be told by the collector, in the middle of anything, that a policy is gone."""
        if self._closed:
            return
        for _, kernel, _ in entry.parts:
            retire(kernel)
        self._dead.append(entry)

    def _bury(self) -> None:
        """Keep what the dead have counted, where their names live on. The lock is held."""
        if not self._dead:
            return
        leave: set[int] = set()
        touched: dict[Key, None] = {}
        while self._dead:
            entry = self._dead.popleft()
            del self._entries[entry]
            leave.update(entry.ids, entry.before_ids)
            key = (entry.kind, entry.name)
            self._living[key] -= 1
            if not self._living[key]:
                del self._living[key]
            entry.add_to(self._gone)
            touched.update(((role, entry.name), None) for role, _, _ in entry.parts)
        touched.update(dict.fromkeys(self._forget_names(touched)))
        stay = [key for key in touched if key in self._gone]
        leave.update(self._gone_ids.pop(key) for key in touched if key in self._gone_ids)
        come = [item_of(key, self._gone[key].counts, 0) for key in stay]
        self._gone_ids.update(zip(stay, self._change(leave, come), strict=False))

    def _forget_names(self, touched: Iterable[Key]) -> list[Key]:
        """Forget the names that have no policy any more; in a directory, only if they are many.

        Returns:
            The keys whose sums are gone or have changed.
        """
        if self._file is not None:
            return self._fold_names() if len(self._gone) > self._gone_most else []
        gone = {name for name in map(kind_of, touched) if name not in self._living}
        keys = [(role, name) for kind, name in gone for role in ROLES_OF[kind]]
        return [key for key in keys if self._gone.pop(key, None) is not None]

    def _fold_names(self) -> list[Key]:
        """Have names that have no series share ``__other__``, where their counts are shown."""
        from holdfast.stores.names import Names
        from holdfast.stores.totals import OTHER, fold

        path, most = self._directory, GONE_MOST * 9 // 10
        before, staying = self._gone, set(self._living)
        if path is not None:
            with suppress(ConfigError, OSError):  # a scrape says why
                staying |= Names(path).chosen()
        self._gone = fold(before, most, lambda: staying)
        self._gone_most = max(GONE_MOST, len(self._gone) * 10 // 9)
        keys = before.keys() - self._gone.keys()
        return [*keys, *{(role, OTHER) for role, _ in keys}]

    def _change(self, leave: set[int], come: list[Any]) -> list[int]:
        """Change the file's table; what it has no room for stays this process's own."""
        come = [item for item in come if isinstance(item[-1], tuple) or native.shares(item[-1])]
        if not native.is_shared() or not (leave or come):
            return []
        try:
            return native.change(leave, come)
        except MemoryError:
            from logging import getLogger

            self._unshared += 1
            getLogger("holdfast").error(
                "the file %s is full: other workers do not see all policies of this worker",
                self.file,
            )
            return []

    # ---- forks ----

    def after_fork(self) -> None:
        """In a forked child: only its own calls count, in a file of its own."""
        self._lock = RLock()
        self._gone.clear()
        self._gone_most = GONE_MOST
        gone_ids = set(self._gone_ids.values())
        self._gone_ids.clear()
        self._lost = False
        for entry in self._entries:
            entry.begin_anew()
        if self._file is None or self._directory is None:
            return
        if native.is_own(self._file[0]):
            os.close(self._file[0])  # or the parent would pass for alive as long as this process is
        self._file = None

        def move(fd: int) -> None:
            native.move_to(fd)
            self._change(gone_ids, [])
            for entry in self._entries:
                leave, entry.before_ids = set(entry.before_ids), []
                entry.before_ids += self._change(leave, entry.subtractions())

        try:
            self._file = make_file(self._directory, native.size(), move)
        except (ConfigError, OSError, MemoryError) as error:
            from logging import getLogger

            getLogger("holdfast").error("forked: other workers do not see this worker: %s", error)
        else:
            if self._tidy is not None:
                self._tidy(quiet=True)


class _Entry(ref["Any"]):
    """A weak reference to a policy, and strong ones to what it counts in."""

    __slots__ = ("before", "before_ids", "ids", "kind", "mode", "name", "parts")

    before: tuple[tuple[int, ...], ...]  # what its first parts had counted before a fork
    before_ids: list[int]  # where that stands in the file, and where the parts do
    ids: list[int]
    kind: str
    mode: int
    name: str
    parts: tuple[Part, ...]

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def add_to(self, figures: Figures) -> None:
        """Add what it has counted to the sums of its name, and its state while it lives."""
        lives = self() is not None
        for at, (role, kernel, extra) in enumerate(self.parts):
            raw, state = read(kernel)
            counts = exported(role, self.mode, raw)
            if at < len(self.before):
                counts = tuple(map(sub, counts, self.before[at]))
            add(figures, (role, self.name), counts, (self.mode, extra, state) if lives else None)

    def items(self) -> list[tuple[Any, ...]]:
        """Return what the file's table says of it."""
        name = self.name.encode()
        return [(role, self.mode, 0, extra, name, kernel) for role, kernel, extra in self.parts]

    def begin_anew(self) -> None:
        """In a forked child: take what it has counted so far for the parent's."""
        self.before = tuple(
            exported(role, self.mode, read(kernel)[0]) for role, kernel, _ in self.parts
        )

    def subtractions(self) -> list[tuple[Any, ...]]:
        """Return what the file's table says of the parent's counts."""
        return [
            item_of((part[0], self.name), counts, native.SUBTRACT)
            for part, counts in zip(self.parts, self.before, strict=False)
        ]


def item_of(key: Key, counts: Iterable[int], flags: int) -> tuple[Any, ...]:
    """Return what the file's table says of counts that no kernel holds."""
    return key[0], 0, flags, 0, key[1].encode(), tuple(counts)


# One for the process, as its file is: it lives on beside the native module where this one is taken
# out of sys.modules and imported again.
ledger: Ledger = native.of_process or Ledger()

if native.of_process is None:
    native.of_process = ledger
    atexit.register(ledger.close)
    call_in_child(ledger.after_fork)
