"""The log of circuit breakers that change their state: one record for each transition.

The logger is "holdfast.breaker". Elsewhere: a log of all events, which replaces this one
(``telemetry.logs``).
"""

from __future__ import annotations

import logging  # noqa: F401 - not at the first record: no file may be left to open then

from holdfast.named import full_name
from holdfast.records import alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.events import Event

__all__ = ["fields_of", "log_transition", "name_of", "record_of", "sentence_of"]

_RECORDS = {"open": "opened", "forced-open": "opened", "closed": "closed", "half-open": "half_open"}
_MOVES = {
    "closed": ("closed", "would close"),
    "open": ("opened", "would open"),
    "forced-open": ("was forced open", "was forced open"),
    "disabled": ("was disabled", "was disabled"),
    "metrics-only": ("counts only", "counts only"),
}
_WHY = {"health": "a health check passed"}


def log_transition(event: Event, observes: bool) -> None:
    """Log that a breaker has changed its state, unless a log of all events does.

    What a handler raises changes nothing; KeyboardInterrupt and the like are passed on.
    """
    log = alone()
    if log is not None:
        breaker: Any = event.policy
        log.put(
            record_of(event),
            "circuit_breaker",
            name_of(event),
            breaker._clock,
            sentence_of,
            event,
            observes,
        )


def record_of(event: Event) -> str:
    """Return the record of a transition."""
    return _RECORDS.get(str(event.new), "overridden")


def sentence_of(event: Event, observes: bool) -> tuple[str, str, dict[str, Any]]:
    """Return a transition in a sentence, what it says of the next one, and the fields."""
    has, would = _MOVES.get(str(event.new), (f"is {event.new}", f"would be {event.new}"))
    text = f"circuit breaker {name_of(event)!r} {would if observes else has}"
    why = event.trip or _WHY.get(event.reason) or event.reason.replace("_", " ")
    if why and str(why) != "manual":
        text += f": {why}"
    elif why:
        text += " by hand"
    wait = "" if event.retry_after is None else f"; retry in {event.retry_after:.3f} s"
    return text, wait, fields_of(event)


def name_of(event: Event) -> str | None:
    """Return the name of an event's policy, with that of its manager if it has one."""
    policy: Any = event.policy
    return event.name if policy is None or event.name is None else full_name(policy)


def fields_of(event: Event) -> dict[str, Any]:
    """Return what a record has beside its message, in values that JSON has."""
    trip = event.trip
    return {
        "holdfast_event": event.kind,
        "holdfast_kind": getattr(event.policy, "kind", None),
        "holdfast_policy": name_of(event),
        "holdfast_old": getattr(event.old, "value", event.old),
        "holdfast_new": getattr(event.new, "value", event.new),
        "holdfast_reason": event.reason,
        "holdfast_retry_after": event.retry_after,
        "holdfast_trip": None if trip is None else trip.to_dict(),
    }
