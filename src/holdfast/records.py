"""Records of the log: which there are, at which level, in which area, and how one is written.

Owns the one way to the log. What is said is put into words only if a logger takes it. Elsewhere:
the words of events of policies (``transitions``, ``telemetry.logs``), and repetition (``repeats``).
"""

from __future__ import annotations

import sys

from holdfast.clock import system_clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from logging import Logger, LoggerAdapter
    from typing import Any

    from holdfast.clock import Clock
    from holdfast.repeats import Repeats, Run

    AnyLogger = Logger | LoggerAdapter[Any]
    Made = tuple[str, str, dict[str, Any]]  # what is told, a detail of this one, fields

__all__ = [
    "AREAS",
    "DEBUG",
    "ERROR",
    "INFO",
    "LEVELS",
    "MOST",
    "ROOT",
    "WARNING",
    "Log",
    "add_log",
    "alone",
    "area_of",
    "ignore_raised",
    "note",
    "plain",
    "remove_log",
    "takes",
]

ROOT = "holdfast"
DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40  # as in logging, which is imported with the first
MOST = 5  # records of one event of one policy in ten seconds
# Without limit: a run of chaos is replayed from its log, a preset registers much at once, and what
# processes say is limited where it is read.
_EACH = {"injected", "registered", "unregistered", "output"}

# By area. The events of policies are logged where somebody asked for them, the others always.
LEVELS: dict[str, int | None] = {
    "opened": WARNING,
    "closed": INFO,
    "half_open": INFO,
    "overridden": INFO,
    "call_failed": None,  # each of them would cost a call something
    "call_succeeded": None,
    "rejection": DEBUG,
    "retry": DEBUG,
    "recovered": INFO,
    "gave_up": INFO,
    "not_retried": DEBUG,
    "hedge": DEBUG,
    "hedge_won": DEBUG,
    "hedge_refused": DEBUG,
    "adjustment": INFO,
    "over_released": WARNING,
    "reset": INFO,
    "stopped": INFO,
    "timeout": DEBUG,
    "resized": INFO,
    "budget_exhausted": ERROR,
    "budget_recovered": INFO,
    "page": ERROR,
    "page_ended": INFO,
    "registered": INFO,
    "unregistered": INFO,
    "passed_over": WARNING,
    "manager_started": INFO,
    "manager_stopped": INFO,
    "operation_completed": DEBUG,
    "operation_timed_out": WARNING,
    "operation_cancelled": INFO,
    "many_active": WARNING,
    "component_level": INFO,
    "system_worse": WARNING,
    "system_better": INFO,
    "all_recovered": INFO,
    "feature": INFO,
    "stand_in": DEBUG,
    "shedding_on": WARNING,
    "shedding_off": INFO,
    "shed": DEBUG,
    "falling_back": WARNING,
    "one_by_one": DEBUG,
    "sequential_on": WARNING,
    "sequential_off": INFO,
    "chaos_enabled": WARNING,
    "chaos_refused": WARNING,
    "chaos_disabled": INFO,
    "fault_registered": INFO,
    "fault_changed": INFO,
    "fault_failed": WARNING,
    "injected": DEBUG,
    "check_passed": DEBUG,
    "check_failed": WARNING,
    "check_state": INFO,
    "monitoring_started": INFO,
    "monitoring_stopped": INFO,
    "defaulted": WARNING,
    "phase_starting": INFO,
    "phase_stopping": INFO,
    "part_started": INFO,
    "part_stopped": INFO,
    "sending_refused": WARNING,
    "output": INFO,
    "component_started": INFO,
    "component_stopped": INFO,
    "component_check_failed": WARNING,
    "component_unhealthy": WARNING,
    "component_exited": WARNING,
    "component_finished": INFO,
    "recovering": WARNING,
    "recovery_attempt": WARNING,
    "attempt_failed": WARNING,
    "component_recovered": INFO,
    "recovery_failed": ERROR,
    "cooling_down": WARNING,
    "component_gave_up": ERROR,
    "escalated": ERROR,
    "left_behind": ERROR,
    "supervisor_started": INFO,
    "supervisor_stopped": INFO,
    "cache_failed": WARNING,
    "publishing_failed": WARNING,
    "publishing_recovered": INFO,
    "proposed": INFO,
    "follower_failed": WARNING,
    "resource_registered": DEBUG,
    "resource_unregistered": DEBUG,
    "resource_cleaned": DEBUG,
    "resource_leak": WARNING,
    "resources_high": WARNING,
    "cleanup_failed": ERROR,
    "resource_statistics": INFO,
    "resource_manager_started": INFO,
    "resource_manager_stopped": INFO,
}

