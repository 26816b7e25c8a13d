"""Guarded functions: how a policy guards what it decorates, and what a guard looks like.

A guard looks like its function, to whoever asks for what functions have. Frameworks ask for the
class, then for code, defaults, globals and annotations. The function answers each time somebody
asks. Names, documentation and annotations may be set on the guard alone. They are not in its
``__dict__``, which ``functools.update_wrapper`` copies onto whatever wraps the guard: a plain
function would then answer with the code of a coroutine function.

Elsewhere: how a guard is called and bound (``csrc/python/guard.c``, ``csrc/python/guard_type.c``).
"""

from __future__ import annotations

import sys
from functools import partial, partialmethod
from types import BuiltinFunctionType, CellType, FunctionType, MethodType

from holdfast._native import gate
from holdfast.validation import titled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Guard: TypeAlias = gate.Guard[..., Any]
    Get: TypeAlias = Callable[[Guard, str], Any]
    Set: TypeAlias = Callable[..., Any]  # guard, name and the value; without a value: delete

__all__ = ["decorate", "install_guard_face"]


def decorate(policy: gate.Gate | gate.Handle, /, *fns: Any, **wrong: Any) -> Any:
    """Return the one function guarded by the policy, or by what an operation consists of.

    What is a method only in its class (a class method, a static or a partial one) is guarded inside
    its wrapper.
    """
    if wrong or len(fns) != 1:
        hint = "the function: write @policy, without parentheses"
        if fns or wrong:
            hint = "one argument, the function; to call it, write policy.call(function, …)"
        raise TypeError(f"{titled(policy)} as a decorator takes {hint}")
    fn = fns[0]
    cls = type(fn)
    if cls is classmethod or cls is staticmethod:
        return cls(policy._guard(fn.__func__))
    if issubclass(cls, partialmethod) and not callable(fn):
        return cls(decorate(policy, fn.func), *fn.args, **fn.keywords)
    return policy._guard(fn)


def _shown(self: gate.Gate, fn: Any, /) -> Any:
    """Return ``fn`` guarded by this policy."""


# What help() and inspect show. ``decorate`` takes more arguments, to say which of them is wrong.
decorate.__wrapped__ = _shown  # type: ignore[attr-defined]
decorate.__name__, decorate.__qualname__ = "__call__", "Policy.__call__"
decorate.__doc__ = _shown.__doc__


# ---- looking into a guard ----

# Of a guard: what it guards, and a dict of what was set that is not in its __dict__; else None.
_inside: Callable[[Any], Any] = gate._inside_guard


def _guarded(guard: Guard) -> Any:
    """Return the callable at the bottom of guards that guard guards."""
    fn: Any = guard
    while inside := _inside(fn):
        fn = inside[0]
    return fn


def _called(guard: Guard) -> Any:
    """Return what is called in the end, through methods and guards, however they are nested."""
    fn: Any = guard
    while True:
        if inside := _inside(fn):
            fn = inside[0]
        elif type(fn) is MethodType:
            fn = fn.__func__
        else:
            return fn


def _is(fn: Any, *classes: type) -> bool:
    """Return whether the class of ``fn`` is one of these, whatever class ``fn`` passes for."""
    return issubclass(type(fn), classes)


# ---- what answers; NotImplemented: the guard has it or not, as any object ----


def _of_guarded(guard: Guard, name: str) -> Any:
    """Return what the guarded callable has of that name."""
    try:
        return getattr(_guarded(guard), name)
    except AttributeError:
        # Without the repr, which may be long, or raise.
        what = f"a guarded {type(_guarded(guard)).__name__!r} object"
        missing = AttributeError(f"{what} has no attribute {name!r}", name=name, obj=guard)
    raise missing


def _own(guard: Guard, name: str) -> Any:
    """Return what was set on the guard, else on a guard that it guards, else the function's."""
    fn: Any = guard
    while inside := _inside(fn):
        fn, face = inside
        if (value := face.get(name, NotImplemented)) is not NotImplemented:
            return value
    return _of_guarded(guard, name)


def _own_or_none(guard: Guard, name: str) -> Any:
    try:
        return _own(guard, name)
    except AttributeError:
        return None


def _module(guard: Guard, name: str) -> Any:
    """Return the module. Of a callable that has none it is the module of the class of guards."""
    try:
        return _own(guard, name)
    except AttributeError:
        return NotImplemented


def _annotations(guard: Guard, name: str) -> Any:
    """Return the annotations. From 3.14 on, ``__annotate__`` makes them when somebody asks."""
    fn: Any = guard
    while inside := _inside(fn):
        fn, face = inside
        value = face.get(name, NotImplemented)
        annotate = face.get("__annotate__", NotImplemented)
        if value is NotImplemented and annotate is not NotImplemented:
            value = face[name] = annotate(1) if annotate is not None else {}  # 1: Format.VALUE
        if value is not NotImplemented:
            return value
    return _of_guarded(guard, name)


