"""A pipeline with other policies: which one an option means, and where one goes that was not there.

Elsewhere: what the standard order is for (``standard``), what is unwise (``lint``).
"""

from __future__ import annotations

from holdfast.errors import ConfigError
from holdfast.pipeline.optional import OPTIONAL, class_in, described, is_for
from holdfast.pipeline.standard import read_timeout
from holdfast.pipeline.steps import ATTEMPT, PLACES, TOTAL, flat, places
from holdfast.policies.base import Policy, made_as, made_within, role_of, scope_of
from holdfast.policies.breaker import CircuitBreaker
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.fallback import Fallback
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.retry import Retry
from holdfast.policies.timeout import Timeout
from holdfast.stores.figures import TIMEOUT_ATTEMPT, TIMEOUT_TOTAL
from holdfast.validation import Problems, nearest, shown, titled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from typing import Any

    from holdfast.chaos import Fault
    from holdfast.policies.error_budget import ErrorBudget
    from holdfast.policies.hedge import Hedge
    from holdfast.policies.latency_budget import LatencyBudget
    from holdfast.policies.retry.settings import RetryOptions

    class Options(RetryOptions, total=False):
        """What ``with_options`` takes."""

        error_budget: ErrorBudget | None
        latency_budget: LatencyBudget | None
        fallback: Fallback | None
        total_timeout: Timeout | float | timedelta | None
        retry: Retry | None
        hedge: Hedge | None
        breaker: CircuitBreaker | None
        circuit_breaker: CircuitBreaker | None
        limiter: RateLimiter | None
        rate_limiter: RateLimiter | None
        bulkhead: Bulkhead | None
        attempt_timeout: Timeout | float | timedelta | None
        timeout: Timeout | float | timedelta | None
        chaos: Fault | None


__all__ = ["other_policies"]

# What can be put in each place; ``optional`` knows the others.
CLASSES: dict[str, type[Policy]] = {
    "fallback": Fallback,
    TOTAL: Timeout,
    "retry": Retry,
    "circuit_breaker": CircuitBreaker,
    "rate_limiter": RateLimiter,
    "bulkhead": Bulkhead,
    ATTEMPT: Timeout,
}
_ROLES = {TOTAL: TIMEOUT_TOTAL, ATTEMPT: TIMEOUT_ATTEMPT}  # of timeouts that are made here
RANKS = {place: rank for rank, place in enumerate(PLACES)}
_MAKE_ATTEMPTS = {RANKS["retry"], RANKS["hedge"]}
SHORT = {"breaker": "circuit_breaker", "limiter": "rate_limiter"}
OPTIONS = (*PLACES, *SHORT, "timeout")
OF_RETRY = tuple(field for field in Retry._setting_names if field not in {"clock", "mode"})


def other_policies(
    name: str, policies: tuple[Policy, ...], options: dict[str, Any], scope: str | None = None
) -> list[Policy]:
    """Return the policies of a pipeline with those replaced, added or removed that options name.

    Raises:
        ConfigError: An option is unknown, means more than one policy, or has no policy as value.
    """
    problems = Problems("with_options of Pipeline", name)
    there = places(policies)
    made = {"scope": scope, "name": name, "clock": policies[0]._stopwatch()}
    values = _read(problems, there, options, made)
    problems.done()
    olds = {place: policy for policy, place in there}
    replaced = {id(olds[place]): value for place, value in values.items() if place in olds}
    parts = _replace(policies, replaced)
    ranks = {id(policy): RANKS.get(place, -1) for policy, place in there}
    ranks.update((id(value), RANKS[place]) for place, value in values.items())
    for place in PLACES:
        value = values.get(place)
        if value is not None and place not in olds:
            parts.insert(_position(parts, ranks, place), value)
    return parts


# ---- where policies are ----


def _position(parts: list[Policy], ranks: dict[int, int], place: str) -> int:
    """Return where a policy goes: inside of all that the standard pipeline has outside of it."""
    rank = RANKS[place]
    after = 0
    for at, part in enumerate(parts):
        inner = [ranks[id(policy)] for policy in flat((part,))]
        if place == TOTAL and not _MAKE_ATTEMPTS.isdisjoint(inner):
            return min(after, at)
        if any(0 <= one < rank for one in inner):
            after = at + 1
    return after


def _replace(parts: tuple[Policy, ...], replaced: dict[int, Policy | None]) -> list[Policy]:
    """Return the parts with some replaced or gone, and pipelines with such parts made anew."""
    new: list[Policy] = []
    for part in parts:
        one: Policy | None = replaced.get(id(part), part)
        if one is part and part.kind == "pipeline":
            inner: Any = part
            kept = _replace(inner.policies, replaced)
            if kept != list(inner.policies):
                one = made_within(scope_of(inner), type(inner), inner.name, *kept) if kept else None
        if one is not None:
            new.append(one)
    return new


