"""Loads settings: environment over file over defaults, and all that is wrong in one error."""

from __future__ import annotations

import json
import os
from datetime import date, time

from pydantic import BaseModel, ValidationError

from holdfast.agent.config.allowed import allowed_at, field_at, keys_at
from holdfast.agent.config.environment import overlay
from holdfast.agent.config.files import read_tree
from holdfast.agent.config.places import Place, Tree, dotted
from holdfast.agent.config.reports import Reports
from holdfast.agent.config.settings import CONTRADICTION, Settings, is_secret, plain_type, sections

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any, TypeVar

    from holdfast.agent.config.places import Path

    S = TypeVar("S", bound=Settings)

__all__ = ["load"]

_LENGTHS = ("too_short", "too_long")  # of lists
_MOST_BITS = 1000  # of an integer
_UNICODE = "text that can be written in UTF-8"


def load(
    model: type[S],
    file: str | bytes | os.PathLike[str] | None = None,
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
        TypeError: ``model`` is no class that is derived from ``Settings``.

    Safe to call from any thread.
    """
    given: object = model
    if not (isinstance(given, type) and issubclass(given, Settings)):
        raise TypeError(f"load: model: got {model!r}, allowed a class derived from Settings")
    reports = Reports()
    tree = Tree(Place("configuration")) if file is None else read_tree(file, reports)
    _open_sections(tree, model)
    overlay(tree, model, os.environ if environ is None else environ, reports)
    tree.value = _writable(tree.value, (), tree, model, reports)
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
    """Return the settings, or what pydantic says of them; outside of its exception.

    As JSON, because a path or an enumeration, which a file can only hold as text, is refused as a
    value of Python. A date of TOML is not text, though: it is looked at as it is.
    """
    dates: list[date | time] = []

    def written(value: date | time) -> str:
        dates.append(value)
        return value.isoformat()

    text = json.dumps(values, default=written)
    settings, errors = _answer(lambda: model.model_validate_json(text))
    if dates:
        said = {error["loc"] for error in errors}
        errors += [
            error
            for error in _answer(lambda: model.model_validate(values))[1]
            if error["loc"] not in said and isinstance(_at(values, error["loc"]), (date, time))
        ]
    return (None if errors else settings), errors


def _answer(validate: Callable[[], S]) -> tuple[S | None, list[Any]]:
    try:
        return validate(), []
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
    elif value is None and path not in tree.spoiled and field_at(model, path):
        allowed = f"{allowed_at(model, path) or 'a value'}; leave the key out for the default"
        reports.refuse(tree.place(path), path, None, allowed)
        tree.spoiled.add(path)


# ---- what no file can be written with ----


def _writable(value: Any, path: Path, tree: Tree, model: type[BaseModel], reports: Reports) -> Any:
    """Return a copy of a tree without what JSON cannot hold, which is noted."""
    if isinstance(value, dict):
        for key in value:
            if not _is_unicode(key):
                reports.say(tree.place((*path, key), key=True), f"a key is not {_UNICODE}")
        return {
            key: _writable(inner, (*path, key), tree, model, reports)
            for key, inner in value.items()
            if _is_unicode(key)
        }
    if isinstance(value, list):
        return [_writable(one, (*path, at), tree, model, reports) for at, one in enumerate(value)]
    allowed = None
    if isinstance(value, str) and not _is_unicode(value):
        allowed = _UNICODE
    elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
        allowed = allowed_at(model, path) or "a number that is used"
    if allowed is None:
        return value
    _refuse(path, allowed, tree, model, reports)
    tree.spoiled.add(path)
    return None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


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
        reports.refuse_key(tree.place(path, key=True), path, keys_at(model, path[:-1]))
    elif error["type"] == "missing":
        wanted = allowed_at(model, path) or "a value"
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
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] not in _LENGTHS and (said := allowed_at(model, error["loc"])):
        return said
    message = str(error["msg"])
    return f"a value of which this is true: {message[:1].lower()}{message[1:]}"


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
