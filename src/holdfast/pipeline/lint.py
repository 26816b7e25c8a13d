"""What is legal in a pipeline, but hardly meant: policies that defeat each other.

Each rule is a function of the pipeline's policies in order, those of pipelines in it included, and
yields what it finds. Elsewhere: what can never work, which is refused when a policy is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import prod

from holdfast.errors import DeadlineExceededError, Rejected, ShedError
from holdfast.pipeline.standard import WINDOW_TO_ATTEMPT, window_in_use
from holdfast.pipeline.steps import flat
from holdfast.policies.breaker import CircuitBreaker
from holdfast.policies.bulkhead import Bulkhead
from holdfast.policies.fallback import Fallback
from holdfast.policies.limiter import RateLimiter
from holdfast.policies.retry import Retry
from holdfast.policies.timeout import Timeout
from holdfast.validation import duration_to_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    from holdfast.policies.base import Policy

    P = TypeVar("P", bound=Policy)
    Steps = list[Policy]
    Rule = Callable[[Steps], Iterator["Finding"]]

__all__ = ["Finding", "lint"]

MOST_DELAYS = 1000  # that are added up; nobody waits for more
MOST_MILLISECONDS = 1e7  # as which people write a duration: beyond, they hardly mean three hours
# Durations by kind of policy.
DURATIONS = {
    "circuit_breaker": ("slow_call_duration", "reset_timeout", "probe_timeout", "failure_reset"),
    "retry": ("max_time", "max_retry_after"),
    "timeout": ("duration",),
    "rate_limiter": ("max_wait",),
    "bulkhead": ("max_wait",),
    "hedge": ("delay",),
    "latency_budget": ("target",),
}
# These policies are told by their kind, because few programs import their modules.
BUDGETS = ("error_budget", "latency_budget")
GUARDS = ("circuit_breaker", "rate_limiter", "bulkhead")
ADAPTS_AT = 1.2  # × its target latency, from which on an adaptive limiter lowers its rate


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a pipeline that is hardly meant.

    Attributes:
        code: A stable word for it, as "breaker_outside_retry".
        message: What is the matter, what comes of it, and what would mend it.
        policies: Those it is about, outermost first.
    """

    code: str
    message: str
    policies: tuple[Policy, ...]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def lint(policies: Sequence[Policy]) -> list[Finding]:
    """Return what all rules find in the policies of a pipeline, outermost first."""
    steps = flat(policies)
    once = list(dict.fromkeys(steps))
    found = [finding for rule in RULES for finding in rule(once)]
    return [*found, *_same_policy_twice(steps)]


# ---- which is inside of which ----


def _pairs(steps: Steps, outer: type[P], inner: type[Any]) -> Iterator[tuple[P, Any]]:
    """Yield each policy of one class with each of another that is inside of it."""
    for at, one in enumerate(steps):
        if isinstance(one, outer):
            yield from ((one, other) for other in steps[at + 1 :] if isinstance(other, inner))


def _around(steps: Steps, policy: Policy, cls: type[P]) -> list[P]:
    """Return the policies of a class that are outside of one."""
    return [step for step in steps[: steps.index(policy)] if isinstance(step, cls)]


def _of_kind(steps: Steps, *kinds: str) -> Iterator[tuple[int, Any]]:
    """Yield each policy of some kinds, with its place among the steps."""
    yield from ((at, step) for at, step in enumerate(steps) if step.kind in kinds)


def _between(steps: Steps, outer: Policy, inner: Policy) -> Steps:
    return steps[steps.index(outer) + 1 : steps.index(inner)]


def _repeats(policy: Policy) -> bool:
    return isinstance(policy, Retry) and policy._setting("attempts") != 1


def _adapts(policy: Policy) -> bool:
    """Return whether it is an adaptive rate limiter."""
    return policy.kind == "rate_limiter" and "target_latency" in policy._setting_names


def _many(attempts: int | None) -> str:
    return "no limit" if attempts is None else str(attempts)


def _called(policy: Policy) -> str:
    if isinstance(policy, Timeout):
        return f"the timeout of {policy.duration:g} s"
    kind = policy.kind.replace("_", " ")
    return f"the {kind}" if policy.name is None else f"{kind} {policy.name!r}"


# ---- timeouts ----


