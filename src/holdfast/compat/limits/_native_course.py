"""When a strategy may leave a hit to the native windows of a storage in memory, and when not.

Whoever overrides or replaces a method of a storage, in a subclass or as a mock, has it called.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, TypeVar

from holdfast.compat.limits._memory import Memory
from holdfast.compat.limits._policies import living_memories
from holdfast.compat.limits._storage_scheme import replaced

if TYPE_CHECKING:
    from typing import Any

_C = TypeVar("_C", bound=type)

__all__ = ["Deciding", "keep_methods", "native_of", "now_of"]

#: The methods that decide, and those that strategies ask.
DECIDING = (
    "incr",
    "get",
    "get_expiry",
    "clear",
    "acquire_entry",
    "get_moving_window",
    "acquire_sliding_window_entry",
    "get_sliding_window",
    "clear_sliding_window",
)

_own: dict[type, dict[str, object]] = {}  # of each class of ours, its methods as they were written


class Deciding:
    """A storage in memory: its strategies choose again once one of its methods is replaced."""

    _memory: Memory

    def __getstate__(self) -> dict[str, Any]:
        """Return all it has, for pickle: its windows end at the same time of day."""
        return {**self.__dict__, "_memory": self._memory.dump()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled."""
        self.__dict__.update(state, _memory=Memory.loaded(state["_memory"]))

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name in DECIDING and "_memory" in self.__dict__:
            self._memory.choose_again()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in DECIDING:
            self._memory.choose_again()


def keep_methods(cls: _C) -> _C:
    """Remember the methods of a class of storages, to tell later whether one is replaced."""
    _own[cls] = {name: getattr(cls, name) for name in DECIDING}
    return cls


def native_of(storage: object, strategy: Any) -> Memory | None:
    """Return the windows of a storage, if nobody has overridden or replaced a method of it.

    The strategy has to ``_choose()`` again when this changes.
    """
    if not isinstance(storage, Deciding):
        return None
    storage._memory.strategies.add(strategy)
    cls = type(storage)
    own = next(_own[base] for base in cls.__mro__ if base in _own)
    is_changed = any(
        getattr(cls, name) is not method or name in storage.__dict__ for name, method in own.items()
    )
    return None if is_changed else storage._memory


def now_of(storage: object) -> float:
    """Return the seconds since 1970, by the clock of a storage if it has one."""
    return storage._memory.wall(-1) if isinstance(storage, Deciding) else time()


def _choose_all(name: str) -> None:
    if name in DECIDING:
        for memory in living_memories():
            memory.choose_again()


replaced.append(_choose_all)
