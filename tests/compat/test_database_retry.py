"""The retry of a database that services write with tenacity, with the face in its place."""

import logging

import pytest

from holdfast.categories import Category, classify
from holdfast.compat.tenacity import (
    after_log,
    before_sleep_log,
    retry,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)
from holdfast.testing import use_clock

logger = logging.getLogger("database")


def attempts_of(error, fails):
    """Return a call that fails so often, and what it notes."""
    noted = []

    @retry(
        stop=stop_after_attempt(5),
        wait=wait_exponential(multiplier=2, min=1, max=30),
        retry=retry_if_exception(lambda error: classify(error) is Category.TRANSIENT),
        before_sleep=before_sleep_log(logger, logging.WARNING),
        after=after_log(logger, logging.INFO),
        reraise=True,
    )
    def connect():
        noted.append(1)
        if len(noted) <= fails:
            raise error
        return "connected"

    return connect, noted


def test_five_attempts_with_pauses_of_up_to_thirty_seconds_are_made(caplog):  # RT-18
    caplog.set_level(logging.INFO, "database")
    with use_clock() as clock:
        connect, noted = attempts_of(ConnectionRefusedError("connection refused"), 9)
        began = clock.now()
        with pytest.raises(ConnectionRefusedError):
            connect()
        assert clock.now() - began == 2 + 4 + 8 + 16
    assert len(noted) == 5
    levels = [record.levelname for record in caplog.records if record.name == "database"]
    assert levels == ["INFO", "WARNING"] * 4 + ["INFO"]
    assert connect.policy.snapshot().gave_up["exhausted"] == 1


def test_a_database_that_comes_back_is_used(caplog):  # RT-18
    caplog.set_level(logging.INFO, "database")
    with use_clock():
        connect, noted = attempts_of(TimeoutError("database is starting up"), 2)
        assert connect() == "connected"
    assert len(noted) == 3
    assert connect.policy.snapshot().recovered == 1
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert [" 2 seconds " in warnings[0], " 4 seconds " in warnings[1]] == [True, True]


def test_an_error_that_no_attempt_mends_is_raised_at_once():  # RT-18
    with use_clock() as clock:
        connect, noted = attempts_of(PermissionError("password"), 9)
        with pytest.raises(PermissionError):
            connect()
    assert (len(noted), clock.now()) == (1, 0)
