"""Looks at a whole code base, file by file."""

from __future__ import annotations

import os
import re

from holdfast.agent.migrate import faces
from holdfast.agent.migrate.finding import Use, guess_in_text, look_into
from holdfast.agent.migrate.packages import look_into_packages, look_into_setup
from holdfast.agent.migrate.patch import diff_of
from holdfast.agent.migrate.project import Project
from holdfast.agent.migrate.report import Problem, Report
from holdfast.agent.migrate.source import Edit, Source, UnreadableError, read_bytes
from holdfast.agent.migrate.walking import Modules, files_below, kind_of

__all__ = ["look_at"]

_NAMES = [name.encode() for name in faces.LIBRARIES]
_ROUNDS = 5  # a module may export what it has imported
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
    look = _Look(path)
    folders: list[tuple[str, str]] = []
    for file in files_below(path, folders):
        look.at(file)
    look.at_importers()
    report = look.report
    report.problems += [Problem(folder, 0, reason) for folder, reason in folders]
    report.uses = [use for uses in look.uses.values() for use in uses]
    return report


class _Look:
    """One look at a code base."""

    def __init__(self, path: str) -> None:
        self.report = Report(path)
        self.uses: dict[str, list[Use]] = {}  # by file, in order
        self._root = path if os.path.isdir(path) else os.path.dirname(path) or "."
        self._modules = Modules(self._root)
        self._project = Project(self._modules)
        self._exporters: list[str] = []

    def at(self, file: str) -> None:
        """Look at a file for the first time."""
        self.report.files += 1
        self.uses[file] = []
        kind = kind_of(file) or "python"  # a program without an ending
        try:
            data = read_bytes(file)
            if kind == "python":
                self._project.note_imports(file, data)
            text = data.lower() if kind == "packages" else data
            if any(name in text for name in _NAMES):  # far faster than a pattern
                self._at_content(file, kind, data)
        except UnreadableError as error:
            self.report.problems.append(Problem(file, error.line, error.reason))

    def at_importers(self) -> None:
        """Look again at files that import what others have made of a library."""
        for _ in range(_ROUNDS):
            files = self._project.importers(self._exporters)
            self._exporters = []
            for file in files:
                try:
                    self._at_python(file, Source(read_bytes(file)), is_first=False)
                except UnreadableError:
                    continue  # told at the first look; without a use it is nobody's concern
            if not self._exporters:
                return

    def _at_content(self, file: str, kind: str, data: bytes) -> None:
        if kind == "packages":
            self.uses[file] = look_into_packages(file, data)
            return
        libraries = self._modules.libraries_in(file)
        for name in {hit[1].decode() for hit in _IMPORT.finditer(data)} - libraries:
            self.report.own.setdefault(name, []).append(file)
        is_library = libraries.__contains__
        if kind == "text":
            text = data.decode("utf-8", "replace")
            self.uses[file] = guess_in_text(file, text, is_library, "it is no file of Python")
            return
        try:
            source = Source(data)
        except UnreadableError:
            text = data.decode("latin-1")
            why = "the file cannot be decoded"
            self.uses[file] = guess_in_text(file, text, is_library, why)
            raise
        if source.error is not None:
            why = "the file cannot be parsed"
            self.uses[file] = guess_in_text(file, source.text, is_library, why)
            raise source.error
        edits = self._at_python(file, source, is_first=True)
        if edits:
            new = source.edited(edits)
            self.report.patches.append(diff_of(_from_here(file, self._root), data, new))

    def _at_python(self, file: str, source: Source, is_first: bool) -> list[Edit]:
        if source.tree is None:
            return []
        is_library = self._modules.libraries_in(file).__contains__
        found = look_into(file, source, is_library, self._project.seen_from(file))
        self.uses[file] = found.uses
        if os.path.basename(file) == "setup.py":
            required = look_into_setup(file, source.tree)
            self.uses[file] = sorted(found.uses + required, key=lambda use: (use.line, use.column))
        is_new = self._project.note_exports(file, found.exports)
        if (is_first and found.exports) or (not is_first and is_new):
            self._exporters.append(file)
        return found.edits


def _from_here(file: str, root: str) -> str:
    """Return a file relative to the current folder, or to the root if it is not below that."""
    here = os.path.relpath(os.path.realpath(file))
    return os.path.relpath(file, root) if here.startswith(os.pardir) else here
