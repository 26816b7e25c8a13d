"""Tells of something that turns to and fro between two states, each turn once and in order.

Threads that cause two turns at the same time may come here in any order. So nobody hands in a turn:
who comes tells of all that were counted and not told. Elsewhere: what turns, and who listens.
"""

from __future__ import annotations

from threading import Lock

from holdfast.forks import mind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Turns"]


class Turns:
    """How many turns have been told.

    Safe to share between threads. A turn that is caused while another is told is told after it.
    """

    __slots__ = ("__weakref__", "_busy", "_told")

    def __init__(self) -> None:
        self._busy = Lock()  # held by the thread that tells; nobody waits for it
        self._told = 0
        mind(self)

    def tell(self, turns: Callable[[], int], tell: Callable[[bool], object]) -> None:
        """Tell of all turns that were not told, one after another.

        Args:
            turns: Returns how often it has turned.
            tell: Gets whether it turned away from the first state; False if it turned back.
        """
        while self._told < turns():
            busy = self._busy
            if not busy.acquire(blocking=False):
                return  # who tells at the moment looks again when it is done
            try:
                while (told := self._told) < turns():
                    self._told = told + 1
                    tell(told % 2 == 0)
            finally:
                busy.release()

    def _after_fork(self) -> None:
        """In a forked child: have a lock nobody holds."""
        self._busy = Lock()
