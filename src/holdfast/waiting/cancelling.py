"""Cancelling what runs in a thread: a scope around it, which any thread may cut.

Whoever waits in the scope is woken, and raises ``Cancelled``; so does ``check_deadline()``. A task
needs none of this: asyncio cancels it. Elsewhere: what a cancelled operation becomes
(``manager.timeouts``).
"""

from __future__ import annotations

from holdfast._native import gate
from holdfast.waiting.parking import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Waiter(Protocol):
        """Somebody who waits in a thread."""

        def _release(self) -> None:
            """Let the thread go on, as if its time were up."""


__all__ = ["Cancelled", "Scope", "current"]


class Cancelled(BaseException):
    """The operation that this code belongs to was cancelled.

    Like the cancellation of a task it is no ``Exception``: no policy counts or repeats it, and
    code that catches errors lets it pass. It ends where the operation ends.
    """


class Scope:
    """What can be cancelled as one.

    Attributes:
        is_cut: Whether it was cancelled.
        is_over: Whether what it is around has ended: what goes on in its context is let alone.

    Safe to share between threads. Each step is one of a dict, so a finaliser or a signal handler
    may take any of them in the middle of another.
    """

    __slots__ = ("_waiters", "is_cut", "is_over")

    def __init__(self) -> None:
        self.is_cut = False
        self.is_over = False
        self._waiters: dict[Waiter, None] = {}

    def cut(self) -> None:
        """Have all that wait in it raise ``Cancelled``, now and from now on."""
        self.is_cut = True  # before the look at who waits: who comes later looks at this
        for waiter in list(self._waiters):
            waiter._release()

    def is_in_force(self) -> bool:
        """Return whether it was cut, and what it is around goes on."""
        return self.is_cut and not self.is_over

    def check(self) -> None:
        """Raise if it was cut.

        Raises:
            Cancelled: It was.
        """
        if self.is_in_force():
            raise Cancelled("the operation was cancelled")

    def enter(self, waiter: Waiter) -> None:
        """Note who is about to wait, and is to leave afterwards.

        Raises:
            Cancelled: It was cut already; the waiter is not noted.
        """
        self._waiters[waiter] = None
        if self.is_cut:
            self.leave(waiter)
            self.check()

    def leave(self, waiter: Waiter) -> None:
        """Forget somebody who waits no longer."""
        self._waiters.pop(waiter, None)


gate._install_scope(current)
