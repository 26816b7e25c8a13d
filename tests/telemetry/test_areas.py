"""What the parts do is logged, each with the logger of its area, and with no call to log_events."""

import logging

import pytest

import holdfast as hf
from holdfast import chaos, records
from holdfast.chaos import Error
from holdfast.degradation import DegradationManager, Level
from holdfast.health import Check, CheckResult
from tests.policies.calls import OutageError, fine, raising


@pytest.fixture
def log():
    """Log all events until the test ends."""
    end = hf.log_events()
    yield
    end()


def instead():
    return "instead"


def check_of(answers):
    class Scripted(Check):
        def probe(self):
            verdict, message = answers.pop(0)
            return CheckResult(verdict, message)

    return Scripted("db", interval=10, failures=1, successes=1)


def test_checks_are_logged_with_their_time_and_their_error(said, clock):  # LG-05
    answers = [("failed", "password=hunter2\nrefused"), ("passed", "")]
    monitor = hf.HealthMonitor("shop", clock=clock, jitter=0)
    monitor.add(check_of(answers))
    monitor.start()
    clock.advance(10)
    monitor.stop()
    monitor.remove("db")
    who = "health monitor 'shop'"
    found = said()
    assert {area for area, *_ in found} == {"health"}
    told = [(level, text.removeprefix(f"{who}")) for _, level, text in found]
    assert ("INFO", ": check 'db' is registered") in told
    assert ("INFO", " is started") in told
    assert ("WARNING", ": check 'db' failed in 0.000 s: password=*** refused") in told
    assert ("DEBUG", ": check 'db' passed in 0.000 s") in told
    assert ("INFO", ": check 'db' is healthy, and was unhealthy") in told
    assert told.index(("INFO", " is stopped")) < told.index(("INFO", ": check 'db' is removed"))


def test_nothing_of_a_check_is_put_into_words_while_no_logger_takes_it(caplog, clock, monkeypatch):
    caplog.set_level(logging.INFO, "holdfast")
    monitor = hf.HealthMonitor("shop", clock=clock, jitter=0)
    monitor.add(check_of([("passed", "")] * 3))
    monkeypatch.setattr(monitor, "_log_result", raising(AssertionError()), raising=False)
    with monitor:
        clock.advance(20)
    assert "passed in" not in caplog.text


def test_levels_of_components_and_of_the_system_are_logged(said, clock):  # LG-09
    manager = DegradationManager("shop", stable_time=0, clock=clock)
    search = manager.component("search")
    manager.feature("hints", search, up_to=Level.NORMAL)
    search.set(Level.DEGRADED, source="latency", reason="p95 too high")
    assert manager.execute("search", fine, instead) == "instead"
    manager.recover_all()
    assert said() == [
        ("degradation", "INFO", "component 'search' is degraded, and was normal (p95 too high)"),
        ("degradation", "WARNING", "degradation 'shop' is degraded, and was normal"),
        ("degradation", "INFO", "feature 'hints' is off (level)"),
        ("degradation", "DEBUG", "component 'search' is degraded: instead is called instead"),
        ("degradation", "INFO", "component 'search' is normal, and was degraded (recovered)"),
        ("degradation", "INFO", "degradation 'shop' is normal, and was degraded"),
        ("degradation", "INFO", "feature 'hints' is on (level)"),
        ("degradation", "INFO", "degradation 'shop': all components recover"),
    ]


def test_limiters_tell_of_rejections_and_of_their_rates(said, log, clock):  # LG-06
    limiter = hf.AdaptiveRateLimiter("api", rate=10, window=10, target_latency=0.1, clock=clock)
    for _ in range(30):
        limiter.try_call(clock.advance, 0.5)
    changes = [one for one in said() if "changed its rate" in one[2]]
    assert changes[0][:2] == ("limiter", "INFO")
    assert "latency 0.5 s, p95 0.5" in changes[0][2]
    limiter.resize(rate=5, min_rate=1, max_rate=9)
    limiter.reset()
    assert said() == [
        ("limiter", "INFO", "rate limiter 'api' has a rate of 5, from 1 to 9"),
        ("limiter", "INFO", "rate limiter 'api' was reset"),
    ]


