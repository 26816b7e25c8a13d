"""The optimiser: when it proposes, what follows, and what does not disturb it."""

import logging
import threading

import pytest

import holdfast as hf
from tests.apart import in_child
from tests.resources.test_proposal import report

MINUTE = 60
IDLE = {"cpu": 0.1, "memory": 0.1}
BUSY = {"cpu": 0.95, "memory": 0.1}


class Monitor:
    """Reports that a test has made, as a monitor shows them."""

    def __init__(self):
        self.history, self.listeners = (), []

    def on_event(self, listener):
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def report(self):
        return report(**IDLE)

    def say(self, n=1, **figures):
        for _ in range(n):
            self.history = (*self.history, report(**figures))
            for listener in list(self.listeners):
                listener(hf.Event("report", self, "shop"))


@pytest.fixture
def clock():
    return hf.ManualClock()


@pytest.fixture
def monitor():
    return Monitor()


@pytest.fixture
def optimiser(monitor, clock):
    optimiser = hf.ResourceOptimiser("shop", monitor=monitor, clock=clock)
    yield optimiser
    optimiser.stop()


@pytest.fixture
def bulkhead():
    return hf.Bulkhead("work", max_concurrent=3)


def slots(bulkhead):
    return bulkhead.snapshot().capacity


def test_nothing_is_resized_that_was_not_asked_to_follow(optimiser, bulkhead, monitor):  # RS-09
    monitor.say(5, **BUSY)
    with optimiser:
        assert optimiser.propose().workers == 5
    assert slots(bulkhead) == 3


def test_a_bulkhead_follows_from_the_next_proposal_on(optimiser, bulkhead, monitor):  # RS-09
    writes = hf.Bulkhead("writes", max_concurrent=9)
    end = optimiser.follow(bulkhead, "workers")
    optimiser.follow(writes, "writes")
    assert slots(bulkhead) == 3
    assert optimiser.apply().workers == slots(bulkhead) == 8
    assert slots(writes) == 2
    monitor.say(5, **BUSY)
    assert optimiser.propose().workers == 5
    assert slots(bulkhead) == 8  # a question changes nothing
    end()
    end()
    optimiser.apply()
    assert (slots(bulkhead), slots(writes)) == (8, 1)


def test_it_proposes_once_an_interval(optimiser, bulkhead, monitor, clock):  # RS-09
    optimiser.follow(bulkhead, "workers")
    optimiser.start()
    assert slots(bulkhead) == 8
    monitor.history = (report(cpu=0.82, memory=0.1),) * 5  # more than 80 %, and no trigger
    clock.advance(5 * MINUTE - 1)
    assert slots(bulkhead) == 8
    clock.advance(1)
    assert slots(bulkhead) == 5
    optimiser.stop()
    monitor.history = ()
    clock.advance(60 * MINUTE)
    assert slots(bulkhead) == 5
    assert not monitor.listeners


def test_bad_reports_do_not_wait_for_the_interval(optimiser, bulkhead, monitor):  # RS-09
    optimiser.follow(bulkhead, "workers")
    optimiser.start()
    monitor.say(4, **BUSY)
    assert slots(bulkhead) == 8
    monitor.say(**BUSY)
    assert slots(bulkhead) == 5
    seen = optimiser.snapshot()
    assert seen.triggers == ("95.0% of the processors on average of 5 reports",)
    assert (seen.proposals, seen.followers, seen.running) == (2, 1, True)
    optimiser.stop()
    monitor.say(5, **IDLE)
    assert slots(bulkhead) == 5


def test_a_change_is_told_once_with_its_reasons(optimiser, monitor, caplog):
    caplog.set_level(logging.INFO)
    told = []
    optimiser.on_event(told.append)
    optimiser.apply()
    optimiser.apply()
    monitor.say(5, **BUSY)
    optimiser.apply()
    assert [(event.kind, event.old, event.new) for event in told] == [
        ("proposed", None, 8),
        ("proposed", 8, 5),
    ]
    assert "times 0.7: 95.0% of the processors are used, above 80%" in told[1].reason
    records = [r for r in caplog.records if r.name == "holdfast.performance"]
    assert len(records) == 2
    assert "proposes 5 workers: 8 workers: two for each of 4 processors" in records[1].message


