"""What this process has to say: the figures of its living policies, and of those that are gone.

What a collected policy counted stays in the sum of its name while another of that name lives, and
goes with the last. In a shared directory it stays, since other workers may have the name: there its
kernels stay listed, retired, until enough are to be summed up. That writes the file's table anew.
Elsewhere: how figures are named (telemetry), files and who is alive (``files``, ``workers``).
"""

from __future__ import annotations

import atexit
import os
import sys
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import chain, starmap
from weakref import getweakrefs

from holdfast._native import ledger as native
from holdfast._native.figures import read
from holdfast.errors import ConfigError
from holdfast.forks import call_in_child, say, say_later, settle
from holdfast.locks import RLock
from holdfast.named import Entry, Named
from holdfast.registry import registry
from holdfast.stores.figures import (
    BREAKER,
    CALLS,
    COMPONENT,
    DEGRADATION,
    ERROR_BUDGET,
    KINDS,
    OTHER,
    OWN_CLOCK,
    PIPELINE,
    ROLES_OF,
    add,
    exported,
    kind_of,
    with_accepting,
)
from holdfast.stores.files import FEW, Directory, directory, make_file, open_in, reopen

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

# The dead are taken out of the file's table when they are this many, and this share of it. So what
# is written anew is no more than a few entries for each that leaves.
DEAD_LEAST = 16
DEAD_SHARE = 8

# What shows figures as of the last time that it knows, if its clock is not the machine's.
_LOOKED_AT = (ERROR_BUDGET, COMPONENT)

_NOWHERE: list[int] = []  # of entries that are not in a file; never changed