def _timeouts_within_timeouts(steps: Steps) -> Iterator[Finding]:
    for outer, inner in _pairs(steps, Timeout, Timeout):
        if inner.duration < outer.duration:
            continue
        if any(map(_repeats, _between(steps, outer, inner))):
            yield Finding(
                "no_time_for_a_retry",
                f"an attempt may take as long, {inner.duration:g} s, as all of them, "
                f"{outer.duration:g} s: one that times out is never tried again",
                (outer, inner),
            )
        else:
            yield Finding(
                "timeout_never_ends_a_call",
                f"{_called(inner)} is inside of {_called(outer)}, which ends every call first",
                (outer, inner),
            )


def _threads_within_threads(steps: Steps) -> Iterator[Finding]:
    moving = [step for step in steps if step.kind == "hedge" or _is_threaded(step)]
    for outer, inner in combinations(moving, 2):
        if _is_threaded(inner):
            yield Finding(
                "thread_within_thread",
                f"{_called(inner)} runs in a thread what {_called(outer)} has moved to a thread "
                "already: each call takes two, and at the outer deadline both are left behind",
                (outer, inner),
            )


def _is_threaded(step: Policy) -> bool:
    return isinstance(step, Timeout) and step._setting("thread")


def _work_left_behind(steps: Steps) -> Iterator[Finding]:
    for retry, timeout in _pairs(steps, Retry, Timeout):
        bounded = any(isinstance(step, Bulkhead) for step in steps[steps.index(retry) :])
        if timeout._setting("thread") and _repeats(retry) and not bounded:
            yield Finding(
                "abandoned_work_piles_up",
                f"an attempt that {_called(timeout)} leaves behind in its thread cannot be "
                f"interrupted and goes on beside the next one of {_called(retry)}: put a bulkhead "
                "inside of the retry, whose places such work keeps",
                (retry, timeout),
            )


def _waits_beyond_timeouts(steps: Steps) -> Iterator[Finding]:
    for policy in steps:
        if not isinstance(policy, (RateLimiter, Bulkhead)) or policy._max_wait_ns is None:
            continue
        around = _around(steps, policy, Timeout)
        shortest = min(around, key=lambda timeout: timeout.duration, default=None)
        if shortest is not None and policy._max_wait_ns / 1e9 > shortest.duration:
            yield Finding(
                "wait_beyond_timeout",
                f"{_called(policy)} lets a call wait {policy._max_wait_ns / 1e9:g} s, but "
                f"{_called(shortest)} around it ends it before: lower max_wait",
                (shortest, policy),
            )


# ---- retries ----


def _held_through_pauses(steps: Steps) -> Iterator[Finding]:
    for outer, retry in _pairs(steps, Bulkhead, Retry):
        if _repeats(retry):
            yield Finding(
                "bulkhead_outside_retry",
                f"{_called(outer)} is outside of {_called(retry)}: a call keeps its place while it "
                "pauses; put the bulkhead inside",
                (outer, retry),
            )
    for limiter, retry in _pairs(steps, RateLimiter, Retry):
        if _repeats(retry):
            also = ", and its rate adapts to durations with pauses" if _adapts(limiter) else ""
            yield Finding(
                "limiter_outside_retry",
                f"{_called(limiter)} is outside of {_called(retry)}: one token pays for all "
                f"attempts{also}; put the limiter inside",
                (limiter, retry),
            )


def _breaker_outside(steps: Steps) -> Iterator[Finding]:
    for breaker, retry in _pairs(steps, CircuitBreaker, Retry):
        if _repeats(retry):
            yield Finding(
                "breaker_outside_retry",
                f"{_called(breaker)} is outside of {_called(retry)}: it sees one call where there "
                "are many attempts, and cannot stop them; put the breaker inside",
                (breaker, retry),
            )


def _retries_within_retries(steps: Steps) -> Iterator[Finding]:
    retries = [step for step in steps if _repeats(step)]
    if len(retries) > 1:
        each = [retry._setting("attempts") for retry in retries]
        product = None if None in each else prod(each)
        yield Finding(
            "nested_retries",
            f"attempts multiply: {' × '.join(map(_many, each))} = {_many(product)} for one call of "
            f"{' inside of '.join(map(_called, reversed(retries)))}; keep one of them",
            tuple(retries),
        )


