"""Looking at error budgets from time to time: a budget recovers without traffic as well.

Only budgets that somebody listens to, and that have a failure in one of their windows. Elsewhere:
what has changed (the budget), and the loop (``periodic``).
"""

from __future__ import annotations

from weakref import ref

from holdfast.events import warn
from holdfast.forks import call_in_child
from holdfast.locks import RLock
from holdfast.periodic import Periodic
from holdfast.validation import titled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.clock import Clock

    # An error budget, whose module imports this one.
    ErrorBudget = Any

__all__ = ["watch"]

_LEAST_INTERVAL = 0.1
_MOST_INTERVAL = 10.0  # a third of the slices of the burn windows

# Re-entrant: a finaliser may record a failure while this thread holds the lock.
_lock = RLock()
_watches: dict[tuple[Clock, float], _Watch] = {}


def watch(budget: ErrorBudget, window: float) -> bool:
    """Look at a budget until nothing of it can change without traffic.

    Where no thread can be started, as while the process ends, nobody looks: that is logged once,
    and the request whose failure is counted goes on.

    Args:
        budget: The budget.
        window: Its window in seconds: it is looked at three times in each slice.

    Returns:
        Whether somebody looks at it.
    """
    interval = min(_MOST_INTERVAL, max(_LEAST_INTERVAL, window / 30))
    with _lock:
        key = budget._clock, interval
        there = _watches.get(key)
        if there is None:
            there = _watches[key] = _Watch(*key)
        there.budgets[id(budget)] = _Entry(budget)
    try:
        there.periodic.start()
    except RuntimeError as error:
        if not there.has_warned:
            there.has_warned = True
            warn("no thread to look at %s without traffic: %s", titled(budget), error)
        return False
    return True


class _Entry(ref["ErrorBudget"]):
    """A reference that is like no other: of the plain ones, an object has one for all."""

    __slots__ = ()


class _Watch:
    """The budgets of one clock that are looked at in the same interval."""

    def __init__(self, clock: Clock, interval: float) -> None:
        self.budgets: dict[int, ref[ErrorBudget]] = {}
        self.has_warned = False
        self.periodic = Periodic(self._tick, interval, name="error budgets", clock=clock)
        self._key = clock, interval

    def _tick(self) -> None:
        for key, one in self.budgets.copy().items():
            budget = one()
            if budget is None or not budget._goes_on():
                self._drop(key, one)  # not if a failure has had it watched anew meanwhile
        with _lock:
            if not self.budgets:
                if _watches.get(self._key) is self:
                    del _watches[self._key]
                self.periodic.stop()  # also if it was started again after its end

    def _drop(self, key: int, one: ref[ErrorBudget]) -> None:
        with _lock:
            if self.budgets.get(key) is one:
                del self.budgets[key]


def _after_fork() -> None:
    """In a forked child: watch nothing, with a lock nobody holds."""
    global _lock  # noqa: PLW0603 - a lock that another thread held cannot be freed
    _lock = RLock()
    _watches.clear()


call_in_child(_after_fork)
