"""Hedged calls do what the model says, whatever their attempts do."""

from __future__ import annotations

import asyncio

import hypothesis.strategies as st
from hypothesis import given, settings

import holdfast as hf
from tests.models.hedge import ANSWER, FAILURE, OTHER, Script, hedged
from tests.policies.hedge.hedges import DownError, counted, settle
from tests.waiting.virtual import VirtualLoop

ATTEMPTS = 5
ends = st.lists(st.sampled_from([ANSWER, FAILURE, OTHER]), min_size=ATTEMPTS, max_size=ATTEMPTS)
steps = st.lists(st.integers(0, 60), min_size=ATTEMPTS, max_size=ATTEMPTS)


class OtherError(Exception):
    """Not named by `on`."""


@settings(max_examples=300)
@given(
    durations=steps,
    ends=ends,
    delay=st.integers(1, 40).map(lambda n: 1000 * n),
    most=st.integers(1, 4),
    tokens=st.integers(0, 4),
)
def test_a_hedged_call_does_what_its_model_says(durations, ends, delay, most, tokens):
    # Each attempt adds a bit of its own to the time, so no two events are at the same time.
    all_scripts = [
        Script(1000 * n + 2**i, end) for i, (n, end) in enumerate(zip(durations, ends, strict=True))
    ]
    loop = VirtualLoop()
    began: list[int] = []
    cancelled: set[int] = set()

    def now() -> int:
        return round(loop.time() * 1e6)

    async def attempt() -> int:
        began.append(now())
        number = len(began)
        script = all_scripts[number - 1]
        try:
            await asyncio.sleep(script.duration / 1e6)
        except asyncio.CancelledError:
            cancelled.add(number)
            raise
        if script.end == FAILURE:
            raise DownError(number)
        if script.end == OTHER:
            raise OtherError(number)
        return number

    budget = hf.RetryBudget(ratio=0, min_per_second=0, burst=max(tokens, 1), clock=loop.clock)
    if tokens == 0:
        budget.try_withdraw()
    hedge = hf.Hedge(
        "h", delay=delay / 1e6, max=most, on=DownError, budget=budget, clock=loop.clock
    )

    async def main() -> None:
        expected = hedged(all_scripts, delay, most, tokens)
        outcome = await hedge.try_acall(attempt)
        at = now()
        await settle()
        answered_by = outcome.value if outcome else outcome.error.args[0]
        assert (began, answered_by, at) == (expected.begun, expected.answered_by, expected.at)
        assert cancelled == expected.cancelled
        assert counted(hedge, "calls", "failed", "attempts", "refused", "cancelled", "won") == (
            1,
            expected.failed,
            len(began) - 1,
            expected.refused,
            len(cancelled),
            expected.answered_by > 1 and not expected.failed,
        )

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
