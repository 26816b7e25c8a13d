"""Clients that are slow, greedy or send nonsense: the admin server answers the others."""

import random
import re
import socket
import time
from contextlib import ExitStack

import httpx
import pytest

import holdfast as hf
from examples.market_collector import bounded
from tests.examples.market_collector.admin.asking import BREAKERS, address_of, ended

LIVE = b"GET /live HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def connect(admin):
    """Open connections that are closed with the test."""
    with ExitStack() as stack:

        def open_one(sent=b"", *, receive_buffer=None):
            one = stack.enter_context(socket.socket())
            if receive_buffer is not None:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            one.settimeout(20)
            one.connect(address_of(admin))
            one.sendall(sent)
            return one

        yield open_one


def answers(admin):
    """Return whether an honest client is answered."""
    return httpx.get(f"{admin.url}/live", timeout=20).status_code == 200


def statuses(connection):
    """Return the status of each answer, once the other end has closed."""
    received = b""
    try:
        while block := connection.recv(65_536):
            received += block
    except ConnectionResetError:
        received += b"(reset)"
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", received)


def is_cut(send):
    """Return whether the connection is ended while the client sends on and on."""
    until = time.monotonic() + 30
    try:
        while time.monotonic() < until:
            send()
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


# ---- slow clients ----


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET /live HTTP/1.1\r\n", LIVE, LIVE + b"X-More: "], ids=repr
)
def test_a_header_that_does_not_end_in_time_ends_the_connection(connect, monkeypatch, sent):
    monkeypatch.setattr(bounded, "HEADER_SECONDS", 0.1)
    assert statuses(connect(sent)) == []


def test_a_header_that_comes_byte_by_byte_has_the_same_time(admin, connect, monkeypatch):
    monkeypatch.setattr(bounded, "HEADER_SECONDS", 0.3)
    slow = connect(LIVE + b"X-Slow: ")

    def dribble():
        slow.sendall(b"x")
        time.sleep(0.01)

    assert is_cut(dribble)
    assert answers(admin)


def test_a_connection_that_is_kept_has_the_same_time_for_each_header(connect, monkeypatch):
    kept = connect()
    for at in range(4):
        if at == 3:  # its header has the time of before, and the one after it has this
            monkeypatch.setattr(bounded, "HEADER_SECONDS", 0.1)
        kept.sendall(LIVE + b"\r\n")
        answer = b""
        while not answer.endswith(b"}\n"):
            answer += kept.recv(65_536)
    kept.sendall(LIVE)
    assert statuses(kept) == []


