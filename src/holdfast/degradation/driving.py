"""What drives the level of a component: a health monitor, a budget, a breaker, another component.

Owns which level each state of a source asks for, and when the state is read. Elsewhere: how long a
level holds, and which of several sources wins (``component``). Health is known here by its face
only: a monitor comes in as an argument.
"""

from __future__ import annotations

from weakref import ref

from holdfast.clock import ManualClock
from holdfast.degradation.level import LEVELS, Level, read_level
from holdfast.forks import call_in_child, mind, settle
from holdfast.locks import RLock
from holdfast.policies.breaker import CircuitBreaker
from holdfast.policies.error_budget import ErrorBudget
from holdfast.policies.latency_budget import LatencyBudget
from holdfast.validation import Problems, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NamedTuple, Protocol

    from holdfast.events import Event, Listener

    # A component of a manager, whose module imports this one.
    Component = Any

    class Source(Protocol):
        """Anything that tells of its changes and has a level: a health monitor, for instance."""

        def on_event(self, listener: Listener, /) -> Callable[[], None]: ...

    Levels = Mapping[str, Level | int | str | None]
else:
    from typing import NamedTuple

__all__ = ["Following", "follow"]

# The level that each state of a source asks for. None: the level that was asked for before holds.
_OF_MONITOR: dict[str, Level | None] = {
    "healthy": Level.NORMAL,
    "degraded": Level.DEGRADED,
    "critical": Level.SEVERELY_DEGRADED,
    "failed": Level.EMERGENCY,
    "unknown": None,
}
_OF_CHECK: dict[str, Level | None] = {
    "healthy": Level.NORMAL,
    "degraded": Level.DEGRADED,
    "unhealthy": Level.SEVERELY_DEGRADED,
    "unknown": None,
    "removed": Level.NORMAL,  # nothing else would ever take back what it has asked for
}
_OF_BUDGET: dict[str, Level | None] = {"healthy": Level.NORMAL, "exhausted": Level.DEGRADED}
_OF_BREAKER: dict[str, Level | None] = {
    "closed": Level.NORMAL,
    "half-open": Level.NORMAL,
    "open": Level.DEGRADED,
    "forced-open": Level.DEGRADED,
    "disabled": Level.NORMAL,
    "metrics-only": Level.NORMAL,
}
_OF_COMPONENT: dict[str, Level | None] = {level.word: level for level in LEVELS}

_SOURCES = (
    "a HealthMonitor, an ErrorBudget, a LatencyBudget, a CircuitBreaker, a Component, or anything "
    "with on_event() and a level"
)


# Held while a component begins or ceases to follow; re-entrant, as a finaliser may do that.
_lock = RLock()


class _Kind(NamedTuple):
    """How a kind of source is read."""

    word: str  # in the name by which it asks
    levels: Mapping[str, Level | None]
    events: tuple[str, ...]  # after which it is read
    read: Callable[[Any], str]


def follow(
    component: Component,
    source: Source,
    *,
    check: str | None = None,
    levels: Levels | None = None,
) -> Following:
    """Have the state of a source drive the level of a component; see ``Component.follow``."""
    problems = Problems("Component", component.name)
    kind = _kind_of(problems, source, check)
    mapping = dict(kind.levels)
    if levels is not None:
        mapping.update(_read_levels(problems, levels, kind))
    problems.done()
    name = problems.name(f"{kind.word} {_name_of(source, check)}"[:200], "source")
    following = Following(component, source, kind, mapping, name)
    settle()
    with _lock:
        if any(one.name == name for one in component._followed):
            problems.refuse("source", source, "a source that the component does not follow already")
        if _leads_to(source, component):
            problems.refuse("source", source, "a component that does not follow this one itself")
        problems.done()
        component._followed.append(following)
    following._begin()
    return following


def _leads_to(source: Any, component: Component) -> bool:
    """Return whether following a source would close a circle."""
    seen: set[int] = set()
    left = [source]
    while left:
        last = left.pop()
        if last is component:
            return True
        if id(last) not in seen:
            seen.add(id(last))
            left.extend(one.source for one in getattr(last, "_followed", ()))
    return False


