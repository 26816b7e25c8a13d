"""What is wrong with the arguments of a call that Python refused, all of it in one error.

Imported when such a call has failed. Elsewhere: what the values of known arguments may be
(``validation``), the words of other libraries (``hints``).
"""

from __future__ import annotations

from functools import partial
from sys import exception

from holdfast.errors import ConfigError
from holdfast.hints import BY_POSITION, argument_hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["ArgumentsError", "explain"]

_CO_VARARGS = 0x04
_CO_VARKEYWORDS = 0x08

# By the class, in which order people give arguments that have to be given by name.
_USUAL_ORDER = {
    "CircuitBreaker": ("failure_threshold", "reset_timeout"),
    "Retry": ("attempts", "backoff"),
    "Pipeline.standard": ("total_timeout", "attempts"),
}
_OF_CLASS = {
    "AdaptiveBackoff": "backoff",
    "Backoff": "backoff",
    "CircuitBreaker": "breaker",
    "Clock": "clock",
    "CountWindow": "window",
    "Fallback": "fallback",
    "Mode": "mode",
    "RateLimiter": "rate",
    "RetryBudget": "budget",
    "TimeWindow": "window",
}


class ArgumentsError(ConfigError, TypeError):
    """Arguments under a name that does not exist, too many arguments, or missing ones.

    A ``TypeError``, as for every function, and a ``ConfigError``, which lists this and all other
    problems.
    """


def explain(
    fn: Any,
    cls: type,
    args: tuple[object, ...],
    settings: dict[str, Any],
    shown: Callable[[object], str],
    problems_in: Callable[..., tuple[str, ...]],
) -> None:
    """Raise an error that says all that is wrong with the arguments, if Python refuses them.

    Args:
        fn: A method, written in Python; ``__init__`` and ``__new__`` are those of a class.
        cls: The class that it was found in.
        args: The arguments that it got by position, after the object or class.
        settings: The arguments that it got by name.
        shown: Returns the text of a value for a message.
        problems_in: Returns what is wrong with the values of a call, of which nothing remains.

    Raises:
        ArgumentsError: The arguments do not fit the method.
    """
    code = getattr(fn, "__code__", None)
    if code is None:
        return
    if code.co_flags & _CO_VARKEYWORDS:
        _add_note(cls, exception())
        return
    kind = fn.__qualname__.removesuffix(".__init__").removesuffix(".__new__")
    makes = fn.__name__ in {"__init__", "__new__"}
    called = cls.__name__ if makes else f"{cls.__name__}.{fn.__name__}"
    found = _Found(called, kind, _Parameters(fn), args, settings, shown)
    ours = _is_ours(fn)
    if not found.problems or not (ours or found.surplus or found.unknown):
        return
    if ours:
        # A subclass of the user's may do anything when it is made.
        base = next(filter(_is_ours, cls.__mro__))
        found.add_values(base if makes else partial(fn, base), problems_in)
    raise found.error() from None


def _is_ours(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] == "holdfast"


def _add_note(cls: type, error: BaseException | None) -> None:
    """Say what was meant by a name that a subclass of the user's has handed on."""
    from re import search

    told = search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    base = told and next((one for one in cls.__mro__ if one.__name__ == told[1]), None)
    if error is None or told is None or base is None or not _is_ours(base):
        return
    names = _Parameters(base.__init__).names  # type: ignore[misc]
    hint, _ = argument_hint(base.__name__, told[2], None, names)
    error.add_note(f"{told[2]}{hint} {base.__name__} takes {', '.join(names)}")


class _Parameters:
    """The parameters of a function, without the object or class that it belongs to."""

    def __init__(self, fn: Any) -> None:
        code, last = fn.__code__, fn.__code__.co_argcount
        self.by_position: tuple[str, ...] = code.co_varnames[1:last]
        self.by_name: tuple[str, ...] = code.co_varnames[last : last + code.co_kwonlyargcount]
        self.names = (*self.by_position, *self.by_name)
        at = last + code.co_kwonlyargcount
        self.more = [f"*{code.co_varnames[at]}"] if code.co_flags & _CO_VARARGS else []
        optional = len(fn.__defaults__ or ())
        self.required = self.by_position[: len(self.by_position) - optional] + tuple(
            name for name in self.by_name if name not in (fn.__kwdefaults__ or {})
        )


