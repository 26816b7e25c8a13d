"""What is due in a forked child, whoever forked.

Python tells of its own forks (``os.register_at_fork``). A server written in C does not: uWSGI makes
its workers out of a process that has loaded the application. There the C library tells of it
(``csrc/python/forked.c``), and the same is done before the main thread's next line of Python.
Elsewhere: what is due.
"""

from __future__ import annotations

import os
from functools import partial

from holdfast._native import gate
from holdfast._native import ledger as native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_in_child", "settle"]

_due = native.due_in_child


def call_in_child(callback: Callable[[], object]) -> None:
    """Have ``callback`` called in each child that this process forks, after those before it."""
    _due.append(callback)
    os.register_at_fork(after_in_child=callback)


def settle() -> None:
    """Do what is due, unless it was: for threads of a child whose main thread has not begun."""
    gate._settle_fork()


def _in_child() -> None:
    errors = []
    for callback in _due:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - raised below, once all had their turn
            errors.append(error)
    if errors:
        raise ExceptionGroup("after a fork", errors)


gate._install_fork(_in_child)
if not _due:
    _due.append(native.leave)  # memory first, in which all the others write
    told, over = partial(gate._fork_told, True), partial(gate._fork_told, False)
    os.register_at_fork(before=told, after_in_parent=over, after_in_child=over)
