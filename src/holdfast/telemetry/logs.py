"""A log of what all policies do: one record for each event.

Owns which events are logged and at which level. Elsewhere: the log of openings and closings, which
needs no call (``transitions``).
"""

from __future__ import annotations

import gc
import logging
from threading import RLock
from weakref import ref

from holdfast.forks import call_in_child
from holdfast.mode import Mode
from holdfast.policies.base import Policy
from holdfast.registry import registry
from holdfast.transitions import (
    LOGGER,
    fields_of,
    ignore_raised,
    leave_transitions_to,
    take_transitions_back,
    words_of,
)
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from holdfast.events import Event

    Logger = logging.Logger | logging.LoggerAdapter[Any]

__all__ = ["LEVELS", "log_events"]

LEVELS: dict[str, int] = {
    "opened": logging.WARNING,
    "closed": logging.INFO,
    "half_open": logging.INFO,
    "overridden": logging.INFO,
    "timeout": logging.INFO,
    "gave_up": logging.INFO,
    "recovered": logging.DEBUG,
    "adjustment": logging.DEBUG,
    "retry": logging.DEBUG,
    "hedge": logging.DEBUG,
    "hedge_won": logging.DEBUG,
    "hedge_refused": logging.DEBUG,
    "rejection": logging.DEBUG,
    "budget_exhausted": logging.ERROR,
    "budget_recovered": logging.INFO,
    "page": logging.ERROR,
    "page_ended": logging.INFO,
    "injected": logging.DEBUG,
}
_STATES = {"open": "opened", "forced-open": "opened", "closed": "closed", "half-open": "half_open"}

_lock = RLock()
_logs: dict[object, _Log] = {}  # by logger


def log_events(
    logger: str | Logger | None = None, *, levels: Mapping[str, int | str | None] | None = None
) -> Callable[[], None]:
    """Log each event of all policies, of those that exist and of those that are created later.

    Without this call, only openings and closings of circuit breakers are logged. With it, they
    are logged here, and not twice. Rejections become events, which makes them slower. No policy is
    kept alive. A second call for the same logger changes the levels.

    Args:
        logger: A logger or its name; None for "holdfast".
        levels: Other levels for some events, by name: "opened" (WARNING), "closed", "half_open",
            "overridden", "timeout", "gave_up" (INFO), "recovered", "retry", "hedge",
            "hedge_won", "hedge_refused", "rejection", "adjustment",
            "injected" (DEBUG), "budget_exhausted" (ERROR), "budget_recovered" (INFO),
            "page" (ERROR), "page_ended" (INFO).
            A level is a number or a name such as "INFO"; None logs no such event.

    Returns:
        A function that ends the log. It may be called repeatedly.

    Raises:
        ConfigError: An argument is invalid; the message lists all problems.

    Safe to call from any thread.

    >>> end = log_events("shop.resilience", levels={"rejection": "INFO", "retry": None})
    >>> end()
    """
    problems = Problems("log_events")
    target = _logger_of(problems, logger)
    chosen = _levels_of(problems, levels)
    problems.done()
    with _lock:
        log = _logs.get(target)
        if log is None:
            log = _logs[target] = _Log(target)
            log.levels = chosen
            log.begin()
        log.levels = chosen

    def end() -> None:
        with _lock:
            if _logs.get(target) is log:
                del _logs[target]
                log.end()

    return end


