"""Writes what changes in a file as a unified diff that ``patch -p1`` and ``git apply`` accept."""

from __future__ import annotations

import os
from collections import deque

__all__ = ["diff_of"]

_CONTEXT = 3
_ESCAPES = {7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r",
            34: b'\\"', 92: b"\\\\"}  # fmt: skip


def diff_of(path: str, old: bytes, new: bytes) -> bytes:
    """Return the diff of one file; nothing if nothing changes.

    Args:
        path: The file, relative to the folder where the diff is to be applied.
        old: What it contains.
        new: What it is to contain: as many lines, some of them changed.
    """
    before, after = old.split(b"\n"), new.split(b"\n")
    if len(before) != len(after):
        raise ValueError(f"new: got {len(after)} lines, allowed: {len(before)}")
    changed = deque(at for at, line in enumerate(before) if line != after[at])
    if not changed:
        return b""
    is_ended = before[-1] == b""  # by a line end
    count = len(before) - is_ended
    parts = [b"--- " + _quoted("a/", path) + b"\n", b"+++ " + _quoted("b/", path) + b"\n"]
    while changed:
        hunk = [changed.popleft()]
        while changed and changed[0] - hunk[-1] <= 2 * _CONTEXT + 1:
            hunk.append(changed.popleft())
        first, last = max(0, hunk[0] - _CONTEXT), min(count, hunk[-1] + _CONTEXT + 1)
        length = last - first
        parts.append(b"@@ -%d,%d +%d,%d @@\n" % (first + 1, length, first + 1, length))
        lines: list[bytes] = []
        at = first
        while at < last:
            run = at
            while run < last and before[run] != after[run]:
                run += 1
            for mark, side in ((b"-", before), (b"+", after)):
                lines += [_line(mark, side, i, count, is_ended) for i in range(at, run)]
            if run < last:
                lines.append(_line(b" ", before, run, count, is_ended))
            at = run + 1
        parts += lines
    return b"".join(parts)


def _line(mark: bytes, side: list[bytes], at: int, count: int, is_ended: bool) -> bytes:
    end = b"\n" if is_ended or at < count - 1 else b"\n\\ No newline at end of file\n"
    return mark + side[at] + end


def _quoted(prefix: str, path: str) -> bytes:
    """Return a name as it stands in the head of a diff."""
    name = os.fsencode(prefix + path.replace(os.sep, "/"))
    if all(32 <= one < 127 and one not in _ESCAPES for one in name):
        return name + (b"\t" if b" " in name else b"")
    quoted = (
        _ESCAPES.get(one) or (bytes([one]) if 32 <= one < 127 else b"\\%03o" % one) for one in name
    )
    return b'"' + b"".join(quoted) + b'"'
