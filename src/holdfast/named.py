"""Entries by kind and name, of which several may bear one.

To put an entry in, to drop it and to find the newest costs the same however many there are.
Elsewhere: what is entered (``registry``, ``stores.ledger``).
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from operator import attrgetter
from weakref import getweakrefs, ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Key = tuple[str, str]  # kind and name

__all__ = ["Entry", "Named", "full_name"]

_serials = count()


def full_name(policy: Any) -> str:
    """Return the name by which the registry and metrics know it: that of its manager, and its own.

    A policy of no manager has only its own.
    """
    scope: str | None = getattr(policy, "_scope", None)
    name: str = policy.name
    return name if scope is None else f"{scope}/{name}"


class Entry(ref["Any"]):
    """A weak reference that knows under which kind and name it is entered."""

    __slots__ = ("key", "serial")

    key: Key
    serial: int

    def __init__(self, policy: Any, die: Callable[[Any], object]) -> None:
        super().__init__(policy, die)  # type: ignore[call-arg]  # typeshed has __new__ alone
        for other in getweakrefs(policy):
            if isinstance(other, Entry) and other is not self:  # what they say is kept once
                self.key, self.serial = other.key, other.serial
                return
        self.key = policy.kind, full_name(policy)
        self.serial = next(_serials)

    __hash__ = object.__hash__  # a dead one has a hash as well

    def __eq__(self, other: object) -> bool:
        return self is other


class Named:
    """Entries by kind and name.

    For one thread at a time: its owner has a lock. A finaliser or a signal handler of that thread
    may take any step in the middle of another. Neither is lost: each step is one native call, or
    looks afterwards whether its place was taken meanwhile.
    """

    __slots__ = ("_more", "_pair")

    def __init__(self) -> None:
        # Usually all there is: a standard pipeline has two timeouts of one name. In lists of their
        # own, names would weigh twice as much.
        self._pair: tuple[dict[Key, Entry], dict[Key, Entry]] = ({}, {})
        self._more: dict[Key, OrderedDict[Entry, None]] = {}  # that came while there were two

    def __len__(self) -> int:
        first, second = self._pair
        return len(first) + len(second) + sum(map(len, list(self._more.values())))

    def __contains__(self, entry: Entry) -> bool:
        key, (first, second) = entry.key, self._pair
        return (
            first.get(key) is entry or second.get(key) is entry or entry in self._more.get(key, ())
        )

    def bears(self, key: Key) -> bool:
        """Return whether an entry has that kind and name."""
        first, second = self._pair
        return key in first or key in second or bool(self._more.get(key))

    def keys(self) -> set[Key]:
        """Return every kind and name that an entry has."""
        first, second = self._pair
        return {*first, *second, *(key for key, more in self._more.copy().items() if more)}

    def put(self, entry: Entry) -> None:
        """Put in an entry that is in no more than once."""
        first, second = self._pair
        there = first.get(entry.key)
        if there is not None:
            entry.key = there.key  # one object for both
        key = entry.key
        while (
            first.setdefault(key, entry) is not entry and second.setdefault(key, entry) is not entry
        ):
            more = self._more.setdefault(key, OrderedDict())
            more[entry] = None
            if self._more.get(key) is more:  # or a finaliser has emptied it, and dropped it
                return

    def drop(self, entry: Entry) -> None:
        """Take out an entry; one that is not in changes nothing."""
        key = entry.key
        for there in self._pair:
            if there.get(key) is entry:
                taken = there.pop(key, entry)
                if taken is not entry:  # a finaliser has put it there meanwhile
                    self.put(taken)
                return
        if (more := self._more.get(key)) is not None:
            more.pop(entry, None)
            if not more:
                for one in list(self._more.pop(key, ())):
                    self.put(one)

    def newest(self, key: Key) -> Any:
        """Return what the newest entry of that kind and name refers to, if that lives; or None."""
        while True:
            newest, serial = None, -1
            for one in self._pair:
                there = one.get(key)
                lives = None if there is None else there()
                if there is not None and lives is not None and there.serial > serial:
                    newest, serial = lives, there.serial
            try:
                for entry in reversed(self._more.get(key, ())):
                    policy = entry()
                    if policy is not None:
                        return policy if entry.serial > serial else newest
            except RuntimeError:  # a finaliser has changed it meanwhile
                continue
            return newest

    def all(self) -> list[Any]:
        """Return every entry, oldest first."""
        first, second = self._pair
        entries = [*list(first.values()), *list(second.values())]
        for more in list(self._more.values()):
            entries.extend(more)
        entries.sort(key=attrgetter("serial"))
        return entries