def test_its_history_has_the_last_hundred_changes(optimiser, monitor):  # RS-09
    for at in range(240):
        monitor.history = (report(**(BUSY if at % 2 else IDLE)),)
        optimiser.apply()
    assert len(optimiser.history) == 100
    assert optimiser.proposal is optimiser.history[-1]
    assert optimiser.snapshot().proposals == 240


def test_a_bulkhead_follows_one_number_at_a_time(optimiser, bulkhead):
    end = optimiser.follow(bulkhead, "workers")
    with pytest.raises(hf.ConfigError, match=r"number: got 'writes', allow.* already, 'workers'"):
        optimiser.follow(bulkhead, "writes")
    end()
    optimiser.follow(bulkhead, "writes")
    assert optimiser.apply().writes == slots(bulkhead)


def test_a_follower_that_fails_is_logged_once_and_others_follow(optimiser, bulkhead, caplog):
    class Broken:
        works = False

        def resize(self, n):
            if not self.works:
                raise OSError("no")

    broken = Broken()
    optimiser.follow(broken, "workers")
    optimiser.follow(bulkhead, "workers")

    def failures():
        optimiser.apply()
        return len([r for r in caplog.records if "cannot be resized to 8" in r.message])

    assert failures() == failures() == 1
    assert slots(bulkhead) == 8
    assert optimiser.snapshot().failures == 2
    Broken.works = True
    assert failures() == 1
    Broken.works = False
    assert failures() == 2


def test_a_follower_may_use_the_optimiser(optimiser, monitor):
    """No lock is held while it is resized, also none that another thread wants."""
    given = []

    class Curious:
        def resize(self, n):
            given.append(n)
            if len(given) == 1:
                monitor.say(5, **BUSY)
                thread = threading.Thread(target=optimiser.apply)
                thread.start()
                thread.join(60)
                assert not thread.is_alive()

    optimiser.follow(Curious(), "workers")
    optimiser.apply()
    assert given == [8, 5, 5]  # the newest one stays


def test_after_a_stop_a_report_that_came_before_resizes_nothing_more(optimiser, bulkhead, monitor):
    class Stopping:
        def resize(self, n):
            if n == 5:
                assert optimiser.stop()

    optimiser.follow(Stopping(), "workers")
    optimiser.follow(bulkhead, "workers")
    optimiser.start()
    assert slots(bulkhead) == 8
    monitor.say(5, **BUSY)
    assert not optimiser.running
    assert slots(bulkhead) == 8


def test_it_reads_a_real_monitor(clock, bulkhead):  # RS-09
    monitor = hf.PerformanceMonitor("shop", clock=clock)
    optimiser = hf.ResourceOptimiser("shop", monitor=monitor, clock=clock)
    optimiser.follow(bulkhead, "workers")
    with monitor, optimiser:
        clock.advance(10 * MINUTE)
        system = monitor.report().system
        made = optimiser.proposal
        assert slots(bulkhead) == made.workers
        assert f"{system.processors:g} processors" in made.reasons[0]
    assert not optimiser.running


async def test_it_runs_beside_an_event_loop(monitor, bulkhead):
    optimiser = hf.ResourceOptimiser("shop", monitor=monitor)
    optimiser.follow(bulkhead, "backfill")
    async with optimiser:
        assert optimiser.running
    assert not optimiser.running
    assert not monitor.listeners


def test_starting_and_stopping_twice_do_nothing(optimiser, monitor):
    optimiser.start()
    optimiser.start()
    assert len(monitor.listeners) == 1
    assert optimiser.stop()
    assert optimiser.stop()
    assert not monitor.listeners


def test_a_forked_child_runs_nothing(optimiser, monitor):  # trap 58
    optimiser.start()

    def in_it():
        assert not optimiser.running
        assert optimiser.proposal is None
        assert not monitor.listeners
        assert optimiser.apply().workers == 8

    in_child(in_it)
    assert optimiser.running


def test_what_is_wrong_is_named(optimiser, bulkhead, monitor):
    with pytest.raises(hf.ConfigError, match=r"number: got 'worker'.*workers"):
        optimiser.follow(bulkhead, "worker")
    with pytest.raises(hf.ConfigError, match="bulkhead: got 5"):
        optimiser.follow(5, "workers")
    with pytest.raises(hf.ConfigError, match=r"(?s)monitor: got None.*interval: got 0"):
        hf.ResourceOptimiser("shop", monitor=None, interval=0)
    assert optimiser.snapshot().followers == 0
