"""The client of an exchange asks a real one, which fails in every way that it knows."""

from examples.market_collector.market import candle_at, symbols_of, ticker_at


def test_what_an_exchange_says_can_be_verified_by_anybody(client, exchange):
    assert client.symbols() == symbols_of(3)
    ticker = client.ticker("ETH/USDT")
    assert ticker == ticker_at("kraken", "ETH/USDT", ticker.minute)
    since = ticker.minute - 3
    candles = client.candles("ETH/USDT", since)
    assert candles[:3] == [candle_at("kraken", "ETH/USDT", since + each) for each in range(3)]
    assert client.candles("ETH/USDT", since, 2) == candles[:2]
    assert client.candles("ETH/USDT", ticker.minute + 10) == []