class Following:
    """Says that a component follows a source; ``Component.follow`` returns it.

    Call it to end that. What the source has asked for is taken back then, so the level gets better
    after the ``stable_time``. It ends by itself when the component is collected; a source keeps no
    component alive.

    Attributes:
        source: The source.
        name: By which name it asks for levels: "breaker payments".

    Safe to share between threads and event loops.
    """

    __slots__ = (
        "__weakref__",
        "_component",
        "_is_due",
        "_is_over",
        "_is_reading",
        "_kind",
        "_levels",
        "_lock",
        "_unsubscribe",
        "name",
        "source",
    )

    def __init__(
        self,
        component: Component,
        source: Any,
        kind: _Kind,
        levels: Mapping[str, Level | None],
        name: str,
    ) -> None:
        self.source = source
        self.name = name
        self._component = ref(component)
        self._kind = kind
        self._levels = levels
        # Re-entrant: what a source tells of may come from a finaliser of this thread.
        self._lock = RLock()
        self._is_due = self._is_reading = self._is_over = False
        self._unsubscribe: Callable[[], object] | None = None
        mind(self)

    def __call__(self) -> None:
        """End it. Further calls do nothing."""
        settle()
        with self._lock:
            was_over, self._is_over = self._is_over, True
        if was_over:
            return
        if self._unsubscribe is not None:
            self._unsubscribe()
        component = self._component()
        if component is not None:
            with _lock:
                component._followed.remove(self)
            self._take_back(component)

    def __repr__(self) -> str:
        return f"<Following of {self.name!r}{', over' if self._is_over else ''}>"

    # ---- reading the source ----

    def _begin(self) -> None:
        """Subscribe, and take over the state of this moment.

        In this order: an event that comes between the two is not lost. And no state that was read
        before it can win over it, as one reading follows the other.
        """
        listener = _Listener(self, self._kind.events)
        try:
            self._unsubscribe = listener.unsubscribe = self.source.on_event(listener)
            self._look()
        except BaseException:
            self()
            raise

    def _look(self) -> None:
        """Read the source and ask for the level of its state; again if it changes meanwhile.

        One thread does that for all, with no lock held: the source is others' code, as is what
        listens to the level.
        """
        settle()
        with self._lock:
            self._is_due = True
            if self._is_reading:
                return
            self._is_reading = True
        while True:
            with self._lock:
                if not self._is_due or self._is_over:
                    self._is_reading = False
                    return
                self._is_due = False
            try:
                self._ask()
            except BaseException:
                with self._lock:
                    self._is_reading = False
                raise

    def _ask(self) -> None:
        component = self._component()
        if component is None:
            return
        state = self._kind.read(self.source)
        level = self._levels.get(state)
        if level is not None:
            component.set(level, source=self.name, reason=f"{self.name}: {state}"[:200])
        self._look_later(state)
        with self._lock:
            is_over = self._is_over
        if is_over:  # ended while it was read
            self._take_back(component)

    def _take_back(self, component: Component) -> None:
        """Take back what was asked for, unless the component follows the source anew by now."""
        component.recover(self.name)
        for one in list(component._followed):
            if one.name == self.name:
                one._look()

    def _look_later(self, state: str) -> None:
        """On a manual clock: read an open breaker again when it admits a call."""
        breaker = self.source
        if state != "open" or not isinstance(breaker, CircuitBreaker):
            return
        clock, seconds = breaker._clock, breaker.retry_after
        if isinstance(clock, ManualClock) and seconds:
            its = ref(self)

            def look() -> None:
                following = its()
                if following is not None:
                    following._look()

            clock.call_at_ns(clock.now_ns() + round(seconds * 1e9), look)

    def _look_in_silence(self) -> None:
        """Read a source that changes with time alone: an open breaker admits a call some day.

        In a forked child, read every source once: a budget counts from zero there.
        """
        if self._is_due or isinstance(self.source, CircuitBreaker):
            self._look()

    def _after_fork(self) -> None:
        """In a forked child: have a lock nobody holds; nobody reads, and the source is to be."""
        self._lock = RLock()
        self._is_due, self._is_reading = True, False


