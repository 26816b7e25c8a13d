"""Loads settings: environment over file over defaults, and all that is wrong in one error."""

from __future__ import annotations

import os

from pydantic import BaseModel, ValidationError

from holdfast.agent.config.allowed import allowed_by, field_at
from holdfast.agent.config.environment import overlay
from holdfast.agent.config.files import read_tree
from holdfast.agent.config.places import Place, Tree, dotted
from holdfast.agent.config.reports import Reports
from holdfast.agent.config.settings import CONTRADICTION, Settings, is_secret, plain_type, sections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any, TypeVar

    from holdfast.agent.config.places import Path

    S = TypeVar("S", bound=Settings)

__all__ = ["load"]


def load(
    model: type[S],
    file: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> S:
    """Return settings: what the environment says, else what the file says, else the defaults.

    Args:
        model: The class of the settings.
        file: A YAML or TOML file (``.yaml``, ``.yml``, ``.toml``); None for none.
        environ: The environment; None for that of the process.

    Raises:
        ConfigError: Something is wrong. ``problems`` has all of it, a line each, with file, line,
            column and key, or the name of the variable; the value; and what is allowed.
        MissingExtraError: It is a YAML file, and PyYAML is not installed.

    Safe to call from any thread.
    """
    reports = Reports()
    tree = Tree(Place("configuration")) if file is None else read_tree(file, reports)
    _open_sections(tree, model)
    overlay(tree, model, os.environ if environ is None else environ, reports)
    settings, errors = _validated(model, tree.value)
    if tree.is_whole:
        _refuse_nothing(tree.value, (), tree, model, reports)
    for error in errors:
        if tree.is_whole or tree.place(error["loc"]).is_variable:
            _report(error, tree, model, reports)
    if errors and tree.is_whole:
        # Some of them kept pydantic from comparing settings with each other.
        wrong = {error["loc"] for error in errors if error["type"] != CONTRADICTION}
        for error in _validated(model, _without(wrong, tree.value))[1]:
            if error["type"] == CONTRADICTION and error["loc"] in _above(wrong):
                _report(error, tree, model, reports, wrong)
    reports.done()
    assert settings is not None  # or something was reported
    settings._came_from(
        {
            dotted(path): marks.value
            for path, marks in tree.marks.items()
            if not isinstance(_at(tree.value, path), (dict, list))
        }
    )
    return settings


def _validated(model: type[S], values: Any) -> tuple[S | None, list[Any]]:
    """Return the settings, or what pydantic says of them; outside of its exception."""
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, list(error.errors(include_url=False))


def _above(paths: set[Path]) -> set[Path]:
    """Return the sections in which something is that keys lead to."""
    return {path[:end] for path in paths for end in range(len(path))}


def _without(paths: set[Path], value: Any, at: Path = ()) -> Any:
    """Return a copy of a tree that lacks what some keys lead to."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without(paths, inner, (*at, key))
        for key, inner in value.items()
        if (*at, key) not in paths
    }


# ---- nothing ----


def _open_sections(tree: Tree, model: type[BaseModel]) -> None:
    """Take a section in which everything is commented out for an empty one."""
    for path, field in sections(model):
        kind = plain_type(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            above = _at(tree.value, path[:-1])
            if isinstance(above, dict) and path[-1] in above and above[path[-1]] is None:
                above[path[-1]] = {}


def _refuse_nothing(
    value: Any, path: Path, tree: Tree, model: type[BaseModel], reports: Reports
) -> None:
    """Note keys without a value, which would otherwise be taken for the default."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_nothing(inner, (*path, key), tree, model, reports)
    elif value is None and path not in tree.spoiled and (field := field_at(model, path)):
        allowed = f"{allowed_by(field) or 'a value'}; leave the key out for the default"
        reports.refuse(tree.place(path), path, None, allowed)
        tree.spoiled.add(path)


# ---- what pydantic says ----


def _report(
    error: Any,
    tree: Tree,
    model: type[BaseModel],
    reports: Reports,
    wrong: Collection[Path] = (),
) -> None:
    path: Path = error["loc"]
    if any(path[:end] in tree.spoiled for end in range(len(path) + 1)):
        return
    if error["type"] == CONTRADICTION:
        for one in error["ctx"]["found"]:
            refused, beside = (*path, one.field), (*path, one.beside)
            if beside in wrong:
                continue
            if refused in tree.marks:
                _refuse(refused, one.allowed, tree, model, reports)
            else:  # it is a default
                allowed = f"a value that {one.field} agrees with, which must be {one.allowed}"
                _refuse(beside, allowed, tree, model, reports)
    elif error["type"] == "extra_forbidden":
        reports.refuse_key(tree.place(path, key=True), path, _known(model, path[:-1]))
    elif error["type"] == "missing":
        field = field_at(model, path)
        wanted = (allowed_by(field) if field else "") or "a value"
        reports.say(tree.place(path), f"{dotted(path)}: is missing; allowed {wanted}")
    else:
        _refuse(path, _allowed(error, model), tree, model, reports)


def _refuse(path: Path, allowed: str, tree: Tree, model: type[BaseModel], reports: Reports) -> None:
    field = field_at(model, path)
    secret = field is not None and is_secret(field.annotation)
    reports.refuse(tree.place(path), path, _at(tree.value, path), allowed, secret=secret)


def _allowed(error: Any, model: type[BaseModel]) -> str:
    """Return what is allowed: in the words of the field, or else in pydantic's."""
    if error["type"] == "duration":
        return str(error["msg"])
    field = field_at(model, error["loc"])
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if field is not None and (said := allowed_by(field)):
        return said
    message = str(error["msg"])
    return f"a value of which this is true: {message[:1].lower()}{message[1:]}"


def _known(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """Return the keys of a section."""
    kind: Any = model
    if path:
        field = field_at(model, path)
        kind = plain_type(field.annotation) if field else None
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return tuple(one.alias or name for name, one in kind.model_fields.items())
    return ()


def _at(value: Any, path: Path) -> Any:
    """Return the value that keys lead to; None if there is none."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value
