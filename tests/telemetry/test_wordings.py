"""The log in the words and at the levels of a collector of market data."""

import asyncio

import pytest

import holdfast as hf
from holdfast.degradation import DegradationMode, gather_or_sequential
from tests.policies.calls import OutageError, fine, raising


@pytest.fixture
def log():
    """Begin logs that end with the test."""
    ends = []

    def begin(*args, **settings):
        ends.append(hf.log_events(*args, **settings))
        return ends[-1]

    yield begin
    for end in ends:
        end()


outage = raising(OutageError("password=hunter2"))


def test_a_breaker_tells_of_each_change_each_rejection_and_each_call(said, log, clock):  # LG-13
    breaker = hf.CircuitBreaker(
        "api", failure_threshold=1, success_threshold=1, reset_timeout=30, clock=clock
    )
    log(words="collector")
    breaker.try_call(outage)
    breaker.try_call(fine)
    clock.advance(30)
    breaker.try_call(fine)
    who = "circuit breaker 'api'"
    why = "1 failure, last tests.policies.calls.OutageError: password=***"
    changed = f"Circuit breaker state changed: {who}"
    assert said() == [
        ("breaker", "INFO", f"{changed} opened: {why}; retry in 30.000 s"),
        ("breaker", "WARNING", f"{who} operation failed (OutageError)"),
        ("breaker", "WARNING", f"{who} rejected a call (open); retry in 30.000 s"),
        ("breaker", "INFO", f"{changed} is half-open: reset timeout"),
        ("breaker", "INFO", f"{changed} closed: probes succeeded"),
        ("breaker", "DEBUG", f"{who} operation successful"),
    ]


def test_a_retry_tells_of_failed_attempts_of_what_it_saved_and_of_the_end(said, log, clock):
    # LG-13
    retry = hf.Retry("api", attempts=2, backoff=hf.Constant(3), clock=clock, on=Exception)
    log(words="collector")
    retry.try_call(outage)
    calls = iter([outage, fine])
    retry.call(lambda: next(calls)())
    again = "starts attempt 2 in 3.000 s, after OutageError"
    assert said() == [
        ("retry", "WARNING", f"Operation failed, retrying: retry 'api' {again}"),
        (
            "retry",
            "ERROR",
            "Operation failed after all retries: retry 'api' gave up after 2 attempts (exhausted)",
        ),
        ("retry", "WARNING", f"Operation failed, retrying: retry 'api' {again}"),
        (
            "retry",
            "INFO",
            "Operation recovered after retry: retry 'api' recovered after 2 attempts",
        ),
    ]


def test_who_gave_up_for_another_reason_has_not_made_all_retries(said, log, clock):
    retry = hf.Retry(
        "api", attempts=5, backoff=hf.Constant(3), max_time=1, clock=clock, on=Exception
    )
    log(words="collector")
    retry.try_call(outage)
    assert said() == [("retry", "ERROR", "retry 'api' gave up after 1 attempts (out_of_time)")]


def test_an_operation_with_all_of_it_is_logged_by_the_name_of_its_manager(said, log):
    # LG-13, D-C-3
    log(words="collector")
    rm = hf.ResilienceManager("market", presets="collector", clock=hf.ManualClock())
    said()
    rm.keyed("exchange", "kraken").try_call(raising(ConnectionError()))
    levels = [(level, text.partition(":")[0]) for _, level, text in said()]
    failed = ("WARNING", "circuit breaker 'market/exchange' operation failed (ConnectionError)")
    retried = ("WARNING", "Operation failed, retrying")
    gave_up = ("ERROR", "Operation failed after all retries")
    assert levels == [failed, retried, failed, retried, failed, retried, failed, gave_up]


def test_timeouts_tell_of_operations_that_complete_time_out_and_are_cancelled(said, clock):  # LG-13
    timeouts = hf.TimeoutManager("market", {"api_call": 10}, clock=clock)
    timeouts.operation("api_call", "first").call(clock.advance, 2)
    with pytest.raises(hf.DeadlineExceededError):
        timeouts.operation("api_call", "second").call(clock.advance, 11)
    third = timeouts.operation("api_call", "third").begin()
    clock.advance(1)
    third.cancel()
    fourth = timeouts.operation("api_call", "fourth").begin()
    clock.advance(11)
    assert not fourth.complete()
    assert said() == [
        ("timeout", "DEBUG", "market: operation 'first' (api_call) completed after 2 s"),
        ("timeout", "WARNING", "market: operation 'second' (api_call) timed out after 11 s"),
        ("timeout", "INFO", "market: operation 'third' (api_call) was cancelled after 1 s"),
        ("timeout", "WARNING", "market: operation 'fourth' (api_call) timed out after 11 s"),
    ]


def test_an_operation_whose_part_was_out_of_time_has_itself_completed(said, clock):
    timeouts = hf.TimeoutManager("market", {"api_call": 10, "backfill": 60}, clock=clock)
    with (
        pytest.raises(hf.DeadlineExceededError),
        timeouts.operation("backfill", "outer"),
        timeouts.operation("api_call", "inner"),
    ):
        clock.advance(11)
    assert [(level, text.split("'")[1]) for _, level, text in said()] == [
        ("WARNING", "inner"),
        ("DEBUG", "outer"),
    ]


