"""The standard pipeline: which policies it consists of, in which order, and what must fit together.

The shape and its two cross-checks are those of Microsoft.Extensions.Http.Resilience, the order of
the inner ones resilience4j's. What the user gives stays as it is; the other defaults adapt to it.
Elsewhere: what each policy allows by itself, which it says itself.
"""

from __future__ import annotations

from functools import lru_cache, partial, wraps

from holdfast.errors import ConfigError, DeadlineExceededError
from holdfast.policies.backoff import Exponential
from holdfast.policies.backoff.formulas import read_backoff
from holdfast.policies.base import Default, Policy, made_for
from holdfast.policies.breaker import CircuitBreaker, TimeWindow
from holdfast.policies.breaker.windows import MOST_NS as LONGEST_WINDOW_NS
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.fallback import Fallback
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.retry import Retry
from holdfast.policies.retry.retry import MAX_ATTEMPTS
from holdfast.policies.timeout.timeout import LEAST_NS, Timeout
from holdfast.stores.figures import TIMEOUT_ATTEMPT, TIMEOUT_TOTAL
from holdfast.validation import MAX_NS, Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, TypeVar

    from holdfast.policies.breaker.settings import BreakerOptions

    P = TypeVar("P", bound=Policy)

__all__ = [
    "NOT_GIVEN",
    "DefaultSeconds",
    "NotGiven",
    "read_timeout",
    "standard_policies",
    "window_in_use",
]

TOTAL_SECONDS = 30.0
ATTEMPT_SECONDS = 10.0
WINDOW_SECONDS = 30.0
PROBE_SECONDS = 30.0
BASE_SECONDS = 0.2  # of the back-off
WINDOW_TO_ATTEMPT = 2  # how many attempts in a row the breaker's window has room for, at least
TOTAL_TO_BASE = 10  # how many of the shortest pauses fit into the total timeout, at least
# The breaker of those that are given none.
BREAKER = {"failure_rate": 0.1, "min_calls": Default(100), "reset_timeout": 5.0}


