"""What a look at a code base has found, and how it is told: as text, as JSON, as a diff."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.agent.migrate import faces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.agent.migrate.finding import Use

__all__ = ["Problem", "Report", "as_json", "as_text", "left_to_do", "shown"]


class Problem(NamedTuple):
    """A file or a folder that could not be looked at, or not wholly.

    Attributes:
        file: Which.
        line: The line with the reason; 0 for the whole.
        reason: What is wrong.
    """

    file: str
    line: int
    reason: str


@dataclass
class Report:
    """What was found.

    Attributes:
        path: Where.
        files: How many files were looked at.
        uses: Every use, by file and line.
        problems: What could not be looked at.
        own: For each name of a library that is a module of the project, the files that import it.
        patches: The diffs of the files that change.
    """

    path: str
    files: int = 0
    uses: list[Use] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    own: dict[str, list[str]] = field(default_factory=dict)
    patches: list[bytes] = field(default_factory=list)


def shown(path: str) -> str:
    """Return a path as it may be printed: on one line, and without control characters."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def as_text(report: Report) -> Iterator[str]:
    """Yield the lines of the report."""
    said: dict[tuple[str, str], int] = {}
    for use in report.uses:
        place = f"{use.line}:{use.column}" if use.column else f"{use.line}"
        yield f"{shown(use.file)}:{place}: {shown(use.name)}"
        if use.change:
            yield f"    becomes  {use.change}"
        if use.by_hand:
            yield f"    by hand  {use.by_hand}"
        again: dict[int, None] = {}
        for text in use.differs:
            if (use.file, text) in said:
                again[said[use.file, text]] = None
            else:
                said[use.file, text] = use.line
                yield f"    differs  {text}"
        for line in again:
            yield f"    differs  as in line {line}"
    for problem in report.problems:
        yield _told(problem)
    if report.uses or report.problems:
        yield ""
    yield from _summary(report)


def _summary(report: Report) -> Iterator[str]:
    for library in faces.LIBRARIES:
        uses = [use for use in report.uses if use.library == library]
        if uses:
            files = {use.file for use in uses}
            imports = sum(bool(use.change) for use in uses)
            yield (
                f"{library}: {_number(len(uses), 'use')} in {_number(len(files), 'file')}, "
                f"{_number(imports, 'change')}; the face is that of version "
                f"{faces.VERSIONS[library]}"
            )
            for text in faces.everywhere(library):
                yield f"    differs  {text}"
    for library, own in sorted(report.own.items()):
        yield f"{library}: a module of the project in {_number(len(own), 'file')}, left alone"
    if not report.uses:
        yield f"no use of {', '.join(faces.LIBRARIES[:-1])} or {faces.LIBRARIES[-1]}"
    looked = f"{_number(report.files, 'file')} looked at"
    missed = f", {_number(len(report.problems), 'problem')}" if report.problems else ""
    yield looked + missed


def left_to_do(report: Report) -> Iterator[str]:
    """Yield what a diff does not do: what is changed by hand, and what could not be looked at."""
    for use in report.uses:
        if use.by_hand and use.kind != "requirement":
            yield f"{shown(use.file)}:{use.line}: {shown(use.name)}: {use.by_hand}"
    for problem in report.problems:
        yield _told(problem)


def as_json(report: Report) -> str:
    """Return the report as JSON."""
    libraries: dict[str, Any] = {
        library: {
            "uses": sum(use.library == library for use in report.uses),
            "face": f"{faces.ROOM}{library}",
            "version": faces.VERSIONS[library],
            "differs": faces.everywhere(library),
        }
        for library in faces.LIBRARIES
        if any(use.library == library for use in report.uses)
    }
    found: dict[str, Any] = {
        "path": shown(report.path),
        "files": report.files,
        "libraries": libraries,
        "uses": [{**use._asdict(), "file": shown(use.file)} for use in report.uses],
        "own": {name: [shown(one) for one in files] for name, files in report.own.items()},
        "problems": [{**one._asdict(), "file": shown(one.file)} for one in report.problems],
    }
    return json.dumps(found, indent=1)


def _told(problem: Problem) -> str:
    place = f"{shown(problem.file)}:{problem.line}" if problem.line else shown(problem.file)
    return f"{place}: problem: {problem.reason}"


def _number(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")
