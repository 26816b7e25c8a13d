"""The collector: it goes on while exchanges are down, none slows another, and it ends at rest."""

import sqlite3
import threading
import time

import pytest

import holdfast as hf
from examples.market_collector.cache import MemoryCache
from examples.market_collector.collector import OPERATIONS, TIMED, MarketCollector, make_manager
from examples.market_collector.errors import GarbageError, RefusedError, UnavailableError
from examples.market_collector.health import health_of, workers_check
from examples.market_collector.market import MOST_SYMBOLS, candle_at, ticker_at
from examples.market_collector.store import Store
from examples.market_collector.worker import FAILED_ROUNDS, MAX_CONCURRENT, WorkerState
from tests.examples.market_collector.parts import (
    FIRST,
    Exchange,
    Guarded,
    Settings,
    fails,
)

PARTS = ("client", "worker", "backfill")
LONG = 60.0  # seconds: a test that waits so long has failed


def until(is_so, seconds=LONG):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it has not become so"
        time.sleep(0.005)


class Market:
    """Two exchanges or more, and a collector of them."""

    def __init__(self, folder, *names, symbols=4, settings=None, clock=None, **more):
        self.exchanges = {name: Exchange(name, symbols) for name in names}
        self.rm = make_manager(settings or Settings())
        self.store = Store(folder / "prices.db", self.rm)
        self.cache = MemoryCache(clock=clock)
        self.collector = MarketCollector(
            None,
            dict.fromkeys(names, "http://127.0.0.1:1"),
            cache=self.cache,
            store=self.store,
            rm=self.rm,
            connect=lambda rm, name, _: Guarded(rm, self.exchanges[name]),
            clock=clock,
            **{"interval": 0.01, "backfill_interval": 60.0, **more},
        )

    def worker(self, name):
        return self.collector._workers[name]

    def begin(self):
        """Have the clients without the threads: a test makes the rounds itself."""
        for name in self.exchanges:
            self.collector._supervisor.component(f"client:{name}").start()

    def close(self):
        for exchange in self.exchanges.values():
            exchange.free.set()
        assert self.collector.stop(LONG)
        self.store.close()


