"""The fence of a store: the highest revision it has seen, in a small file beside the database.

The file outlives the loss of the database: a store that began anew would otherwise accept the
effects of a deposed leader. Elsewhere: what is refused (``store``).
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from examples.dwcp_node.entries import NO_REVISION, read_name, read_number

__all__ = ["Fence", "read_fence", "write_fence"]

_FORMAT = "dwcp-fence-1"
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Fence:
    """The highest revision a store has seen.

    Attributes:
        highest: The revision; ``NO_REVISION`` before the first.
        owner: The name of the node whose revision it is, or None while that is not known.
        is_sure: Whether the store knows that it has seen no higher one. A store that has lost its
            files does not, until it has compared with its peers.
    """

    highest: int = NO_REVISION
    owner: str | None = None
    is_sure: bool = True


def read_fence(path: Path) -> Fence | None:
    """Return the fence in a file; None if there is no file.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    try:
        given: Any = json.loads(raw)
        if given["format"] != _FORMAT or given["seal"] != _seal(given["fence"]):
            raise ValueError("wrong checksum")
        highest, owner, is_sure = given["fence"]
        return Fence(
            read_number("highest", highest, NO_REVISION),
            None if owner is None else read_name("owner", owner),
            is_sure is True,
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def write_fence(path: Path, fence: Fence) -> None:
    """Write a fence whole: after a crash the file holds this one or the one before."""
    fields = [fence.highest, fence.owner, fence.is_sure]
    text = json.dumps({"format": _FORMAT, "fence": fields, "seal": _seal(fields)})
    new = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        new.unlink()
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _seal(fields: object) -> str:
    return blake2b(json.dumps(fields).encode(), digest_size=16).hexdigest()
