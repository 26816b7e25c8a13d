"""HttpCheck against real servers, which refuse, hang, drip and lie."""

import asyncio
import re
import socket
import ssl
import time

import pytest

import holdfast as hf
from tests.categories import servers
from tests.categories.libraries import real_library
from tests.categories.servers import Server, answer
from tests.health import hostile

OK = b"HTTP/1.1 200 OK\r\n"


def run(server, path="", timeout=10, **settings):
    """Return the verdict and the message of one run, without the URL in it."""
    url = server if isinstance(server, str) else f"{server.url}{path}"
    check = hf.HttpCheck("a", url, timeout=timeout, **settings)
    with hostile.no_sockets_left():
        result = check.run()
    assert result.message.startswith(f"{check._method} {check.url}: ") or not result.message
    return result.verdict, result.message.partition(f" {check.url}: ")[2]


def sends(*parts, pause=0.0, endless=False):
    """Send parts, one after the other, and again and again if it is to be endless."""

    def behave(connection):
        connection.recv(65536)
        first, *rest = parts
        with connection:
            connection.sendall(first)
            while True:
                for part in rest:
                    connection.sendall(part)
                    time.sleep(pause)
                if not endless:
                    break

    return behave


# ---- what passes ----


def test_a_url_that_answers_passes_and_tells_status_and_seconds():  # HC-02, HC-19
    with Server(answer(204)) as server:
        check = hf.HttpCheck("a", server.url)
        result = check.run()
        assert asyncio.run(check.arun()).verdict == "passed"
    assert (result.verdict, result.message, result.details["status"]) == ("passed", "", 204)
    assert 0 < result.details["seconds"] < 60


@pytest.mark.parametrize(
    ("status", "allowed", "verdict"),
    [
        (503, range(200, 300), "failed"), (503, range(200, 600), "passed"),
        (404, 404, "passed"), (200, 404, "failed"), (404, [range(200, 300), 404], "passed"),
    ],
)  # fmt: skip
def test_the_status_is_one_of_those_allowed(status, allowed, verdict):
    with Server(answer(status)) as server:
        assert run(server, status=allowed)[0] == verdict


def test_the_message_names_the_status_and_those_allowed():
    with Server(answer(503)) as server:
        told = run(server, status=[range(200, 300), 404])
    assert told == ("failed", "status 503, allowed 200 to 299, 404")


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("état", "passed"), (b"up", "passed"), (re.compile(r"up$"), "passed"),
        (re.compile(rb"^.tat|up"), "passed"), ("UP", "failed"), (b"UP", "failed"),
        (re.compile("^up"), "failed"),
    ],
)  # fmt: skip
def test_the_body_contains_or_matches(body, verdict):
    text = "état: up"
    for charset in ("utf-8", "latin-1"):
        kind = {"Content_Type": f"text/plain; charset={charset}"}
        with Server(answer(200, text.encode(charset), **kind)) as server:
            assert run(server, body=body)[0] == verdict


def test_the_message_says_what_the_body_lacks():
    with Server(answer(200, b"x" * 100)) as server:
        assert run(server, body="up") == ("failed", "the body does not contain 'up'")
        told = "50 bytes of the body do not contain 'up'"
        assert run(server, body="up", body_limit=50) == ("failed", told)


def test_a_slow_answer_is_degraded():
    with Server(answer(200)) as server:
        verdict, message = run(server, degraded_after=1e-9)
        assert (verdict, message[-21:]) == ("degraded", " s, more than 1e-09 s")
        assert run(server, degraded_after=60) == ("passed", "")


def test_a_chunked_body_is_read():
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    with Server(sends(chunked, b"2\r\nal\r\n", b"3\r\nive\r\n", b"0\r\n\r\n")) as server:
        assert run(server, body="alive") == ("passed", "")


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
UP = OK + b"Content-Length: 2\r\n\r\nup"


@pytest.mark.parametrize("apart", [False, True])
def test_interim_responses_are_not_the_answer(apart):
    parts = [HINTS, b"HTTP/1.1 102 Processing\r\n\r\n", CONTINUE, HINTS, UP]
    with Server(sends(*(parts if apart else [b"".join(parts)]))) as server:
        assert run(server, body="up") == ("passed", "")
        assert run(server, body="down") == ("failed", "the body does not contain 'down'")
    with Server(sends(HINTS, UP)) as server:
        assert run(server, status=103) == ("passed", "")  # it is asked for


