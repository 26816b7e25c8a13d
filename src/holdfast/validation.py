"""Checking what users pass in, and naming all that is wrong with it at once.

The one place where seconds become nanoseconds. Elsewhere: which ranges a policy allows, and
checks of one setting against another (a policy reports those with ``refuse``).
"""

from __future__ import annotations

import operator
from functools import partial, wraps
from math import inf, isfinite
from sys import intern
from threading import get_ident

from holdfast.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from typing import Any, Literal, TypeVar, overload

    C = TypeVar("C", bound=Callable[..., object])
    F = TypeVar("F", bound=Callable[..., Any])
    T = TypeVar("T")

__all__ = [
    "CATEGORIES",
    "MAX_NS",
    "Problems",
    "answers_at_once",
    "duration_to_ns",
    "explain_arguments",
    "explains_names",
    "is_checking",
    "is_name",
    "nearest",
    "require_callable",
    "seconds_to_ns",
    "shown",
    "takes_one",
    "titled",
    "wait_to_ns",
]

# A hundred years: the sum of a time and two durations still fits into 63 bits.
MAX_NS = 100 * 365 * 86_400 * 10**9

_MAX_NAME = 200
_MAX_SHOWN = 80
_NO_NAME = object()
# Threads that check the arguments of a call which cannot be made. What they make is not registered.
_checking: set[int] = set()
_CALLABLE = "a callable that is not a coroutine or generator function"

# The categories of exceptions, as the native gate takes them: holdfast.categories.Category.
CATEGORIES = {"transient": 1, "permanent": 2, "resource": 4, "logic": 8}
_MATCHES = "subclasses of Exception, categories ({}), or a predicate".format(
    ", ".join(map(repr, CATEGORIES))
)

_CO_VARARGS = 0x04
# Code flags of what runs nothing when it is called: generators, coroutines, both.
_CO_LATER = 0x20 | 0x80 | 0x200


def is_name(text: str) -> bool:
    """Return whether a text may be a name."""
    return 0 < len(text) <= _MAX_NAME and text.isprintable()


