"""What a model of settings is made of: its base class, durations, and environment variables.

    class Fetching(Settings):
        '''How prices are fetched.'''

        attempts: Annotated[int, Field(ge=1, le=10), Env("FETCH_ATTEMPTS")] = 3
        timeout: Annotated[float, Seconds(least_ns=10**6)] = 10.0

Elsewhere: how a file becomes one (``loading``), and what a field allows in words (``allowed``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from types import NoneType, UnionType
from typing import Annotated, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretBytes, SecretStr, model_validator
from pydantic_core import PydanticCustomError, core_schema

from holdfast.agent.config.duration import is_too_long, parse_duration, suggestion
from holdfast.redaction import is_secret_name
from holdfast.validation import MAX_NS, duration_to_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, LiteralString, Self

    from pydantic import GetCoreSchemaHandler
    from pydantic.fields import FieldInfo

    from holdfast.agent.config.places import Path, Place

__all__ = [
    "CONTRADICTION",
    "Contradiction",
    "Env",
    "Seconds",
    "Settings",
    "is_secret",
    "key_of",
    "metadata_of",
    "plain_type",
    "sections",
]

CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class Env:
    """The environment variable that gives a field its value, before any file.

    Args:
        name: The name of the variable.
        replaces: Fields beside this one that say the same in another way, as ``max_retries``
            beside ``max_attempts``: the variable counts, and what a file says of them does not.
    """

    name: str
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seconds:
    """A duration: "100ms", "60s", "1m30s", or seconds. The field holds seconds, a float.

    Args:
        least_ns: The shortest one, in nanoseconds.
        most_ns: The longest one.
    """

    least_ns: int = 0
    most_ns: int = MAX_NS

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        span = f"from {_written(self.least_ns)}" if self.least_ns != 1 else "above 0"
        if self.most_ns != MAX_NS:
            span += f"{', up' if self.least_ns == 1 else ''} to {_written(self.most_ns)}"
        return f'a duration {span}, such as "100ms", "60s" or "5m", or seconds'

    def read(self, value: Any) -> Any:
        """Return seconds; what is no duration, or out of range, is refused."""
        if value is None:
            return None
        seconds = value
        if isinstance(value, str):
            try:
                seconds = parse_duration(value)
            except ValueError:
                raise PydanticCustomError("duration", self._refusal(value)) from None
        if not self._takes(seconds):
            raise PydanticCustomError("duration", self._refusal(seconds))
        return seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)

    def _takes(self, seconds: Any) -> bool:
        ns = duration_to_ns(seconds)
        return ns is not None and self.least_ns <= ns <= self.most_ns

    def _refusal(self, value: Any) -> LiteralString:
        if is_too_long(value):
            return _said(self.allowed, f"at most {_written(self.most_ns)}")
        meant = suggestion(value) if isinstance(value, str) else None
        if meant is None or not self._takes(parse_duration(meant)):
            return _said(self.allowed, None)
        return _said(self.allowed, f'did you mean "{meant}"?')

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Have pydantic read a duration before it looks at the number."""
        return core_schema.no_info_before_validator_function(self.read, handler(source))


def _said(allowed: str, hint: str | None) -> LiteralString:
    return allowed if hint is None else f"{allowed}: {hint}"


def _written(ns: int) -> str:
    """Return a duration in its largest whole unit.

    >>> _written(1000), _written(90 * 10**9), _written(0)
    ('1us', '90s', '0s')
    """
    for unit, size in (("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000)):
        if ns and ns % size == 0:
            return f"{ns // size}{unit}"
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 1000)):
        if ns % size == 0:
            return f"{ns // size}{unit}"
    return f"{ns}ns"


class Contradiction(NamedTuple):
    """A field that contradicts another one of its section.

    Attributes:
        field: The field.
        allowed: What is allowed, in words.
        beside: The other field.
    """

    field: str
    allowed: str
    beside: str


class _Origins(dict[str, str]):
    """Where settings come from; settings are equal whatever they come from."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Origins)

    __hash__ = None


class Settings(BaseModel):
    """The base of all models of settings.

    An unknown key is an error, values are not converted (a "5" is no 5), and settings cannot be
    changed. A field whose name is that of a secret has a secret type (``SecretStr``), so that no
    message and no ``repr`` shows it. Immutable, so safe to share.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    _origins: _Origins = PrivateAttr(default_factory=_Origins)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a class that would show a secret, or has a key that no message could name."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if not isinstance(field.validation_alias, str | None):
                raise TypeError(f"{cls.__name__}.{name}: validation_alias has to be a text")
            kind = plain_type(field.annotation)
            if is_secret_name(name) and str in (kind, *get_args(kind)):
                raise TypeError(f"{cls.__name__}.{name} is a secret: its type must be SecretStr")

    def contradictions(self) -> Iterable[Contradiction]:
        """Yield the fields that contradict others. A subclass says which."""
        return ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """Refuse settings that contradict each other."""
        found = list(self.contradictions())
        if found:
            text = "; ".join(f"{one.field}: allowed {one.allowed}" for one in found)
            raise PydanticCustomError(CONTRADICTION, "{text}", {"text": text, "found": found})
        return self

    def origin(self, key: str) -> str | None:
        """Return where a setting comes from: "file:line:column", a variable, or None: a default.

        Args:
            key: The keys that lead to it, as in "error_recovery.retry.max_retries".
        """
        return self._origins.get(key)

    def _came_from(self, places: Mapping[str, Place]) -> None:
        """Keep where the settings come from; the loader calls it."""
        self._origins.update({key: str(place) for key, place in places.items()})


def plain_type(annotation: Any) -> Any:
    """Return the type of a field that may also be None, without that None and annotations."""
    return _unwrapped(annotation)[0]


def metadata_of(field: FieldInfo) -> list[Any]:
    """Return what annotates a field, also within ``Optional[Annotated[…]]``."""
    found = [*field.metadata, *_unwrapped(field.annotation)[1]]
    return [one for given in found for one in (given, *getattr(given, "metadata", ()))]


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    """Return a type without None and annotations, and these."""
    found: list[Any] = []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            found += more
        elif get_origin(annotation) in (Union, UnionType):
            kinds = [one for one in get_args(annotation) if one is not NoneType]
            if len(kinds) > 1:
                return annotation, found
            annotation = kinds[0]
        else:
            return annotation, found


def key_of(name: str, field: FieldInfo) -> str:
    """Return the key of a field in a file."""
    return str(field.validation_alias or field.alias or name)


def sections(model: type[BaseModel], path: Path = ()) -> Iterable[tuple[Path, Any]]:
    """Yield all fields of a model and of the models in it, in their order: keys and field."""
    for name, field in model.model_fields.items():
        kind = plain_type(field.annotation)
        key = (*path, key_of(name, field))
        yield key, field
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from sections(kind, key)


def is_secret(annotation: Any) -> bool:
    """Return whether a field holds a secret."""
    kind = plain_type(annotation)
    return isinstance(kind, type) and issubclass(kind, (SecretStr, SecretBytes))
