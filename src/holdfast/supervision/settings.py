"""The settings of a component, as ``Supervisor.add`` takes them: checked, and in nanoseconds.

Elsewhere: what they mean (``course``).
"""

from __future__ import annotations

import signal as signals
from collections.abc import Mapping

from holdfast.events import warn
from holdfast.policies.backoff import Exponential
from holdfast.policies.backoff.formulas import read_backoff
from holdfast.supervision.course import ACTIONS, RESTARTS, Rules
from holdfast.validation import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, Literal, TypeAlias

    from holdfast.policies.backoff import Backoff
    from holdfast.validation import Problems

    Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
    Action: TypeAlias = Literal["restart", "restart_now", "finish", "give_up", "escalate"]

__all__ = ["BACKOFF", "DEFAULT", "LEAST_NS", "read_needs", "read_rules"]

LEAST_NS = 1_000_000
BACKOFF = Exponential(1.0, factor=2, max=4.0, jitter=False)  # 1, 2 and 4 s
_MOST_ATTEMPTS = 1_000_000
_FALLBACK_NS = 1_000_000_000
_ON_EXIT = "a dict of exit codes (int) and signals (signal.Signals) to actions"


class _Default:
    """Stands for the setting of the supervisor."""

    def __repr__(self) -> str:
        return "<that of the supervisor>"


DEFAULT: Any = _Default()


def read_rules(
    problems: Problems,
    *,
    restart: str,
    backoff: Backoff | float | timedelta,
    attempts: int,
    first_delay: float | timedelta | None,
    on_exit: Mapping[Any, str] | None,
    start_timeout: float | timedelta,
    stop_timeout: float | timedelta,
    healthy_after: float | timedelta,
    cool_down_ns: int | None,
    has_check: bool,
) -> Rules:
    """Return the rules for a component; what is wrong is noted in ``problems``."""
    kept = read_backoff(problems, "backoff", backoff)
    first_ns = problems.duration("first_delay", first_delay, none=True)
    return Rules(
        restart=problems.choice("restart", restart, RESTARTS),
        delay_ns=_delays(kept or BACKOFF, first_ns),
        attempts=problems.integer("attempts", attempts, least=1, most=_MOST_ATTEMPTS),
        on_exit=_read_on_exit(problems, on_exit),
        start_timeout_ns=problems.duration("start_timeout", start_timeout, least_ns=LEAST_NS),
        stop_timeout_ns=problems.duration("stop_timeout", stop_timeout, least_ns=LEAST_NS),
        healthy_after_ns=problems.duration("healthy_after", healthy_after),
        cool_down_ns=cool_down_ns,
        has_check=has_check,
    )


def read_needs(problems: Problems, depends_on: object) -> tuple[str, ...]:
    """Return the names of what a component depends on."""
    allowed = "a list of names of components"
    if isinstance(depends_on, str):
        problems.refuse("depends_on", depends_on, f"{allowed}, as [{shown(depends_on)}]")
        return ()
    try:
        names = tuple(dict.fromkeys(depends_on))  # type: ignore[call-overload]
    except TypeError:
        problems.refuse("depends_on", depends_on, allowed)
        return ()
    return tuple(problems.name(one, f"depends_on[{n}]") for n, one in enumerate(names))


def _delays(backoff: Backoff, first_ns: int | None) -> Callable[[int, int], int]:
    def delay_ns(attempt: int, previous_ns: int) -> int:
        if attempt == 1 and first_ns is not None:
            return first_ns
        try:
            return backoff._delay_ns(attempt - 1, -1 if attempt == 1 else previous_ns)
        except Exception as error:  # noqa: BLE001 - of the user's; the component comes back later
            warn("back-off %s raised %r: the delay is 1 s", shown(backoff), error)
            return _FALLBACK_NS

    return delay_ns


def _read_on_exit(problems: Problems, on_exit: Any) -> dict[tuple[bool, int | None], str]:
    if on_exit is None:
        return {}
    if not isinstance(on_exit, Mapping):
        problems.refuse("on_exit", on_exit, _ON_EXIT)
        return {}
    kept: dict[tuple[bool, int | None], str] = {}
    for end, action in on_exit.items():
        if isinstance(end, bool) or not isinstance(end, int):
            problems.refuse("on_exit", end, _ON_EXIT)
            continue
        is_signal = isinstance(end, signals.Signals)
        kept[is_signal, int(end)] = problems.choice(f"on_exit[{end!r}]", action, ACTIONS)
    return kept