def test_bulkheads_tell_of_full_queues_of_waits_in_vain_and_of_slots_given_back_twice(
    said, log, clock
):  # LG-07
    bulkhead = hf.Bulkhead("db", max_concurrent=1, max_waiting=1, max_wait=2, clock=clock)
    with pytest.warns(RuntimeWarning, match="without a slot"):
        bulkhead.leave()
    bulkhead.enter()
    bulkhead.try_call(fine)
    bulkhead.reset()
    bulkhead.resize(3)
    pool = hf.PoolBulkhead("work", workers=1)
    pool.stop()
    pool.stop()
    assert said() == [
        ("bulkhead", "WARNING", "bulkhead 'db' was left without a slot taken"),
        ("bulkhead", "DEBUG", "bulkhead 'db' rejected a call (timeout)"),
        ("bulkhead", "INFO", "bulkhead 'db' was reset"),
        ("bulkhead", "INFO", "bulkhead 'db' has 3 slots"),
        ("bulkhead", "INFO", "pool bulkhead 'work' is stopped"),
    ]


def test_budgets_tell_of_their_exhaustion_of_resets_and_of_their_tracker(said, log, clock):  # LG-08
    budget = hf.ErrorBudget("slo", slo=0.9, min_requests=1, window=60, clock=clock)
    tracker = hf.SloTracker(budget)
    tracker.register(budget)
    for _ in range(3):
        budget.try_call(raising(OutageError()))
    budget.reset()
    text = "error budget 'slo' is exhausted: 100.000% of the requests failed, 10.000% may"
    found = said()
    assert found[:2] == [
        ("budget", "INFO", "SLO tracker: error budget 'slo' is registered"),
        ("budget", "ERROR", text),
    ]
    assert ("budget", "INFO", "error budget 'slo' was reset") in found
    assert any("error budget 'slo' recovered" in text for *_, text in found)


def test_chaos_tells_of_its_switch_of_its_faults_and_of_each_strike(said, monkeypatch):  # LG-10
    monkeypatch.setenv("HOLDFAST_CHAOS", "1")
    fault = Error(OutageError(), name="refuse", probability=1.0)
    fault.set_probability(0.5)
    chaos.enable(seed=3)
    fault.set_probability(1.0)
    for _ in range(7):
        fault.try_call(fine)
    chaos.disable()
    found = said()
    assert [(level, text) for _, level, text in found if "strikes" not in text] == [
        ("INFO", "fault 'refuse' is registered (error)"),
        ("INFO", "fault 'refuse' has the probability 0.5"),
        ("WARNING", "chaos is ENABLED for 300 s, with seed 3"),
        ("INFO", "fault 'refuse' has the probability 1"),
        ("INFO", "chaos is disabled"),
    ]
    assert len([text for *_, text in found if "strikes call" in text]) == 7  # each, without limit
    assert {area for area, *_ in found} == {"chaos"}


def test_timeouts_tell_of_calls_out_of_time_and_of_another_duration(said, log, clock):  # LG-11
    timeout = hf.Timeout(1, clock=clock)
    timeout.try_call(clock.advance, 2)
    timeout.resize(2.5)
    assert said() == [
        ("timeout", "DEBUG", "timeout expired"),
        ("timeout", "INFO", "timeout is 2.5 s"),
    ]


def test_a_log_of_the_programs_own_gets_all_of_it_at_the_levels_it_asks_for(caplog, clock):
    caplog.set_level(logging.DEBUG)
    end = hf.log_events("shop", levels={"system_worse": "ERROR", "component_level": None})
    try:
        DegradationManager("shop", clock=clock).set("search", Level.DEGRADED)
        hf.Timeout(1, clock=clock).resize(2)
    finally:
        end()
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("shop", "ERROR"),
        ("shop", "INFO"),
    ]


def test_without_a_logger_nothing_is_put_into_words(clock, monkeypatch):  # GEN-05
    logging.getLogger("holdfast").setLevel(logging.CRITICAL)
    monkeypatch.setattr(records, "_made", raising(AssertionError()))
    try:
        hf.Timeout(1, clock=clock).resize(2)
        DegradationManager("shop", clock=clock).set("search", Level.DEGRADED)
        hf.CircuitBreaker("b", clock=clock).trip()
    finally:
        logging.getLogger("holdfast").setLevel(logging.NOTSET)


def test_what_cannot_be_put_into_words_changes_no_outcome(said, capsys):
    records.note("resized", "timeout", "t", "%d", "no number")
    assert said() == []
    assert "TypeError" in capsys.readouterr().err
