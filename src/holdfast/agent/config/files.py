"""Reads a configuration file: YAML or TOML, UTF-8, at most 256 KiB, and a regular file."""

from __future__ import annotations

import os
import stat

from holdfast.agent.config.places import Lines, Place, Tree
from holdfast.agent.config.toml_file import read_toml
from holdfast.agent.config.yaml_file import read_yaml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.agent.config.reports import Reports

__all__ = ["MOST_BYTES", "read_tree"]

MOST_BYTES = 256 * 1024
_READERS = {".yaml": read_yaml, ".yml": read_yaml, ".toml": read_toml}


def read_tree(file: str | bytes | os.PathLike[str], reports: Reports) -> Tree:
    """Return what a file holds; an empty tree if it cannot be read, which is noted.

    Raises:
        MissingExtraError: It is a YAML file, and PyYAML is not installed.
    """
    path = os.fsdecode(file)
    name = path if path.isprintable() else ascii(path)[1:-1]
    tree = Tree(Place(name), is_whole=False)
    reader = _READERS.get(os.path.splitext(path)[1].lower())
    if reader is None:
        reports.say(tree.root, f"is no configuration file: a name ends in {', '.join(_READERS)}")
        return tree
    text = _text(path, tree.root, reports)
    return tree if text is None else reader(name, text, reports)


def _text(path: str, root: Place, reports: Reports) -> str | None:
    try:
        content = _bytes(path)
    except (OSError, ValueError) as error:  # a ValueError: there is a NUL in the name
        reports.say(root, f"cannot be read: {getattr(error, 'strerror', None) or error}")
        return None
    if content is None:
        reports.say(root, "cannot be read: it is no regular file")
        return None
    if len(content) > MOST_BYTES:
        reports.say(root, f"is larger than {MOST_BYTES // 1024} KiB")
        return None
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        reports.say(Lines(root.source, before).place(len(before)), "is not UTF-8")
        return None


def _bytes(path: str) -> bytes | None:
    """Return the content, one byte more than allowed at most; None of what is no regular file."""
    # Without blocking, or the open of a named pipe would wait for somebody to write.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        parts: list[bytes] = []
        while (left := MOST_BYTES + 1 - sum(map(len, parts))) and (part := os.read(handle, left)):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(handle)