@pytest.mark.parametrize("length", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_a_body_that_does_not_end_in_time_changes_nothing(  # SE-08
    connect, collector, token, monkeypatch, length
):
    monkeypatch.setattr(bounded, "ANSWER_SECONDS", 0.1)
    breaker = collector.rm.circuit_breaker("redis")
    breaker.trip()
    assert statuses(connect(operators(token, length) + b"1\r\n1\r\n")) == []
    assert breaker.state is hf.State.OPEN


def test_slow_clients_take_no_place_away_from_others(admin, connect):
    slow = [connect(LIVE) for _ in range(bounded.MOST_CONNECTIONS * 6)]
    for one in slow[::7]:
        try:
            one.sendall(b"X-Slow: 1\r\n")
        except OSError:
            continue  # it had to go already
    for _ in range(5):
        assert answers(admin)
    assert ended(slow[0])


def test_a_client_that_does_not_read_its_answers_is_cut(admin, connect, monkeypatch):
    monkeypatch.setattr(bounded, "ANSWER_SECONDS", 0.2)
    greedy = connect(receive_buffer=4096)
    assert is_cut(lambda: greedy.sendall((LIVE + b"\r\n") * 50))
    assert answers(admin)


def test_clients_that_are_all_busy_leave_room_for_one_more(admin, connect, token):
    # An operator's body is waited for: these are at work, and none is older than the others.
    header = operators(token, b"Content-Length: 9")
    busy = [connect(header) for _ in range(bounded.MOST_CONNECTIONS)]
    deadline = time.monotonic() + 20
    while not answers_or_says_when(admin):
        assert time.monotonic() < deadline
    assert ended(busy[0])


def answers_or_says_when(admin):
    try:
        answer = httpx.get(f"{admin.url}/live", timeout=20)
    except httpx.TransportError:
        return False
    if answer.status_code == 503:
        assert answer.headers["retry-after"] == "1"
    return answer.status_code == 200


# ---- greedy clients ----


@pytest.mark.parametrize("size", [9_000, 60_000, 200_000, 1_000_000])
@pytest.mark.parametrize("begin", [b"GET /live?", LIVE + b"X: ", LIVE + b"Authorization: Bearer "])
def test_a_huge_header_is_refused(admin, connect, size, begin):
    end = b"" if b"X:" in begin or b"Bearer" in begin else b" HTTP/1.1\r\nHost: localhost"
    huge = connect()
    try:
        huge.sendall(begin + b"x" * size + end + b"\r\n\r\n")
    except OSError:
        pass  # it was refused before its end
    else:
        assert set(statuses(huge)) <= {b"400", b"431"}
    assert answers(admin)


def test_many_headers_are_refused(connect):
    assert statuses(connect(LIVE + b"X: y\r\n" * 3000 + b"\r\n")) in ([b"431"], [b"400"])


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_refused_and_changes_nothing(connect, collector, token, chunked):
    breaker = collector.rm.circuit_breaker("redis")
    breaker.trip()
    if chunked:
        sent = operators(token, b"Transfer-Encoding: chunked") + b"800\r\n" + b"x" * 2048
    else:
        sent = operators(token, b"Content-Length: 1000000") + b"x" * 2048
    assert statuses(connect(sent)) == [b"413"]
    assert breaker.state is hf.State.OPEN


def test_a_body_without_end_is_thrown_away_for_a_moment_only(admin, connect):
    endless = connect(
        b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
    )
    assert is_cut(lambda: endless.sendall(b"x" * 65_536))
    assert answers(admin)


def test_a_body_without_the_token_is_not_waited_for(connect):
    head = f"POST {BREAKERS}/reset-all HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    assert statuses(connect(head.encode())) == [b"401"]


# ---- nonsense ----


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 100 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n",
        b"GET /live\r\n\r\n",
        b"GET /live HTTP/9.9\r\n\r\n",
        b"GET /live HTTP/1.1\r\n\r\n",  # no host
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\n folded: x\r\nBad Name: 1\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: \xff\r\n\r\n",
    ],
    ids=range(12),
)
def test_nonsense_is_refused(admin, connect, sent):
    answered = statuses(connect(sent + b"\r\n\r\n"))
    assert answered
    assert set(answered) <= {b"400", b"404", b"421", b"501", b"505"}
    assert answers(admin)


def test_a_request_with_two_lengths_is_refused_and_what_follows_is_none(connect, token):
    smuggled = operators(token, b"Content-Length: 4\r\nTransfer-Encoding: chunked")
    assert statuses(connect(smuggled + b"0\r\n\r\n" + operators(token, b"X: y"))) == [b"400"]


def test_many_requests_at_once_are_answered_in_order(connect):
    other = LIVE.replace(b"live", b"none")
    sent = (LIVE + b"\r\n" + other + b"\r\n") * 20 + LIVE + b"Connection: close\r\n\r\n"
    assert statuses(connect(sent)) == [b"200", b"404"] * 20 + [b"200"]


def test_an_upgrade_is_not_taken_up(connect):
    upgrade = LIVE + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    assert statuses(connect(upgrade)) == [b"200"]


def test_random_requests_never_reach_a_breaker_nor_end_the_server(  # SE-08
    admin, collector, connect
):
    breaker = collector.rm.circuit_breaker("redis")
    breaker.trip()
    pieces = [
        *(LIVE, b"\r\n", b"\r\n\r\n", b"POST ", BREAKERS.encode(), b"/redis/reset", b" HTTP/1.1"),
        *(b"Host: localhost\r\n", b"Authorization: Bearer ", b"x" * 100, b"\0", b" ", b":"),
        *(b"Content-Length: 5", b"Transfer-Encoding: chunked", b"0\r\n\r\n", b"%2e%2e", b"\xff"),
    ]
    dice = random.Random(7)
    for _ in range(300):
        sent = b"".join(dice.choices(pieces, k=dice.randint(1, 12)))
        one = connect(sent)
        one.shutdown(socket.SHUT_WR)
        assert b"500" not in statuses(one)
    assert breaker.state is hf.State.OPEN
    assert answers(admin)


def operators(token, header):
    """Return the head of a request that would reset a breaker."""
    head = f"POST {BREAKERS}/redis/reset HTTP/1.1\r\nHost: localhost\r\n"
    return f"{head}Authorization: Bearer {token}\r\n".encode() + header + b"\r\n\r\n"