class Problems:
    """What is wrong with the settings of one object, gathered before anything is raised.

    Each check returns the value in the form the object keeps it in or, where it was refused,
    one that is harmless to go on with until ``done``. Not shared between threads.
    """

    __slots__ = ("_found", "_kind", "_name")

    def __init__(self, kind: str = "", name: object = _NO_NAME) -> None:
        self._kind = kind
        self._name = name
        self._found: list[str] = []

    def done(self) -> None:
        """Raise if anything was refused.

        Raises:
            ConfigError: Naming every field, its value, and what is allowed.
        """
        if self._found:
            nameless = self._name is _NO_NAME or self._name is None
            of = self._kind if nameless else f"{self._kind} {shown(self._name)}"
            text = "; ".join(self._found)
            raise ConfigError(f"{of}: {text}" if of else text, self._found)

    def refuse(self, field: str, value: object, allowed: str) -> None:
        """Note that a field has a value it must not have; a hint follows where there is one."""
        from holdfast.instead import signed, value_hint

        got = signed(value) or shown(value)
        self._found.append(
            f"{field}: got {got}, allowed {allowed}{value_hint(self._kind, field, value, allowed)}"
        )

    def adopt(self, error: ConfigError) -> None:
        """Note what another object found wrong with settings that were passed on to it, once."""
        self._found += [problem for problem in error.problems if problem not in self._found]

    def name(self, value: object, field: str = "name") -> str:
        """Check a name: it ends up in messages, metrics and tables."""
        if isinstance(value, str):
            text = str.__str__(value)  # what it holds, whatever a subclass shows
            if is_name(text):
                return text
        self.refuse(field, value, f"a string of 1 to {_MAX_NAME} printable characters")
        return "?"

    def flag(self, field: str, value: object) -> bool:
        """Check a yes or no; other values that are true or false in a condition are refused."""
        if not isinstance(value, bool):
            self.refuse(field, value, "True or False")
        return value is True

    def choice(self, field: str, value: object, allowed: tuple[T, ...]) -> T:
        """Check that the value is one of a few."""
        for one in allowed:
            if type(value) is type(one) and value == one:
                return one
        self.refuse(field, value, "one of " + ", ".join(map(shown, allowed)))
        return allowed[0]

    def instance(self, field: str, value: object, of: type[T], allowed: str) -> T | None:
        """Check that the value is an instance of a class, described as ``allowed``."""
        if isinstance(value, of):
            return value
        self.refuse(field, value, allowed)
        return None

    def callable(self, field: str, value: C | None, *, none: bool = True) -> C | None:
        """Check for something that can be called and answers at once."""
        if value is None and none:
            return None
        if callable(value) and answers_at_once(value):
            return value
        self.refuse(field, value, _or_none(_CALLABLE, none))
        return None

    def asked(self, field: str, value: C | None, *, none: bool = True) -> C | None:
        """Check for something that can be asked about one thing, and answers at once."""
        given: object = value
        if isinstance(given, type) and issubclass(given, BaseException):
            self.refuse(field, value, _or_none("a callable, not an exception class", none))
            return None
        if (fn := self.callable(field, value, none=none)) is None or takes_one(fn):
            return fn
        self.refuse(field, value, _or_none("a callable that takes one argument", none))
        return None

    def matcher(
        self, field: str, value: object, *, empty: bool = True
    ) -> tuple[Any, tuple[type[Exception], ...], int, Callable[[Any], object] | None]:
        """Check which exceptions are meant: classes, categories, several of both, or a predicate.

        Cancellation, KeyboardInterrupt, SystemExit and GeneratorExit prove nothing about what was
        called, so only subclasses of Exception can be named. Without ``empty``, one must be.

        Returns:
            The setting as it is kept, the classes, the categories as bits, and the predicate or
            None. A predicate is asked about all Exceptions.
        """
        if callable(value) and not isinstance(value, type):
            return value, (Exception,), 0, self.asked(field, value, none=False)
        several = isinstance(value, (tuple, list, set, frozenset))
        kept: tuple[Any, ...] = tuple(value) if several else (value,)  # type: ignore[arg-type]
        classes = tuple(one for one in kept if isinstance(one, type) and issubclass(one, Exception))
        words = [str.__str__(one) for one in kept if isinstance(one, str)]
        unknown = [word for word in words if word not in CATEGORIES]
        if unknown or len(classes) + len(words) < len(kept) or not (kept or empty):
            meant = nearest(unknown[0].lower(), tuple(CATEGORIES)) if unknown else ""
            least = "" if kept else "at least one of "
            self.refuse(field, value, f"{least}{_MATCHES}{meant}")
            return (Exception,), (Exception,), 0, None
        if isinstance(value, (set, frozenset)):  # whose order is chance
            kept = tuple(sorted(kept, key=lambda one: one if isinstance(one, str) else str(one)))
        if not words:
            return kept, kept, 0, None
        bits = 0
        for word in words:
            bits |= CATEGORIES[word]
        kept = tuple(intern(str.__str__(one)) if isinstance(one, str) else one for one in kept)
        return (kept[0] if len(kept) == 1 else kept), classes, bits, None

    if TYPE_CHECKING:

        @overload
        def integer(
            self, field: str, value: object, *, least: int, most: int, none: Literal[False] = ...
        ) -> int: ...
        @overload
        def integer(
            self, field: str, value: object, *, least: int, most: int, none: bool
        ) -> int | None: ...

    def integer(
        self, field: str, value: object, *, least: int, most: int, none: bool = False
    ) -> int | None:
        """Check a whole number from ``least`` to ``most``; a float or a bool is none."""
        if value is None and none:
            return None
        if not isinstance(value, bool):
            try:
                whole = operator.index(value)  # type: ignore[arg-type]  # what has no index raises
            except Exception:  # noqa: BLE001 - the caller's object; it is refused below
                pass
            else:
                if least <= whole <= most:
                    return whole
        self.refuse(field, value, _or_none(f"an integer from {least} to {most}", none))
        return least

    if TYPE_CHECKING:

        @overload
        def number(
            self,
            field: str,
            value: object,
            *,
            least: float = ...,
            most: float = ...,
            above: float | None = ...,
            none: Literal[False] = ...,
        ) -> float: ...
        @overload
        def number(
            self,
            field: str,
            value: object,
            *,
            least: float = ...,
            most: float = ...,
            above: float | None = ...,
            none: bool,
        ) -> float | None: ...

    def number(
        self,
        field: str,
        value: object,
        *,
        least: float = 0.0,
        most: float = 1e18,
        above: float | None = None,
        none: bool = False,
    ) -> float | None:
        """Check a finite number from ``least``, or greater than ``above``, to ``most``."""
        if value is None and none:
            return None
        number = _finite(value)
        low = least if above is None else above
        if number is not None and low <= number <= most and number != above:
            return number
        span = f"from {_plain(least)}" if above is None else f"above {_plain(above)}, up"
        self.refuse(field, value, _or_none(f"a number {span} to {_plain(most)}", none))
        return least if above is None else min(most, above + 1.0)

    if TYPE_CHECKING:

        @overload
        def fraction(
            self, field: str, value: object, *, zero: bool = ..., none: Literal[False] = ...
        ) -> float: ...
        @overload
        def fraction(
            self, field: str, value: object, *, zero: bool = ..., none: bool
        ) -> float | None: ...

    def fraction(
        self, field: str, value: object, *, zero: bool = True, none: bool = False
    ) -> float | None:
        """Check a share of the whole: a number from 0 (without ``zero``: above 0) to 1."""
        return self.number(field, value, most=1.0, above=None if zero else 0.0, none=none)

    if TYPE_CHECKING:

        @overload
        def duration(
            self,
            field: str,
            value: float | timedelta,
            *,
            least_ns: int = ...,
            most_ns: int = ...,
            none: Literal[False] = ...,
        ) -> int: ...
        @overload
        def duration(
            self,
            field: str,
            value: float | timedelta | None,
            *,
            least_ns: int = ...,
            most_ns: int = ...,
            none: bool,
        ) -> int | None: ...

    def duration(
        self,
        field: str,
        value: float | timedelta | None,
        *,
        least_ns: int = 0,
        most_ns: int = MAX_NS,
        none: bool = False,
    ) -> int | None:
        """Check a duration, in seconds or a timedelta.

        Returns:
            Nanoseconds, from ``least_ns`` to ``most_ns``.
        """
        if value is None and none:
            return None
        ns = _to_ns(value)
        if ns is not None and least_ns <= ns <= most_ns:
            return ns
        span = f"from {_plain(least_ns / 1e9)} to {_plain(most_ns / 1e9)}"
        self.refuse(field, value, _or_none(f"seconds or a timedelta {span}", none))
        return least_ns

    def wait(self, field: str, value: float | timedelta | None, *, least_ns: int = 0) -> int | None:
        """Check how long something may take; None and ``math.inf`` are as long as it takes."""
        if isinstance(value, float) and value == inf:
            return None
        return self.duration(field, value, least_ns=least_ns, none=True)