def _timeouts_not_retried(steps: Steps) -> Iterator[Finding]:
    for retry in steps:
        if not isinstance(retry, Retry) or not _repeats(retry):
            continue
        inside = [timeout for one, timeout in _pairs(steps, Retry, Timeout) if one is retry]
        on = retry._setting("on")
        if not inside or callable(on) or on == ():  # a predicate knows what it wants
            continue
        if not _names(on, DeadlineExceededError):
            yield Finding(
                "timeouts_not_retried",
                f"{_called(retry)} does not try again what {_called(inside[0])} inside of it has "
                "ended: name DeadlineExceededError in on, or put the timeout outside",
                (retry, inside[0]),
            )


def _pauses_beyond_deadline(steps: Steps) -> Iterator[Finding]:
    for retry in steps:
        if not isinstance(retry, Retry) or not _repeats(retry):
            continue
        limits = [round(timeout.duration * 1e9) for timeout in _around(steps, retry, Timeout)]
        max_time_ns = duration_to_ns(retry._setting("max_time"))
        if max_time_ns is not None:
            limits.append(max_time_ns)
        longest_ns = min(limits, default=None)
        if longest_ns is None:
            continue
        attempts = retry._setting("attempts")
        if attempts is None:
            continue
        possible = _attempts_within(retry, longest_ns)
        if possible < attempts:
            yield Finding(
                "pauses_beyond_deadline",
                f"{_called(retry)} has time for the pauses of {possible} of its {attempts} "
                f"attempts at most, within {longest_ns / 1e9:g} s",
                (retry,),
            )


def _attempts_within(retry: Retry, longest_ns: int) -> int:
    """Return how many attempts may begin at best, if calls take no time and chance is kind."""
    attempts: int = retry._setting("attempts")
    spent_ns = 0
    for retries in range(min(attempts - 1, MOST_DELAYS)):
        spent_ns += retry.backoff._least_ns(retries)
        if spent_ns >= longest_ns:
            return retries + 1
    return attempts


def _retries_without_budget(steps: Steps) -> Iterator[Finding]:
    for retry in steps:
        if isinstance(retry, Retry) and _repeats(retry) and retry.budget is None:
            attempts = retry._setting("attempts")
            yield Finding(
                "retry_without_budget",
                f"{_called(retry)} has no budget: while everything fails, it makes "
                f"{attempts or 'any number of'} calls of each; give it a RetryBudget",
                (retry,),
            )


# ---- fallbacks, breakers ----


def _fallbacks_inside(steps: Steps) -> Iterator[Finding]:
    for retry, fallback in _pairs(steps, Retry, Fallback):
        if _repeats(retry) and _hides(fallback, retry._setting("on")):
            yield Finding(
                "fallback_inside_retry",
                f"the fallback inside of {_called(retry)} hides failures from it, so that nothing "
                "is tried again; put the fallback outside",
                (retry, fallback),
            )
    for breaker, fallback in _pairs(steps, CircuitBreaker, Fallback):
        if _hides(fallback, breaker._setting("on")):
            yield Finding(
                "fallback_inside_breaker",
                f"the fallback inside of {_called(breaker)} hides failures from it, so that it "
                "never opens; put the fallback outside",
                (breaker, fallback),
            )


def _hides(fallback: Fallback, wanted: Any) -> bool:
    """Return whether a fallback stands in for what another policy is to see."""
    stands_in = fallback._setting("on")
    if callable(wanted) or callable(stands_in):
        return True  # a predicate may want anything
    return any(_overlap(cls, other) for cls in _each(stands_in) for other in _each(wanted))


def _each(on: Any) -> tuple[type[Exception] | str, ...]:
    """Return the classes and categories that a policy is for."""
    return on if isinstance(on, tuple) else (on,)


def _names(on: Any, cls: type[Exception]) -> bool:
    """Return whether classes and categories name an exception class for certain."""
    from holdfast.categories import _of_class

    return any(
        _of_class(cls) == one if isinstance(one, str) else issubclass(cls, one) for one in _each(on)
    )


