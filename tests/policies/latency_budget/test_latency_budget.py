"""Latency budgets through their public face: which calls count, and what they decide."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf


def budget_of(clock: hf.Clock, **settings: Any) -> hf.LatencyBudget:
    return hf.LatencyBudget("send", clock=clock, **{"min_samples": 1, **settings})


def counted(budget: hf.LatencyBudget) -> tuple[int, int]:
    shown = budget.snapshot()
    return shown.recorded, shown.violations


def taking(clock: hf.ManualClock, seconds: float, error: BaseException | None = None) -> Any:
    def call() -> str:
        clock.advance(seconds)
        if error is not None:
            raise error
        return "done"

    return call


# ---- drivers ----


def by_call(budget: hf.Policy, fn: Callable[[], Any]) -> None:
    budget.call(fn)


def by_guard(budget: hf.Policy, fn: Callable[[], Any]) -> None:
    budget(fn)()


def by_try_call(budget: hf.Policy, fn: Callable[[], Any]) -> None:
    budget.try_call(fn)


def by_task(budget: hf.Policy, fn: Callable[[], Any]) -> None:
    async def afn() -> Any:
        await asyncio.sleep(0)
        return fn()

    asyncio.run(budget.acall(afn))


def by_block(budget: hf.LatencyBudget, fn: Callable[[], Any]) -> None:
    with budget:
        fn()


def by_async_block(budget: hf.LatencyBudget, fn: Callable[[], Any]) -> None:
    async def main() -> None:
        async with budget:
            fn()

    asyncio.run(main())


def by_generator(budget: hf.Policy, fn: Callable[[], Any]) -> None:
    @budget
    def items() -> Iterator[Any]:
        yield fn()

    list(items())


def by_permit(budget: hf.LatencyBudget, fn: Callable[[], Any]) -> None:
    with budget.acquire():
        fn()


DRIVERS = [
    by_call, by_guard, by_try_call, by_task, by_block, by_async_block, by_generator, by_permit,
]  # fmt: skip


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize("drive", DRIVERS)
def test_each_way_to_call_counts_how_long_the_call_took(drive, mode, clock):  # LB-01
    budget = budget_of(clock, mode=mode)
    drive(budget, taking(clock, 0.05))
    drive(budget, taking(clock, 0.25))
    assert counted(budget) == (2, 1)
    assert budget.latency(100) == pytest.approx(0.25, rel=0.02)
    assert budget.latency(0) == pytest.approx(0.05, rel=0.02)
    assert budget.exhausted


@pytest.mark.parametrize("drive", DRIVERS)
def test_a_budget_that_is_off_counts_nothing(drive, clock):
    budget = budget_of(clock, mode="off")
    drive(budget, taking(clock, 0.25))
    budget.record(1)
    assert counted(budget) == (0, 0)


# ---- which calls count ----


def test_a_quick_failure_does_not_improve_the_latency(clock):
    budget = budget_of(clock, on=OSError)
    assert not budget.try_call(taking(clock, 0.01, OSError()))
    assert counted(budget) == (0, 0)
    assert not budget.try_call(taking(clock, 0.25, OSError()))
    assert counted(budget) == (1, 1)
    assert not budget.try_call(taking(clock, 0.01, KeyError()))  # the dependency has answered
    assert counted(budget) == (2, 1)


def test_a_call_that_ran_into_a_timeout_counts_with_the_time_that_the_caller_waited(clock):
    budget = budget_of(clock)
    pipe = hf.Pipeline("p", budget, hf.Timeout(2, clock=clock))
    assert not pipe.try_call(taking(clock, 3))
    assert budget.latency(100) == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()])
def test_interrupted_and_cancelled_calls_do_not_count(error, clock):
    budget = budget_of(clock)
    with suppress(BaseException):
        budget.call(taking(clock, 9, error))
    permit = budget.acquire()
    permit.ignore()
    budget.acquire()  # and nobody says how it ended
    assert counted(budget) == (0, 0)


def test_a_rejected_call_does_not_count(clock):
    budget = budget_of(clock)
    breaker = hf.CircuitBreaker("c", clock=clock)
    breaker.force_open()
    pipe = hf.Pipeline("p", budget, breaker)
    assert pipe.try_call(taking(clock, 9)).rejection
    assert counted(budget) == (0, 0)


def test_attempts_pauses_and_waits_are_part_of_what_the_caller_waited_for(clock):
    budget = budget_of(clock)
    retry = hf.Retry("r", attempts=3, backoff=hf.Constant(1), on=OSError, clock=clock)
    limiter = hf.RateLimiter("l", rate=1, burst=1, per=4, max_wait=60, clock=clock)
    outcomes = iter([OSError(), OSError(), None])
    pipe = hf.Pipeline("p", budget, retry, limiter)
    pipe.call(lambda: taking(clock, 0.5, next(outcomes))())
    assert counted(budget) == (1, 1)
    assert budget.latency(100) == pytest.approx(8.5, rel=0.02)  # tokens come every four seconds


def test_what_a_fallback_gives_counts_as_the_result_of_the_call(clock):
    budget = budget_of(clock)
    pipe = hf.Pipeline("p", budget, hf.Fallback("cached", clock=clock))
    pipe.call(taking(clock, 0.01, OSError()))
    assert counted(budget) == (1, 0)


def test_inside_of_a_retry_each_attempt_counts(clock):
    budget = budget_of(clock)
    retry = hf.Retry("r", attempts=3, backoff=hf.Constant(1), on=OSError, clock=clock)
    hf.Pipeline("p", retry, budget).try_call(taking(clock, 0.5, OSError()))
    assert counted(budget) == (3, 3)
    assert budget.latency(100) == pytest.approx(0.5, rel=0.02)


# ---- decisions ----


def test_it_is_exhausted_when_the_percentile_of_the_last_calls_is_above_the_target(clock):  # LB-01
    budget = budget_of(clock, target=timedelta(milliseconds=100), samples=100, min_samples=20)
    for _ in range(95):
        budget.record(0.1)
    for _ in range(5):
        budget.record(0.2)
    assert not budget.exhausted
    assert budget.latency() <= 0.1
    budget.record(0.2)
    shown = budget.snapshot()
    assert (shown.budget_exhausted, shown.total_requests) == (True, 100)
    assert (shown.exceeding_requests, shown.allowed_requests) == (6, 5)
    assert shown.current_latency > shown.target_latency == 0.1
    assert shown.compliance_rate == budget.compliance == pytest.approx(0.94)


@pytest.mark.parametrize(
    ("percentile", "least"),
    [(0, 10), (50, 10), (90, 10), (95, 20), (99, 100), (99.9, 1000), (99.99, 1000), (100, 10)],
)
def test_it_wants_as_many_calls_as_it_takes_for_one_to_be_above_the_percentile(
    percentile, least, clock
):  # trap 30
    budget = hf.LatencyBudget("b", percentile=percentile, clock=clock)
    for _ in range(least - 1):
        budget.record(1)
    assert not budget.exhausted
    budget.record(1)
    assert budget.exhausted


def test_percentiles_are_in_percent_everywhere(clock):  # D-LB-1
    budget = budget_of(clock, samples=100)
    for n in range(1, 101):
        budget.record(n / 100)
    for percentile in (0, 1, 50, 95, 99.5, 100):
        exact = max(1, -(-percentile // 1)) / 100
        assert budget.latency(percentile) == pytest.approx(exact, rel=0.02)


def test_a_reset_forgets_calls_and_counts_and_tells_of_the_recovery(clock):
    budget = budget_of(clock)
    seen: list[hf.Event] = []
    budget.on_event(seen.append)
    budget.record(1)
    budget.reset()
    assert [event.kind for event in seen] == ["budget_exhausted", "budget_recovered"]
    assert not budget.exhausted
    assert counted(budget) == (0, 0)
    assert (budget.compliance, budget.latency()) == (1.0, None)
    budget.record(1)
    assert (counted(budget), budget.snapshot().times_exhausted) == ((1, 1), 1)


# ---- events ----


def test_only_changes_are_events_each_with_the_latency_and_the_target(clock):  # EB-04
    budget = budget_of(clock, samples=4)
    seen: list[hf.Event] = []
    budget.on_event(seen.append)
    for _ in range(3):
        budget.call(taking(clock, 0.5))
    for _ in range(8):
        budget.record(0.01)
    exhausted, recovered = seen
    assert (exhausted.kind, exhausted.reason, exhausted.old) == ("budget_exhausted", "latency", 0.1)
    assert exhausted.new == pytest.approx(0.5, rel=0.02)
    assert exhausted.at == 0.5
    assert (recovered.kind, recovered.new) == ("budget_recovered", pytest.approx(0.01, rel=0.02))


def test_a_turn_that_a_listener_causes_is_told_after_the_one_that_it_was_told_of(clock):
    budget = budget_of(clock, samples=1)
    seen: list[tuple[str, str]] = []

    def make_fast(event: hf.Event) -> None:
        seen.append(("first", event.kind))
        if event.kind == "budget_exhausted":
            budget.record(0)

    budget.on_event(make_fast)
    budget.on_event(lambda event: seen.append(("second", event.kind)))
    budget.record(1)
    assert seen == [
        ("first", "budget_exhausted"), ("second", "budget_exhausted"),
        ("first", "budget_recovered"), ("second", "budget_recovered"),
    ]  # fmt: skip


def test_an_interruption_by_a_listener_is_raised_and_keeps_the_error_of_the_call(clock):
    budget = budget_of(clock)
    error = OSError()

    def interrupt(event: hf.Event) -> None:
        raise KeyboardInterrupt

    budget.on_event(interrupt)
    with pytest.raises(KeyboardInterrupt) as raised:
        budget.call(taking(clock, 1, error))
    assert raised.value.__context__ is error
    assert budget.exhausted


def test_budgets_have_records_of_their_own_in_the_log(clock, caplog):  # LG-08
    budget = budget_of(clock, samples=1)
    with caplog.at_level("DEBUG", "holdfast"):
        end = hf.log_events()
        budget.record(0.25)
        budget.record(0.05)
        end()
    (first, second) = [record for record in caplog.records if "budget" in record.message]
    assert first.levelname == "ERROR"
    assert first.message.startswith("latency budget 'send' is exhausted: 0.2")
    assert first.message.endswith(" s, target 0.1 s")
    assert second.levelname == "INFO"
    assert second.message.startswith("latency budget 'send' recovered: 0.0")


# ---- settings ----


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"percentile": 0.95}, "got 0.95, allowed a number from 0 to 100, in percent; write 95"),
        ({"percentile": 0.999}, "write 99.9"),
        ({"percentile": 101}, "percentile: got 101, allowed a number from 0 to 100"),
        ({"percentile": float("nan")}, "percentile: got nan, allowed a number from 0 to 100"),
        ({"percentile": "95"}, "percentile: got '95', allowed a number from 0 to 100"),
        ({"target": 0}, "target: got 0, allowed seconds or a timedelta from 1e-09 to 3153600000"),
        ({"samples": 0}, "samples: got 0, allowed an integer from 1 to 100000"),
        ({"samples": 5, "min_samples": 6}, "min_samples: got 6, allowed an integer from 1 to 5"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_with_what_is_allowed(settings, says):  # D-LB-1
    with pytest.raises(hf.ConfigError) as raised:
        hf.LatencyBudget("b", **settings)
    assert says in str(raised.value)


def test_durations_by_hand_are_seconds_or_a_timedelta(clock):
    budget = budget_of(clock)
    budget.record(timedelta(seconds=2))
    assert budget.latency() == pytest.approx(2, rel=0.02)
    for wrong in (-1, None, "1", float("inf")):
        with pytest.raises(hf.ConfigError, match="seconds"):
            budget.record(wrong)
    with pytest.raises(hf.ConfigError, match="percentile"):
        budget.latency(0.5)


def test_a_shared_budget_is_found_by_its_name_and_settings(clock):
    budget = budget_of(clock, shared=True)
    assert budget_of(clock, shared=True) is budget
    assert hf.registry.get("latency_budget", "send") is budget
    with pytest.raises(hf.ConfigError, match="percentile"):
        budget_of(clock, shared=True, percentile=99)


def test_the_repr_says_how_many_calls_exceed_the_target(clock):
    budget = budget_of(clock)
    assert repr(budget) == "<LatencyBudget 'send' 0 of 0 above 0.1 s>"
    budget.record(1)
    assert repr(budget) == "<LatencyBudget 'send' exhausted, 1 of 1 above 0.1 s>"
