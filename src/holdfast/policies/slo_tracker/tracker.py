"""SLO tracker: many error and latency budgets, by name.

Owns which budgets there are. What each decides is its own: a tracker counts nothing, so no request
is counted twice.
"""

from __future__ import annotations

from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.policies.base import Policy
from holdfast.policies.slo_tracker.snapshot import SloTrackerSnapshot
from holdfast.validation import Problems, nearest, require_callable, seconds_to_ns, titled
from holdfast.whole import Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from typing import Any, Literal, TypeAlias, TypeVar, overload

    from holdfast.events import Listener
    from holdfast.policies.error_budget import ErrorBudget
    from holdfast.policies.latency_budget import LatencyBudget

    Budget: TypeAlias = ErrorBudget | LatencyBudget
    _B = TypeVar("_B", bound=ErrorBudget | LatencyBudget)

__all__ = ["SloTracker"]

KINDS = ("error_budget", "latency_budget")


class SloTracker(Whole):
    """Service-level objectives by name: error budgets and latency budgets.

    A tracker answers for all of them: whether any is exhausted, what each shows, and which events
    they have. It keeps its budgets alive. One name may have an error budget and a latency budget.

    Args:
        budgets: Budgets to register.

    Raises:
        ConfigError: An argument is not a budget, or two different budgets have the same kind and
            name.

    Safe to share between threads and event loops.

    >>> from holdfast import LatencyBudget
    >>> tracker = SloTracker(LatencyBudget("send", target=0.1))
    >>> tracker.record("send", seconds=0.02)
    >>> tracker.all_healthy(), tracker.is_exhausted("send"), tracker.is_exhausted("unknown")
    (True, False, False)
    """

    def __init__(self, *budgets: Budget) -> None:
        # Re-entrant: a listener or a finaliser of this thread may use the tracker meanwhile.
        self._lock = RLock()
        self._budgets: dict[tuple[str, str], Budget] = {}
        self._listeners: dict[object, _Listener] = {}
        mind(self)
        for budget in budgets:
            self.register(budget)

    def register(self, budget: _B) -> _B:
        """Add a budget and return it. The same budget may be registered repeatedly.

        Raises:
            ConfigError: ``budget`` is not an error budget or a latency budget, or another budget of
                this kind and name is registered.
        """
        problems = Problems("SloTracker")
        given: object = budget
        if not isinstance(given, Policy) or given.kind not in KINDS:
            problems.refuse("budget", budget, "an ErrorBudget or a LatencyBudget")
            problems.done()
        key = (budget.kind, budget.name)
        settle()
        with self._lock:
            is_new = key not in self._budgets
            there = self._budgets.setdefault(key, budget)
            listeners = list(self._listeners.values()) if there is budget else []
        if there is not budget:
            problems.refuse("budget", budget, f"another name, {titled(there)} is registered")
            problems.done()
        for listener in listeners:
            listener.listen_to(budget)
        if is_new:
            from holdfast.records import note

            kind = budget.kind.replace("_", " ")
            text = "SLO tracker: %s %r is registered"
            note("registered", "slo_tracker", budget.name, text, kind, budget.name)
        return budget

    def unregister(self, budget: Budget) -> bool:
        """Remove a budget, which continues to count. Return whether it was registered."""
        key = (getattr(budget, "kind", ""), getattr(budget, "name", ""))
        settle()
        with self._lock:
            if self._budgets.get(key) is not budget:
                return False
            del self._budgets[key]
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener.leave(budget)
        return True

    # ---- recording ----

    def record(
        self,
        name: str,
        ok: bool | None = None,
        *,
        seconds: float | timedelta | None = None,
        n: int = 1,
    ) -> None:
        """Count requests that did not go through the budgets themselves.

        Args:
            name: The name of the budgets.
            ok: Whether the requests succeeded, for the error budget of this name.
            seconds: How long each took, for the latency budget of this name. A failure counts there
                only if it took longer than the target.
            n: How many, 1 to 1,000,000.

        Raises:
            LookupError: There is no budget of this name for what is given.
            ConfigError: An argument is invalid, or neither ``ok`` nor ``seconds`` is given.
        """
        problems = Problems("SloTracker")
        n = problems.integer("n", n, least=1, most=1_000_000)
        if ok is not None:
            problems.flag("ok", ok)
        elif seconds is None:
            problems.refuse("ok", ok, "True or False, or give seconds=")
        problems.done()
        errors = None if ok is None else self._known("error_budget", name)
        latency = None if seconds is None else self._known("latency_budget", name)
        if latency is not None and seconds is not None:
            target = seconds_to_ns("target", latency._setting("target"))
            if ok is not False or seconds_to_ns("seconds", seconds) > target:
                for _ in range(n):
                    latency.record(seconds)
        if errors is not None and ok is not None:
            errors.record(ok, n)

    # ---- asking ----

    if TYPE_CHECKING:

        @overload
        def get(self, name: str, kind: Literal["error_budget"] = ...) -> ErrorBudget | None: ...
        @overload
        def get(self, name: str, kind: Literal["latency_budget"]) -> LatencyBudget | None: ...

    def get(
        self, name: str, kind: Literal["error_budget", "latency_budget"] = "error_budget"
    ) -> Budget | None:
        """Return the budget of this name, or None.

        Args:
            name: The name.
            kind: "error_budget" or "latency_budget".

        Raises:
            ConfigError: ``kind`` is neither of them.
        """
        problems = Problems("SloTracker")
        problems.choice("kind", kind, KINDS)
        problems.done()
        return self._budgets.get((kind, name))

    def is_exhausted(self, name: str) -> bool:
        """Return whether a budget of this name is exhausted; False if there is none."""
        return any(one.exhausted for one in self._named(name))

    def all_healthy(self) -> bool:
        """Return whether no budget is exhausted. A tracker without budgets is healthy."""
        return not any(budget.exhausted for budget in self)

    def for_each(self, fn: Callable[[Budget], object]) -> None:
        """Call ``fn`` with each budget, in the order in which they were registered.

        Raises:
            TypeError: ``fn`` does not take one argument, or is a coroutine or generator function.
        """
        require_callable("fn", fn, one=True)
        for budget in self:
            fn(budget)

    def snapshot(self) -> SloTrackerSnapshot:
        """Return the state of all budgets; see ``SloTrackerSnapshot`` for the fields."""
        shown = tuple(budget.snapshot() for budget in self)
        exhausted = tuple((one.kind, one.name) for one in shown if one.budget_exhausted)
        return SloTrackerSnapshot(
            healthy=not exhausted,
            exhausted=exhausted,
            compliance=1 - len(exhausted) / len(shown) if shown else 1.0,
            budgets=shown,
        )

    def reset(self) -> None:
        """Reset all budgets."""
        self.for_each(lambda budget: budget.reset())

    def on_event(self, listener: Listener) -> Callable[[], None]:
        """Add a listener for the events of all budgets, also of those registered later.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: ``listener`` does not accept one argument, or is a coroutine or generator
                function.
        """
        require_callable("listener", listener, one=True)
        mark, one = object(), _Listener(listener)
        settle()
        with self._lock:
            self._listeners[mark] = one
            budgets = list(self._budgets.values())
        for budget in budgets:
            one.listen_to(budget)

        def unsubscribe() -> None:
            self._listeners.pop(mark, None)
            one.end()

        return unsubscribe

    def __iter__(self) -> Iterator[Budget]:
        settle()
        with self._lock:
            return iter(list(self._budgets.values()))

    def __len__(self) -> int:
        return len(self._budgets)

    def __contains__(self, budget: object) -> bool:
        return any(one is budget for one in self)

    def __repr__(self) -> str:
        exhausted = [repr(budget.name) for budget in self if budget.exhausted]
        names = ", ".join(dict.fromkeys(exhausted)) or "none"
        return f"<SloTracker of {len(self)} budgets, exhausted: {names}>"

    def _named(self, name: str) -> list[Budget]:
        found = [self._budgets.get((kind, name)) for kind in KINDS]
        return [budget for budget in found if budget is not None]

    def _known(self, kind: str, name: str) -> Any:
        budget = self._budgets.get((kind, name))
        if budget is None:
            names = tuple(one.name for one in self if one.kind == kind)
            raise LookupError(
                f"no {kind.replace('_', ' ')} is registered as {name!r}{nearest(name, names)}"
            )
        return budget

    def _after_fork(self) -> None:
        """In a forked child: have a lock nobody holds."""
        self._lock = RLock()


class _Listener:
    """A listener, and how it is removed from each budget that it listens to."""

    __slots__ = ("_ended", "_listener", "_removes")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._removes: dict[int, Callable[[], None]] = {}
        self._ended = False

    def listen_to(self, budget: Policy) -> None:
        if id(budget) in self._removes or self._ended:
            return
        remove = budget.on_event(self._listener)
        # Of two threads that come here with one budget, one keeps its subscription.
        if self._removes.setdefault(id(budget), remove) is not remove or self._ended:
            remove()

    def leave(self, budget: Policy) -> None:
        if (remove := self._removes.pop(id(budget), None)) is not None:
            remove()

    def end(self) -> None:
        self._ended = True
        while self._removes:
            self._removes.popitem()[1]()
