"""Which policies live, by kind and name.

Weak: being registered keeps no policy alive. Several living policies may bear one name, after a
reload or one for each event loop. Elsewhere: names within a manager, which are the manager's.
"""

from __future__ import annotations

from collections import deque

from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.named import Entry, Named
from holdfast.validation import require_callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # Anything with a kind and a name; the floors above have the classes.
    Registered = Any

__all__ = ["Registry", "kinds", "registry"]

# Of the classes that there are, and of those that are imported at their first use.
kinds: set[str] = {"error_budget", "fault", "hedge", "latency_budget"}


class Registry:
    """Living policies by kind and name.

    A registry is meant to live as long as the process. Safe to share between threads and event
    loops.

    >>> registry.get("circuit_breaker", "unheard of") is None
    True
    """

    def __init__(self) -> None:
        # Re-entrant: a policy may be made by a finaliser while this thread holds the lock.
        self._lock = RLock()
        self._entries = Named()
        self._shared: dict[tuple[str, str], Entry] = {}  # which of them ``find_shared`` hands out
        # Entries of policies that died, put here by the garbage collector, which must not wait.
        self._dead: deque[Entry] = deque()
        self._die = self._dead.append  # one for all: a method that is looked up is an object
        self._kinds: set[str] = set()  # of all that was ever registered
        self._watchers: dict[object, Callable[[Registered], object]] = {}
        mind(self)

    def add(self, policy: Registered, *, shared: bool = False) -> Registered:
        """Register a policy under its ``kind`` and ``name``.

        Args:
            policy: The policy.
            shared: Whether ``find_shared`` may hand it out. Of several made at the same moment
                one wins.

        Returns:
            The policy, or the living shared one that was there first.
        """
        entry = Entry(policy, self._die)
        self._kinds.add(policy.kind)
        with self._lock:
            self._bury()
            there = self._share(entry) if shared else None
            if there is not None:
                return there
            self._entries.put(entry)
        for watch in list(self._watchers.values()):
            watch(policy)
        return policy

    def mind(self, policy: Registered) -> None:
        """Tell those who watch of a policy without a name, which is not found here."""
        for watch in list(self._watchers.values()):
            watch(policy)

    def watch(self, made: Callable[[Registered], object]) -> Callable[[], None]:
        """Have ``made(policy)`` called for each policy that is made from here on.

        Returns:
            A function that ends it.

        Raises:
            TypeError: ``made`` does not take one argument, or is a coroutine or generator function.
        """
        require_callable("made", made, one=True)
        watcher = object()
        self._watchers[watcher] = made

        def end() -> None:
            self._watchers.pop(watcher, None)

        return end

    def set_aside(self) -> Callable[[], None]:
        """Be empty, for a test, until the function that is returned brings back what was here.

        What comes meanwhile is forgotten then; so is nothing of what was here, but for the dead.
        """
        with self._lock:
            self._bury()
            aside, self._entries = self._entries, Named()
            shared, self._shared = self._shared, {}

        def bring_back() -> None:
            with self._lock:
                self._dead.clear()
                self._entries = Named()
                for entry in aside.all():
                    if entry() is not None:
                        self._entries.put(entry)
                self._shared = {key: one for key, one in shared.items() if one() is not None}

        return bring_back

    def get(self, kind: str, name: str) -> Registered | None:
        """Return the newest living policy of that kind and name, or None.

        Raises:
            LookupError: No policy is of such a kind.
        """
        _require_kind(kind, kinds | self._kinds)
        settle()
        with self._lock:
            self._bury()
            return self._entries.newest((kind, name))

    def find_shared(self, kind: str, name: str) -> Registered | None:
        """Return the living policy of that kind and name that was made to be shared, or None."""
        entry = self._shared.get((kind, name))
        return None if entry is None else entry()

    def all(self, kind: str | None = None) -> list[Registered]:
        """Return the living policies, or those of one kind, oldest first.

        Raises:
            LookupError: No policy is of such a kind.
        """
        if kind is not None:
            _require_kind(kind, kinds | self._kinds)
        settle()
        with self._lock:
            self._bury()
            entries = self._entries.all()
        policies = [entry() for entry in entries if kind is None or entry.key[0] == kind]
        return [policy for policy in policies if policy is not None]

    def _names(self, kind: str) -> set[tuple[str, str]]:
        """Return the kind and each name of living policies of that kind."""
        settle()
        with self._lock:
            self._bury()
            keys = self._entries.keys()
        return {key for key in keys if key[0] == kind}

    def _bears(self, key: tuple[str, str]) -> bool:
        """Return whether a living policy has that kind and name."""
        with self._lock:
            self._bury()
            return self._entries.bears(key)

    def reset_all(self) -> None:
        """Put every living policy back to where it began, by its ``reset()`` or ``clear()``.

        Raises:
            ExceptionGroup: What any of them raised, after all were asked.
        """
        _for_each(self.all(), _reset, "resetting policies")

    def __repr__(self) -> str:
        return f"<Registry of {len(self.all())} living policies>"

    if not TYPE_CHECKING:  # or a type checker would accept every name

        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):  # what tools look for: raises the plain error
                return object.__getattribute__(self, name)
            from holdfast.hints import missing_attribute

            raise missing_attribute(self, type(self), name)

    def _share(self, entry: Entry) -> Registered | None:
        """Have ``find_shared`` find an entry, or return the living policy that it finds already."""
        while (there := self._shared.setdefault(entry.key, entry)) is not entry:
            living = there()
            if living is not None:
                return living
            self._unshare(there)
        return None

    def _unshare(self, entry: Entry) -> None:
        if self._shared.get(entry.key) is entry:
            taken = self._shared.pop(entry.key, entry)
            if taken is not entry:  # a finaliser has put it there meanwhile
                self._shared.setdefault(entry.key, taken)

    def _bury(self) -> None:
        """Drop the entries of dead policies. The lock is held."""
        while self._dead:
            try:
                dead = self._dead[0]
                self._entries.drop(dead)
                self._unshare(dead)
                self._dead.remove(dead)  # last: a signal handler may raise before
            except (IndexError, ValueError):  # a finaliser has buried it meanwhile
                continue

    def _after_fork(self) -> None:
        """In a forked child: have a lock nobody holds."""
        self._lock = RLock()


def _require_kind(kind: object, known: set[str]) -> None:
    if not isinstance(kind, str) or kind not in known:
        from holdfast.hints import nearest

        # A class has its kind as an attribute.
        own = kind if isinstance(kind, str) else getattr(kind, "kind", None)
        meant = nearest(own, known) if isinstance(own, str) else None
        hint = f": did you mean {meant!r}?" if meant else ""
        raise LookupError(f"kind: got {kind!r}, allowed one of {', '.join(sorted(known))}{hint}")


def _reset(policy: Registered) -> None:
    (getattr(policy, "reset", None) or policy.clear)()


def _for_each(policies: list[Registered], do: Callable[[Registered], None], what: str) -> None:
    errors = []
    for policy in policies:
        try:
            do(policy)
        except Exception as error:  # noqa: BLE001 - raised below, once all had their turn
            errors.append(error)
    if errors:
        raise ExceptionGroup(what, errors)


registry = Registry()
