"""A log of what all policies do: one record for each event.

Owns which events are logged and at which level. Elsewhere: the log of openings and closings, which
needs no call (``transitions``).
"""

from __future__ import annotations

import gc
import logging
from functools import partial
from weakref import ref

from holdfast.forks import call_in_child
from holdfast.locks import RLock
from holdfast.mode import Mode
from holdfast.policies.base import Policy
from holdfast.records import LEVELS, MOST, Log, add_log, ignore_raised, remove_log, takes
from holdfast.registry import registry
from holdfast.telemetry.wordings import WORDINGS
from holdfast.transitions import fields_of, name_of, record_of, sentence_of
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from holdfast.events import Event
    from holdfast.records import Made
    from holdfast.telemetry.wordings import Wording

    Logger = logging.Logger | logging.LoggerAdapter[Any]

__all__ = ["LEVELS", "log_events"]

# Records of events that policies make for listeners alone, and what makes them costs the calls
# something. Of the kinds that are not here, all events are wanted.
_FOR_LISTENERS: dict[str, tuple[str, ...]] = {
    "circuit_breaker": ("rejection",),
    "rate_limiter": ("rejection",),
    "bulkhead": ("rejection",),
    "pool_bulkhead": ("rejection",),
    "retry": ("retry", "recovered", "not_retried"),
}
_SEVERAL = {"transition", "override"}  # events that have a record for each state
# What no listener hears: a breaker tells of such an end only while a log takes it.
_ENDS = {"call_failed": 1, "call_succeeded": 2}
_MOST_REPEATS = 1_000_000

_lock = RLock()
_logs: dict[object, _EventLog] = {}  # by logger