# ---- what the options mean ----


def _read(
    problems: Problems,
    there: list[tuple[Policy, str]],
    options: dict[str, Any],
    made: dict[str, Any],
) -> dict[str, Policy | None]:
    """Return what is to be in each place that an option names."""
    values: dict[str, Policy | None] = {}
    of_retry = {option: options[option] for option in options if option in OF_RETRY}
    for option, value in options.items():
        if option in of_retry:
            continue
        place = _place_of(problems, there, option, value, made)
        if place is None:
            continue
        olds = [policy for policy, its in there if its == place]
        if place in values:
            words = place.replace("_", " ")
            problems.refuse(option, value, f"one option; two are for the {words}")
        elif len(olds) > 1:
            problems.refuse(
                option, value, f"a pipeline with one such policy; it has {_shown(olds)}"
            )
        else:
            values[place] = _policy(problems, option, value, place, olds, made)
    if of_retry and "retry" in values:
        for option, value in of_retry.items():
            problems.refuse(option, value, "a setting of the retry that is given as retry=")
    elif of_retry:
        values["retry"] = _other_retry(problems, there, of_retry)
    return values


def _other_retry(
    problems: Problems, there: list[tuple[Policy, str]], settings: dict[str, Any]
) -> Policy | None:
    """Return the pipeline's retry with other settings."""
    olds = [policy for policy, _ in there if isinstance(policy, Retry)]
    if len(olds) != 1:
        has = f"it has {_shown(olds)}" if olds else "it has none: give retry=Retry(…)"
        for option, value in settings.items():
            problems.refuse(option, value, f"a pipeline with one retry; {has}")
        return None
    try:
        return olds[0].with_options(**settings)
    except ConfigError as error:
        problems.adopt(error)
        return None


def _place_of(
    problems: Problems,
    there: list[tuple[Policy, str]],
    option: str,
    value: object,
    made: dict[str, Any],
) -> str | None:
    if option == "timeout":
        timeouts = [(policy, place) for policy, place in there if policy.kind == "timeout"]
        if len(timeouts) <= 1:
            return timeouts[0][1] if timeouts else TOTAL
        timed = _shown([policy for policy, _ in timeouts])
        problems.refuse(
            option, value, f"a pipeline with one timeout; it has {timed}: use {TOTAL} or {ATTEMPT}"
        )
        return None
    place = SHORT.get(option, option)
    if place not in PLACES:
        problems.refuse(option, value, _instead_of(option, value, made["name"], there))
        return None
    return place


def _policy(
    problems: Problems,
    option: str,
    value: Any,
    place: str,
    olds: list[Policy],
    made: dict[str, Any],
) -> Policy | None:
    if value is None:
        return None
    cls = CLASSES.get(place)
    if cls is not Timeout:
        if is_for(place, value) or (cls is not None and isinstance(value, cls)):
            return value  # type: ignore[no-any-return]
        problems.refuse(option, value, f"{described(place, cls)}, or None for none")
        return None
    if isinstance(value, Policy):
        return problems.instance(option, value, Timeout, "a Timeout, seconds, or None for none")
    if read_timeout(problems, option, value) is None:
        return None
    if not olds:
        settings = {"name": made["name"], "clock": made["clock"]}
        return made_as(made["scope"], _ROLES[place], Timeout, value, **settings)
    old = olds[0]
    settings = {field: old._setting(field) for field in ("thread", "workers", "clock", "mode")}
    return made_as(scope_of(old), role_of(old), Timeout, value, name=old.name, **settings)


def _instead_of(option: str, value: object, name: str, there: list[tuple[Policy, str]]) -> str:
    """Return what is allowed instead of an option that a pipeline does not have."""
    kinds = [place for _, place in there]
    classes = {place: cls for place in PLACES if (cls := CLASSES.get(place) or class_in(place))}
    having = [
        place
        for place, cls in classes.items()
        if option in cls._setting_names and option not in {"clock", "mode", "value"}
    ]
    # Those of the pipeline come first, then those that every standard pipeline may have.
    having.sort(key=lambda place: (place not in kinds, place in OPTIONAL))
    if having:
        cls, short = classes[having[0]], having[0].removeprefix("circuit_").removeprefix("rate_")
        if cls is Timeout:
            return f"{TOTAL}= or {ATTEMPT}="
        return (
            f"a new policy, since the other pipeline shares the existing ones: "
            f"{short}={cls.__name__}({name!r}, {option}={shown(value)})"
        )
    names = (*OPTIONS, *OF_RETRY)
    return f"an option of a pipeline{nearest(option, names)}; it takes {', '.join(names)}"


def _shown(policies: Sequence[Policy]) -> str:
    return ", ".join(map(titled, policies))
