"""The table of all policies: a new one joins the tests of ``test_every_policy.py`` by a line here.

A ``PoolBulkhead`` guards no calls, so it is not in the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import holdfast as hf
from holdfast import chaos
from tests.policies.drivers import ATTEMPTS, BLOCKS, STREAMS


class FailedError(Exception):
    """What the guarded work raises."""


def fail() -> None:
    raise FailedError("down")


STAND_IN = ("stand-in",)


@dataclass(frozen=True)
class Member:
    """A policy that admits every call of these tests.

    Attributes:
        make: Makes it, of ``clock`` and ``mode``.
        refused: The drivers that raise a TypeError, because they make no sense.
        repeats: Whether it runs work that fails again.
        replaces: Whether it returns ``STAND_IN`` instead of the error.
        counts: Whether metrics show that it has been called.
    """

    make: Callable[..., hf.Policy]
    refused: frozenset[str] = frozenset(ATTEMPTS)
    repeats: bool = False
    replaces: bool = False
    counts: bool = True


def retry(**common: Any) -> hf.Policy:
    return hf.Retry("p", attempts=3, on=FailedError, backoff=hf.Constant(0), **common)


def hedge(**common: Any) -> hf.Policy:
    return hf.Hedge("p", delay=60, max=2, on=FailedError, **common)


def fallback(**common: Any) -> hf.Policy:
    return hf.Fallback(STAND_IN, on=FailedError, name="p", **common)


def standard(**common: Any) -> hf.Policy:
    settings = {"attempts": 3, "on": FailedError, "backoff": hf.Constant(0)}
    return hf.Pipeline.standard("p", rate=1e6, **settings, **common)


MEMBERS: dict[str, Member] = {
    "breaker": Member(lambda **common: hf.CircuitBreaker("p", **common)),
    "limiter": Member(lambda **common: hf.RateLimiter("p", rate=1e6, **common)),
    "limits": Member(
        lambda **common: hf.RateLimiter("p", limits="99999/second;999999/day", **common)
    ),
    "sliding limiter": Member(
        lambda **common: hf.RateLimiter("p", rate=99999, window="sliding", **common)
    ),
    "hedge": Member(hedge, repeats=True, refused=frozenset({*ATTEMPTS, *BLOCKS, *STREAMS})),
    "adaptive limiter": Member(lambda **common: hf.AdaptiveRateLimiter("p", rate=1e6, **common)),
    "bulkhead": Member(lambda **common: hf.Bulkhead("p", **common)),
    "bulkhead with a queue": Member(
        lambda **common: hf.Bulkhead("p", max_concurrent=2, max_waiting=99, max_wait=9, **common)
    ),
    "retry": Member(retry, frozenset(BLOCKS), repeats=True),
    "timeout": Member(lambda **common: hf.Timeout(60, name="p", **common)),
    "timeout in a thread": Member(lambda **common: hf.Timeout(60, name="p", thread=True, **common)),
    "adaptive timeout": Member(lambda **common: hf.AdaptiveTimeout(60, name="p", **common)),
    "fallback": Member(fallback, frozenset(BLOCKS | ATTEMPTS), replaces=True),
    "error budget": Member(lambda **common: hf.ErrorBudget("p", **common)),
    "shedding budget": Member(
        lambda **common: hf.ErrorBudget("p", on_exhausted="shed", min_requests=9999, **common)
    ),
    "latency budget": Member(lambda **common: hf.LatencyBudget("p", **common)),
    "fault": Member(lambda **common: chaos.Error(name="p", probability=1, **common), counts=False),
    "standard pipeline": Member(standard, frozenset(BLOCKS), repeats=True),
}

CLASSES = tuple({type(member.make(clock=None, mode=None)): None for member in MEMBERS.values()})
