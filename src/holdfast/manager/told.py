"""What others hear of what is registered: the tracker of objectives, health checks, listeners.

Several threads may register under one name at the same time. Each looks, once it has told, whether
what it told of is still what is registered; so whoever is the last has told of what remains.
Elsewhere: components and levels (``followed``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from holdfast.errors import ConfigError
from holdfast.events import Listeners

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.health.check import Check

    Manager = Any  # ResilienceManager, which stands above

__all__ = [
    "BUDGETS",
    "Closing",
    "Listening",
    "tell_checks",
    "tell_listener",
    "tell_timeouts",
    "tell_tracker",
]

BUDGETS = ("error_budget", "latency_budget")


class Closing:
    """A check that closes the breaker of a name, whichever that is."""

    __slots__ = ("breaker", "check", "opens")

    def __init__(self, check: Check, breaker: str, *, opens: bool) -> None:
        self.check = check
        self.breaker = breaker
        self.opens = opens


def tell_tracker(manager: Manager, kind: str, name: str) -> None:
    """Have the tracker of objectives know the budget of a name that is registered now, if any."""
    tracker = manager._slo
    while tracker is not None:
        entry = manager._registered.get(kind, name)
        there = tracker.get(name, kind)
        if there is not None and (entry is None or there is not entry.policy):
            tracker.unregister(there)
        if entry is not None:
            try:
                tracker.register(entry.policy)
            except ConfigError:  # another thread has told of another one meanwhile
                continue
        if manager._registered.get(kind, name) is entry:
            return


def tell_checks(manager: Manager, name: str) -> None:
    """Have the checks that close the breaker of a name close the one that is registered now."""
    for closing in list(manager._closing.values()):
        while closing.breaker == name:
            entry = manager._registered.get("circuit_breaker", name)
            if entry is None:
                break
            manager.health._put(
                closing.check, entry.policy, opens=closing.opens, instead_of=closing.check
            )
            if manager._registered.get("circuit_breaker", name) is entry:
                break


def tell_timeouts(manager: Manager, name: str) -> None:
    """Have operations of a type take as long as the timeout says that is registered now, if any."""
    while manager._timeouts is not None:
        entry = manager._registered.get("timeout", name)
        manager._timeouts._give(name, None if entry is None else entry.policy._kernel.duration_ns())
        if manager._registered.get("timeout", name) is entry:
            return


def tell_listener(manager: Manager, listening: Listening, kind: str, name: str) -> None:
    """Have a listener hear of the policy of a name that is registered now, if any."""
    while True:
        entry = manager._registered.get(kind, name)
        if entry is None:
            return
        listening.listen_to(entry.policy)
        if manager._registered.get(kind, name) is entry:
            return
        listening.leave(entry.policy)


class Listening:
    """One listener of a manager, at all its policies."""

    def __init__(self, listener: Any) -> None:
        self._listener = listener
        # By identity: the policy, and what ends it once it was begun. Of several threads that begin
        # with one policy one goes on; what ended meanwhile is ended by the one that began it.
        self._at: dict[int, list[Any]] = {}
        self._is_over = False
        # At what keys have, which is not to be kept alive by it.
        self._at_keys: WeakKeyDictionary[Any, Callable[[], None]] = WeakKeyDictionary()

    def listen_to(self, policy: Any) -> None:
        """Hear of the events of a policy."""
        place = [policy]
        if self._at.setdefault(id(policy), place) is not place:
            return
        place.append(policy.on_event(self._listener))
        if self._is_over or self._at.get(id(policy)) is not place:
            place[1]()

    def leave(self, policy: Any) -> None:
        """Hear no more of a policy."""
        for remove in self._at.pop(id(policy), [policy])[1:]:
            remove()

    def listen_to_key(self, policy: Any) -> None:
        """Hear of the events of a policy that one key has."""
        if policy in self._at_keys:
            return
        # on_event() would return a function that holds the policy.
        self._at_keys[policy] = policy._once("_listeners", Listeners).subscribe(self._listener)
        policy._mind_listeners()
        if self._is_over:
            self.end()

    def end(self) -> None:
        """Hear no more of anything."""
        self._is_over = True
        for _, *removers in self._at.copy().values():
            for remove in removers:
                remove()
        for one in self._at_keys.keyrefs():  # in one step: other threads may add some
            policy = one()
            if policy is not None and (remove := self._at_keys.get(policy)) is not None:
                remove()
                policy._mind_listeners()
