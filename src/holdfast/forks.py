"""What is due in a forked child, whoever forked.

The C library tells of every fork (``csrc/python/forked.c``, ``fork_copy.h``): before any other
code of the child runs, its kernels are its own and count from zero. What is left needs Python:
locks that threads of the parent held, who waited, and the child's own file. That is done at the
end of a fork of Python's, and else before the main thread's next line of Python.

A lock that another thread of the parent held is never released in the child: whatever is done here
takes none, imports nothing and logs nothing. Elsewhere: what is due.
"""

from __future__ import annotations

import os
from weakref import WeakSet

from holdfast._native import gate
from holdfast._native import ledger as native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # Anything that has ``_after_fork()``.
    Minded = Any

__all__ = ["call_in_child", "mind", "say", "say_later", "settle"]

_due = native.due_in_child
_minded: WeakSet[Minded] = WeakSet()
_notes: list[tuple[str, tuple[object, ...]]] = []


def call_in_child(callback: Callable[[], object]) -> None:
    """Have ``callback`` called in each child that this process forks, after those before it."""
    _due.append(callback)


def mind(one: Minded) -> None:
    """Have ``one._after_fork()`` called in each child, for as long as it lives.

    For what is in use only: a policy that nobody waits for and nobody listens to needs nothing.
    """
    _minded.add(one)


def settle() -> None:
    """Do what is due, unless it was: for threads of a child whose main thread has not begun."""
    gate._settle_fork()


def say_later(text: str, *args: object) -> None:
    """Note an error for the log, at a moment when a lock might be waited for without end."""
    _notes.append((text, args))


def say() -> None:
    """Log what was noted, if anything was. No lock may be held."""
    while _notes:
        from logging import getLogger

        try:
            text, args = _notes.pop(0)
        except IndexError:  # another thread was faster
            return
        getLogger("holdfast").error(text, *args)


def _tell_minded() -> None:
    for one in list(_minded):
        _try(one._after_fork)


def _in_child() -> None:
    for callback in _due:
        _try(callback)


def _try(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception as error:  # noqa: BLE001 - the others have their turn; it is told later
        say_later("after a fork, %r raised %r", callback, error)


if gate._install_fork(_in_child):
    os.register_at_fork(after_in_child=settle)
_due.append(_tell_minded)