def log_events(
    logger: str | Logger | None = None,
    *,
    levels: Mapping[str, int | str | None] | None = None,
    most: int | None = MOST,
    words: str = "holdfast",
) -> Callable[[], None]:
    """Log each event of all policies, of those that exist and of those that are created later.

    Without this call, each part logs with the logger of its area ("holdfast.breaker",
    "holdfast.health" ...), but of policies only the transitions of circuit breakers are logged.
    With this call, all events are logged, each once. A record below the level of its logger costs
    a call nothing: rejections become events, and slower, only while their level is on. If
    you change the level of a logger later, call this again; else the next event finds out.

    No policy is kept alive. A second call for the same logger changes the levels.

    Args:
        logger: A logger or its name; None for the loggers of the areas, "holdfast.breaker" and
            so on, which are children of "holdfast".
        levels: Other levels for some records, by name, such as "opened" (WARNING by default),
            "rejection" (DEBUG) or "budget_exhausted" (ERROR); docs/logs.md lists all. A level is
            a number or a name such as "INFO"; None logs no such record.
        most: How many records of one event of one policy are written in ten seconds, 1 to a
            million. Further records are counted, and one record gives their number: "... and 41
            more in 10 s". None writes all.
        words: "holdfast", or "collector" for the levels of a collector of market data, and the
            words that its messages begin with, such as "Operation failed, retrying: ...". Its
            breakers also log each call that fails (WARNING) or succeeds (DEBUG). What ``levels``
            says counts more.

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
    words = problems.choice("words", words, tuple(WORDINGS))
    wording = WORDINGS.get(words, WORDINGS["holdfast"])
    chosen = _levels_of(problems, levels, wording)
    if most is not None:
        most = problems.integer("most", most, least=1, most=_MOST_REPEATS)
    problems.done()
    with _lock:
        log = _logs.get(target)
        is_new = log is None
        if log is None:
            log = _logs[target] = _EventLog(Log(target, chosen, most))
        log.change(chosen, most, wording)
        if is_new:
            log.begin()

    def end() -> None:
        with _lock:
            if _logs.get(target) is log:
                del _logs[target]
                log.end()

    return end


class _EventLog:
    """The events of policies in one log: a listener of each policy, which no policy is held by."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held: dict[int, tuple[ref[Policy], Callable[[], None]]] = {}
        self._unwatch: Callable[[], None] | None = None
        self._wanted: tuple[bool, ...] = ()
        self._wording = WORDINGS["holdfast"]

    def change(self, levels: dict[str, int | None], most: int | None, wording: Wording) -> None:
        """Have other levels and words, and see which levels of the loggers are on."""
        self._wording = wording
        self._log.set_levels(levels)
        self._log.limit(most)
        self._look()

    def begin(self) -> None:
        add_log(self._log)
        self._unwatch = registry.watch(self._watch)
        # Those without a name are in no registry. The type is asked: a proxy may answer for others.
        for one in [*registry.all(), *gc.get_objects()]:
            if issubclass(type(one), Policy) and one._is_made:
                self._watch(one)

    def end(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
        remove_log(self._log)
        while self._held:
            policy, remove = self._held.popitem()[1]
            remove()
            if (living := policy()) is not None:
                _mind(living)
        self._log.close()

    def _watch(self, policy: Policy) -> None:
        from holdfast.events import Listeners

        # The events of a pipeline are those of its policies. Faults log by themselves.
        if policy.kind in {"pipeline", "fault"} or id(policy) in self._held:
            return
        records = _FOR_LISTENERS.get(policy.kind)
        if hasattr(type(policy), "_adjusted"):
            records = ("rejection", "adjustment")
        wants = None if records is None else partial(self._wants, policy.kind, records)
        # on_event() would return a function that holds the policy.
        remove = policy._once("_listeners", Listeners).subscribe(self._hear, wants)
        at, held = id(policy), self._held

        def forget(_: object) -> None:
            held.pop(at, None)

        held[at] = ref(policy, forget), remove
        _mind(policy)

    def _wants(self, kind: str, records: tuple[str, ...]) -> bool:
        """Return whether a logger takes one of these records."""
        return any(self._log.taker(record, kind) is not None for record in records)

    def _look(self) -> None:
        """Have policies make events for listeners if a logger takes them now, and else none."""
        wanted = tuple(self._wants(kind, (one,)) for kind in _FOR_LISTENERS for one in _ASKED[kind])
        wanted += tuple(self._wants("circuit_breaker", (one,)) for one in _ENDS)
        if wanted != self._wanted:
            self._wanted = wanted
            for policy, _ in list(self._held.values()):
                if (living := policy()) is not None:
                    _mind(living)

    def _hear(self, event: Event) -> None:
        policy: Any = event.policy
        if policy.mode is Mode.OFF:
            return
        record = record_of(event) if event.kind in _SEVERAL else event.kind
        who = id(policy) if event.name is None else name_of(event)
        make = self._made
        is_taken = self._log.put(record, policy.kind, who, policy._clock, make, record, event)
        if record == "rejection" and is_taken:  # of which there may be many
            return
        try:
            self._look()
            if not is_taken:
                policy._mind_listeners()
        except Exception as error:  # noqa: BLE001 - a log must not change the outcome of a call
            ignore_raised(error)

    def _made(self, record: str, event: Event) -> Made:
        """Return an event in words, what it says of the next call, and the fields."""
        policy: Any = event.policy
        if event.kind in _SEVERAL:
            text, detail, fields = sentence_of(event, policy.mode is Mode.OBSERVE)
        else:
            is_rejection = event.kind == "rejection" and event.retry_after is not None
            detail = f"; retry in {event.retry_after:.3f} s" if is_rejection else ""
            text, fields = _sentence(event, policy), fields_of(event)
        return self._wording.put(record, event.reason, text), detail, fields


def _mind(policy: Policy) -> None:
    """Let a policy know what is wanted of it."""
    policy._mind_listeners()
    if policy.kind == "circuit_breaker":
        policy._tells = sum(bit for end, bit in _ENDS.items() if takes(end, policy.kind))


_ASKED = {**_FOR_LISTENERS, "rate_limiter": ("rejection", "adjustment")}


def _sentence(event: Event, policy: Policy) -> str:
    """Return an event in words."""
    who = policy.kind.replace("_", " ")
    if event.name is not None:
        who += f" {name_of(event)!r}"
    if event.kind == "rejection":
        return f"{who} rejected a call ({event.reason})"
    if event.kind == "retry":
        return (
            f"{who} starts attempt {event.new} in {event.retry_after:.3f} s, after {event.reason}"
        )
    if event.kind == "not_retried":
        return f"{who} does not repeat a call for {event.reason}"
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
    if event.kind == "timeout":
        return f"{who} expired"
    if event.kind == "adjustment":
        text = f"{who} changed its rate from {event.old:g} to {event.new:g} ({event.reason})"
        shown = policy.snapshot()
        if shown.average_latency is not None and shown.p95_latency is not None:
            text += f": latency {shown.average_latency:.3g} s, p95 {shown.p95_latency:.3g} s"
        return text
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
        return None
    if isinstance(logger, str) and logger:
        return logging.getLogger(logger)
    if not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
        problems.refuse("logger", logger, "a logger, its name, or None for those of the areas")
    return logger


def _levels_of(
    problems: Problems, levels: Mapping[str, int | str | None] | None, wording: Wording
) -> dict[str, int | None]:
    chosen: dict[str, int | None] = {**LEVELS, **wording.levels}
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
