"""YAML as a tree of plain values that knows its lines.

PyYAML composes nodes; no object is made of a tag. Refused: a key that stands twice, keys that are
no text, tags, several documents, what is nested deeper than 32 levels, and more than 5,000 values,
which aliases of aliases reach from a few lines.
"""

from __future__ import annotations

from holdfast.agent.config.places import Lines, Marks, Place, Tree
from holdfast.agent.config.reports import shown_key
from holdfast.agent.config.scalars import plain
from holdfast.errors import MissingExtraError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.agent.config.places import Path
    from holdfast.agent.config.reports import Reports

__all__ = ["MOST_DEPTH", "MOST_VALUES", "read_yaml"]

MOST_DEPTH = 32
MOST_VALUES = 5_000


class _Untagged(str):
    """What a node is that bears no tag, in place of a tag of YAML 1.1; compared by identity."""

    __slots__ = ()


_PLAIN, _QUOTED, _OTHER = _Untagged("plain"), _Untagged("quoted"), _Untagged("other")


class _TooMuchError(Exception):
    """The document holds more than a configuration does, from this offset on."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class _UnreadError(Exception):
    """The document is no YAML, which was noted."""


def read_yaml(file: str, text: str, reports: Reports) -> Tree:
    r"""Return what a YAML document holds.

    Args:
        file: The name of the file, for messages.
        text: Its text, with ``\n`` at the end of a line.
        reports: Where everything wrong is noted.

    Raises:
        MissingExtraError: PyYAML is not installed.
    """
    lines = Lines(file, text)
    tree = Tree(Place(file), is_whole=False)
    try:
        node = _composed(text, lines, reports)
        value = None if node is None else _Conversion(lines, reports, tree).value(node, ())
    except _TooMuchError as much:
        reports.say(
            lines.place(much.offset),
            f"holds more than {MOST_VALUES:,} values or {MOST_DEPTH} levels, aliases counted",
        )
    except _UnreadError:
        pass  # it was noted
    else:
        tree.is_whole = value is None or isinstance(value, dict)
        tree.value = value if isinstance(value, dict) else {}
        if not tree.is_whole:
            reports.say(lines.place(node.start_mark.index), "holds no keys with values")
    return tree


def _loader_class(yaml: Any) -> Any:
    """Return a loader that composes so much and no more, and looks for no types."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        depth = nodes = 0

        def resolve(self, kind: Any, _value: Any, implicit: Any) -> str:
            if kind is yaml.ScalarNode:
                return _PLAIN if implicit[0] else _QUOTED
            return _OTHER

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            self.nodes += 1  # of a key and of its value
            if self.depth > MOST_DEPTH or self.nodes > 2 * MOST_VALUES:
                raise _TooMuchError(self.peek_event().start_mark.index)
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

    return Loader


def _composed(text: str, lines: Lines, reports: Reports) -> Any:
    """Return the root node; None if there is none.

    Raises:
        _UnreadError: It is no YAML, which was noted.
        _TooMuchError: It holds too much.
    """
    try:
        import yaml
    except ModuleNotFoundError as missing:
        if missing.name != "yaml":
            raise
        raise MissingExtraError("agent", "a YAML file") from None

    loader: Any = None
    try:
        loader = _loader_class(yaml)(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(one for one in (error.context, error.problem) if one)
        reports.say(lines.place(mark.index if mark else 0), f"is no YAML: {said}")
    except yaml.reader.ReaderError as error:
        reports.say(lines.place(int(error.position)), "is no YAML: a character it does not allow")
    except (ValueError, OverflowError):  # such as a number of a character that does not exist
        reports.say(lines.place(loader.index if loader else 0), "is no YAML: an impossible number")
    finally:
        if loader is not None:
            loader.dispose()
    raise _UnreadError


class _Conversion:
    """Makes plain values of nodes."""

    def __init__(self, lines: Lines, reports: Reports, tree: Tree) -> None:
        self._lines = lines
        self._reports = reports
        self._tree = tree
        self._values = 0

    def value(self, node: Any, path: Path) -> Any:
        """Return what a node holds, and keep where it and its parts were written."""
        self._values += 1
        if self._values > MOST_VALUES or len(path) > MOST_DEPTH:
            raise _TooMuchError(node.start_mark.index)
        if not isinstance(node.tag, _Untagged):
            self._reports.say(self._place(node), f"{_within(path)}tags are not read")
            self._tree.spoiled.add(path)
            return None
        if node.id == "mapping":
            return self._mapping(node, path)
        if node.id == "sequence":
            return [self._item(item, (*path, at)) for at, item in enumerate(node.value)]
        return plain(node.value) if node.tag is _PLAIN else node.value

    def _item(self, node: Any, path: Path) -> Any:
        place = self._place(node)
        self._tree.marks[path] = Marks(place, place)
        return self.value(node, path)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in node.value:
            place = self._place(key)
            if not _is_text(key):
                self._reports.say(place, f"{_within(path)}a key is not text; write it in quotes")
                continue
            if key.value == "<<":
                self._reports.say(place, f"{_within(path)}merging (<<) is not read; write the keys")
                continue
            inner = (*path, key.value)
            if key.value in result:
                first = self._tree.marks[inner].key
                self._reports.say(
                    place, f"{shown_key(inner)}: stands twice, first in line {first.line}"
                )
                continue
            self._tree.marks[inner] = Marks(place, self._place(value))
            result[key.value] = self.value(value, inner)
        return result

    def _place(self, node: Any) -> Place:
        return self._lines.place(node.start_mark.index)


def _is_text(key: Any) -> bool:
    return key.tag is _QUOTED or (key.tag is _PLAIN and isinstance(plain(key.value), str))


def _within(path: Path) -> str:
    return f"{shown_key(path)}: " if path else ""