@pytest.fixture
def market(tmp_path):
    made = []

    def make(*names, **more):
        made.append(Market(tmp_path, *names, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


# ---- a round ----


def test_a_round_collects_every_symbol_once(market):
    a = market("a")
    a.begin()
    done = a.worker("a").round()
    assert (done.collected, done.failed, done.new, done.switched) == (4, 0, 4, None)
    for symbol in a.exchanges["a"].listed:
        [row] = a.store.rows("a", symbol)
        said = ticker_at("a", symbol, FIRST)
        assert (row.minute, row.price, row.volume) == (said.minute, said.price, said.volume)
    assert {row.symbol for row in a.collector.prices("a")} == set(a.exchanges["a"].listed)
    assert a.worker("a").round().new == 0  # the same minute


def test_the_newest_prices_of_many_symbols_are_in_the_cache(market):
    a = market("a", symbols=450)
    a.begin()
    a.worker("a").round()
    assert {row.symbol for row in a.collector.prices("a")} == set(a.exchanges["a"].listed)
    a.cache.put("prices:a:200", [7])
    assert len(a.collector.prices("a")) == 200


def test_one_symbol_that_fails_costs_only_itself(market):
    a = market("a")
    exchange = a.exchanges["a"]
    bad = exchange.listed[1]
    exchange.fault = lambda what: fails(GarbageError("a", "no JSON"))(what) if what == bad else None
    a.begin()
    done = a.worker("a").round()
    assert (done.collected, done.failed, done.switched) == (3, 1, None)
    assert a.collector.errors.by_operation == {"a.ticker": 1}
    assert a.collector.errors.by_category == {"permanent": 1}
    assert a.collector.errors.total == 6  # the symbols, four tickers, and the write


def test_if_half_of_the_symbols_fail_the_rest_is_fetched_one_by_one(market):  # DG-08, ER-07
    a = market("a", symbols=2 * MAX_CONCURRENT)
    exchange = a.exchanges["a"]
    all_at_once = threading.Barrier(MAX_CONCURRENT)

    def too_many(what):
        if what != "symbols" and len(exchange.asked) <= 1 + MAX_CONCURRENT:
            all_at_once.wait(LONG)
            raise GarbageError("a", "no JSON")

    exchange.fault = too_many
    a.begin()
    done = a.worker("a").round()
    assert (done.collected, done.failed, done.switched) == (8, 0, "failure_rate")
    assert a.worker("a").state().sequential_rounds == 1
    assert a.collector.errors.failed == 0  # each has been collected in the end


def test_calls_one_by_one_begin_only_when_none_runs_beside_them(market):  # D-C-12
    a = market("a", symbols=8)
    exchange = a.exchanges["a"]
    at_once = []
    lock = threading.Lock()
    inside = 0

    def look(what):
        nonlocal inside
        if what == "symbols":
            return
        with lock:
            inside += 1
            at_once.append(inside)
        try:
            time.sleep(0.002)  # others that ran beside it would be seen
            raise GarbageError("a", "no JSON")
        finally:
            with lock:
                inside -= 1

    exchange.fault = look
    a.begin()
    done = a.worker("a").round()
    assert done.switched == "failure_rate"
    assert max(at_once) <= MAX_CONCURRENT
    assert at_once[-8:] == [1] * 8  # all eight again, each alone
    assert len(at_once) <= 8 + 8 + MAX_CONCURRENT


def test_if_resources_run_out_the_symbols_are_fetched_one_by_one(market):  # DG-08, ER-08
    a = market("a")
    a.begin()
    a.collector.resources.set_limit("operation", 2)  # the round itself, and one request
    exchange = a.exchanges["a"]

    def wait(what):
        # The first request stays inside until another one has been refused.
        if what != "symbols" and len(exchange.asked) == 2:
            until(lambda: a.collector.resources.snapshot().kinds["operation"].refused)

    exchange.fault = wait
    done = a.worker("a").round()
    assert (done.collected, done.failed, done.switched) == (4, 0, "resource")
    assert a.collector.resources.count("operation") == 0


def test_in_degraded_mode_symbols_are_fetched_one_by_one(market):  # DG-09
    a = market("a")
    a.begin()
    assert not a.collector.mode.enabled
    assert a.collector.mode.fallback
    a.collector.mode.enable()
    assert a.worker("a").round().switched == "mode"
    assert a.exchanges["a"].most == 1
    a.collector.mode.disable()
    assert a.worker("a").round().switched is None


def test_requests_at_the_same_time_follow_the_optimiser_only_if_asked_to(market):  # RS-09
    two = market("a", "b", adaptive=True)
    proposal = two.collector.optimiser.apply()
    assert two.worker("a").max_concurrent == two.worker("b").max_concurrent
    assert two.worker("a").max_concurrent == max(1, proposal.workers // 2)
    fixed = market("c")
    fixed.collector.optimiser.apply()
    assert fixed.worker("c").max_concurrent == MAX_CONCURRENT


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_worker_makes_no_more_requests_at_the_same_time_than_its_share(market, n):
    a = market("a", symbols=8)
    a.begin()
    a.collector.resize(n)
    full = threading.Barrier(n)
    exchange = a.exchanges["a"]
    # The first of them wait for each other: so many are inside at the same time.
    exchange.fault = lambda what: (
        full.wait(LONG) if what != "symbols" and len(exchange.asked) <= 1 + n else None
    )
    assert a.worker("a").round().collected == 8
    assert exchange.most == n


def test_an_open_breaker_spares_the_exchange_every_request(market):
    a = market("a")
    a.begin()
    a.rm.keyed("exchange", "a").circuit_breaker.force_open()
    done = a.worker("a").round()
    assert done.is_skipped
    assert not done.ok
    assert a.exchanges["a"].asked == []
    assert a.worker("a").state().skipped_rounds == 1


def test_after_an_outage_one_request_at_a_time_shows_whether_the_exchange_is_back(market):
    a = market("a", symbols=8)
    a.begin()
    a.rm.keyed("exchange", "a").circuit_breaker.half_open()
    assert a.worker("a").round().collected == 8
    assert a.exchanges["a"].most == 1
    assert a.rm.keyed("exchange", "a").circuit_breaker.state is hf.State.CLOSED


def test_an_exchange_is_asked_for_its_symbols_once_a_minute(market):  # PM-04
    clock = hf.ManualClock()
    a = market("a", clock=clock)
    a.begin()
    for _ in range(3):
        a.worker("a").round()
    assert a.exchanges["a"].asked.count("symbols") == 1
    figures = a.collector.report().cache
    assert (figures.hits, figures.misses) == (2, 1)
    clock.advance(61)
    a.exchanges["a"].listed.pop()
    assert a.worker("a").round().collected == 3
    assert a.store.symbols("a") == sorted(a.exchanges["a"].listed)


def test_an_exchange_that_does_not_say_its_symbols_is_asked_for_the_last_ones(market):
    a = market("a")
    a.begin()
    a.cache.put("known:a", a.exchanges["a"].listed[:2])
    a.exchanges["a"].fault = lambda what: (
        fails(GarbageError("a", "no JSON"))(what) if what == "symbols" else None
    )
    assert a.worker("a").round().collected == 2
    assert a.collector.errors.by_operation == {"a.symbols": 1}


@pytest.mark.parametrize("value", ["BTC/USDT", {"BTC/USDT": 1}, [1, 2], 7])
def test_what_others_have_put_into_the_cache_is_no_list_of_symbols(market, value):
    a = market("a")
    a.begin()
    a.cache.put("symbols:a", value)
    assert a.worker("a").round().collected == 4


def test_what_cannot_be_written_is_filled_in_later(market):
    a = market("a")
    a.begin()
    a.worker("a").round()
    add = a.store.add
    a.store.add = lambda *_, **__: fails(sqlite3.OperationalError("disk I/O error"))("")
    a.exchanges["a"].minute += 1
    done = a.worker("a").round()
    assert not done.ok
    assert done.collected == 4
    a.store.add = add
    a.exchanges["a"].minute += 1
    a.worker("a").round()
    backfiller = a.collector._backfillers["a"]
    assert sum(gap.minutes for gap in backfiller.missing()) == 4
    assert backfiller.fill() == 4
    assert backfiller.missing() == []
    assert a.collector.errors.by_operation == {"a.save": 1}


def test_every_name_that_the_collector_runs_something_under_has_policies_of_its_own(
    market,
):  # D-C-13
    rm = market("a").rm
    for name in OPERATIONS:
        kinds = {policy.kind for policy in rm.operation(name).policies}
        assert {"retry", "timeout"} <= kinds, name
    own = rm.timeouts.snapshot().types
    for name in TIMED:
        assert own[name].own, f"{name} has only the default"
    assert [finding for finding in rm.lint() if finding.code == "policy_not_registered"] == []
    assert rm.operation("exchange").snapshot().critical  # AR-10


def test_a_connection_is_not_idle_while_a_breaker_is_open_for_long(market):  # D-C-9
    clock = hf.ManualClock()
    a = market("a", clock=clock)
    a.begin()
    a.rm.keyed("exchange", "a").circuit_breaker.force_open()
    for _ in range(5):
        a.worker("a").round()
        clock.advance(200)
        assert a.collector.resources.clean_idle() == 0
    clock.advance(200)
    assert a.collector.resources.clean_idle() == 1  # no rounds any more
    assert a.exchanges["a"].closed == 1


def test_a_connection_that_was_cleaned_is_made_anew(market):
    a = market("a")
    a.begin()
    assert a.collector.resources.cleanup("client:a")
    assert a.worker("a").round().collected == 4
    assert a.collector.resources.count("connection") == 1


# ---- what is missing ----


def test_the_minutes_of_an_outage_are_filled_in(market):
    a = market("a")
    a.begin()
    a.worker("a").round()
    exchange = a.exchanges["a"]
    exchange.minute += 7
    a.worker("a").round()
    backfiller = a.collector._backfillers["a"]
    assert sum(gap.minutes for gap in backfiller.missing()) == 6 * 4
    assert backfiller.fill() == 6 * 4
    assert backfiller.missing() == []
    for symbol in exchange.listed:
        for row in a.store.rows("a", symbol):
            said = candle_at("a", symbol, row.minute)
            assert (row.price, row.volume) == (said.open, said.volume)
    assert a.store.counts() == {"a": (8 * 4, 6 * 4)}


def test_a_long_gap_is_filled_in_parts_that_an_exchange_gives_at_once(market):
    a = market("a", symbols=1)
    a.begin()
    a.worker("a").round()
    exchange = a.exchanges["a"]
    exchange.minute += 1200
    a.worker("a").round()
    exchange.asked.clear()
    assert a.collector._backfillers["a"].fill() == 1199
    assert exchange.asked == ["candles BTC/USDT"] * 3
    assert a.collector._backfillers["a"].missing() == []


def test_an_exchange_that_is_down_from_the_start_is_filled_in_from_then(market):
    two = market("a", "b")
    two.begin()
    two.worker("a").round()  # b is down
    for exchange in two.exchanges.values():
        exchange.minute += 5
    two.worker("b").round()
    two.collector._backfillers["b"].fill()
    assert two.store.counts()["b"] == (6 * 4, 5 * 4)


def test_what_was_missed_while_no_collector_ran_is_filled_in(market):
    earlier = market("a")
    earlier.begin()
    earlier.worker("a").round()
    earlier.close()
    later = market("a")
    later.exchanges["a"].minute = FIRST + 5
    later.begin()
    later.worker("a").round()
    assert later.collector._backfillers["a"].fill() == 4 * 4
    assert [row.minute for row in later.store.rows("a", "BTC/USDT")] == [*range(FIRST, FIRST + 6)]


def test_a_minute_of_which_the_exchange_has_nothing_is_given_up(market):
    a = market("a")
    a.begin()
    a.worker("a").round()
    exchange = a.exchanges["a"]
    exchange.minute += 3
    a.worker("a").round()
    exchange.candles = lambda symbol, since, limit: exchange._answer("candles", list)
    backfiller = a.collector._backfillers["a"]
    for _ in range(3):
        assert len(backfiller.missing()) == 4
        assert backfiller.fill() == 0
    asked = len(exchange.asked)
    assert backfiller.missing() == []
    assert backfiller.fill() == 0
    assert len(exchange.asked) == asked


def test_a_minute_that_an_exchange_has_not_come_to_is_not_given_up(market):
    two = market("a", "b")
    two.begin()
    for name in "ab":
        two.worker(name).round()
    two.exchanges["a"].minute += 2  # the clock of b is behind
    two.worker("a").round()
    two.exchanges["b"].candles = lambda *_: []
    backfiller = two.collector._backfillers["b"]
    for _ in range(5):
        backfiller.fill()
    assert sum(gap.minutes for gap in backfiller.missing()) == 4
    del two.exchanges["b"].candles
    two.exchanges["b"].minute += 2
    assert backfiller.fill() == 4


def test_nothing_is_filled_in_while_the_breaker_is_open(market):
    a = market("a")
    a.begin()
    a.worker("a").round()
    a.exchanges["a"].minute += 3
    a.worker("a").round()
    asked = len(a.exchanges["a"].asked)
    a.rm.keyed("exchange", "a").circuit_breaker.force_open()
    assert a.collector._backfillers["a"].fill() == 0
    assert len(a.exchanges["a"].asked) == asked


def test_what_is_too_old_is_deleted_and_not_filled_in_again(market):
    a = market("a", keep=3)
    a.begin()
    a.worker("a").round()
    a.exchanges["a"].minute += 9
    a.worker("a").round()
    backfiller = a.collector._backfillers["a"]
    assert backfiller.fill() == 2 * 4
    assert a.collector._cleaner.clean() == 4
    assert {row.minute for row in a.store.rows("a", "BTC/USDT")} == {1007, 1008, 1009}
    assert backfiller.missing() == []


def test_a_symbol_that_always_fails_keeps_no_other_from_being_filled_in(market):
    a = market("a")
    a.begin()
    a.worker("a").round()
    exchange = a.exchanges["a"]
    exchange.minute += 3
    a.worker("a").round()
    bad = exchange.listed[0]
    exchange.fault = lambda what: (
        fails(RefusedError("a", 404, what))(what) if what == f"candles {bad}" else None
    )
    backfiller = a.collector._backfillers["a"]
    assert backfiller.fill() == 3 * 2
    assert {gap.symbol for gap in backfiller.missing()} == {bad}
    assert a.collector.errors.by_operation == {"a.backfill": 1}


@pytest.mark.parametrize("share", [1, 4], ids=["one symbol", "all symbols"])
def test_a_clock_that_is_far_ahead_costs_no_exchange_anything(market, share):
    three = market("a", "b", "c", keep=30)
    three.begin()

    def rounds(minute):
        for name, exchange in three.exchanges.items():
            exchange.minute = minute
            assert three.worker(name).round().failed == 0

    rounds(FIRST)
    rounds(FIRST + 9)
    liar = three.exchanges["a"]
    real = liar.ticker
    lies = liar.listed[:share]
    liar.ticker = lambda symbol: (
        real(symbol)._replace(minute=2**40) if symbol in lies else real(symbol)
    )
    three.worker("a").round()
    kept = three.store.counts()
    assert three.collector._cleaner.clean() == 0
    assert three.store.counts() == kept
    assert three.collector._backfillers["b"].fill() == 8 * 4
    liar.ticker = real
    three.worker("a").round()
    assert three.collector._backfillers["a"].fill() == 8 * 4


def test_the_longest_list_of_the_longest_symbols_is_collected(market):
    a = market("a")
    a.exchanges["a"].listed = [f'{number:"<64d}' for number in range(MOST_SYMBOLS)]
    a.begin()
    assert a.worker("a").round().collected == MOST_SYMBOLS
    assert len(a.collector.prices("a")) == MOST_SYMBOLS


# ---- threads ----


def test_more_exchanges_than_a_kind_of_resource_usually_may_have_are_connected(market):
    many = market(*(f"e{number}" for number in range(120)))
    many.begin()
    assert many.collector.resources.count("connection") == 120


@pytest.mark.parametrize("part", ["rm", "optimiser"])
def test_a_start_that_is_interrupted_leaves_nothing_running(market, monkeypatch, part):
    a = market("a")
    before = threading.active_count()

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(getattr(a.collector, part)), "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            a.collector.start()
    assert not a.collector.running
    assert a.collector.resources.count() == 0
    until(lambda: threading.active_count() <= before)
    with a.collector:
        until(lambda: a.worker("a").state().rounds)


def test_a_frozen_exchange_slows_no_other(market):
    three = market("a", "b", "c")
    three.exchanges["a"].fault = three.exchanges["a"].hang
    with three.collector:
        until(lambda: all(three.worker(name).state().rounds >= 20 for name in "bc"))
        assert three.worker("a").state().rounds == 0  # still in its first
        assert all(three.worker(name).state().failed_rounds == 0 for name in "bc")
        three.exchanges["a"].free.set()
        until(lambda: three.worker("a").state().collected >= 4)


def test_exchanges_that_fail_trip_only_their_own_breakers(market):
    three = market("a", "b", "c")
    for name in "ab":
        three.exchanges[name].fault = fails(UnavailableError(name, 500))
    with three.collector:
        until(lambda: all(three.worker(name).state().skipped_rounds for name in "ab"))
        until(lambda: three.worker("c").state().rounds >= 20)
        report = three.collector.report()
    assert {name: one.breaker for name, one in report.exchanges.items()} == {
        "a": "open",
        "b": "open",
        "c": "closed",
    }
    assert report.exchanges["c"].worker.errors == 0
    assert report.errors.by_category == {"transient": report.errors.failed}
    assert set(report.errors.by_operation) <= {"a.symbols", "b.symbols", "a.ticker", "b.ticker"}
    assert report.errors.total > report.errors.failed > 0
    assert "operations failed" in report.errors.message


def test_rounds_that_run_are_among_the_active_operations(market):  # TO-06
    a = market("a")
    exchange = a.exchanges["a"]
    exchange.fault = exchange.hang
    with a.collector:
        until(lambda: exchange.inside)
        kinds = {operation.kind for operation in a.rm.timeouts.active()}
        assert "worker_collection" in kinds
        assert a.rm.timeouts.is_active("worker_collection:a")
        assert a.collector.report().active >= 1
        assert a.collector.resources.count("operation") >= 1
        exchange.free.set()
    assert a.rm.timeouts.active() == ()
    assert a.collector.resources.count("operation") == 0


def test_a_collector_that_has_stopped_holds_no_thread_and_no_resource(market):  # RS-07
    before = {thread for thread in threading.enumerate() if thread.is_alive()}
    two = market("a", "b")
    for _ in range(2):
        for exchange in two.exchanges.values():
            exchange.asked.clear()
        with two.collector:
            until(lambda: all(len(one.asked) >= 4 for one in two.exchanges.values()))
            assert two.collector.resources.count("connection") == 2
            assert two.collector.resources.count("thread") == 5
        assert two.collector.resources.count() == 0
        assert not two.collector.running
        assert not [
            thread.name
            for thread in set(threading.enumerate()) - before
            if thread.name.startswith(("worker", "backfill", "cleaning"))
        ]
    assert [exchange.closed for exchange in two.exchanges.values()] == [2, 2]


@pytest.mark.parametrize("hangs", ["symbols", "BTC/USDT", "candles BTC/USDT"])
def test_a_stop_does_not_wait_for_an_exchange_that_hangs(market, hangs):
    a = market("a")
    exchange = a.exchanges["a"]
    a.store.watch("a", exchange.listed, FIRST - 5)  # so there is something to fill in
    asked = threading.Event()

    def hang(what):
        if what == hangs:
            asked.set()
            exchange.hang()

    exchange.fault = hang
    a.collector.start()
    assert asked.wait(LONG)
    assert a.collector.stop(LONG)
    until(lambda: exchange.inside == 0)
    assert a.collector.errors.failed == 0  # what was broken off has not failed


def test_a_worker_that_dies_of_a_defect_is_started_again(market):
    a = market("a")
    worker = a.worker("a")
    keep, died = worker._keep, threading.Event()

    def fail_once(taken):
        if not died.is_set():
            died.set()
            raise AssertionError("a defect")
        return keep(taken)

    worker._keep = fail_once
    with a.collector:
        until(lambda: worker.state().rounds >= 1)
        assert died.is_set()


# ---- health ----


def state(running):
    return WorkerState(running, 1, 0, 0, 0, 0, 0, 0, 0 if running else FAILED_ROUNDS, False)


class Fake:
    def __init__(self, name, running):
        self.exchange = name
        self._running = running

    def state(self):
        return state(self._running)


@pytest.mark.parametrize(
    ("running", "total", "healthy"),
    [(0, 1, False), (1, 1, True), (1, 2, True), (1, 3, False), (2, 3, True), (2, 4, True)],
)
def test_the_collector_is_healthy_while_half_of_its_workers_run(running, total, healthy):  # HC-20
    workers = {f"w{n}": Fake(f"w{n}", n < running) for n in range(total)}
    health = health_of(workers_check(workers), workers)
    assert (health.healthy, health.running, health.total) == (healthy, running, total)
    assert list(health.states.values()).count("running") == running


def test_the_performance_monitor_knows_each_worker_once_with_its_errors(market):  # PM-01, D-C-10
    two = market("a", "b", interval=0.02)
    two.exchanges["a"].fault = fails(UnavailableError("a", 500))
    with two.collector:
        until(lambda: two.worker("b").state().rounds > 3)
        until(lambda: two.worker("a").state().failed_in_a_row > FAILED_ROUNDS)
        before = two.worker("a").state().errors
        workers = two.collector.performance.collect().workers
        after = two.worker("a").state().errors
        assert before <= workers["worker:a"].errors <= after
        assert not workers["worker:a"].running
        assert workers["worker:b"].running
        assert workers["worker:b"].errors == 0
        assert set(workers) == {f"{part}:{name}" for part in PARTS for name in "ab"} | {"cleaning"}


def test_a_worker_counts_as_running_until_three_rounds_in_a_row_fail(market):  # HC-20
    two = market("a", "b", interval=0.02)
    two.exchanges["a"].fault = fails(UnavailableError("a", 500))
    with two.collector:
        until(lambda: two.worker("b").state().rounds)
        until(lambda: two.worker("a").state().failed_in_a_row >= FAILED_ROUNDS)
        health = two.collector.health()
        assert health.healthy
        assert health.running == 1
        assert health.total == 2
        assert health.states["a"].endswith("rounds failed")
        two.exchanges["b"].fault = fails(UnavailableError("b", 500))
        until(lambda: not two.collector.health().healthy)
        for name in "ab":
            two.exchanges[name].fault = lambda _: None
            two.rm.keyed("exchange", name).reset()
        until(lambda: two.collector.health().running == 2)
    assert not two.collector.health().healthy  # it has been stopped