def _closure(guard: Guard, name: str) -> Any:
    """Return the cells of the function, and one with the policy, which the code does not name.

    Whoever makes the function anew of its parts would call it unguarded. The last cell prevents
    that: in this process it is one cell too many, and it cannot be pickled for another process.
    """
    cells = _of_guarded(guard, name)
    if cells is not None and type(cells) is not tuple:
        return cells
    return (*(cells or ()), CellType(guard.policy))


def _class(guard: Guard, _name: str) -> type:
    """Return the class that ``isinstance`` sees: a function's, a partial's, a builtin function's.

    ``type()`` gives the class of guards. A guarded method of an object passes for a function too.
    """
    fn = _guarded(guard)
    if _is(fn, partial):
        return partial
    if isinstance(_called(fn), FunctionType):  # a proxy of a function says itself that it is one
        return FunctionType
    return BuiltinFunctionType if _is(fn, BuiltinFunctionType) else gate.Guard


# Whoever looks behind a partial or a callable object wants to know what kind of function is called.
# That function is guarded as well: whoever calls it calls it guarded.


def _of_partial(guard: Guard, name: str) -> Any:
    return _of_guarded(guard, name) if _is(_guarded(guard), partial) else NotImplemented


def _func(guard: Guard, name: str) -> Any:
    fn = _of_partial(guard, name)
    return fn if fn is NotImplemented else guard.policy._guard(fn)


def _call(guard: Guard, name: str) -> Any:
    """Return the method of an object whose class says in Python what a call does."""
    fn = _guarded(guard)
    if _is(fn, FunctionType, MethodType, BuiltinFunctionType, type):
        return NotImplemented
    call = getattr(fn, name, None)
    return guard.policy._guard(call) if type(call) is MethodType else NotImplemented


def _signature(guard: Guard, name: str) -> Any:
    """Return what was set; else the signature of a callable that is no function.

    It is for those who ask a guard without following ``__wrapped__``.
    """
    own = guard.__dict__.get(name, NotImplemented)
    fn = _guarded(guard)
    if own is not NotImplemented or _is(fn, FunctionType, partial):
        return own
    import inspect

    try:
        return inspect.signature(fn)
    except Exception:  # noqa: BLE001 - there is no signature to be had
        return NotImplemented


def _either(guard: Guard, name: str) -> Any:
    """Return what was set, or what the function has: marks, the methods of a cache."""
    own = guard.__dict__.get(name, NotImplemented)
    return own if own is not NotImplemented else getattr(_guarded(guard), name, NotImplemented)


# ---- what sets and deletes; NotImplemented: the guard does it, as any object ----


def _of_policy(guard: Guard, name: str) -> Any:
    """Return what was set; else raise an error that says where the policy has it."""
    try:
        return object.__getattribute__(guard, name)
    except AttributeError as error:
        from holdfast.hints import missing_of_guard

        use = missing_of_guard(guard.policy, name)
        missing = AttributeError(f"{error}: {use}", name=name) if use else error
    raise missing


def _set_own(guard: Guard, name: str, *value: Any) -> None:
    face = _inside(guard)[1]
    if value:
        face[name] = value[0]
    elif face.pop(name, NotImplemented) is NotImplemented:
        raise AttributeError(name, name=name, obj=guard)


def _set_name(guard: Guard, name: str, *value: Any) -> None:
    if value and not isinstance(value[0], str):
        raise TypeError(f"{name} must be set to a string object")
    _set_own(guard, name, *value)


def _set_annotations(guard: Guard, name: str, *value: Any) -> None:
    _set_own(guard, name, *value)
    face = _inside(guard)[1]
    if value:
        face["__annotate__"] = None
    else:
        face.pop("__annotate__", None)


def _set_annotate(guard: Guard, name: str, *value: Any) -> None:
    _set_own(guard, name, *value)
    _inside(guard)[1].pop("__annotations__", None)


def _set_through(guard: Guard, name: str, *value: Any) -> None:
    """Set it on the function: a guard with other defaults than those of a call would lie."""
    fn = _guarded(guard)
    if type(fn) is not FunctionType:
        raise AttributeError(f"{guard!r} guards no function: {name} cannot be set")
    if value:
        setattr(fn, name, value[0])
    else:
        delattr(fn, name)


def _refuse(guard: Guard, name: str, *_value: Any) -> None:
    raise AttributeError(f"{guard!r}: {name!r} is read-only", name=name, obj=guard)


def _set_of_partial(guard: Guard, name: str, *value: Any) -> Any:
    return _refuse(guard, name, *value) if _is(_guarded(guard), partial) else NotImplemented


# ---- methods ----


def _dir(guard: Guard) -> list[str]:
    """Return the names of the attributes that the guard has; its type has some that it has not."""
    names = set(guard.__dict__)
    for name in dir(type(guard)):
        try:
            getattr(guard, name)
        except AttributeError:
            continue
        except Exception:  # noqa: BLE001 - annotations that name what is not there yet
            pass
        names.add(name)
    return sorted(names)


def _reduce(guard: Guard) -> str:
    # As a function: it is found again by its name, and a copy of it is itself.
    try:
        name: str = guard.__qualname__
    except AttributeError:
        nameless = TypeError(f"cannot pickle {guard!r}: it cannot be imported by a name")
    else:
        return name
    raise nameless


