"""The settings of a circuit breaker, checked and put into the numbers its kernel takes.

Elsewhere: what the rules do (``hf_breaker.h``).
"""

from __future__ import annotations

from holdfast.policies.base import Default
from holdfast.policies.breaker.windows import CountWindow, TimeWindow
from holdfast.validation import MAX_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from holdfast.validation import Problems

__all__ = ["read_recovery", "read_rules"]

MAX_THRESHOLD = 1_000_000
MAX_PROBES = 32
MAX_FACTOR = 1000.0
_NO_WINDOW, _COUNT, _TIME = 0, 1, 2


def read_rules(
    problems: Problems,
    *,
    failure_threshold: int | None,
    failure_rate: float | None,
    window: CountWindow | TimeWindow,
    min_calls: int,
    slow_call_duration: float | timedelta | None,
    slow_call_rate: float | None,
) -> tuple[dict[str, Any], int | None, int]:
    """Check what opens the breaker.

    Returns:
        Keywords for the kernel, and the failure threshold and minimum calls in force.
    """
    rated = failure_rate is not None or slow_call_rate is not None
    if isinstance(failure_threshold, Default):
        failure_threshold = None if rated else int(failure_threshold)
    elif failure_threshold is None and not rated:
        problems.refuse(
            "failure_threshold", None, "an integer, unless failure_rate or slow_call_rate is given"
        )
    threshold = problems.integer(
        "failure_threshold", failure_threshold, least=1, most=MAX_THRESHOLD, none=True
    )
    failing = problems.fraction("failure_rate", failure_rate, zero=False, none=True)
    slow = problems.fraction("slow_call_rate", slow_call_rate, zero=False, none=True)
    slow_ns = problems.duration("slow_call_duration", slow_call_duration, least_ns=1, none=True)
    if slow_call_rate is not None and slow_call_duration is None:
        problems.refuse("slow_call_duration", None, "seconds, since slow_call_rate is given")
    least_calls = _read_min_calls(problems, min_calls, window)
    rules = {
        "failure_threshold": threshold or 0,
        "min_calls": least_calls,
        "failure_rate_ppb": _ppb(failing),
        "slow_rate_ppb": _ppb(slow),
        "slow_ns": slow_ns or 0,
        **_read_window(problems, window, needed=rated),
    }
    return rules, threshold, least_calls


def read_recovery(
    problems: Problems,
    *,
    reset_timeout: float | timedelta,
    reset_backoff: tuple[float, float | timedelta, float] | None,
    half_open_max_calls: int,
    success_threshold: int,
    probe_timeout: float | timedelta | None,
    failure_reset: float | timedelta | None,
) -> dict[str, Any]:
    """Check what closes the breaker again; return keywords for the kernel."""
    reset_ns = problems.duration("reset_timeout", reset_timeout, least_ns=1)
    factor, max_ns, jitter = _read_backoff(problems, reset_backoff, reset_ns)
    probe_ns = problems.duration("probe_timeout", probe_timeout, least_ns=1, none=True)
    forget_ns = problems.duration("failure_reset", failure_reset, least_ns=1, none=True)
    return {
        "half_open_max": problems.integer(
            "half_open_max_calls", half_open_max_calls, least=1, most=MAX_PROBES
        ),
        "success_threshold": problems.integer(
            "success_threshold", success_threshold, least=1, most=MAX_THRESHOLD
        ),
        "reset_ns": reset_ns,
        "reset_max_ns": max_ns,
        "reset_factor": factor,
        "reset_jitter": jitter,
        "probe_ns": -1 if probe_ns is None else probe_ns,
        "failure_reset_ns": forget_ns or 0,
    }


def _read_min_calls(problems: Problems, min_calls: int, window: object) -> int:
    """Never more than a count window holds, or the breaker could never decide."""
    most = window.size if isinstance(window, CountWindow) else MAX_THRESHOLD
    if isinstance(min_calls, Default):
        return min(int(min_calls), most)
    return problems.integer("min_calls", min_calls, least=1, most=most)


def _read_window(problems: Problems, window: object, *, needed: bool) -> dict[str, int]:
    if isinstance(window, CountWindow):
        kind, count, slice_ns = _COUNT, window.size, 0
    elif isinstance(window, TimeWindow):
        kind, count, slice_ns = _TIME, window.slices, window.slice_ns
    else:
        problems.refuse("window", window, "CountWindow(calls) or TimeWindow(seconds)")
        needed = False
        kind = count = slice_ns = 0
    if not needed:
        kind = count = slice_ns = _NO_WINDOW
    return {"window_kind": kind, "window_n": count, "slice_ns": slice_ns}


def _read_backoff(problems: Problems, backoff: object, reset_ns: int) -> tuple[float, int, float]:
    """Return how the open time grows: factor, longest in ns, jitter."""
    if backoff is None:
        return 1.0, 0, 0.0  # unbounded: others may set another open time later
    if not isinstance(backoff, tuple) or len(backoff) != 3:
        problems.refuse("reset_backoff", backoff, "(factor, max seconds, jitter) or None")
        return 1.0, reset_ns, 0.0
    factor, longest, jitter = backoff
    return (
        problems.number("reset_backoff factor", factor, least=1.0, most=MAX_FACTOR),
        problems.duration("reset_backoff max", longest, least_ns=reset_ns, most_ns=MAX_NS),
        problems.fraction("reset_backoff jitter", jitter),
    )


def _ppb(share: float | None) -> int:
    """Parts per billion, so that 7 of 100 is 0.07 exactly; at least one, since 0 means no rule.

    Rounded down, or 2 of 3 would not reach 2/3; the millionth makes up for what a float lacks.
    """
    return 0 if share is None else max(1, int(share * 1e9 + 1e-6))