class Ledger:
    """The figures of this process.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        # Re-entrant: a policy may be made or die in a finaliser while this thread holds the lock.
        self._lock = RLock()
        self._entries = Named()  # of living policies
        self._dead: deque[_Entry] = deque()  # put here by the collector, which must not wait
        self._told = native.Deaths(self._dead)
        self._burying = False
        self._changes = 0
        self._retired: dict[_Entry, None] = {}  # of collected policies, listed in the file
        self._patience = 0  # so many may be retired before the table is tried again
        self._gone: Figures = {}  # sums of collected policies that are not
        self._gone_most = GONE_MOST
        self._gone_ids: dict[Key, int] = {}  # where they stand in the file
        self._change: _Change | None = None
        self._directory: Path | None = None
        self._file: tuple[int, str] | None = None
        self._looked = False
        self._lost = False  # the file's descriptor, closed by somebody
        self._tidy: Callable[..., None] | None = (
            None  # merges dead workers; None until some may be dead
        )
        self._forks = 0
        self._said = ""  # of the file, in the log
        self._unshared = 0

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
    def is_new(self) -> bool:
        """Whether no policy has been made in this process, or in one that it was forked from."""
        return not self._looked

    @property
    def unshared(self) -> int:
        """How many policies other workers cannot see, because the file had no room."""
        return self._unshared

    def prepare(self) -> None:
        """Before a policy is made: share ``HOLDFAST_DIR``, where it is set. Read once.

        Raises:
            ConfigError: It names what is no directory to share.
        """
        settle()
        say()
        if not self._looked:
            with self._lock:
                self._look()
            if self._tidy is not None:  # without the lock: policies of other threads need not wait
                self._tidy()

    def find(self) -> None:
        """Before a scrape: find ``HOLDFAST_DIR``. A process without policies makes no file.

        Raises:
            ConfigError: The path is relative, and the current directory is gone.
        """
        settle()
        if not self._looked and self._directory is None:
            with self._lock:
                if not self._looked:
                    self._directory = directory()
        elif native.is_lost() or (self._file is None and native.size()):
            with self._lock:
                self._make_anew()

    def _look(self) -> None:
        path = None if self._looked else self._directory or directory()
        if path is not None:
            self._file = open_in(path)
            self._directory = path
            with suppress(OSError):
                # uWSGI forks without telling its master: no other moment comes.
                if len(os.listdir(path)) >= FEW or "uwsgi" in sys.modules:
                    self._load_tidy()
        self._looked = True

    def _load_tidy(self) -> None:
        """Import what merges dead workers, which takes as long as all else at a start.

        A forked child cannot import it: the lock of an import may belong to another thread of the
        parent.
        """
        if self._tidy is None and self._directory is not None:
            from holdfast.stores.workers import tidy

            self._tidy = partial(tidy, self._directory)

    def forked(self) -> None:
        """In the parent, after a fork: from the next few on, children look for dead ones."""
        self._forks += 1
        if self._forks >= FEW // 2 and self._file is not None:
            self._load_tidy()

    def reopen(self) -> bool:
        """Open the file again to grow it, if somebody has closed it, as daemons close everything.

        Returns:
            Whether it is open.
        """
        with self._lock:
            if native.is_lost():
                self._make_anew()
            if self._file is None or self._directory is None or self._lost:
                return False
            if native.is_own(self._file[0]):  # another thread was faster
                return True
            path = self._directory / self._file[1]
            try:
                self._file = reopen(path), path.name
            except (OSError, ValueError) as error:
                from logging import getLogger

                self._lost = True
                getLogger("holdfast").error(
                    "%s was closed, and cannot be opened again to grow: %s", path, error
                )
            return not self._lost

    def _make_anew(self) -> None:
        """Make another file: somebody has removed or truncated this one, or there could be none."""
        path, there = self._directory, self._file
        if path is None or (there is not None and not native.is_lost()):
            return  # a fork or another thread was faster
        still_ours = there is not None and native.is_own(there[0])

        def move(fresh: int) -> None:
            native.move_to(fresh)
            self._list_anew()

        self._file = None
        try:
            self._file = make_file(path, native.size(), move, make=there is not None)
            if there is not None:
                self._say_once(f"{path}: {there[1]} was removed or truncated, and is made anew")
                with Directory(path) as shared:
                    shared.remove(there[1])
        except (ConfigError, OSError, MemoryError) as error:
            self._say_once(f"{path}: other workers do not see this worker: {error}")
        finally:
            if still_ours and there is not None:  # a daemon may have closed it
                os.close(there[0])

    def _list_anew(self) -> None:
        """Have the table of another file say what the last one said, or was to say."""
        self._finish_change()
        native.empty_table()
        for entry in (*self._entries.all(), *self._retired):
            entry.ids = _NOWHERE
            self._list(entry)
        keys = list(self._gone)
        come = [item_of(key, self._gone[key].counts) for key in keys]
        self._gone_ids = dict(zip(keys, native.change((), come), strict=True))

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            say_later("%s", text)

    def close(self) -> None:
        """At the end of the process: what dies from here on has not been given up, it ends."""
        self._told.close()

    # ---- who is in it ----

    def living(self) -> set[tuple[str, str]]:
        """Return the kinds and names that have a living policy here."""
        with self._lock:
            self._bury()
            return self._entries.keys()

    def enter(self, policy: Any, mode: int, parts: Iterable[Part]) -> None:
        """Count a policy in.

        Args:
            policy: It has a ``kind`` and a ``name``.
            mode: 0 enforces, 1 observes, 2 is off.
            parts: Its roles and kernels.
        """
        with self._lock:
            self._enter(policy, mode, parts)
        say()

    def _enter(self, policy: Any, mode: int, parts: Iterable[Part]) -> None:
        entry = _Entry(policy, self._told)
        entry.mode, entry.parts, entry.ids = mode, tuple(parts), _NOWHERE
        self._bury()
        self._changes += _counts_calls(entry.parts)
        # First: a signal handler may raise from here on, and the collector is told of it then.
        self._entries.put(entry)
        self._list(entry)

    def extend(self, policy: Any, part: Part, *, enters: bool = False) -> Any:
        """Count in another part of a policy that is in; one that is not in yet brings it along.

        Args:
            policy: The policy.
            part: Its part.
            enters: Whether to count in a policy that is not in, which has no other part.

        Returns:
            The part's kernel, or the one that has its role already.
        """
        role, kernel, _ = part
        with self._lock:
            entries = self._entries_of(policy)
            if enters and not entries:
                self._enter(policy, 0, (part,))
            for entry in entries:
                for its_role, its_kernel, _ in entry.parts:
                    if its_role == role:
                        return its_kernel
                known = len(entry.parts)
                self._changes += _counts_calls((part,))
                entry.parts = (*entry.parts, part)
                self._list(entry, known)
        return kernel

    def role_of(self, policy: Any) -> int | None:
        """Return the role of a policy's first part; None if it is not in.

        Takes no lock: a timeout asks when it raises, perhaps during a scrape or after a fork.
        """
        entries = self._entries_of(policy)
        return entries[0].parts[0][0] if entries else None

    def figures(
        self, policies: Iterable[Any] | None = None, names: Collection[tuple[str, str]] = ()
    ) -> Figures:
        """Return the sums of every name, or those of some policies.

        Args:
            policies: The policies; None for all, also those that were collected.
            names: The kinds and names whose collected policies count too.
        """
        settle()
        say()
        found: Figures = {}
        with self._lock:
            self._bury()
            retired = list(self._retired)
            if policies is None:
                entries = [*self._entries.all(), *retired]
            else:
                once = {id(policy): policy for policy in policies}
                entries = [one for policy in once.values() for one in self._entries_of(policy)]
                entries += [entry for entry in retired if entry.key in names]
            for entry in entries:
                entry.add_to(found)
            for key, gone in self._gone.copy().items():
                if self._file is None and not self._is_borne(kind_of(key)):
                    self._gone.pop(key, None)  # of a pipeline whose last namesake had no call
                elif policies is None or kind_of(key) in names:
                    add(found, key, gone.counts)
        return found

    @property
    def changes(self) -> int:
        """A number that is another one once an operation or a pipeline has come or gone."""
        with self._lock:
            self._bury()
            return self._changes

    def callers(self, roles: Collection[int], prefix: str = "") -> dict[Any, str]:
        """Return where the calls of living operations and pipelines are counted, and their names.

        Args:
            roles: OPERATION, PIPELINE or both.
            prefix: Only those whose names begin so; it is left out of the names.
        """
        settle()
        with self._lock:
            self._bury()
            entries = self._entries.all()
        kinds = {KINDS[role] for role in roles}
        length = len(prefix)
        found: dict[Any, str] = {}
        for entry in entries:
            kind, name = entry.key
            if kind in kinds and name.startswith(prefix):
                for role, kernel, _ in entry.parts:
                    if role in roles:
                        found[kernel] = name[length:]
        return found

    def _entries_of(self, policy: Any) -> list[_Entry]:
        found = [one for one in getweakrefs(policy) if isinstance(one, _Entry)]
        return [entry for entry in found if entry in self._entries]

    # ---- who has left ----

    def _bury(self) -> None:
        """Keep what the dead have counted, where their names live on. The lock is held."""
        if self._burying:  # a finaliser amid it leaves the dead to who is at it
            return
        if self._change is not None:  # a signal handler has raised before it was kept in mind
            self._finish_change()
        if not self._dead:
            return
        try:
            self._burying = True
            while self._dead:
                self._bury_one(self._dead[0])
                self._dead.popleft()  # last: a signal handler may raise before
            enough = max(self._patience, native.listed() // DEAD_SHARE)
            if len(self._retired) > DEAD_LEAST + enough:
                self._sum_up()
        finally:
            self._burying = False

    def _bury_one(self, entry: _Entry) -> None:
        self._changes += _counts_calls(entry.parts)
        self._entries.drop(entry)
        for role, kernel, _ in entry.parts:
            if role == COMPONENT:  # nobody is left who wants it to be up
                kernel.end()
        if self._file is None and not self._is_borne(entry.key):
            kind, name = entry.key
            for role in ROLES_OF.get(kind, ()):
                self._gone.pop((role, name), None)
        elif entry.ids:
            self._retired[entry] = None
        else:
            sums = self._with_gone([entry])
            entry.parts = ()  # a signal handler runs before this line, or after the next
            self._gone.update(sums)

    def _is_borne(self, key: tuple[str, str]) -> bool:
        """Return whether a policy of that kind and name lives; idle pipelines are not in here."""
        if self._entries.bears(key):
            return True
        return key[0] == KINDS[PIPELINE] and registry._bears(key)

    def _with_gone(self, entries: Iterable[_Entry]) -> Figures:
        """Return the sums of some of the dead and of all before them that bear their names."""
        sums: Figures = {}
        for entry in entries:
            entry.add_to(sums)
        for key in sums:
            if key in self._gone:
                add(sums, key, self._gone[key].counts)
        return sums

    def _sum_up(self) -> None:
        """Put sums in place of the retired in the file's table."""
        self._finish_change()
        retired = list(self._retired)
        sums = self._with_gone(retired)
        before = {**self._gone, **sums}
        if self._directory is None or len(before) <= self._gone_most:
            self._put(retired, sums, before, before)
            return
        from holdfast.stores.names import Names

        # Until the table says so: no scrape may give a name a series that is added to __other__.
        with Names(self._directory, quiet=True).kept() as chosen:
            gone = before if chosen is None else self._folded(before, chosen)
            self._put(retired, sums, before, gone)

    def _put(self, retired: list[_Entry], sums: Figures, before: Figures, gone: Figures) -> None:
        folded = before.keys() - gone.keys()
        touched = {*sums, *folded, *((role, OTHER) for role, _ in folded)}
        change = _Change(retired, gone, touched, [key for key in touched if key in gone])
        leave = [self._gone_ids[key] for key in touched if key in self._gone_ids]
        leave += chain.from_iterable(entry.ids for entry in retired)
        come = [item_of(key, gone[key].counts) for key in change.come]
        self._change = change
        try:
            change.ids.extend(starmap(native.change, ((leave, come),)))
        except MemoryError:  # they stay retired, and count as they are
            self._patience = 2 * len(retired)
        self._finish_change()

    def _folded(self, gone: Figures, chosen: set[tuple[str, str]]) -> Figures:
        """Have names that have no series share ``__other__``, where their counts are shown."""
        from holdfast.stores.totals import fold

        folded = fold(gone, GONE_MOST * 9 // 10, lambda: self._entries.keys() | chosen)
        self._gone_most = max(GONE_MOST, len(folded) * 10 // 9)
        return folded

    def _finish_change(self) -> None:
        """Keep in mind what the table has; after a signal handler has raised, what it has by now.

        Only ``ids`` says whether the table was changed: they came in the same native call.
        """
        change = self._change
        if change is not None and change.ids:
            self._gone = change.gone
            for key in change.touched:
                self._gone_ids.pop(key, None)
            self._gone_ids.update(zip(change.come, change.ids[0], strict=True))
            for entry in change.retired:
                self._retired.pop(entry, None)
            self._patience = 0
        self._change = None

    def _list(self, entry: _Entry, known: int = 0) -> None:
        """List parts in the file's table; what it has no room for stays this process's own.

        Args:
            entry: Its parts but the first that are known.
            known: How many those are.
        """
        if not native.is_shared():
            return
        parts = entry.items()[known:]
        come = [item for item in parts if native.shares(item[-1])]
        is_full = len(come) < len(parts)
        if come:
            if entry.ids is _NOWHERE:
                entry.ids = []
            try:
                # One native call: a signal handler that raises comes before it, or after it.
                entry.ids.extend(chain.from_iterable(starmap(native.change, (((), come),))))
            except MemoryError:
                is_full = True
        if is_full:
            self._unshared += 1
            self._say_once(
                f"{self._directory}: the file of this worker is full and cannot grow: other "
                "workers do not see all policies of this worker"
            )

    # ---- forks ----

    def after_fork(self) -> None:
        """In a forked child: only its own calls count, in a file of its own."""
        self._lock = RLock()
        self._burying = False
        self._finish_change()
        self._gone.clear()
        self._gone_most = GONE_MOST
        gone_ids = list(self._gone_ids.values())
        self._gone_ids.clear()
        self._lost = False
        self._said = ""  # the log of the parent says nothing of the child
        if self._file is None or self._directory is None:
            return
        if native.is_own(self._file[0]):
            os.close(self._file[0])  # or the parent would pass for alive as long as this process is
        self._file = None

        is_damaged = native.is_damaged()

        def move(fd: int) -> None:
            native.move_to(fd)
            if is_damaged:
                self._list_anew()
            else:
                native.change(gone_ids, [])

        try:
            self._file = make_file(self._directory, native.size(), move)
        except (ConfigError, OSError, MemoryError) as error:
            say_later("forked: other workers do not see this worker: %s", error)
        else:
            if self._tidy is not None:
                self._tidy(quiet=True)


class _Change:
    """What is to be known of the file's table once it has changed."""

    __slots__ = ("come", "gone", "ids", "retired", "touched")

    def __init__(
        self, retired: list[_Entry], gone: Figures, touched: set[Key], come: list[Key]
    ) -> None:
        self.retired, self.gone, self.touched, self.come = retired, gone, touched, come
        self.ids: list[list[int]] = []  # where the sums that come stand; once they do


class _Entry(Entry):
    """A weak reference to a policy, and strong ones to what it counts in."""

    __slots__ = ("ids", "mode", "parts")

    ids: list[int]  # where the parts stand in the file
    mode: int
    parts: tuple[Part, ...]

    def add_to(self, figures: Figures) -> None:
        """Add what it has counted to the sums of its name, and its state while it lives."""
        policy = self()
        for role, kernel, extra in self.parts:
            if role in _LOOKED_AT and extra == OWN_CLOCK and policy is not None:
                kernel.look(policy._clock.now_ns())
            elif role == DEGRADATION and policy is not None:
                kernel.count(policy._clock.now_ns())
            raw, state = read(kernel)
            counts = exported(role, self.mode, raw)
            if role == BREAKER and policy is not None:
                state = with_accepting(state, policy._clock.now_ns())
            there = None if policy is None else (self.mode, extra, state)
            add(figures, (role, self.key[1]), counts, there)

    def items(self) -> list[tuple[Any, ...]]:
        """Return what the file's table says of it."""
        name = self.key[1].encode()
        return [(role, self.mode, 0, extra, name, kernel) for role, kernel, extra in self.parts]


def _counts_calls(parts: Iterable[Part]) -> bool:
    """Return whether calls are counted there, as those of an operation or a pipeline."""
    return any(role in CALLS for role, _, _ in parts)


def item_of(key: Key, counts: Iterable[int]) -> tuple[Any, ...]:
    """Return what the file's table says of counts that no kernel holds."""
    return key[0], 0, 0, 0, key[1].encode(), tuple(counts)


# One for the process, as its file is: it lives on beside the native module where this one is taken
# out of sys.modules and imported again.
ledger: Ledger = native.of_process or Ledger()

if native.of_process is None:
    native.of_process = ledger
    atexit.register(ledger.close)
    os.register_at_fork(after_in_parent=ledger.forked)
    call_in_child(ledger.after_fork)
    native.reopen = ledger.reopen
