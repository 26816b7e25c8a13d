"""The log of circuit breakers that open and close: one record for each transition.

The logger is "holdfast". Elsewhere: a log of all events, which replaces this one
(``telemetry.logs``).
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from logging import INFO, WARNING, getLogger
from traceback import print_exception

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.events import Event

__all__ = [
    "LOGGER",
    "fields_of",
    "ignore_raised",
    "leave_transitions_to",
    "log_transition",
    "take_transitions_back",
    "words_of",
]

LOGGER = "holdfast"
_elsewhere: dict[object, None] = {}  # who logs all events, and these with them
_MOVES = {
    "closed": (INFO, "closed", "would close"),
    "open": (WARNING, "opened", "would open"),
    "forced-open": (WARNING, "was forced open", "was forced open"),
    "disabled": (INFO, "was disabled", "was disabled"),
    "metrics-only": (INFO, "counts only", "counts only"),
}
_WHY = {"health": "a health check passed"}


def log_transition(event: Event, observes: bool) -> None:
    """Log that a breaker has opened, closed or been overridden.

    What a handler raises changes nothing; KeyboardInterrupt and the like are passed on.
    """
    if _elsewhere:
        return
    level = _MOVES.get(str(event.new), (None,))[0]
    if level is None:  # half-open is between the two
        return
    try:
        logger = getLogger(LOGGER)
        if logger.isEnabledFor(level):
            logger.log(level, words_of(event, observes), extra=fields_of(event))
    except Exception as error:  # noqa: BLE001 - a log must not change the outcome of a call
        ignore_raised(error)


def words_of(event: Event, observes: bool) -> str:
    """Return a transition in a sentence."""
    _, has, would = _MOVES.get(str(event.new), (0, f"is {event.new}", f"would be {event.new}"))
    text = f"circuit breaker {event.name!r} {would if observes else has}"
    why = event.trip or _WHY.get(event.reason) or event.reason.replace("_", " ")
    if why and str(why) != "manual":
        text += f": {why}"
    elif why:
        text += " by hand"
    if event.retry_after is not None:
        text += f"; retry in {event.retry_after:.3f} s"
    return text


def fields_of(event: Event) -> dict[str, Any]:
    """Return what a record has beside its message, in values that JSON has."""
    trip = event.trip
    return {
        "holdfast_event": event.kind,
        "holdfast_kind": getattr(event.policy, "kind", None),
        "holdfast_policy": event.name,
        "holdfast_old": getattr(event.old, "value", event.old),
        "holdfast_new": getattr(event.new, "value", event.new),
        "holdfast_reason": event.reason,
        "holdfast_retry_after": event.retry_after,
        "holdfast_trip": None if trip is None else trip.to_dict(),
    }


def ignore_raised(error: Exception) -> None:
    """Show an error that a log handler has raised, as ``logging.Handler.handleError`` does."""
    if logging.raiseExceptions and sys.stderr is not None:
        with suppress(Exception):  # there is nobody left to tell
            print_exception(error, file=sys.stderr)


def leave_transitions_to(who: object) -> None:
    """Log no transitions here, because ``who`` shows them, until they are taken back."""
    _elsewhere[who] = None


def take_transitions_back(who: object) -> None:
    """Log transitions here again, unless somebody else shows them."""
    _elsewhere.pop(who, None)
