"""What a supervisor says of its components in the log: the record and the words of each event.

Elsewhere: when something is said (``course``), and the way to the log (``records``).
"""

from __future__ import annotations

from holdfast.records import note
from holdfast.redaction import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.clock import Clock

__all__ = [
    "log_attempt",
    "log_check_failed",
    "log_event",
    "log_left",
    "log_raised",
    "log_spent",
    "log_supervisor",
]

KIND = "supervisor"
# By kind of event: the record, and what is said. The name of the component follows.
_WORDS: dict[str, tuple[str, str]] = {
    "started": ("component_started", "Component started"),
    "stopped": ("component_stopped", "Component stopped"),
    "unhealthy": ("component_unhealthy", "Component unhealthy"),
    "exited": ("component_exited", "Component exited"),
    "finished": ("component_finished", "Component finished"),
    "recovering": ("recovering", "Attempting component recovery"),
    "attempt_failed": ("attempt_failed", "Component start failed"),
    "recovered": ("component_recovered", "Component recovered successfully"),
    "cooling_down": ("cooling_down", "Component cooling down"),
    "gave_up": ("component_gave_up", "Component given up"),
    "escalated": ("escalated", "Component restarts escalated"),
}


def log_event(
    supervisor: str,
    kind: str,
    component: str,
    reason: str,
    wait_ns: int | None,
    clock: Clock,
) -> None:
    """Log an event of a component."""
    record, words = _WORDS[kind]
    wait = "" if wait_ns is None else f", next in {wait_ns / 1e9:g} s"
    _say(record, supervisor, component, words, reason, wait, clock)


def log_attempt(
    supervisor: str, component: str, attempt: int, attempts: int, reason: str, clock: Clock
) -> None:
    """Log that an attempt to recover a component begins."""
    number = f" {attempt} of {attempts}"
    _say("recovery_attempt", supervisor, component, "Recovery attempt", reason, number, clock)


def log_spent(supervisor: str, component: str, reason: str, clock: Clock) -> None:
    """Log that all attempts to recover a component have failed."""
    words = "Component recovery failed after all attempts"
    _say("recovery_failed", supervisor, component, words, reason, "", clock)


def log_check_failed(supervisor: str, component: str, reason: str, clock: Clock) -> None:
    """Log that a check of a component has failed."""
    words = "Component health check failed"
    _say("component_check_failed", supervisor, component, words, reason, "", clock)


def log_left(supervisor: str, component: str, reason: str, clock: Clock) -> None:
    """Log that something of a component may still run although it was to be stopped."""
    _say("left_behind", supervisor, component, "Component not stopped", reason, "", clock)


def log_raised(supervisor: str, error: BaseException) -> None:
    """Log what something of a user's has raised that was told of an event."""
    from logging import getLogger

    text = "what listens to supervisor %r raised"
    getLogger("holdfast.supervision").error(text, supervisor, exc_info=error)


def log_supervisor(supervisor: str, record: str, clock: Clock) -> None:
    """Log that a supervisor was started or stopped."""
    word = "started" if record == "supervisor_started" else "stopped"
    note(record, KIND, supervisor, "supervisor %r is " + word, supervisor, clock=clock)


def _say(
    record: str,
    supervisor: str,
    component: str,
    words: str,
    reason: str,
    more: str,
    clock: Clock,
) -> None:
    why = f" ({one_line(reason)})" if reason else ""
    # One name for both: records of two components are not counted together.
    note(
        record,
        KIND,
        f"{supervisor}/{component}",
        "%s: %r of supervisor %r%s%s",
        words,
        component,
        supervisor,
        more,
        why,
        clock=clock,
        component=component,
        supervisor=supervisor,
    )