def _copy(guard: Guard, /) -> Guard:
    return guard


def _deepcopy(guard: Guard, memo: object, /) -> Guard:  # noqa: ARG001 - it is its own copy
    return guard


def _named(guard: Guard, owner: type, name: str, /) -> None:
    # A callable that binds in a way of its own may need the name. A class makes class methods of
    # functions of two names, but not of guards, which are no functions.
    fn = _guarded(guard)
    try:
        tell = getattr(fn, "__set_name__", None) if hasattr(type(fn), "__get__") else None
    except Exception:  # noqa: BLE001 - there is none to be had
        tell = None
    if tell is not None:
        tell(owner, name)
    elif name in {"__init_subclass__", "__class_getitem__"}:
        setattr(owner, name, classmethod(guard))


def _with_options(self: Guard, /, *args: Any, **options: Any) -> Any:
    """Return the function guarded with other options; see Pipeline and Retry.with_options.

    Of a method it is one that is not bound, whichever way it was reached: call it with the
    object.

    Raises:
        TypeError: What guards is neither a pipeline nor a retry.
        ConfigError: As of with_options.
    """
    policy: Any = self.policy
    fn = _inside(self)[0]
    if not hasattr(policy, "with_options"):
        raise TypeError(
            f"{fn!r} is guarded by {titled(policy)}: only a pipeline or a retry has options"
        )
    other = policy.with_options(*args, **options)
    if not isinstance(other, gate.Gate):
        raise TypeError(f"with_options() of {titled(policy)} returned no pipeline")
    return other._guard(fn)


# ---- all of them ----

# Descriptors, as those of a function: whoever looks without asking finds them in the type.
_DESCRIPTORS: dict[str, tuple[Get, Set]] = {
    "__name__": (_own, _set_name),
    "__qualname__": (_own, _set_name),
    "__doc__": (_own_or_none, _set_own),
    "__type_params__": (_own, _set_own),
    "__annotations__": (_annotations, _set_annotations),
    **({"__annotate__": (_own, _set_annotate)} if sys.version_info >= (3, 14) else {}),
    "__code__": (_of_guarded, _set_through),
    "__defaults__": (_of_guarded, _set_through),
    "__kwdefaults__": (_of_guarded, _set_through),
    "__globals__": (_of_guarded, _refuse),
    "__builtins__": (_of_guarded, _refuse),
    "__closure__": (_closure, _refuse),
    "__text_signature__": (_of_guarded, _refuse),
}

_METHODS: dict[str, Callable[..., Any]] = {
    "__dir__": _dir,
    "__reduce__": _reduce,
    "__copy__": _copy,
    "__deepcopy__": _deepcopy,
    "__set_name__": _named,
    "with_options": _with_options,
}

# What users look for in a guard, although its policy has it.
_OF_POLICIES = (
    "call try_call acall try_acall call_with_stats acall_with_stats attempts snapshot reset state "
    "trip on_event retry_with statistics"
)

# What cannot be a descriptor: the type has its own of that name, or most guards have none.
_GETTERS: dict[str, Get] = {
    "__module__": _module,
    "__class__": _class,
    "__call__": _call,
    "__signature__": _signature,
    "func": _func,
    "args": _of_partial,
    "keywords": _of_partial,
    "_is_coroutine_marker": _either,
    "_is_coroutine": _either,
    "cache_info": _either,
    "cache_clear": _either,
    "cache_parameters": _either,
    **dict.fromkeys(_OF_POLICIES.split(), _of_policy),
}
_SETTERS: dict[str, Set] = {
    "__module__": _set_own,
    "func": _set_of_partial,
    "args": _set_of_partial,
    "keywords": _set_of_partial,
}


class _Descriptor(property):
    """A property of guards. Their class has its own documentation."""

    def __get__(self, guard: Any, owner: type | None = None) -> Any:
        return _CLASS_DOC if guard is None else super().__get__(guard, owner)


_CLASS_DOC = """A guarded function: what a policy makes of the function that it decorates.

It has the signature, the name and the attributes of the function, and binds as the function
does. ``policy`` is what guards it, ``__wrapped__`` the function. ``with_options`` returns the
function guarded by other policies. In an annotation: ``Guard[[str, int], float]``, or with its
policy, ``Guard[[str, int], float, Pipeline]``.

Safe to share between threads and event loops.
"""


def _descriptor(name: str, get: Get, set_: Set) -> property:
    return (_Descriptor if name == "__doc__" else property)(
        lambda guard: get(guard, name),
        lambda guard, value: set_(guard, name, value),
        lambda guard: set_(guard, name),
    )


def install_guard_face() -> None:
    """Give the native types of guards what they have from here."""
    for name, method in _METHODS.items():  # help() and errors name them
        method.__name__, method.__qualname__ = name, f"Guard.{name}"
    features = {name: _descriptor(name, *how) for name, how in _DESCRIPTORS.items()}
    gate._install_guard_face({**features, **_METHODS}, _GETTERS, _SETTERS)
    gate.Handle.__call__ = decorate  # type: ignore[method-assign]
