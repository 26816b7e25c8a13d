"""The names that other systems give to settings, and what they are called here.

A manager takes both. Pure functions: settings in, the arguments of a policy out. Elsewhere: what
the arguments may be (each policy checks its own), and what is registered (``manager``).
"""

from __future__ import annotations

from holdfast.errors import ConfigError
from holdfast.policies.backoff import Exponential
from holdfast.policies.breaker import CircuitBreaker
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.retry import Retry
from holdfast.policies.retry.retry import MAX_ATTEMPTS
from holdfast.policies.timeout.timeout import LEAST_NS, Timeout
from holdfast.validation import Problems, duration_to_ns, nearest, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from holdfast.policies.base import Policy

    Settings = Mapping[str, Any]

__all__ = [
    "adaptive_limiter",
    "breaker",
    "bulkhead",
    "collector_breaker",
    "error_budget",
    "in_words_of",
    "latency_budget",
    "limiter",
    "merged",
    "retry",
    "timeout",
]

# The name elsewhere, and the argument. Both may be given if they say the same.
_BREAKER = {"max_failures": "failure_threshold"}
_RETRY = {"base_delay": "initial_delay", "backoff_factor": "multiplier"}
_LIMITER = {"requests_per_second": "rate", "burst_size": "burst"}
_ADAPTIVE = {"initial_rate": "rate", **_LIMITER}
_BULKHEAD = {"max_queue_size": "max_waiting", "max_wait_time": "max_wait"}
_ERROR_BUDGET = {"time_window": "window"}
_LATENCY_BUDGET = {"target_latency": "target", "max_samples": "samples"}
_TIMEOUT = {"timeout": "duration"}

# A retry's delays in words of their own, which together are an ``Exponential``.
_DELAYS = {
    "initial_delay": "base",
    "max_delay": "max",
    "multiplier": "factor",
    "jitter": "jitter",
    "jitter_mode": "jitter_mode",
}
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0

# What a collector's breaker has where a setting is missing, 0 or less.
_COLLECTOR = {
    "failure_threshold": 5,
    "success_threshold": 3,
    "timeout": 60.0,
    "max_requests": 10,
    "reset_timeout": 300.0,
}


def breaker(settings: Settings, name: object = None) -> tuple[dict[str, Any], Any]:
    """Return the arguments of a ``CircuitBreaker``, and how long a call through it may take.

    With ``max_requests``, the settings are read as ``collector_breaker`` reads them, where
    ``timeout`` and ``reset_timeout`` mean something else.

    Args:
        settings: Arguments of ``CircuitBreaker``, or ``max_failures`` (consecutive failures that
            open it), ``timeout`` or ``operation_timeout`` (seconds that a call may take),
            ``reset_timeout`` (seconds it stays open), ``half_open_max_requests`` (probes at the
            same time, and successes that close it).
        name: What the error calls the breaker.

    Returns:
        The arguments, and the timeout of a call: seconds, a timedelta, or None for no limit.

    Raises:
        ConfigError: A setting does not exist, or two contradict each other.

    >>> breaker({"max_failures": 3, "timeout": 10})
    ({'failure_threshold': 3}, 10)
    """
    if "max_requests" in settings:
        return collector_breaker(settings, name)
    old = {**_BREAKER, "half_open_max_requests": "half_open_max_calls"}
    problems, given = _read(
        CircuitBreaker, settings, name, old, ("timeout", "operation_timeout", "max_requests")
    )
    if "timeout" in given:
        value = given.pop("timeout")
        _agree(
            problems,
            "timeout",
            value,
            "operation_timeout",
            given.setdefault("operation_timeout", value),
        )
    limit = _call_timeout(
        problems, given, "timeout" if "timeout" in settings else "operation_timeout"
    )
    if "half_open_max_requests" in settings:  # one number for both
        given.setdefault("success_threshold", settings["half_open_max_requests"])
    problems.done()
    return given, limit


