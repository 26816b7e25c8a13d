"""Where a resource was registered: two frames, kept so that they cost next to nothing.

A frame is kept as its code and the offset in it. It becomes a file, a line and a function when
somebody asks. Elsewhere: when a site is taken (``registration``).
"""

from __future__ import annotations

from os.path import dirname

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ["Site", "outer_site", "shown_site", "site_of"]

#: Code and offset of a frame, and of the one that called it.
Site = tuple["CodeType | int", ...]

_OURS = dirname(dirname(__file__))  # of the package
_MOST_SKIPPED = 20


def site_of(frame: FrameType) -> Site:
    """Return the site of a frame: it, and the one that called it."""
    back = frame.f_back
    if back is None:
        return frame.f_code, frame.f_lasti
    return frame.f_code, frame.f_lasti, back.f_code, back.f_lasti


def outer_site(frame: FrameType) -> Site:
    """Return the site of the first frame that is not of holdfast, from a frame on."""
    at: FrameType | None = frame
    for _ in range(_MOST_SKIPPED):
        if at is None or not at.f_code.co_filename.startswith(_OURS):
            break
        at = at.f_back
    return site_of(at or frame)


def shown_site(site: Site) -> str:
    """Return a site in words: "shop.py:12 in open, shop.py:30 in main"; "?" if it is not known."""
    pairs = zip(site[::2], site[1::2], strict=True)
    frames = [_shown(code, offset) for code, offset in pairs]  # type: ignore[arg-type]
    return ", ".join(frames) or "?"


def _shown(code: CodeType, offset: int) -> str:
    return f"{code.co_filename}:{_line_of(code, offset)} in {code.co_qualname}"


def _line_of(code: CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno
