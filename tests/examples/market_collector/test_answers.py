"""An exchange may answer anything; what of it is believed is complete and plausible."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.market_collector.answers import Answers
from examples.market_collector.errors import GarbageError
from examples.market_collector.market import Candle, Ticker

ANSWERS = Answers("kraken")
TICKER = {"exchange": "kraken", "symbol": "A/B", "minute": 7, "price": 1.5, "volume": 0}
CANDLE = {"minute": 7, "open": 2, "high": 4, "low": 1, "close": 3, "volume": 5}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


def candles(*rows, since=0, limit=10):
    body = {"exchange": "kraken", "symbol": "A/B", "candles": [*rows]}
    return ANSWERS.candles(body, "A/B", since, limit)


def test_a_right_answer_is_believed():
    assert ANSWERS.ticker(TICKER, "A/B") == Ticker("kraken", "A/B", 7, 1.5, 0.0)
    assert candles(CANDLE) == [Candle("kraken", "A/B", 7, 2.0, 4.0, 1.0, 3.0, 5.0)]
    assert ANSWERS.symbols({"symbols": ["A/B", "C/D"]}) == ["A/B", "C/D"]


@pytest.mark.parametrize("change", [
    {"price": "12"}, {"price": None}, {"price": True}, {"price": 0}, {"price": -1},
    {"price": math.inf}, {"price": math.nan}, {"price": 10**400}, {"volume": -0.5}, {"volume": []},
    {"minute": 7.0}, {"minute": -1}, {"minute": 2**60}, {"minute": True},
    {"symbol": "C/D"}, {"symbol": 7}, {"exchange": "binance"}, {"exchange": None},
], ids=str)  # fmt: skip
def test_a_ticker_with_one_wrong_field_is_not_believed(change):
    with pytest.raises(GarbageError, match=next(iter(change))):
        ANSWERS.ticker({**TICKER, **change}, "A/B")


@pytest.mark.parametrize("field", TICKER)
def test_a_ticker_without_one_of_its_fields_is_not_believed(field):
    with pytest.raises(GarbageError, match=f"'{field}' is missing"):
        ANSWERS.ticker({name: TICKER[name] for name in TICKER if name != field}, "A/B")


@pytest.mark.parametrize("change", [
    {"high": 2.5}, {"low": 2.5}, {"open": 9}, {"close": 0.5}, {"low": 0}, {"high": math.inf},
], ids=str)  # fmt: skip
def test_a_candle_beyond_its_own_limits_is_not_believed(change):
    with pytest.raises(GarbageError):
        candles({**CANDLE, **change})


def test_candles_come_in_order_from_where_they_were_asked_for_and_not_more_of_them():
    first, second = ({**CANDLE, "minute": minute} for minute in (7, 8))
    assert len(candles(first, second, since=7, limit=2)) == 2
    for rows, since, limit in (
        ((second, first), 0, 2),
        ((first, first), 0, 2),
        ((first,), 8, 2),
        ((first, second), 0, 1),
        ((first, 7), 0, 2),
    ):
        with pytest.raises(GarbageError):
            candles(*rows, since=since, limit=limit)


@pytest.mark.parametrize("symbols", [
    [], {"A/B": 1}, "A/B", [7], [None], [""], ["A/B", "A/B"], ["x" * 65], ["A\nB"], ["Ä"],
    [["A/B"]], [f"C{number}" for number in range(1001)],
], ids=lambda symbols: str(symbols)[:20])  # fmt: skip
def test_a_list_of_symbols_that_cannot_be_is_not_believed(symbols):
    with pytest.raises(GarbageError):
        ANSWERS.symbols({"symbols": symbols})


@pytest.mark.parametrize("body", [
    b"", b"{", b"<html>", b"\xff\xfe", b'{"a": NaN}', b"[-Infinity]", b"[" * 100_000,
    b"9" * 10_000, b'"\xc3"',
], ids=lambda body: ascii(body[:12]))  # fmt: skip
def test_what_is_no_json_is_garbage(body):
    with pytest.raises(GarbageError, match="no JSON"):
        ANSWERS.json(body)


@settings(max_examples=50)
@given(anything, st.sampled_from(sorted({*TICKER, *CANDLE, "candles", "symbols"})))
def test_no_answer_is_believed_by_half_and_none_raises_anything_else(value, field):
    for body in (value, {**TICKER, **CANDLE, field: value}):
        for read in (
            ANSWERS.symbols,
            lambda body: ANSWERS.ticker(body, "A/B"),
            lambda body: ANSWERS.candles(body, "A/B", 0, 5),
        ):
            try:
                found = read(body)
            except GarbageError:
                continue
            if isinstance(found, Ticker):
                assert (found.exchange, found.symbol) == ("kraken", "A/B")
                assert 0 < found.price < math.inf
                assert 0 <= found.volume < math.inf
            else:
                assert all(isinstance(one, (str, Candle)) for one in found)