def _has_some(cls: type[Exception], category: str) -> bool:
    """Return whether exceptions of a class, or of a class below it, may have a category."""
    from holdfast.categories import _of_class

    known = _of_class(cls)
    if cls is Exception or known == category or callable(known):
        return True
    return any(_has_some(below, category) for below in cls.__subclasses__())


def _overlap(cls: type[Exception] | str, wanted: type[Exception] | str) -> bool:
    if isinstance(wanted, str):
        cls, wanted = wanted, cls
    if isinstance(wanted, str):
        return cls == wanted
    if isinstance(cls, str):
        return _has_some(wanted, cls)
    if issubclass(cls, Rejected) and not issubclass(wanted, Rejected):
        return False  # rejections are wanted only by their own names
    return issubclass(cls, wanted) or issubclass(wanted, cls)


def _longest_call(steps: Steps, breaker: CircuitBreaker) -> Timeout | None:
    """Return what bounds the calls that a breaker sees: of timeouts inside of it the shortest."""
    inside = [
        timeout
        for one, timeout in _pairs(steps, CircuitBreaker, Timeout)
        if one is breaker and not any(map(_repeats, _between(steps, breaker, timeout)))
    ]
    return min(inside, key=lambda timeout: timeout.duration, default=None)


def _windows_too_short(steps: Steps) -> Iterator[Finding]:
    for breaker in steps:
        window = window_in_use(breaker)
        longest = _longest_call(steps, breaker) if isinstance(breaker, CircuitBreaker) else None
        if window is None or longest is None:
            continue
        if window.seconds < WINDOW_TO_ATTEMPT * longest.duration:
            yield Finding(
                "window_too_short",
                f"{_called(breaker)} takes its rate over {window.seconds:g} s, less than "
                f"{WINDOW_TO_ATTEMPT} × {_called(longest)} inside of it: calls that time out leave "
                "the window before there are enough of them",
                (breaker, longest),
            )


def _probes_that_go_on(steps: Steps) -> Iterator[Finding]:
    for breaker in steps:
        if not isinstance(breaker, CircuitBreaker):
            continue
        longest = _longest_call(steps, breaker)
        probe_ns = duration_to_ns(breaker._setting("probe_timeout"))
        if longest is not None and probe_ns is not None and probe_ns / 1e9 < longest.duration:
            yield Finding(
                "probe_outlives_its_place",
                f"a probe of {_called(breaker)} gives its place up after {probe_ns / 1e9:g} s, but "
                f"{_called(longest)} inside of it lets it go on: raise probe_timeout",
                (breaker, longest),
            )


def _nobody_waits(steps: Steps) -> Iterator[Finding]:
    for bulkhead in steps:
        if not isinstance(bulkhead, Bulkhead) or bulkhead._max_wait_ns != 0:
            continue
        waiting = bulkhead._setting("max_waiting")
        if waiting > 0:
            yield Finding(
                "nobody_waits",
                f"{_called(bulkhead)} has room for {waiting} to wait, but no call ever does: give "
                "max_wait",
                (bulkhead,),
            )


# ---- bulkheads ----


def _tokens_before_waits(steps: Steps) -> Iterator[Finding]:
    for limiter, bulkhead in _pairs(steps, RateLimiter, Bulkhead):
        if bulkhead._max_wait_ns != 0 and bulkhead._setting("max_waiting") > 0:
            yield Finding(
                "limiter_outside_waiting_bulkhead",
                f"{_called(limiter)} is outside of {_called(bulkhead)}, in which calls wait: a "
                "call takes its token before the wait, so calls may start faster than the rate "
                "allows; put the limiter inside of the bulkhead",
                (limiter, bulkhead),
            )


def _threads_fewer_than_places(steps: Steps) -> Iterator[Finding]:
    for bulkhead, timeout in _pairs(steps, Bulkhead, Timeout):
        places, threads = bulkhead._setting("max_concurrent"), timeout._setting("workers")
        if timeout._setting("thread") and threads < places:
            yield Finding(
                "threads_fewer_than_places",
                f"{_called(bulkhead)} has {places} places, but {_called(timeout)} inside of it has "
                f"{threads} threads: a call that finds no thread waits for one while its time "
                "runs; raise workers, or lower max_concurrent",
                (bulkhead, timeout),
            )


# ---- budgets, hedges, faults ----


