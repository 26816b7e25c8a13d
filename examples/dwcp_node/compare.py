"""Comparing one store with that of one peer, and repairing what differs, in both directions.

First the digests of all, then of the groups and leaves that differ, then the versions within them:
what is sent grows with what differs, not with what is stored. Elsewhere: when this is done, and
what it means if it does not help (``sync``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from examples.dwcp_node.answers import as_pieces, fence_of, hear_fence, read_list
from examples.dwcp_node.entries import NO_REVISION, Version, read_entry, read_key, read_number
from examples.dwcp_node.exchange import AnswerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from examples.dwcp_node.entries import Entry
    from examples.dwcp_node.store import Store

    Body = dict[str, Any]
    Ask = Callable[[Body], Awaitable[Body]]
    Mark = tuple[Version, bytes]

K = TypeVar("K")
V = TypeVar("V")

__all__ = ["Comparison", "compare", "push"]

_LEAVES_AT_ONCE = 512
_KEYS_AT_ONCE = 256


@dataclass
class Comparison:
    """What one comparison has found and repaired.

    Attributes:
        is_equal: Whether the digests were equal at the beginning.
        digests: The digest of this store and of the peer's, at the beginning.
        differing: The keys that differed, with the checksum here and there; None: no entry.
        received: How many newer entries came from the peer.
        sent: How many entries the peer has taken.
        peer_is_sure: Whether the peer knows which revisions it has seen.
    """

    is_equal: bool = False
    digests: tuple[str, str] = ("", "")
    differing: dict[str, tuple[bytes | None, bytes | None]] = field(
        default_factory=dict[str, tuple[bytes | None, bytes | None]]
    )
    received: int = 0
    sent: int = 0
    peer_is_sure: bool = False


async def compare(
    store: Store, ask: Ask, aside: Callable[..., Awaitable[Any]], *, repair: bool = True
) -> Comparison:
    """Compare the store with that of a peer, and repair what differs.

    Args:
        store: The store of this node.
        ask: Asks the peer.
        aside: Calls a function of the store where it may wait for the disk.
        repair: Whether to repair, or only to look.

    Raises:
        AnswerError: The peer has answered with an error, or with what is no answer.
        OSError: The transport could not send.
        TimeoutError: An answer did not come in time.
        StoreError: The store cannot be used.
    """
    result = Comparison()
    try:
        mine = await aside(store.digest)
        answer = await ask({"is": "digest", "digest": mine, **fence_of(store)})
        await aside(hear_fence, store, answer)
        result.peer_is_sure = answer.get("is_sure") is True
        result.digests = mine, str(answer.get("digest"))[:64]
        if "groups" not in answer:
            result.is_equal = answer.get("digest") == mine
            return result
        groups: list[str] = await aside(store.groups)
        theirs = read_list(answer, "groups")
        if len(theirs) != len(groups):
            raise ValueError(f"groups: got {len(theirs)}, allowed {len(groups)}")
        differing = [i for i, digest in enumerate(groups) if digest != theirs[i]]
        async for leaves in _differing_leaves(store, ask, aside, differing):
            await _repair(store, ask, aside, leaves, result, repair=repair)
    except ValueError as error:
        raise AnswerError(f"an answer cannot be read: {error}") from None
    return result


async def push(
    store: Store, ask: Ask, aside: Callable[..., Awaitable[Any]], keys: Iterable[str]
) -> None:
    """Send the present entries of some keys to a peer; raises what ``compare`` raises."""
    for piece in as_pieces(await aside(store.entries, keys)):
        await ask({"is": "take", "entries": piece})


async def _differing_leaves(
    store: Store, ask: Ask, aside: Callable[..., Awaitable[Any]], groups: list[int]
) -> AsyncIterator[list[int]]:
    """Yield the leaves that differ within some groups, a number of them at a time."""
    while groups:
        answer = await ask({"is": "leaves", "groups": groups})
        covered = _covered(answer, "groups", groups)
        theirs = dict[int, Any](
            (read_number("leaf", leaf, 0, 65_535), digest)
            for leaf, digest in read_list(answer, "leaves")
        )
        mine: dict[int, str] = await aside(_of_all, store.leaves, covered)
        leaves = sorted(
            leaf for leaf in mine.keys() | theirs.keys() if mine.get(leaf) != theirs.get(leaf)
        )
        for i in range(0, len(leaves), _LEAVES_AT_ONCE):
            yield leaves[i : i + _LEAVES_AT_ONCE]
        groups = [group for group in groups if group not in covered]


async def _repair(
    store: Store,
    ask: Ask,
    aside: Callable[..., Awaitable[Any]],
    leaves: list[int],
    result: Comparison,
    *,
    repair: bool,
) -> None:
    while leaves:
        answer = await ask({"is": "versions", "leaves": leaves})
        covered = _covered(answer, "leaves", leaves)
        theirs = _marks(read_list(answer, "versions"))
        mine: dict[str, Entry] = await aside(_of_all, store.versions, covered)
        wanted, offered = _differences(mine, theirs, result)
        leaves = [leaf for leaf in leaves if leaf not in covered]
        if not repair:
            continue
        for i in range(0, len(wanted), _KEYS_AT_ONCE):
            result.received += await _fetch(store, ask, aside, wanted[i : i + _KEYS_AT_ONCE])
        for piece in as_pieces(offered):
            taken = await ask({"is": "take", "entries": piece})
            result.sent += read_number("took", taken.get("took"), 0)


def _differences(
    mine: Mapping[str, Entry], theirs: Mapping[str, Mark], result: Comparison
) -> tuple[list[str], list[Entry]]:
    """Return the keys whose entries are newer there, and the entries that are newer here."""
    wanted: list[str] = []
    offered: list[Entry] = []
    for key in mine.keys() | theirs.keys():
        own, other = mine.get(key), theirs.get(key)
        own_mark = None if own is None else (own.version, own.seal)
        if own_mark == other:
            continue
        result.differing[key] = (own.seal if own else None, other[1] if other else None)
        if own is None or (other is not None and own_mark is not None and own_mark < other):
            wanted.append(key)
        else:
            offered.append(own)
    return wanted, offered


async def _fetch(
    store: Store, ask: Ask, aside: Callable[..., Awaitable[Any]], keys: list[str]
) -> int:
    """Take over the entries of some keys; return how many were newer."""
    received = 0
    while keys:
        answer = await ask({"is": "entries", "keys": keys})
        entries = [read_entry(one) for one in read_list(answer, "entries")]
        got = {entry.key for entry in entries} & {*keys}
        if not got:
            break  # they have gone meanwhile
        received += len(await aside(store.merge, entries))
        keys = [key for key in keys if key not in got]
    return received


def _of_all(read: Callable[[int], dict[K, V]], parts: Iterable[int]) -> dict[K, V]:
    """Return what there is of several parts: in one go, as each change of threads takes time."""
    found: dict[K, V] = {}
    for part in parts:
        found |= read(part)
    return found


def _covered(answer: Body, name: str, asked: list[int]) -> set[int]:
    """Return which of the parts asked for an answer covers: at least one, or it is none."""
    covered = {one for one in read_list(answer, name) if isinstance(one, int)} & {*asked}
    if not covered:
        raise ValueError(f"{name}: none of those asked for")
    return covered


def _marks(versions: list[Any]) -> dict[str, Mark]:
    marks: dict[str, Mark] = {}
    for key, revision, counter, writer, seal in versions:
        version = Version(
            read_number("revision", revision, NO_REVISION),
            read_number("counter", counter, 1),
            str(writer),
        )
        marks[read_key(key)] = version, bytes.fromhex(str(seal))
    return marks
