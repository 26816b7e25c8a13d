"""The text of an error is one short line without secrets, whatever the error is."""

import time

import pytest

from holdfast.redaction import MOST, describe_error, describe_result, one_line

SECRET = "hunter2"
KEY = "AbCdEf0123456789AbCdEf0123"


@pytest.mark.parametrize("text", [
    f"postgres://app:{SECRET}@db:5432/orders",
    f"redis://:{SECRET}@cache",
    f"jdbc:oracle:thin:app/p@{SECRET}@db:1521/orders",
    f"amqp://app:p@{SECRET}@mq/vhost",
    f"mongodb://app:a/{SECRET}/b@db/x",
    f"https://app:{SECRET}#1@host/x",
    f"https://a.blob/c?sv=2020&sig={SECRET}&se=2025",
    f"AccountKey=ab/{SECRET}/cd==;EndpointSuffix=x",
    f"-----BEGIN RSA PRIVATE KEY-----\nMII\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"invalid eyJhbGciOiJub25lIn0.{SECRET}.{SECRET}",
    f"Command '['login', '--password', '{SECRET}']' failed",
    f"login --db-token {SECRET} failed",
    f"[SQL: update users set pw=? where id=?] [parameters: ('[x]', '{SECRET}', 1)] (Background: x)",
    f"[type=int_parsing, input_value='{SECRET}', input_type=str]",
    f"Authorization: Bearer {SECRET}",
    f"{{'Authorization': 'Basic {SECRET}'}}",
    f"sent bearer {SECRET} to the server",
    f"password={SECRET}&next=1",
    f'{{"db_password": "{SECRET} and more {SECRET}"}}',
    f"https://api/v1?access_token={SECRET}",
    f"https://api/v1?key={SECRET}&x=1",
    f"x-api-key: {SECRET}",
    f"API_KEY = '{SECRET}'",
    f"client_secret_id: {SECRET}",
    f"{{'Set-Cookie': 'sid={SECRET}; path=/'}}",
])  # fmt: skip
def test_secrets_are_hidden(text):
    shown = one_line(text)
    assert SECRET not in shown
    assert "***" in shown


@pytest.mark.parametrize("key", [KEY, "deadbeef" * 4, f"{KEY}=="])
def test_long_keys_are_hidden(key):
    assert one_line(f"bad key {key} given") == "bad key *** given"


@pytest.mark.parametrize("text", [
    "[Errno 111] Connection refused",
    "password authentication failed for user 'app'",
    "bearer token expired",
    "http://host:8080/path?email=a@example.com",
    "https://peer:9077/users/a@b refused",
    "https://peer:9077?mail=a@b refused",
    "sig 9 and signal=9",
    "no such option: --password-file",
    "a wrong password - try again",
    "/usr/lib/python3.11/site-packages/Client2/HTTPConnection.py: no such file",
    pytest.param("<urllib3.HTTPSConnection object at 0x7f5466fb1480>: refused", id="repr"),
    "author: Bob",
])  # fmt: skip
def test_what_is_no_secret_is_shown(text):
    assert one_line(text) == text


def test_a_text_is_short_on_one_line_and_can_be_encoded():
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("a\x00\ud800b") == "a??b"
    shown = one_line("word " * 1000)
    assert len(shown) == MOST
    assert shown.endswith("…")


def test_a_secret_that_is_cut_in_two_is_hidden():
    for width in range(60):
        assert SECRET[:3] not in one_line("x" * 940 + " " * width + f"://a:{SECRET}@host")
        assert SECRET[:3] not in one_line(" " * (940 + width) + f"://a:{SECRET}@host")


@pytest.mark.parametrize(
    "text",
    ["a" * 10**7, "-" * 10**7, "password" * 10**5, "Aa1-" * 10**5, "auth" * 10**5, "'\"\\" * 10**5],
)
def test_a_huge_text_is_read_in_no_time(text):
    began = time.process_time()
    assert len(one_line(text)) <= MOST
    assert time.process_time() - began < 1


def test_an_error_has_the_name_that_tracebacks_show():
    assert describe_error(ConnectionError("refused")) == ("ConnectionError", "refused")
    name, text = describe_error(OwnError())
    assert (name, text) == ("tests.ground.test_redaction.OwnError", "")


class OwnError(Exception):
    """A user's."""


def test_a_group_of_one_is_described_by_what_is_in_it():
    inner = ConnectionError("refused")
    group = ExceptionGroup("all", [ExceptionGroup("some", [inner])])
    assert describe_error(group) == ("ConnectionError", "refused")
    both = ExceptionGroup("all", [inner, inner])
    assert describe_error(both) == ("ExceptionGroup", "all (2 sub-exceptions)")


def test_an_error_whose_methods_raise_or_lie_is_described_all_the_same():
    class Lying(str):  # noqa: SLOT000
        def __len__(self):
            return 3

        def __getitem__(self, _):
            raise AssertionError

    class HostileError(Exception):
        def __init__(self, text):
            self.text = text

        def __str__(self):
            return self.text()

    def fail():
        raise ValueError(SECRET)

    assert describe_error(HostileError(fail))[1] == "<ValueError in its text>"
    assert describe_error(HostileError(lambda: 3))[1] == "<TypeError in its text>"
    assert describe_error(HostileError(lambda: Lying("text")))[1] == "text"


def test_a_result_is_shown_by_its_status_or_its_repr():
    class Response:
        status = 503

    class Hostile:
        def __repr__(self):
            raise ValueError

        def __getattr__(self, name):
            raise KeyError(name)

    assert describe_result(503) == "result 503"
    assert describe_result(Response()) == "result with status 503"
    assert describe_result({"status": "error", "token": SECRET}) == (
        "result {'status': 'error', 'token': ***}"
    )
    assert describe_result(10**100_000) == "result of 332193 bits"
    assert describe_result(Hostile()) == "<KeyError in its text>"
