"""What a hedge is for: fewer slow calls at little extra load. On virtual time."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

import holdfast as hf
from tests.policies.hedge.hedges import counted

CALLS = 20_000


def durations(seed: int) -> Iterator[float]:
    """Yield lognormal durations about 5 ms, of which one in twenty takes ten times as long."""
    rng = random.Random(seed)
    while True:
        slow = 10 if rng.random() < 0.05 else 1
        yield 0.005 * math.exp(rng.gauss(0, 0.4)) * slow


async def measured(loop: Any, call: Any, calls: int = CALLS) -> list[float]:
    """Return how long calls take, sorted."""
    times = []
    for _ in range(calls):
        began = loop.time()
        await call()
        times.append(loop.time() - began)
    return sorted(times)


@pytest.mark.parametrize("seed", range(3))
async def test_the_99th_percentile_falls_to_a_third_at_six_percent_more_calls(loop, seed):
    """The workload of the issue: lognormal 5 ms, 5 % stragglers that take ten times as long."""
    times = durations(seed)

    async def call() -> None:
        await asyncio.sleep(next(times))

    plain = await measured(loop, call)
    hedge = hf.Hedge("h", delay=hf.Quantile(0.945), clock=loop.clock)
    hedged = await measured(loop, hedge(call))
    at = CALLS * 99 // 100
    assert hedged[at] <= plain[at] / 3
    (attempts,) = counted(hedge, "attempts")
    assert attempts <= 0.06 * CALLS


async def test_the_extra_load_follows_the_quantile_when_all_calls_become_slower(loop):
    factor, times = 1, durations(5)

    async def call() -> None:
        await asyncio.sleep(next(times) * factor)

    hedge = hf.Hedge("h", delay=hf.Quantile(0.95), clock=loop.clock)
    await measured(loop, hedge(call), 5000)
    factor = 20
    await measured(loop, hedge(call), 1000)  # the delay rises
    before = counted(hedge, "attempts")[0]
    await measured(loop, hedge(call), 10_000)
    assert counted(hedge, "attempts")[0] - before <= 700


async def test_failures_do_not_shorten_the_delay(loop):
    """Or a dependency that fails quickly would get a further attempt for each slow call."""
    hedge = hf.Hedge("h", delay=hf.Quantile(0.95), clock=loop.clock)
    await measured(loop, hedge(lambda: asyncio.sleep(0.1)), 50)

    async def fail() -> None:
        raise ConnectionError

    for _ in range(200):
        await hedge.try_acall(fail)
    assert hedge.delay == pytest.approx(0.1)


async def test_a_call_that_waits_is_measured_exactly():
    hedge = hf.Hedge("h", delay=hf.Quantile(0.95, warmup=1, floor=0))
    for _ in range(50):
        await hedge.acall(asyncio.sleep, 0)
    assert 1e-7 < hedge.delay < 1  # the coarse clock shows no time at all, mostly


async def test_a_call_that_never_waits_is_measured_up_to_a_tick_of_the_kernel():
    hedge = hf.Hedge("h", delay=hf.Quantile(0.95, warmup=1, floor=0))

    async def compute() -> None:
        end = time.monotonic() + 0.03
        while time.monotonic() < end:
            pass

    began = time.monotonic()
    await hedge.acall(compute)
    took = time.monotonic() - began
    assert 0.03 - 0.01 <= hedge.delay <= took


async def test_a_call_that_never_waits_needs_no_exact_time_at_its_end():
    """Else a hedge of a call that answers at once costs a fifth more than a Timeout."""
    hedge = hf.Hedge("h", delay=hf.Quantile(0.95, warmup=1, floor=0))

    async def answer() -> None:
        pass

    for _ in range(1000):
        await hedge.acall(answer)
    assert hedge.delay < 1e-8  # no call was seen to take any time
