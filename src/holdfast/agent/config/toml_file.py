"""TOML as a tree of plain values that knows its lines.

``tomllib`` decides what a document holds, and keeps no lines; ``_Places`` walks over the same text
and notes where keys and values stand. It runs first: it stops at what it does not understand, which
tomllib then refuses, and it refuses nesting that tomllib would follow to the end of the stack.
"""

from __future__ import annotations

import re
import tomllib

from holdfast.agent.config.places import Lines, Marks, Place, Tree
from holdfast.agent.config.yaml_file import MOST_DEPTH, MOST_VALUES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.agent.config.places import Path
    from holdfast.agent.config.reports import Reports

__all__ = ["read_toml"]


def read_toml(file: str, text: str, reports: Reports) -> Tree:
    r"""Return what a TOML document holds.

    Args:
        file: The name of the file, for messages.
        text: Its text, with ``\n`` at the end of a line.
        reports: Where everything wrong is noted.
    """
    lines = Lines(file, text)
    tree = Tree(Place(file), is_whole=False)
    places = _Places(text, lines)
    try:
        places.read()
    except _StoppedError as stopped:
        if stopped.args:
            reports.say(lines.place(places.at), stopped.args[0])
            return tree
    try:
        tree.value = tomllib.loads(text)
    except ValueError as error:
        _report(error, lines, len(text), reports)
        return tree
    tree.marks, tree.is_whole = places.marks, True
    return tree


_WHERE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def _report(error: ValueError, lines: Lines, end: int, reports: Reports) -> None:
    """Note what tomllib says; it gives no place of a number with too many digits."""
    found = _WHERE.fullmatch(str(error))
    said = found[1] if found else str(error)
    place = lines.place(end) if found else Place(lines.file)
    if found and found[2]:
        place = Place(lines.file, int(found[2]), int(found[3]))
    reports.say(place, f"is no TOML: {said}")


class _StoppedError(Exception):
    """The rest is not TOML, or (with a message) more than a configuration holds."""


_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG = {
    '"""': re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""(?:"{1,2}(?!"))?', re.DOTALL),
    "'''": re.compile(r"'''(?:[^']|'(?!''))*'''(?:'{1,2}(?!'))?", re.DOTALL),
}
_SINGLE = re.compile(r"[^\s,\]}#=\"'\[{]+(?: [0-9][^\s,\]}#]*)?")


class _Places:
    """Walks over a document, one key and one value after the other."""

    def __init__(self, text: str, lines: Lines) -> None:
        self.marks: dict[Path, Marks] = {}
        self.at = 0
        self._text = text
        self._lines = lines
        self._arrays: dict[Path, int] = {}  # arrays of tables, and how many tables each has

    def read(self) -> None:
        """Note where everything stands.

        Raises:
            _StoppedError: The rest is not TOML, or too much.
        """
        table: Path = ()
        while True:
            self._skip(_BLANK_LINES)
            if self.at == len(self._text):
                return
            if self._text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
            if self.at < len(self._text) and self._text[self.at] not in "\n#":
                raise _StoppedError

    # ---- the parts ----

    def _header(self) -> Path:
        is_array = self._text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        self._skip(_BLANK)
        start = self.at
        keys = self._key()
        self._take("]]" if is_array else "]")
        place = self._lines.place(start)
        if not is_array:
            return self._entered((), keys, Marks(place, place))
        above = self._entered((), keys[:-1], Marks(place, place))
        array = (*above, keys[-1])
        self.marks.setdefault(array, Marks(place, place))
        number = self._arrays[array] = self._arrays.get(array, -1) + 1
        self._note((*array, number), Marks(place, place))
        return (*array, number)

    def _pair(self, table: Path) -> None:
        key = self._lines.place(self.at)
        keys = self._key()
        self._take("=")
        self._skip(_BLANK)
        marks = Marks(key, self._lines.place(self.at))
        above = self._entered(table, keys[:-1], Marks(key, key))
        path = (*above, keys[-1])
        self._note(path, marks)
        self._value(path)

    def _key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            start = self.at
            if found := _BARE.match(self._text, start):
                keys.append(found[0])
            elif found := _BASIC.match(self._text, start) or _LITERAL.match(self._text, start):
                keys.append(_quoted(found[0]))
            else:
                raise _StoppedError
            self.at = found.end()
            if len(keys) > MOST_DEPTH:
                raise _StoppedError(f"is nested deeper than {MOST_DEPTH} levels")
            self._skip(_BLANK)
            if not self._text.startswith(".", self.at):
                return keys
            self.at += 1

    def _value(self, path: Path) -> None:
        if len(path) > MOST_DEPTH:
            raise _StoppedError(f"is nested deeper than {MOST_DEPTH} levels")
        first = self._text[self.at : self.at + 1]
        if first == "[":
            self._list(path)
        elif first == "{":
            self._inline_table(path)
        else:
            pattern = _LONG.get(self._text[self.at : self.at + 3]) or {
                '"': _BASIC,
                "'": _LITERAL,
            }.get(first, _SINGLE)
            found = pattern.match(self._text, self.at)
            if found is None:
                raise _StoppedError
            self.at = found.end()

    def _list(self, path: Path) -> None:
        self.at += 1
        number = 0
        while not self._ends("]"):
            place = self._lines.place(self.at)
            self._note((*path, number), Marks(place, place))
            self._value((*path, number))
            number += 1
            self._separate("]")

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while not self._ends("}"):
            self._pair(path)
            self._separate("}")

    # ---- how ----

    def _entered(self, path: Path, keys: list[str], marks: Marks) -> Path:
        """Return the keys of a table, through the last table of each array on the way to it."""
        for key in keys:
            path = (*path, key)
            if path not in self.marks:
                self._note(path, marks)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _note(self, path: Path, marks: Marks) -> None:
        if len(self.marks) >= MOST_VALUES:
            raise _StoppedError(f"holds more than {MOST_VALUES:,} values")
        self.marks[path] = marks

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if found := pattern.match(self._text, self.at):
            self.at = found.end()

    def _take(self, what: str) -> None:
        self._skip(_BLANK)
        if not self._text.startswith(what, self.at):
            raise _StoppedError
        self.at += len(what)

    def _ends(self, end: str) -> bool:
        self._skip(_BLANK_LINES)
        if not self._text.startswith(end, self.at):
            return False
        self.at += 1
        return True

    def _separate(self, end: str) -> None:
        self._skip(_BLANK_LINES)
        if self._text.startswith(",", self.at):
            self.at += 1
        elif not self._text.startswith(end, self.at):
            raise _StoppedError


def _quoted(text: str) -> str:
    """Return the key that stands in quotes."""
    if text[0] == "'":
        return text[1:-1]
    try:
        return next(iter(tomllib.loads(f"{text} = 0")))
    except ValueError:
        raise _StoppedError from None