def collector_breaker(settings: Settings, name: object = None) -> tuple[dict[str, Any], Any]:
    """Return the same for settings in the words of a market-data collector.

    Args:
        settings: ``failure_threshold``, ``success_threshold``, ``timeout`` (seconds it stays open),
            ``max_requests`` (probes at the same time), ``reset_timeout`` (seconds without a failure
            after which failures are forgotten), and the arguments of ``CircuitBreaker`` that have
            other names. One of the five that is missing, 0 or less is 5, 3, 60 s, 10 or 300 s.
        name: What the error calls the breaker.

    Returns:
        The arguments, and ``operation_timeout`` if it is given.

    Raises:
        ConfigError: A setting does not exist, or two contradict each other.

    >>> collector_breaker({"failure_threshold": 50, "max_requests": 16})[0]["reset_timeout"]
    60.0
    """
    problems, given = _read(CircuitBreaker, settings, name, {}, (*_COLLECTOR, *_OTHERS))
    for field in ("max_failures", "half_open_max_requests", "half_open_max_calls", "failure_reset"):
        if field in given:
            problems.refuse(field, given.pop(field), "nothing together with max_requests")
    for field, default in _COLLECTOR.items():
        if _is_unset(given.get(field)):
            given[field] = default
    limit = _call_timeout(problems, given, "operation_timeout")
    given["failure_reset"] = given.pop("reset_timeout")
    given["reset_timeout"] = given.pop("timeout")
    given["half_open_max_calls"] = given.pop("max_requests")
    problems.done()
    return given, limit


_OTHERS = ("operation_timeout", "max_failures", "half_open_max_requests")


def retry(settings: Settings, name: object = None) -> dict[str, Any]:
    """Return the arguments of a ``Retry``.

    Args:
        settings: Arguments of ``Retry``, or ``max_retries`` (the first attempt is no retry),
            ``initial_delay`` or ``base_delay`` (0.1 seconds), ``max_delay`` (10 seconds),
            ``multiplier`` or ``backoff_factor`` (2), ``jitter`` (True: up to a tenth is added),
            ``jitter_mode`` (see ``Exponential``). ``on`` is ``(Exception,)`` if it is not given.
        name: What the error calls the retry.

    Raises:
        ConfigError: A setting does not exist, is out of range, or contradicts another.

    >>> retry({"max_retries": 3, "base_delay": 0.05, "max_delay": 5})["backoff"]
    Exponential(0.05, factor=2, max=5, jitter=0.1)
    """
    problems, given = _read(Retry, settings, name, _RETRY, ("max_retries", *_DELAYS))
    if "max_retries" in given:
        retries = problems.integer(
            "max_retries", given.pop("max_retries"), least=0, most=MAX_ATTEMPTS - 1
        )
        if given.setdefault("attempts", retries + 1) != retries + 1:
            problems.refuse(
                "max_retries", retries, f"one less than attempts, {shown(given['attempts'])}"
            )
    delays = {field: given.pop(field) for field in _DELAYS if field in given}
    if delays and given.get("backoff") is not None:
        spelled = _spelled(settings, _RETRY)
        for field, value in delays.items():
            problems.refuse(
                spelled[field], value, f"nothing together with backoff, {given['backoff']!r}"
            )
    elif delays:
        given["backoff"] = _exponential(problems, delays, _spelled(settings, _RETRY))
    given.setdefault("on", (Exception,))
    problems.done()
    return given


def limiter(settings: Settings, name: object = None) -> dict[str, Any]:
    """Return the arguments of a ``RateLimiter``.

    Args:
        settings: Its arguments; ``requests_per_second`` is ``rate``, ``burst_size`` is ``burst``.
        name: What the error calls the limiter.

    Raises:
        ConfigError: A setting does not exist, or two contradict each other.
    """
    return _renamed(RateLimiter, settings, name, _LIMITER)


def adaptive_limiter(settings: Settings, name: object = None) -> dict[str, Any]:
    """Return the arguments of an ``AdaptiveRateLimiter``.

    Args:
        settings: Its arguments; ``initial_rate`` is ``rate``.
        name: What the error calls the limiter.

    Raises:
        ConfigError: A setting does not exist, or two contradict each other.
    """
    from holdfast.policies.limiter.adaptive import AdaptiveRateLimiter

    return _renamed(AdaptiveRateLimiter, settings, name, _ADAPTIVE)