def test_operations_of_tasks_tell_the_same(said):  # LG-13
    timeouts = hf.TimeoutManager("market", {"api_call": 0.01})

    async def late():
        await asyncio.sleep(20)

    async def in_a_block():
        async with timeouts.operation("api_call", "third"):
            await late()

    asyncio.run(timeouts.operation("api_call", "first", timeout=20).acall(asyncio.sleep, 0))
    for work in (timeouts.operation("api_call", "second").acall(late), in_a_block()):
        with pytest.raises(hf.DeadlineExceededError):
            asyncio.run(work)
    told = [(level, text.split("'")[1]) for area, level, text in said() if area == "timeout"]
    assert told == [("DEBUG", "first"), ("WARNING", "second"), ("WARNING", "third")]


def test_too_many_operations_are_warned_of_word_for_word(said, clock):  # LG-13
    timeouts = hf.TimeoutManager("market", {"api_call": 90}, warn_above=1, clock=clock)
    operations = [timeouts.operation("api_call").begin() for _ in range(2)]
    with timeouts:
        pass
    assert [text for _, level, text in said() if level == "WARNING"] == [
        (
            "market: High number of active operations detected: 2, more than 1 (2 api_call); "
            "the oldest since 0 s"
        )
    ]
    assert not any(operation.active for operation in operations)


def test_going_on_one_by_one_and_degraded_mode_are_told(said):  # LG-13, DG-09
    mode = DegradationMode()
    gather_or_sequential([outage, fine], name="symbols", max_concurrent=1)
    mode.enable()
    gather_or_sequential([fine], name="symbols", mode=mode)
    mode.disable()
    assert said() == [
        (
            "degradation",
            "WARNING",
            (
                "symbols: falling back to sequential: 1 of 2 calls failed; "
                "calls that have not succeeded run one by one"
            ),
        ),
        ("degradation", "WARNING", "degraded mode is on: gathered calls run one by one"),
        ("degradation", "DEBUG", "symbols: degraded mode is on: calls run one by one"),
        ("degradation", "INFO", "degraded mode is off"),
    ]


def test_levels_that_are_given_count_more_than_those_of_the_words(said, log, clock):
    log(words="collector", levels={"call_failed": None, "rejection": "ERROR"})
    breaker = hf.CircuitBreaker("api", failure_threshold=1, clock=clock)
    breaker.try_call(outage)
    breaker.try_call(fine)
    assert [level for _, level, _ in said()] == ["INFO", "ERROR"]


def test_the_usual_words_tell_of_no_call_unless_they_are_asked_to(said, log, clock):
    breaker = hf.CircuitBreaker("api", clock=clock)
    log()
    breaker.try_call(outage)
    breaker.try_call(fine)
    assert said() == []
    end = log(levels={"call_failed": "ERROR"})
    breaker.try_call(outage)
    breaker.try_call(fine)
    assert said() == [("breaker", "ERROR", "circuit breaker 'api' operation failed (OutageError)")]
    end()
    breaker.try_call(outage)
    assert said() == []


def test_a_call_is_told_to_all_logs_and_costs_nothing_when_the_last_has_ended(said, log, clock):
    breaker = hf.CircuitBreaker("api", clock=clock)
    first = log("holdfast.first", words="collector")
    second = log("holdfast.second", levels={"call_succeeded": "INFO"})
    breaker.call(fine)
    assert [(area, level) for area, level, _ in said()] == [("first", "DEBUG"), ("second", "INFO")]
    assert breaker._tells == 3
    first()
    assert breaker._tells == 2
    second()
    assert breaker._tells == 0


def test_the_words_are_checked():
    with pytest.raises(
        hf.ConfigError, match="words: got 'celery', allowed one of 'holdfast', 'coll"
    ):
        hf.log_events(words="celery")


def test_a_high_count_and_a_failed_clean_up_of_resources_are_told(said, clock):  # LG-13
    resources = hf.ResourceManager("market", limits={"file": 5}, clock=clock)
    for name in "abcde":
        resources.register(name, "file", outage if name == "e" else None)
    resources.cleanup("e")
    resources.stop()
    told = [(level, text.partition(":")[0]) for _, level, text in said() if level != "DEBUG"]
    assert told == [("WARNING", "High resource count"), ("ERROR", "Resource cleanup failed")]


def test_a_leak_is_told_with_the_place_where_it_was_registered(said, clock):  # LG-13
    with hf.ResourceManager("market", clock=clock) as resources:
        resources.register("a", "file")
        clock.advance(901)
        leaks = [one for one in said() if one[1] == "WARNING"]
    [(area, _, text)] = leaks
    assert area == "resources"
    assert text.startswith("Resource leak suspected: file 'a' of resource manager 'market'")
    assert "test_wordings.py" in text
