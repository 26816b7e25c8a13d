"""Rates: read from text, and put into the whole numbers that the limiter's kernel counts in.

A rate is so many tokens in so long. Decimal numbers mean what they say: 0.1 is one tenth, not
the binary fraction next to it. Elsewhere: counting (``hf_bucket.h``, ``hf_sliding.h``).
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

from holdfast.validation import MAX_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta

    from holdfast._native.bucket import SlidingWindow, TokenBucket
    from holdfast.validation import Problems

__all__ = [
    "MAX_RATES",
    "Rate",
    "exact_rate",
    "parse_rates",
    "read_per",
    "read_rate",
    "read_rates",
]

LEAST_PER_NS = 1_000
MAX_BURST = 2**28 - 1  # what a slice of a sliding window counts
MAX_RATES = 8  # that one limiter applies together

# What the kernel takes (hf_bucket.h): num tokens every den nanoseconds, burst of them at most.
_NUM_MAX = 200_000
_SPAN_MAX = 2**60  # den * burst

_MAX_TEXT = 500
_SYNTAX = '''limits like "10/second;100/minute", "10 per 2 minutes" or "5/30s"'''
_UNITS_NS = {
    unit: ns
    for ns, units in (
        (10**6, "ms millisecond milliseconds"),
        (10**9, "s sec secs second seconds"),
        (60 * 10**9, "m min mins minute minutes"),
        (3_600 * 10**9, "h hr hrs hour hours"),
        (86_400 * 10**9, "d day days"),
    )
    for unit in units.split()
}

_WORDS = {10**9: "second", 60 * 10**9: "minute", 3_600 * 10**9: "hour", 86_400 * 10**9: "day"}


class Rate:
    """One limit: tokens in so many nanoseconds, and at most ``burst`` of them at once.

    ``asked_burst`` is the burst the user asked for, None for that of the rate; ``native`` how a
    token bucket's kernel counts it, None for a sliding window.
    """

    __slots__ = ("asked_burst", "burst", "native", "per_ns", "tokens")

    def __init__(
        self,
        tokens: float,
        per_ns: int,
        burst: int,
        asked_burst: int | None,
        native: tuple[int, int, int] | None,
    ) -> None:
        self.tokens = tokens
        self.per_ns = per_ns
        self.burst = burst
        self.asked_burst = asked_burst
        self.native = native

    @property
    def per_second(self) -> float:
        """Tokens per second."""
        return self.tokens / self.per_ns * 1e9

    @property
    def text(self) -> str:
        """The limit as one may type it: "10/second", "5/30s"."""
        unit = _WORDS.get(self.per_ns, f"{self.per_ns / 1e9:g}s")
        return f"{self.tokens:.12g}/{unit}"

    def given_out(self, cell: TokenBucket | SlidingWindow, now_ns: int) -> int:
        """Return how many whole tokens are not back yet, from what counts this limit."""
        if self.native is None:
            return self.burst - cell.available(now_ns)
        num, den, burst = self.native
        return (cell.wait_ns(burst, now_ns) or 0) * num // den


_rate = lru_cache(64)(Rate)  # most limiters of a process have one of a few


def read_rate(
    problems: Problems, rate: object, per_ns: int, burst: int | None, sliding: bool
) -> Rate:
    """Check rate and burst."""
    if rate is None:
        problems.refuse("rate", None, 'a number above 0, or limits="10/second;100/minute"')
        rate = 1
    if isinstance(rate, str):
        problems.refuse("rate", rate, "a number above 0; a text is for RateLimiter(limits=…)")
        rate = 1
    tokens = problems.number("rate", rate, above=0.0, most=MAX_BURST)
    if sliding and burst is not None:
        problems.refuse("burst", burst, "None with a sliding window: the window is the burst")
        burst = None
    most = problems.integer("burst", burst, least=1, most=MAX_BURST, none=True)
    return _make_rate(problems, "rate", tokens, per_ns, most, sliding)


def read_per(problems: Problems, per: float | timedelta) -> int:
    """Check what a rate is for; return it in nanoseconds."""
    return problems.duration("per", per, least_ns=LEAST_PER_NS)


def read_rates(problems: Problems, limits: str, sliding: bool) -> tuple[Rate, ...]:
    """Check limits given as text."""
    return tuple(
        _make_rate(problems, "limits", tokens, per_ns, None, sliding)
        for tokens, per_ns in parse_rates(problems, "limits", limits)
    )


def _make_rate(
    problems: Problems, field: str, tokens: float, per_ns: int, asked: int | None, sliding: bool
) -> Rate:
    """Its burst is what one period gives, unless the caller says otherwise."""
    burst = min(max(1, ceil(tokens)), MAX_BURST) if asked is None else asked
    if not sliding:
        native = exact_rate(problems, tokens, per_ns, burst, field)
        return _rate(tokens, per_ns, burst, asked, native)
    if tokens != burst:
        problems.refuse(field, tokens, f"a whole number from 1 to {MAX_BURST} with sliding windows")
    return _rate(tokens, per_ns, burst, None, None)


def parse_rates(problems: Problems, field: str, text: object) -> tuple[tuple[float, int], ...]:
    """Read rates from text: ``"10/second;100/minute"``, ``"10 per 2 minutes"``, ``"5/30s"``.

    Units are ms, s, min, h and d, or their names in full; ``;`` and ``,`` separate rates.

    Args:
        problems: Where what is wrong is reported.
        field: What the text is called.
        text: From the user.

    Returns:
        For each rate, tokens and the nanoseconds they are for; without those that were refused.
    """
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        problems.refuse(field, text, _SYNTAX)
        return ()
    parts = text.replace(",", ";").split(";")
    if len(parts) > MAX_RATES:
        problems.refuse(field, text, f"at most {MAX_RATES} limits")
        return ()
    rates = (_parse(problems, field, part.strip()) for part in parts)
    return tuple(rate for rate in rates if rate is not None)


def exact_rate(
    problems: Problems, rate: float, per_ns: int, burst: int, field: str = "rate"
) -> tuple[int, int, int]:
    """Return a rate as the kernel counts it: num tokens every den nanoseconds, and the burst.

    Exact wherever the kernel's range allows. Beyond that, the nearest lower rate it can count: at
    most one part in 100,000 below, and never above.

    Args:
        problems: Where a rate out of the kernel's reach is reported.
        rate: Tokens in ``per_ns``, above 0 and at most one each nanosecond.
        per_ns: Nanoseconds, at least 1.
        burst: Tokens at once, at least 1.
        field: What the rate is called.
    """
    if not 0 < rate <= per_ns:
        problems.refuse(field, rate, f"above 0, at most one a nanosecond: {per_ns}")
        return 1, 1, 1
    if rate == int(rate):
        common = gcd(int(rate), per_ns)
        exact = int(rate) // common, per_ns // common
    else:
        from fractions import Fraction

        exact = (Fraction(str(rate)) / per_ns).as_integer_ratio()
    num, den = _floor(*exact, _NUM_MAX, _SPAN_MAX // burst)
    if num == 0:
        problems.refuse(field, rate, f"a rate that gives its burst of {burst} within 36 years")
        return 1, 1, 1
    return num, den, burst


def _parse(problems: Problems, field: str, text: str) -> tuple[float, int] | None:
    import re
    from fractions import Fraction

    number = r"\d+(?:\.\d+)?"
    match = re.fullmatch(
        rf"({number})\s*(?:/|per\b)\s*({number})?\s*([a-z]+)", text, re.ASCII | re.IGNORECASE
    )
    unit_ns = _UNITS_NS.get(match[3].lower()) if match else None
    if match is None or unit_ns is None:
        problems.refuse(field, text, _SYNTAX)
        return None
    per_ns = Fraction(match[2] or 1) * unit_ns
    if per_ns.denominator != 1 or not LEAST_PER_NS <= per_ns <= MAX_NS:
        problems.refuse(field, text, "whole nanoseconds, from a microsecond to 100 years")
        return None
    tokens = float(match[1])
    if not 0 < tokens <= per_ns:
        problems.refuse(field, text, "more than 0 tokens, at most one a nanosecond")
        return None
    return tokens, int(per_ns)


def _floor(p: int, q: int, num_max: int, den_max: int) -> tuple[int, int]:
    """Return the greatest fraction not above p/q, reduced and at most 1, within both bounds.

    Descends the Stern-Brocot tree, as many steps in one direction at a time as there are: ``low``
    stays at or below p/q, ``high`` above, and every fraction between them has at least the
    sum of their numerators and of their denominators.
    """
    if p <= num_max and q <= den_max:
        return p, q
    low, high = (0, 1), (1, 0)
    while True:
        # low + n * high is not above p/q, and within the bounds
        n = (p * low[1] - q * low[0]) // (q * high[0] - p * high[1])
        n = min(n, (num_max - low[0]) // high[0])
        if high[1]:
            n = min(n, (den_max - low[1]) // high[1])
        low = low[0] + n * high[0], low[1] + n * high[1]
        if low[0] + high[0] > num_max or low[1] + high[1] > den_max:
            return low
        # high + n * low is above p/q
        above = q * high[0] - p * high[1]
        n = (above - 1) // (p * low[1] - q * low[0])
        high = high[0] + n * low[0], high[1] + n * low[1]
