"""The admin server: its answers, who gets them, and its life."""

import re
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

import holdfast as hf
from examples.market_collector import bounded
from examples.market_collector.admin import HEALTH_SECONDS, MOST_BODY, AdminServer
from tests.examples.market_collector.admin.asking import BREAKERS, Health, address_of, asked, ended


@pytest.fixture
def client(admin):
    with httpx.Client(base_url=admin.url, timeout=10) as client:
        yield client


@pytest.fixture
def operator(admin, token):
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=admin.url, timeout=10, headers=headers) as client:
        yield client


# ---- what everybody may know ----


def test_health_is_for_everybody_and_its_status_follows_the_collector(client, collector):  # MS-11
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy", "workers": {"running": 4, "total": 4}}
    collector.now = Health(healthy=False, running=1)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unhealthy", "workers": {"running": 1, "total": 4}}


def test_head_has_the_headers_of_get_and_no_body(client):  # MS-11
    head, get = client.head("/health"), client.get("/health")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_a_stopped_collector_is_alive_and_not_ready(client, collector):  # MS-11
    assert client.get("/ready").json() == {"ready": True}
    collector.running = False
    assert [client.get(path).status_code for path in ("/ready", "/live")] == [503, 200]
    collector.running, collector.now = True, Health(healthy=False)
    assert [client.get(path).status_code for path in ("/ready", "/live")] == [503, 200]


def test_nothing_is_stored_and_no_version_is_told(client):
    headers = client.get("/health").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_an_error_of_the_collector_is_answered_and_logged_without_its_secrets(
    client, collector, caplog
):  # SE-07
    def health():
        raise ConnectionError("postgres://admin:hunter2@db")

    collector.health = health
    answer = client.get("/health")
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error"}
    assert caplog.messages == ["GET /health: ConnectionError('postgres://admin:***@db')"]
    assert "hunter2" not in caplog.text


def test_a_look_that_hangs_is_one_look_and_stops_nothing_else(client, collector, monkeypatch):
    monkeypatch.setattr("examples.market_collector.admin.HEALTH_SECONDS", 0.05)
    free, looks = threading.Event(), []

    def health():
        looks.append(1)
        free.wait(60)
        return collector.now

    collector.health = health
    for path in ("/health", "/ready", "/health"):
        assert client.get(path).status_code == 503
    assert client.get("/health").json() == {"status": "unknown"}
    assert client.get("/live").status_code == 200
    assert looks == [1]
    free.set()
    until = time.monotonic() + 30
    while client.get("/health").status_code != 200:
        assert time.monotonic() < until


# ---- what operators may do ----


def test_operators_see_all_breakers_those_of_each_exchange_too(operator, collector):  # MS-11
    collector.rm.keyed("exchange", "kraken").circuit_breaker.trip()
    collector.rm.circuit_breaker("redis").call(len, "ok")
    collector.rm.circuit_breaker("ccxt").try_call(int, "no")
    shown = operator.get(BREAKERS).json()["circuit_breakers"]
    assert 0 <= shown["ccxt"]["seconds_since_failure"] < 60  # of every clock, a reader has none
    assert shown["redis"]["seconds_since_failure"] is None
    assert shown["exchange/kraken"]["state"] == "open"
    assert shown["exchange/kraken"]["state_changes"] == 1
    assert shown["redis"]["state"] == "closed"
    assert (shown["redis"]["total_requests"], shown["redis"]["successful_requests"]) == (1, 1)
    assert set(shown) == {"ccxt", "redis", "exchange", "signal_processor", "exchange/kraken"}


@pytest.mark.parametrize("spelling", ["exchange/kraken", "exchange%2Fkraken", "exchang%65/kraken"])
def test_a_breaker_is_reset_by_its_name(operator, collector, spelling):  # MS-11
    kraken, binance = (
        collector.rm.keyed("exchange", name).circuit_breaker for name in ("kraken", "binance")
    )
    kraken.trip()
    binance.trip()
    answer = operator.post(f"{BREAKERS}/{spelling}/reset")
    assert answer.json() == {"name": "exchange/kraken", "state": "closed"}
    assert (kraken.state, binance.state) == (hf.State.CLOSED, hf.State.OPEN)


def test_all_breakers_are_reset_together(operator, collector):  # MS-11
    opened = [collector.rm.circuit_breaker("redis"), collector.rm.circuit_breaker("ccxt")]
    opened.append(collector.rm.keyed("exchange", "kraken").circuit_breaker)
    for breaker in opened:
        breaker.trip()
    answer = operator.post(f"{BREAKERS}/reset-all")
    assert {"redis", "ccxt", "exchange/kraken"} < set(answer.json()["reset"])
    assert {breaker.state for breaker in opened} == {hf.State.CLOSED}


