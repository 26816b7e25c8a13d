"""The tree of files in which Linux shows its figures: this machine's, or one that was recorded."""

from __future__ import annotations

import os
from importlib import import_module

from holdfast.errors import MissingExtraError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["HERE", "Tree", "psutil_for"]

_BASE = "/sys/fs/cgroup"


class Tree:
    """Files with figures, below a folder; one that cannot be read is None. Immutable.

    Args:
        root: The folder in front of all paths: "" for this machine.
    """

    __slots__ = ("_root",)

    def __init__(self, root: str = "") -> None:
        self._root = root

    def text(self, path: str) -> str | None:
        """Return what a file holds."""
        try:
            with open(self._root + path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return None

    def entries(self, folder: str) -> int | None:
        """Return how many entries a folder has."""
        try:
            return len(os.listdir(self._root + folder))
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """Return the number in a file; None if it holds another word, such as ``max``."""
        return _whole(self.text(path) or "")

    def table(self, path: str) -> dict[str, int]:
        """Return the numbers of a file with lines such as ``MemTotal: 4 kB`` by their names."""
        found: dict[str, int] = {}
        for line in (self.text(path) or "").splitlines():
            name, _, rest = line.replace(":", " ").partition(" ")
            words = rest.split()
            number = _whole(words[0]) if words else None
            if number is not None:
                found[name] = number * 1024 if words[1:] == ["kB"] else number
        return found

    def groups(self, controller: str) -> tuple[list[str], list[str]]:
        """Return the folders of the control groups of this process, each from the root down.

        Returns:
            The folders of version 2, and those of version 1 with the ``controller``. They need not
            exist: a container may see a path of its host, and the folders that it has are its own.
        """
        new: list[str] = []
        old: list[str] = []
        for line in (self.text("/proc/self/cgroup") or "").splitlines():
            number, controllers, path = line.split(":", 2) if line.count(":") > 1 else ("", "", "")
            if number == "0" and not controllers:
                # Beside groups of version 1, those of version 2 have a folder of their own.
                new += [*_folders(_BASE, path), *_folders(f"{_BASE}/unified", path)]
            elif controller in controllers.split(","):
                old += _folders(f"{_BASE}/{controller}", path)
                if controllers != controller:  # without the usual symbolic link
                    old += _folders(f"{_BASE}/{controllers}", path)
        return new, old


HERE = Tree()


def psutil_for(feature: str) -> Any:
    """Return the module psutil, for a machine that does not show its figures as files.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module("psutil")
    except ModuleNotFoundError as missing:
        if missing.name != "psutil":  # something else is missing, in its own code
            raise
        raise MissingExtraError("system", feature) from None


def _folders(base: str, path: str) -> list[str]:
    parts = path.strip("/").split("/") if path.strip("/") else []
    if ".." in parts:  # a group outside of what this process sees
        return []
    return ["/".join([base, *parts[:n]]) for n in range(len(parts) + 1)]


def _whole(word: str) -> int | None:
    try:
        return int(word)
    except ValueError:
        return None
