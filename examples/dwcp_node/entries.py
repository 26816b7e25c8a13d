"""Entries of the shared state: keys, values, versions, and which of two versions stands.

Pure. Elsewhere: where entries are kept (``store``), and how nodes compare them (``sync``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import isfinite
from reprlib import Repr
from typing import Any, cast

__all__ = [
    "MOST_COUNTER",
    "NO_REVISION",
    "Entry",
    "Version",
    "leaf_of",
    "newer",
    "read_entry",
    "read_key",
    "read_number",
    "read_value",
]

#: The revision of what any node may write; effects, which only a leader makes, have 0 or more.
NO_REVISION = -1
MOST_KEY = 512
MOST_VALUE = 64 * 1024
MOST_COUNTER = 2**53
_MOST_NAME = 200
_MOST_DEPTH = 32
_REPR = Repr()  # which is bounded in length and in depth


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """When an entry was written, in an order on which all nodes agree.

    Attributes:
        revision: The revision of the election that made its writer the leader, or ``NO_REVISION``.
        counter: One more than all that the writer had seen.
        writer: The name of the node.
    """

    revision: int
    counter: int
    writer: str


@dataclass(frozen=True)
class Entry:
    """One key with its value.

    Attributes:
        key: 1 to 512 characters.
        text: The value as canonical JSON; None: the key was deleted.
        version: When it was written.
    """

    key: str
    text: str | None
    version: Version

    @cached_property
    def seal(self) -> bytes:
        """A checksum of everything in the entry, 16 bytes."""
        v = self.version
        parts = (self.key, v.writer, str(v.revision), str(v.counter), self.text or "")
        digest = blake2b(b"-" if self.text is None else b"+", digest_size=16)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()

    @property
    def value(self) -> Any:
        """The value; None also if the key was deleted."""
        return None if self.text is None else json.loads(self.text)

    def as_list(self) -> list[Any]:
        """Return the entry as it is sent to other nodes; ``read_entry`` reads it."""
        v = self.version
        return [self.key, self.text, v.revision, v.counter, v.writer]


def newer(mine: Entry, other: Entry | None) -> bool:
    """Return whether one entry replaces another of the same key.

    The later version does. If two entries have the same version, as after the loss of a file, the
    checksum decides: all nodes keep the same one.
    """
    return other is None or (mine.version, mine.seal) > (other.version, other.seal)


def leaf_of(key: str) -> int:
    """Return in which of 65,536 parts of the state a key lies; the upper byte is its group."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=2).digest()
    return int.from_bytes(digest, "big")


def read_key(value: object) -> str:
    """Return a key.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, str) and 0 < len(value) <= MOST_KEY and _is_text(value):
        return value
    raise ValueError(f"key: got {_shown(value)}, allowed a string of 1 to {MOST_KEY} characters")


def read_value(value: object) -> str:
    """Return a value as canonical JSON: the same text for equal values, on every node.

    Raises:
        ValueError: It is no JSON value, or longer than 64 KiB.
    """
    try:
        _require_json(value, _MOST_DEPTH)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"value: got {_shown(value)}, allowed a JSON value ({error})") from None
    if len(text) > MOST_VALUE:
        raise ValueError(f"value: got {len(text)} bytes of JSON, allowed at most {MOST_VALUE}")
    return text


def read_number(field: str, value: object, least: int, most: int = MOST_COUNTER) -> int:
    """Return a whole number within bounds.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise ValueError(f"{field}: got {_shown(value)}, allowed an integer from {least} to {most}")


def read_name(field: str, value: object) -> str:
    """Return the name of a node.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, str) and 0 < len(value) <= _MOST_NAME and value.isprintable():
        return value
    allowed = f"a string of 1 to {_MOST_NAME} printable characters"
    raise ValueError(f"{field}: got {_shown(value)}, allowed {allowed}")


def read_entry(given: object) -> Entry:
    """Return an entry that another node has sent.

    Raises:
        ValueError: It is none.
    """
    fields = cast("list[object]", given) if isinstance(given, list) else []
    if len(fields) != 5:
        raise ValueError("entry: allowed a list of five fields")
    key, text, revision, counter, writer = fields
    if text is not None:
        if not isinstance(text, str) or len(text) > MOST_VALUE:
            raise ValueError(f"value: allowed JSON of at most {MOST_VALUE} bytes, or null")
        try:
            canonical = read_value(json.loads(text))
        except RecursionError:
            raise ValueError("value: nested too deeply") from None
        if canonical != text:
            raise ValueError(f"value: got {_shown(text)}, allowed canonical JSON")
    version = Version(
        read_number("revision", revision, NO_REVISION),
        read_number("counter", counter, 1),
        read_name("writer", writer),
    )
    return Entry(read_key(key), text, version)


def _require_json(value: object, depth: int) -> None:
    """Refuse what JSON would change on its way: tuples, keys that are no strings, NaN."""
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        if not _is_text(value):
            raise ValueError("half a character")
    elif isinstance(value, float):
        if not isfinite(value):
            raise ValueError("not finite")
    elif isinstance(value, dict):
        for key, one in cast("dict[object, object]", value).items():
            if not isinstance(key, str) or not _is_text(key):
                raise ValueError("names have to be strings")
            _require_json(one, depth - 1)
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            _require_json(one, depth - 1)
    elif not (value is None or isinstance(value, (bool, int))):
        raise TypeError(f"no JSON: {type(value).__name__}")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    return _REPR.repr(value)
