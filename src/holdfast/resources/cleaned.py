"""Clean-ups of a resource manager: of one resource, of all, and of what is idle.

Elsewhere: what is registered (``booked``), and how clean-ups run (``cleaning``).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast._native.resource import CLEANED, ERROR
from holdfast.forks import settle
from holdfast.resources.booked import Booked
from holdfast.resources.cleaning import Round, is_within, running_loop
from holdfast.resources.news import log_error, wants_each
from holdfast.resources.taken import Taken
from holdfast.validation import answers_at_once
from holdfast.waiting.daemons import DaemonThreads

if TYPE_CHECKING:
    from collections import deque
    from typing import Any

    from holdfast.resources.looking import Looks
    from holdfast.resources.resource import Resource

__all__ = ["Cleaned"]

_MOST_THREADS = 4096  # those of clean-ups that were given up included


class Cleaned(Booked):
    """The part of a manager that cleans."""

    _times: dict[str, int]
    _looks: Looks
    _pool: DaemonThreads | None
    _rounds: dict[Round, None]
    _stuck: set[int]
    _accepts: bool

    def cleanup(self, id: Any) -> bool:
        """Clean and forget a resource, and wait for that: as long as a clean-up may take.

        Args:
            id: Its identifier.

        Returns:
            Whether this call has cleaned it, without an error and in time.

        Raises:
            RuntimeError: Its clean-up has to be awaited in the event loop of this thread; use
                ``acleanup``.
        """
        resource = self.get(id)
        return resource is not None and self._clean_one(resource)

    async def acleanup(self, id: Any) -> bool:
        """Clean the resource ``id`` as ``cleanup`` does; the event loop goes on meanwhile."""
        resource = self.get(id)
        return resource is not None and await self._aclean_one(resource)

    def cleanup_all(self) -> int:
        """Clean everything, the newest first, and wait for that; return how many resources.

        It does not wait for what has to be awaited in the event loop of this thread.
        """
        settle()
        with Taken(self) as taken:
            self._take_all(taken)
            found = len(taken)
            self._clean(taken)
        return found

    async def acleanup_all(self) -> int:
        """Clean everything as ``cleanup_all`` does; the event loop goes on meanwhile."""
        settle()
        with Taken(self) as taken:
            self._take_all(taken)
            found = len(taken)
            await self._aclean(taken)
        return found

    def clean_idle(self) -> int:
        """Clean what is idle, and what collected objects have left; return how much was idle."""
        settle()
        with Taken(self) as taken:
            idle = self._looks.due(taken)
            self._clean(taken)
        return idle

    def find_leaks(self) -> tuple[Resource, ...]:
        """Return what may be a leak: old, long unused and not in use, and count what is new."""
        settle()
        self._bury()
        return self._looks.leaks()

    def _clean_one(self, resource: Resource) -> bool:
        settle()
        self._refuse_here(resource, "acleanup()")
        with Taken(self) as taken:
            took = self._take(resource, CLEANED, taken.place_of(resource))
            return took and self._clean(taken)

    async def _aclean_one(self, resource: Resource) -> bool:
        settle()
        with Taken(self) as taken:
            took = self._take(resource, CLEANED, taken.place_of(resource))
            return took and await self._aclean(taken)

    def _refuse_here(self, resource: Resource, instead: str) -> None:
        """Refuse to wait for a clean-up in the thread of the event loop that runs it."""
        cleanup, loop = resource._cleanup, resource._loop
        if cleanup is None or loop is None or answers_at_once(cleanup):
            return
        if loop is running_loop():
            raise RuntimeError(
                f"{resource!r} has to be cleaned in the event loop of this thread: use {instead}"
            )

    def _clean(self, taken: Taken) -> bool:
        """Clean what was taken; return whether all went well."""
        self._note_ends(taken)
        if not taken.queue:
            return True
        one = self._round(taken.queue, self._limit_ns)
        try:
            is_over = one.drive()
        finally:
            self._end_round(one)
        return is_over and not one.failures

    async def _aclean(self, taken: Taken) -> bool:
        self._note_ends(taken)
        if not taken.queue:
            return True
        one = self._round(taken.queue, self._limit_ns)
        try:
            await one.adrive()
        finally:
            self._end_round(one)
        return not one.failures

    def _note_ends(self, taken: Taken) -> None:
        """Note the end of those that need no clean-up."""
        for one in taken.others:
            self._has_cleaned(one, None)

    def _round(self, queue: deque[Resource], budget_ns: int) -> Round:
        with self._lock:  # or stop() might end the threads that it counts on
            one = Round(self, queue, budget_ns)
            self._rounds[one] = None
        return one

    def _clean_later(self, queue: deque[Resource]) -> None:
        """Have another thread clean what is left in a queue: who was at it was interrupted."""
        for one in list(self._rounds):
            if one.queue is queue:
                break
        else:
            one = self._round(queue, self._limit_ns)
        one.leave()

    def _forget_round(self, one: Round) -> None:
        if one.is_over:
            self._rounds.pop(one, None)

    def _end_round(self, one: Round) -> None:
        self._forget_round(one)
        if not self._accepts:
            self._end_threads()

    def _end_threads(self) -> bool:
        """After a stop, let go of the threads, and end them; return whether no clean-up runs."""
        pool = None
        with self._lock:
            is_over = not self._rounds
            if not self._accepts:  # it was not started meanwhile
                pool, self._pool = self._pool, None
        if pool is not None and is_over:
            pool.shutdown(wait=False)
            if not is_within(self):
                pool.join(1.0, frozenset(self._stuck))
        return is_over

    def _take_all(self, taken: Taken) -> None:
        """End all registrations, and take what is to be cleaned, the newest first."""
        self._bury()
        for one in reversed(self._living.copy().values()):
            self._take(one, CLEANED, taken.place_of(one))
        self._take_owed(taken)

    def _take_owed(self, taken: Taken) -> None:
        if self._owed:
            with suppress(IndexError):  # of the last popleft(): all is one step, as for Ctrl-C
                taken.queue.extend(iter(self._owed.popleft, None))

    # ---- what rounds need ----

    @property
    def _limit_ns(self) -> int:
        return self._times["cleanup_timeout"]

    def _threads(self) -> DaemonThreads:
        with self._lock:
            if self._pool is None:
                self._pool = DaemonThreads(f"holdfast-{self._name}-cleanup", _MOST_THREADS)
            return self._pool

    def _has_cleaned(self, resource: Resource, error: str | None) -> None:
        of = resource._of
        of.last_cleanup_ns = self._clock.now_ns()
        if error is not None:
            of.figures.kernel.count(ERROR)
            log_error(self._name, resource, error, self._clock)
            self._emit("cleanup_failed", resource, reason=error)
        elif self._heard or wants_each():
            self._log_and_emit("cleaned", "resource_cleaned", resource)