@pytest.mark.parametrize("name", ["unknown", "exchange/unknown", "redis/x", "", "%00", "..", "é"])
def test_an_unknown_breaker_is_not_found_and_none_is_made(operator, collector, name):  # MS-11
    before = operator.get(BREAKERS).json()["circuit_breakers"].keys()
    assert operator.post(f"{BREAKERS}/{name}/reset").status_code == 404
    assert operator.get(BREAKERS).json()["circuit_breakers"].keys() == before


def test_an_operation_with_keys_and_without_a_breaker_is_passed_over(operator, collector):
    collector.rm.register_rate_limiter("bare", rate=10)
    collector.rm.keyed("bare", "kraken").call(len, "")
    assert "bare/kraken" not in operator.get(BREAKERS).json()["circuit_breakers"]


# ---- who may do it ----

MATRIX = [
    ("GET", "/health", 200, 200),
    ("POST", "/health", 405, 405),
    ("HEAD", "/ready", 200, 200),
    ("DELETE", "/live", 405, 405),
    ("GET", BREAKERS, 401, 200),
    ("HEAD", BREAKERS, 401, 200),
    ("POST", BREAKERS, 401, 405),
    ("POST", f"{BREAKERS}/redis/reset", 401, 200),
    ("GET", f"{BREAKERS}/redis/reset", 401, 405),
    ("HEAD", f"{BREAKERS}/redis/reset", 401, 405),
    ("PUT", f"{BREAKERS}/redis/reset", 401, 405),
    ("POST", f"{BREAKERS}/unknown/reset", 401, 404),  # without a token, no name is told apart
    ("POST", f"{BREAKERS}/reset-all", 401, 200),
    ("GET", f"{BREAKERS}/reset-all", 401, 405),
    ("GET", "/api/v1/admin", 401, 404),
    ("GET", "/api/v1/admin/other", 401, 404),
    ("GET", "/api/v1/administrator", 404, 404),
    ("GET", "/", 404, 404),
    ("OPTIONS", "*", 404, 404),
]


@pytest.mark.parametrize(("method", "path", "without", "with_token"), MATRIX)
def test_only_the_token_opens_what_is_below_admin(  # SE-08
    admin, token, collector, method, path, without, with_token
):
    breaker = collector.rm.circuit_breaker("redis")
    breaker.trip()
    assert asked(admin, method, path)[0] == without
    assert breaker.state is hf.State.OPEN  # none of them has changed anything
    assert asked(admin, method, path, f"Authorization: Bearer {token}")[0] == with_token


@pytest.mark.parametrize(
    "headers",
    [
        ["Authorization: Bearer wrong"],
        ["Authorization: Bearer"],
        ["Authorization: Bearer "],
        ["Authorization:"],
        ["Authorization: {token}"],
        ["Authorization: Basic {token}"],
        ["Authorization: Bearer {token}x"],
        ["Authorization: Bearer {half}"],
        ["Authorization: Bearer {token}, Bearer {token}"],
        ["Authorization: Bearer wrong", "Authorization: Bearer {token}"],
        ["Authorization: Bearer {token}", "Authorization: Bearer {token}"],
        ["Authorization: Bearer \xff\xfe"],
        ["Proxy-Authorization: Bearer {token}"],
        ["Cookie: token={token}"],
        ["X-Original-URL: /health", "X-Forwarded-For: 127.0.0.1"],
    ],
)
def test_a_wrong_token_opens_nothing(admin, token, headers):  # SE-08
    filled = [one.replace("{token}", token).replace("{half}", token[:20]) for one in headers]
    status, head, _ = asked(admin, "GET", BREAKERS, *filled)
    assert status == 401
    assert b"www-authenticate: bearer" in head.lower()


def test_the_token_in_the_address_opens_nothing(client, token):
    assert client.get(BREAKERS, params={"token": token, "access_token": token}).status_code == 401


def test_the_word_bearer_may_be_written_in_any_case(admin, token):
    assert asked(admin, "GET", BREAKERS, f"authorization: bEARER {token}")[0] == 200


