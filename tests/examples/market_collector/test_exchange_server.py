"""The process of an exchange, asked by hand: what it refuses, and who may control it."""

import json
import socket

import pytest

import holdfast as hf
from examples.market_collector.client import ExchangeClient
from examples.market_collector.exchange import start_exchange
from examples.market_collector.exchange_server import main
from examples.market_collector.faults import FORMS, KINDS, Fault
from examples.market_collector.market import symbols_of


def said(exchange, request):
    """Send bytes, and return the status and the body of the answer; None if there is none."""
    host, port = exchange.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as link:
        link.sendall(request)
        with link.makefile("rb") as answer:
            first = answer.readline().split()
            if not first:
                return None
            headers = dict(
                line.decode().strip().split(": ") for line in iter(answer.readline, b"\r\n")
            )
            return int(first[1]), json.loads(answer.read(int(headers["Content-Length"])))


def control(token, *, method="PUT", path="fault", body=b"{}", length=None):
    length = len(body) if length is None else length
    head = f"{method} /control/{path} HTTP/1.1\r\nX-Token: {token}\r\nContent-Length: {length}"
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(("request_line", "status"), [
    (b"GET /tickers HTTP/1.1", 404),
    (b"POST /ticker?symbol=BTC/USDT HTTP/1.1", 404),
    (b"GET /ticker HTTP/1.1", 404),
    (b"GET /ticker?symbol=XYZ HTTP/1.1", 404),
    (b"GET /candles?symbol=BTC/USDT&since=-1 HTTP/1.1", 400),
    (b"GET /candles?symbol=BTC/USDT&since=1e3 HTTP/1.1", 400),
    (b"GET /candles?symbol=BTC/USDT&since=99999999999999999 HTTP/1.1", 400),
    (b"GET //[ HTTP/1.1", 400),
    (b"GET /symbols", 400),
    (b"\x16\x03\x01\x02\x00", 400),
    (b"GET /symbols HTTP/1.1\r\nContent-Length: 65537", 400),
    (b"GET /symbols HTTP/1.1\r\nContent-Length: -1", 400),
    (b"GET /symbols HTTP/1.1\r\nX: " + b"x" * 20_000, 400),
], ids=lambda value: ascii(value)[:50])  # fmt: skip
def test_a_request_that_cannot_be_answered_is_refused(exchange, request_line, status):
    assert said(exchange, request_line + b"\r\n\r\n")[0] == status
    assert said(exchange, b"GET /symbols HTTP/1.1\r\n\r\n") == (
        200, {"exchange": "kraken", "symbols": symbols_of(3)},
    )  # fmt: skip


def test_only_who_has_the_token_controls_it(exchange):
    body = b'{"kind": "reset"}'
    for token in ("", "x", exchange._token[:-1], exchange._token + "x", "\xe4"):
        assert said(exchange, control(token, body=body)) == (
            403, {"error": "the token is missing or wrong"},
        )  # fmt: skip
    assert exchange.counts()["fault"] is None
    status, counts = said(exchange, control(exchange._token, body=body))
    assert (status, counts["fault"]) == (200, "reset")


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"7", b"{}", b'{"kind": "dance"}', b'{"kind": "slow", "status": 500}',
    b'{"kind": "slow", "speed": 1}', b'{"kind": ["slow"]}', b"[" * 10_000,
], ids=ascii)  # fmt: skip
def test_what_is_no_fault_is_refused_and_changes_nothing(exchange, body):
    exchange.set_fault("slow", seconds=0)
    status, answer = said(exchange, control(exchange._token, body=body))
    assert status == 400
    assert answer["error"]
    assert exchange.counts()["fault"] == "slow"


@pytest.mark.parametrize("kind", KINDS)
def test_no_fault_touches_those_who_control_it(exchange, kind):
    exchange.set_fault(kind)
    assert exchange.counts()["fault"] == kind
    exchange.clear()
    assert exchange.counts()["fault"] is None


def test_it_counts_what_it_has_served_and_how_many_have_suffered(exchange, client):
    before = exchange.counts()
    client.symbols()
    exchange.set_fault("garbage", form="page", only="/ticker")
    client.candles("BTC/USDT", 0, 1)
    with pytest.raises(Exception, match="no JSON"):
        client.ticker("BTC/USDT")
    after = exchange.counts()
    served = {name: after["served"][name] - before["served"][name] for name in after["served"]}
    assert served == {"symbols": 1, "ticker": 0, "candles": 1}
    assert after["requests"] == before["requests"] + 3
    assert after["suffered"]["garbage"] == before["suffered"].get("garbage", 0) + 1


def test_an_exchange_that_was_stopped_refuses_and_keeps_its_port(world, rm):
    exchange = start_exchange(world, "short-lived", symbols=1)
    exchange.stop()
    port = int(exchange.url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        exchange.counts()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    exchange.start()
    client = ExchangeClient(rm, "short-lived", exchange.url)
    assert client.symbols() == symbols_of(1)
    client.close()
    exchange.stop()


def test_two_exchanges_of_one_name_are_refused(world, exchange):
    with pytest.raises(hf.ConfigError, match="other than 'kraken'"):
        start_exchange(world, "kraken")
    with pytest.raises(hf.ConfigError, match=r"symbols: got 0.*minute: got 0"):
        start_exchange(world, "another", symbols=0, minute=0)


def test_it_does_not_start_without_a_token(monkeypatch, capsys):
    monkeypatch.delenv("MARKET_EXCHANGE_TOKEN", raising=False)
    with pytest.raises(SystemExit):
        main(["kraken"])
    assert "MARKET_EXCHANGE_TOKEN is missing" in capsys.readouterr().err


# ---- faults ----


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9, 1.0])
def test_a_fault_strikes_its_share_of_the_requests_evenly(share):
    fault = Fault("reset", share=share)
    strikes = [fault.strikes("/ticker") for _ in range(100)]
    assert sum(strikes) == round(100 * share)
    for begin in range(0, 100, 10):
        assert abs(sum(strikes[begin : begin + 10]) - 10 * share) <= 1


def test_a_fault_strikes_one_path_if_it_is_to():
    fault = Fault("reset", only="/ticker")
    assert [fault.strikes(path) for path in ("/ticker", "/symbols")] == [True, False]


@pytest.mark.parametrize(("kind", "options", "wrong"), [
    ("hangs", {}, r"kind: got 'hangs', allowed one of .*did you mean 'hang'"),
    ("slow", {"seconds": -1}, "seconds: got -1"),
    ("slow", {"status": 500}, "status: got 500, allowed nothing for the kind 'slow'"),
    ("error", {"status": 404}, "status: got 404"),
    ("busy", {"retry_after": "soon"}, "retry_after: got 'soon'"),
    ("garbage", {"form": "paper"}, "form: got 'paper'"),
    ("reset", {"share": 0}, "share: got 0"),
    ("reset", {"only": "/"}, "only: got '/'"),
])  # fmt: skip
def test_a_fault_says_what_is_wrong_with_its_settings(exchange, kind, options, wrong):
    with pytest.raises(hf.ConfigError, match=wrong):
        exchange.set_fault(kind, **options)
    assert exchange.counts()["fault"] is None


def test_every_form_of_garbage_comes_in_turn():
    fault = Fault("garbage")
    assert [next(fault.forms) for _ in FORMS] == [*FORMS]
