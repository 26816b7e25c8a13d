"""Which of several functions runs at a level, and how it is called.

Elsewhere: the level (``component``).
"""

from __future__ import annotations

from functools import wraps
from types import CoroutineType

from holdfast._native.gate import _callable_kind
from holdfast.degradation.level import LEVELS, Level, read_level
from holdfast.validation import Problems, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    # A component of a manager, whose module imports this one.
    Component = Any
    Fn = Callable[..., Any]
    Choices = tuple[Fn | None, Fn | None, Fn | None, Fn | None]

__all__ = ["acall", "call", "choices_of", "guarded", "ordered"]

_COROUTINE = 1  # of _callable_kind


def choices_of(normal: Fn, degraded: Fn | None, emergency: Fn | None) -> Choices:
    """Return the function of each level, by the level; None where nothing may run.

    Raises:
        TypeError: One of them is not callable.
    """
    if not callable(normal):
        raise TypeError(f"normal: got {shown(normal)}, allowed a callable")
    for field, fn in (("degraded", degraded), ("emergency", emergency)):
        if fn is not None and not callable(fn):
            raise TypeError(f"{field}: got {shown(fn)}, allowed a callable, or None")
    instead = normal if degraded is None else degraded
    return normal, instead, instead, emergency


def ordered(choices: Mapping[Any, Fn]) -> Choices:
    """Return the function of each level: its own, else that of the next more degraded level.

    Raises:
        ConfigError: A key is not a level, or there is no function at all.
        TypeError: A value is not callable.
    """
    problems = Problems("execute_with_fallback")
    given: object = choices
    if not hasattr(given, "items") or not choices:
        problems.refuse("choices", choices, "a dict of functions by their levels")
        problems.done()
    own = {read_level(problems, "choices", level): fn for level, fn in choices.items()}
    problems.done()
    for level, fn in own.items():
        if not callable(fn):
            raise TypeError(f"choices[{level.name}]: got {shown(fn)}, allowed a callable")
    found: list[Fn | None] = []
    for level in reversed(LEVELS):
        found.insert(0, own.get(level, found[0] if found else None))
    normal, degraded, severely, emergency = found
    return normal, degraded, severely, emergency


def call(
    component: Component, choices: Choices, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Call the function of the level in force.

    Raises:
        EmergencyModeError: There is none.
        TypeError: One of the functions is a coroutine function, or the result is a coroutine.
    """
    for fn in choices:
        if fn is not None and _callable_kind(fn) == _COROUTINE:
            raise TypeError(_refusal(component, fn))
    _check_args(args)
    result = _chosen(component, choices)(*args, **kwargs)
    if type(result) is CoroutineType:
        result.close()
        raise TypeError(f"component {component.name!r}: the call returned a coroutine: {_USE}")
    return result


async def acall(
    component: Component, choices: Choices, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Call the function of the level in force, and await what it returns if that is awaitable.

    Raises:
        EmergencyModeError: There is none.
        TypeError: ``args`` is no tuple.
    """
    _check_args(args)
    result = _chosen(component, choices)(*args, **kwargs)
    return await result if hasattr(result, "__await__") else result


def guarded(component: Component, fn: Any, degraded: Fn | None, emergency: Fn | None) -> Any:
    """Return a function of the same signature that runs ``fn``, or what stands in for it.

    Raises:
        TypeError: One of them is not callable, or ``fn`` is a plain function and another one is a
            coroutine function.
    """
    choices = choices_of(fn, degraded, emergency)
    if _callable_kind(fn) == _COROUTINE:

        @wraps(fn)
        async def run_in_task(*args: Any, **kwargs: Any) -> Any:
            return await acall(component, choices, args, kwargs)

        return run_in_task
    for other in choices:
        if other is not None and _callable_kind(other) == _COROUTINE:
            raise TypeError(
                f"component {component.name!r}: {shown(other)} is a coroutine function, but"
                f" {shown(fn)}, which it replaces, is not"
            )

    @wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        return _chosen(component, choices)(*args, **kwargs)

    return run


def _check_args(args: object) -> None:
    if not isinstance(args, (tuple, list)):  # a string would be taken apart
        raise TypeError(f"args: got {shown(args)}, allowed a tuple, as in args=({shown(args)},)")


def _chosen(component: Component, choices: Choices) -> Fn:
    level: Level = component.level
    if level:
        component._see_to_watching()
    fn = choices[level]
    if fn is None:
        raise component._refusal(level)
    if level and fn is not choices[0]:
        _note_stand_in(component, level, fn)
    return fn


def _name_of(fn: Fn) -> str:
    return getattr(fn, "__qualname__", None) or shown(fn)


def _note_stand_in(component: Component, level: Level, fn: Fn) -> None:
    from holdfast.records import note, takes

    if takes("stand_in", "degradation"):
        name = component.name
        text = "component %r is %s: %s is called instead"
        note("stand_in", "degradation", name, text, name, level.word, _name_of(fn))


_USE = "use aexecute() or aexecute_with_fallback()"


def _refusal(component: Component, fn: Fn) -> str:
    return f"component {component.name!r}: {shown(fn)} is a coroutine function: {_USE}"