def bulkhead(settings: Settings, name: object = None) -> dict[str, Any]:
    """Return the arguments of a ``Bulkhead``.

    Args:
        settings: Its arguments; ``max_queue_size`` is ``max_waiting``, ``max_wait_time`` is
            ``max_wait``.
        name: What the error calls the bulkhead.

    Raises:
        ConfigError: A setting does not exist, or two contradict each other.
    """
    return _renamed(Bulkhead, settings, name, _BULKHEAD)


def timeout(settings: Settings, name: object = None) -> dict[str, Any]:
    """Return the arguments of a ``Timeout``; ``timeout`` is ``duration``.

    Raises:
        ConfigError: A setting does not exist, or two contradict each other.
    """
    return _renamed(Timeout, settings, name, _TIMEOUT)


def error_budget(settings: Settings, name: object = None) -> dict[str, Any]:
    """Return the arguments of an ``ErrorBudget``; ``time_window`` is ``window``.

    Raises:
        ConfigError: A setting does not exist, or two contradict each other.
    """
    from holdfast.policies.error_budget import ErrorBudget

    return _renamed(ErrorBudget, settings, name, _ERROR_BUDGET)


def latency_budget(settings: Settings, name: object = None) -> dict[str, Any]:
    """Return the arguments of a ``LatencyBudget``.

    Args:
        settings: Its arguments; ``target_latency`` is ``target``, ``max_samples`` is ``samples``.
        name: What the error calls the budget.

    Raises:
        ConfigError: A setting does not exist, or two contradict each other.
    """
    from holdfast.policies.latency_budget import LatencyBudget

    return _renamed(LatencyBudget, settings, name, _LATENCY_BUDGET)


def merged(kind: str, settings: Settings, changes: Settings) -> dict[str, Any]:
    """Return settings of which some are replaced, under whichever name they were given.

    Args:
        kind: What is registered: "circuit_breakers", "retry_policies" …
        settings: The settings.
        changes: Those that replace them.

    Raises:
        ConfigError: The two give ``timeout`` and ``reset_timeout`` of a breaker opposite meanings.

    >>> merged("circuit_breakers", {"max_failures": 5, "timeout": 30}, {"failure_threshold": 3})
    {'timeout': 30, 'failure_threshold': 3}
    """
    if kind == "circuit_breakers" and settings and "max_requests" in {*changes} - {*settings}:
        problems = Problems()
        problems.refuse(
            "max_requests",
            changes["max_requests"],
            "half_open_max_calls, because timeout and reset_timeout would change their meaning",
        )
        problems.done()
    own = _WORDS.get(kind, {})
    said = {own.get(field, field) for field in changes}
    if kind == "retry_policies":  # a back-off, or its delays one by one
        if "backoff" in said:
            said.update(_DELAYS)
        elif not said.isdisjoint(_DELAYS):
            said.add("backoff")
    if "max_requests" in settings:
        own = {}
    kept = {field: value for field, value in settings.items() if own.get(field, field) not in said}
    return {**kept, **changes}


def in_words_of(kind: str, settings: Settings, error: ConfigError) -> ConfigError:
    """Return an error of a policy's constructor that names the settings as the user did.

    Args:
        kind: The kind of the policy: "circuit_breaker", "retry" …
        settings: The settings, as they were given.
        error: What the class said of the arguments that were made of them.

    >>> error = ConfigError("breaker: failure_threshold: got 0", ["failure_threshold: got 0"])
    >>> str(in_words_of("circuit_breaker", {"max_failures": 0}, error))
    'breaker: max_failures: got 0'
    """
    words = _WORDS.get("retry_policies" if kind == "retry" else f"{kind}s", {})
    if kind == "circuit_breaker" and "max_requests" in settings:
        words = _COLLECTORS_WORDS
    said = {own: field for field, own in words.items() if field in settings}
    text, problems = str(error), []
    for problem in error.problems:
        problems.append(_reworded(problem, said))
        text = text.replace(problem, problems[-1], 1)
    return ConfigError(text, problems)