class NotGiven:
    """The default of an argument for which None is a value like any other."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<not given>"


class DefaultSeconds(float):
    """A default duration that can be told from the same number given by the caller."""


NOT_GIVEN = NotGiven()


# What has no state is made once for all pipelines that have it by default.


@lru_cache(64)
def default_backoff(base: float) -> Exponential:
    """Return the back-off of standard pipelines that are given none."""
    return Exponential(base, max=10, jitter_mode="full")


@lru_cache(64)
def default_window(seconds: float) -> TimeWindow:
    """Return the window of breakers that are given none."""
    return TimeWindow(min(seconds, LONGEST_WINDOW_NS / 1e9))


def standard_policies(
    name: str,
    *,
    total_timeout: float | timedelta | None,
    attempts: int | None,
    attempt_timeout: float | timedelta | None,
    max_concurrent: int | None,
    rate: float | str | RateLimiter | None,
    fallback: Any,
    on: Any,
    ignore: Any,
    on_result: Any,
    backoff: Any,
    breaker: CircuitBreaker | BreakerOptions | NotGiven | None,
    optional: dict[str, Any],
    clock: Any,
    mode: Any,
    **others: Any,  # of the retry
) -> list[Policy]:
    """Return the policies of ``Pipeline.standard``, of which these are the arguments.

    ``optional`` are those by the names of their places.

    Raises:
        ConfigError: Naming every argument that is not as it should be, or does not go with others.
    """
    problems = Problems("Pipeline.standard", name)
    common = {"clock": clock, "mode": mode}
    total = _Duration(problems, "total_timeout", total_timeout)
    attempt = _Duration(problems, "attempt_timeout", attempt_timeout)
    if backoff is not None:
        backoff = read_backoff(problems, "backoff", backoff)
    own = _read_breaker(problems, breaker)
    judged = {"on": on, "ignore": ignore, "on_result": on_result}
    window = _given_window(breaker, own)
    pause_ns = 0 if backoff is None else backoff._least_ns(0)
    _adapt_attempt(attempt, total, window, attempts, pause_ns)
    _adapt_total(total, attempt, attempts, pause_ns)
    _check_attempt(problems, attempt, total)
    _check_window(problems, breaker, window, attempt)
    if backoff is None:
        backoff = _default_backoff(total)
    if attempts is None:
        others["max_time"] = total.seconds
        if total.ns is None:
            allowed = f"an integer from 1 to {MAX_ATTEMPTS}, or None with a total_timeout"
            problems.refuse("attempts", attempts, allowed)
            attempts = 1
    outermost = (
        _fallback(problems, name, fallback, common),
        _timeout(name, total, problems, common, TIMEOUT_TOTAL),
    )
    settings = {"attempts": attempts, "backoff": backoff, **judged, **others, **common}
    retry = _made(problems, Retry, name, **settings)
    if breaker is not None and not isinstance(breaker, CircuitBreaker):
        if retry is None:
            judged = {}  # what is wrong with it is known by now
        else:
            judged["on"] = _failures(retry._setting("on"), attempt)
        breaker = _breaker(problems, name, own, judged, attempt, common)
    innermost = (
        _limiter(problems, name, rate, common),
        None
        if max_concurrent is None
        else _made(problems, Bulkhead, name, max_concurrent=max_concurrent, **common),
        _timeout(name, attempt, problems, common, TIMEOUT_ATTEMPT),
    )
    made = _optional(problems, name, optional, retry, attempt, common)
    _check_backoff(problems, retry, total.ns)
    problems.done()
    budgets, hedge = (made.get("error_budget"), made.get("latency_budget")), made.get("hedge")
    policies = *budgets, *outermost, retry, hedge, breaker, *innermost, made.get("chaos")
    return [policy for policy in policies if policy is not None]


# ---- durations, given or not ----


class _Duration:
    """A timeout as it was given, or a default that may adapt."""

    __slots__ = ("field", "given", "ns", "value")

    def __init__(self, problems: Problems, field: str, value: Any) -> None:
        self.field = field
        self.given = not isinstance(value, DefaultSeconds)
        self.value = value if self.given else float(value)
        self.ns = read_timeout(problems, field, value)

    @property
    def seconds(self) -> float | None:
        """Seconds, or None for no limit."""
        return None if self.ns is None else self.ns / 1e9

    def adapt(self, ns: int) -> None:
        """Have another default instead."""
        self.ns, self.value = ns, ns / 1e9


def _given_window(breaker: object, own: dict[str, Any]) -> TimeWindow | None:
    """Return the time over which a breaker takes a rate, where the user has chosen it."""
    rates = own.get("failure_rate", BREAKER["failure_rate"]), own.get("slow_call_rate")
    window = own.get("window")
    if isinstance(window, TimeWindow) and rates != (None, None):
        return window
    return window_in_use(breaker)


# A total timeout leaves time for two attempts, or no attempt that hangs would be tried again.


def _adapt_attempt(
    attempt: _Duration, total: _Duration, window: TimeWindow | None, attempts: object, pause_ns: int
) -> None:
    """A default attempt timeout fits into the total timeout and the breaker's window."""
    if attempt.given:
        return
    ns = round(ATTEMPT_SECONDS * 1e9)
    if total.given and total.ns is not None:
        ns = min(ns, total.ns if attempts == 1 else (total.ns - pause_ns) // 2)
    if window is not None:
        ns = min(ns, round(window.seconds * 1e9) // WINDOW_TO_ATTEMPT)
    attempt.adapt(max(ns, LEAST_NS))


def _adapt_total(total: _Duration, attempt: _Duration, attempts: object, pause_ns: int) -> None:
    """A default total timeout has room for the attempts and the shortest pause between them."""
    if total.given:
        return
    ns = round(ATTEMPT_SECONDS * 1e9) if attempt.ns is None else attempt.ns
    if attempts != 1:
        ns = 2 * ns + pause_ns
    total.adapt(min(max(round(TOTAL_SECONDS * 1e9), ns), MAX_NS))


def _default_backoff(total: _Duration) -> Exponential:
    seconds = total.seconds
    return default_backoff(
        BASE_SECONDS if seconds is None else min(BASE_SECONDS, seconds / TOTAL_TO_BASE)
    )


# ---- the parts ----


def _made(problems: Problems, make: Callable[..., P], *args: Any, **settings: Any) -> P | None:
    """Make a policy; what is wrong with its settings is wrong with the pipeline's."""
    try:
        return make(*args, **settings)
    except ConfigError as error:
        problems.adopt(error)
        return None


def _fallback(
    problems: Problems, name: str, fallback: Any, common: dict[str, Any]
) -> Fallback | None:
    if isinstance(fallback, (Fallback, NotGiven)):
        return fallback if isinstance(fallback, Fallback) else None
    is_class = isinstance(fallback, type) and issubclass(fallback, Policy)
    if isinstance(fallback, Policy) or is_class:
        problems.refuse("fallback", fallback, "a value, a function of the exception, or a Fallback")
        return None
    return _made(problems, Fallback, fallback, name=name, **common)


def _optional(
    problems: Problems,
    name: str,
    given: dict[str, Any],
    retry: Retry | None,
    attempt: _Duration,
    common: dict[str, Any],
) -> dict[str, Policy | None]:
    """Return the policies that are asked for, by their places."""
    given = {place: value for place, value in given.items() if value is not None}
    if not given:
        return {}
    from holdfast.pipeline.optional import optional_policies, shared_with

    defaults = {}
    if retry is not None:
        defaults = shared_with(retry, _failures(retry._setting("on"), attempt))
    make = partial(_made, problems)
    return optional_policies(problems, make, name, given, defaults, common)


def _timeout(
    name: str, duration: _Duration, problems: Problems, common: dict[str, Any], role: int
) -> Timeout | None:
    if duration.ns is None:
        return None
    make = partial(made_for, role, Timeout)
    return _made(problems, make, duration.value, name=name, **common)


def _read_breaker(problems: Problems, breaker: Any) -> dict[str, Any]:
    """Return the settings of the breaker that were given one by one."""
    if breaker is None or isinstance(breaker, (CircuitBreaker, NotGiven)):
        return {}
    if not isinstance(breaker, dict):
        problems.refuse("breaker", breaker, "a CircuitBreaker, or a dict of its settings, or None")
        return {}
    from holdfast.pipeline.optional import read_settings

    return read_settings(problems, "breaker", breaker, CircuitBreaker)


def _breaker(
    problems: Problems,
    name: str,
    own: dict[str, Any],
    judged: dict[str, Any],
    attempt: _Duration,
    common: dict[str, Any],
) -> CircuitBreaker | None:
    settings: dict[str, Any] = {**BREAKER, **common, **judged}
    if own.get("is_failure") is not None:
        settings.pop("on_result", None)  # it judges results as well
    seconds = attempt.seconds
    if seconds is not None:
        settings["probe_timeout"] = max(PROBE_SECONDS, seconds)
    window = WINDOW_SECONDS if seconds is None else max(WINDOW_SECONDS, 2 * seconds)
    settings["window"] = default_window(window)
    return _made(problems, CircuitBreaker, name, **{**settings, **own})


def _failures(on: Any, attempt: _Duration) -> Any:
    """Return what counts as a failure: what ``on`` names, and attempts that take too long."""
    if attempt.ns is None:
        return on
    if not callable(on):
        several = on if isinstance(on, tuple) else (on,)
        return on if any(map(_names_timeouts, several)) else (*several, DeadlineExceededError)

    @wraps(on)
    def fails(error: Exception) -> object:
        return isinstance(error, DeadlineExceededError) or on(error)

    return fails


def _names_timeouts(one: object) -> bool:
    return issubclass(DeadlineExceededError, one) if isinstance(one, type) else one == "transient"


def _limiter(
    problems: Problems, name: str, rate: float | str | RateLimiter | None, common: dict[str, Any]
) -> RateLimiter | None:
    if rate is None or isinstance(rate, RateLimiter):
        return rate
    if not isinstance(rate, (str, dict, Policy)):
        return _made(problems, RateLimiter, name, rate=rate, **common)
    try:
        if isinstance(rate, str):
            return RateLimiter(name, limits=rate, **common)
    except ConfigError as error:
        if "limits: " not in str(error):
            problems.adopt(error)
            return None
    problems.refuse(
        "rate",
        rate,
        'a number per second, limits like "10/second;100/minute", a RateLimiter, '
        "or an AdaptiveRateLimiter",
    )
    return None


# ---- what must fit together ----


def read_timeout(problems: Problems, field: str, value: float | timedelta | None) -> int | None:
    """Return a timeout in nanoseconds; None for none, and for one that was refused."""
    own = Problems()
    ns = own.wait(field, value, least_ns=LEAST_NS)
    try:
        own.done()
    except ConfigError as error:
        problems.adopt(error)
        return None
    return ns


def _check_attempt(problems: Problems, attempt: _Duration, total: _Duration) -> None:
    if attempt.ns is not None and total.ns is not None and attempt.ns > total.ns:
        problems.refuse(
            "attempt_timeout", attempt.value, f"at most total_timeout, {total.ns / 1e9:g} s"
        )


def _check_backoff(problems: Problems, retry: Retry | None, total_ns: int | None) -> None:
    if retry is None or total_ns is None or retry._setting("attempts") == 1:
        return
    least_ns = retry.backoff._least_ns(0)
    if least_ns >= total_ns:
        problems.refuse(
            "backoff",
            retry.backoff,
            f"a first delay shorter than total_timeout, {total_ns / 1e9:g} s, or attempts=1",
        )


def _check_window(
    problems: Problems, breaker: Any, window: TimeWindow | None, attempt: _Duration
) -> None:
    """An attempt that takes all its time must not have left the window before it is judged."""
    if attempt.ns is None or window is None:
        return
    least = WINDOW_TO_ATTEMPT * attempt.ns
    if round(window.seconds * 1e9) >= least:
        return
    longest = window.seconds / WINDOW_TO_ATTEMPT
    given = isinstance(breaker, CircuitBreaker)
    problems.refuse(
        "breaker" if given else "breaker['window']",
        breaker if given else window,
        f"a window of at least {least / 1e9:g} s, twice attempt_timeout"
        f"{f', where it has {window!r}' if given else ''}; or an attempt_timeout of at most "
        f"{longest:g} s",
    )


def window_in_use(breaker: object) -> TimeWindow | None:
    """Return the time that a breaker takes a rate over; None without a rate, or by count."""
    if not isinstance(breaker, CircuitBreaker):
        return None
    rated = breaker._setting("failure_rate") is not None
    if not rated and breaker._setting("slow_call_rate") is None:
        return None
    window = breaker._setting("window")
    return window if isinstance(window, TimeWindow) else None
