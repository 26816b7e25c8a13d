"""The times of a resource manager, which may be changed while it runs, and its limits."""

from __future__ import annotations

from holdfast._native.resource import MOST
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta
    from typing import Any

__all__ = [
    "MOST_RESOURCES",
    "TIMES",
    "read_amount",
    "read_id",
    "read_limits",
    "read_metadata",
    "read_times",
]

LEAST_NS = 1_000_000
_PLAIN = frozenset((str, int))  # what most tuples are made of
MOST_RESOURCES = 100_000_000
TIMES = (
    *("idle_after", "cleanup_interval", "leak_age", "leak_idle", "leak_interval"),
    "cleanup_timeout",
)


def read_times(problems: Problems, given: Mapping[str, float | timedelta | None]) -> dict[str, int]:
    """Return those times that are given, in nanoseconds."""
    return {
        name: problems.duration(name, value, least_ns=LEAST_NS)
        for name, value in given.items()
        if value is not None
    }


def read_limits(
    problems: Problems, limits: Mapping[str, int | None] | None, kinds: Iterable[str]
) -> dict[str, int | None]:
    """Return the limits by kind; None: no limit."""
    from holdfast.resources.kinds import refuse_kind

    found: dict[str, int | None] = {}
    try:
        given = dict(limits or {})
    except (TypeError, ValueError):
        problems.refuse("limits", limits, "limits by kind, such as {'connection': 100}")
        return found
    for kind, limit in given.items():
        if kind not in kinds:
            refuse_kind(problems, kind, kinds, "limits")
        else:
            found[kind] = problems.integer(
                f"limits[{kind!r}]", limit, least=0, most=MOST, none=True
            )
    return found


def read_amount(amount: object, field: str = "amount") -> int:
    """Return how much of its kind a resource is.

    Raises:
        ConfigError: It is no positive integer.
    """
    problems = Problems("register")
    found = problems.integer(field, amount, least=1, most=MOST)
    problems.done()
    return found


def read_id(id: object) -> None:
    """Refuse what is no identifier.

    Raises:
        ConfigError: It is none.
    """
    kind = type(id)
    if kind is int or (kind is tuple and _PLAIN.issuperset(map(type, id))) or _is_id(id):  # type: ignore[call-overload]
        return
    problems = Problems("register")
    problems.refuse("id", id, "a string, an integer, or a tuple of such")
    problems.done()


def _is_id(id: object) -> bool:
    if isinstance(id, tuple):
        return all(map(_is_id, id))
    return isinstance(id, (str, int)) and not isinstance(id, bool)


def read_metadata(metadata: object) -> dict[str, Any]:
    """Return what is to be known of a resource, as a dictionary of its own.

    Raises:
        ConfigError: It is no mapping.
    """
    try:
        return dict(metadata)  # type: ignore[call-overload,no-any-return]  # what is none raises
    except (TypeError, ValueError):
        problems = Problems("register")
        problems.refuse("metadata", metadata, "a mapping or None")
        problems.done()
        raise
