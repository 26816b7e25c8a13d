"""What modules of a project give to one another: breakers, decorators, names of libraries."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holdfast.agent.migrate.names import Imported, Meaning
    from holdfast.agent.migrate.walking import Modules

__all__ = ["Project"]

_IMPORTS = re.compile(rb"^[ \t]*(?:(?:from|import)[ \t][^\r\n(]*(?:\([^()]*\))?)", re.MULTILINE)


class Project:
    """Which modules export what has to do with a library, and who may import it."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._exports: dict[str, dict[str, Meaning]] = {}
        self._imports: dict[str, bytes] = {}

    def note_imports(self, file: str, data: bytes) -> None:
        """Keep the import statements of a file."""
        found = b"\n".join(_IMPORTS.findall(data))
        if found:
            self._imports[file] = found

    def note_exports(self, file: str, exports: dict[str, Meaning]) -> bool:
        """Keep what the names of a file mean; return whether that is new."""
        path = os.path.abspath(file)
        is_new = self._exports.get(path, {}) != exports
        self._exports[path] = exports
        return is_new

    def importers(self, exporters: Iterable[str]) -> list[str]:
        """Return the files that may import one of these."""
        words = {os.fsencode(_word_of(file)) for file in exporters}
        packages = {
            os.path.dirname(os.path.abspath(file))
            for file in exporters
            if os.path.basename(file) == "__init__.py"
        }
        return [
            file
            for file, imports in self._imports.items()
            if words & {*re.findall(rb"\w+", imports)}
            or (b"from ." in imports and _is_within(file, packages))
        ]

    def seen_from(self, file: str) -> Callable[[Imported], Meaning | None]:
        """Return a function that says what a file imports."""

        def find(what: Imported) -> Meaning | None:
            if what.level:
                place = os.path.dirname(os.path.abspath(file))
                for _ in range(what.level - 1):
                    place = os.path.dirname(place)
                places = [place]
            else:
                places = self._modules.places_for(file)
            parts = what.module.split(".") if what.module else []
            for place in places:
                base = os.path.join(place, *parts)
                for path in (base + ".py", os.path.join(base, "__init__.py")):
                    if found := self._exports.get(path, {}).get(what.name):
                        return found
            return None

        return find


def _word_of(file: str) -> str:
    """Return the last part of the name of a module."""
    folder, name = os.path.split(os.path.abspath(file))
    return os.path.basename(folder) if name == "__init__.py" else os.path.splitext(name)[0]


def _is_within(file: str, folders: set[str]) -> bool:
    place = os.path.dirname(os.path.abspath(file)) + os.sep
    return any(place.startswith(folder + os.sep) for folder in folders)
