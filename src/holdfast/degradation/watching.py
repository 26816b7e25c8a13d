"""Looking at degraded components from time to time: they recover without traffic as well.

Only components that are not at their normal level. On a manual clock a timer looks, at the very
time. Elsewhere: what has changed (the component), and the loop (``periodic``).
"""

from __future__ import annotations

from weakref import ref

from holdfast.clock import ManualClock
from holdfast.events import warn
from holdfast.forks import call_in_child
from holdfast.locks import RLock
from holdfast.periodic import Periodic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.clock import Clock

    # A component of a manager, whose module imports this one.
    Component = Any

__all__ = ["life", "watch"]

_LEAST_INTERVAL = 0.05
_MOST_INTERVAL = 1.0  # time in a level is counted as often

# Re-entrant: a finaliser may degrade a component while this thread holds the lock.
_lock = RLock()
_watches: dict[tuple[Clock, float], _Watch] = {}
_life = object()  # of this process; a forked child has another


def life() -> object:
    """Return what stands for this process: in a forked child, nothing is watched any more."""
    return _life


def watch(component: Component, clock: Clock, stable_time: float) -> bool:
    """Look at a component until it is at its normal level again, or collected.

    Where no thread can be started, as while the process ends, nobody looks, which is logged once.

    Args:
        component: It has ``_look`` and ``level``.
        clock: Its clock.
        stable_time: In seconds: it is looked at thirty times in it, at least once a second.

    Returns:
        Whether somebody looks at it.
    """
    if isinstance(clock, ManualClock):
        _set_timer(ref(component), clock)
        return True
    interval = min(_MOST_INTERVAL, max(_LEAST_INTERVAL, stable_time / 30))
    with _lock:
        key = clock, interval
        there = _watches.get(key)
        if there is None:
            there = _watches[key] = _Watch(*key)
        there.components[id(component)] = ref(component)
    try:
        there.periodic.start()
    except RuntimeError as error:
        if not there.has_warned:
            there.has_warned = True
            warn("no thread to look at degraded components: %s", error)
        return False
    return True


def _set_timer(of: ref[Component], clock: ManualClock) -> None:
    """Have a component looked at when its level ends."""
    component = of()
    if component is None:
        return
    ends_ns = component._kernel.ends_ns()
    if ends_ns is None or component._timer_ns == ends_ns:
        return
    component._at(ends_ns)

    def fire() -> None:
        there = of()
        if there is not None:
            if there._timer_ns == ends_ns:
                there._at(None)
            there._look()

    clock.call_at_ns(ends_ns, fire)


class _Watch:
    """The components of one clock that are looked at in the same interval."""

    def __init__(self, clock: Clock, interval: float) -> None:
        self.components: dict[int, ref[Component]] = {}
        self.has_warned = False
        self.periodic = Periodic(self._tick, interval, name="degradation", clock=clock)
        self._key = clock, interval

    def _tick(self) -> None:
        for key, one in self.components.copy().items():
            component = one()
            if component is not None:
                component._look()
            with _lock:
                # Who degrades it changes its level first, and has it watched then.
                is_over = component is None or component.level == 0
                if is_over and self.components.get(key) is one:
                    del self.components[key]
        with _lock:
            if not self.components:
                if _watches.get(self._key) is self:
                    del _watches[self._key]
                self.periodic.stop()  # also if it was started again after its end


def _after_fork() -> None:
    """In a forked child: watch nothing, with a lock nobody holds."""
    global _life, _lock  # noqa: PLW0603 - a lock that another thread held cannot be freed
    _life = object()
    _lock = RLock()
    _watches.clear()


call_in_child(_after_fork)
