"""Which categories users have given to classes.

Elsewhere: the rules that need no registration (``classes``, and a file for each group of
libraries).
"""

from __future__ import annotations

import itertools
from sys import modules as imported

from holdfast._native.gate import _forget_classes
from holdfast.categories.category import Category, allowed_categories, read_category
from holdfast.validation import Problems, answers_at_once, shown, takes_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.categories.rules import Judge, Rule

__all__ = ["changes", "has_registrations", "register", "registered"]

# Each list is changed by atomic operations only.
_by_class: dict[type, list[_Entry]] = {}
_by_name: dict[str, list[_Entry]] = {}

# Numbers of registrations and of their changes, increasing; next() is atomic.
_count = itertools.count(1)
_changes = 0

_ALLOWED_CLASS = "a subclass of Exception, or its name with its module, as 'httpx.ConnectError'"


class _Entry:
    """One registration; equal to no other one."""

    __slots__ = ("number", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.number = next(_count)


def register(
    error_class: type[Exception] | str,
    category: Category | str | Callable[[Any], Category | str | None],
) -> Callable[[], None]:
    """Say to which category the errors of a class belong.

    Errors of derived classes belong to it as well, unless there is a rule for the derived class.
    A registration has precedence over what is known of the same class, and a later one over an
    earlier one.

    Args:
        error_class: A subclass of Exception, or the name of one with its module, such as
            "payments.client.Declined". The module need not be imported yet.
        category: A category, its name, or a function that gets the error and returns one of both,
            or None: what is known otherwise decides, of this class and then of its bases.

    Returns:
        A function that removes the registration.

    Raises:
        ConfigError: An argument is invalid.

    Safe to call from any thread.

    >>> remove = register("payments.client.Declined", "permanent")
    >>> remove()
    """
    problems = Problems("register")
    _check_class(problems, error_class)
    entry = _Entry(_read_rule(problems, error_class, category))
    problems.done()
    entries = (
        _by_name.setdefault(error_class, [])
        if isinstance(error_class, str)
        else _by_class.setdefault(error_class, [])
    )
    entries.append(entry)
    _forget()

    def remove() -> None:
        """Remove the registration; a second call does nothing."""
        if entry in entries:
            entries.remove(entry)
            _forget()

    return remove


def _forget() -> None:
    """Have each class asked again, by the native gate and here."""
    global _changes  # noqa: PLW0603 - as old as the registrations, which are the process's
    _changes = next(_count)
    _forget_classes()


def changes() -> int:
    """Return a number that changes with each registration."""
    return _changes


def has_registrations() -> bool:
    """Return whether any class has ever been registered."""
    return bool(_by_class or _by_name)


def registered(cls: type, name: str) -> list[Rule]:
    """Return what was registered for a class, by itself or by a name of it, the latest first."""
    found = [*_by_class.get(cls, ())]
    for alias, entries in list(_by_name.items()):
        # A class may be known by another name than that of the module which defines it.
        if entries and (alias == name or _named(alias)[1] is cls):
            found += entries
    return [entry.rule for entry in sorted(found, key=lambda entry: -entry.number)]


def _named(name: str) -> tuple[object, object]:
    """Return the innermost imported module or class that a name leads to, and what it names."""
    module = name
    path: list[str] = []
    while (found := imported.get(module)) is None:
        module, _, last = module.rpartition(".")
        if not module:
            return None, None
        path.insert(0, last)
    inner: Any = found
    for part in path:
        found, inner = inner, _member(inner, part)
    return found, inner


def _member(of: object, name: str) -> object:
    """Return a member without running any code of it: a module may import at a mere question."""
    try:
        return vars(of).get(name)
    except TypeError:
        return None


def _check_class(problems: Problems, given: object) -> None:
    if not isinstance(given, str):
        if not (isinstance(given, type) and issubclass(given, Exception)):
            problems.refuse("error_class", given, _ALLOWED_CLASS)
        return
    if not all(part.isidentifier() for part in given.split(".")) or "." not in given:
        problems.refuse("error_class", given, _ALLOWED_CLASS + _meant_builtin(given))
        return
    module, found = _named(given)
    if found is None and _is_complete(module):
        known = [name for name, value in vars(module).items() if _is_error(value)]
        name = getattr(module, "__name__", "?")
        allowed = f"an exception class of {name}{_meant(given.rpartition('.')[2], known)}"
        problems.refuse("error_class", given, allowed)
    elif found is not None and not _is_error(found):
        problems.refuse("error_class", given, _ALLOWED_CLASS)


def _is_complete(module: object) -> bool:
    """Return whether all names of a module are known: those made at first use are not."""
    if module is None or "__getattr__" in vars(module):
        return False
    return not getattr(getattr(module, "__spec__", None), "_initializing", False)


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _meant_builtin(given: str) -> str:
    import builtins

    meant = _is_error(getattr(builtins, given, None))
    return f"; did you mean 'builtins.{given}'?" if meant else ""


def _meant(given: str, known: list[str]) -> str:
    from difflib import get_close_matches

    likely = get_close_matches(given, known, 1)
    return f"; did you mean {likely[0]!r}?" if likely else ""


def _read_rule(problems: Problems, of: object, given: object) -> Rule:
    if callable(given) and not isinstance(given, (type, str)):
        if answers_at_once(given) and takes_one(given):
            return _checked(given, of)
        problems.refuse("category", given, "a function that takes the error and returns at once")
        return Category.PERMANENT
    if (category := read_category(given)) is None:
        allowed = f"{allowed_categories(given)}, or a function that returns one of them"
        problems.refuse("category", given, allowed)
    return category or Category.PERMANENT


def _checked(fn: Callable[[Any], object], of: object) -> Judge:
    def judge(error: BaseException) -> Category | None:
        answer = fn(error)
        if answer is None or (category := read_category(answer)) is not None:
            return None if answer is None else category
        raise TypeError(
            f"the function registered for {of if isinstance(of, str) else shown(of)} returned "
            f"{shown(answer)}, allowed {allowed_categories(answer)}, or None"
        )

    return judge
