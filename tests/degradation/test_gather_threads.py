"""Calls in threads that are made together, and one by one where that fails."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import errno
import logging
import threading
from typing import Any

import pytest

import holdfast as hf
from holdfast.degradation import GatherError, gather_or_sequential
from holdfast.degradation.gather_threads import _face
from holdfast.waiting.standstill import _warned
from tests.degradation.calls import Watched
from tests.waiting.parties import LIMIT, Party, until

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")


@pytest.fixture
def clock() -> hf.ManualClock:
    """A clock that no wait moves."""
    return hf.ManualClock(auto=False)


@pytest.fixture
def seen() -> Watched:
    return Watched()


def down(n: int = 1) -> ConnectionError:
    return ConnectionError(f"down {n}")


def test_calls_run_at_the_same_time_up_to_the_limit_and_answer_in_order(seen):  # DG-08, ER-07
    meet = threading.Barrier(3)

    def call(n: int) -> Any:
        def run() -> int:
            seen.begin(n)
            meet.wait(LIMIT)
            seen.end(n)
            return n

        return run

    report = gather_or_sequential([call(n) for n in range(6)], max_concurrent=3)
    assert report.values == [0, 1, 2, 3, 4, 5]
    assert seen.most == 3
    assert report.switched is None
    assert report.concurrent == (0, 1, 2, 3, 4, 5)
    assert [call.runs for call in report] == [1] * 6


def test_no_calls_give_an_empty_report():
    assert gather_or_sequential([]).values == []


def test_fewer_failures_than_half_stand_and_nothing_is_repeated(seen):  # DG-08
    calls = [seen.call(0, down()), *(seen.call(n, n) for n in (1, 2))]
    report = gather_or_sequential(calls)
    assert report.switched is None
    assert report.successes == {1: 1, 2: 2}
    assert list(report.errors) == [0]
    assert len(seen.begun) == 3


def test_at_half_the_calls_failed_the_rest_runs_one_by_one_and_successes_stay(seen):  # DG-08
    calls = [
        seen.call("good", "kept"),
        seen.call("bad", down(), "later"),
        seen.call("worse", down(), "last"),
        seen.call("unbegun", "new"),
    ]
    report = gather_or_sequential(calls, max_concurrent=1)
    assert report.switched == "failure_rate"
    assert report.values == ["kept", "later", "last", "new"]
    assert seen.begun.count("good") == 1
    assert (report.concurrent, report.sequential) == ((0,), (1, 2, 3))
    assert seen.most == 1


def test_no_call_runs_alone_before_the_concurrent_ones_have_ended(seen):  # D-C-12
    go, both = threading.Event(), threading.Barrier(2)

    def fails_once_beside_the_slow() -> Any:
        if "bad" not in seen.begun:
            both.wait(LIMIT)
        return bad()

    def slow() -> Any:
        both.wait(LIMIT)
        return held()

    bad, held = seen.call("bad", down(), "good"), seen.call("slow", "slow", go=go)
    calls = [fails_once_beside_the_slow, slow]
    party = Party(lambda: gather_or_sequential(calls, max_concurrent=2))
    until(lambda: "bad" in seen.ended and "slow" in seen.begun)
    assert seen.begun.count("bad") == 1
    go.set()
    report = party.result()
    assert report.values == ["good", "slow"]
    assert report[1].runs == 1  # its success was kept
    assert seen.alone["bad"]


def test_a_call_that_outlives_the_grace_is_never_repeated_beside_itself(seen, clock):  # D-C-12
    go = threading.Event()
    calls = [seen.call("slow", 1, go=go), seen.call("bad", down(), 2)]
    party = Party(lambda: gather_or_sequential(calls, grace=5, clock=clock))
    until(lambda: len(seen.begun) == 2 and clock._callbacks)
    clock.advance(5)
    report = party.result()
    assert report[0].still_running
    assert isinstance(report[0].error, TimeoutError)
    assert report[1].value == 2
    assert seen.begun.count("slow") == 1
    go.set()
    until(lambda: "slow" in seen.ended)


def test_a_call_that_ends_while_others_run_alone_keeps_its_success(seen, clock):
    go = threading.Event()

    def again() -> str:
        go.set()
        until(lambda: "slow" in seen.ended)
        until(lambda: not any(t.name.startswith("holdfast-late") for t in threading.enumerate()))
        return "again"

    calls = [seen.call("slow", "late", go=go), seen.call("bad", down(), "unused")]
    runs = iter([calls[1], again])
    party = Party(
        lambda: gather_or_sequential(
            [calls[0], lambda: next(runs)()], grace=5, clock=clock, name="late"
        )
    )
    until(lambda: "bad" in seen.ended and clock._callbacks)
    clock.advance(5)
    assert party.result().values == ["late", "again"]


def test_calls_that_take_too_long_go_on_one_by_one(seen, clock):  # DG-08
    slow_go = threading.Event()
    calls = [seen.call("a", 1), seen.call("b", 2, go=slow_go), seen.call("c", 3)]
    party = Party(lambda: gather_or_sequential(calls, max_concurrent=2, timeout=3, clock=clock))
    until(lambda: len(seen.ended) == 2 and clock._callbacks)
    clock.advance(3)
    until(lambda: clock.next_due_ns() == 8 * 10**9)  # the end of the grace
    slow_go.set()
    report = party.result()
    assert report.values == [1, 2, 3]
    assert report.switched == "timeout"


def test_calls_find_the_end_of_the_concurrent_phase_as_their_deadline(clock):
    report = gather_or_sequential([hf.deadline] * 2, timeout=3, clock=clock)
    assert report.values == [3.0, 3.0]


def test_calls_have_the_deadline_and_the_context_of_the_caller(clock):
    var.set("callers")
    calls = [lambda: (var.get(), hf.deadline())] * 2

    def gathered(**settings: Any) -> Any:
        return hf.Timeout(2, clock=clock).call(
            lambda: gather_or_sequential(calls, clock=clock, **settings).values
        )

    assert gathered() == [("callers", 2.0)] * 2
    assert gathered(timeout=9) == [("callers", 2.0)] * 2
    assert gathered(mode=degraded()) == [("callers", 2.0)] * 2


def degraded() -> Any:
    from holdfast.degradation import DegradationMode

    return DegradationMode(enabled=True)


def test_without_time_nothing_is_started_one_by_one(seen, clock):  # DG-08, D-C-12
    go = threading.Event()
    calls = [seen.call("slow", 1, go=go), seen.call("bad", down(), 2)]
    timeout = hf.Timeout(4, clock=clock)
    party = Party(lambda: timeout.call(lambda: gather_or_sequential(calls, clock=clock)))
    until(lambda: len(seen.ended) == 1 and clock._callbacks)
    clock.advance(4)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()
    go.set()
    until(lambda: len(seen.ended) == 2)
    assert sorted(seen.begun) == ["bad", "slow"]


def test_the_deadline_of_the_caller_ends_a_concurrent_phase_too(seen, clock):
    go = threading.Event()
    timeout = hf.Timeout(4, clock=clock)
    call = seen.call("slow", 1, go=go)
    party = Party(
        lambda: timeout.call(lambda: gather_or_sequential([call], timeout=9, clock=clock))
    )
    until(lambda: seen.begun and clock._callbacks)
    clock.advance(4)
    with pytest.raises(hf.DeadlineExceededError):
        party.result()
    go.set()
    until(lambda: seen.ended)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.EMFILE, "too many"), RuntimeError("can't start new thread")],
)
def test_one_exhausted_resource_is_enough(seen, error):  # DG-08
    calls = [seen.call(0, error, 0), *(seen.call(n, n) for n in range(1, 9))]
    report = gather_or_sequential(calls, max_concurrent=1)
    assert report.switched == "resource"
    assert report.values == list(range(9))
    assert seen.begun.count(0) == 2


def test_where_no_thread_can_be_started_all_run_in_the_callers(seen, monkeypatch):  # DG-08
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    report = gather_or_sequential([seen.call(n, n) for n in range(3)])
    assert report.switched == "resource"
    assert report.values == [0, 1, 2]
    assert [call.runs for call in report] == [1, 1, 1]


def test_a_cancelled_call_is_repeated_alone(seen):  # DG-08
    cancelled = concurrent.futures.CancelledError()
    calls = [seen.call(0, cancelled, 0), *(seen.call(n, n) for n in range(1, 5))]
    report = gather_or_sequential(calls, max_concurrent=1)
    assert report.switched == "cancelled"
    assert report.values == [0, 1, 2, 3, 4]


def test_a_cancellation_that_a_call_raises_alone_stands_in_the_report(seen):
    calls = [seen.call(0, asyncio.CancelledError()), seen.call(1, 1)]
    report = gather_or_sequential(calls)
    assert isinstance(report[0].error, asyncio.CancelledError)
    assert (report[0].how, report[1].value) == ("sequential", 1)


async def test_it_warns_that_it_blocks_an_event_loop():
    _warned.discard(_face)  # as in a process that has not
    with pytest.warns(RuntimeWarning, match="'await agather_or_sequential\\(\\)'"):
        gather_or_sequential([lambda: 1])


def test_errors_that_are_not_named_stand_and_do_not_count(seen):
    calls = [seen.call(0, ValueError(), "never"), seen.call(1, down(), 1), seen.call(2, 2)]
    report = gather_or_sequential(calls, on="transient", failure_rate=0.3)
    assert report.switched == "failure_rate"
    assert (report[0].how, report[0].runs) == ("concurrent", 1)
    assert report.successes == {1: 1, 2: 2}


def test_ignored_errors_stand(seen):
    calls = [seen.call(n, ValueError(), "never") for n in range(3)]
    report = gather_or_sequential(calls, ignore=ValueError, min_successes=0)
    assert (report.switched, len(report.errors), len(seen.begun)) == (None, 3, 3)


def test_a_predicate_that_raises_is_the_error_of_the_call(seen):
    def broken(_error: Exception) -> bool:
        raise LookupError("predicate")

    report = gather_or_sequential([seen.call(0, down(), 0)], on=broken, min_successes=0)
    assert isinstance(report[0].error, LookupError)


def test_too_few_possible_successes_are_a_reason_to_go_on_one_by_one(seen):  # ER-07
    calls = [seen.call(0, down(), 0), *(seen.call(n, n) for n in range(1, 9))]
    assert gather_or_sequential(calls, min_successes=8).switched is None
    calls[0] = seen.call(0, down(), 0)
    report = gather_or_sequential(calls, min_successes=9)
    assert (report.switched, report.ok) == ("min_successes", True)


def test_too_few_successes_in_the_end_raise_all_errors(seen):  # ER-03, ER-07
    calls = [seen.call(0, down(0)), seen.call(1, down(1)), seen.call(2, 2)]
    with pytest.raises(GatherError, match="gather: 2 of 3 calls failed") as raised:
        gather_or_sequential(calls, min_successes=2)
    assert [str(error) for error in raised.value.exceptions] == ["down 0", "down 1"]
    assert raised.value.report.successes == {2: 2}
    assert raised.value.split(ConnectionError)[1] is None


def test_values_of_a_report_with_failures_raise_all_errors(seen):
    report = gather_or_sequential([seen.call(0, down()), seen.call(1, 1), seen.call(2, 2)])
    with pytest.raises(GatherError):
        _ = report.values


def test_each_call_goes_through_the_policy_both_ways(seen):
    breaker = hf.CircuitBreaker("b", failure_threshold=9)
    gather_or_sequential([seen.call(n, down(), n) for n in range(2)], policy=breaker)
    admitted = breaker.snapshot()
    assert (admitted.failed, admitted.succeeded) == (len(seen.begun) - 2, 2)


def test_calls_that_a_policy_rejects_side_by_side_are_admitted_one_by_one():
    house = hf.Bulkhead("one", max_concurrent=1)
    meet, seen = threading.Event(), Watched()
    first = seen.call("first", "first", go=meet)

    def second() -> str:
        seen.begin("second")
        seen.end("second")
        return "second"

    with house:  # so that both are rejected
        party = Party(lambda: gather_or_sequential([first, second], policy=house, grace=0))
        until(lambda: house.snapshot().rejected >= 1)
        with pytest.raises(GatherError):
            party.result()
    meet.set()
    assert gather_or_sequential([first, second], policy=house).values == ["first", "second"]


def test_what_ends_the_program_ends_the_gathering(seen):
    calls = [seen.call(0, KeyboardInterrupt()), *(seen.call(n, n) for n in range(1, 5))]
    with pytest.raises(KeyboardInterrupt):
        gather_or_sequential(calls, max_concurrent=1)
    assert 4 not in seen.begun[2:] or len(seen.begun) <= 5
    with pytest.raises(SystemExit):
        gather_or_sequential([seen.call(0, down(), SystemExit(1))])


def test_no_thread_is_left(seen):
    gather_or_sequential([seen.call(n, down(), n) for n in range(5)], name="gone")
    until(lambda: not any(t.name.startswith("holdfast-gone") for t in threading.enumerate()))


def test_the_switch_is_logged_with_its_reason(seen, caplog):
    with caplog.at_level(logging.WARNING, "holdfast"):
        gather_or_sequential([seen.call(0, down(), 0)], name="symbols")
    assert caplog.messages == [
        (
            "symbols: falling back to sequential: 1 of 1 calls failed; "
            "calls that have not succeeded run one by one"
        )
    ]


def test_all_that_is_wrong_with_the_arguments_is_named():
    async def coroutine() -> None: ...

    with pytest.raises(hf.ConfigError) as raised:
        gather_or_sequential(
            [coroutine],  # type: ignore[list-item]
            max_concurrent=0,
            failure_rate=1.5,
            min_successes=2,
            on=(),
            timeout=-1,
            grace=float("nan"),
            policy="p",  # type: ignore[arg-type]
            mode=True,  # type: ignore[arg-type]
            name="",
        )
    fields = [problem.partition(":")[0] for problem in raised.value.problems]
    assert fields == [
        *("calls[0]", "max_concurrent", "failure_rate", "min_successes", "on", "timeout"),
        *("grace", "policy", "mode", "name"),
    ]
    assert "agather_or_sequential" in raised.value.problems[0]
    with pytest.raises(hf.ConfigError, match="calls: got 7, allowed a list"):
        gather_or_sequential(7)  # type: ignore[arg-type]


def test_a_call_that_returns_a_coroutine_has_failed_and_not_succeeded():
    async def fetch():
        raise AssertionError("nobody awaits it")

    with pytest.raises(GatherError, match=r"call 0: TypeError: .* use agather_or_sequential\(\)"):
        gather_or_sequential([lambda: fetch()])


def test_the_text_of_too_few_successes_names_the_first_error(seen):  # ER-03
    calls = [seen.call(0, 0), seen.call(1, down(1)), seen.call(2, down(2))]
    with pytest.raises(
        GatherError, match=r"2 of 3 calls failed.*; call 1: ConnectionError: down 1"
    ):
        gather_or_sequential(calls, min_successes=2)
