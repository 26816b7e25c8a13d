"""Clean-ups of a resource manager: of one resource, of all, and of what is idle.

Elsewhere: what is registered (``registration``), and how clean-ups run: one in the thread that
asks for it (``cleanup_here``), and all others (``cleanup_round``).
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING

from holdfast._native.resource import CLEANED, ERROR
from holdfast.clock import system_clock
from holdfast.forks import settle
from holdfast.resources.cleanup_here import Alone
from holdfast.resources.cleanup_round import Round, is_within, running_loop
from holdfast.resources.news import log_error, wants_each
from holdfast.resources.registration import Registration
from holdfast.resources.taken import Taken
from holdfast.validation import answers_at_once
from holdfast.waiting.daemons import DaemonThreads
from holdfast.waiting.foreign import is_in_trio, loop_here

if TYPE_CHECKING:
    from collections import deque
    from contextvars import Context
    from typing import Any

    from holdfast.resources.awaited import Awaited
    from holdfast.resources.idle_and_leaks import Looks
    from holdfast.resources.resource import Resource

__all__ = ["Cleanups"]

_MOST_THREADS = 4096  # those of clean-ups that were given up included


class Cleanups(Registration):
    """The part of a manager that cleans."""

    _times: dict[str, int]
    _looks: Looks
    _pool: DaemonThreads | None
    _rounds: dict[Awaited, None]
    _stuck: set[int]
    _accepts: bool

    def cleanup(self, id: Any) -> bool:
        """Clean and forget a resource, here and now: as if you had called its clean-up.

        It runs in this thread and context, without the limit of ``cleanup_timeout``. Only what has
        to be awaited runs elsewhere, and within that limit.

        Args:
            id: Its identifier.

        Returns:
            Whether this call has cleaned it, without an error and in time.

        Raises:
            RuntimeError: Its clean-up has to be awaited in the event loop of this thread; use
                ``acleanup``.
            BaseException: What its clean-up raises that is no ``Exception``, such as
                ``KeyboardInterrupt``; the resource has ended.
        """
        resource = self.get(id)
        return resource is not None and self._clean_one(resource)

    async def acleanup(self, id: Any) -> bool:
        """Clean and forget a resource, as ``cleanup`` does; the event loop goes on meanwhile.

        A coroutine function runs in this task, without the limit of ``cleanup_timeout``, unless its
        resource was registered in another event loop that runs. Any other function runs in a thread
        of the manager, in a copy of this context and within the limit.

        Args:
            id: Its identifier.

        Returns:
            Whether this call has cleaned it, without an error and in time.

        Raises:
            BaseException: What it raises in this task that is no ``Exception``, such as
                ``asyncio.CancelledError``; the resource has ended.
        """
        self._refuse_trio("cleanup()")
        resource = self.get(id)
        return resource is not None and await self._aclean_one(resource)

    def cleanup_all(self) -> int:
        """Clean everything, the newest first, and wait for that; return how many resources.

        It also waits for clean-ups that run in the threads of others, within ``cleanup_timeout``.
        It does not wait for what has to be awaited in the event loop of this thread.
        """
        settle()
        until_ns = system_clock.now_ns() + self._limit_ns
        with Taken(self) as taken:
            self._take_all(taken)
            found = len(taken)
            self._clean(taken)
        # In an event loop one may need that to go on.
        for one in self._of_others() if running_loop() is None else ():
            if not one.is_here:
                one.wait(max(0, until_ns - system_clock.now_ns()))
        return found

    async def acleanup_all(self) -> int:
        """Clean everything as ``cleanup_all`` does; the event loop goes on meanwhile."""
        self._refuse_trio("cleanup_all()")
        settle()
        until_ns = system_clock.now_ns() + self._limit_ns
        with Taken(self) as taken:
            self._take_all(taken)
            found = len(taken)
            await self._aclean(taken)
        for one in self._of_others():
            await one.await_end(max(0, until_ns - system_clock.now_ns()))
        return found

    def _of_others(self) -> list[Awaited]:
        """Return what runs in the threads and tasks of others, and may be waited for here."""
        if is_within(self):  # it might be this one
            return []
        return [one for one in list(self._rounds) if isinstance(one, Alone)]

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
        if resource._cleanup is None:
            return self._has_ended(resource)
        self._refuse_here(resource, "acleanup()")
        with Taken(self) as taken:
            one = Alone(self, resource, taken.queue)
            try:
                one.begin()
                if not self._take(resource, CLEANED, taken.place_of(resource)):
                    return False
                if taken.queue and one.may_call:
                    is_well = one.call()
                    if one.rest is None:
                        return is_well
                    taken.queue.append(one.rest)
            finally:
                self._rounds.pop(one, None)  # first, and one step: Ctrl-C may come
                one.end()
            return self._clean(taken)

    def _has_ended(self, resource: Resource) -> bool:
        """Clean what needs no clean-up, such as an operation."""
        if not self._take(resource, CLEANED):
            return False
        self._has_cleaned(resource, None)
        return True

    async def _aclean_one(self, resource: Resource) -> bool:
        settle()
        if resource._cleanup is None:
            return self._has_ended(resource)
        with Taken(self) as taken:
            one = Alone(self, resource, taken.queue)
            try:
                one.begin()
                if not self._take(resource, CLEANED, taken.place_of(resource)):
                    return False
                if taken.queue and one.may_await:
                    return await one.acall()
            finally:
                self._rounds.pop(one, None)  # as above
                one.end()
            return await self._aclean(taken, copy_context())

    def _refuse_here(self, resource: Resource, instead: str) -> None:
        """Refuse to wait for a clean-up in the thread of the event loop that runs it."""
        cleanup, loop = resource._cleanup, resource._loop
        if cleanup is None or loop is None or answers_at_once(cleanup):
            return
        if loop is running_loop():
            raise RuntimeError(
                f"{resource!r} has to be cleaned in the event loop of this thread: use {instead}"
            )

    def _refuse_trio(self, plain: str) -> None:
        """Refuse to begin in a task of trio's what could not be awaited there."""
        if is_in_trio():
            loop_here(self, plain)

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

    async def _aclean(self, taken: Taken, context: Context | None = None) -> bool:
        self._note_ends(taken)
        if not taken.queue:
            return True
        one = self._round(taken.queue, self._limit_ns, context)
        try:
            await one.adrive()
        finally:
            self._end_round(one)
        return not one.failures

    def _note_ends(self, taken: Taken) -> None:
        """Note the end of those that need no clean-up."""
        for one in taken.others:
            self._has_cleaned(one, None)

    def _round(
        self, queue: deque[Resource], budget_ns: int, context: Context | None = None
    ) -> Round:
        with self._lock:  # or stop() might end the threads that it counts on
            one = Round(self, queue, budget_ns, context)
            self._rounds[one] = None
        return one

    def _clean_later(self, queue: deque[Resource]) -> None:
        """Have another thread clean what is left in a queue: who was at it was interrupted."""
        for one in list(self._rounds):
            if isinstance(one, Round) and one.queue is queue:
                break
        else:
            one = self._round(queue, self._limit_ns)
        one.leave()

    def _forget_round(self, one: Awaited) -> None:
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