def wait_to_ns(field: str, value: float | timedelta) -> int | None:
    """Return how long one call may wait, in nanoseconds; None for ``math.inf``: without limit.

    Raises:
        ConfigError: It is no duration, negative, not a number, or longer than a hundred years.
    """
    problems = Problems()
    ns = problems.wait(field, value)
    problems.done()
    return ns


def seconds_to_ns(field: str, value: float | timedelta) -> int:
    """Return a duration given to a method, in seconds or as a timedelta, in nanoseconds.

    Raises:
        ConfigError: It is no duration, negative, not finite, or longer than a hundred years.
    """
    problems = Problems()
    ns = problems.duration(field, value)
    problems.done()
    return ns


def duration_to_ns(value: object) -> int | None:
    """Return seconds or a timedelta in nanoseconds; None for anything else, whatever it is."""
    return _to_ns(value)


def require_callable(field: str, value: object, *, one: bool = False) -> None:
    """Refuse what cannot be called, or what would have to be awaited or iterated over.

    Args:
        field: The name of the argument.
        value: The callable.
        one: Whether it is called with one argument.

    Raises:
        TypeError: ``value`` is not a callable, is a coroutine or generator function, or does not
            take one argument.
    """
    if not callable(value) or not answers_at_once(value):
        allowed = _CALLABLE
    elif one and not takes_one(value):
        allowed = "a callable that takes one argument"
    else:
        return
    problems = Problems()
    problems.refuse(field, value, allowed)
    try:
        problems.done()
    except ConfigError as error:
        raise TypeError(*error.args) from None


def answers_at_once(fn: object) -> bool:
    """Return whether calling ``fn`` runs it, and makes nothing to await or to iterate over.

    The same answer as ``inspect`` gives for coroutine and generator functions of both kinds,
    without the import of ``inspect``, which costs more than all of holdfast.
    """
    while isinstance(fn, partial):
        fn = fn.func
    for one in (fn, getattr(type(fn), "__call__", None)):  # noqa: B004 - it may be async itself
        if type(getattr(one, "_is_coroutine_marker", None)) is object:  # a Mock has any name
            return False
        flags = getattr(getattr(one, "__code__", None), "co_flags", 0)
        if isinstance(flags, int) and flags & _CO_LATER:
            return False
    return True


