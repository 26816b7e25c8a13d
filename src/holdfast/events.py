"""What policies tell: one event, and the listeners of one policy.

Elsewhere: which events there are (policies say), and rings, rules and exports of them
(telemetry, which listens).
"""

from __future__ import annotations

from collections import deque
from threading import get_ident

from holdfast._native.gate import _need_answer
from holdfast.forks import mind, settle
from holdfast.locks import RLock
from holdfast.validation import require_callable, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from holdfast.trip import Trip

    Listener = Callable[["Event"], object]

__all__ = ["Event", "Listeners", "warn"]

_FIELDS = (
    "kind",
    "policy",
    "name",
    "old",
    "new",
    "reason",
    "retry_after",
    "at",
    "generation",
    "trip",
)

# Events that listeners may cause while one event is being told; those beyond are dropped.
RING = 64


class Event:
    """Something a policy did.

    Attributes:
        kind: The kind of event: "transition", "rejection", "override" …
        policy: The policy; None after unpickling.
        name: The policy's name.
        old: The previous state, if the event has one.
        new: The new state, if the event has one.
        reason: The reason, in one word.
        retry_after: Seconds until a call may be admitted again; None when unknown.
        at: Seconds on the policy's clock.
        generation: The generation of the policy after the event.
        trip: Why a circuit breaker opened; None for all other events.

    Immutable, so safe to share between threads and event loops. Equal if all attributes are
    equal.

    >>> Event("rejection", None, "payments", reason="full", at=2.5)
    <Event rejection 'payments' (full) at 2.500 s>
    """

    __slots__ = _FIELDS

    kind: str
    policy: object
    name: str | None
    old: object
    new: object
    reason: str
    retry_after: float | None
    at: float
    generation: int
    trip: Trip | None

    def __init__(
        self,
        kind: str,
        policy: object,
        name: str | None,
        *,
        old: object = None,
        new: object = None,
        reason: str = "",
        retry_after: float | None = None,
        at: float = 0.0,
        generation: int = 0,
        trip: Trip | None = None,
    ) -> None:
        values = (kind, policy, name, old, new, reason, retry_after, at, generation, trip)
        for field, value in zip(_FIELDS, values, strict=True):
            object.__setattr__(self, field, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an Event is frozen: cannot set {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an Event is frozen: cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self.kind, self.name, self.at, self.generation))

    def __repr__(self) -> str:
        parts = [self.kind, repr(self.name)]
        if self.new is not None:
            parts.append(f"{_word(self.old)} -> {_word(self.new)}")
        if self.reason:
            parts.append(f"({self.reason if self.trip is None else self.trip})")
        if self.retry_after is not None:
            parts.append(f"retry after {self.retry_after:.3f} s")
        return f"<Event {' '.join(parts)} at {self.at:.3f} s>"

    def __reduce__(self) -> tuple[Any, ...]:
        kind, _, name, *others = self._values()
        return _revive, (kind, None, name, *others)

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field) for field in _FIELDS)


class Listeners:
    """The listeners of one policy.

    Listeners run in the thread that caused the event, one after another, with no lock held, so
    they may use the policy. An ``Exception`` from a listener is logged and counted and changes no
    decision. Other exceptions (KeyboardInterrupt …) are raised to the caller after all listeners
    have run.

    Safe to share between threads and event loops.
    """

    __slots__ = ("__weakref__", "_dropped", "_lock", "_raised", "_subscriptions", "_telling")

    def __init__(self) -> None:
        self._lock = RLock()
        self._subscriptions: dict[_Subscription, None] = {}  # each change is one step of C
        self._telling: dict[int, _Pending] = {}  # by thread: what it tells at the moment
        self._raised = 0
        self._dropped = 0
        mind(self)

    def __len__(self) -> int:
        return len(self._subscriptions)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody listens to what costs the calls something, such as rejections."""
        return any(one.wants is None or one.wants() for one in list(self._subscriptions))

    @property
    def raised(self) -> int:
        """The number of exceptions that listeners have raised."""
        return self._raised

    @property
    def dropped(self) -> int:
        """The number of events dropped because listeners caused too many further events."""
        return self._dropped

    def subscribe(
        self, listener: Listener, wants: Callable[[], bool] | None = None
    ) -> Callable[[], None]:
        """Add a listener.

        Args:
            listener: Called with each event.
            wants: Asked whether events are wanted that are made for listeners alone, and cost the
                calls something; None: always. A listener that does not want them may hear them.

        Returns:
            A function that removes the listener. It may be called repeatedly.

        Raises:
            TypeError: The listener does not accept one argument, or is a coroutine or generator
                function.
        """
        require_callable("listener", listener, one=True)
        subscription = _Subscription(listener, wants)
        self._subscriptions[subscription] = None

        def unsubscribe() -> None:
            subscription.listener = None
            self._subscriptions.pop(subscription, None)

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Deliver an event to all listeners before returning.

        An event that a listener causes is delivered after this event, by this call, and never
        recursively.
        """
        if not self._subscriptions:
            return
        me = get_ident()
        pending = self._telling.get(me)
        if pending is not None:
            self._count_dropped(0 if pending.add(event) else 1)
            return
        pending = self._telling[me] = _Pending(event)
        interruption = None
        try:
            while pending.events:
                interruption = self._tell(pending.events.popleft()) or interruption
        finally:
            del self._telling[me]
            self._count_dropped(len(pending.events))
        if interruption is not None:
            raise interruption

    def _after_fork(self) -> None:
        """In a forked child: count from zero, with a lock nobody holds."""
        self._lock = RLock()
        self._telling = {}
        self._raised = self._dropped = 0

    def _tell(self, event: Event) -> BaseException | None:
        interruption = None
        for subscription in list(self._subscriptions):
            listener = subscription.listener
            if listener is None:
                continue
            try:
                _need_answer("listener", listener, listener(event))
            except Exception as error:  # noqa: BLE001 - a listener must not change the outcome
                self._report(listener, error)
            except BaseException as error:  # noqa: BLE001 - raised once the others were told
                interruption = error
        return interruption

    def _report(self, listener: Listener, error: Exception) -> None:
        from logging import getLogger

        settle()
        with self._lock:
            self._raised += 1
        getLogger("holdfast").error("listener %s raised", shown(listener), exc_info=error)

    def _count_dropped(self, events: int) -> None:
        if events:
            settle()
            with self._lock:
                self._dropped += events


class _Subscription:
    __slots__ = ("listener", "wants")

    def __init__(self, listener: Listener, wants: Callable[[], bool] | None) -> None:
        self.listener: Listener | None = listener
        self.wants = wants


class _Pending:
    """What one thread has still to tell, and how much more it will take."""

    __slots__ = ("events", "room")

    def __init__(self, event: Event) -> None:
        self.events = deque((event,))
        self.room = RING

    def add(self, event: Event) -> bool:
        """Note another event; False when listeners caused so many that they may never end."""
        if self.room == 0:
            return False
        self.room -= 1
        self.events.append(event)
        return True


def warn(text: str, *args: object) -> None:
    """Log a warning about a problem that causes no exception."""
    from logging import getLogger

    getLogger("holdfast").warning(text, *args)


def _revive(kind: str, policy: object, name: str | None, *others: Any) -> Event:
    return Event(kind, policy, name, **dict(zip(_FIELDS[3:], others, strict=True)))


def _word(state: object) -> str:
    """Return the word of a state: states are enumerations, limits and rates are numbers."""
    return str(getattr(state, "value", state))
