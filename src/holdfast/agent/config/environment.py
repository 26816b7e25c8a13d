"""Environment variables, which come before what a file says."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

from pydantic import BaseModel

from holdfast.agent.config.allowed import allowed_by
from holdfast.agent.config.places import Marks, Place
from holdfast.agent.config.scalars import plain
from holdfast.agent.config.settings import Env, is_secret, plain_type, sections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pydantic.fields import FieldInfo

    from holdfast.agent.config.places import Path, Tree
    from holdfast.agent.config.reports import Reports

__all__ = ["overlay", "variable_of"]


def variable_of(field: FieldInfo) -> Env | None:
    """Return the variable of a field; None if it has none."""
    return next((one for one in field.metadata if isinstance(one, Env)), None)


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


def _value(field: FieldInfo, text: str) -> Any:
    """Return the text of a variable as the field takes it: lists are separated by commas."""
    kind = plain_type(field.annotation)
    if get_origin(kind) is list:
        return [_one(get_args(kind)[0], one.strip()) for one in text.split(",")]
    return _one(kind, text)


def _one(kind: Any, text: str) -> Any:
    words = get_args(kind) if get_origin(kind) is Literal else ()
    if kind is str or is_secret(kind) or text in words:
        return text
    value = plain(text.strip())
    return text if value is None else value