class _Listener:
    """What a source holds: not the component, which may be collected."""

    __slots__ = ("_events", "_following", "unsubscribe")

    def __init__(self, following: Following, events: tuple[str, ...]) -> None:
        self.unsubscribe: Callable[[], object] | None = None
        self._following = ref(following, self._end)
        self._events = events

    def __call__(self, event: Event) -> None:
        following = self._following()
        if following is not None and (not self._events or event.kind in self._events):
            following._look()

    def _end(self, _following: object) -> None:
        if self.unsubscribe is not None:
            self.unsubscribe()


# ---- kinds of sources ----


def _state_of_breaker(breaker: CircuitBreaker) -> str:
    """Return the state; an open breaker that admits the next call is as good as half-open."""
    state, retry_after = breaker.state.value, breaker.retry_after
    return "half-open" if state == "open" and retry_after == 0.0 else state


def _state_of_budget(budget: ErrorBudget | LatencyBudget) -> str:
    return "exhausted" if budget.exhausted else "healthy"


def _level_of(source: Any) -> str:
    level = source.level
    word: str = level.word if isinstance(level, Level) else str(getattr(level, "value", level))
    return word


def _kind_of(problems: Problems, source: Any, check: str | None) -> _Kind:
    nothing = _Kind("source", {}, (), _level_of)
    if check is not None:
        return _kind_of_check(problems, source, check) or nothing
    if isinstance(source, CircuitBreaker):
        return _Kind("breaker", _OF_BREAKER, ("transition", "override"), _state_of_breaker)
    if isinstance(source, (ErrorBudget, LatencyBudget)):
        word = source.kind.replace("_", " ")
        events = ("budget_exhausted", "budget_recovered")
        return _Kind(word, _OF_BUDGET, events, _state_of_budget)
    level = getattr(source, "level", None)
    if not callable(getattr(source, "on_event", None)) or level is None or callable(level):
        problems.refuse("source", source, _SOURCES)
        return nothing
    if isinstance(level, Level):
        return _Kind("component", _OF_COMPONENT, ("degradation",), _level_of)
    return _Kind("health", _OF_MONITOR, (), _level_of)


def _kind_of_check(problems: Problems, source: Any, check: str) -> _Kind | None:
    if not callable(getattr(source, "status", None)) or not hasattr(source, "on_event"):
        problems.refuse("check", check, "None, as the source is no HealthMonitor")
        return None
    check = problems.name(check, "check")
    try:
        source.status(check)
    except LookupError as error:
        problems.refuse("check", check, f"the name of a check of the monitor ({error})")
        return None

    def read(monitor: Any) -> str:
        try:
            state = monitor.status(check).state
        except LookupError:
            return "removed"
        return str(getattr(state, "value", state))

    return _Kind("check", _OF_CHECK, ("health",), read)


def _name_of(source: Any, check: str | None) -> str:
    return str(getattr(source, "name", None) or type(source).__name__) if check is None else check


def _read_levels(problems: Problems, levels: Levels, kind: _Kind) -> dict[str, Level | None]:
    """Check a mapping from states to levels; it need not have all of them."""
    given: object = levels
    if not hasattr(given, "items"):
        problems.refuse("levels", levels, "a dict of levels by the states of the source")
        return {}
    found: dict[str, Level | None] = {}
    for state, level in levels.items():
        word = str(getattr(state, "value", state))
        if word not in kind.levels:
            known = ", ".join(map(shown, kind.levels))
            problems.refuse("levels", state, f"states of this source as keys: {known}")
        else:
            found[word] = (
                None if level is None else read_level(problems, f"levels[{word!r}]", level)
            )
    return found


def _after_fork() -> None:
    """In a forked child: have a lock nobody holds."""
    global _lock  # noqa: PLW0603 - a lock that another thread held cannot be freed
    _lock = RLock()


call_in_child(_after_fork)
