"""Exchanges that are real processes, and a collector of them, while one of them is taken down."""

import os
import threading
import time

import pytest

from examples.market_collector.market import symbols_of, ticker_at
from tests.examples.market_collector.parts import Settings
from tests.examples.market_collector.running import running

LONG = 60.0  # seconds: a test that waits so long has failed
NAMES = ("alpha", "beta", "gamma")


def until(is_so):
    """Wait until something is so."""
    end = time.monotonic() + LONG
    while not is_so():
        assert time.monotonic() < end, "it has not become so"
        time.sleep(0.02)


class Quick(Settings):
    """Settings with which an outage is noticed, and its end, within a second or two."""

    def preset(self):
        breaker = {"failure_threshold": 5, "timeout": 0.5, "success_threshold": 1}
        return super().preset().but(circuit_breakers={"exchange": breaker})


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    settings = Quick(api_call=1.0, concurrent_op=2.0, worker_collection=3.0)
    folder = tmp_path_factory.mktemp("stage")
    with running(folder, settings, NAMES, interval=0.2, backfill_interval=0.5) as stage:
        yield stage
    assert stage.collector.resources.count() == 0


HARMS = {
    "down": (lambda exchange: exchange.stop(), lambda exchange: exchange.start()),
    "frozen": (lambda exchange: exchange.freeze(), lambda exchange: exchange.thaw()),
    "failing": (lambda exchange: exchange.set_fault("error"), lambda exchange: exchange.clear()),
}


@pytest.mark.parametrize(("victim", "how"), [*zip(NAMES, HARMS, strict=True)])
def test_an_exchange_is_taken_down_and_nothing_is_missing_afterwards(stage, victim, how):
    seen = stage.collector.report
    states = stage.collector.states
    others = [name for name in NAMES if name != victim]
    harm, heal = HARMS[how]
    until(lambda: all(state.collected >= 4 for state in states().values()))
    failed = dict(seen().errors.by_operation)

    harm(stage.exchanges[victim])
    until(lambda: seen().exchanges[victim].breaker != "closed")
    before = states()
    until(lambda: all(states()[name].rounds > before[name].rounds + 5 for name in others))
    for name in others:  # each round of theirs has collected everything
        after = states()[name]
        rounds = after.rounds - before[name].rounds
        assert after.collected - before[name].collected == 4 * rounds
        assert after.errors == before[name].errors
    report = seen()
    assert report.health.healthy
    assert {report.exchanges[name].breaker for name in others} == {"closed"}
    more = {name for name, n in report.errors.by_operation.items() if n != failed.get(name)}
    assert {name.split(".")[0] for name in more} == {victim}
    assert report.errors.by_category["transient"] >= 5

    heal(stage.exchanges[victim])
    until(lambda: seen().exchanges[victim].breaker == "closed")
    newest = max(row.minute for name in NAMES for row in stage.store.rows(name, symbols_of(1)[0]))
    until(lambda: seen().exchanges[victim].filled and seen().exchanges[victim].missing == 0)
    assert seen().health.running == 3
    for name in NAMES:
        assert len(stage.store.symbols(name)) == 4
        for symbol in stage.store.symbols(name):
            rows = stage.store.rows(name, symbol)
            for row in rows:
                said = ticker_at(name, symbol, row.minute)
                assert (row.price, row.volume) == (said.price, said.volume)
            if name == victim:
                # What was newest then may have been collected later than it was looked at.
                minutes = [row.minute for row in rows if row.minute < newest]
                assert minutes == list(range(minutes[0], newest))


def test_a_collector_of_real_exchanges_leaves_no_thread_no_resource_and_no_process(tmp_path):
    before = set(threading.enumerate())
    with running(tmp_path, Settings(), ["alpha"]) as stage:
        until(lambda: stage.collector.report().collected)
        pid = stage.exchanges["alpha"].pid
        assert stage.collector.resources.count("connection") == 1
    assert stage.collector.resources.count() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    ours = ("worker", "backfill", "cleaning", "alpha")
    left = set(threading.enumerate()) - before
    until(lambda: not [one.name for one in left if one.is_alive() and one.name.startswith(ours)])
