"""What a scrape costs: reading 1,000 policies, the whole response, and that of idle pipelines.

Run from the project's root: ``python -m benchmarks.scrape``. A quarter each are breakers that
record durations, rate limiters, bulkheads and retries, all of different names. The pipelines are
1,500 standard ones without a call.
"""

from __future__ import annotations

from time import perf_counter

from prometheus_client import CollectorRegistry, generate_latest

import holdfast as hf
from holdfast.telemetry.prometheus import Collector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

POLICIES = 1_000
PIPELINES = 1_500
ROUNDS = 15
# Label, and the most microseconds a policy, or an idle pipeline, may take: 1,500 of these a second.
TARGETS = {"collect": 50, "response": 200, "idle": 667}
#: What each label is of.
OF = {
    "collect": f"{POLICIES:,} policies",
    "response": f"{POLICIES:,} policies",
    "idle": f"{PIPELINES:,} idle pipelines",
}


def some_policies(n: int) -> list[hf.Policy]:
    """Return ``n`` policies that have had a call."""
    made: list[hf.Policy] = []
    for at in range(n // 4):
        made += (
            hf.CircuitBreaker(f"breaker {at}", latency=True),
            hf.RateLimiter(f"limiter {at}", rate=1_000),
            hf.Bulkhead(f"bulkhead {at}"),
            hf.Retry(f"retry {at}"),
        )
    for policy in made:
        policy.call(int)
    return made


def least_us(work: Callable[[], object], rounds: int, policies: list[hf.Policy]) -> float:
    """Return the least microseconds of several rounds; each policy has a call before each."""
    least = float("inf")
    for _ in range(rounds):
        for policy in policies:
            policy.call(int)
        began = perf_counter()
        work()
        least = min(least, perf_counter() - began)
    return least * 1e6


def measure(policies: int = POLICIES, rounds: int = ROUNDS) -> dict[str, float]:
    """Return microseconds a policy of each part of a scrape."""
    kept = some_policies(policies)
    collector = Collector(*kept)
    registry = CollectorRegistry()
    registry.register(collector)
    works = {
        "collect": lambda: list(collector.collect()),
        "response": lambda: generate_latest(registry),
    }
    found = {name: least_us(work, rounds, kept) / len(kept) for name, work in works.items()}
    return {**found, "idle": idle_us()}


def idle_us(pipelines: int = PIPELINES) -> float:
    """Return microseconds a pipeline of the first response of a process with idle ones."""
    kept = [hf.Pipeline.standard(f"pipeline {at}") for at in range(pipelines)]
    registry = CollectorRegistry()
    registry.register(Collector(*kept))
    return least_us(lambda: generate_latest(registry), 1, []) / pipelines


def main() -> None:
    for name, us in measure().items():
        print(f"{name:10s} {us:6.1f} us each, of {OF[name]}; target {TARGETS[name]} us")


if __name__ == "__main__":
    main()
