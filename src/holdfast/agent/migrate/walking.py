"""Which files of a code base are looked at, and which modules are the project's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from holdfast.agent.migrate.faces import LIBRARIES

__all__ = ["Modules", "files_below", "kind_of"]

# Folders that hold no code of the project.
_SKIPPED = {
    "__pycache__", "node_modules", "site-packages", "dist-packages", "__pypackages__",
    ".git", ".hg", ".svn", ".tox", ".nox", ".venv", ".eggs", ".mypy_cache", ".ruff_cache",
    ".pytest_cache", ".ipynb_checkpoints",
}  # fmt: skip
_PACKAGES = re.compile(
    r"(?i)(?:.*requirements.*|constraints.*)\.(?:txt|in)|pyproject\.toml|setup\.cfg|pipfile"
    r"|tox\.ini|environment\.ya?ml"
)


def kind_of(path: str) -> str:
    """Return how a file is looked at: ``"python"``, ``"text"``, ``"packages"``, or "" for not."""
    folder, name = os.path.split(path)
    ending = os.path.splitext(name)[1].lower()
    if ending in {".py", ".pyi", ".pyw"}:
        return "python"
    if ending in {".ipynb", ".pyx", ".pxd"}:
        return "text"
    in_folder = os.path.basename(folder) in {"requirements", "reqs"} and ending in {".txt", ".in"}
    return "packages" if in_folder or _PACKAGES.fullmatch(name) else ""


def files_below(path: str, complain: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the files to look at, in order: a file itself, or all below a folder.

    Symbolic links are not followed, save ``path`` itself.

    Args:
        path: A file or a folder.
        complain: Takes the folders that cannot be read, with the reason.
    """
    if not os.path.isdir(path):
        yield path
        return
    todo = [path]
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            complain.append((folder, error.strerror or str(error)))
            continue
        if folder != path and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue  # an environment
        below: list[str] = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED:
                    below.append(entry.path)
            elif entry.is_file(follow_symlinks=False) and (
                kind_of(entry.path) or _is_script(entry)
            ):
                yield os.path.normpath(entry.path)
        todo += reversed(below)


def _is_script(entry: os.DirEntry[str]) -> bool:
    """Return whether a file without an ending is a program for Python."""
    if "." in entry.name:
        return False
    try:
        with open(os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            first = file.read(100).partition(b"\n")[0]
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first


class Modules:
    """Which names mean a library, and which a module of the project.

    A module of the project is one beside the program, beside the outermost package around it, in
    the folder that is looked at, or in ``src`` below that.
    """

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        self._outermost: dict[str, str] = {}
        self._own: dict[str, frozenset[str]] = {}

    def libraries_in(self, file: str) -> frozenset[str]:
        """Return the names that are those of the libraries in a file."""
        return frozenset(LIBRARIES).difference(*map(self._own_in, self.places_for(file)))

    def places_for(self, file: str) -> list[str]:
        """Return the folders whose modules a file imports by their whole names."""
        folder = os.path.dirname(os.path.abspath(file))
        places = (
            folder, self._above_packages(folder), self._root, os.path.join(self._root, "src")
        )  # fmt: skip
        return list(dict.fromkeys(places))

    def _above_packages(self, folder: str) -> str:
        if folder not in self._outermost:
            above = folder
            while _is_package(above) and os.path.dirname(above) != above:
                above = os.path.dirname(above)
            self._outermost[folder] = above
        return self._outermost[folder]

    def _own_in(self, folder: str) -> frozenset[str]:
        """Return the names of libraries that modules in a folder bear."""
        if folder not in self._own:
            # A module in a package has a longer name.
            is_installed = os.path.basename(folder) in {"site-packages", "dist-packages"}
            self._own[folder] = frozenset(
                name
                for name in LIBRARIES
                if not (_is_package(folder) or is_installed)
                and (
                    os.path.isfile(os.path.join(folder, name + ".py"))
                    or _is_package(os.path.join(folder, name))
                )
            )
        return self._own[folder]


def _is_package(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, "__init__.py"))
