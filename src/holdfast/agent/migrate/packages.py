"""Finds the libraries in the files that name what a project installs."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from typing import TYPE_CHECKING, Any, cast

from holdfast.agent.migrate import faces
from holdfast.agent.migrate.finding import Use
from holdfast.agent.migrate.source import Lines, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["look_into_packages", "look_into_setup"]

_NAMES = "|".join(faces.LIBRARIES)
# A requirement: the name, extras, and then a version, a marker, a comment or the end.
_REQUIREMENT = re.compile(rf"(?i)({_NAMES})\s*(?:\[[^\]]*\])?\s*(?:[<>=!~;@#,(].*)?")
_LINE = re.compile(
    rf"(?im)^[ \t]*(?:-[ \t]+)?(({_NAMES})[ \t]*(?:\[[^\]\n]*\])?(?:[ \t]*[<>=!~;@#].*)?)$"
)
_KEY = re.compile(rf"(?im)^[ \t]*([\"']?({_NAMES})[\"']?[ \t]*=.*)$")
_IN_SETUP = re.compile(r"(?i)requires?|requirements|dependencies")
_DEPENDENCIES = re.compile(r"(?i)(?:.*-)?(?:dependencies|dependency-groups|requires)")


def look_into_packages(file: str, data: bytes) -> list[Use]:
    """Return where a file of requirements names a library.

    Raises:
        UnreadableError: It is not what its name says.
    """
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    name = os.path.basename(file).lower()
    if name.endswith(".toml"):
        found = _in_toml(text)
    elif name == "pipfile":
        found = ((hit[1], hit.start(1)) for hit in _KEY.finditer(text))
    else:
        found = ((hit[1], hit.start(1)) for hit in _LINE.finditer(text))
    lines = Lines(text)
    return [_use(file, lines.at(at), said) for said, at in sorted(found, key=lambda one: one[1])]


def look_into_setup(file: str, tree: ast.AST) -> list[Use]:
    """Return where a setup.py names a library in what it requires."""
    uses: dict[tuple[int, str], Use] = {}
    for node in ast.walk(tree):
        names: list[object] = []
        if isinstance(node, ast.keyword):
            names = [node.arg]
        elif isinstance(node, ast.Assign):
            names = [getattr(one, "id", None) for one in node.targets]
        if not any(_IN_SETUP.search(str(name)) for name in names):
            continue
        for one in ast.walk(node):
            said = getattr(one, "value", None)
            if isinstance(one, ast.Constant) and isinstance(said, str):
                for line, text in enumerate(said.split("\n"), one.lineno):
                    if _REQUIREMENT.fullmatch(text.strip()):
                        uses[line, text] = _use(file, line, text)
    return list(uses.values())


def _use(file: str, line: int, said: str) -> Use:
    match = re.search(rf"(?i){_NAMES}", said)
    assert match is not None
    library = match[0].lower()
    hand = (
        "it can go once no import is left and no other package needs it; "
        f"the face is that of version {faces.VERSIONS[library]}"
    )
    return Use(file, line, 0, library, "requirement", said.strip(), by_hand=hand)


def _in_toml(text: str) -> Iterator[tuple[str, int]]:
    """Yield the requirements in a pyproject.toml, with their places."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UnreadableError(f"no TOML: {error}") from None
    from_: dict[str, int] = {}
    for said, is_key in _requirements(data):
        name = re.escape(said)
        place = rf"(?m)^[ \t]*[\"']?{name}[\"']?[ \t]*=.*$" if is_key else rf"[\"']{name}[\"']"
        hit = re.compile(place).search(text, from_.get(said, 0))
        if hit is not None:
            from_[said] = hit.end()
            yield (hit[0] if is_key else said), hit.start()


def _requirements(data: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield what tables of dependencies name: as requirements, or as keys."""
    todo: list[tuple[Any, bool]] = [(data, False)]
    while todo:
        one, is_inside = todo.pop()
        if isinstance(one, dict):
            table = cast("dict[str, Any]", one)
            for key in table:
                is_pinned = type(table[key]) in (str, dict)
                if is_inside and is_pinned and _REQUIREMENT.fullmatch(key):
                    yield key, True
                else:
                    inside = is_inside or _DEPENDENCIES.fullmatch(key) is not None
                    todo.append((table[key], inside))
        elif isinstance(one, list):
            todo += [(value, is_inside) for value in cast("list[object]", one)]
        elif is_inside and isinstance(one, str) and _REQUIREMENT.fullmatch(one.strip()):
            yield one, False
