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

__all__ = ["by_class", "ends_of_names", "named", "register", "registered"]

# Each list is changed by atomic operations only.
by_class: dict[type, list[_Entry]] = {}
_by_name: dict[str, list[_Entry]] = {}
# The names without the first parts: a class with none of these as its own name is not registered.
ends_of_names: set[str] = set()

# Numbers of registrations, increasing; next() is atomic.
_count = itertools.count(1)

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
    if isinstance(error_class, str):
        parts = error_class.split(".")
        ends_of_names.update(".".join(parts[at:]) for at in range(1, len(parts)))
    entries = (
        _by_name.setdefault(error_class, [])
        if isinstance(error_class, str)
        else by_class.setdefault(error_class, [])
    )
    entries.append(entry)
    _forget_classes()

    def remove() -> None:
        """Remove the registration; a second call does nothing."""
        if entry in entries:
            entries.remove(entry)
            _forget_classes()

    return remove


def _latest_first(entry: _Entry) -> int:
    return -entry.number


def named(cls: type) -> list[tuple[object, list[_Entry]]]:
    """Return what was registered by names that lead to a class or to its bases.

    A class may be known by another name than that of the module which defines it.
    """
    return [
        (found, entries)
        for name, entries in _by_name.copy().items()
        if entries and _is_base(found := _named(name)[1], cls)
    ]


def _is_base(value: object, cls: type) -> bool:
    """Return whether a value is a class or one of its bases, without running any code of either."""
    return isinstance(value, type) and type.__subclasscheck__(value, cls)


def registered(cls: type, name: str, others: list[tuple[object, list[_Entry]]]) -> list[Rule]:
    """Return what was registered for a class, by itself or by a name of it, the latest first."""
    found = {*by_class.get(cls, ()), *_by_name.get(name, ())}
    for base, entries in others:
        if base is cls:
            found.update(entries)
    return [entry.rule for entry in sorted(found, key=lambda entry: -entry.number)]


def _named(name: str) -> tuple[object, object]:
    """Return the innermost imported module or class that a name leads to, and what it names."""
    module = name
    while (found := imported.get(module)) is None:
        module = module.rpartition(".")[0]
        if not module:
            return None, None
    inner: Any = found
    for part in name[len(module) + 1 :].split(".") if name != module else ():
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
