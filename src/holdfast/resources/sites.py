"""Where a resource was registered: a few frames, kept so that they cost next to nothing.

A frame is kept as its code and the offset in it. It becomes a file, a line and a function when
somebody asks. Elsewhere: when a site is taken (``manager``).
"""

from __future__ import annotations

import sys
from os.path import dirname

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ["Site", "shown_site", "site_of"]

#: Code and offset of a frame, and of those that called it.
Site = tuple["CodeType | int", ...]

_OURS = dirname(dirname(__file__))  # of the package
_MOST_SKIPPED = 20


def site_of(frame: FrameType | None) -> Site:
    """Return the site of a frame: it and the two that called it, without those of holdfast."""
    left = _MOST_SKIPPED
    while frame is not None and left and frame.f_code.co_filename.startswith(_OURS):
        frame, left = frame.f_back, left - 1
    if frame is None:
        return ()
    first = frame.f_code, frame.f_lasti
    if (frame := frame.f_back) is None:
        return first
    second = *first, frame.f_code, frame.f_lasti
    if (frame := frame.f_back) is None:
        return second
    return *second, frame.f_code, frame.f_lasti


def shown_site(site: Site) -> str:
    """Return a site in words: "shop.py:12 in open, shop.py:30 in main"; "?" if it is not known."""
    pairs = zip(site[::2], site[1::2], strict=True)
    frames = [_shown(code, offset) for code, offset in pairs]  # type: ignore[arg-type]
    return ", ".join(frames) or "?"


def _shown(code: CodeType, offset: int) -> str:
    line = _line_of(code, offset)
    name = code.co_qualname if sys.version_info >= (3, 11) else code.co_name
    return f"{code.co_filename}:{line} in {name}"


def _line_of(code: CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno
