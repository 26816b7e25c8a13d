"""The standard pipeline: which policies it consists of, in which order, and what must fit together.

The shape and its two cross-checks are those of Microsoft.Extensions.Http.Resilience, the order of
the inner ones resilience4j's. Elsewhere: what each policy allows by itself, which it says itself.
"""

from __future__ import annotations

from functools import cache

from holdfast.errors import ConfigError
from holdfast.policies.backoff import Exponential
from holdfast.policies.base import Policy
from holdfast.policies.breaker import CircuitBreaker, TimeWindow
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.fallback import Fallback
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.retry import Retry
from holdfast.policies.timeout.timeout import LEAST_NS, Timeout
from holdfast.validation import Problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any, TypeVar

    P = TypeVar("P", bound=Policy)

__all__ = ["NOT_GIVEN", "NotGiven", "read_timeout", "standard_policies", "window_in_use"]

ATTEMPT_SECONDS = 10.0  # where nobody says how long an attempt may take
WINDOW = TimeWindow(30.0)
WINDOW_TO_ATTEMPT = 2  # how many attempts in a row the breaker's window has room for, at least


class NotGiven:
    """The default of an argument for which None is a value like any other."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN = NotGiven()


@cache
def default_backoff() -> Exponential:
    """Return the back-off of all standard pipelines that are given none: it has no state."""
    return Exponential(0.2, max=10, jitter_mode="full")


def standard_policies(
    name: str,
    *,
    total_timeout: float | timedelta | None,
    attempts: int,
    attempt_timeout: float | timedelta | NotGiven | None,
    max_concurrent: int,
    rate: float | RateLimiter | None,
    fallback: Any,
    breaker: CircuitBreaker | None,
    **others: Any,  # of the retry, and of all: clock and mode
) -> list[Policy]:
    """Return the policies of ``Pipeline.standard``, of which these are the arguments.

    Raises:
        ConfigError: Naming every argument that is not as it should be, or does not go with others.
    """
    problems = Problems("Pipeline.standard", name)
    common = {field: others.pop(field) for field in ("clock", "mode")}
    if others["backoff"] is None:
        others["backoff"] = default_backoff()
    total_ns = read_timeout(problems, "total_timeout", total_timeout)
    if isinstance(attempt_timeout, NotGiven):
        attempt_timeout = (
            ATTEMPT_SECONDS if total_ns is None else min(ATTEMPT_SECONDS, total_ns / 1e9)
        )
    attempt_ns = read_timeout(problems, "attempt_timeout", attempt_timeout)
    _check_attempt(problems, attempt_timeout, attempt_ns, total_ns)
    _check_window(problems, breaker, attempt_timeout, attempt_ns)
    policies = (
        _fallback(problems, name, fallback, common),
        _timeout(name, total_timeout, total_ns, problems, common),
        _made(problems, Retry, name, attempts=attempts, **others, **common),
        _breaker(problems, name, breaker, common),
        _limiter(problems, name, rate, common),
        _made(problems, Bulkhead, name, max_concurrent=max_concurrent, **common),
        _timeout(name, attempt_timeout, attempt_ns, problems, common),
    )
    _check_backoff(problems, policies[2], total_ns)
    problems.done()
    return [policy for policy in policies if policy is not None]


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
    if isinstance(fallback, Policy):
        problems.refuse("fallback", fallback, "a value, a function of the exception, or a Fallback")
        return None
    return _made(problems, Fallback, fallback, name=name, **common)


def _timeout(
    name: str,
    duration: float | timedelta | None,
    duration_ns: int | None,
    problems: Problems,
    common: dict[str, Any],
) -> Timeout | None:
    if duration is None or duration_ns is None:
        return None
    return _made(problems, Timeout, duration, name=name, **common)


def _breaker(
    problems: Problems, name: str, breaker: CircuitBreaker | None, common: dict[str, Any]
) -> CircuitBreaker | None:
    if breaker is not None:
        return problems.instance("breaker", breaker, CircuitBreaker, "a CircuitBreaker, or None")
    return _made(
        problems,
        CircuitBreaker,
        name,
        failure_rate=0.1,
        window=WINDOW,
        min_calls=100,
        reset_timeout=5.0,
        **common,
    )


def _limiter(
    problems: Problems, name: str, rate: float | RateLimiter | None, common: dict[str, Any]
) -> RateLimiter | None:
    if rate is None or isinstance(rate, RateLimiter):
        return rate
    return _made(problems, RateLimiter, name, rate=rate, **common)


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


def _check_attempt(
    problems: Problems, attempt_timeout: object, attempt_ns: int | None, total_ns: int | None
) -> None:
    if attempt_ns is not None and total_ns is not None and attempt_ns > total_ns:
        problems.refuse(
            "attempt_timeout",
            attempt_timeout,
            f"at most total_timeout, {total_ns / 1e9:g} s, or None",
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
    problems: Problems,
    breaker: CircuitBreaker | None,
    attempt_timeout: object,
    attempt_ns: int | None,
) -> None:
    """An attempt that takes all its time must not have left the window before it is judged."""
    window = WINDOW if breaker is None else window_in_use(breaker)
    if attempt_ns is None or window is None:
        return
    least = WINDOW_TO_ATTEMPT * attempt_ns / 1e9
    if window.seconds >= least:
        return
    longest = window.seconds / WINDOW_TO_ATTEMPT
    if breaker is None:
        problems.refuse(
            "attempt_timeout",
            attempt_timeout,
            f"at most {longest:g} s, half of the breaker's {window!r}; for longer attempts give "
            f"breaker= with a window of at least {least:g} s",
        )
    else:
        problems.refuse(
            "breaker",
            breaker,
            f"a window of at least {least:g} s, twice attempt_timeout, where it has {window!r}; "
            f"or an attempt_timeout of at most {longest:g} s",
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