def test_the_token_is_compared_in_constant_time(admin, token, monkeypatch):
    compared = []

    def compare(given, wanted):
        compared.append((given, wanted))
        return False

    monkeypatch.setattr(
        "examples.market_collector.admin.hmac", SimpleNamespace(compare_digest=compare)
    )
    assert asked(admin, "GET", BREAKERS, f"Authorization: Bearer {token}")[0] == 401
    assert compared == [(token.encode(), token.encode())]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Host: evil.example", 421),
        ("Host: 127.0.0.1.evil.example", 421),
        ("Host: 127.0.0.1:1", 421),
        ("Host: localhost", 200),
        ("Origin: http://evil.example", 403),
        ("Origin: null", 403),
        ("Origin: https://127.0.0.1", 403),
    ],
)
def test_pages_of_other_servers_are_refused(admin, token, header, status):
    mine = () if header.startswith("Host") else ("Host: 127.0.0.1",)
    headers = (header, *mine, f"Authorization: Bearer {token}")
    assert asked(admin, "POST", f"{BREAKERS}/redis/reset", *headers, host=False)[0] == status


@pytest.mark.parametrize(
    "path",
    [
        "//health", "/health/", "/./health", "/../health", "/health/..", "/%2e%2e/health",
        "/health%00", "/health%0d%0aX:%201", "/HEALTH", "/health;x", "http://evil.example/health",
        "/api//v1/admin/circuit-breakers", "/api/v1/./admin/circuit-breakers",
        "/api/v1/ADMIN/circuit-breakers", "/%ff%fe", "/" + "a/" * 2000,
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_leads_past_the_token(admin, path):
    status, head, _ = asked(admin, "GET", path)
    assert status == 404
    assert b"location:" not in head.lower()


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/admin/../../../health", "/%61pi/v1/%61dmin/circuit-breakers",
        "/api/v1/admin%2fcircuit-breakers", "/api/v1/admin/",
    ],
)  # fmt: skip
def test_an_encoded_path_needs_the_token_as_well(admin, path):
    assert asked(admin, "GET", path)[0] == 401


# ---- its page ----

KINDS = ("python", "text")
PAGE = Path(__file__).resolve().parents[4] / "examples/market_collector/ADMIN.md"


def test_the_page_runs_and_prints_what_it_shows(capsys):
    text = PAGE.read_text(encoding="utf-8")
    [program], [shown] = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in KINDS)
    exec(compile(program, PAGE, "exec"), {})
    assert capsys.readouterr().out == shown


def test_the_page_has_the_limits_that_hold():
    text = PAGE.read_text(encoding="utf-8")
    for limit, value in (
        ("time for a header, from its first byte to its last", f"{bounded.HEADER_SECONDS:g} s"),
        ("time for a body, and to take the answer", f"{bounded.ANSWER_SECONDS:g} s"),
        ("size of a header", f"{bounded.MOST_HEADER // 1024} KiB"),
        ("size of a body, which only operators may send", f"{MOST_BODY // 1024} KiB"),
        ("connections", f"{bounded.MOST_CONNECTIONS}"),
        ("looks at the health of the collector", f"one at a time, {HEALTH_SECONDS:g} s"),
    ):
        assert f"| {limit} | {value} |" in text


# ---- its life ----


def test_it_starts_and_stops_more_than_once_and_leaves_no_thread(collector, tmp_path):
    before = set(threading.enumerate())
    server = AdminServer(collector, tmp_path / "token")
    with pytest.raises(RuntimeError, match=r"does not run: call start\(\)"):
        _ = server.url
    for _ in range(2):
        server.start()
        url = server.url
        server.start()
        assert server.url == url
        assert server.running
        assert httpx.get(f"{url}/live").status_code == 200
        assert server.stop()
        assert server.stop()
        assert not server.running
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/live")
    assert set(threading.enumerate()) <= before


def test_a_port_that_is_taken_is_an_error_and_it_does_not_run(collector, tmp_path, admin):
    port = int(admin.url.rpartition(":")[2])
    second = AdminServer(collector, tmp_path / "token", port)
    with pytest.raises(OSError, match="in use"):
        second.start()
    assert not second.running


def test_a_stop_does_not_wait_for_clients_that_keep_their_connections(collector, tmp_path):
    server = AdminServer(collector, tmp_path / "token")
    server.start()
    with httpx.Client() as idle, socket.create_connection(address_of(server)) as slow:
        idle.get(f"{server.url}/live")
        slow.sendall(b"GET /live HTTP/1.1\r\n")
        assert server.stop()
        assert ended(slow)


def test_only_the_loopback_interface_is_served(admin):
    port = address_of(admin)[1]
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_a_port_is_checked(collector, tmp_path):
    with pytest.raises(hf.ConfigError, match="port: got 70000"):
        AdminServer(collector, tmp_path / "token", 70_000)
