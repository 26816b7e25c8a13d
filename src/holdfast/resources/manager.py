"""ResourceManager: what is open, within limits, cleaned once; what is idle, and what has leaked.

Owns the public face, and the one step that ends a registration. Elsewhere: how clean-ups run
(``cleanup_round``), what is idle or a leak (``idle_and_leaks``), the counts and limits
(``figures``), and what a resource shows (``resource``).
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from contextvars import Context
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from holdfast.clock import read_clock, system_clock
from holdfast.events import Listeners
from holdfast.forks import mind, settle
from holdfast.life import Life
from holdfast.locks import RLock
from holdfast.periodic import Periodic
from holdfast.resources.cleanup_round import Round, is_within, running_loop
from holdfast.resources.cleanups import Cleanups
from holdfast.resources.ending import not_at_end, stop_at_end
from holdfast.resources.figures import KindFigures, TotalFigures
from holdfast.resources.idle_and_leaks import Looks
from holdfast.resources.kinds import MEMORY, MOST_KINDS, read_kind, read_kinds
from holdfast.resources.living import enlist
from holdfast.resources.news import log_life
from holdfast.resources.resource import Resource, Tally
from holdfast.resources.settings import (
    MOST_RESOURCES,
    TIMES,
    read_limits,
    read_times,
)
from holdfast.resources.showing import snapshot_of
from holdfast.resources.taken import Taken
from holdfast.resources.tracked import Tracked
from holdfast.validation import Problems, explains_names, wait_to_ns
from holdfast.waiting.daemons import DaemonThreads
from holdfast.waiting.foreign import loop_here
from holdfast.whole import Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.events import Listener
    from holdfast.resources.awaited import Awaited
    from holdfast.resources.snapshot import ResourcesSnapshot

    Cleanup = Callable[[], object]

__all__ = ["ResourceManager"]

_MOST_THREADS = 4096  # those of clean-ups that were given up included
_CONNECTIONS = {"connection": 100}


class ResourceManager(Whole, Life, Cleanups):
    """Registers resources within limits, cleans each once, and finds those that are lost.

    A resource has a kind. Every manager knows goroutine, thread, task, connection, channel, timer,
    file, memory and operation; ``kinds`` and ``add_kind`` add others.

    A resource whose use is reported (``touch``, ``using``) is cleaned when it is idle. One whose
    use is never reported may be busy and is never cleaned for its age, but both may be suspected to
    be leaks.

    Clean-ups run without any lock, each once. One that you ask for (``cleanup``, the end of a
    ``with`` block) runs in your thread and context, as if you had called it, and as long as it
    takes. All others have separate threads, each within ``cleanup_timeout``. What has to be awaited
    runs in the event loop that registered the resource. One that raises or hangs is counted and
    logged, and does not affect the others.

    ``start`` begins to look for idle resources and leaks. A manager that was never started also
    registers and cleans. ``stop`` cleans all resources, the newest first; after it the manager
    refuses to register until the next ``start``. A started manager is also stopped when the
    interpreter ends, or a child of multiprocessing.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        max_resources: How many resources may be registered, of all kinds, 1 to 100,000,000.
        limits: How much of a kind may be registered; a kind without a limit has only the one above.
        kinds: Further kinds.
        idle_after: Seconds after which an unused resource is cleaned, if its use was reported.
        cleanup_interval: Seconds from one look for idle resources to the next.
        leak_age: Seconds after which a resource may be a leak,
        leak_idle: if it was not used for so many.
        leak_interval: Seconds from one look for leaks to the next.
        cleanup_timeout: How many seconds a clean-up may take that does not run in your thread, on
            the system's clock.
        clock: The source of time; use a ``ManualClock`` in tests.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    A running manager is kept alive. A forked child begins without
    resources, and the manager does not run there.
    Safe to share between threads and event loops.

    >>> resources = ResourceManager("shop", limits={"connection": 2})
    >>> _ = resources.register("db-1", "connection", lambda: print("closed db-1"))
    >>> resources.count("connection")
    1
    >>> resources.cleanup("db-1")
    closed db-1
    True
    """

    kind = "resource_manager"

    @explains_names
    def __init__(
        self,
        name: str,
        *,
        max_resources: int = 1000,
        limits: Mapping[str, int | None] | None = _CONNECTIONS,
        kinds: Iterable[str] = (),
        idle_after: float | timedelta = 300.0,
        cleanup_interval: float | timedelta = 60.0,
        leak_age: float | timedelta = 600.0,
        leak_idle: float | timedelta = 300.0,
        leak_interval: float | timedelta = 300.0,
        cleanup_timeout: float | timedelta = 10.0,
        clock: Clock | None = None,
    ) -> None:
        problems = Problems("ResourceManager", name)
        self._name = problems.name(name)
        most = problems.integer("max_resources", max_resources, least=1, most=MOST_RESOURCES)
        known = read_kinds(problems, kinds)
        own = read_limits(problems, limits, known)
        times = (idle_after, cleanup_interval, leak_age, leak_idle, leak_interval, cleanup_timeout)
        self._times = read_times(problems, dict(zip(TIMES, times, strict=True)))
        self._clock = read_clock(problems, clock)
        problems.done()
        # Guards settings, uses and the life. Nothing of a user's runs under it. Re-entrant: for
        # finalisers and signal handlers. Registrations need none: each step of theirs is one call.
        self._lock = RLock()
        self._now_ns = self._clock.now_ns
        self._all = TotalFigures(self._name, most)
        self._total = self._all.kernel
        self._tallies: dict[str, Tally] = {}
        for kind in known:
            self._add_tally(kind, own.get(kind))
        self._living: dict[Any, Resource] = {}  # oldest first
        self._using: dict[Resource, list[None]] = {}
        self._dead: deque[Tracked] = deque()  # of objects that have died
        self._owed: deque[Resource] = deque()  # whose clean-up is still to run
        self._serials = count(1)
        self._accepts = True
        self._looks = Looks(self)
        self._periodic: Periodic | None = None
        self._pool: DaemonThreads | None = None
        self._rounds: dict[Awaited, None] = {}
        self._ending: list[None] = []  # stops that have not begun to clean
        self._stuck: set[int] = set()
        self._listeners = Listeners()
        self._heard = self._listeners._subscriptions
        mind(self)
        enlist(self)

    def _add_tally(self, kind: str, limit: int | None) -> None:
        figures = KindFigures(self._name, kind, limit)
        # Amounts of memory are bytes: a number of resources is no limit of them.
        figures.show_limit(None if kind == MEMORY else self._all.limit)
        self._tallies[kind] = Tally(self, kind, figures)

    @property
    def name(self) -> str:
        """The name, for messages and metrics."""
        return self._name

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that it knows."""
        return tuple(self._tallies)

    def add_kind(self, kind: str, limit: int | None = None) -> None:
        """Know a further kind of resource.

        Args:
            kind: Its name, 1 to 200 characters. A kind that is known already stays as it is.
            limit: How much of it may be registered; None: only ``max_resources`` limits it.

        Raises:
            ConfigError: An argument is invalid, or a known kind has another limit.
        """
        problems = Problems("ResourceManager", self._name)
        kind = read_kind(problems, kind, "kind")
        own = read_limits(problems, {kind: limit}, (kind,))
        problems.done()
        settle()
        with self._lock:
            there = self._tallies.get(kind)
            if there is None and len(self._tallies) >= MOST_KINDS:
                problems.refuse("kind", kind, f"one of the {MOST_KINDS} kinds that it knows")
            elif there is None:
                self._add_tally(kind, own[kind])
            elif limit is not None and there.figures.limit != own[kind]:
                problems.refuse("limit", limit, f"{there.figures.limit}, which {kind!r} has")
        problems.done()

    # ---- settings ----

    @explains_names
    def set_times(
        self,
        *,
        idle_after: float | timedelta | None = None,
        cleanup_interval: float | timedelta | None = None,
        leak_age: float | timedelta | None = None,
        leak_idle: float | timedelta | None = None,
        leak_interval: float | timedelta | None = None,
        cleanup_timeout: float | timedelta | None = None,
    ) -> None:
        """Have other times from now on; those that are not given stay.

        Args:
            idle_after: As for the class, like all others.
            cleanup_interval: The next look is due so long after the last one.
            leak_age: See the class.
            leak_idle: See the class.
            leak_interval: The next look is due so long after the last one.
            cleanup_timeout: Also of clean-ups that run.

        Raises:
            ConfigError: One or more are invalid; all times stay.
        """
        problems = Problems("ResourceManager", self._name)
        times = (idle_after, cleanup_interval, leak_age, leak_idle, leak_interval, cleanup_timeout)
        given = read_times(problems, dict(zip(TIMES, times, strict=True)))
        problems.done()
        settle()
        with self._lock:
            self._times = {**self._times, **given}
        self._wake()
        for one in list(self._rounds):
            one.look_again()  # the limit of what runs may be another

    def times(self) -> dict[str, float]:
        """Return the times that hold, in seconds, by the names of the arguments."""
        return {name: ns / 1e9 for name, ns in self._times.items()}

    def set_limit(self, kind: str, n: int | None) -> None:
        """Have another limit of a kind; None: only ``max_resources`` limits it.

        Raises:
            ConfigError: The kind is unknown, or more than ``n`` is registered: the limit stays.
        """
        try:
            of = self._tallies[kind]
        except (KeyError, TypeError):
            raise self._unknown(kind) from None
        problems = Problems("ResourceManager", self._name)
        limit = read_limits(problems, {kind: n}, (kind,))[kind]
        problems.done()
        self._resize(of.figures, kind, limit, "n")

    def set_max(self, n: int) -> None:
        """Have another limit of how many resources are registered, of all kinds.

        Raises:
            ConfigError: ``n`` is invalid, or more are registered: the limit stays.
        """
        problems = Problems("ResourceManager", self._name)
        most = problems.integer("n", n, least=1, most=MOST_RESOURCES)
        problems.done()
        self._resize(self._all, None, most, "n")

    def _resize(
        self, figures: KindFigures | TotalFigures, kind: str | None, limit: int | None, field: str
    ) -> None:
        settle()
        self._bury()
        with self._lock:
            is_high = figures.limit_to(limit)
            active = figures.active
        if is_high is None:
            of_kind = "" if kind is None else f" of kind {kind!r}"
            self._refuse(field, limit, f"at least the {active}{of_kind} that are registered")
        if kind is None:
            for name, of in self._tallies.copy().items():
                of.figures.show_limit(None if name == MEMORY else limit)
        if is_high:
            self._say_high(kind, figures)

    # ---- its life ----

    @property
    def running(self) -> bool:
        """Whether it was started in this process and not stopped since."""
        settle()
        with self._lock:
            return self._periodic is not None and self._periodic.running

    def start(self) -> None:
        """Look for idle resources and leaks from now on, in a thread. A running manager goes on.

        Raises:
            RuntimeError: No thread can be started.
        """
        made = self._begin(self._looks.tick)
        if made is not None:
            made.start()
            if self._periodic is not made:  # another thread has stopped or started it meanwhile
                made.stop(0)

    async def astart(self) -> None:
        """Look for idle resources and leaks as ``start`` does, in a task of this event loop."""
        loop_here(self, "start()")
        made = self._begin(self._looks.atick)
        if made is not None:
            await made.astart()
            if self._periodic is not made:  # as above
                made.stop(0)

    def _begin(self, tick: Callable[[], object]) -> Periodic | None:
        settle()
        with self._lock:
            self._accepts = True
            if self._periodic is not None and self._periodic.running:
                return None
            self._looks.begin()
            made = Periodic(tick, None, name=self._name, clock=self._clock)
            self._periodic = made
            stop_at_end(self)
        with suppress(RuntimeError):  # no thread can be started: Periodic says so
            Context().run(self._threads().prepare)  # for the end of the interpreter
        log_life("resource_manager_started", self._name, self._clock)
        return made

    def stop(self, timeout: float | timedelta = 10.0) -> bool:
        """Clean all resources, the newest first, and wait for that. Later it refuses to register.

        It may be called from anywhere, any number of times. It does not wait within a clean-up, nor
        in the thread of an event loop in which something has to be cleaned: use ``astop`` there.

        Args:
            timeout: How many seconds to wait at most, on the system's clock; 0 never waits. After
                that the clean-ups continue in the background.

        Returns:
            Whether all clean-ups have ended or were given up.

        Raises:
            ConfigError: ``timeout`` is not a duration.
        """
        timeout_ns = wait_to_ns("timeout", timeout)
        until_ns = None if timeout_ns is None else system_clock.now_ns() + timeout_ns
        with Taken(self) as taken:
            periodic, one, waits = self._end(timeout_ns, taken)
            if periodic is not None:
                periodic.stop(0)  # its tick may wait for a clean-up that hangs
            if one is not None:
                if waits:
                    one.drive(_left(until_ns))
                else:
                    one.leave()
        # Those that a task of this thread's event loop drives would wait for this thread.
        for other in list(self._rounds) if waits and running_loop() is None else ():
            if not other.is_here:
                other.wait(_left(until_ns))
        if periodic is not None and waits:
            periodic.stop(_seconds_left(until_ns))
        return self._close()

    async def astop(
        self,
        timeout: float | timedelta = 10.0,  # noqa: ASYNC109 - as in stop()
    ) -> bool:
        """Clean everything as ``stop`` does; ``timeout`` is the same."""
        timeout_ns = wait_to_ns("timeout", timeout)
        until_ns = None if timeout_ns is None else system_clock.now_ns() + timeout_ns
        with Taken(self) as taken:
            periodic, one, _ = self._end(timeout_ns, taken)
            waits = not is_within(self)
            if periodic is not None:
                await periodic.astop(0)  # as above
            if one is not None:
                if waits:
                    await one.adrive(_left(until_ns))
                else:
                    one.leave()
        for other in list(self._rounds) if waits else ():
            await other.await_end(_left(until_ns))
        if periodic is not None and waits:
            await periodic.astop(_seconds_left(until_ns))
        return self._close()

    def _end(
        self, timeout_ns: int | None, taken: Taken
    ) -> tuple[Periodic | None, Round | None, bool]:
        """End the loop and all registrations.

        Returns:
            The loop, the clean-ups that are to run, and whether they may be awaited here.
        """
        settle()
        with self._lock:
            self._accepts = False
            periodic, self._periodic = self._periodic, None
            self._ending.append(None)  # another stop is not to say that all was cleaned
        try:
            self._take_all(taken)
            self._note_ends(taken)
            budget_ns = self._limit_ns if timeout_ns is None else timeout_ns
            begun = self._round(taken.queue, budget_ns) if taken.queue else None
        finally:
            self._ending.pop()
        here = running_loop()
        waits = not is_within(self) and (
            here is None or not any(one._loop is here for one in list(taken.queue))
        )
        if periodic is not None:
            log_life("resource_manager_stopped", self._name, self._clock)
        return periodic, begun, waits

    def _close(self) -> bool:
        for one in list(self._rounds):
            self._forget_round(one)
        is_over = self._end_threads() and not self._ending
        with self._lock:
            if is_over and not self._accepts:
                not_at_end(self)  # until then the end of the interpreter waits for it
        return is_over

    def _wake(self) -> None:
        periodic = self._periodic
        if periodic is not None:
            periodic.wake()

    def _after_fork(self) -> None:
        """In a forked child: nothing is registered, and nothing runs."""
        for resource in self._living.values():
            resource._held.clear()
        self._lock = RLock()
        self._living, self._using, self._rounds, self._stuck = {}, {}, {}, set()
        self._ending = []
        self._dead, self._owed = deque(), deque()
        self._periodic = self._pool = None
        self._accepts = True
        for tally in self._tallies.values():
            tally.last_cleanup_ns = None
        not_at_end(self)

    # ---- what others see ----

    def snapshot(self) -> ResourcesSnapshot:
        """Return the figures of each kind, and those of the process."""
        settle()
        self._bury()
        return snapshot_of(self)

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(event)`` for each event of a resource.

        The kinds of events: "registered", "unregistered", "cleaned", "collected", "refused",
        "idle", "leak", "cleanup_failed", and "high" when more than 80 % of a limit is in use. An
        event has the kind of resource as ``new``, its identifier as ``old``, and the reason. No
        lock is held meanwhile. Exceptions of a listener are logged and counted.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        return self._listeners.subscribe(listener)

    def __repr__(self) -> str:
        state = "running" if self.running else "accepts" if self._accepts else "stopped"
        return f"<ResourceManager {self._name!r}, {self._all.active} registered, {state}>"


def _left(until_ns: int | None) -> int | None:
    return None if until_ns is None else max(0, until_ns - system_clock.now_ns())


def _seconds_left(until_ns: int | None) -> float:
    left_ns = _left(until_ns)
    return inf if left_ns is None else left_ns / 1e9
