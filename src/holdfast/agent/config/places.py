"""Where a value was written: the file, line and column, or the environment variable.

Elsewhere: how files are read (``yaml_file``, ``toml_file``), and who reports (``reports``).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Path: TypeAlias = tuple[str | int, ...]

__all__ = ["Lines", "Marks", "Place", "Tree", "dotted"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was written.

    Attributes:
        source: The file, or the name of the variable.
        line: The line, from 1; 0 for the whole file, and for a variable.
        column: The column in characters, from 1; 0 likewise.
        is_variable: Whether it is an environment variable.
    """

    source: str
    line: int = 0
    column: int = 0
    is_variable: bool = False

    def __str__(self) -> str:
        if self.is_variable:
            return f"environment variable {self.source}"
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Marks:
    """The places of a key and of its value; an item of a list has no key."""

    key: Place
    value: Place


@dataclass(slots=True)
class Tree:
    """Plain values and where they were written, by the keys that lead to them.

    Attributes:
        root: Where the document begins.
        value: Dicts, lists, and single values.
        marks: The places of all keys and items.
        spoiled: The keys whose values could not be read, which has been reported.
        is_whole: Whether the document could be read at all.
    """

    root: Place
    value: dict[str, Any] = field(default_factory=dict)
    marks: dict[Path, Marks] = field(default_factory=dict)
    spoiled: set[Path] = field(default_factory=set)
    is_whole: bool = True

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return where a value (or its key) was written, or the nearest section around it."""
        for end in range(len(path), 0, -1):
            if (found := self.marks.get(path[:end])) is not None:
                return found.key if key and end == len(path) else found.value
        return self.root


class Lines:
    """Finds line and column in the text of a file."""

    __slots__ = ("_starts", "file")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)

    def place(self, offset: int) -> Place:
        """Return the place of the character with this offset."""
        line = bisect_right(self._starts, offset)
        return Place(self.file, line, offset - self._starts[line - 1] + 1)


def dotted(path: Path) -> str:
    """Return keys as one word.

    >>> dotted(("exchanges", 0, "url"))
    'exchanges[0].url'
    """
    text = ""
    for one in path:
        text += f"[{one}]" if isinstance(one, int) else f".{one}" if text else one
    return text
