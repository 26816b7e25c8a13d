"""Answers: what a store answers to the questions of peers, in pieces of bounded size.

A question is stateless, except for tickets: who may write an effect here, and until when. Runs in
threads. Elsewhere: who asks what (``sync``), and how questions travel (``exchange``).
"""

from __future__ import annotations

import json
import secrets
import time
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from examples.dwcp_node.entries import NO_REVISION, read_entry, read_key, read_name, read_number
from examples.dwcp_node.store import Fenced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from examples.dwcp_node.entries import Entry
    from examples.dwcp_node.store import Store

    Body = dict[str, Any]

__all__ = ["Answers", "Tickets", "as_pieces", "fence_of", "hear_fence", "read_list"]

PIECE = 192 * 1024  # bytes of JSON in one message, about
_MOST_ASKED = 65_536
_MOST_TICKETS = 1_000


class Tickets:
    """Who may write an effect into this store, once, and within a short time.

    A leader asks for a ticket, then looks whether it still leads, then sends its effect with the
    ticket. However long the effect was on its way, it is not older than the ticket. The times are
    those of this node alone.

    Args:
        seconds: How long a ticket is good: less than what remains of a leader's lease when the
            leader ceases to believe in it.
        now: Seconds that never go back.

    Safe to share between threads.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._lock = Lock()
        self._until: dict[str, tuple[float, str, int]] = {}

    def give(self, peer: str, revision: int) -> str:
        """Return a ticket for one effect."""
        with self._lock:
            now = self._now()
            for old in [one for one, (until, *_) in self._until.items() if until < now]:
                del self._until[old]
            while len(self._until) >= _MOST_TICKETS:
                del self._until[next(iter(self._until))]
            ticket = secrets.token_hex(8)
            self._until[ticket] = (now + self._seconds, peer, revision)
            return ticket

    def take(self, ticket: object, peer: str, revision: int) -> bool:
        """Return whether a ticket is good; it is used up."""
        with self._lock:
            found = self._until.pop(ticket, None) if isinstance(ticket, str) else None
            return found is not None and self._now() <= found[0] and found[1:] == (peer, revision)


class Answers:
    """Answers the questions of peers.

    Args:
        store: The store of this node.
        tickets: Who may write effects.

    Safe to share between threads.
    """

    def __init__(self, store: Store, tickets: Tickets) -> None:
        self._store = store
        self._tickets = tickets

    def answer(self, peer: str, question: Body) -> Body:
        """Return the answer to a question.

        Raises:
            ValueError: The question is none, or has a wrong field.
            StoreError: The store cannot be used.
        """
        how = {
            "digest": self._digest,
            "leaves": self._leaves,
            "versions": self._versions,
            "entries": self._entries,
            "take": self._take,
            "ticket": self._ticket,
            "effect": self._effect,
        }.get(str(question.get("is")))
        if how is None:
            raise ValueError(f"is: {str(question.get('is'))[:40]!r} is no question")
        return how(peer, question)

    def _digest(self, _: str, question: Body) -> Body:
        hear_fence(self._store, question)
        answer = fence_of(self._store)
        answer["digest"] = digest = self._store.digest()
        if digest != question.get("digest"):
            answer["groups"] = self._store.groups()
        return answer

    def _leaves(self, _: str, question: Body) -> Body:
        covered: list[int] = []
        leaves: list[list[Any]] = []
        for group in _numbers(question, "groups", 255):
            leaves += [[leaf, digest] for leaf, digest in self._store.leaves(group).items()]
            covered.append(group)
            if len(leaves) * 44 > PIECE:
                break
        return {"groups": covered, "leaves": leaves}

    def _versions(self, _: str, question: Body) -> Body:
        covered: list[int] = []
        versions: list[list[Any]] = []
        size = 0
        for leaf in _numbers(question, "leaves", 65_535):
            for entry in self._store.versions(leaf).values():
                v = entry.version
                versions.append([entry.key, v.revision, v.counter, v.writer, entry.seal.hex()])
                size += 80 + len(entry.key)
            covered.append(leaf)
            if size > PIECE:
                break
        return {"leaves": covered, "versions": versions}

    def _entries(self, _: str, question: Body) -> Body:
        keys = [read_key(key) for key in read_list(question, "keys")]
        piece: list[Any] = []
        size = 0
        for key in keys:
            entry = self._store.entry(key)
            if entry is not None:
                piece.append(entry.as_list())
                size += _size(entry)
            if size > PIECE:
                break
        return {"entries": piece}

    def _take(self, _: str, question: Body) -> Body:
        entries = [read_entry(one) for one in read_list(question, "entries")]
        return {"took": len(self._store.merge(entries))}

    def _ticket(self, peer: str, question: Body) -> Body:
        revision = read_number("revision", question.get("revision"), 0)
        try:
            self._store.admit(revision, read_name("writer", question.get("writer")))
        except Fenced as error:
            return {"fenced": str(error), **fence_of(self._store)}
        return {"ticket": self._tickets.give(peer, revision)}

    def _effect(self, peer: str, question: Body) -> Body:
        entry = read_entry(question.get("entry"))
        v = entry.version
        if not self._tickets.take(question.get("ticket"), peer, v.revision):
            return {"late": True}
        effect: Body = {
            "revision": v.revision, "writer": v.writer, "counter": v.counter, "key": entry.key,
        }  # fmt: skip
        effect |= {"deleted": True} if entry.text is None else {"value": entry.value}
        try:
            self._store.apply(effect)
        except Fenced as error:
            return {"fenced": str(error), **fence_of(self._store)}
        return {"took": 1}


def fence_of(store: Store) -> Body:
    """Return what a store knows of revisions, for its peers."""
    return {"highest": store.highest, "owner": store.owner, "is_sure": store.is_sure}


def hear_fence(store: Store, body: Body) -> None:
    """Raise the fence of a store to that of a peer.

    Raises:
        ValueError: What the peer has sent is no fence.
        StoreError: The store cannot be used.
    """
    highest = read_number("highest", body.get("highest"), NO_REVISION)
    owner = body.get("owner")
    if highest > NO_REVISION:
        store.fence(highest, None if owner is None else read_name("owner", owner))


def as_pieces(entries: Iterable[Entry]) -> list[list[Any]]:
    """Return entries as lists for JSON, in pieces of bounded size."""
    pieces: list[list[Any]] = []
    left = 0
    for entry in entries:
        if left <= 0:
            pieces.append([])
            left = PIECE
        pieces[-1].append(entry.as_list())
        left -= _size(entry)
    return pieces


def read_list(body: Body, field: str) -> list[Any]:
    """Return a list in a message.

    Raises:
        ValueError: It is none, or longer than 65,536.
    """
    value: object = body.get(field)
    if not isinstance(value, list):
        raise ValueError(f"{field}: allowed a list")
    found = cast("list[object]", value)
    if len(found) > _MOST_ASKED:
        raise ValueError(f"{field}: got {len(found)} items, allowed at most {_MOST_ASKED}")
    return found


def _numbers(body: Body, field: str, most: int) -> list[int]:
    return [read_number(field, one, 0, most) for one in read_list(body, field)]


def _size(entry: Entry) -> int:
    return len(json.dumps(entry.text)) + len(json.dumps(entry.key)) + 100