class _Log:
    """The log of one logger: a listener of each policy, which no policy is held by."""

    def __init__(self, logger: Logger) -> None:
        self.levels: dict[str, int | None] = {}
        self._logger = logger
        self._held: dict[int, tuple[ref[Policy], Callable[[], None]]] = {}
        self._unwatch: Callable[[], None] | None = None

    def begin(self) -> None:
        leave_transitions_to(self)
        self._unwatch = registry.watch(self._watch)
        # Those without a name are in no registry. The type is asked: a proxy may answer for others.
        for one in [*registry.all(), *gc.get_objects()]:
            if issubclass(type(one), Policy) and one._is_made:
                self._watch(one)

    def end(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
        while self._held:
            policy, remove = self._held.popitem()[1]
            remove()
            if (living := policy()) is not None:
                living._mind_listeners()
        take_transitions_back(self)

    def _watch(self, policy: Policy) -> None:
        from holdfast.events import Listeners

        if policy.kind == "pipeline" or id(policy) in self._held:
            return  # the events of a pipeline are those of its policies
        # on_event() would return a function that holds the policy.
        remove = policy._once("_listeners", Listeners).subscribe(self._log)
        at, held = id(policy), self._held

        def forget(_: object) -> None:
            held.pop(at, None)

        held[at] = ref(policy, forget), remove
        policy._mind_listeners()

    def _log(self, event: Event) -> None:
        policy: Any = event.policy
        if policy.mode is Mode.OFF:
            return
        kind = event.kind
        if kind in {"transition", "override"}:
            kind = _STATES.get(str(event.new), "overridden")
        level = self.levels.get(kind, logging.DEBUG)
        try:
            if level is not None and self._logger.isEnabledFor(level):
                self._record(level, _sentence(event, policy), fields_of(event))
        except Exception as error:  # noqa: BLE001 - a log must not change the outcome of a call
            ignore_raised(error)

    def _record(self, level: int, text: str, fields: dict[str, Any]) -> None:
        """Make a record. An adapter adds its fields; by itself it would take those of ours away."""
        logger: Any = self._logger
        settings: Any = {"extra": fields}
        while isinstance(logger, logging.LoggerAdapter):
            text, settings = logger.process(text, settings)
            fields = {**fields, **(settings.get("extra") or {})}
            settings = {**settings, "extra": fields}
            logger = logger.logger
        logger.log(level, text, **settings)


def _sentence(event: Event, policy: Policy) -> str:
    """Return an event in words."""
    if event.kind in {"transition", "override"}:
        return words_of(event, policy.mode is Mode.OBSERVE)
    who = policy.kind.replace("_", " ")
    if event.name is not None:
        who += f" {event.name!r}"
    if event.kind == "rejection":
        wait = "" if event.retry_after is None else f"; retry in {event.retry_after:.3f} s"
        return f"{who} rejected a call ({event.reason}){wait}"
    if event.kind == "retry":
        return (
            f"{who} starts attempt {event.new} in {event.retry_after:.3f} s, after {event.reason}"
        )
    if event.kind == "gave_up":
        return f"{who} gave up after {event.old} attempts ({event.reason})"
    if event.kind in {"budget_exhausted", "budget_recovered"}:
        return f"{who} {_of_budget(event)}"
    if event.kind in {"page", "page_ended"}:
        burns = "burns too fast" if event.kind == "page" else "no longer burns too fast"
        rate = "without limit" if event.new is None else f"at {event.new:.3g}"
        return f"{who} {burns} ({event.reason}): {rate}, limit {event.old:g}"
    if event.kind == "recovered":
        return f"{who} recovered after {event.old} attempts"
    if event.kind == "hedge":
        return f"{who} starts attempt {event.new} beside others ({event.reason})"
    if event.kind == "hedge_won":
        return f"{who} has its answer from attempt {event.old}"
    if event.kind == "hedge_refused":
        return f"{who} starts no further attempt ({event.reason})"
    if event.kind == "injected":
        return f"{who} strikes a call ({event.reason})"
    if event.kind == "timeout":
        return f"{who} expired"
    if event.kind == "adjustment":
        return f"{who} changed its rate from {event.old:g} to {event.new:g} ({event.reason})"
    return f"{who}: {event.kind} ({event.reason})"


def _of_budget(event: Event) -> str:
    has = "is exhausted" if event.kind == "budget_exhausted" else "recovered"
    if event.new is None:
        return has
    if event.reason == "errors":
        return f"{has}: {event.new:.3%} of the requests failed, {event.old:.3%} may"
    return f"{has}: {event.new:.3g} s, target {event.old:.3g} s"


def _logger_of(problems: Problems, logger: Any) -> Any:
    if logger is None:
        logger = LOGGER
    if isinstance(logger, str) and logger:
        return logging.getLogger(logger)
    if not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
        problems.refuse("logger", logger, f"a logger, its name, or None for {LOGGER!r}")
    return logger


def _levels_of(
    problems: Problems, levels: Mapping[str, int | str | None] | None
) -> dict[str, int | None]:
    chosen: dict[str, int | None] = dict(LEVELS)
    if levels is None:
        return chosen
    try:
        given = dict(levels)
    except (TypeError, ValueError):
        problems.refuse("levels", levels, "a dict of levels by event, or None")
        return chosen
    names = logging.getLevelNamesMapping()
    for event, level in given.items():
        if event not in LEVELS:
            problems.refuse("levels", event, f"events among {', '.join(LEVELS)}")
        elif isinstance(level, str) and level.upper() in names:
            chosen[event] = names[level.upper()]
        elif level is None or (isinstance(level, int) and not isinstance(level, bool)):
            chosen[event] = level
        else:
            problems.refuse(f"levels[{event!r}]", level, "a level of logging, its name, or None")
    return chosen


def _after_fork() -> None:
    """In a forked child: have a lock nobody holds."""
    global _lock  # noqa: PLW0603 - a lock that another thread held cannot be freed
    _lock = RLock()


call_in_child(_after_fork)