def test_another_protocol_is_the_answer():
    with Server(sends(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")) as server:
        assert run(server) == ("failed", "status 101, allowed 200 to 299")


# ---- servers that fail ----


def test_a_port_that_refuses_fails():
    with servers.refused_port() as port:
        assert run(f"http://127.0.0.1:{port}/") == ("failed", "Connection refused")


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (servers.reset, "Connection reset by peer"),
        (servers.close, "Remote end closed connection without response"),
        (servers.nonsense, "BadStatusLine: 220 mail.example ESMTP"),
        (servers.break_off, "the connection was closed 90 bytes before the end of the body"),
        (sends(OK, b"X-Some: thing\r\n", endless=True), "HTTPException: got more than 100 headers"),
        (sends(OK, b"x" * 1000, endless=True), "LineTooLong: got more than 65536 bytes"),
        (
            sends(CONTINUE, CONTINUE * 400, endless=True),
            # The library has a limit of its own from 3.14 on.
            ("the server sends without end", "HTTPException: got more than 100 interim responses"),
        ),
        (sends(HINTS, HINTS * 400, endless=True), "the server sends without end"),
        (
            sends(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            "IncompleteRead: IncompleteRead(1 bytes read)",
        ),
    ],
    ids=[
        "reset", "closed", "nonsense", "half a body", "endless headers", "an endless line",
        "endless interim responses", "endless hints", "half a chunked body",
    ],
)  # fmt: skip
def test_a_server_that_does_not_speak_http_to_the_end_fails(behaviour, told):
    with Server(behaviour) as server, hostile.seconds(30):
        verdict, message = run(server, body="missing")
    assert verdict == "failed"
    assert message.startswith(told)


def test_an_endless_body_is_read_up_to_the_limit():
    with Server(sends(OK + b"\r\n", b"x" * 10_000, endless=True)) as server, hostile.seconds(30):
        assert run(server, body="up") == ("failed", "the body does not contain 'up'")
    with Server(sends(OK + b"\r\n", b"up" * 10_000, endless=True)) as server:
        assert run(server, body="up") == ("passed", "")
        assert run(server) == ("passed", "")  # it is not read at all


@pytest.mark.parametrize(
    "behaviour",
    [
        servers.silence,
        sends(b"H", b"T", pause=0.02, endless=True),
        sends(OK, b"X", pause=0.02, endless=True),
        sends(OK + b"\r\n", b"x", pause=0.02, endless=True),
        sends(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", pause=0.02, endless=True),
    ],
    ids=["silent", "status by bytes", "headers by bytes", "body by bytes", "chunks by bytes"],
)
def test_the_timeout_holds_for_all_of_the_exchange(behaviour):  # HC-01, D-HC-1
    with Server(behaviour) as server, hostile.seconds(30):
        assert run(server, body="up", timeout=0.2) == ("failed", "took longer than 0.2 s")


def test_a_connection_that_hangs_is_given_up():
    with hostile.backlogged_port() as port, hostile.seconds(30):
        told = run(f"http://127.0.0.1:{port}/", timeout=0.2)
    assert told == ("failed", "took longer than 0.2 s")


def test_a_server_that_hangs_does_not_block_the_event_loop():
    async def main():
        task = asyncio.create_task(hf.HttpCheck("a", server.url, timeout=0.2).arun())
        turns = 0
        while not task.done():
            await asyncio.sleep(0.01)
            turns += 1
        return turns, task.result().verdict

    with Server(servers.silence) as server:
        turns, verdict = asyncio.run(main())
    assert turns > 3
    assert verdict == "failed"


def test_a_look_up_that_takes_too_long_is_not_made_up_for(monkeypatch):  # D-HC-1
    def slow(*args, **more):
        if not more.get("flags"):
            time.sleep(0.2)
        return lookup(*args, **more)

    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Server(answer(200)) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert run(url, timeout=0.1) == ("failed", "took longer than 0.1 s")
    assert server.connections == 0


def test_one_of_several_addresses_is_enough(monkeypatch):
    with Server(answer(200)) as server, hostile.backlogged_port() as hangs:
        places = [("127.0.0.1", hangs), ("127.0.0.1", server.port)]
        with hostile.resolved(monkeypatch, *places) as name:
            assert run(f"http://{name}/") == ("passed", "")


def test_an_address_of_ipv6_is_requested(require_real):
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        require_real(f"no IPv6 on this machine: {error}")
    server = Server(answer(200))
    server._listening.close()
    server._listening = listening
    with server:
        assert run(f"http://[::1]:{listening.getsockname()[1]}/") == ("passed", "")


@pytest.mark.parametrize("zone", ["%251", "%1"])  # RFC 6874, RFC 9844
def test_the_zone_of_an_address_is_not_told_to_the_server(require_real, zone):
    heard = []

    def listen(connection):
        heard.append(connection.recv(65536))
        with connection:
            connection.sendall(OK + b"\r\n")

    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        require_real(f"no IPv6 on this machine: {error}")
    server = Server(listen)
    server._listening.close()
    server._listening = listening
    port = listening.getsockname()[1]
    with server:
        assert run(f"http://[::1{zone}]:{port}/") == ("passed", "")
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in heard[0]


@pytest.mark.parametrize(
    ("host", "zone"),
    [("[fe80::1%25eth0]", "eth0"), ("[fe80::1%eth0]", "eth0"), ("[FE80::1%25Eth0]", "Eth0"),
     ("[fe80::1%2525]", "25"), ("[fe80::1%25]", "25")],
)  # fmt: skip
def test_the_zone_of_an_address_is_read_in_both_ways(host, zone):
    from holdfast.health.http_target import redirected, target_of

    target = target_of(f"https://{host}/a")
    assert (target.host, target.server) == (f"fe80::1%{zone}", "fe80::1")
    for location in ("b", "/b", f"https://{host}/b"):
        assert redirected(target, location).origin == target.origin


def test_a_process_without_descriptors_proves_nothing_of_others():  # trap 62
    with Server(answer(200)) as server:
        check = hf.HttpCheck("a", server.url)
        with hostile.few_descriptors():
            assert check.run().verdict == "unproven"


# ---- TLS ----


@pytest.fixture(scope="module")
def authority():
    return real_library("trustme").CA()


@pytest.fixture(scope="module")
def certificate(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
    return path


def test_a_certificate_that_is_not_trusted_fails(certificate):
    with Server(answer(200), certificate=certificate) as server:
        verdict, message = run(server)
    assert verdict == "failed"
    assert message.startswith("the certificate is not trusted: ")


def test_a_certificate_that_the_context_trusts_passes(authority, certificate):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Server(answer(200, b"up"), certificate=certificate) as server:
        assert run(server, context=context, body="up") == ("passed", "")


def test_a_certificate_of_another_host_fails(authority, certificate):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Server(answer(200), certificate=certificate) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert "Hostname mismatch" in run(url, context=context)[1]


def test_a_server_without_tls_fails():
    with Server(servers.nonsense) as server:
        verdict, message = run(server.url.replace("http:", "https:"))
    assert (verdict, message) == ("failed", "no TLS: wrong version number")


def test_a_server_that_hangs_in_the_handshake_is_given_up():
    with Server(servers.silence) as server, hostile.seconds(30):
        told = run(server.url.replace("http:", "https:"), timeout=0.2)
    assert told == ("failed", "took longer than 0.2 s")


# ---- redirects ----


def moved(to, status=302):
    return answer(status, Location=to)


def test_a_redirect_is_not_followed_unless_asked():
    with Server(moved("/there"), answer(200)) as server:
        assert run(server) == ("failed", "status 302, allowed 200 to 299")
        assert server.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_if_asked(status):
    with Server(moved("/there", status), answer(200)) as server:
        assert run(server, redirects=1) == ("passed", "")
        assert server.connections == 2


def test_redirects_in_a_circle_end():
    with Server(moved("/")) as server:
        assert run(server, redirects=3) == ("failed", "more than 3 redirects")
        assert server.connections == 4


@pytest.mark.parametrize("to", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://[x/", "//:0/"])
def test_a_redirect_to_no_place_of_http_is_not_followed(to):
    with Server(moved(to)) as server:
        told = ("failed", "redirected to where the check does not follow")
        assert run(server, redirects=3) == told


def test_a_redirect_from_https_to_http_is_not_followed(authority, certificate):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Server(answer(200)) as plain, Server(moved(plain.url), certificate=certificate) as server:
        told = run(server, redirects=3, context=context)
        assert plain.connections == 0
    assert told == ("failed", "redirected to where the check does not follow")


def test_another_host_gets_neither_headers_nor_the_password():
    def keep(connection):
        asked.append(connection.recv(65536).decode())
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")

    def away(connection):
        asked.append(connection.recv(65536).decode())
        connection.sendall(f"HTTP/1.1 302 Go\r\nLocation: {other.url}\r\n\r\n".encode())
        connection.close()

    asked = []
    with Server(keep) as other, Server(away) as server:
        url = server.url.replace("://", "://app:secret@")
        check = hf.HttpCheck("a", url, headers={"X-Key": "value"}, redirects=1)
        assert check.run().verdict == "passed"
    assert "Authorization: Basic YXBwOnNlY3JldA==\r\n" in asked[0]
    assert "X-Key: value" in asked[0]
    assert "X-Key" not in asked[1]
    assert "Authorization" not in asked[1]


# ---- what is sent, and what is shown ----


def test_a_request_has_the_headers_that_were_given():
    def keep(connection):
        asked.append(connection.recv(65536).decode())
        connection.sendall(OK + b"\r\n")
        connection.close()

    asked = []
    own = {"host": "shop", "user-agent": "me", "accept-encoding": "gzip"}
    with Server(keep) as server:
        hf.HttpCheck("a", f"{server.url}a?b=c#d", method="HEAD", headers=own).run()
        hf.HttpCheck("a", server.url.replace("://", "://us%40er:@")).run()
    assert asked[0].startswith("HEAD /a?b=c HTTP/1.1\r\n")
    assert "host: shop\r\n" in asked[0]
    assert "user-agent: me\r\n" in asked[0]
    assert "accept-encoding: gzip\r\n" in asked[0]
    assert "Accept-Encoding" not in asked[0]
    assert "Host:" not in asked[0]
    assert "User-Agent" not in asked[0]
    assert "Authorization: Basic dXNAZXI6\r\n" in asked[1]  # us@er:
    assert f"Host: 127.0.0.1:{server.port}\r\n" in asked[1]
    assert "Connection: close\r\n" in asked[1]


def test_neither_the_password_nor_the_query_is_shown():
    with Server(answer(503), servers.reset, moved("ftp://x:hunter2@y/")) as server:
        url = server.url.replace("://", "://app:hunter2@") + "path?key=hunter2"
        check = hf.HttpCheck("a", url, redirects=1)
        shown = [repr(check), check.url, *(str(check.run()) for _ in range(3))]
    assert "hunter2" not in "".join(shown)
    assert check.url == f"{server.url}path"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://app:hunter2@host/", "http://app:hunter2@", "http://app:hunter2@host:99999/",
        "http://app:hunter2@ho st/", "http://app:hunter2@host/\n", "hunter2", "http://[hunter2/",
        b"http://app:hunter2@host/", "http+unix://hunter2/", "http://app:hunter2@hôte/",
        "http://app:hunter2@host:0/", "//app:hunter2@host/", "h:hunter2@://x",
    ],
)  # fmt: skip
def test_a_url_that_is_refused_is_not_shown(url):
    with pytest.raises(
        hf.ConfigError, match=r"url: got .*allowed an address of http or https"
    ) as no:
        hf.HttpCheck("a", url)
    assert "hunter2" not in str(no.value)


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", ".example", "a..b"])
def test_a_host_that_no_name_can_be_is_refused_and_not_followed(host):
    with pytest.raises(hf.ConfigError, match="an address of http or https"):
        hf.HttpCheck("a", f"http://{host}/")
    with Server(answer(302, Location=f"http://{host}/")) as server:
        told = "redirected to where the check does not follow"
        assert run(server, redirects=1) == ("failed", told)


def test_a_url_of_another_scheme_is_refused_by_its_scheme():
    with pytest.raises(hf.ConfigError, match=re.escape("url: got 'ftp://…', allowed")):
        hf.HttpCheck("a", "ftp://host/")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"method": "POST"}, "method: got 'POST', allowed one of 'GET', 'HEAD', 'OPTIONS'"),
        ({"status": 99}, "status: got 99, allowed a status from 100 to 599"),
        ({"status": []}, "status: got []"),
        ({"status": "200"}, "status: got '200'"),
        ({"status": True}, "status: got True"),
        ({"status": range(10**12)}, "status: got range(0, 1000000000000)"),
        ({"status": [200, "a"]}, "status: got [200, 'a']"),
        ({"status": None}, "status: got None"),
        ({"body": ""}, "body: got '', allowed a string, bytes"),
        ({"body": 5}, "body: got 5"),
        (
            {"body": "a", "method": "HEAD"},
            "body: got 'a', allowed None, since the response to HEAD",
        ),
        ({"body_limit": 0}, "body_limit: got 0, allowed an integer from 1 to 16777216"),
        ({"headers": {"a b": "c"}}, "headers: got 'a b', allowed names of headers"),
        ({"headers": {"Connection": "c"}}, "headers: got 'Connection', allowed headers that"),
        (
            {"headers": {"a": "hunter2\r\nb: c"}},
            "headers['a']: got <class 'str'>, allowed a string",
        ),
        ({"headers": 5}, "headers: got <class 'int'>, allowed a mapping"),
        ({"redirects": 21}, "redirects: got 21, allowed an integer from 0 to 20"),
        ({"degraded_after": 0}, "degraded_after: got 0, allowed seconds"),
        ({"context": 5}, "context: got 5, allowed an ssl.SSLContext, or None"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings, told):
    with pytest.raises(hf.ConfigError) as caught:
        hf.HttpCheck("a", "http://host/", **settings)
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)