def _budgets_inside(steps: Steps) -> Iterator[Finding]:
    for at, budget in _of_kind(steps, *BUDGETS):
        others = (step for step in steps[:at] if step.kind not in BUDGETS)
        outer = next((step for step in others if not _replaces_shed_only(step)), None)
        if outer is not None:
            yield Finding(
                "budget_not_outermost",
                f"{_called(budget)} is inside of {_called(outer)}, so it does not count what the "
                "caller gets in the end; put the budget outermost",
                (outer, budget),
            )


def _replaces_shed_only(policy: Policy) -> bool:
    """Return whether a policy concerns only calls that a budget has refused and does not count."""
    on = _each(policy._setting("on")) if isinstance(policy, Fallback) else ()
    return bool(on) and all(isinstance(one, type) and issubclass(one, ShedError) for one in on)


def _targets_beyond_timeouts(steps: Steps) -> Iterator[Finding]:
    for at, policy in enumerate(steps):
        if policy.kind == "latency_budget":
            field, times, effect = "target", 1.0, "no call exceeds the target"
        elif _adapts(policy):
            field, times, effect = "target_latency", ADAPTS_AT, "its rate falls for no latency"
        else:
            continue
        bounds = [
            timeout
            for _, timeout in _of_kind(steps[at:], "timeout")
            if not any(map(_repeats, _between(steps, policy, timeout)))
        ]
        target = _seconds(policy._setting(field))
        shortest = min(bounds, key=lambda timeout: timeout.duration, default=None)
        if shortest is not None and times * target >= shortest.duration:
            yield Finding(
                "target_beyond_timeout",
                f"{field} of {_called(policy)} is {target:g} s, but {_called(shortest)} ends each "
                f"call before, so {effect}; lower {field}",
                (policy, shortest),
            )


def _hedges_beyond_timeouts(steps: Steps) -> Iterator[Finding]:
    for at, hedge in _of_kind(steps, "hedge"):
        seconds = _seconds(hedge._setting("delay"))  # 0 of a quantile: nobody knows it yet
        inside = [timeout for _, timeout in _of_kind(steps[at:], "timeout")]
        for bounds, effect in (
            (_around(steps, hedge, Timeout), "no further attempt is made"),
            (inside, "a further attempt is made only after one that has failed"),
        ):
            shortest = min(bounds, key=lambda timeout: timeout.duration, default=None)
            if shortest is not None and seconds >= shortest.duration:
                yield Finding(
                    "hedge_beyond_timeout",
                    f"{_called(hedge)} waits {seconds:g} s, but {_called(shortest)} ends each "
                    f"attempt before, so {effect}; lower delay",
                    tuple(sorted((hedge, shortest), key=steps.index)),
                )


def _seconds(setting: object) -> float:
    """Return a duration in seconds; 0 of what is none."""
    return (duration_to_ns(setting) or 0) / 1e9


def _hedges_that_multiply(steps: Steps) -> Iterator[Finding]:
    for _, hedge in _of_kind(steps, "hedge"):
        for _, retry in _of_kind(steps, "retry"):
            if not _repeats(retry) or (hedge.budget is not None and hedge.budget is retry.budget):
                continue
            each = retry._setting("attempts")
            most = None if each is None else each * (1 + hedge._setting("max"))
            yield Finding(
                "hedge_multiplies_retries",
                f"{_called(hedge)} and {_called(retry)} make up to {_many(most)} attempts at one "
                "call, and no budget limits both: give both the same RetryBudget",
                tuple(sorted((hedge, retry), key=steps.index)),
            )


def _hedges_without_budget(steps: Steps) -> Iterator[Finding]:
    for _, hedge in _of_kind(steps, "hedge"):
        if hedge.budget is None:
            yield Finding(
                "hedge_without_budget",
                f"{_called(hedge)} has no budget: while everything is slow, it makes "
                f"{1 + hedge._setting('max')} calls of each; give it a RetryBudget",
                (hedge,),
            )


def _outside_of_hedges(steps: Steps) -> Iterator[Finding]:
    for at, guard in _of_kind(steps, *GUARDS):
        for _, hedge in _of_kind(steps[at:], "hedge"):
            yield Finding(
                "guard_outside_hedge",
                f"{_called(guard)} is outside of {_called(hedge)}: it counts one call where there "
                f"are several attempts; put the {guard.kind.replace('_', ' ')} inside",
                (guard, hedge),
            )


