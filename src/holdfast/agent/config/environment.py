"""Environment variables, which come before what a file says."""

from __future__ import annotations

import json
from enum import Enum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from holdfast.agent.config.allowed import allowed_by, item_kind
from holdfast.agent.config.places import Marks, Place
from holdfast.agent.config.scalars import plain
from holdfast.agent.config.settings import Env, is_secret, metadata_of, plain_type, sections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

    from holdfast.agent.config.places import Path, Tree
    from holdfast.agent.config.reports import Reports

__all__ = ["overlay", "variable_of"]

_PLAIN = (int, float, bool, Any)


def variable_of(field: FieldInfo) -> Env | None:
    """Return the variable of a field; None if it has none."""
    return next((one for one in metadata_of(field) if isinstance(one, Env)), None)


def overlay(
    tree: Tree, model: type[BaseModel], environ: Mapping[str, str], reports: Reports
) -> None:
    """Put what the environment says into a tree, in the place of what a file says.

    Args:
        tree: What the file says; it is changed.
        model: The model whose variables are looked for.
        environ: The environment.
        reports: Where everything wrong is noted.
    """
    for path, field in sections(model):
        variable = variable_of(field)
        if variable is None or (text := environ.get(variable.name)) is None:
            continue
        place = Place(variable.name, is_variable=True)
        if not text.strip():
            allowed = f"{allowed_by(field) or 'a value'}; unset it to leave it out"
            reports.refuse(place, path, text, allowed)
            continue
        kind = item_kind(plain_type(field.annotation), 0)
        if kind is not None and not _is_list(text):
            allowed = "items separated by commas, such as 'a,b'"
            reports.refuse(place, path, text, allowed, secret=is_secret(kind))
            continue
        section = _section(tree, path[:-1])
        if section is None:
            continue
        for other in variable.replaces:
            section.pop(other, None)
            _forget(tree, (*path[:-1], other))
        _forget(tree, path)
        section[path[-1]] = _value(field, text)
        tree.marks[path] = Marks(place, place)


def _section(tree: Tree, path: Path) -> dict[Any, Any] | None:
    """Return the section that a variable belongs to, which the file need not have."""
    section: Any = tree.value
    for key in path:
        if section.get(key) is None:
            section[key] = {}
        section = section[key]
        if not isinstance(section, dict):
            return None  # that it is no section will be noted
    return section  # type: ignore[no-any-return]


def _forget(tree: Tree, path: Path) -> None:
    """Forget where a value of the file was, with all that is in it."""
    for known in [one for one in tree.marks if one[: len(path)] == path]:
        del tree.marks[known]
    tree.spoiled = {one for one in tree.spoiled if one[: len(path)] != path}


def _is_list(text: str) -> bool:
    """Return whether a text has items between its commas, and is no list as JSON writes it."""
    if not all(map(str.strip, text.split(","))):
        return False
    try:
        return not isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return True


def _value(field: FieldInfo, text: str) -> Any:
    """Return the text of a variable as the field takes it: lists are separated by commas."""
    kind = plain_type(field.annotation)
    if item_kind(kind, 0) is None:
        return _one(kind, text)
    return [_one(item_kind(kind, at), one.strip()) for at, one in enumerate(text.split(","))]


def _one(kind: Any, text: str) -> Any:
    """Return a word as a type takes it: text, where that is neither a number nor true or false."""
    words: list[Any] = []
    if get_origin(kind) is Literal:
        words = list(get_args(kind))
    elif isinstance(kind, type) and issubclass(kind, Enum):
        words = [one.value for one in kind]
    elif kind not in _PLAIN and get_origin(kind) not in (Union, UnionType):
        return text
    value = plain(text.strip())
    return text if value is None or text in words else value