def is_checking() -> bool:
    """Return whether this thread only checks arguments: what it makes is not registered."""
    return bool(_checking) and get_ident() in _checking


def explains_names(method: F) -> F:
    """Have a method say all that is wrong with its arguments, where Python refuses them."""

    @wraps(method)
    def explained(owner: Any, /, *args: Any, **settings: Any) -> Any:
        try:
            return method(owner, *args, **settings)
        except TypeError:
            explain_arguments(method, owner, args, settings)
            raise

    return explained  # type: ignore[return-value]


def nearest(name: object, names: Sequence[str]) -> str:
    """Return the name that was probably meant, as the end of a message; "" for none."""
    from holdfast.hints import argument_hint

    return argument_hint("", name, None, tuple(names))[0] if isinstance(name, str) else ""


def explain_arguments(
    method: Any, owner: Any, args: tuple[object, ...], settings: dict[str, Any]
) -> None:
    """Say what a method takes instead, after a call of it that raised a ``TypeError``.

    Args:
        method: A method in Python: of a class, or one that makes an object.
        owner: Its class, or the object.
        args: What it was given after that.
        settings: What it was given by name.

    Raises:
        ArgumentsError: The arguments do not fit the method.
    """
    if is_checking():
        return
    from holdfast.arguments import explain

    cls = owner if isinstance(owner, type) else type(owner)
    explain(method, cls, args, settings, shown, _problems_in)


def _problems_in(make: Callable[..., object], *args: Any, **settings: Any) -> tuple[str, ...]:
    """Return what is wrong with the values of a call, of which nothing remains."""
    me = get_ident()
    _checking.add(me)
    try:
        make(*args, **settings)
    except ConfigError as error:
        return error.problems
    except Exception:  # noqa: BLE001 - not about the arguments that were refused
        pass
    finally:
        _checking.discard(me)
    return ()


def takes_one(fn: Any) -> bool:
    """Return whether a call with one argument fits a callable; True if that is not known."""
    inner = getattr(fn, "__func__", fn)
    code = getattr(inner, "__code__", None)
    if type(code) is not type(takes_one.__code__):
        return _binds_one(fn)
    named = code.co_argcount - (inner is not fn)  # a method has its first one
    needed = named - len(getattr(inner, "__defaults__", None) or ())
    by_name = code.co_kwonlyargcount - len(getattr(inner, "__kwdefaults__", None) or ())
    takes_more = bool(code.co_flags & _CO_VARARGS)
    return needed <= 1 and by_name <= 0 and (named >= 1 or takes_more)


def _binds_one(fn: Any) -> bool:
    """Return the same of what is no function: partials, objects, classes, builtin functions."""
    from functools import _lru_cache_wrapper
    from inspect import Signature

    try:
        # What a wrapper wraps may be called in another way, except by a cache.
        cached = isinstance(fn, _lru_cache_wrapper)
        signature = Signature.from_callable(fn, follow_wrapped=cached)
    except Exception:  # noqa: BLE001 - the caller's object, or a builtin function without one
        return True
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True


def titled(policy: object) -> str:
    """Return how a message shows a policy: without its state, which changes all the time."""
    return f"<{type(policy).__name__} {getattr(policy, 'name', None)!r}>"


def shown(value: object) -> str:
    """Return how a message shows a value: its repr, short and on one line, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the caller's object; the message is about something else
        text = f"<{type(value).__name__} without a repr>"
    if len(text) > _MAX_SHOWN:
        text = text[: _MAX_SHOWN - 1] + "…"
    return text if text.isprintable() else ascii(text)[1:-1]


def _plain(bound: float) -> str:
    """Return a bound as people write it: 3153600000, not 3.1536e+09."""
    return f"{bound:.12g}"


def _or_none(allowed: str, none: bool) -> str:
    return f"{allowed}, or None" if none else allowed


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (float, int)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def _to_ns(value: object) -> int | None:
    """Return a duration in nanoseconds, none but 0 as 0; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 10**9
    number = _finite(value)
    if number is None:
        return _timedelta_to_ns(value)
    if abs(number) > MAX_NS:
        return None
    return round(number * 1e9) or (number > 0) - (number < 0)


def _timedelta_to_ns(value: object) -> int | None:
    from datetime import timedelta

    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1) * 1000
    return None
