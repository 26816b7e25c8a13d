"""An error budget: what counts, when it is exhausted, and who is told."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import os
import threading
from typing import Any

import pytest

import holdfast as hf
from holdfast import periodic
from holdfast.policies.error_budget import watching
from holdfast.waiting.timer_threads import TimerThreads
from tests.policies.calls import fail, fine, outage, raising, succeed

Pairs = list[tuple[str, str]]


def budget_of(clock: hf.ManualClock, **settings: Any) -> hf.ErrorBudget:
    settings = {"slo": 0.9, "window": 100, "min_requests": 10, **settings}
    return hf.ErrorBudget("send", clock=clock, **settings)


def told(budget: hf.ErrorBudget) -> Pairs:
    """Return a list that gets the kind and the reason of each event."""
    events: Pairs = []
    budget.on_event(lambda event: events.append((event.kind, event.reason)))
    return events


@pytest.fixture
def clock() -> hf.ManualClock:
    return hf.ManualClock(start=1000.0)


# ---- the window ----


def test_the_budget_left_is_what_the_objective_allows_less_what_failed(clock: Any) -> None:
    budget = budget_of(clock)
    assert budget.remaining == 1.0
    budget.record(ok=True, n=95)
    budget.record(ok=False, n=5)
    assert budget.remaining == pytest.approx(0.5)  # EB-01
    snapshot = budget.snapshot()  # EB-06
    assert (snapshot.total_requests, snapshot.failed_requests) == (100, 5)
    assert snapshot.success_rate == pytest.approx(0.95)
    assert snapshot.consumed_budget == pytest.approx(0.5) == snapshot.burn_rate
    assert snapshot.allowed_failures == 5
    assert not snapshot.budget_exhausted
    assert json.dumps(dataclasses.asdict(snapshot), allow_nan=False)


def test_an_objective_that_is_just_met_is_met(clock: Any) -> None:
    budget = budget_of(clock, slo=0.999)
    budget.record(ok=True, n=999)
    budget.record(ok=False)
    assert not budget.exhausted
    assert budget.remaining == 0.0
    budget.record(ok=False)
    assert budget.exhausted


def test_a_window_slides_in_tenths_and_expires_without_traffic(clock: Any) -> None:
    budget = budget_of(clock)
    for _ in range(10):
        budget.record(ok=False)
        clock.advance(10)
    assert budget.snapshot().total_requests == 9  # EB-03
    clock.advance(50)
    assert budget.snapshot().total_requests == 4
    clock.advance(50)
    assert budget.snapshot().total_requests == 0


def test_an_objective_of_1_allows_nothing_and_is_counted_exactly(clock: Any) -> None:
    budget = budget_of(clock, slo=1, min_requests=None)
    budget.record(ok=True, n=10**6)
    assert budget.remaining == 1.0  # D-EB-3
    assert budget.burn_rate() == 0.0
    budget.record(ok=False)
    assert budget.exhausted
    assert budget.remaining == 0.0
    assert budget.burn_rate() == math.inf
    assert budget.snapshot().burn_rate is None


# ---- evidence ----


def test_one_failure_among_few_requests_exhausts_nothing(clock: Any) -> None:
    budget = budget_of(clock, slo=0.999, min_requests=None)
    budget.record(ok=False)
    assert not budget.exhausted  # D-EB-3
    budget.record(ok=True, n=998)
    budget.record(ok=False)  # 2 of 1,000
    assert budget.exhausted


def test_ten_failures_are_enough_whatever_the_traffic(clock: Any) -> None:
    budget = budget_of(clock, slo=0.999, min_requests=None)
    budget.record(ok=False, n=9)
    assert not budget.exhausted
    budget.record(ok=False)
    assert budget.exhausted


def test_the_success_that_makes_the_requests_enough_may_exhaust_the_budget(clock: Any) -> None:
    budget = budget_of(clock)
    events = told(budget)
    budget.record(ok=False, n=5)
    assert events == []
    budget.record(ok=True, n=5)
    assert events == [("budget_exhausted", "errors")]


# ---- what counts ----


def test_values_are_successes_and_errors_that_on_names_are_failures(clock: Any) -> None:
    budget = budget_of(clock, on=OSError)
    succeed(budget, 2)
    assert isinstance(budget.try_call(raising(OSError())).error, OSError)
    fail(budget)  # not named: the dependency has answered
    assert budget.snapshot().failed_requests == 1
    assert budget.snapshot().total_requests == 4


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()])
def test_cancellations_and_interrupts_do_not_count(clock: Any, error: BaseException) -> None:
    budget = budget_of(clock)
    with pytest.raises(type(error)):
        budget.call(raising(error))
    assert budget.snapshot().total_requests == 0


@pytest.mark.parametrize("counts", [True, False])
def test_a_rejection_by_an_inner_policy_is_a_failure_if_they_count(clock: Any, counts: Any) -> None:
    budget = budget_of(clock, count_rejections=counts)
    closed = hf.CircuitBreaker("closed", clock=clock)
    closed.force_open()
    pipe = hf.Pipeline("pipe", budget, closed)
    assert pipe.try_call(fine).rejection is not None  # RL-08
    assert budget.snapshot().failed_requests == counts
    controlled = hf.Pipeline("controlled", budget, hf.Timeout(1, clock=clock), closed)
    assert controlled.try_call(fine).rejection is not None
    assert budget.snapshot().failed_requests == 2 * counts


async def test_a_wait_that_ends_in_a_rejection_counts_in_a_task_too(clock: Any) -> None:
    budget = budget_of(clock)
    full = hf.Bulkhead("full", max_concurrent=1, max_waiting=1, max_wait=1.0)
    pipe = hf.Pipeline("pipe", budget, full)
    full.enter()

    async def answer() -> str:
        return "answer"

    assert (await pipe.try_acall(answer)).rejection is not None
    assert budget.snapshot().failed_requests == 1
    full.leave()
    assert await pipe.acall(answer) == "answer"
    assert budget.snapshot().total_requests == 2


def test_a_value_that_a_fallback_gives_is_a_success(clock: Any) -> None:
    budget = budget_of(clock)
    pipe = hf.Pipeline("pipe", budget, hf.Fallback("cached"))
    assert pipe.call(outage) == "cached"
    assert pipe.call(fine) == "fine"
    assert budget.snapshot().failed_requests == 0
    assert budget.snapshot().total_requests == 2


def test_a_call_that_is_tried_again_counts_once(clock: Any) -> None:
    budget = budget_of(clock)
    retry = hf.Retry("again", attempts=3, backoff=hf.Constant(0.0), clock=clock)
    pipe = hf.Pipeline("pipe", budget, retry)
    fail(pipe)
    assert budget.snapshot().total_requests == 1


def test_a_result_that_is_a_failure_counts_as_one(clock: Any) -> None:
    budget = budget_of(clock, is_failure=lambda status: status == 500)
    assert budget.call(lambda: 500) == 500
    assert budget.call(lambda: 200) == 200
    assert budget.snapshot().failed_requests == 1


def test_a_coroutine_function_counts_when_it_ends_and_not_when_it_is_called(clock: Any) -> None:
    budget = budget_of(clock)

    async def answer() -> str:
        return "answer"

    coroutine = budget(answer)()
    assert budget.snapshot().total_requests == 0
    assert asyncio.run(coroutine) == "answer"
    assert budget.snapshot().total_requests == 1


# ---- who is told ----


def test_exhaustion_and_recovery_are_told_in_order_and_on_change_only(clock: Any) -> None:
    exhausted: list[hf.Event] = []
    recovered: list[hf.Event] = []
    budget = budget_of(clock, on_exhausted=exhausted.append, on_recovered=recovered.append)
    events = told(budget)
    fail(budget, 20)
    assert len(exhausted) == 1  # EB-04
    clock.advance(101)
    assert not budget.exhausted
    assert [event.kind for event in recovered] == ["budget_recovered"]
    kinds = [kind for kind, _ in events if not kind.startswith("page")]
    assert kinds == ["budget_exhausted", "budget_recovered"]


def test_a_listener_that_records_failures_hears_of_what_they_cause_afterwards(clock: Any) -> None:
    budget = budget_of(clock)
    order: list[str] = []

    def listener(event: hf.Event) -> None:
        order.append(f"begin {event.kind}")
        if event.kind == "budget_exhausted":
            budget.reset()
        order.append(f"end {event.kind}")

    budget.on_event(listener)
    budget.record(ok=False, n=10)
    told_of = [word for word in order if "page" not in word]
    assert told_of[:2] == ["begin budget_exhausted", "end budget_exhausted"]
    assert told_of[2:] == ["begin budget_recovered", "end budget_recovered"]


def test_threads_that_fail_and_recover_at_once_are_told_of_it_in_turns() -> None:
    budget = hf.ErrorBudget("send", slo=0.5, min_requests=1)
    kinds: list[str] = []
    budget.on_event(lambda event: kinds.append(event.kind))  # EB-04, D-EB-4

    def work(ok: bool) -> None:
        for _ in range(300):
            budget.record(ok=ok)

    threads = [threading.Thread(target=work, args=(at % 2 == 0,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    turns = [kind for kind in kinds if kind.startswith("budget")]
    assert turns[::2] == ["budget_exhausted"] * len(turns[::2])
    assert turns[1::2] == ["budget_recovered"] * len(turns[1::2])
    shown = budget.snapshot()
    assert (shown.total_requests, shown.failed_requests) == (1200, 600)
    assert shown.times_exhausted == turns.count("budget_exhausted")


def test_a_forked_child_counts_from_zero(clock: Any) -> None:  # trap 58
    budget = budget_of(clock)
    budget.record(ok=False, n=20)
    pid = os.fork()
    if pid == 0:
        fresh = budget.snapshot().total_requests == 0 and not budget.exhausted
        budget.record(ok=True)
        os._exit(0 if fresh and budget.snapshot().total_requests == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert budget.exhausted


def test_a_reset_empties_the_window_and_tells_of_the_recovery(clock: Any) -> None:
    budget = budget_of(clock)
    events = told(budget)
    budget.record(ok=False, n=20)
    clock.advance(1)
    budget.reset()
    assert ("budget_recovered", "errors") in events
    shown = budget.snapshot()
    assert (shown.total_requests, shown.times_exhausted, shown.pages) == (0, 0, 0)
    assert shown.total_downtime == 0.0


def test_time_without_requests_after_a_failure_is_no_downtime(clock: Any) -> None:  # EB-06
    budget = budget_of(clock)
    budget.record(ok=True)
    budget.record(ok=False)
    clock.advance(60)
    budget.record(ok=False)
    clock.advance(9_940)
    shown = budget.snapshot()
    assert (shown.total_downtime, shown.availability) == (60.0, pytest.approx(0.994))
    budget.record(ok=True)
    assert budget.snapshot().total_downtime == 60.0


def test_failures_before_a_reset_are_no_downtime_after_it(clock: Any) -> None:
    budget = budget_of(clock)
    budget.record(ok=False)
    clock.advance(100)
    budget.reset()
    clock.advance(50)
    budget.record(ok=False)
    clock.advance(10)
    budget.record(ok=False)
    clock.advance(40)
    budget.record(ok=True)
    shown = budget.snapshot()
    assert (shown.total_downtime, shown.availability) == (10.0, pytest.approx(0.9))


def test_only_a_budget_that_may_change_without_traffic_is_watched(clock: Any) -> None:
    budget = budget_of(clock)
    told(budget)
    assert clock.next_due_ns() is None
    budget.record(ok=False)
    assert clock.next_due_ns() is not None
    clock.advance(7 * 3600)
    assert clock.next_due_ns() is None


def test_a_request_counts_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    budget = hf.ErrorBudget("send", slo=0.9, window=3601)
    events = told(budget)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        # The threads of all loops may be running, and a loop of an earlier budget; neither is in a
        # fresh process. That loop would lose its threads, and never end.
        patched.setattr(periodic, "_threads", TimerThreads())
        patched.setattr(watching, "_watches", {})
        budget.record(ok=False, n=20)
        assert budget.exhausted
        assert len(caplog.records) == 1
    assert ("budget_exhausted", "errors") in events
    assert "no thread to look at <ErrorBudget 'send'> without traffic" in caplog.text
    assert not budget._kernel.watch(False)  # so the next failure tries again
    budget.reset()


def test_a_failure_just_as_nobody_looks_any_more_is_looked_at(clock, monkeypatch):
    budget, again = budget_of(clock), []
    events, goes_on = told(budget), hf.ErrorBudget._goes_on

    def goes_on_and_fails(self):
        answer = goes_on(self)
        if not answer and not again:
            again.append(True)
            self.record(ok=False, n=20)
        return answer

    monkeypatch.setattr(hf.ErrorBudget, "_goes_on", goes_on_and_fails)
    budget.record(ok=False, n=20)
    clock.advance(1_000_000)
    assert again
    clock.advance(1_000_000)
    assert events.count(("budget_exhausted", "errors")) == 2
    assert events.count(("budget_recovered", "errors")) == 2


# ---- input ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"slo": 99.9},
            r"slo: got 99.9, allowed a number above 0, up to 1: write 0.999 for 99.9 %",
        ),
        ({"slo": 0}, r"slo: got 0, allowed a number above 0, up to 1: "),
        ({"window": 0}, r"window: got 0, allowed seconds or a timedelta from 1 to"),
        ({"min_requests": 0}, r"min_requests: got 0, allowed"),
        ({"on_exhausted": "drop"}, r"on_exhausted: got 'drop', allowed \"observe\", \"shed\", or"),
        ({"count_rejections": 1}, r"count_rejections: got 1, allowed True or False"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(hf.ConfigError, match=message):
        hf.ErrorBudget("send", **settings)


def test_a_record_of_no_requests_is_refused(clock: Any) -> None:
    budget = budget_of(clock)
    with pytest.raises(hf.ConfigError, match="n: got 0, allowed an integer from 1"):
        budget.record(ok=True, n=0)
    with pytest.raises(hf.ConfigError, match="ok: got 1, allowed True or False"):
        budget.record(ok=1)  # type: ignore[arg-type]
