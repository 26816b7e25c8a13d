"""Objects that are tracked by a weak reference, and what may not be their clean-up."""

from __future__ import annotations

from functools import partial
from weakref import ref

from holdfast.validation import Problems, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Tracked", "read_tracked"]


class Tracked(ref["Any"]):
    """A weak reference that knows its resource.

    Its callback runs wherever the object dies, also within a lock of ours: give it the ``append``
    of a deque, which runs no Python.
    """

    __slots__ = ("resource",)

    resource: Any

    __hash__ = object.__hash__  # a dead one has a hash as well


def read_tracked(
    target: object, cleanup: Callable[..., object] | None, args: tuple[object, ...]
) -> Callable[[], object] | None:
    """Return the clean-up of a tracked object, which does not refer to it.

    Raises:
        ConfigError: It refers to the object, which would never die; or the object has no weak
            references.
    """
    problems = Problems("track")
    given: object = cleanup
    try:
        ref(target)
    except TypeError:
        allowed = (
            "an object that can be referred to weakly, such as one of a class without __slots__;"
            " register() has others"
        )
        problems.refuse("obj", target, allowed)
    if cleanup is None and args:
        problems.refuse("cleanup", cleanup, "a callable, as it is given arguments")
    elif given is not None and not callable(given):
        problems.refuse("cleanup", cleanup, "a callable or None")
    elif any(one is target for one in _parts(cleanup, args)):
        allowed = (
            f"a callable and arguments that do not refer to {shown(target)}, which would never die:"
            " give what has to be closed, such as os.close and its descriptor"
        )
        problems.refuse("cleanup", cleanup, allowed)
    problems.done()
    return cleanup if cleanup is None or not args else partial(cleanup, *args)


def _parts(cleanup: Any, args: tuple[object, ...]) -> list[object]:
    """Return what a call refers to, as far as that can be seen."""
    found: list[object] = [*args]
    while isinstance(cleanup, partial):
        found += [*cleanup.args, *cleanup.keywords.values()]
        cleanup = cleanup.func
    found += [cleanup, getattr(cleanup, "__self__", None)]
    fn = getattr(cleanup, "__func__", cleanup)
    for cell in getattr(fn, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # it is empty still
            continue
    found += getattr(fn, "__defaults__", None) or ()
    return found
