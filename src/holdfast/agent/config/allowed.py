"""What a field of a model allows, in words for a message and for a table."""

from __future__ import annotations

from enum import Enum
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from holdfast.agent.config.settings import key_of, metadata_of, plain_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from holdfast.agent.config.places import Path

__all__ = ["allowed_at", "allowed_by", "field_at", "item_kind", "keys_at"]

_ITEMS = (list, tuple, set, frozenset)


def field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """Return the field that keys lead to; of an item of a list, that of the list; None for none."""
    return _at(model, path)[0]


def allowed_at(model: type[BaseModel], path: Path) -> str:
    """Return what is allowed where keys lead to; "" where only pydantic knows, or for no field."""
    field, kind = _at(model, path)
    if field is None:
        return ""
    return allowed_by(field) if kind is plain_type(field.annotation) else _words(kind, ())


def keys_at(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """Return the keys of the section that keys lead to, which may be an item of a list."""
    return _keys(_at(model, path)[1])


def item_kind(kind: Any, number: int) -> Any:
    """Return the type of an item of a list, tuple or set; None: it is a type of one value."""
    if get_origin(kind) not in _ITEMS:
        return None
    kinds = [one for one in get_args(kind) if one is not Ellipsis]
    return plain_type(kinds[min(number, len(kinds) - 1)])


def _at(model: type[BaseModel], path: Path) -> tuple[FieldInfo | None, Any]:
    """Return the field and the type that keys lead to."""
    kind: Any = model
    field: FieldInfo | None = None
    for key in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            named = {key_of(name, one): one for name, one in kind.model_fields.items()}
            field = named.get(key) if isinstance(key, str) else None
            if field is None:
                return None, None
            kind = plain_type(field.annotation)
        elif get_origin(kind) is dict:
            kind = plain_type(get_args(kind)[-1])
        elif isinstance(key, int) and (item := item_kind(kind, key)) is not None:
            kind = item
        else:
            return None, None
    return field, kind


def _keys(kind: Any) -> tuple[str, ...]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return tuple(key_of(name, one) for name, one in kind.model_fields.items())
    return ()


def allowed_by(field: FieldInfo) -> str:
    """Return what a field allows; "" where only pydantic knows.

    >>> allowed_by(FieldInfo.from_annotation(bool))
    'true or false'
    """
    return _words(field.annotation, metadata_of(field))


def _words(annotation: Any, metadata: Sequence[Any]) -> str:
    for one in metadata:
        if isinstance(said := getattr(one, "allowed", None), str):
            return said
    kind = plain_type(annotation)
    if kind is bool:
        return "true or false"
    if kind is int:
        return f"an integer{_span(metadata)}"
    if kind is float:
        return f"a number{_span(metadata)}"
    if kind is str or kind is SecretStr:
        return "text" if not metadata else ""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(repr(one.value) for one in kind)}"
    if get_origin(kind) in _ITEMS:
        return "a list"
    if get_origin(kind) is dict:
        return "keys with values"
    if keys := _keys(kind):
        return f"a section with the keys {', '.join(keys)}"
    return ""


def _span(metadata: Sequence[Any]) -> str:
    least = next((f" from {one.ge:.12g}" for one in metadata if isinstance(one, Ge)), "")
    above = next((f" above {one.gt:.12g}" for one in metadata if isinstance(one, Gt)), "")
    most = next((f" to {one.le:.12g}" for one in metadata if isinstance(one, Le)), "")
    below = next((f" below {one.lt:.12g}" for one in metadata if isinstance(one, Lt)), "")
    if above and most:
        most = f", up{most}"
    return f"{least}{above}{most}{below}"
