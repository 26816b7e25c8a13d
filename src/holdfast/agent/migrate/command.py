"""The ``migrate`` command. It imports the rest once the project is off the path of imports."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import TextIO

__all__ = ["run_migrate"]


def run_migrate(path: str, as_json: bool, as_diff: bool, out: TextIO, err: TextIO) -> bool:
    """Write what there is to tell; return whether everything could be looked at.

    Args:
        path: A file or a folder.
        as_json: Write JSON.
        as_diff: Write a diff; what it leaves to do goes to ``err``.
        out: Takes the report; a diff, in bytes, its ``buffer``.
        err: Takes what a diff leaves to do.

    Raises:
        FileNotFoundError: There is no such file or folder.
    """
    with _without_the_project(path):
        from holdfast.agent.migrate import report
        from holdfast.agent.migrate.look import look_at

        found = look_at(path)
        if as_diff:
            out.flush()
            out.buffer.write(b"".join(found.patches))
            out.buffer.flush()
            _write(err, report.left_to_do(found))
        else:
            _write(out, [report.as_json(found)] if as_json else report.as_text(found))
        return not found.problems


def _write(out: TextIO, lines: Iterable[str]) -> None:
    for line in lines:
        encoding = out.encoding or "utf-8"
        out.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    out.flush()


@contextmanager
def _without_the_project(path: str) -> Generator[None]:
    """Take the folders of the project off the path of imports, but for what is installed in them.

    With ``python -m holdfast`` the current folder is the first on the path, and a file of the
    project that is named like a module of Python would be run.
    """
    tops = [os.path.realpath(one) for one in (os.getcwd(), path)]
    python = os.path.realpath(os.path.dirname(os.__file__))
    installed = {"site-packages", "dist-packages"}

    def is_of_the_project(place: str) -> bool:
        real = os.path.realpath(place)
        return (
            any(os.path.commonpath((real, top)) == top for top in tops)
            and os.path.commonpath((real, python)) != python
            and not installed & {*real.split(os.sep)}
        )

    before = sys.path[:]
    sys.path[:] = [one for one in before if not is_of_the_project(one)]
    try:
        yield
    finally:
        sys.path[:] = before
