"""The kinds of resources that every manager knows, and how an unknown one is refused."""

from __future__ import annotations

from holdfast.resources.figures import TOTAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.validation import Problems

__all__ = ["KINDS", "MEMORY", "MOST_KINDS", "OPERATION", "read_kind", "read_kinds", "refuse_kind"]

MEMORY, OPERATION = "memory", "operation"
KINDS = (
    *("goroutine", "thread", "task", "connection", "channel", "timer", "file"),
    MEMORY,
    OPERATION,
)
MOST_KINDS = 200


def read_kinds(problems: Problems, kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds that a manager knows: those of all managers, and its own."""
    given: tuple[object, ...] = ()
    try:
        given = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    except TypeError:
        problems.refuse("kinds", kinds, "names of kinds")
    if isinstance(kinds, str):
        problems.refuse("kinds", kinds, "several names, such as ('websocket',)")
    if len(given) > MOST_KINDS:
        problems.refuse("kinds", len(given), f"at most {MOST_KINDS} kinds")
    names = [read_kind(problems, one, "kinds") for one in given[:MOST_KINDS]]
    return tuple(dict.fromkeys((*KINDS, *names)))


def read_kind(problems: Problems, kind: object, field: str) -> str:
    """Return the name of a kind; metrics know it as ``manager/kind``."""
    name = problems.name(kind, field)
    if "/" in name or name == TOTAL:
        problems.refuse(field, kind, f"a name without a slash, other than {TOTAL!r}")
    return name


def refuse_kind(problems: Problems, kind: object, known: Iterable[str], field: str) -> None:
    """Note that there is no such kind, and the way to have more; the nearest one follows."""
    names = tuple(known)
    allowed = f"one of {', '.join(map(repr, names))}"
    if isinstance(kind, str):
        allowed += f"; for another kind call add_kind({kind!r}) first"
    problems.refuse(field, kind, allowed)