# The logger of each kind of policy and part, below "holdfast".
AREAS: dict[str, str] = {
    "circuit_breaker": "breaker",
    "retry": "retry",
    "hedge": "hedge",
    "rate_limiter": "limiter",
    "bulkhead": "bulkhead",
    "pool_bulkhead": "bulkhead",
    "timeout": "timeout",
    "error_budget": "budget",
    "latency_budget": "budget",
    "slo_tracker": "budget",
    "degradation": "degradation",
    "fault": "chaos",
    "chaos": "chaos",
    "health_monitor": "health",
    "manager": "manager",
    "component_manager": "supervision",
    "component": "supervision",
    "supervisor": "supervision",
    "performance_monitor": "performance",
    "resource_optimiser": "performance",
    "resource_manager": "resources",
}


def area_of(kind: str) -> str:
    """Return the name of the logger for a kind of policy or part."""
    area = AREAS.get(kind)
    return ROOT if area is None else f"{ROOT}.{area}"


class Log:
    """Where records go: to one logger, or to that of their area.

    Args:
        logger: The logger; None for the loggers of the areas.
        levels: The level by record; None logs no such record.
        most: How many records of one event of one policy are written in ten seconds; None for all.

    Safe to share between threads and event loops.
    """

    __slots__ = ("_levels", "_logger", "_repeats", "_root", "_takers")

    def __init__(
        self, logger: AnyLogger | None, levels: dict[str, int | None], most: int | None
    ) -> None:
        self._logger = logger
        self._root: Logger | None = None  # of the loggers of the areas, once one was asked
        self._levels = levels
        self._takers: dict[tuple[str, str], tuple[AnyLogger, int] | None] = {}
        self._repeats: Repeats | None = None if most is None else _repeats(most)

    def set_levels(self, levels: dict[str, int | None]) -> None:
        """Have other levels from here on."""
        self._levels = levels
        self._takers = {}  # who still fills the one before has read that first

    def limit(self, most: int | None) -> None:
        """Have as many records of one event of one policy in ten seconds."""
        if most != (None if self._repeats is None else self._repeats.most):
            self.close()
            self._repeats = None if most is None else _repeats(most)

    def close(self) -> None:
        """Write what is left of repeated records."""
        if self._repeats is not None:
            self._repeats.flush()

    def taker(self, record: str, kind: str) -> tuple[AnyLogger, int] | None:
        """Return the logger that takes such a record and its level; None if it is not logged."""
        takers = self._takers
        try:
            taker = takers[record, kind]
        except KeyError:
            level = self._levels.get(record)
            if self._logger is None and (level or 0) < WARNING and "logging" not in sys.modules:
                return None  # nobody has asked for more than warnings
            taker = takers[record, kind] = self._find_taker(level, kind)
        if taker is None or (self._root is not None and self._root.disabled):
            return None
        return taker if taker[0].isEnabledFor(taker[1]) else None

    def _find_taker(self, level: int | None, kind: str) -> tuple[AnyLogger, int] | None:
        if level is None:
            return None
        if self._logger is not None:
            return self._logger, level
        from logging import getLogger

        self._root = getLogger(ROOT)
        return getLogger(area_of(kind)), level

    def put(
        self,
        record: str,
        kind: str,
        who: Hashable,
        clock: Clock,
        make: Callable[..., Made],
        *args: Any,
    ) -> bool:
        """Write a record if a logger takes it; return whether one does.

        Whatever is raised meanwhile changes nothing; KeyboardInterrupt and the like are passed on.

        Args:
            record: What is told: a key of ``LEVELS``.
            kind: The kind of the policy or part.
            who: Records of the same that repeat are counted together.
            clock: On which ten seconds are measured.
            make: Called with ``args``, if a logger takes the record.
            args: What the record is made of.
        """
        try:
            taker = self.taker(record, kind)
            if taker is None:
                return False
            run = None
            if self._repeats is not None and record not in _EACH:
                run = self._repeats.see(clock, (record, kind, who))
                if run is None:
                    return True
            text, detail, fields = make(*args)
            if run is not None and run.kept is None:
                run.kept = taker, text, fields
            _write(*taker, plain(text + detail), fields)
        except Exception as error:  # noqa: BLE001 - a log must not change the outcome of a call
            ignore_raised(error)
        return True


