"""The client of an exchange asks a real one, which fails in every way that it knows."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import holdfast as hf
from examples.market_collector.client import MOST_REST, ExchangeClient
from examples.market_collector.errors import (
    BusyError,
    ClosedError,
    ExchangeError,
    GarbageError,
    RefusedError,
    UnavailableError,
)
from examples.market_collector.faults import FORMS
from examples.market_collector.market import candle_at, symbols_of, ticker_at
from holdfast.categories import Category, classify

ATTEMPTS = 4  # of the preset


def asked(exchange):
    return exchange.counts()["requests"]


def breaker(rm, name="kraken"):
    return rm.keyed("exchange", name).circuit_breaker.snapshot()


@pytest.fixture
def on_clock(preset, exchange):
    """A client whose time passes only in pauses, and its clock."""
    clock = hf.ManualClock()
    usual = preset.but(timeouts={"api_call": 10})
    with hf.ResilienceManager("collector", presets=usual, clock=clock) as rm:
        client = ExchangeClient(rm, exchange.name, exchange.url)
        yield client, clock
        client.close()


def test_what_an_exchange_says_can_be_verified_by_anybody(client, exchange):
    assert client.symbols() == symbols_of(3)
    ticker = client.ticker("ETH/USDT")
    assert ticker == ticker_at("kraken", "ETH/USDT", ticker.minute)
    since = ticker.minute - 3
    candles = client.candles("ETH/USDT", since)
    assert candles[:3] == [candle_at("kraken", "ETH/USDT", since + each) for each in range(3)]
    assert client.candles("ETH/USDT", since, 2) == candles[:2]
    assert client.candles("ETH/USDT", ticker.minute + 10) == []


def test_a_ticker_that_was_missed_can_be_had_from_the_candle():
    ticker, candle = (at("kraken", "BTC/USDT", 29_000_000) for at in (ticker_at, candle_at))
    assert (candle.open, candle.volume) == (ticker.price, ticker.volume)
    assert candle.low <= min(candle.open, candle.close)
    assert max(candle.open, candle.close) <= candle.high


# ---- each fault ----


def test_an_answer_that_is_slow_but_in_time_is_taken(client, exchange):
    exchange.set_fault("slow", seconds=0.05)
    assert client.symbols() == symbols_of(3)
    assert exchange.counts()["suffered"]["slow"] >= 1


@pytest.mark.parametrize(("fault", "options", "error"), [
    ("error", {"status": 500}, UnavailableError),
    ("error", {"status": 503}, UnavailableError),
    ("busy", {}, BusyError),
    ("reset", {}, httpx.ReadError),
    ("garbage", {"form": "short"}, httpx.RemoteProtocolError),
    ("garbage", {"form": "no_http"}, httpx.RemoteProtocolError),
])  # fmt: skip
def test_what_may_pass_is_asked_for_again(client, exchange, fault, options, error):  # ER-04
    exchange.set_fault(fault, **options)
    before = asked(exchange)
    with pytest.raises(error) as raised:
        client.symbols()
    assert classify(raised.value) is Category.TRANSIENT
    assert asked(exchange) == before + ATTEMPTS

    exchange.set_fault(fault, share=0.5, **options)  # the second, the fourth …
    assert [client.symbols() for _ in range(2)] == [symbols_of(3)] * 2


@pytest.mark.parametrize(("fault", "options"), [("hang", {}), ("drip", {"seconds": 0.1})])
def test_an_exchange_that_does_not_come_to_an_end_is_asked_again(
    preset, exchange, fault, options
):  # TO-02
    hasty = preset.but(
        circuit_breakers={"exchange": {"operation_timeout": 0.3}},
        retry_policies={"api_call": {"max_retries": 1}},
    )
    rm = hf.ResilienceManager("collector", presets=hasty)
    client = ExchangeClient(rm, exchange.name, exchange.url, attempt=60)
    exchange.set_fault(fault, **options)
    with pytest.raises(httpx.TimeoutException) as raised:
        client.symbols()
    assert classify(raised.value) is Category.TRANSIENT
    assert breaker(rm).consecutive_failures == 2
    client.close()


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("short", "no_http")])
def test_garbage_is_not_asked_for_again_and_counts_against_the_exchange(
    client, exchange, rm, form
):  # ER-04
    exchange.set_fault("garbage", form=form)
    before = asked(exchange)
    for question in (client.symbols, lambda: client.ticker("BTC/USDT")):
        with pytest.raises(GarbageError, match=r"^kraken: ") as raised:
            question()
        assert classify(raised.value) is Category.PERMANENT
    with pytest.raises(GarbageError):
        client.candles("BTC/USDT", 7)
    assert asked(exchange) == before + 3
    assert breaker(rm).consecutive_failures == 3


def test_a_refused_request_says_nothing_against_the_exchange(client, exchange, rm):
    before = asked(exchange)
    with pytest.raises(RefusedError, match="status 404 for /ticker DOGE/USDT") as raised:
        client.ticker("DOGE/USDT")
    assert classify(raised.value) is Category.PERMANENT
    assert asked(exchange) == before + 1
    assert (breaker(rm).failed, breaker(rm).ignored) == (0, 1)


# ---- Retry-After ----


def test_an_exchange_is_asked_again_when_it_has_said(on_clock, exchange):  # D-RT-4
    client, clock = on_clock
    exchange.set_fault("busy", retry_after=2, share=0.5)
    client.symbols()
    assert client.symbols() == symbols_of(3)
    assert clock.now() == 2.0


def test_until_then_nobody_asks_it_whatever_is_asked_for(on_clock, exchange):
    client, clock = on_clock
    exchange.set_fault("busy", retry_after=30)  # longer than the call may take
    before = asked(exchange)
    with pytest.raises(BusyError) as raised:
        client.symbols()
    assert (raised.value.was_asked, raised.value.retry_after) == (True, 30.0)
    exchange.clear()
    for question in (client.symbols, lambda: client.ticker("BTC/USDT")):
        with pytest.raises(BusyError) as raised:
            question()
        assert not raised.value.was_asked
    assert (client.rests_for, clock.now()) == (30.0, 0.0)
    assert asked(exchange) == before + 1
    clock.advance(30)
    assert client.symbols() == symbols_of(3)


def test_no_exchange_silences_itself_for_long(on_clock, exchange):
    client, _ = on_clock
    exchange.set_fault("busy", retry_after=3600)
    with pytest.raises(BusyError):
        client.symbols()
    assert client.rests_for == MOST_REST


def test_a_busy_exchange_works(client, exchange, rm):
    exchange.set_fault("busy")
    with pytest.raises(BusyError):
        client.symbols()
    assert (breaker(rm).failed, breaker(rm).ignored) == (0, ATTEMPTS)


# ---- exchanges that go and come back ----


def test_a_client_finds_an_exchange_again_that_was_down(client, exchange):
    client.symbols()
    exchange.stop()
    with pytest.raises(httpx.ConnectError) as raised:
        client.symbols()
    assert classify(raised.value) is Category.TRANSIENT
    exchange.start()
    assert client.symbols() == symbols_of(3)


def test_a_client_finds_an_exchange_again_that_was_killed(client, exchange):
    client.symbols()
    exchange.wait_until_up(other_than=exchange.kill())
    assert client.symbols() == symbols_of(3)
    assert exchange.counts()["served"]["symbols"] == 1  # it is another process


def test_a_frozen_exchange_is_given_up_and_answers_when_it_is_thawed(client, exchange, rm):
    with hf.ResilienceManager("hasty") as hasty:
        hasty.register_retry_policy("exchange", max_retries=0)
        other = ExchangeClient(hasty, exchange.name, exchange.url, attempt=0.1)
        exchange.freeze()
        with pytest.raises(httpx.TimeoutException):
            other.symbols()
        other.close()
    exchange.thaw()
    assert client.symbols() == symbols_of(3)


def test_an_exchange_that_fails_is_left_alone_and_others_are_asked(preset, exchange):  # CB-02
    first_two = {"failure_threshold": 2}
    rm = hf.ResilienceManager(
        "collector", presets=preset.but(circuit_breakers={"exchange": first_two})
    )
    good = ExchangeClient(rm, exchange.name, exchange.url)
    exchange.set_fault("error", only="/ticker")
    with pytest.raises(hf.CircuitOpenError):
        good.ticker("BTC/USDT")
    before = asked(exchange)
    with pytest.raises(hf.CircuitOpenError):
        good.symbols()
    assert asked(exchange) == before  # it was not even asked
    again = ExchangeClient(rm, "another", exchange.url)
    with pytest.raises(GarbageError, match="exchange 'kraken', not 'another'"):
        again.candles("BTC/USDT", 0, 1)
    assert breaker(rm, "another").state is hf.State.CLOSED
    good.close()
    again.close()


# ---- connections, threads, and the end ----


def test_a_connection_is_used_again_also_after_an_error(client, exchange):
    client.symbols()
    before = exchange.counts()["connections"]
    for fault, options in (("busy", {}), ("error", {}), ("garbage", {"form": "page"})):
        exchange.set_fault(fault, **options)
        with pytest.raises(ExchangeError):
            client.symbols()
        exchange.clear()
        client.symbols()
    asked_by_hand = 3 * 2 + 1  # each of these questions has a connection of its own
    assert exchange.counts()["connections"] == before + asked_by_hand
    assert client.connections == 1


def test_whoever_finds_all_connections_in_use_waits_no_longer_than_an_attempt(
    preset, exchange, until
):
    hasty = preset.but(retry_policies={"api_call": {"max_retries": 0}})
    rm = hf.ResilienceManager("collector", presets=hasty)
    client = ExchangeClient(rm, exchange.name, exchange.url, connections=1, attempt=60)
    exchange.set_fault("hang")
    before = exchange.counts()["suffered"].get("hang", 0)

    def hang():
        with pytest.raises(ClosedError):
            client.symbols()

    thread = threading.Thread(target=hang)
    thread.start()
    until(lambda: exchange.counts()["suffered"].get("hang", 0) == before + 1)
    with pytest.raises(httpx.PoolTimeout):
        hf.Timeout(0.05).call(client.symbols)
    client.close()
    thread.join(30)
    assert not thread.is_alive()


def test_threads_share_a_client_and_its_connections(preset, exchange):
    once = preset.but(retry_policies={"api_call": {"max_retries": 0}})  # it would hide a failure
    rm = hf.ResilienceManager("collector", presets=once)
    client = ExchangeClient(rm, exchange.name, exchange.url, connections=4, attempt=60)
    symbols = symbols_of(3) * 60
    with ThreadPoolExecutor(8) as pool:
        tickers = list(pool.map(client.ticker, symbols))
    assert [ticker.symbol for ticker in tickers] == symbols
    assert 1 <= client.connections <= 4
    client.close()
    assert client.connections == 0


def test_closing_ends_calls_on_their_way_at_once(preset, exchange, until):
    patient = preset.but(
        circuit_breakers={"exchange": {"operation_timeout": 600}}, timeouts={"api_call": 600}
    )
    rm = hf.ResilienceManager("collector", presets=patient)
    client = ExchangeClient(rm, exchange.name, exchange.url, attempt=600)
    exchange.set_fault("hang")
    before = exchange.counts()["suffered"].get("hang", 0)
    errors = []

    def ask():
        with pytest.raises(ClosedError) as raised:
            client.symbols()
        errors.append(raised.value)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: exchange.counts()["suffered"].get("hang", 0) == before + 3)
    client.close()
    for thread in threads:
        thread.join(30)
    assert len(errors) == 3
    assert client.connections == 0
    until(lambda: exchange.counts()["open"] == 1)  # that of this question
    client.close()
    with pytest.raises(ClosedError):
        client.symbols()


def test_a_client_says_all_that_is_wrong_with_its_settings(rm):
    with pytest.raises(hf.ConfigError) as raised:
        ExchangeClient(rm, "", "ftp://kraken", attempt=0, connections=0)
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        "name", "url", "attempt", "connections",
    ]  # fmt: skip
    for url in (7, None, "127.0.0.1:80", "http://"):
        with pytest.raises(hf.ConfigError, match="url: got"):
            ExchangeClient(rm, "kraken", url)


def test_candles_are_asked_for_within_limits(client):
    with pytest.raises(hf.ConfigError, match=r"since: got -1.*limit: got 1001, allowed"):
        client.candles("BTC/USDT", -1, 1001)
