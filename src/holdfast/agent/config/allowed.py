"""What a field of a model allows, in words for a message and for a table."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from holdfast.agent.config.settings import plain_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from holdfast.agent.config.places import Path

__all__ = ["allowed_by", "field_at"]


def field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """Return the field that keys lead to; of an item of a list, that of the list; None for none."""
    kind: Any = model
    field: FieldInfo | None = None
    for key in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            named = {one.alias or name: one for name, one in kind.model_fields.items()}
            field = named.get(key) if isinstance(key, str) else None
            if field is None:
                return None
            kind = plain_type(field.annotation)
        elif field is not None and get_origin(kind) in (list, tuple, dict):
            kind = plain_type(get_args(kind)[-1])
        else:
            return None
    return field


def allowed_by(field: FieldInfo) -> str:
    """Return what a field allows; "" where only pydantic knows.

    >>> allowed_by(FieldInfo.from_annotation(bool))
    'true or false'
    """
    return _words(field.annotation, field.metadata)


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
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"a section with the keys {', '.join(kind.model_fields)}"
    return ""


def _span(metadata: Sequence[Any]) -> str:
    least = next((f" from {one.ge:.12g}" for one in metadata if isinstance(one, Ge)), "")
    above = next((f" above {one.gt:.12g}" for one in metadata if isinstance(one, Gt)), "")
    most = next((f" to {one.le:.12g}" for one in metadata if isinstance(one, Le)), "")
    below = next((f" below {one.lt:.12g}" for one in metadata if isinstance(one, Lt)), "")
    if above and most:
        most = f", up{most}"
    return f"{least}{above}{most}{below}"
