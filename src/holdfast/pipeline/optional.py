"""Policies that a standard pipeline has only when they are asked for: budgets, hedge, chaos.

Imported when one of them is given, or settings of a breaker, or by ``with_options``, because
``import holdfast`` loads none of their modules. Elsewhere: their places (``steps``).
"""

from __future__ import annotations

from holdfast.pipeline.steps import place_of
from holdfast.policies.base import Policy, read_on_result
from holdfast.validation import Problems, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.policies.retry import Retry

__all__ = [
    "OPTIONAL",
    "class_in",
    "described",
    "is_for",
    "optional_policies",
    "read_settings",
    "shared_with",
]

OPTIONAL = ("error_budget", "latency_budget", "hedge", "chaos")


def class_in(place: str) -> type[Policy] | None:
    """Return the class of the policies in one of these places; None for several classes."""
    if place == "error_budget":
        from holdfast.policies.error_budget import ErrorBudget

        return ErrorBudget
    if place == "latency_budget":
        from holdfast.policies.latency_budget import LatencyBudget

        return LatencyBudget
    if place == "hedge":
        from holdfast.policies.hedge import Hedge

        return Hedge
    return None


def shared_with(retry: Retry, failures: Any) -> dict[str, dict[str, Any]]:
    """Return the settings of these policies that follow from the retry of the same pipeline.

    Args:
        retry: The retry, whose budget hedges share.
        failures: The exceptions that are failures of an attempt, as ``on`` of a policy.
    """
    ignore, on_result = retry._setting("ignore"), retry._setting("on_result")
    return {
        "error_budget": {"ignore": ignore, "is_failure": _fails_as(on_result)},
        "latency_budget": {"ignore": ignore},
        "hedge": {
            "on": failures,
            "ignore": ignore,
            "on_result": on_result,
            "budget": retry.budget,
        },
    }


def _fails_as(on_result: Any) -> Callable[[Any], object] | None:
    """Return a predicate of outcomes: for results it is ``on_result``, exceptions are failures."""
    is_bad = read_on_result(Problems(), on_result)
    if is_bad is None:
        return None

    def fails(outcome: Any) -> object:
        return isinstance(outcome, Exception) or is_bad(outcome)

    return fails


def optional_policies(
    problems: Problems,
    make: Callable[..., Policy | None],
    name: str,
    given: dict[str, Any],
    defaults: dict[str, dict[str, Any]],
    common: dict[str, Any],
) -> dict[str, Policy | None]:
    """Return what is in these places of a standard pipeline.

    Args:
        problems: What is wrong with the pipeline's arguments.
        make: Makes a policy of a class, or notes what is wrong with its settings.
        name: The name of the pipeline.
        given: A policy or settings for each place.
        defaults: Settings of each place that the given settings may replace.
        common: The clock and the mode of the pipeline, which they may replace too.
    """
    found: dict[str, Policy | None] = {}
    for place, value in given.items():
        if is_for(place, value):
            found[place] = value
            continue
        cls = class_in(place)
        if cls is None or not isinstance(value, dict):
            also = "" if cls is None else ", or a dict of its settings"
            problems.refuse(place, value, f"{described(place)}{also}, or None")
            continue
        own = read_settings(problems, place, value, cls)
        found[place] = make(cls, name, **{**common, **defaults.get(place, {}), **own})
    return found


def is_for(place: str, value: object) -> bool:
    """Return whether a value is a policy for a place; timeouts have several."""
    return isinstance(value, Policy) and place_of(value.kind) == place


def described(place: str, cls: type[Policy] | None = None) -> str:
    """Return the policies of a place, or of a class, as an error says it."""
    cls = cls or class_in(place)
    if cls is None:
        return "a fault of holdfast.chaos"
    return f"{'an' if cls.__name__[0] in 'AEIOU' else 'a'} {cls.__name__}"


def read_settings(
    problems: Problems, argument: str, given: dict[Any, Any], cls: type[Policy]
) -> dict[str, Any]:
    """Return those of the given settings that a class of policies has; refuse the others."""
    fields = cls._setting_names
    for field, value in given.items():
        if field not in fields:
            allowed = f"a setting of {cls.__name__}{nearest(field, fields)}; it takes "
            problems.refuse(f"{argument}[{field!r}]", value, allowed + ", ".join(fields))
    return {field: value for field, value in given.items() if field in fields}
