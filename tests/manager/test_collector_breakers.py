"""Circuit breakers of a collector: its settings, in its own words, and what follows from them."""

import threading

import pytest

import holdfast as hf
from tests.policies.calls import OutageError, fine, outage

SETTINGS = {
    "failure_threshold": 3,
    "success_threshold": 2,
    "timeout": 60.0,
    "max_requests": 4,
    "reset_timeout": 300.0,
}


@pytest.fixture
def recovery(clock):
    return hf.ErrorRecoveryManager("collector", clock=clock)


@pytest.fixture
def breaker(recovery):
    return recovery.register_circuit_breaker("api", **SETTINGS)


@pytest.fixture
def opened(breaker):
    """Return the breaker after as many failures as it takes."""
    fail(breaker, 3)
    assert breaker.state is hf.State.OPEN
    return breaker


def fail(breaker, times):
    for _ in range(times):
        assert isinstance(breaker.try_call(outage).error, OutageError)


def test_without_settings_it_has_those_of_a_collector(recovery):  # CB-12, TS-10
    described = recovery.register_circuit_breaker("bare").describe()
    for words in ("failure_threshold=5", "success_threshold=3", "reset_timeout=60"):
        assert words in described


def test_closed_it_lets_every_call_pass_and_gives_back_what_the_call_does(breaker):  # TS-10
    assert [breaker.call(int, n) for n in range(5)] == list(range(5))
    with pytest.raises(OutageError):
        breaker.call(outage)
    assert breaker.state is hf.State.CLOSED


def test_it_opens_with_the_last_of_so_many_failures_in_a_row(breaker):  # CB-03, TS-10
    fail(breaker, 2)
    breaker.call(fine)
    fail(breaker, 2)
    assert breaker.state is hf.State.CLOSED
    fail(breaker, 1)
    assert breaker.state is hf.State.OPEN


def test_failures_are_forgotten_after_a_while_without_any(breaker, clock):  # CB-09, TS-10
    fail(breaker, 2)
    clock.advance(301)
    fail(breaker, 2)
    assert breaker.state is hf.State.CLOSED


def test_open_it_calls_nothing_and_says_when_it_will(opened, clock):  # CB-02, TS-10
    clock.advance(20)
    called = []
    refused = opened.try_call(called.append, 1).rejection
    assert (called, refused.reason, refused.retry_after) == ([], "open", 40.0)


def test_its_first_call_after_the_timeout_is_a_probe(opened, clock):  # CB-04, TS-10
    clock.advance(59.9)
    assert opened.try_call(fine).rejection is not None
    clock.advance(0.1)
    assert opened.call(fine) == "fine"
    assert opened.state is hf.State.HALF_OPEN


def test_half_open_it_admits_so_many_calls_at_a_time(opened, clock):  # D-C-2, TS-10
    clock.advance(60)
    permits = [opened.acquire() for _ in range(4)]
    with pytest.raises(hf.CircuitOpenError):
        opened.acquire()
    permits[0].ignore()
    opened.acquire().ignore()
    for permit in permits[1:]:
        permit.ignore()


def test_enough_successes_close_it_and_one_failure_opens_it_again(opened, clock):  # CB-05, TS-10
    clock.advance(60)
    opened.call(fine)
    fail(opened, 1)
    assert opened.state is hf.State.OPEN
    clock.advance(59)
    assert opened.try_call(fine).rejection is not None  # the time began anew
    clock.advance(1)
    opened.call(fine)
    opened.call(fine)
    assert opened.state is hf.State.CLOSED


def test_it_is_reset_by_hand(opened):  # CB-18, TS-10
    opened.reset()
    assert opened.call(fine) == "fine"
    assert opened.snapshot().consecutive_failures == 0


def test_its_statistics_are_those_of_a_collector(breaker, clock):  # CB-24, TS-10
    breaker.call(fine)
    clock.advance(5)
    fail(breaker, 3)
    breaker.try_call(fine)
    seen = breaker.snapshot()
    assert (seen.requests, seen.succeeded, seen.failed, seen.rejected) == (5, 1, 3, 1)
    assert seen.state_changes["closed->open"] == sum(seen.state_changes.values()) == 1
    assert seen.last_failure == 5.0


def test_ten_calls_run_at_the_same_time(breaker):  # D-C-1, TS-10
    together = threading.Barrier(10, timeout=30)
    threads = [threading.Thread(target=breaker.call, args=(together.wait,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    assert breaker.state is hf.State.CLOSED  # nobody who looks has to wait
    for thread in threads:
        thread.join(30)
    assert breaker.snapshot().succeeded == 10


def test_a_call_may_use_its_own_breaker(breaker):  # D-C-1, TS-10
    assert breaker.call(lambda: breaker.call(lambda: breaker.state)) is hf.State.CLOSED


def test_no_retry_passes_an_open_breaker_by(recovery, opened):  # D-C-3, TS-10
    recovery.register_retry_policy("api", max_retries=5, base_delay=0.001)
    called = []
    with pytest.raises(hf.CircuitOpenError):
        recovery.execute_with_retry("api", called.append, 1)
    assert called == []


def test_one_exchange_does_not_open_the_breaker_of_another(clock):  # CB-14, CB-25, TS-10
    rm = hf.ResilienceManager("market", presets="collector", clock=clock)
    kraken, binance = (rm.keyed("exchange", name).circuit_breaker for name in ("kraken", "binance"))
    fail(kraken, 20)
    assert (kraken.state, binance.state) == (hf.State.OPEN, hf.State.CLOSED)
    rm.keys("exchange").reset_all()
    assert kraken.state is hf.State.CLOSED


def test_all_breakers_are_shown_with_their_last_failure(recovery, opened, clock):  # ER-05, TS-10
    recovery.register_circuit_breaker("redis")
    clock.advance(7)
    shown = recovery.status()
    assert (shown["api"].state, shown["api"].failures) == (hf.State.OPEN, 3)
    assert (shown["api"].last_failure, shown["api"].retry_after) == (7.0, 53.0)
    assert shown["redis"].state is hf.State.CLOSED


@pytest.mark.parametrize("name", ["failure_threshold", "success_threshold", "max_requests"])
@pytest.mark.parametrize("value", [0, -1, None])
def test_a_number_that_is_none_is_that_of_a_collector(recovery, clock, name, value):  # CB-12, TS-10
    given = {**SETTINGS, name: value}
    default = {"failure_threshold": 5, "success_threshold": 3, "max_requests": 10}[name]
    described = recovery.register_circuit_breaker("api", **given).describe()
    usual = hf.ErrorRecoveryManager("other", clock=clock).register_circuit_breaker(
        "api", **{**SETTINGS, name: default}
    )
    assert described == usual.describe()


@pytest.mark.parametrize("name", ["failure_threshold", "success_threshold", "max_requests"])
@pytest.mark.parametrize("value", [1.5, "3", True])
def test_a_wrong_number_is_refused_and_nothing_registered(recovery, name, value):  # TS-10
    with pytest.raises(hf.ConfigError, match=f"got {value!r}, allowed an integer"):
        recovery.register_circuit_breaker("wrong", **{**SETTINGS, name: value})
    assert "wrong" not in recovery.status()