# What two words for one setting have in common, by what is registered.
_WORDS: dict[str, dict[str, str]] = {
    "circuit_breakers": {
        **_BREAKER,
        "half_open_max_requests": "half_open_max_calls",
        "timeout": "operation_timeout",
    },
    "retry_policies": {**_RETRY, "max_retries": "attempts"},
    "rate_limiters": _LIMITER,
    "adaptive_rate_limiters": _ADAPTIVE,
    "bulkheads": _BULKHEAD,
    "timeouts": _TIMEOUT,
    "error_budgets": _ERROR_BUDGET,
    "latency_budgets": _LATENCY_BUDGET,
}

_COLLECTORS_WORDS = {
    "timeout": "reset_timeout",
    "max_requests": "half_open_max_calls",
    "reset_timeout": "failure_reset",
}

# ---- how ----


def _renamed(
    cls: type[Policy], settings: Settings, name: object, old: Mapping[str, str]
) -> dict[str, Any]:
    problems, given = _read(cls, settings, name, old)
    problems.done()
    return given


def _read(
    cls: type[Policy],
    settings: Settings,
    name: object,
    old: Mapping[str, str],
    others: Sequence[str] = (),
) -> tuple[Problems, dict[str, Any]]:
    """Return the settings under the names of today; note those that nobody knows.

    Args:
        cls: The class whose arguments they become.
        settings: What was given.
        name: What the error calls the policy.
        old: Names that only are other words for another.
        others: Names that mean something else than one argument.
    """
    problems = Problems(cls.__name__) if name is None else Problems(cls.__name__, name)
    known = tuple(dict.fromkeys((*cls._setting_names, *old, *others)))
    given: dict[str, Any] = {}
    for field, value in settings.items():
        if field not in known:
            allowed = f"a setting that exists{nearest(field, known)}; it takes {', '.join(known)}"
            problems.refuse(str(field), value, allowed)
        elif field not in old:
            given[field] = value
    for field, own in old.items():
        if field in settings:
            given.setdefault(own, settings[field])
            _agree(problems, field, settings[field], own, given[own])
    return problems, given


def _agree(problems: Problems, field: str, value: Any, other: str, its: Any) -> None:
    """Two words for the same setting say the same, or neither is believed."""
    if value is not its and (type(value) is bool or type(its) is bool or value != its):
        problems.refuse(field, value, f"the same as {other}, {shown(its)}, or only one of the two")


def _spelled(settings: Settings, old: Mapping[str, str]) -> dict[str, str]:
    """Return how the user spelled each delay."""
    return {
        **{field: field for field in _DELAYS},
        **{own: field for field, own in old.items() if field in settings},
    }


def _call_timeout(problems: Problems, given: dict[str, Any], field: str) -> Any:
    """Take out how long a call may take, which the user called ``field``; None for no limit."""
    limit = given.pop("operation_timeout", None)
    return None if problems.wait(field, limit, least_ns=LEAST_NS) is None else limit


def _exponential(
    problems: Problems, delays: dict[str, Any], spelled: Mapping[str, str]
) -> Exponential | None:
    first = delays.setdefault("initial_delay", _FIRST_DELAY)
    if "max_delay" not in delays:
        is_longer = (duration_to_ns(first) or 0) > _LONGEST_DELAY * 1e9
        delays["max_delay"] = first if is_longer else _LONGEST_DELAY
    try:
        return Exponential(
            **{own: delays[field] for field, own in _DELAYS.items() if field in delays}
        )
    except ConfigError as error:
        words = {own: spelled[field] for field, own in _DELAYS.items()}
        problems.adopt(ConfigError("", [_reworded(one, words) for one in error.problems]))
        return None


def _reworded(problem: str, words: Mapping[str, str]) -> str:
    """Return a problem under the name that the user gave the setting."""
    field, colon, rest = problem.partition(":")
    return words.get(field, field) + colon + rest


def _is_unset(value: object) -> bool:
    if value is None:
        return True
    ns = duration_to_ns(value)
    return ns is not None and ns <= 0
