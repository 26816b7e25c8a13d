"""Rates from text and numbers become whole numbers: exact where possible, never above."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import ConfigError
from holdfast.policies.limiter.rates import exact_rate, parse_rates
from holdfast.validation import Problems

SECOND = 10**9
MINUTE = 60 * SECOND
NUM_MAX, SPAN_MAX = 200_000, 2**60


def parsed(text: object) -> tuple[tuple[float, int], ...]:
    problems = Problems("RateLimiter", "x")
    rates = parse_rates(problems, "limits", text)
    problems.done()
    return rates


def counted(rate: float, per_ns: int = SECOND, burst: int = 1) -> tuple[int, int, int]:
    problems = Problems("RateLimiter", "x")
    triple = exact_rate(problems, rate, per_ns, burst)
    problems.done()
    return triple


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("10/second", [(10, SECOND)]),
        ("10/second;100/minute", [(10, SECOND), (100, MINUTE)]),
        ("10 per 2 minutes", [(10, 2 * MINUTE)]),
        ("5/30s", [(5, 30 * SECOND)]),
        (" 5 / 30 S , 1 PER Hour ", [(5, 30 * SECOND), (1, 60 * MINUTE)]),
        ("2.5/250ms", [(2.5, SECOND // 4)]),
        ("1/0.001ms", [(1, 1000)]),
        ("1/day", [(1, 24 * 60 * MINUTE)]),
        ("3 per 1.5 h", [(3, 90 * MINUTE)]),
    ],
)
def test_limits_are_read_from_text(text, rates):
    assert parsed(text) == tuple(rates)


@pytest.mark.parametrize(
    "unit", ["ms", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes"]
)
def test_units_have_short_and_long_names(unit):
    expected = SECOND // 1000 if unit == "ms" else MINUTE if unit.startswith("m") else SECOND
    assert parsed(f"1/{unit}") == ((1, expected),)


@pytest.mark.parametrize(
    "text",
    [
        "", ";", "10", "/s", "10/", "10/s;", "0/s", "-1/s", "+1/s", "10/0s", "10/fortnight",
        "1e3/s",
        "nan/s", "inf/s", "10//s", "10 per", "10 perminute", "10/s/s", "10/-1s", "٣/s", "1_0/s",
        "1/0.0001ms", "1/0.0015005ms", " " * 600 + "1/s", "1/0.0000005s",
        "9999999999/s", "9" * 400 + "/s", "1/" + "9" * 300 + "d",
        "1/s\x00", "1 /\n\ns;x", "10/s" * 200, "((((((((((((((((", 5, None, b"10/s", ["10/s"], True,
    ],
)  # fmt: skip
def test_hostile_text_is_refused(text):
    with pytest.raises(ConfigError, match="limits: got "):
        parsed(text)


def test_every_limit_that_is_wrong_is_named():
    with pytest.raises(ConfigError) as caught:
        parsed("10/s;x;5/minute;0/s")
    assert len(caught.value.problems) == 2


def test_there_are_at_most_eight_limits():
    assert len(parsed(";".join(["1/s"] * 8))) == 8
    with pytest.raises(ConfigError, match="at most 8 limits"):
        parsed(";".join(["1/s"] * 9))


WORDS = "0123456789.;,/- +e_x٣\x00 per second minutes h day ms"


@given(st.text(WORDS, max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        rates = parsed(text)
    except ConfigError:
        return
    assert rates
    assert all(0 < rate <= per_ns for rate, per_ns in rates)


@pytest.mark.parametrize(
    ("rate", "per_ns", "triple"),
    [
        (1000, SECOND, (1, 1_000_000, 1)),
        (0.1, SECOND, (1, 10 * SECOND, 1)),
        (0.3, SECOND, (3, 10 * SECOND, 1)),
        (1e-05, SECOND, (1, 100_000 * SECOND, 1)),
        (7, 3 * SECOND, (7, 3 * SECOND, 1)),
        (1e9, SECOND, (1, 1, 1)),
        (199_999, SECOND, (199_999, SECOND, 1)),
    ],
)
def test_a_rate_is_what_its_decimal_digits_say(rate, per_ns, triple):
    # D-RL-3, trap 39: no fraction of a token is lost
    assert counted(rate, per_ns) == triple


RATES = st.one_of(
    st.integers(1, 10**9),
    st.floats(min_value=1e-3, max_value=1e9),
    st.decimals(min_value="0.001", max_value=1000, places=3).map(float),
)


@given(RATES, st.integers(SECOND, 86_400 * SECOND), st.integers(1, 1000))
def test_a_rate_is_exact_where_the_kernel_can_count_it_and_never_above(rate, per_ns, burst):
    exact = Fraction(str(rate)) / per_ns
    try:
        num, den, same_burst = counted(rate, per_ns, burst)
    except ConfigError:
        assert exact * SPAN_MAX < 2 * burst
        return
    assert same_burst == burst
    assert 1 <= num <= NUM_MAX
    assert den * burst <= SPAN_MAX
    assert math.gcd(num, den) == 1
    assert exact * Fraction(99_999, 100_000) <= Fraction(num, den) <= exact
    if exact.numerator <= NUM_MAX and exact.denominator * burst <= SPAN_MAX:
        assert Fraction(num, den) == exact


@given(st.integers(NUM_MAX + 1, 10**9), st.integers(1, 50))
def test_a_rate_beyond_the_kernels_range_becomes_the_nearest_below(rate, tries):
    num, den, _ = counted(rate)
    exact = Fraction(rate, SECOND)
    # No fraction with a numerator in range lies between: the best of each numerator is not better.
    for p in range(NUM_MAX - tries, NUM_MAX + 1):
        assert Fraction(p, math.ceil(p / exact)) <= Fraction(num, den)


@pytest.mark.parametrize(
    ("rate", "per_ns", "burst"),
    [
        (0, SECOND, 1), (-1, SECOND, 1), (float("nan"), SECOND, 1), (float("inf"), SECOND, 1),
        (1e9 + 1, SECOND, 1), (1e-300, SECOND, 1), (1, 86_400 * SECOND, 1_000_000),
    ],
)  # fmt: skip
def test_a_rate_out_of_reach_is_refused(rate, per_ns, burst):
    with pytest.raises(ConfigError, match="rate: got "):
        counted(rate, per_ns, burst)
