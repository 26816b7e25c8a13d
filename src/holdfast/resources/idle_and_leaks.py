"""What is idle, and what may be a leak; and when to look again.

Idle is only what was used at least once, as far as anybody has said, and is not in use. Leaks are
looked for before what is idle is taken away. Elsewhere: clean-ups (``cleanup_round``).
"""

from __future__ import annotations

from holdfast._native.resource import CLEANED, LEAK
from holdfast.resources.news import log_leak, log_statistics
from holdfast.resources.resource import NEVER
from holdfast.resources.showing import wants_statistics
from holdfast.resources.taken import Taken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.resources.resource import Resource

    Manager = Any  # ResourceManager, which stands above

__all__ = ["Looks"]


class Looks:
    """The looks of one manager. One thread or task at a time runs ``tick`` or ``atick``."""

    __slots__ = ("_cleaned_ns", "_leaks_ns", "_manager")

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self.begin()

    def begin(self) -> None:
        """Count the time to the next looks from now."""
        self._cleaned_ns = self._leaks_ns = self._manager._clock.now_ns()

    # ---- the loop ----

    def tick(self) -> int:
        """Look at what is due; return when the next look is, as a time of the clock."""
        manager = self._manager
        with Taken(manager) as taken:
            self._look(taken)
            manager._clean(taken)
        return self._next_ns()

    async def atick(self) -> int:
        """Look as ``tick`` does, in a task."""
        manager = self._manager
        with Taken(manager) as taken:
            self._look(taken)
            await manager._aclean(taken)
        return self._next_ns()

    def _look(self, taken: Taken) -> None:
        """Take what is to be cleaned now."""
        manager = self._manager
        manager._bury()
        now_ns, times = manager._clock.now_ns(), manager._times
        if now_ns - self._leaks_ns >= times["leak_interval"]:
            self._leaks_ns = now_ns
            self.leaks()
            if wants_statistics():
                log_statistics(manager.snapshot(), manager._clock)
        if now_ns - self._cleaned_ns >= times["cleanup_interval"]:
            self._cleaned_ns = now_ns
            self._idle(now_ns, taken)
        manager._take_owed(taken)

    def _next_ns(self) -> int:
        times = self._manager._times
        return int(
            min(
                self._cleaned_ns + times["cleanup_interval"],
                self._leaks_ns + times["leak_interval"],
            )
        )

    # ---- what is found ----

    def due(self, taken: Taken) -> int:
        """Take all that is to be cleaned now; return how many are idle."""
        manager = self._manager
        manager._bury()
        self._idle(manager._clock.now_ns(), taken)
        idle = len(taken)
        manager._take_owed(taken)
        return idle

    def _idle(self, now_ns: int, taken: Taken) -> None:
        """End the registrations of what is idle, and take it."""
        manager = self._manager
        idle_ns = manager._times["idle_after"]
        for one in manager._living.copy().values():
            if one._used_ns == NEVER or now_ns - one._used_ns < idle_ns:
                continue
            with manager._lock:  # its use is reported with the lock held
                if now_ns - one._used_ns < idle_ns or manager._using.get(one):
                    continue
                if not manager._take(one, CLEANED, taken.place_of(one)):
                    continue
            if self._is_old(one, now_ns):  # it would not be found any more
                self._tell_leak(one, now_ns)
            manager._emit("idle", one)

    def leaks(self) -> tuple[Resource, ...]:
        """Return what may be a leak, and tell of what is new."""
        manager = self._manager
        now_ns = manager._clock.now_ns()
        found = []
        for one in manager._living.copy().values():
            if self._is_old(one, now_ns) and one._held and not manager._using.get(one):
                self._tell_leak(one, now_ns)
                found.append(one)
        return tuple(found)

    def _is_old(self, one: Resource, now_ns: int) -> bool:
        times = self._manager._times
        return bool(
            now_ns - one._created_ns > times["leak_age"]
            and now_ns - max(one._used_ns, one._created_ns) > times["leak_idle"]
        )

    def _tell_leak(self, one: Resource, now_ns: int) -> None:
        manager = self._manager
        with manager._lock:
            is_news, one._is_leak = not one._is_leak, True
        if is_news:
            one._of.figures.kernel.count(LEAK)
            log_leak(manager._name, one, (now_ns - one._created_ns) / 1e9, manager._clock)
            manager._emit("leak", one, reason=one.where)