def note(
    record: str,
    kind: str,
    name: str | None,
    text: str,
    *args: object,
    clock: Clock = system_clock,
    **fields: Any,
) -> None:
    """Log what a part has done, if a logger takes it.

    Args:
        record: What is told: a key of ``LEVELS``.
        kind: The kind of the part, for its area: a key of ``AREAS``.
        name: Its name.
        text: What is said of it, with places for ``args`` as in logging.
        args: Values for ``text``. Text of errors is to come without secrets (``redaction``).
        clock: On which ten seconds are measured, for records that repeat.
        fields: Further values, which the record has with "holdfast_" before their names.

    >>> note("registered", "manager", "dwcp", "manager %r: registered %s", "dwcp", "a breaker")
    """
    for log in _logs or (_alone,):
        log.put(record, kind, name, clock, _made, record, kind, name, text, args, fields)


def takes(record: str, kind: str) -> bool:
    """Return whether a logger takes such a record: for those that cost something to find out."""
    return any(log.taker(record, kind) is not None for log in _logs or (_alone,))


def alone() -> Log | None:
    """Return the log of those who asked for none; None if somebody asked for one."""
    return None if _logs else _alone


def add_log(log: Log) -> None:
    """Have records go to this log, and not to that of those who asked for none."""
    global _logs  # noqa: PLW0603 - read by who logs, without a lock
    _logs = (*_logs, log)


def remove_log(log: Log) -> None:
    """Have no record go to this log any more."""
    global _logs  # noqa: PLW0603 - as above
    _logs = tuple(one for one in _logs if one is not log)


def plain(text: str) -> str:
    r"""Return a text in which no character moves the cursor, ends the line or is invisible.

    >>> plain("a line\n2026-01-01 ERROR that nobody has logged\x1b[2J")
    'a line\\n2026-01-01 ERROR that nobody has logged\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def ignore_raised(error: Exception) -> None:
    """Show an error that a log handler has raised, as ``logging.Handler.handleError`` does."""
    logging = sys.modules.get("logging")
    if getattr(logging, "raiseExceptions", True) and sys.stderr is not None:
        from contextlib import suppress
        from traceback import print_exception

        with suppress(Exception):  # there is nobody left to tell
            print_exception(error, file=sys.stderr)


def _made(
    record: str,
    kind: str,
    name: str | None,
    text: str,
    args: tuple[object, ...],
    fields: dict[str, object],
) -> Made:
    shown = {"holdfast_event": record, "holdfast_kind": kind, "holdfast_policy": name}
    return text % args, "", {**shown, **{f"holdfast_{key}": fields[key] for key in fields}}


def _write(logger: AnyLogger, level: int, text: str, fields: dict[str, Any]) -> None:
    """Make a record. An adapter adds its fields; by itself it would take those of ours away."""
    one: Any = logger
    settings: Any = {"extra": fields}
    while hasattr(one, "process"):  # an adapter, perhaps of another
        text, settings = one.process(text, settings)
        fields = {**fields, **(settings.get("extra") or {})}
        settings = {**settings, "extra": fields}
        one = one.logger
    one.log(level, text, **settings)


def _repeats(most: int) -> Repeats:
    from holdfast.repeats import Repeats

    return Repeats(most, _tell_of_repeats)


def _tell_of_repeats(run: Run, more: int, seconds: float) -> None:
    if run.kept is None:  # what was to be written could not be put into words
        return
    (logger, level), text, fields = run.kept
    try:
        if logger.isEnabledFor(level):
            said = f"{text} … and {more} more in {seconds:.3g} s"
            _write(logger, level, plain(said), {**fields, "holdfast_repeated": more})
    except Exception as error:  # noqa: BLE001 - as in Log.put
        ignore_raised(error)


_logs: tuple[Log, ...] = ()
_alone = Log(None, dict(LEVELS), MOST)