class _Found:
    """What is wrong with the arguments of a call, and those that are not wrong by themselves."""

    def __init__(
        self,
        called: str,
        kind: str,
        taken: _Parameters,
        args: tuple[object, ...],
        settings: dict[str, Any],
        shown: Callable[[object], str],
    ) -> None:
        self.shown = shown
        self.called = called
        self.kind = kind  # as the tables of hints know it
        self.taken = taken
        self.problems: list[str] = []
        self.unknown = [name for name in settings if name not in taken.names]
        self.surplus = () if taken.more else args[len(taken.by_position) :]
        # Arguments that are missing: what is wrong with their values is not the caller's.
        self.stand_ins = {one.removeprefix("*") for one in taken.more if self.unknown or not args}
        self.bound = bound = dict(zip(taken.by_position, args, strict=False))
        self.name = bound.get("name", settings.get("name"))
        self.good_settings = {
            name: value
            for name, value in settings.items()
            if name in taken.names and name not in bound
        }
        self.good_args = args if taken.more else args[: len(taken.by_position)]
        if not self._take_name_first(args, settings):
            self._refuse_unknown(settings)
            self._refuse_twice(bound, settings)
            self._refuse_surplus(self.surplus)
            self._refuse_missing(bound)

    def add_values(
        self, make: Callable[..., object], problems_in: Callable[..., tuple[str, ...]]
    ) -> None:
        """Add what is wrong with the values of those arguments that exist."""
        self.problems += [
            problem
            for problem in problems_in(make, *self.good_args, **self.good_settings)
            if problem.partition(":")[0] not in self.stand_ins
        ]

    def error(self) -> ArgumentsError:
        """Return the error that names all problems."""
        of = f"{self.called} {self.shown(self.name)}" if isinstance(self.name, str) else self.called
        text = f"{of}: {'; '.join(self.problems)}"
        if self.unknown:
            names = list(self.taken.names)
            names[len(self.taken.by_position) : 0] = self.taken.more
            text += f"; it takes {', '.join(names)}"
        return ArgumentsError(text, self.problems)

    def written(self, value: object) -> str:
        """Return an argument as it is written in a call: exception classes by their names."""
        if isinstance(value, type):
            return value.__name__
        if type(value) is tuple and value:
            return f"({', '.join(map(self.written, value))}{',' * (len(value) == 1)})"
        return self.shown(value)

    def _take_name_first(self, args: tuple[object, ...], settings: dict[str, Any]) -> bool:
        """Note that a name was given first to what takes it by name alone, as a Timeout does."""
        if "name" not in self.taken.by_name or len(args) < 2 or not isinstance(args[0], str):
            return False
        by_position = args[1]
        if _names_exceptions(by_position):
            return False
        self.problems.append(
            f"name: got {self.shown(args[0])} by position, allowed by name only: "
            f"{self.called}({self.written(by_position)}, name={self.shown(args[0])})"
        )
        self.name = args[0]
        self.good_args = (by_position,)
        self.good_settings = {**self.good_settings, "name": args[0]}
        self._refuse_unknown(settings)
        self._refuse_surplus(args[2:])
        return True

    def _refuse_unknown(self, settings: dict[str, Any]) -> None:
        for name in self.unknown:
            value = settings[name]
            hint, meant = argument_hint(self.kind, name, value, self.taken.names)
            self.problems.append(
                f"{name}: got {self.shown(value)}, an unexpected keyword argument{hint}"
            )
            if meant is not None and meant not in self.bound and meant not in settings:
                self.good_settings[meant] = value

    def _refuse_twice(self, bound: dict[str, object], settings: dict[str, Any]) -> None:
        self.problems += [
            f"{name}: got {self.shown(bound[name])} by position and {self.shown(value)} by name, "
            "allowed once"
            for name, value in settings.items()
            if name in bound
        ]

    def _refuse_surplus(self, surplus: tuple[object, ...]) -> None:
        usual = _USUAL_ORDER.get(self.kind, ())
        free = [
            name
            for name in (*usual, *(one for one in self.taken.by_name if one not in usual))
            if name not in self.good_settings
        ]
        if (where := BY_POSITION.get(self.kind)) is not None and surplus:
            given = ", ".join(map(self.shown, surplus))
            self.problems.append(f"got {given} by position, allowed by name only: {where}")
            return
        for value in surplus:
            name = _parameter_for(value, free, self.kind)
            if name is None:
                allowed = " and ".join(self.taken.by_position) or "no argument"
                self.problems.append(f"got {self.shown(value)} by position, allowed {allowed} only")
                continue
            free.remove(name)
            self.good_settings[name] = value
            self.problems.append(
                f"{name}: got {self.written(value)} by position, allowed by name only: "
                f"{name}={self.written(value)}"
            )

    def _refuse_missing(self, bound: dict[str, object]) -> None:
        for name in self.taken.required:
            if name in bound or name in self.good_settings:
                continue
            self.stand_ins.add(name)
            self.good_settings[name] = "?" if name == "name" else 1
            example = f', as in {self.called}("payments", …)' if name == "name" else ""
            self.problems.append(f"{name}: missing, a required argument{example}")


def _parameter_for(value: object, free: list[str], kind: str) -> str | None:
    """Return by which name an argument was probably meant."""
    names = ["on"] if _names_exceptions(value) else []
    names += [_OF_CLASS.get(cls.__name__, "") for cls in type(value).__mro__]
    if isinstance(value, str):
        names += ["limits"] if kind == "RateLimiter" else ["name"]
    for name in names:
        if name in free:
            return name
    return free[0] if free else None


def _names_exceptions(value: object) -> bool:
    values = value if isinstance(value, (tuple, list, set, frozenset)) else (value,)
    return bool(values) and all(
        isinstance(one, type) and issubclass(one, BaseException) for one in values
    )
