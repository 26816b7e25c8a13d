"""Which policies live, by kind and name.

Weak: being registered keeps no policy alive. Several living policies may bear one name, after a
reload or one for each event loop. Elsewhere: names within a manager, which are the manager's.
"""

from __future__ import annotations

from collections import deque
from itertools import chain, count
from operator import attrgetter
from threading import RLock
from weakref import WeakSet, ref

from holdfast.forks import call_in_child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # Anything with a kind and a name; the floors above have the classes.
    Registered = Any

__all__ = ["Registry", "registry"]


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
        # Oldest first. The tuples are replaced, never changed, so every step leaves a whole.
        self._entries: dict[tuple[str, str], tuple[_Entry, ...]] = {}
        # Entries of policies that died, put here by the garbage collector, which must not wait.
        self._dead: deque[_Entry] = deque()
        self._serials = count()
        self._nameless: WeakSet[Registered] = WeakSet()  # in here for forks only
        self._watchers: dict[object, Callable[[Registered], object]] = {}
        _call_in_forked_child(self)

    def add(self, policy: Registered, *, shared: bool = False) -> Registered:
        """Register a policy under its ``kind`` and ``name``.

        Args:
            policy: The policy.
            shared: Whether ``find_shared`` may hand it out. Of several made at the same moment
                one wins.

        Returns:
            The policy, or the living shared one that was there first.
        """
        entry = _Entry(policy, self._dead.append)
        entry.key = key = (policy.kind, policy.name)
        entry.serial = next(self._serials)
        entry.shared = shared
        with self._lock:
            self._bury()
            there = self.find_shared(*key) if shared else None
            if there is not None:
                return there
            self._entries[key] = (*self._entries.get(key, ()), entry)
        for watch in list(self._watchers.values()):
            watch(policy)
        return policy

    def mind(self, policy: Registered) -> None:
        """Have a policy without a name, which is not found here, forget the parent after a fork."""
        self._nameless.add(policy)
        for watch in list(self._watchers.values()):
            watch(policy)

    def watch(self, made: Callable[[Registered], object]) -> Callable[[], None]:
        """Have ``made(policy)`` called for each policy that is made from here on.

        Returns:
            A function that ends it.
        """
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
            aside, self._entries = self._entries, {}

        def bring_back() -> None:
            with self._lock:
                self._dead.clear()
                living = {
                    key: tuple(entry for entry in entries if entry() is not None)
                    for key, entries in aside.items()
                }
                self._entries = {key: entries for key, entries in living.items() if entries}

        return bring_back

    def get(self, kind: str, name: str) -> Registered | None:
        """Return the newest living policy of that kind and name, or None."""
        return self._newest(kind, name, shared=False)

    def find_shared(self, kind: str, name: str) -> Registered | None:
        """Return the living policy of that kind and name that was made to be shared, or None."""
        return self._newest(kind, name, shared=True)

    def all(self, kind: str | None = None) -> list[Registered]:
        """Return the living policies, or those of one kind, oldest first."""
        with self._lock:
            self._bury()
            there = list(self._entries.values())  # at once: a finaliser may make a policy meanwhile
        entries = list(chain.from_iterable(there))
        entries.sort(key=attrgetter("serial"))
        policies = [entry() for entry in entries if kind is None or entry.key[0] == kind]
        return [policy for policy in policies if policy is not None]

    def reset_all(self) -> None:
        """Put every living policy back to where it began, by its ``reset()`` or ``clear()``.

        Raises:
            ExceptionGroup: What any of them raised, after all were asked.
        """
        _for_each(self.all(), _reset, "resetting policies")

    def _newest(self, kind: str, name: str, *, shared: bool) -> Registered | None:
        for entry in reversed(self._entries.get((kind, name), ())):
            policy = entry()
            if policy is not None and entry.shared >= shared:
                return policy
        return None

    def _bury(self) -> None:
        """Drop the entries of dead policies. The lock is held."""
        while self._dead:
            dead = self._dead.popleft()
            left = tuple(one for one in self._entries.get(dead.key, ()) if one is not dead)
            if left:
                self._entries[dead.key] = left
            else:
                self._entries.pop(dead.key, None)

    def _after_fork(self) -> None:
        """In a forked child: have a lock nobody holds, and policies without the parent's calls."""
        self._lock = RLock()
        _for_each([*self.all(), *self._nameless], _forget_parent, "after a fork")


class _Entry(ref["Registered"]):
    """A weak reference to a policy that knows where it is registered."""

    __slots__ = ("key", "serial", "shared")

    key: tuple[str, str]
    serial: int
    shared: bool


def _reset(policy: Registered) -> None:
    (getattr(policy, "reset", None) or policy.clear)()


def _forget_parent(policy: Registered) -> None:
    policy._after_fork()


def _for_each(policies: list[Registered], do: Callable[[Registered], None], what: str) -> None:
    errors = []
    for policy in policies:
        try:
            do(policy)
        except Exception as error:  # noqa: BLE001 - raised below, once all had their turn
            errors.append(error)
    if errors:
        raise ExceptionGroup(what, errors)


def _call_in_forked_child(owner: Registry) -> None:
    # What is registered for forks stays for ever, so it must not keep the registry alive.
    reference = ref(owner)

    def in_child() -> None:
        alive = reference()
        if alive is not None:
            alive._after_fork()

    call_in_child(in_child)


registry = Registry()
