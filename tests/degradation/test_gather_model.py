"""Whatever calls do and whenever they end: what is true of every gathering."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.degradation import Gathered, agather_or_sequential
from tests.waiting.virtual import VirtualLoop, run

RUN = st.tuples(st.integers(0, 5), st.sampled_from(["ok", "ok", "down", "wrong", "full"]))
CALL = st.tuples(RUN, RUN, st.sampled_from(["heeds", "heeds", "cleans", "ignores"]))


class Witness:
    """Makes the calls of an example, and keeps what ran when."""

    def __init__(self, calls: list[Any]) -> None:
        self._calls = calls
        self.runs: list[list[str]] = [[] for _ in calls]
        self.active: list[int] = []
        self.most = 0
        self.faults: list[str] = []
        self._late = False

    def call(self, index: int) -> Any:
        async def run_once() -> int:
            first, again, manner = self._calls[index]
            seconds, end = again if self.runs[index] else first
            if index in self.active:
                self.faults.append(f"{index} runs twice at once")
            if "ok" in self.runs[index]:
                self.faults.append(f"{index} had succeeded")
            self.active.append(index)
            self.most = max(self.most, len(self.active))
            try:
                await self._pass(seconds, manner)
            except asyncio.CancelledError:
                self.runs[index].append("cancelled")
                raise
            finally:
                self.active.remove(index)
            self.runs[index].append(end)
            if end != "ok":
                raise {"down": ConnectionError, "wrong": ValueError, "full": MemoryError}[end]
            return index

        return run_once

    async def _pass(self, seconds: int, manner: str) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if manner == "cleans":
                    await asyncio.sleep(1)
                if manner != "ignores":
                    raise


@given(
    st.lists(CALL, max_size=7),
    st.integers(1, 4),
    st.sampled_from([None, 0.3, 0.5, 1.0]),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([0, 2, 9]),
)
def test_nothing_is_repeated_that_succeeded_or_still_runs(calls, most, rate, timeout, grace):
    witness = Witness(calls)

    async def main(_loop: VirtualLoop) -> Gathered[int]:
        report = await agather_or_sequential(
            [witness.call(index) for index in range(len(calls))],
            max_concurrent=most,
            failure_rate=rate,
            min_successes=0,
            ignore=ValueError,
            timeout=timeout,
            grace=grace,
        )
        still = [call.index for call in report if call.still_running]
        assert set(witness.active) <= set(still)
        await asyncio.sleep(99)
        return report

    report = run(main)
    assert witness.faults == []
    assert witness.most <= most + (report.switched is not None)
    assert [call.index for call in report] == list(range(len(calls)))
    for call, runs in zip(report, witness.runs, strict=True):
        assert call.runs <= 2
        if call.ok:
            assert (call.value, runs[-1]) == (call.index, "ok")
        elif not call.still_running:
            assert runs[-1] in {"down", "wrong", "full"}
        if report.switched is None:
            assert (call.how, len(runs)) == ("concurrent", 1)
        elif call.how == "concurrent" and not call.still_running:
            assert call.ok or isinstance(call.error, ValueError)
    failed = sum("down" in runs or "full" in runs for runs in witness.runs)
    if report.switched is None and rate is not None and calls:
        assert failed < max(1, rate * len(calls))
