"""``JsonFormatter`` writes one line of JSON for each record, whatever the record holds."""

import io
import json
import logging
import math
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf


@pytest.fixture
def written():
    """A logger whose lines are JSON, and a function that returns what they hold."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(hf.JsonFormatter(component="shop"))
    logger = logging.getLogger("holdfast")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)

    def lines():
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield logger, lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def line_of(formatter=None, **fields):
    record = logging.makeLogRecord({"msg": "said", "levelname": "INFO", **fields})
    text = (formatter or hf.JsonFormatter()).format(record)
    assert text.isascii()
    assert "\n" not in text
    return json.loads(text)


def test_a_line_has_the_time_in_utc_the_level_the_logger_the_message_and_the_fields(
    written, clock
):  # GEN-05, LG-14
    _, lines = written
    hf.CircuitBreaker("db", clock=clock).trip()
    [line] = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("holdfast_trip")["rule"] == "manual"
    assert line == {
        "level": "WARNING",
        "logger": "holdfast.breaker",
        "message": "circuit breaker 'db' opened: by hand; retry in 60.000 s",
        "component": "shop",
        "holdfast_event": "transition",
        "holdfast_kind": "circuit_breaker",
        "holdfast_policy": "db",
        "holdfast_old": "closed",
        "holdfast_new": "open",
        "holdfast_reason": "manual",
        "holdfast_retry_after": 60.0,
    }
    assert line_of(created=1_800_000_000.0125)["timestamp"] == "2027-01-15T08:00:00.012Z"


def test_an_exception_has_its_class_and_its_traceback(written):
    logger, lines = written
    try:
        raise ConnectionError("postgres://app:hunter2@db/orders refused")
    except ConnectionError:
        logger.exception("failed")
    [line] = lines()
    assert line["error"] == "ConnectionError"
    assert line["traceback"].startswith("Traceback (most recent call last):\n")
    assert "app:***@db" in line["traceback"]
    assert "hunter2" not in json.dumps(line)


class Login(NamedTuple):
    user: str
    password: str


@pytest.mark.parametrize(
    ("fields", "secret"),
    [
        ({"msg": "login with password=hunter2"}, "hunter2"),
        ({"db_password": "hunter2"}, "hunter2"),
        ({"headers": {"Authorization": "Bearer abc1"}}, "abc1"),
        ({"urls": ["https://u:hunter2@host/"]}, "hunter2"),
        ({"msg": "x" * 3000 + "\napi_key=hunter2 " + "y" * 3000}, "hunter2"),
        ({"headers": [(b"x-api-key", b"hunter2")]}, "hunter2"),
        ({"headers": {b"cookie": b"hunter2"}}, "hunter2"),
        ({"login": Login("joe", "hunter2")}, "hunter2"),
        ({"msg": "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n" * 3}, "hunter2"),
    ],
)
def test_nothing_secret_is_written(fields, secret):  # SE-07
    assert secret not in json.dumps(line_of(**fields))
    assert secret in json.dumps(line_of(hf.JsonFormatter(redact=False), **fields))


def test_what_json_has_not_is_written_as_text():
    class Unshown:
        def __str__(self):
            raise ValueError

    circle = []
    circle.append(circle)
    line = line_of(a=math.inf, b={1: (2, {3})}, c=Unshown(), d=10**100, e=circle, level="mine")
    assert (line["a"], line["b"], line["c"]) == ("inf", {"1": [2, [3]]}, "<ValueError in its text>")
    assert line["d"].startswith("0x")
    assert "[[...]]" in json.dumps(line["e"])
    assert (line["level"], line["level_"]) == ("INFO", "mine")
    assert line_of(msg="%d apples", args=("no",))["message"].startswith("'%d apples' (TypeError")


class Proxy:
    """Stands for another object, as proxies of a request do; for none, it raises."""

    def __init__(self, *of):
        self.of = of

    def __str__(self):
        return str(*self.found)

    def __bool__(self):
        return bool(*self.found)

    @property
    def __class__(self):
        return type(*self.found)

    @property
    def found(self):
        if not self.of:
            raise RuntimeError("working outside of request context")
        return self.of


class Broken(dict):
    def items(self):
        raise ValueError

    def __repr__(self):
        return "broken"


class MuteError(Exception):
    def __str__(self):
        raise ValueError

    __repr__ = __str__


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: Proxy(), "<RuntimeError in its text>"),
        (lambda: Proxy("joe"), "joe"),
        (lambda: Proxy(False), False),
        (lambda: Broken(a=1), "broken"),
        (MuteError, "<ValueError in its text>"),
    ],
)
def test_an_object_that_raises_when_it_is_looked_at_costs_no_line(make, shown):
    value = make()
    assert line_of(user=value)["user"] == shown
    assert line_of(users=[1, value])["users"] == [1, shown]
    assert isinstance(line_of(msg=value)["message"], str)


def test_a_record_that_somebody_else_has_made_gives_a_line():
    error = ValueError("no")
    assert line_of(exc_info=error)["error"] == "ValueError"
    assert line_of(exc_info=(ValueError, error, None))["error"] == "ValueError"
    assert line_of(exc_info=True)["error"] is None
    line = line_of(created="now", levelname=30, name=None, exc_text=5, stack_info=["here"])
    assert line["timestamp"] == "<TypeError in its text>"
    assert (line["level"], line["logger"], line["traceback"]) == (30, None, "5")
    assert line["stack"] == "['here']"


@settings(max_examples=30)
@given(st.text(), st.dictionaries(st.text(), st.text() | st.floats() | st.lists(st.text())))
def test_every_record_is_one_line(text, fields):
    names = vars(logging.makeLogRecord({}))
    line_of(**{"msg": text, **{key: one for key, one in fields.items() if key not in names}})


def test_settings_are_checked():
    with pytest.raises(hf.ConfigError) as caught:
        hf.JsonFormatter(redact="yes", level="INFO")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["redact", "fields"]
