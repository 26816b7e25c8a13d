"""What happened when: phases, the upstream's process, the breaker's transitions.

Bounded, so that a demo left running for a week keeps what is recent and counts the rest.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import NamedTuple

KEPT_ENTRIES = 200
KEPT_OUTAGES = 10


class Entry(NamedTuple):
    """One line of the chronicle. ``number`` grows by one, also past entries no longer kept."""

    number: int
    at_ns: int
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Outage:
    """The breaker left ``closed``, was ``half-open`` so often, and closed again or has yet to."""

    opened_ns: int
    half_opened: int = 0
    closed_ns: int | None = None

    def after(self, at_ns: int, new: str) -> Outage:
        """Return the outage after a further transition."""
        if new == "half-open":
            return replace(self, half_opened=self.half_opened + 1)
        return replace(self, closed_ns=at_ns) if new == "closed" else self


class Chronicle:
    """Recent entries and outages, and the count of each transition. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=KEPT_ENTRIES)
        self._next = 0
        self._outages: deque[Outage] = deque(maxlen=KEPT_OUTAGES)
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, at_ns: int, subject: str, text: str) -> None:
        """Add an entry."""
        with self._lock:
            self._append(at_ns, subject, text)

    def transition(self, at_ns: int, old: str, new: str) -> None:
        """Add a transition of the breaker, as an entry too."""
        with self._lock:
            self._append(at_ns, "breaker", f"{old} → {new}")
            self._counts[old, new] += 1
            if old == "closed":
                self._outages.append(Outage(at_ns))
            elif self._outages:
                self._outages[-1] = self._outages[-1].after(at_ns, new)

    def since(self, number: int) -> list[Entry]:
        """Return the kept entries from ``number`` on, oldest first."""
        with self._lock:
            return [entry for entry in self._entries if entry.number >= number]

    def outages(self) -> list[Outage]:
        """Return the kept outages, oldest first."""
        with self._lock:
            return list(self._outages)

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how often each transition happened, in the order of their first time."""
        with self._lock:
            return Counter(self._counts)

    def _append(self, at_ns: int, subject: str, text: str) -> None:
        self._entries.append(Entry(self._next, at_ns, subject, text))
        self._next += 1
