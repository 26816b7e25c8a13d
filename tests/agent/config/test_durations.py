"""Durations in files and variables: with units, or plain seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.agent.config import parse_duration
from holdfast.agent.config.duration import suggestion


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("100ms", 0.1),
        ("60s", 60.0),
        ("300s", 300.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("2d", 172_800.0),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("10μs", 1e-5),
        ("25ns", 2.5e-8),
        ("1.5s", 1.5),
        ("1m30s", 90.0),
        ("1h15m30.5s", 4530.5),
        ("60", 60.0),
        ("0.25", 0.25),
        ("0", 0.0),
        (" 5s ", 5.0),
    ],
)
def test_units_and_plain_seconds_are_both_taken(text, seconds):  # YK-15
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "s", "ms", "5x", "5 s", "5S", "5M", "-5s", "+5s", "5.s", ".5s", "1,5s", "1:30"),
        *("5s1m", "5s5s", "1ms1s", "5s 1ms", "1e3", "1e3s", "inf", "nan", "0x10", "5sec", "٥s"),
        *("five", "5s;", "5s\n6s", "36501d", "9" * 41, "1" * 10_000, "1" * 39 + "s"),
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("60 s", "60s"),
        ("60sec", "60s"),
        ("5 minutes", "5m"),
        ("5 Min.", "5m"),
        ("100 msec", "100ms"),
        (".5s", "0.5s"),
        ("2 hours", "2h"),
        ("60S", "60s"),
    ],
)
def test_what_was_probably_meant_is_suggested(text, meant):
    assert suggestion(text) == meant
    parse_duration(meant)


@pytest.mark.parametrize("text", ["5M", "5 x", "soon", "", "5 months", "5\n" * 30])
def test_nothing_is_suggested_that_may_be_wrong(text):
    assert suggestion(text) is None


UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


@given(st.integers(0, 800_000), st.sampled_from(sorted(UNITS)))
def test_a_whole_number_of_any_unit_is_exact_to_the_last_digit_of_a_float(count, unit):
    assert parse_duration(f"{count}{unit}") == count * UNITS[unit] / 10**9


@given(st.text(max_size=50))
def test_no_text_does_anything_but_be_read_or_refused(text):
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    assert 0 <= seconds <= 100 * 365 * 86_400
    suggested = suggestion(text)
    assert suggested is None or parse_duration(suggested) >= 0
