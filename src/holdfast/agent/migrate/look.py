"""Looks at a whole code base, file by file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from holdfast.agent.migrate import faces
from holdfast.agent.migrate.finding import guess_in_text, look_into
from holdfast.agent.migrate.packages import look_into_packages
from holdfast.agent.migrate.patch import diff_of
from holdfast.agent.migrate.report import Problem, Report
from holdfast.agent.migrate.source import Source, UnreadableError, read_bytes
from holdfast.agent.migrate.walking import Modules, files_below, kind_of

__all__ = ["look_at"]

_NAMES = [name.encode() for name in faces.LIBRARIES]
_IMPORT = re.compile(rb"\b(?:import|from)\s+(" + "|".join(faces.LIBRARIES).encode() + rb")\b")


def look_at(path: str) -> Report:
    """Return what a file, or all files below a folder, use of the libraries.

    Nothing is written, and nothing of what is read is run or imported. What cannot be read or
    parsed is a problem in the report, and the rest is looked at.

    Raises:
        FileNotFoundError: There is no such file or folder.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(path)
    report = Report(path)
    root = path if os.path.isdir(path) else os.path.dirname(path) or "."
    modules = Modules(root)
    folders: list[tuple[str, str]] = []
    for file in files_below(path, folders):
        report.files += 1
        try:
            data = read_bytes(file)
            text = data.lower() if kind_of(file) == "packages" else data
            if any(name in text for name in _NAMES):  # far faster than a pattern
                _look_at_file(report, file, data, modules, root)
        except UnreadableError as error:
            report.problems.append(Problem(file, error.line, error.reason))
    report.problems += [Problem(folder, 0, reason) for folder, reason in folders]
    return report


def _look_at_file(report: Report, file: str, data: bytes, modules: Modules, root: str) -> None:
    kind = kind_of(file)
    if kind == "packages":
        report.uses += look_into_packages(file, data)
        return
    libraries = modules.libraries_in(file)
    for name in {hit[1].decode() for hit in _IMPORT.finditer(data)} - libraries:
        report.own.setdefault(name, []).append(file)
    is_library: Callable[[str], bool] = libraries.__contains__
    if kind == "text":
        text = data.decode("utf-8", "replace")
        report.uses += guess_in_text(file, text, is_library, "it is no file of Python")
        return
    try:
        source = Source(data)
    except UnreadableError:
        text = data.decode("latin-1")
        report.uses += guess_in_text(file, text, is_library, "the file cannot be decoded")
        raise
    if source.error is not None:
        why = "the file cannot be parsed"
        report.uses += guess_in_text(file, source.text, is_library, why)
        raise source.error
    uses, edits = look_into(file, source, is_library)
    report.uses += uses
    if edits:
        report.patches.append(diff_of(_from_here(file, root), data, source.edited(edits)))


def _from_here(file: str, root: str) -> str:
    """Return a file relative to the current folder, or to the root if it is not below that."""
    here = os.path.relpath(os.path.realpath(file))
    return os.path.relpath(file, root) if here.startswith(os.pardir) else here
