"""Every method of every binding with the most awkward arguments: an answer, or an error."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._native.adaptive_timeout import AdaptiveTimeout
from holdfast._native.backoff import Backoff
from holdfast._native.breaker import Breaker, Permit
from holdfast._native.bucket import SlidingWindow, TokenBucket
from holdfast._native.budget import Budget
from holdfast._native.bulkhead import Bulkhead
from holdfast._native.clock import ManualClock
from holdfast._native.failure_rate import FailureRate
from holdfast._native.fallback import Fallback
from holdfast._native.histogram import Histogram
from holdfast._native.latency_budget import LatencyBudget
from holdfast._native.quantile import Quantile
from holdfast._native.random import Random
from holdfast._native.retry import Retry
from holdfast._native.timeout import Timeout
from holdfast._native.window import CountWindow, TimeWindow
from tests.models.breaker import Config

pytestmark = [pytest.mark.stress, pytest.mark.fuzz]

MOST = 2**63 - 1
EDGES = [0, 1, 2, 3, 5, 2**16, 2**31, 2**32, 2**42, 2**62, MOST - 1, MOST]


def edges(least: int, most: int) -> st.SearchStrategy[int]:
    """Numbers of a range, rather its ends and powers of two than what lies between."""
    near = sorted({least, most, *EDGES, *(-edge - 1 for edge in EDGES)})
    inside = [edge for edge in near if least <= edge <= most]
    return st.one_of(st.sampled_from(inside), st.sampled_from(inside), st.integers(least, most))


anything = st.one_of(
    *[edges(-MOST - 1, MOST)] * 4,
    st.sampled_from([2**64, 2**70, 1.5, float("nan"), None, "1", True, b"", [], object()]),
)
times = edges(0, MOST)

breakers = st.builds(
    lambda window, **config: Breaker(**{**vars(Config()), **config, **window}, seed=0),
    window=st.one_of(
        st.just({}),
        st.fixed_dictionaries({"window_kind": st.just(1), "window_n": edges(1, 100_000)}),
        st.fixed_dictionaries(
            {"window_kind": st.just(2), "window_n": edges(1, 1024), "slice_ns": edges(1, MOST)}
        ),
    ),
    failure_threshold=edges(0, 2**20 - 1),
    success_threshold=edges(1, 2**20 - 1),
    half_open_max=st.integers(1, 3),
    min_calls=edges(0, 2**32 - 1),
    failure_rate_ppb=edges(0, 10**9),
    slow_rate_ppb=edges(0, 10**9),
    slow_ns=times,
    reset_ns=times,
    reset_max_ns=times,
    probe_ns=edges(-1, MOST),
    failure_reset_ns=times,
    reset_factor=st.sampled_from([1.0, 1.5, 2.0, 1e300]),
    reset_jitter=st.sampled_from([0.0, 0.5, 1e300]),
)
token_buckets = edges(1, 2**60).flatmap(
    lambda den: st.builds(
        TokenBucket, edges(1, 200_000), st.just(den), edges(1, 2**60 // den), edges(-MOST - 1, MOST)
    )
)

backoffs = st.builds(
    lambda span, **rest: Backoff(base_ns=min(span), max_ns=max(span), **rest),
    span=st.tuples(times, times),
    kind=st.integers(0, 4),
    increment_ns=times,
    factor=st.sampled_from([1.0, 1.5, 2.0, 1e300]),
    mode=st.integers(0, 3),
    jitter=st.sampled_from([0.0, 0.1, 1.0]),
    seed=edges(0, 2**64 - 1),
)

KERNELS: dict[str, st.SearchStrategy[Any]] = {
    "Backoff": backoffs,
    "AdaptiveTimeout": st.builds(
        AdaptiveTimeout,
        st.just(MOST // 9),
        edges(1, MOST // 9),
        edges(MOST // 9, 3 * (MOST // 9)),
        st.sampled_from([1.0, 2.0, 1000.0]),
        st.sampled_from([0.001, 0.95, 0.999]),
    ),
    "Breaker": breakers,
    "Budget": st.builds(
        Budget, edges(0, 10**9), edges(0, 10**15), edges(1, 10**9), edges(-MOST - 1, MOST)
    ),
    "Bulkhead": st.builds(Bulkhead, edges(1, 2**21 - 1), edges(0, 2**21 - 1)),
    "CountWindow": st.builds(CountWindow, edges(1, 100_000)),
    "FailureRate": st.builds(FailureRate),
    "Fallback": st.builds(Fallback),
    "Histogram": st.builds(Histogram),
    "LatencyBudget": st.builds(
        lambda target, parts, size, least: LatencyBudget(target, parts, size, min(least, size)),
        times,
        edges(0, 10**6),
        st.sampled_from([1, 7, 100_000]),
        edges(1, 100_000),
    ),
    "ManualClock": st.builds(ManualClock, edges(-MOST - 1, MOST)),
    "Quantile": st.builds(Quantile, st.floats(0.001, 0.999)),
    "Random": st.builds(Random, edges(0, 2**64 - 1)),
    "Retry": st.builds(Retry, edges(1, 2**32 - 1), edges(-1, MOST)),
    "SlidingWindow": st.builds(SlidingWindow, edges(1, 2**28 - 1), edges(1, MOST)),
    "TimeWindow": st.builds(TimeWindow, edges(1, 1024), edges(1, MOST)),
    "Timeout": st.builds(Timeout, edges(0, MOST)),
    "TokenBucket": token_buckets,
}
machines = settings.get_profile("machines")
ENDS = ("settle", "settle_fast", "abandon", "undo")


def methods(kernel: object) -> list[tuple[str, int]]:
    return [
        (name, len(inspect.signature(method).parameters))
        for name, method in inspect.getmembers(kernel, callable)
        if not name.startswith("__")
    ]


@pytest.mark.parametrize("name", KERNELS)
@settings(machines, max_examples=machines.max_examples // 2)
@given(data=st.data())
def test_no_argument_crashes_or_hangs_a_kernel(name: str, data: st.DataObject) -> None:  # trap 38
    kernel = data.draw(KERNELS[name])
    permits: list[Permit] = []
    for _ in range(data.draw(st.integers(1, 20))):
        method, arity = data.draw(st.sampled_from(methods(kernel)))
        arguments = [data.draw(anything) for _ in range(arity)]
        if method in ENDS and name == "Breaker":
            arguments[0] = permits.pop() if permits else None
        with contextlib.suppress(TypeError, ValueError):
            answer = getattr(kernel, method)(*arguments)
            if method == "admit" and answer[0]:
                permits.append(answer[0])