def _fallbacks_inside_hedges(steps: Steps) -> Iterator[Finding]:
    for at, hedge in _of_kind(steps, "hedge"):
        for _, fallback in _of_kind(steps[at:], "fallback"):
            yield Finding(
                "fallback_inside_hedge",
                f"the fallback inside of {_called(hedge)} makes a good answer of an attempt that "
                "failed, so the other attempts are given up; put the fallback outside",
                (hedge, fallback),
            )


def _faults_outside(steps: Steps) -> Iterator[Finding]:
    for at, fault in _of_kind(steps, "fault"):
        inner = next((step for step in steps[at:] if step.kind != "fault"), None)
        if inner is not None:
            yield Finding(
                "fault_not_innermost",
                f"{_called(fault)} is outside of {_called(inner)}, which never sees what it does; "
                "put the fault innermost",
                (fault, inner),
            )


# ---- settings that are hardly meant ----


def _nothing_is_a_failure(steps: Steps) -> Iterator[Finding]:
    for policy in steps:
        if isinstance(policy, Retry) and _repeats(policy):
            judges, effect = policy._setting("on_result"), "never tries a call again"
        elif isinstance(policy, CircuitBreaker):
            rate = policy._setting("slow_call_rate")
            judges = policy._setting("on_result") or policy._setting("is_failure") or rate
            effect = "never opens"
        else:
            continue
        on, ignore = policy._setting("on"), policy._setting("ignore")
        if judges is None and not callable(on) and _ignores_all(on, ignore):
            why = "on is empty" if on == () else "ignore names all that on names"
            yield Finding(
                "nothing_is_a_failure",
                f"{_called(policy)} {effect}, because {why}; name the exceptions that count",
                (policy,),
            )


def _ignores_all(on: Any, ignore: Any) -> bool:
    """Return whether each exception that ``on`` names is one of those that ``ignore`` names."""
    if callable(ignore):
        return not _each(on)
    ignored = _each(ignore)
    classes = tuple(one for one in ignored if isinstance(one, type))
    return all(
        issubclass(one, classes) if isinstance(one, type) else one in ignored for one in _each(on)
    )


def _milliseconds(steps: Steps) -> Iterator[Finding]:
    for policy in steps:
        for field in DURATIONS.get(policy.kind, ()):
            seconds = policy._setting(field)
            if _looks_like_milliseconds(seconds):
                yield Finding(
                    "milliseconds",
                    f"{field} of {_called(policy)} is {seconds:g} seconds, which is "
                    f"{seconds / 3600:.3g} hours; if milliseconds are meant, write "
                    f"{seconds / 1000:g}",
                    (policy,),
                )


def _looks_like_milliseconds(seconds: object) -> bool:
    """Return whether a number is round in thousands, and not in hours."""
    return (
        isinstance(seconds, (int, float))
        and 1000 <= seconds < MOST_MILLISECONDS
        and seconds % 500 == 0
        and seconds % 3600 != 0
    )


def _same_policy_twice(steps: Steps) -> Iterator[Finding]:
    for policy in dict.fromkeys(steps):
        times = sum(step is policy for step in steps)
        if times > 1:
            yield Finding(
                "same_policy_twice",
                f"{_called(policy)} is in it {times} times: each call passes it as often, and "
                "counts as often",
                (policy,),
            )


RULES: Sequence[Rule] = (
    _timeouts_within_timeouts,
    _threads_within_threads,
    _work_left_behind,
    _waits_beyond_timeouts,
    _held_through_pauses,
    _breaker_outside,
    _retries_within_retries,
    _timeouts_not_retried,
    _pauses_beyond_deadline,
    _retries_without_budget,
    _fallbacks_inside,
    _windows_too_short,
    _probes_that_go_on,
    _nobody_waits,
    _tokens_before_waits,
    _threads_fewer_than_places,
    _budgets_inside,
    _targets_beyond_timeouts,
    _hedges_beyond_timeouts,
    _hedges_that_multiply,
    _hedges_without_budget,
    _outside_of_hedges,
    _fallbacks_inside_hedges,
    _faults_outside,
    _nothing_is_a_failure,
    _milliseconds,
)
