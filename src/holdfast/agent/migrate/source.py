"""One file of Python: its text, its syntax tree, and where a node of the tree is in the text.

Reads and never writes; runs nothing of what it reads.
"""

from __future__ import annotations

import ast
import io
import os
import re
import stat
import tokenize
import warnings
from bisect import bisect_left
from typing import NamedTuple

__all__ = ["MOST_BYTES", "Edit", "Lines", "Source", "UnreadableError", "read_bytes"]

MOST_BYTES = 4_000_000  # of one file: a larger one is data
_LINE_END = re.compile(r"\r\n|\r|\n")


class UnreadableError(Exception):
    """A file cannot be read, decoded or parsed.

    Attributes:
        line: The line with the reason; 0 for the whole file.
        reason: What is wrong.
    """

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class Edit(NamedTuple):
    """Text that is inserted.

    Attributes:
        at: The place, in characters from the start of the text.
        text: What is inserted there.
    """

    at: int
    text: str


def read_bytes(path: str) -> bytes:
    """Return the content of a regular file of bounded size.

    A file that has become a symbolic link, a pipe or a device meanwhile is refused, not waited for.

    Raises:
        UnreadableError: It is something else, is too large, or cannot be read.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "rb") as file:
            about = os.fstat(number)
            if not stat.S_ISREG(about.st_mode):
                raise UnreadableError("not a regular file")
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from None
    if len(data) > MOST_BYTES:
        raise UnreadableError(f"larger than {MOST_BYTES:,} bytes")
    return data


class Lines:
    """The lines of a text that is looked at by its places."""

    def __init__(self, text: str) -> None:
        self._ends = [hit.start() for hit in re.finditer("\n", text)]

    def at(self, place: int) -> int:
        """Return the line of a place, from 1."""
        return bisect_left(self._ends, place) + 1


class Source:
    """The text of a file of Python.

    Attributes:
        text: The decoded text, with the line ends of the file, without a byte order mark.
        tree: The syntax tree; None if the text is no Python of this version.
        error: Why there is no tree.
    """

    def __init__(self, data: bytes) -> None:
        """Decode and parse.

        Raises:
            UnreadableError: The bytes are no text in the encoding that the file declares.
        """
        self._data = data
        self._mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
        try:
            name, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            self.encoding = "utf-8" if name == "utf-8-sig" else name
            self.text = data[len(self._mark) :].decode(self.encoding)
            self.text.encode("utf-8")  # as the parser has it
        except (SyntaxError, LookupError, UnicodeError) as error:
            raise UnreadableError(f"its encoding: {error}") from None
        self._starts = [0, *(hit.end() for hit in _LINE_END.finditer(self.text))]
        self.error: UnreadableError | None = None
        self.tree: ast.Module | None = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about what is odd in it, to its owner
                self.tree = ast.parse(self.text)
        except SyntaxError as error:
            self.error = UnreadableError(
                f"no Python of this version: {error.msg}", error.lineno or 0
            )
        except ValueError as error:
            self.error = UnreadableError(f"no Python: {error}")
        except (RecursionError, MemoryError):
            self.error = UnreadableError("nested too deeply to be parsed")

    def offset(self, line: int, column: int) -> int:
        """Return the place in ``text`` of a line, from 1, and a column of the tree, in bytes."""
        start = self._starts[line - 1]
        before = self.text[start : start + column]
        if before.isascii():
            return start + column
        return start + len(before.encode()[:column].decode(errors="ignore"))

    def column(self, line: int, column: int) -> int:
        """Return the column as people count it: in characters, from 1."""
        return self.offset(line, column) - self._starts[line - 1] + 1

    def place(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        """Return where a node begins."""
        return self.offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.stmt | ast.alias) -> int:
        """Return where a node has ended."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.end_lineno, node.end_col_offset)

    def edited(self, edits: list[Edit]) -> bytes:
        """Return the bytes of the file after the edits.

        Raises:
            UnreadableError: Its encoding would not give the same bytes again where nothing changes.
        """
        try:
            is_exact = self._mark + self.text.encode(self.encoding) == self._data
            parts: list[str] = []
            done = 0
            for at, text in sorted(set(edits)):
                parts += [self.text[done:at], text]
                done = at
            new = "".join([*parts, self.text[done:]]).encode(self.encoding)
        except UnicodeError:
            is_exact, new = False, b""
        if not is_exact:
            raise UnreadableError(f"cannot be written in its encoding, {self.encoding}")
        return self._mark + new
